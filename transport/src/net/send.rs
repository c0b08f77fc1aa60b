//! What a worker is about to send: sealed packets side by side in one buffer, in bursts that leave with one system call each.

use super::port::UdpPort;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

/// Datagrams to one peer: equally long, the last may be shorter.
struct Burst {
    port: Rc<UdpPort>,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Range<usize>,
    segment: usize,
}

/// Reused from pass to pass: in steady state nothing is allocated for a packet.
#[derive(Default)]
pub struct SendBuffer {
    pub bytes: Vec<u8>,
    bursts: Vec<Burst>,
}

impl SendBuffer {
    /// Everything written since `start` is a burst of datagrams of `segment` bytes.
    pub fn push(&mut self, port: &Rc<UdpPort>, from: SocketAddr, to: SocketAddr, start: usize, segment: usize) {
        let bytes = start..self.bytes.len();
        self.bursts.push(Burst { port: port.clone(), from, to, bytes, segment });
    }

    pub fn is_empty(&self) -> bool {
        self.bursts.is_empty()
    }

    /// Sends all bursts; `stuck` gets the datagrams for which the kernel had no room.
    pub fn send(&mut self, mut stuck: impl FnMut(&Rc<UdpPort>, SocketAddr, SocketAddr, &[u8])) {
        for burst in self.bursts.drain(..) {
            let bytes = &self.bytes[burst.bytes.clone()];
            match burst.port.send(burst.from.ip(), burst.to, bytes, Some(burst.segment)) {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    bytes.chunks(burst.segment).for_each(|one| stuck(&burst.port, burst.from, burst.to, one));
                }
                // Some paths take no bursts: then each datagram goes alone.
                Err(_) if bytes.len() > burst.segment => {
                    for one in bytes.chunks(burst.segment) {
                        if let Err(why) = burst.port.send(burst.from.ip(), burst.to, one, None)
                            && why.kind() == io::ErrorKind::WouldBlock
                        {
                            stuck(&burst.port, burst.from, burst.to, one);
                        }
                    }
                }
                Err(why) => tracing::trace!(to = %burst.to, "a datagram was not sent: {why}"),
            }
        }
        self.bytes.clear();
    }
}
