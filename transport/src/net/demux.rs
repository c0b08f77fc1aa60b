//! Which session a datagram belongs to: first by the ICE user name in a STUN request, then by remote address.
//!
//! Only an authenticated STUN request binds an address to a session (the session says so), because everything else can be
//! forged; before that, nothing but STUN reaches a session at all. The first byte tells what a datagram is (RFC 7983).

use super::nat::reflexive::QueryId;
use rivero_engine::NodeId;
use std::collections::HashMap;
use std::hash::Hash;
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
    /// Questions to STUN servers that wait for their answers.
    queries: HashMap<QueryId, NodeId>,
    /// What to forget with a node, so that its end costs as much as it has left here, however many others there are.
    /// Addresses may have gone over to another node since.
    left: HashMap<NodeId, Vec<Key>>,
}

#[derive(PartialEq, Eq)]
enum Key {
    Name(String),
    Bound(u16, SocketAddr),
    Asked(u16, SocketAddr),
    Query(QueryId),
}

impl Demux {
    pub fn add_name(&mut self, ufrag: String, route: Route) {
        if self.names.insert(ufrag.clone(), route).is_none_or(|(before, _)| before != route.0) {
            self.note(route.0, Key::Name(ufrag));
        }
    }

    pub fn bind(&mut self, port: u16, remote: SocketAddr, route: Route) {
        if self.bound.insert((port, remote), route).is_none_or(|(before, _)| before != route.0) {
            self.note(route.0, Key::Bound(port, remote));
        }
    }

    /// Notes that a STUN request went out.
    pub fn note_asked(&mut self, port: u16, remote: SocketAddr, route: Route) {
        if self.asked.insert((port, remote), route).is_none_or(|(before, _)| before != route.0) {
            self.note(route.0, Key::Asked(port, remote));
        }
    }

    /// Notes that a question to a STUN server went out.
    pub fn add_query(&mut self, id: QueryId, node: NodeId) {
        if self.queries.insert(id, node) != Some(node) {
            self.note(node, Key::Query(id));
        }
    }

    /// An address that two nodes take from each other over and over is noted once for each.
    fn note(&mut self, node: NodeId, key: Key) {
        let left = self.left.entry(node).or_default();
        if !left.contains(&key) {
            left.push(key);
        }
    }

    /// Forgets everything of a node.
    pub fn forget(&mut self, node: NodeId) {
        for key in self.left.remove(&node).unwrap_or_default() {
            match key {
                Key::Name(ufrag) => remove_if(&mut self.names, &ufrag, |route| route.0 == node),
                Key::Bound(port, remote) => remove_if(&mut self.bound, &(port, remote), |route| route.0 == node),
                Key::Asked(port, remote) => remove_if(&mut self.asked, &(port, remote), |route| route.0 == node),
                Key::Query(id) => remove_if(&mut self.queries, &id, |of| *of == node),
            }
        }
    }

    /// The node whose question to a STUN server has this id.
    pub fn find_query(&self, id: &QueryId) -> Option<NodeId> {
        self.queries.get(id).copied()
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

fn remove_if<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: &K, gone: impl FnOnce(&V) -> bool) {
    if map.get(key).is_some_and(gone) {
        map.remove(key);
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

    #[test]
    fn a_question_is_known_until_its_asker_goes() {
        let mut demux = Demux::default();
        demux.add_query([7; 12], node(1));
        demux.add_query([7; 12], node(1));
        assert_eq!((demux.find_query(&[7; 12]), demux.find_query(&[8; 12])), (Some(node(1)), None));
        demux.forget(node(1));
        assert_eq!(demux.find_query(&[7; 12]), None);
    }

    #[test]
    fn who_leaves_takes_nothing_of_the_others_along() {
        let rtp = [0x80, 96, 0, 1];
        let [shared, own] = [5000, 5001].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let mut demux = Demux::default();
        for turn in 0..1000 {
            demux.bind(4000, shared, (node(turn % 2), 0));
            demux.note_asked(4000, shared, (node(turn % 2), 0));
        }
        demux.bind(4000, own, (node(0), 0));
        let left: Vec<_> = [0, 1].map(|n| demux.left[&node(n)].len()).into();
        assert_eq!(left, [3, 2], "each address is noted once, however often it changes hands");
        demux.forget(node(0));
        assert_eq!(demux.find(4000, own, &rtp), None);
        assert_eq!(demux.find(4000, shared, &rtp), Some((node(1), 0)), "it had gone over");
        demux.forget(node(1));
        assert_eq!(demux.find(4000, shared, &rtp), None);
        let empty = demux.names.is_empty() && demux.bound.is_empty() && demux.asked.is_empty();
        assert!(empty && demux.queries.is_empty() && demux.left.is_empty());
    }
}
