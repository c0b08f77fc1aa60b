//! Where sealed packets are written side by side, and leave at once: one consumer's with one system call where their lengths
//! allow, while they are still in the processor's cache. What the kernel has no room for waits here, up to a bound.

use super::local::Datagram;
use super::mark::Mark;
use super::path::Path;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// How many datagrams wait for a full socket before the newest are dropped.
const PENDING: usize = 2048;

/// Where datagrams go: by a path, from a local address, to the peer's.
#[derive(Clone)]
pub struct Way {
    pub path: Path,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub mark: Mark,
}

/// One a worker. In steady state nothing is allocated for a packet.
#[derive(Default)]
pub struct SendBuffer {
    /// Empty between two bursts.
    pub bytes: Vec<u8>,
    pub(crate) pending: VecDeque<Datagram>,
    pub(crate) dropped: u64,
}

impl SendBuffer {
    /// Sends what was written into `bytes`: datagrams of `segment` bytes each, the last may be shorter.
    pub fn send(&mut self, way: &Way, segment: usize) {
        let mut bytes = std::mem::take(&mut self.bytes);
        match way.path.send(way.from.ip(), way.to, way.mark, &bytes, Some(segment)) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                bytes.chunks(segment).for_each(|one| self.keep(Datagram::new(way, one)));
            }
            // Some paths take no bursts: then each datagram goes alone.
            Err(_) if bytes.len() > segment => {
                for one in bytes.chunks(segment) {
                    self.send_now_or_later(Datagram::new(way, one));
                }
            }
            Err(why) => tracing::trace!(to = %way.to, "a datagram was not sent: {why}"),
        }
        bytes.clear();
        self.bytes = bytes;
    }

    /// Sends one datagram, or keeps it until the kernel has room.
    pub(crate) fn send_now_or_later(&mut self, datagram: Datagram) {
        if would_block(&datagram) {
            self.keep(datagram);
        }
    }

    /// Tries the datagrams that wait, in order, until one finds no room.
    pub(crate) fn retry(&mut self) {
        while let Some(datagram) = self.pending.front() {
            if would_block(datagram) {
                break;
            }
            self.pending.pop_front();
        }
    }

    fn keep(&mut self, datagram: Datagram) {
        if self.pending.len() < PENDING {
            self.pending.push_back(datagram);
        } else {
            self.dropped += 1;
        }
    }
}

/// Sends, and says whether the kernel had no room. Other failures cost this datagram only, as on any network.
fn would_block(datagram: &Datagram) -> bool {
    match datagram.path.send(datagram.from.ip(), datagram.to, datagram.mark, &datagram.bytes, None) {
        Ok(()) => false,
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => true,
        Err(why) => {
            tracing::trace!(to = %datagram.to, "a datagram was not sent: {why}");
            false
        }
    }
}
