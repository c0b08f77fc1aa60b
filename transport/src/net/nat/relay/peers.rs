//! Whom the relay may talk to: permissions by address (RFC 8656, section 9) and channels by address and port (section 12).
//!
//! Enters: what is to be sent, what the server granted, the time. Leaves: the way that a datagram takes, and what must be
//! asked of the server now. It must never know messages: it says what to ask, not how.
//!
//! Whoever is not written to for five minutes is not kept alive: ICE writes to everybody that matters at least every few
//! seconds.

use super::frames::CHANNELS;
use rivero_engine::MediaTime;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// RFC 8656, section 9: not negotiable.
const PERMISSION: Duration = Duration::from_secs(300);
/// RFC 8656, section 12: not negotiable.
const CHANNEL: Duration = Duration::from_secs(600);
/// How long before the end it is asked for again.
const AHEAD: Duration = Duration::from_secs(60);
/// Who has not been written to for this long is let go.
const IDLE: Duration = Duration::from_secs(300);
/// How long a refusal is taken for an answer, and how long an expired channel keeps its number (RFC 8656, section 12).
const REST: Duration = Duration::from_secs(300);
/// Peers of one relay. ICE has as many pairs to try as there are remote candidates, which are bounded too.
const MAX_PEERS: usize = 256;
/// Datagrams that wait for one permission.
const HELD: usize = 16;

/// What the server is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Permission(IpAddr),
    Channel(u16, SocketAddr),
}

/// How a datagram goes to a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    Channel(u16),
    /// With the peer's address in each message, 36 bytes instead of 4.
    Indication,
    /// There is no permission yet: it is to be asked for, and the datagram to be held.
    Held,
    /// The server does not want it, or there are too many peers.
    Refused,
}

/// Something that the server lends for a time.
#[derive(Debug)]
struct Lease {
    state: LeaseState,
    asking: bool,
    /// When something was last sent.
    used: MediaTime,
}

#[derive(Clone, Copy, Debug)]
enum LeaseState {
    New,
    Until(MediaTime),
    /// Until then it is not asked for again.
    Refused(MediaTime),
}

/// What is to be done about a lease.
enum Due {
    Ask,
    Forget,
    At(Option<MediaTime>),
}

impl Lease {
    fn new(now: MediaTime) -> Self {
        Lease { state: LeaseState::New, asking: false, used: now }
    }

    fn is_held(&self, now: MediaTime) -> bool {
        matches!(self.state, LeaseState::Until(end) if now < end)
    }

    /// `linger` is how long it is remembered after its end.
    fn due(&self, now: MediaTime, linger: Duration) -> Due {
        let wanted = now.since(self.used) < IDLE;
        match self.state {
            _ if self.asking => Due::At(None),
            LeaseState::New => Due::Ask,
            LeaseState::Refused(end) if now >= end => Due::Forget,
            LeaseState::Refused(end) => Due::At(Some(end)),
            LeaseState::Until(end) if now >= end - AHEAD && wanted => Due::Ask,
            LeaseState::Until(end) if now >= end + linger => Due::Forget,
            LeaseState::Until(end) if now >= end - AHEAD => Due::At(Some(end + linger)),
            LeaseState::Until(end) => Due::At(Some(end - AHEAD)),
        }
    }

    fn grant(&mut self, end: MediaTime) {
        *self = Lease { state: LeaseState::Until(end), asking: false, used: self.used };
    }

    fn refuse(&mut self, now: MediaTime) {
        *self = Lease { state: LeaseState::Refused(now + REST), asking: false, used: self.used };
    }
}

#[derive(Debug)]
struct Permission {
    lease: Lease,
    held: VecDeque<(SocketAddr, Vec<u8>)>,
}

#[derive(Debug)]
struct Channel {
    lease: Lease,
    number: u16,
}

#[derive(Debug, Default)]
pub struct Peers {
    permissions: BTreeMap<IpAddr, Permission>,
    channels: BTreeMap<SocketAddr, Channel>,
    /// Which peer a number stands for.
    numbers: BTreeMap<u16, SocketAddr>,
    /// How many channels there have been: numbers are taken in turn, so that each rests as long as possible.
    opened: usize,
    /// When the leases must be looked at again.
    due: Option<MediaTime>,
}

impl Peers {
    /// How to send to a peer now. `media` is what deserves a channel: all that goes to the selected peer alone.
    pub fn way(&mut self, now: MediaTime, peer: SocketAddr, media: bool) -> Way {
        if self.permissions.len() >= MAX_PEERS && !self.permissions.contains_key(&peer.ip()) {
            return Way::Refused;
        }
        if media && self.channels.len() < MAX_PEERS && !self.channels.contains_key(&peer) {
            self.open_channel(now, peer);
        }
        let permission = self.permissions.entry(peer.ip()).or_insert_with(|| {
            self.due = Some(now);
            Permission { lease: Lease::new(now), held: VecDeque::new() }
        });
        let mut stale = touch(&mut permission.lease, now);
        let channel = self.channels.get_mut(&peer).and_then(|channel| {
            stale |= touch(&mut channel.lease, now);
            channel.lease.is_held(now).then_some(channel.number)
        });
        if stale {
            self.due = Some(now);
        }
        match (permission.lease.state, channel) {
            (_, Some(number)) => Way::Channel(number),
            (LeaseState::Refused(_), None) => Way::Refused,
            (_, None) if permission.lease.is_held(now) => Way::Indication,
            _ => Way::Held,
        }
    }

