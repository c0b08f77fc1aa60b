//! Which session a datagram belongs to: first by the ICE user name in a STUN request, then by remote address.
//!
//! Only an authenticated STUN request binds an address to a session (the session says so), because everything else can be
//! forged; before that, nothing but STUN reaches a session at all. The first byte tells what a datagram is (RFC 7983).

use rivero_engine::NodeId;
use std::collections::HashMap;
use std::net::SocketAddr;
use str0m::ice::StunMessage;

/// A session's transport: the node, and which of its transports.
pub type Route = (NodeId, usize);

#[derive(Default)]
pub struct Demux {
    /// Our user name fragments.
    names: HashMap<String, Route>,
    /// Addresses from which an authenticated STUN request came, with the local port that it came to.
    bound: HashMap<(u16, SocketAddr), Route>,
    /// Addresses that our own STUN requests went to: their answers come from there.
    asked: HashMap<(u16, SocketAddr), Route>,
}

impl Demux {
    pub fn add_name(&mut self, ufrag: String, route: Route) {
        self.names.insert(ufrag, route);
    }

    pub fn bind(&mut self, port: u16, remote: SocketAddr, route: Route) {
        self.bound.insert((port, remote), route);
    }

    /// Notes that a STUN request went out.
    pub fn note_asked(&mut self, port: u16, remote: SocketAddr, route: Route) {
        self.asked.insert((port, remote), route);
    }

    /// Forgets everything of a node.
    pub fn forget(&mut self, node: NodeId) {
        self.names.retain(|_, route| route.0 != node);
        self.bound.retain(|_, route| route.0 != node);
        self.asked.retain(|_, route| route.0 != node);
    }

    /// The transport that a STUN request asks for, wherever it came from; `None` for anything else.
    pub fn find_name(&self, request: &[u8]) -> Option<Route> {
        let message = StunMessage::parse(request).ok().filter(StunMessage::is_binding_request)?;
        self.names.get(message.split_username()?.0).copied()
    }

    /// The transport that a datagram belongs to; `None` for a stranger's.
    pub fn find(&self, port: u16, remote: SocketAddr, datagram: &[u8]) -> Option<Route> {
        if !is_stun(datagram) {
            return self.bound.get(&(port, remote)).copied();
        }
        let message = StunMessage::parse(datagram).ok()?;
        match message.split_username() {
            Some((ours, _)) => self.names.get(ours).copied(),
            None => self.asked.get(&(port, remote)).or_else(|| self.bound.get(&(port, remote))).copied(),
        }
    }
}

/// STUN begins with a byte from 0 to 3 (RFC 7983, section 7).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first <= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u32) -> NodeId {
        NodeId { worker: 0, index, generation: 1 }
    }

    #[test]
    fn a_stranger_reaches_nobody_and_binding_is_by_port_and_address() {
        let remote: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let other: SocketAddr = "192.0.2.1:5001".parse().expect("an address");
        let rtp = [0x80, 96, 0, 1];
        let mut demux = Demux::default();
        assert_eq!(demux.find(4000, remote, &rtp), None);
        demux.note_asked(4000, remote, (node(1), 0));
        assert_eq!(demux.find(4000, remote, &rtp), None, "having asked somebody does not make his media welcome");
        demux.bind(4000, remote, (node(1), 0));
        assert_eq!(demux.find(4000, remote, &rtp), Some((node(1), 0)));
        assert_eq!(demux.find(4001, remote, &rtp), None);
        assert_eq!(demux.find(4000, other, &rtp), None);
        assert_eq!(demux.find(4000, remote, &[]), demux.find(4000, remote, &rtp));
        demux.forget(node(1));
        assert_eq!(demux.find(4000, remote, &rtp), None);
    }

    #[test]
    fn broken_stun_belongs_to_nobody() {
        let remote: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let mut demux = Demux::default();
        demux.bind(4000, remote, (node(1), 0));
        for length in 0..64 {
            assert_eq!(demux.find(4000, remote, &vec![0; length + 1]), None);
        }
    }
}
