//! UDP sockets as a browser would have them: one a client, received from in batches, with the kernel's receive times.
//!
//! Receive offload (UDP_GRO) is off: browsers do not use it, and with it the kernel would hand a server's burst through
//! loopback in one piece, which flatters whoever sends in bursts.

use crate::clock::Clock;
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Longer datagrams are cut; nothing here sends such.
const SLOT: usize = 2048;
/// Bytes asked of the kernel for a socket that many senders or receivers share.
const BUFFER: usize = 4 << 20;

pub struct BatchSocket {
    io: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

impl BatchSocket {
    /// Binds a free port.
    ///
    /// Errors: the address is not this machine's, or there is no descriptor or port left.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        let io = UdpSocket::bind((ip, 0))?;
        let state = UdpSocketState::new((&io).into())?;
        setsockopt(&io, sockopt::UdpGroSegment, &false)?;
        let address = io.local_addr()?;
        Ok(BatchSocket { io, state, address })
    }

    /// Asks for larger buffers; getting smaller ones is no error.
    pub fn enlarge(&self) {
        let _ = self.state.set_recv_buffer_size((&self.io).into(), BUFFER);
        let _ = self.state.set_send_buffer_size((&self.io).into(), BUFFER);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands over one batch: bytes, source, ns of reception. Returns whether there may be more.
    pub fn receive(
        &self,
        clock: &Clock,
        room: &mut ReceiveRoom,
        mut each: impl FnMut(&mut [u8], SocketAddr, u64),
    ) -> bool {
        let ReceiveRoom { bytes, metas } = room;
        let mut rest = bytes.chunks_exact_mut(SLOT);
        let mut slots: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rest.next().expect("the room has a slot for each of a batch")));
        // An error is either that nothing is left or the echo of a datagram that nobody took; both end the batch.
        let Ok(count) = self.state.recv((&self.io).into(), &mut slots, metas) else { return false };
        for (meta, slot) in metas.iter().zip(&mut slots).take(count) {
            let at = meta.timestamp.map_or_else(|| clock.now(), |wall| clock.of_wall(wall));
            let length = meta.len.min(SLOT);
            each(&mut slot[..length], meta.addr, at);
        }
        count == BATCH_SIZE
    }

    /// Sends one datagram.
    ///
    /// Errors: the kernel has no room, or nobody can be reached there.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.io.send_to(bytes, to).map(drop)
    }

    /// Sends datagrams of `segment` bytes each (the last may be shorter) to one receiver with one system call.
    ///
    /// Errors: as [`BatchSocket::send`].
    pub fn send_segments(&self, bytes: &[u8], segment: usize, to: SocketAddr) -> io::Result<()> {
        let transmit =
            Transmit { destination: to, ecn: None, contents: bytes, segment_size: Some(segment), src_ip: None };
        self.state.try_send((&self.io).into(), &transmit)
    }
}

impl AsFd for BatchSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// Where a batch is received into; one a thread.
pub struct ReceiveRoom {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for ReceiveRoom {
    fn default() -> Self {
        ReceiveRoom { bytes: vec![0; SLOT * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] }
    }
}
