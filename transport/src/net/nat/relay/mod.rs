//! An allocation on a TURN server (RFC 8656): a public address that the server lends, and the way to its peers.
//!
//! Enters: the time, what the server sent, what peers are to get. Leaves: what the server is to get, what peers sent, the
//! lent address, and why there is none. It must never know sockets: [`super::drive`] gives it one.
//!
//! Authentication is by long-term credentials with SHA-1 (RFC 8489, section 9.2), as every TURN server understands it.

mod error;
mod frames;
mod peers;
mod silence;

pub use error::RelayError;

use super::address::MAX_USER;
use super::transaction::{Patience, Step, Transaction};
use super::wire::{self, Answer, Login, Message, Writer};
use frames::{Frame, Frames, channel_data};
use peers::{Ask, Peers, Way};
use rivero_engine::MediaTime;
use silence::Silence;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The largest datagram that is relayed, in bytes: with its message around it, it fits any attribute and any frame.
const MAX_DATAGRAM: usize = 60_000;
/// How often one request is repeated with a new nonce.
const MAX_NONCES: u32 = 5;
/// How long before its end an allocation is refreshed.
const AHEAD: Duration = Duration::from_secs(60);
/// How long a failed refresh rests.
const REST: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct RelaySettings {
    pub user: String,
    pub password: String,
    /// Over TCP or TLS: messages are framed, and sent once.
    pub stream: bool,
    /// The relay's own address is to be an IPv6 one. A server that has none gives one of IPv4.
    pub ipv6: bool,
}

#[derive(Debug)]
pub enum RelayOutput {
    /// To the server. On a stream, all of it in this order.
    Transmit(Vec<u8>),
    /// The address that peers send to, and where the server sees us. Comes once.
    Allocated { relayed: SocketAddr, mapped: Option<SocketAddr> },
    /// From a peer.
    Received { peer: SocketAddr, bytes: Vec<u8> },
    /// There is no relay, or no longer. Nothing comes after.
    Failed(RelayError),
    /// It was released. Nothing comes after.
    Released,
    /// Nothing until then; for ever without a time.
    Wait(Option<MediaTime>),
}

#[derive(Debug)]
enum State {
    Allocating,
    Open { refresh: MediaTime, end: MediaTime },
    Releasing,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Allocate,
    Refresh,
    Release,
    Peer(Ask),
}

#[derive(Debug)]
struct Request {
    purpose: Purpose,
    transaction: Transaction,
    nonces: u32,
}

pub struct Allocation {
    settings: RelaySettings,
    state: State,
    login: Option<Login>,
    requests: Vec<Request>,
    peers: Peers,
    frames: Frames,
    silence: Silence,
    ready: VecDeque<RelayOutput>,
}

impl Allocation {
    /// Begins to allocate with the first [`Allocation::poll`].
    pub fn new(settings: RelaySettings, now: MediaTime) -> Self {
        let mut allocation = Allocation {
            settings,
            state: State::Allocating,
            login: None,
            requests: Vec::new(),
            peers: Peers::default(),
            frames: Frames::default(),
            silence: Silence::default(),
            ready: VecDeque::new(),
        };
        if allocation.settings.user.len() > MAX_USER {
            allocation.fail(RelayError::LongUser);
        } else {
            allocation.request(now, Purpose::Allocate, 0);
        }
        allocation
    }

