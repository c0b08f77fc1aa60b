//! How many connections may wait to prove that they belong to somebody.
//!
//! Enters: the addresses of peers that connect. Leaves: permission, given back when it is dropped. It must never know what
//! the proof is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// Connections to one worker that have not yet shown that they belong to a session.
pub const MOST_WAITING: usize = 256;
/// The same from one address, or from one network of 64 bits for IPv6. Behind one address may be a whole office, but each
/// proves itself within one round trip.
pub const MOST_WAITING_EACH: usize = 16;

#[derive(Default)]
pub struct Admission {
    waiting: RefCell<HashMap<IpAddr, usize>>,
}

/// Counts as long as it lives.
pub struct Waiting {
    admission: Rc<Admission>,
    network: IpAddr,
}

impl Admission {
    /// `None` when too many wait already.
    pub fn admit(self: &Rc<Self>, remote: IpAddr) -> Option<Waiting> {
        let network = network(remote);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.values().sum::<usize>() >= MOST_WAITING {
            return None;
        }
        let here = waiting.entry(network).or_default();
        if *here >= MOST_WAITING_EACH {
            return None;
        }
        *here += 1;
        Some(Waiting { admission: self.clone(), network })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.admission.waiting.borrow_mut();
        if let Some(here) = waiting.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                waiting.remove(&self.network);
            }
        }
    }
}

/// A machine with IPv6 commonly has a whole network of 64 bits to itself.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, last as u8])
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let admission = Rc::new(Admission::default());
        let mut held: Vec<_> = (0..MOST_WAITING_EACH).map(|_| admission.admit(v4(1)).expect("there is room")).collect();
        assert!(admission.admit(v4(1)).is_none());
        assert!(admission.admit(v4(2)).is_some(), "others are let in");
        held.pop();
        assert!(admission.admit(v4(1)).is_some(), "a place that is given back is free");
        drop(held);
        assert!(admission.waiting.borrow().is_empty(), "nothing is remembered of those who left");
    }

    #[test]
    fn all_together_have_a_bound_too() {
        let admission = Rc::new(Admission::default());
        let held: Vec<_> = (0..MOST_WAITING).filter_map(|n| admission.admit(v4(n / MOST_WAITING_EACH))).collect();
        assert_eq!(held.len(), MOST_WAITING);
        assert!(admission.admit(v4(200)).is_none());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let admission = Rc::new(Admission::default());
        let ip = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, last));
        let held: Vec<_> = (0..100).filter_map(|n| admission.admit(ip(n))).collect();
        assert_eq!(held.len(), MOST_WAITING_EACH);
    }
}
