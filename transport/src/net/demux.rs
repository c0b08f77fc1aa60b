//! Which session a datagram belongs to: first by the ICE user name in a STUN request, then by remote address.
//!
//! Only authenticated STUN binds an address to a session (the session says so), because everything else can be forged; before
//! that, nothing but STUN reaches a session at all. An address that is bound goes over to another session only when its owner
//! has answered that session: a request shows that its sender knows a password, not that it is where it says. The first byte
//! tells what a datagram is (RFC 7983).

use super::nat::reflexive::QueryId;
use rivero_engine::NodeId;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use str0m::ice::StunMessage;

/// A session's transport: the node, and which of its transports.
pub type Route = (NodeId, usize);

/// By which a response belongs to its request (RFC 8489, section 5).
type TransactionId = [u8; 12];

/// A binding request, and any response, begin so (RFC 8489, section 5).
const REQUEST: [u8; 2] = [0, 1];
const RESPONSE: u8 = 1;

/// Requests of one session whose answers are waited for; beyond it the oldest is forgotten. ICE checks at most a hundred pairs.
const MOST_ASKED: usize = 128;

#[derive(Default)]
pub struct Demux {
    /// Our user name fragments.
    names: HashMap<String, Route>,
    /// Addresses from which an authenticated STUN request came, with the local port that it came to.
    bound: HashMap<(u16, SocketAddr), Route>,
    /// Our own STUN requests that wait for their answers: from which port they went where.
    asked: HashMap<TransactionId, (u16, SocketAddr, Route)>,
    /// Those of each node, the oldest first.
    asking: HashMap<NodeId, VecDeque<TransactionId>>,
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
    Query(QueryId),
}

impl Demux {
    pub fn add_name(&mut self, ufrag: String, route: Route) {
        if self.names.insert(ufrag.clone(), route).is_none_or(|(before, _)| before != route.0) {
            self.note(route.0, Key::Name(ufrag));
        }
    }

    /// Authenticated STUN came from an address. The address is now that transport's, unless it is another node's and this is
    /// no answer to a request of ours.
    pub fn bind(&mut self, port: u16, remote: SocketAddr, datagram: &[u8], route: Route) {
        let answers = self.asks(port, remote, datagram) == Some(route);
        if let Some(id) = transaction_id(datagram).filter(|_| answers) {
            self.asked.remove(&id);
            if let Some(asking) = self.asking.get_mut(&route.0) {
                asking.retain(|other| *other != id);
            }
        }
        let holder = self.bound.get(&(port, remote));
        if !answers && holder.is_some_and(|holder| holder.0 != route.0) {
            return;
        }
        if self.bound.insert((port, remote), route).is_none_or(|(before, _)| before != route.0) {
            self.note(route.0, Key::Bound(port, remote));
        }
    }