    fn open_channel(&mut self, now: MediaTime, peer: SocketAddr) {
        for _ in 0..CHANNELS.len() {
            let number = CHANNELS.start() + (self.opened % CHANNELS.len()) as u16;
            self.opened += 1;
            if let Entry::Vacant(free) = self.numbers.entry(number) {
                free.insert(peer);
                self.channels.insert(peer, Channel { lease: Lease::new(now), number });
                self.due = Some(now);
                return;
            }
        }
    }

    /// Keeps a datagram until the permission is there; the oldest is dropped for the newest.
    pub fn hold(&mut self, peer: SocketAddr, bytes: &[u8]) {
        let Some(permission) = self.permissions.get_mut(&peer.ip()) else { return };
        if permission.held.len() == HELD {
            permission.held.pop_front();
        }
        permission.held.push_back((peer, bytes.to_vec()));
    }

    /// The peer of a channel that we asked for.
    pub fn of_channel(&self, number: u16) -> Option<SocketAddr> {
        self.numbers.get(&number).copied()
    }

    /// What must be asked now. Each is answered by one of the calls below.
    pub fn asks(&mut self, now: MediaTime) -> Vec<Ask> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let mut asks = Vec::new();
        let mut next: Option<MediaTime> = None;
        let mut later = |at: Option<MediaTime>| next = [next, at].into_iter().flatten().min();
        self.permissions.retain(|ip, permission| match permission.lease.due(now, Duration::ZERO) {
            Due::Ask => {
                permission.lease.asking = true;
                asks.push(Ask::Permission(*ip));
                true
            }
            Due::Forget => false,
            Due::At(at) => {
                later(at);
                true
            }
        });
        self.channels.retain(|peer, channel| match channel.lease.due(now, REST) {
            Due::Ask => {
                channel.lease.asking = true;
                asks.push(Ask::Channel(channel.number, *peer));
                true
            }
            Due::Forget => {
                self.numbers.remove(&channel.number);
                false
            }
            Due::At(at) => {
                later(at);
                true
            }
        });
        self.due = next;
        asks
    }

    /// When [`Peers::asks`] must be called again.
    pub fn due(&self) -> Option<MediaTime> {
        self.due
    }

    /// The server allows it: what waited may go. A channel brings a permission with it.
    pub fn granted(&mut self, now: MediaTime, ask: Ask) -> VecDeque<(SocketAddr, Vec<u8>)> {
        self.due = Some(now);
        let ip = match ask {
            Ask::Permission(ip) => ip,
            Ask::Channel(_, peer) => {
                if let Some(channel) = self.channels.get_mut(&peer) {
                    channel.lease.grant(now + CHANNEL);
                }
                peer.ip()
            }
        };
        let Some(permission) = self.permissions.get_mut(&ip) else { return VecDeque::new() };
        match ask {
            Ask::Permission(_) => permission.lease.grant(now + PERMISSION),
            // Its own question may still be open.
            Ask::Channel(..) => permission.lease.state = LeaseState::Until(now + PERMISSION),
        }
        std::mem::take(&mut permission.held)
    }

    /// The server does not allow it; without a channel, there are still indications.
    pub fn refused(&mut self, now: MediaTime, ask: Ask) {
        self.due = Some(now);
        match ask {
            Ask::Permission(ip) => {
                if let Some(permission) = self.permissions.get_mut(&ip) {
                    permission.lease.refuse(now);
                    permission.held.clear();
                }
            }
            Ask::Channel(_, peer) => {
                if let Some(channel) = self.channels.get_mut(&peer) {
                    channel.lease.refuse(now);
                }
            }
        }
    }

    /// The server did not answer: it is asked again, as long as there is something to send.
    pub fn unanswered(&mut self, now: MediaTime, ask: Ask) {
        self.due = Some(now);
        let lease = match ask {
            Ask::Permission(ip) => self.permissions.get_mut(&ip).map(|permission| &mut permission.lease),
            Ask::Channel(_, peer) => self.channels.get_mut(&peer).map(|channel| &mut channel.lease),
        };
        let Some(lease) = lease else { return };
        lease.asking = false;
        if matches!(lease.state, LeaseState::New) && now.since(lease.used) >= IDLE {
            lease.refuse(now);
        }
    }
}

