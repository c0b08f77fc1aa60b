//! The connections of one ICE transport: which of them a packet leaves by, and when one more is opened.
//!
//! Enters: where the peer listens, connections on which it proved itself, and pairs of addresses that ICE sends between.
//! Leaves: the connection for a pair. It must never know packets.

use super::link::TcpLink;
use std::net::SocketAddr;
use std::rc::Rc;

/// Connections of one transport at a time.
pub const MOST_LINKS: usize = 16;
/// Addresses of a peer that are connected to.
pub const MOST_PASSIVE: usize = 16;
/// How often one of them is tried, from each of our addresses.
pub const ATTEMPTS: u8 = 3;

#[derive(Default)]
pub struct Connections {
    links: Vec<Rc<TcpLink>>,
    /// Where the peer listens.
    passive: Vec<SocketAddr>,
    /// How often a connection between two addresses was opened.
    tried: Vec<(SocketAddr, SocketAddr, u8)>,
}

impl Connections {
    /// The peer has told that it listens there. False when there are too many such addresses.
    pub fn expect(&mut self, remote: SocketAddr) -> bool {
        if self.passive.contains(&remote) {
            return true;
        }
        if self.passive.len() >= MOST_PASSIVE {
            return false;
        }
        self.passive.push(remote);
        true
    }

    /// Takes a connection on which the peer has proved itself. False when there are too many.
    pub fn adopt(&mut self, link: &Rc<TcpLink>) -> bool {
        if self.links.iter().any(|known| Rc::ptr_eq(known, link)) {
            link.trust();
            return true;
        }
        if !self.has_room() {
            return false;
        }
        link.trust();
        self.links.push(link.clone());
        true
    }

    /// The open connection between two addresses, as ICE knows them; the newest, should there be several.
    pub fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<&Rc<TcpLink>> {
        let between = |link: &&Rc<TcpLink>| link.local() == local && link.remote() == remote && !link.is_closed();
        self.links.iter().rev().find(between)
    }

    /// The connection between two addresses, opened now if the peer listens there and it was not tried too often.
    pub fn reach(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        connect: impl FnOnce() -> Rc<TcpLink>,
    ) -> Option<Rc<TcpLink>> {
        if let Some(link) = self.find(local, remote) {
            return Some(link.clone());
        }
        if !self.passive.contains(&remote) || !self.has_room() || !self.may_try(local, remote) {
            return None;
        }
        let link = connect();
        self.links.push(link.clone());
        Some(link)
    }

    /// Ends all of them, after their last words.
    pub fn close(&mut self) {
        self.links.drain(..).for_each(|link| link.close());
    }

    fn has_room(&mut self) -> bool {
        self.links.retain(|link| !link.is_closed());
        self.links.len() < MOST_LINKS
    }

    fn may_try(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        if let Some((_, _, count)) = self.tried.iter_mut().find(|(from, to, _)| (*from, *to) == (local, remote)) {
            *count = count.saturating_add(1);
            return *count <= ATTEMPTS;
        }
        let room = self.tried.len() < MOST_LINKS * MOST_PASSIVE;
        if room {
            self.tried.push((local, remote, 1));
        }
        room
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