    /// Notes that STUN went out: if it is a request, its answer will be for this transport.
    pub fn note_asked(&mut self, port: u16, remote: SocketAddr, datagram: &[u8], route: Route) {
        let Some(id) = transaction_id(datagram).filter(|_| datagram.starts_with(&REQUEST)) else { return };
        self.asked.insert(id, (port, remote, route));
        let asking = self.asking.entry(route.0).or_default();
        asking.push_back(id);
        if asking.len() > MOST_ASKED
            && let Some(oldest) = asking.pop_front()
        {
            self.asked.remove(&oldest);
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
        for id in self.asking.remove(&node).unwrap_or_default() {
            self.asked.remove(&id);
        }
        for key in self.left.remove(&node).unwrap_or_default() {
            match key {
                Key::Name(ufrag) => remove_if(&mut self.names, &ufrag, |route| route.0 == node),
                Key::Bound(port, remote) => remove_if(&mut self.bound, &(port, remote), |route| route.0 == node),
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
        let asked = self.asks(port, remote, datagram);
        if asked.is_some() {
            return asked;
        }
        let message = StunMessage::parse(datagram).ok()?;
        match message.split_username() {
            Some((ours, _)) => self.names.get(ours).copied(),
            None => self.bound.get(&(port, remote)).copied(),
        }
    }

    /// The transport whose request a datagram answers, coming from where that went.
    fn asks(&self, port: u16, remote: SocketAddr, datagram: &[u8]) -> Option<Route> {
        let id = transaction_id(datagram).filter(|_| datagram.starts_with(&[RESPONSE]))?;
        let (from, to, route) = *self.asked.get(&id)?;
        (from == port && to == remote).then_some(route)
    }

    /// How many names, addresses and questions are remembered, of all sessions.
    pub fn size(&self) -> usize {
        self.names.len() + self.bound.len() + self.asked.len() + self.queries.len()
    }
}

/// Of any STUN message; `None` for what is too short to be one.
fn transaction_id(datagram: &[u8]) -> Option<TransactionId> {
    datagram.get(8..20)?.try_into().ok()
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

    /// A message without attributes.
    fn stun(typ: [u8; 2], id: u16) -> [u8; 20] {
        let mut message = [0; 20];
        message[..2].copy_from_slice(&typ);
        message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        message[18..].copy_from_slice(&id.to_be_bytes());
        message
    }

    #[test]
    fn a_stranger_reaches_nobody_and_binding_is_by_port_and_address() {
        let remote: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let other: SocketAddr = "192.0.2.1:5001".parse().expect("an address");
        let rtp = [0x80, 96, 0, 1];
        let mut demux = Demux::default();
        assert_eq!(demux.find(4000, remote, &rtp), None);
        demux.note_asked(4000, remote, &stun(REQUEST, 1), (node(1), 0));
        assert_eq!(demux.find(4000, remote, &rtp), None, "having asked somebody does not make his media welcome");
        demux.bind(4000, remote, &stun(REQUEST, 2), (node(1), 0));
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
        demux.bind(4000, remote, &stun(REQUEST, 1), (node(1), 0));
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
        for turn in 0..1000u16 {
            let (id, route) = (turn, (node(u32::from(turn % 2)), 0));
            demux.note_asked(4000, shared, &stun(REQUEST, id), route);
            demux.bind(4000, shared, &stun([RESPONSE, 1], id), route);
        }
        demux.bind(4000, own, &stun(REQUEST, 1), (node(0), 0));
        let left: Vec<_> = [0, 1].map(|n| demux.left[&node(n)].len()).into();
        assert_eq!(left, [2, 1], "each address is noted once, however often it changes hands");
        demux.forget(node(0));
        assert_eq!(demux.find(4000, own, &rtp), None);
        assert_eq!(demux.find(4000, shared, &rtp), Some((node(1), 0)), "it had gone over");
        demux.forget(node(1));
        assert_eq!(demux.find(4000, shared, &rtp), None);
        assert!(demux.size() == 0 && demux.left.is_empty() && demux.asking.is_empty());
    }

    #[test]
    fn an_address_goes_over_only_when_its_owner_answers() {
        let remote: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let elsewhere: SocketAddr = "192.0.2.2:5000".parse().expect("an address");
        let [first, second] = [1, 2].map(|n| (node(n), 0));
        let media = [0x80, 96, 0, 1];
        let mut demux = Demux::default();
        demux.bind(4000, remote, &stun(REQUEST, 1), first);
        demux.bind(4000, remote, &stun(REQUEST, 2), second);
        assert_eq!(demux.find(4000, remote, &media), Some(first), "a request may come from anywhere");
        demux.note_asked(4000, remote, &stun(REQUEST, 3), first);
        demux.note_asked(4000, remote, &stun(REQUEST, 4), second);
        let answers = [3, 4].map(|id| stun([RESPONSE, 1], id));
        assert_eq!(answers.each_ref().map(|answer| demux.find(4000, remote, answer)), [Some(first), Some(second)]);
        assert_eq!(demux.find(4000, elsewhere, &answers[1]), None, "it did not go there");
        demux.bind(4000, remote, &answers[1], second);
        assert_eq!(demux.find(4000, remote, &media), Some(second));
        assert_eq!(demux.asked.len(), 1, "what is answered is forgotten");
    }

    #[test]
    fn requests_that_nobody_answers_are_forgotten_in_time() {
        let remote: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let mut demux = Demux::default();
        (0..1000).for_each(|id| demux.note_asked(4000, remote, &stun(REQUEST, id), (node(1), 0)));
        assert_eq!((demux.asked.len(), demux.asking[&node(1)].len()), (MOST_ASKED, MOST_ASKED));
        assert_eq!(demux.find(4000, remote, &stun([RESPONSE, 1], 999)), Some((node(1), 0)));
        demux.forget(node(1));
        assert_eq!(demux.size(), 0);
    }
}
