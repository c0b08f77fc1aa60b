//! The relay of a session: an address that a TURN server lends it, and another when the server has lost that one.
//!
//! Enters: what [`crate::net::nat`] says of the relay, and what comes through it. Leaves: its candidate, as `gather` offers them, and which
//! transport a datagram is for. It must never know how the server is spoken to, nor how often it is asked.

use super::gather::{Gathering, udp_candidate};
use super::{Gathered, WebRtcSession};
use crate::net::Path;
use crate::net::nat::{RelayHandle, RelayNews, Relayed};
use crate::sdp::CandidateType;
use rivero_engine::Outbox;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use str0m::Candidate;

/// RFC 8489, section 5.
const BINDING_REQUEST: [u8; 2] = [0, 1];
/// The lowest type preference (RFC 8445, section 5.1.2.2).
const RELAYED: u32 = 0;

/// The relay of a session.
pub(super) struct Relaying {
    handle: Rc<RelayHandle>,
    path: Path,
    /// The server has neither given an address nor failed.
    asked_for: bool,
    /// The address that it lends us.
    address: Option<SocketAddr>,
    /// The one before, which it has forgotten.
    lost: Option<SocketAddr>,
    /// Which transport is in touch with a peer: from the peer came an authenticated STUN request, or to it went one of ours.
    bound: HashMap<SocketAddr, usize>,
    asked: HashMap<SocketAddr, usize>,
}

impl Relaying {
    pub fn new(handle: RelayHandle) -> Self {
        let handle = Rc::new(handle);
        Relaying {
            path: Path::Relay(handle.clone()),
            handle,
            asked_for: true,
            address: None,
            lost: None,
            bound: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Gathering waits for it.
    pub fn is_asked_for(&self) -> bool {
        self.asked_for
    }
}

impl Gathering {
    /// The relay, when `from` is its address; `to` is about to be sent something for a transport.
    pub fn relay_path(&mut self, from: SocketAddr, to: SocketAddr, transport: usize) -> Option<Path> {
        let relay = self.relay.as_mut().filter(|relay| relay.address == Some(from))?;
        relay.asked.insert(to, transport);
        Some(relay.path.clone())
    }

    /// From there nothing leads to anybody any longer.
    pub fn is_lost(&self, from: SocketAddr) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.lost == Some(from) && relay.address != Some(from))
    }

    /// Gives the relay back.
    pub fn close_relay(&mut self) {
        self.relay_dropped = self.dropped();
        self.relay = None;
    }

    /// An authenticated STUN request has come through the relay.
    pub fn bind(&mut self, peer: SocketAddr, transport: usize) {
        if let Some(relay) = &mut self.relay {
            relay.bound.insert(peer, transport);
        }
    }

    /// Datagrams that the relay had no room for.
    pub fn dropped(&self) -> u64 {
        self.relay.as_ref().map_or(self.relay_dropped, |relay| relay.handle.dropped())
    }
}

impl WebRtcSession {
    /// What becomes of the relay that was asked for, and what comes through it.
    pub fn on_relay(&mut self, news: RelayNews<'_>, out: &mut Outbox) {
        if let RelayNews::Received(datagrams) = news {
            return datagrams.iter().for_each(|datagram| self.receive_relayed(datagram, out));
        }
        let Some(relay) = &mut self.gathering.relay else { return };
        let gathering = std::mem::replace(&mut relay.asked_for, false);
        match news {
            RelayNews::Allocated { relayed, mapped, .. } => {
                let former = relay.lost.filter(|_| relay.address.is_none());
                relay.address = Some(relayed);
                if former == Some(relayed) {
                    // The same again: ICE and the peer know it.
                    return self.rearm(out);
                }
                let none = if relayed.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let related = mapped.unwrap_or(SocketAddr::new(none, 0));
                let foundation = self.gathering.foundation();
                let priority = (RELAYED << 24) | (65_535 << 8) | 255;
                let shown = udp_candidate(foundation, priority, relayed, CandidateType::Relayed, Some(related));
                self.add_later(Gathered { address: relayed, shown }, out);
                if let Some(former) = former {
                    self.drop_relayed(former, out);
                }
            }
            RelayNews::Lost(why) => {
                tracing::warn!(endpoint = %self.label, "the relay is lost, another is asked for: {why}");
                self.lose_relay();
            }
            RelayNews::Failed(why) if gathering => {
                tracing::warn!(endpoint = %self.label, "gathering goes on without a relay: {why}");
            }
            RelayNews::Failed(why) => {
                tracing::warn!(endpoint = %self.label, "the relay is gone: {why}");
                self.lose_relay();
            }
            RelayNews::Received(_) => {}
        }
        self.end_gathering(out);
        self.rearm(out);
    }

    /// What is sent from there from now on is lost; ICE finds another pair, or ends when the peer's consent does.
    fn lose_relay(&mut self) {
        let Some(relay) = &mut self.gathering.relay else { return };
        relay.lost = relay.address.take().or(relay.lost);
        // Through the next relay nothing is sent before ICE has checked that way.
        for transport in &mut self.transports {
            if transport.way.as_ref().is_some_and(|way| way.path.is(&relay.path)) {
                transport.way = None;
            }
        }
    }

    /// Takes back the address of a relay that another has replaced. The peer cannot be told: candidates are never withdrawn.
    fn drop_relayed(&mut self, address: SocketAddr, out: &mut Outbox) {
        self.gathered.retain(|known| known.shown.typ != CandidateType::Relayed || known.address != address);
        if let Ok(candidate) = Candidate::relayed(address, address, "udp") {
            for index in 0..self.transports.len() {
                self.transports[index].rtc.direct_api().invalidate_candidate(&candidate);
                self.turn(index, out);
            }
        }
    }

    /// A datagram of a peer that came by the relay. As at a port, only STUN reaches a transport before a request has been
    /// authenticated.
    fn receive_relayed(&mut self, datagram: &Relayed, out: &mut Outbox) {
        let Relayed { peer, bytes } = datagram;
        let Some(relay) = &self.gathering.relay else { return };
        let Some(address) = relay.address else { return };
        let known = if bytes.starts_with(&BINDING_REQUEST) {
            self.net.find_name(bytes).filter(|(node, _)| *node == self.id).map(|(_, transport)| transport)
        } else if crate::net::is_stun(bytes) {
            relay.asked.get(peer).copied()
        } else {
            relay.bound.get(peer).copied()
        };
        let Some(transport) = known else { return };
        let path = relay.path.clone();
        self.receive(transport, &path, *peer, address, bytes, out);
    }
}