    /// What there is to do. Call again until it says `Wait`, `Failed` or `Released`.
    pub fn poll(&mut self, now: MediaTime) -> RelayOutput {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return output;
            }
            let mut next: Option<MediaTime> = None;
            let mut silent = None;
            for (index, request) in self.requests.iter_mut().enumerate() {
                match request.transaction.step(now) {
                    Step::Send(bytes) => return RelayOutput::Transmit(bytes.to_vec()),
                    Step::Wait(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    Step::GiveUp => silent = Some(index),
                }
            }
            if let Some(index) = silent {
                let purpose = self.requests.swap_remove(index).purpose;
                self.on_silence(now, purpose);
            } else if !self.maintain(now) {
                let State::Open { refresh, end } = self.state else { return RelayOutput::Wait(next) };
                let asked = self.asks_for(Purpose::Refresh);
                let own = [Some(if asked { end } else { refresh.min(end) }), self.silence.due().filter(|_| !asked)];
                return RelayOutput::Wait([next, self.peers.due(), own[0], own[1]].into_iter().flatten().min());
            }
        }
    }

    /// Takes what the server sent: one datagram, or any piece of the stream.
    pub fn receive(&mut self, now: MediaTime, bytes: &[u8]) {
        self.silence.heard();
        if !self.settings.stream {
            // What is not understood costs this datagram only.
            if let Ok(Some((frame, _))) = frames::parse(bytes) {
                self.on_frame(now, frame);
            }
            return;
        }
        let mut frames = std::mem::take(&mut self.frames);
        if frames.push(bytes, |frame| self.on_frame(now, frame)).is_err() {
            self.fail(RelayError::Garbled);
        }
        self.frames = frames;
    }

    /// Sends a datagram to a peer, from the relayed address. It is lost, as on any network, before there is one, and when
    /// the server does not want it.
    pub fn send(&mut self, now: MediaTime, peer: SocketAddr, bytes: &[u8]) {
        if !matches!(self.state, State::Open { .. }) || bytes.len() > MAX_DATAGRAM {
            return;
        }
        self.silence.sent(now);
        // ICE tries every peer; what is not STUN goes to the selected one.
        match self.peers.way(now, peer, !crate::net::is_stun(bytes)) {
            Way::Channel(number) => self.transmit(channel_data(number, bytes, self.settings.stream)),
            Way::Indication => self.transmit(indication(peer, bytes)),
            Way::Held => self.peers.hold(peer, bytes),
            Way::Refused => tracing::trace!(%peer, "the relay has no permission for this peer"),
        }
    }

    /// Gives the allocation back; `Released` follows, after 7.5 s at most.
    pub fn release(&mut self, now: MediaTime) {
        match self.state {
            State::Open { .. } => {
                self.requests.clear();
                self.state = State::Releasing;
                self.request(now, Purpose::Release, 0);
            }
            State::Allocating => self.end(RelayOutput::Released),
            State::Releasing | State::Ended => {}
        }
    }

    fn transmit(&mut self, bytes: Vec<u8>) {
        self.ready.push_back(RelayOutput::Transmit(bytes));
    }

    fn fail(&mut self, why: RelayError) {
        self.end(RelayOutput::Failed(why));
    }

    fn end(&mut self, last: RelayOutput) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Ended;
            self.requests.clear();
            self.ready.push_back(last);
        }
    }

    fn asks_for(&self, purpose: Purpose) -> bool {
        self.requests.iter().any(|request| request.purpose == purpose)
    }

    /// Asks for what is due. True when something has changed.
    fn maintain(&mut self, now: MediaTime) -> bool {
        let State::Open { refresh, end } = self.state else { return false };
        if now >= end {
            self.fail(RelayError::Lost);
            return true;
        }
        let mut changed = false;
        if (now >= refresh || self.silence.is_long(now)) && !self.asks_for(Purpose::Refresh) {
            self.request(now, Purpose::Refresh, 0);
            changed = true;
        }
        for ask in self.peers.asks(now) {
            self.request(now, Purpose::Peer(ask), 0);
            changed = true;
        }
        changed
    }

    fn request(&mut self, now: MediaTime, purpose: Purpose, nonces: u32) {
        let writer = match purpose {
            Purpose::Allocate if self.settings.ipv6 => Writer::request(wire::ALLOCATE).requested_udp().requested_ipv6(),
            Purpose::Allocate => Writer::request(wire::ALLOCATE).requested_udp(),
            Purpose::Refresh => Writer::request(wire::REFRESH),
            Purpose::Release => Writer::request(wire::REFRESH).lifetime(0),
            Purpose::Peer(Ask::Permission(ip)) => Writer::request(wire::CREATE_PERMISSION).peer(SocketAddr::new(ip, 0)),
            Purpose::Peer(Ask::Channel(number, peer)) => Writer::request(wire::CHANNEL_BIND).channel(number).peer(peer),
        };
        let stream = self.settings.stream;
        let patience = match purpose {
            Purpose::Allocate | Purpose::Refresh | Purpose::Release => Patience::short(stream),
            Purpose::Peer(_) => Patience::long(stream),
        };
        let id = writer.id();
        let bytes = match &self.login {
            Some(login) => writer.sign(login),
            None => writer.finish(),
        };
        self.requests.push(Request { purpose, transaction: Transaction::new(id, bytes, patience, now), nonces });
    }

    fn on_silence(&mut self, now: MediaTime, purpose: Purpose) {
        match purpose {
            Purpose::Allocate => self.fail(RelayError::Unanswered),
            Purpose::Release => self.end(RelayOutput::Released),
            // A stream repeats by itself what was lost: this one leads nowhere any longer.
            Purpose::Refresh if self.settings.stream && self.silence.is_long(now) => self.fail(RelayError::Unanswered),
            Purpose::Refresh => self.rest(now),
            Purpose::Peer(ask) => self.peers.unanswered(now, ask),
        }
    }

    /// The next refresh is tried after a while, as long as the allocation lasts.
    fn rest(&mut self, now: MediaTime) {
        if let State::Open { refresh, .. } = &mut self.state {
            *refresh = now + REST;
        }
    }

    fn on_frame(&mut self, now: MediaTime, frame: Frame<'_>) {
        match frame {
            Frame::Channel { number, data } => {
                if let Some(peer) = self.peers.of_channel(number) {
                    self.ready.push_back(RelayOutput::Received { peer, bytes: data.to_vec() });
                }
            }
            Frame::Stun(bytes) => {
                let Ok(message) = Message::from_bytes(bytes) else { return };
                if !wire::is_indication(&message) {
                    self.on_response(now, &message);
                } else if message.method() == wire::DATA
                    && let (Some(peer), Some(data)) = (wire::peer(&message), wire::data(&message))
                {
                    self.ready.push_back(RelayOutput::Received { peer, bytes: data.to_vec() });
                }
            }
        }
    }

    fn on_response(&mut self, now: MediaTime, message: &Message<'_>) {
        let Some(answer) = wire::answer(message) else { return };
        let id = message.transaction_id();
        let Some(index) = self.requests.iter().position(|request| request.transaction.id == id) else { return };
        if !self.is_genuine(message, &answer) {
            tracing::debug!("an answer of the TURN server is not signed as it should be");
            return;
        }
        let request = self.requests.swap_remove(index);
        match answer {
            Answer::Success => self.on_success(now, request.purpose, message),
            Answer::Error { code, reason } => self.on_error(now, &request, message, code, reason),
        }
    }

    /// Success must be signed; errors are often not, since the server may not know the user (RFC 8489, section 9.2.4).
    fn is_genuine(&self, message: &Message<'_>, answer: &Answer) -> bool {
        match &self.login {
            None => true,
            Some(_) if *answer != Answer::Success && !wire::has_integrity(message) => true,
            Some(login) => login.signed(message),
        }
    }

    fn on_success(&mut self, now: MediaTime, purpose: Purpose, message: &Message<'_>) {
        let lifetime = wire::lifetime(message).filter(|seconds| *seconds > 0);
        match purpose {
            Purpose::Allocate => {
                let (Some(relayed), Some(lifetime)) = (wire::relayed(message), lifetime) else {
                    return self.fail(RelayError::Garbled);
                };
                self.open(now, lifetime);
                let mapped = wire::mapped(message);
                self.ready.push_back(RelayOutput::Allocated { relayed, mapped });
            }
            Purpose::Refresh => match lifetime {
                Some(lifetime) => self.open(now, lifetime),
                None => self.fail(RelayError::Lost),
            },
            Purpose::Release => self.end(RelayOutput::Released),
            Purpose::Peer(ask) => {
                for (peer, bytes) in self.peers.granted(now, ask) {
                    self.transmit(indication(peer, &bytes));
                }
            }
        }
    }

    /// The allocation lasts for another `lifetime` seconds.
    fn open(&mut self, now: MediaTime, lifetime: u32) {
        let lifetime = Duration::from_secs(lifetime.into());
        let end = now + lifetime;
        self.state = State::Open { refresh: end - AHEAD.min(lifetime / 2), end };
    }

    fn on_error(&mut self, now: MediaTime, request: &Request, message: &Message<'_>, code: u16, reason: String) {
        let purpose = request.purpose;
        if self.log_in(message, code) && request.nonces < MAX_NONCES {
            return self.request(now, purpose, request.nonces + 1);
        }
        match purpose {
            Purpose::Allocate if code == 401 && self.login.is_none() => self.fail(RelayError::NoLogin),
            // It may have an address of the other family.
            Purpose::Allocate if code == 440 && self.settings.ipv6 => {
                self.settings.ipv6 = false;
                self.request(now, purpose, 0);
            }
            Purpose::Allocate => self.fail(RelayError::from_code(code, reason)),
            Purpose::Refresh | Purpose::Peer(_) if code == 437 => self.fail(RelayError::Lost),
            Purpose::Refresh => {
                tracing::debug!(code, "the TURN server refused a refresh: {reason:?}");
                self.rest(now);
            }
            Purpose::Release => self.end(RelayOutput::Released),
            Purpose::Peer(ask) => {
                tracing::debug!(code, ?ask, "the TURN server refused: {reason:?}");
                self.peers.refused(now, ask);
            }
        }
    }

    /// Learns what the next request must be signed with. False when that is not what the server complains about.
    fn log_in(&mut self, message: &Message<'_>, code: u16) -> bool {
        let first = code == 401 && self.login.is_none();
        if !first && code != 438 {
            return false;
        }
        let (Some(realm), Some(nonce)) = (wire::realm(message), wire::nonce(message)) else { return false };
        self.login = Some(Login::new(&self.settings.user, &self.settings.password, realm, nonce));
        true
    }
}

/// A Send indication (RFC 8656, section 11.1).
fn indication(peer: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    Writer::indication(wire::SEND).peer(peer).data(bytes).finish()
}

#[cfg(test)]
mod tests;
