//! Which connections a transport keeps, opens and finds again.

use super::*;
use crate::net::Route;
use crate::net::tcp::{FrameReader, FrameTooLong, Receiver};
use rivero_engine::NodeId;
use tokio::task::LocalSet;

struct Nobody;

impl Receiver for Nobody {
    fn owner(&self, _: &[u8]) -> Option<Route> {
        None
    }

    fn receive(&self, _: &Rc<TcpLink>, _: Route, _: &mut FrameReader) -> Result<(), FrameTooLong> {
        Ok(())
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A connection that nobody answers: it is never polled before the test is over.
fn link(local: u16, remote: u16) -> Rc<TcpLink> {
    let route = (NodeId { worker: 0, index: 1, generation: 1 }, 0);
    TcpLink::connect(at(local), at(remote), route, Rc::new(Nobody))
}

fn alone(test: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { test() });
}

#[test]
fn a_connection_is_found_by_both_its_addresses_until_it_is_closed() {
    alone(|| {
        let mut connections = Connections::default();
        let (first, second) = (link(1, 2), link(1, 3));
        assert!(connections.adopt(&first) && connections.adopt(&second) && connections.adopt(&first));
        assert_eq!(connections.links.len(), 2, "adopted once");
        assert!(first.is_trusted());
        let is = |found: Option<&Rc<TcpLink>>, link: &Rc<TcpLink>| found.is_some_and(|found| Rc::ptr_eq(found, link));
        assert!(is(connections.find(at(1), at(2)), &first));
        assert!(is(connections.find(at(1), at(3)), &second));
        assert!(connections.find(at(2), at(1)).is_none());
        second.close();
        assert!(connections.find(at(1), at(3)).is_none());
        drop(connections);
        assert!(first.is_closed(), "a transport that goes takes its connections with it");
    });
}

#[test]
fn a_connection_is_opened_only_to_where_the_peer_listens_and_not_too_often() {
    alone(|| {
        let mut connections = Connections::default();
        assert!(connections.reach(at(1), at(2), || panic!("nobody listens there")).is_none());
        assert!(connections.expect(at(2)) && connections.expect(at(2)));
        for attempt in 0..ATTEMPTS {
            let opened = connections.reach(at(1), at(2), || link(1, 2)).expect("it may be tried");
            let again = connections.reach(at(1), at(2), || panic!("it is open")).expect("the same");
            assert!(Rc::ptr_eq(&opened, &again), "attempt {attempt}");
            opened.close();
        }
        assert!(connections.reach(at(1), at(2), || panic!("that is enough")).is_none());
        assert!(connections.reach(at(9), at(2), || link(9, 2)).is_some(), "another of our addresses has its own tries");
    });
}

#[test]
fn a_peer_cannot_make_us_hold_any_number() {
    alone(|| {
        let mut connections = Connections::default();
        let told = (1..=100).filter(|port| connections.expect(at(*port))).count();
        assert_eq!(told, MOST_PASSIVE);
        let links: Vec<_> = (0..100).map(|port| link(1, 1000 + port)).collect();
        assert_eq!(links.iter().filter(|link| connections.adopt(link)).count(), MOST_LINKS);
        assert!(connections.reach(at(1), at(1), || panic!("there is no room")).is_none());
        links[0].close();
        assert!(connections.reach(at(1), at(1), || link(1, 1)).is_some(), "one that is closed makes room");
    });
}
