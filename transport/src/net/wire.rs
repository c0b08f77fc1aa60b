//! A port's datagrams where there are no sockets: a test takes what was sent, and puts there what arrives.
//!
//! Enters and leaves: whole datagrams with both addresses. It must never know time, or what becomes of a datagram on its way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

/// A datagram with where it comes from and where it goes.
#[derive(Clone, Debug)]
pub struct OnWire {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// Both ends hold a clone: the port and the test.
#[derive(Clone, Default)]
pub struct Wire {
    sent: Rc<RefCell<VecDeque<OnWire>>>,
    arrived: Rc<RefCell<VecDeque<OnWire>>>,
}

impl Wire {
    /// A datagram arrives at the port.
    pub fn arrive(&self, datagram: OnWire) {
        self.arrived.borrow_mut().push_back(datagram);
    }

    /// Whether something has arrived that the port has not received.
    pub fn waits(&self) -> bool {
        !self.arrived.borrow().is_empty()
    }

    /// The oldest datagram that the port has sent and nobody has taken.
    pub fn take(&self) -> Option<OnWire> {
        self.sent.borrow_mut().pop_front()
    }

    pub(super) fn leave(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.sent.borrow_mut().push_back(OnWire { from, to, bytes: bytes.to_vec() });
    }

    /// Hands over at most `batch` datagrams, and says how many there were.
    pub(super) fn receive(&self, batch: usize, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) -> usize {
        for count in 0..batch {
            let Some(datagram) = self.arrived.borrow_mut().pop_front() else { return count };
            each(datagram.from, datagram.to, &datagram.bytes);
        }
        batch
    }
}