/// Notes that it is used. True when it must be looked at again, since it was about to be let go.
fn touch(lease: &mut Lease, now: MediaTime) -> bool {
    lease.used = now;
    matches!(lease.state, LeaseState::Until(end) if now >= end - AHEAD) && !lease.asking
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_millis(seconds * 1000)
    }

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5000))
    }

    /// Every ask is granted at once.
    fn grant_all(peers: &mut Peers, now: MediaTime) -> Vec<Ask> {
        let asks = peers.asks(now);
        asks.iter().for_each(|ask| drop(peers.granted(now, *ask)));
        asks
    }

    #[test]
    fn a_datagram_waits_for_its_permission() {
        let mut peers = Peers::default();
        for number in 0..20u8 {
            assert_eq!(peers.way(at(0), peer(1), false), Way::Held);
            peers.hold(peer(1), &[number]);
        }
        let ask = Ask::Permission(peer(1).ip());
        assert_eq!(peers.asks(at(0)), [ask]);
        assert_eq!(peers.asks(at(0)), [], "it is asked once");
        let held: Vec<u8> = peers.granted(at(0), ask).into_iter().map(|(_, bytes)| bytes[0]).collect();
        assert_eq!(held, (4..20).collect::<Vec<_>>());
        assert_eq!(peers.way(at(1), peer(1), false), Way::Indication);
    }

    #[test]
    fn who_is_written_to_is_kept_and_who_is_not_is_let_go() {
        let mut peers = Peers::default();
        peers.way(at(0), peer(1), true);
        peers.way(at(0), peer(2), false);
        let mut asked = Vec::new();
        for second in 0..1800 {
            if second < 1200 {
                peers.way(at(second), peer(1), true);
            }
            for ask in grant_all(&mut peers, at(second)) {
                asked.push((second, ask));
            }
        }
        let permission = |last| Ask::Permission(peer(last).ip());
        let channel = Ask::Channel(0x4000, peer(1));
        let times = |wanted: Ask| asked.iter().filter(|(_, ask)| *ask == wanted).map(|(at, _)| *at).collect::<Vec<_>>();
        // Once more: 240 s are not yet idle.
        assert_eq!(times(permission(2)), [0, 240]);
        // The channel's renewal at 540 s renews the permission as well.
        assert_eq!(times(permission(1)), [0, 240, 480, 780, 1020, 1320]);
        assert_eq!(times(channel), [0, 540, 1080]);
        assert!(peers.permissions.is_empty(), "{peers:?}");
        // The channel ended at 1680 and keeps its number for five minutes more.
        assert_eq!(peers.of_channel(0x4000), Some(peer(1)));
        assert_eq!(peers.due(), Some(at(1980)));
        peers.asks(at(1980));
        assert_eq!((peers.of_channel(0x4000), peers.due()), (None, None));
    }

    #[test]
    fn refusals_and_silence() {
        let mut peers = Peers::default();
        assert_eq!(peers.way(at(0), peer(1), true), Way::Held);
        let asks = peers.asks(at(0));
        assert_eq!(asks, [Ask::Permission(peer(1).ip()), Ask::Channel(0x4000, peer(1))]);
        peers.unanswered(at(1), asks[0]);
        assert_eq!(peers.asks(at(1)), [asks[0]], "asked again");
        peers.granted(at(2), asks[0]);
        peers.refused(at(2), asks[1]);
        assert_eq!(peers.way(at(3), peer(1), true), Way::Indication, "no channel is no reason not to send");
        peers.way(at(3), peer(2), false);
        let ask = peers.asks(at(3))[0];
        peers.refused(at(3), ask);
        assert_eq!(peers.way(at(4), peer(2), false), Way::Refused);
        peers.asks(at(303));
        assert_eq!(peers.way(at(304), peer(2), false), Way::Held, "a refusal is forgotten in the end");
    }

    #[test]
    fn there_are_not_too_many() {
        let mut peers = Peers::default();
        for index in 0..256u16 {
            let ip = IpAddr::from([10, 0, (index >> 8) as u8, index as u8]);
            assert_eq!(peers.way(at(0), SocketAddr::new(ip, 1), true), Way::Held);
        }
        assert_eq!(peers.way(at(0), peer(1), true), Way::Refused);
        assert_eq!(peers.asks(at(0)).len(), 512);
    }

    #[test]
    fn a_number_is_never_lent_twice() {
        let mut peers = Peers { opened: CHANNELS.len() - 1, ..Peers::default() };
        for last in 1..=3 {
            peers.way(at(0), peer(last), true);
        }
        peers.opened = CHANNELS.len() - 1;
        peers.way(at(0), peer(4), true);
        let numbers: Vec<_> = peers.numbers.keys().copied().collect();
        assert_eq!(numbers, [0x4000, 0x4001, 0x4002, 0x4fff]);
        assert_eq!(peers.of_channel(0x4002), Some(peer(4)));
    }
}
