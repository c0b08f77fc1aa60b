//! Local candidates: our own addresses at once, what STUN and TURN servers say when they say it.
//!
//! Enters: what is to be gathered, answers of servers. Leaves: candidates, to ICE and to the control side; once all servers have
//! answered or failed, the end of gathering. It must never know how servers are spoken to: that is [`crate::net::nat`]'s.

use super::super::plan::GatherPlan;
use super::relay::Relaying;
use super::{Gathered, WebRtcSession};
use crate::net::nat::reflexive::response_id;
use crate::net::nat::{Query, QueryOutput};
use crate::net::tcp::TcpPort;
use crate::net::{Datagram, Path};
use crate::sdp::{self, Address, CandidateType, Related, TcpType};
use crate::webrtc::event::{IceState, TransportStatus, WebRtcEvent};
use rivero_engine::{MediaTime, Outbox};
use std::net::{IpAddr, SocketAddr};
use str0m::net::TcpType as RtcTcpType;
use str0m::{Candidate, Rtc};
use tokio::sync::mpsc;

/// What active TCP candidates say for a port (RFC 6544, section 4.5).
const DISCARD: u16 = 9;
/// Type preferences (RFC 8445, section 5.1.2.2).
const HOST: u32 = 126;
const REFLEXIVE: u32 = 100;

/// How far a session has come with its candidates.
#[derive(Default)]
pub(super) struct Gathering {
    /// The m-lines that candidates are told for: mid and position.
    lines: Vec<(String, usize)>,
    /// Where those go that are found after the first.
    later: Option<mpsc::Sender<sdp::Candidate>>,
    questions: Vec<Question>,
    pub(super) relay: Option<Relaying>,
    /// What it had no room for, once it is given back.
    pub(super) relay_dropped: u64,
    /// How many foundations are taken.
    foundations: usize,
    /// The end is still to be told.
    waited_for: bool,
}

/// A STUN server is asked where one of our addresses is seen.
struct Question {
    query: Query,
    server: SocketAddr,
    host: SocketAddr,
    /// The place of that address among ours.
    rank: u32,
    due: MediaTime,
}

impl Gathering {
    /// When a server must be asked again.
    pub fn due(&self) -> Option<MediaTime> {
        self.questions.iter().map(|question| question.due).min()
    }

    pub(super) fn foundation(&mut self) -> String {
        self.foundations += 1;
        self.foundations.to_string()
    }
}

impl WebRtcSession {
    /// Offers our own addresses and asks the servers. Returns what was found at once.
    pub(super) fn gather(&mut self, plan: GatherPlan, out: &mut Outbox) -> Result<Vec<sdp::Candidate>, String> {
        if plan.own_port && self.own_port.is_none() {
            self.own_port = Some(self.net.open_port().map_err(|why| why.to_string())?);
        }
        let streams = plan.transports.len().max(1);
        self.status.transports.resize_with(streams, TransportStatus::default);
        for stream in 0..streams {
            self.tell_ice(stream, IceState::Gathering, out);
        }
        let port = self.udp_port().clone();
        let tcp = plan.tcp.then(|| self.net.tcp_port()).flatten();
        let usable: Vec<_> = plan.addresses.iter().copied().filter(|ip| port.serves(*ip)).collect();
        let numbered = usable.iter().enumerate();
        let hosts = numbered.flat_map(|(n, ip)| host_candidates(n, *ip, port.number(), tcp.as_deref(), &plan));
        let gathered: Vec<Gathered> = hosts.collect();
        self.gathering.lines = plan.transports.iter().flatten().cloned().collect();
        self.gathering.foundations = gathered.len();
        for found in gathered {
            self.offer_candidate(found, out);
        }
        let found = self.gathered.iter().map(|gathered| gathered.shown.clone()).collect();
        self.gathering.waited_for = true;
        self.ask_servers(plan, &usable, port.number(), out);
        self.end_gathering(out);
        for index in 0..self.transports.len() {
            if self.transports[index].checking {
                self.tell_ice(index, IceState::Connecting, out);
            }
            self.turn(index, out);
        }
        Ok(found)
    }

    fn ask_servers(&mut self, plan: GatherPlan, ips: &[IpAddr], port: u16, out: &mut Outbox) {
        let now = out.now();
        let ranked = ips.iter().enumerate().map(|(n, ip)| (n.min(65_535) as u32, SocketAddr::new(*ip, port)));
        let question = |(rank, host): (u32, SocketAddr)| {
            let server = plan.stun.iter().copied().find(|server| server.is_ipv4() == host.is_ipv4())?;
            // From the loopback no way leads to a server elsewhere.
            let reachable = !host.ip().is_loopback() || server.ip().is_loopback();
            reachable.then(|| Question { query: Query::new(now), server, host, rank, due: now })
        };
        self.gathering.questions = ranked.filter_map(question).collect();
        self.gathering.later = Some(plan.later);
        if let Some(url) = plan.turn {
            self.gathering.relay = Some(Relaying::new(self.net.open_relay(url, self.mark, self.id)));
        }
        self.ask_reflexive(out);
    }

    /// Sends the questions that are due, and gives up those that were asked often enough.
    pub(super) fn ask_reflexive(&mut self, out: &mut Outbox) {
        let now = out.now();
        let port = self.udp_port().clone();
        let mut questions = std::mem::take(&mut self.gathering.questions);
        questions.retain_mut(|question| {
            let (id, from, to) = (question.query.id(), question.host, question.server);
            loop {
                match question.query.poll(now) {
                    QueryOutput::Transmit(bytes) => {
                        let (path, mark) = (Path::Udp(port.clone()), self.mark);
                        let datagram = Datagram { path, from, to, mark, bytes: bytes.to_vec() };
                        self.net.ask(id, self.id, datagram);
                    }
                    QueryOutput::Wait(at) => {
                        question.due = at;
                        return true;
                    }
                    QueryOutput::Unanswered => {
                        tracing::info!(endpoint = %self.label, server = %to, %from, "the STUN server does not answer");
                        return false;
                    }
                }
            }
        });
        self.gathering.questions = questions;
        self.end_gathering(out);
    }

    /// The answer of a STUN server. Where there is no NAT it tells nothing new.
    pub fn receive_reflexive(&mut self, bytes: &[u8], out: &mut Outbox) {
        let id = response_id(bytes);
        let questions = &mut self.gathering.questions;
        let Some(at) = questions.iter().position(|question| Some(question.query.id()) == id) else { return };
        let Some(answer) = questions[at].query.receive(bytes) else { return };
        let Question { server, host, rank, .. } = questions.swap_remove(at);
        match answer {
            Ok(mapped) if mapped.is_ipv4() == host.is_ipv4() && !self.shows(mapped) => {
                let foundation = self.gathering.foundation();
                let priority = (REFLEXIVE << 24) | ((65_535 - rank) << 8) | 255;
                let shown = udp_candidate(foundation, priority, mapped, CandidateType::ServerReflexive, Some(host));
                self.add_later(Gathered { address: host, shown }, out);
            }
            Ok(mapped) => tracing::debug!(endpoint = %self.label, %host, %mapped, "the STUN server says nothing new"),
            Err(why) => tracing::info!(endpoint = %self.label, %server, %host, "{why}"),
        }
        self.end_gathering(out);
        self.rearm(out);
    }

    /// Whether an address is offered already.
    fn shows(&self, address: SocketAddr) -> bool {
        let is = |shown: &sdp::Candidate| shown.transport == sdp::Transport::Udp && shown.port == address.port();
        let same = |known: &Gathered| is(&known.shown) && known.shown.address == Address::Ip(address.ip());
        self.gathered.iter().any(|known| known.address == address || same(known))
    }

    /// A candidate that was found after the first.
    pub(super) fn add_later(&mut self, found: Gathered, out: &mut Outbox) {
        if let Some(later) = &self.gathering.later
            && later.try_send(found.shown.clone()).is_err()
        {
            tracing::debug!(endpoint = %self.label, "a candidate is left out of the description");
        }
        self.offer_candidate(found, out);
        for index in 0..self.transports.len() {
            let gathers = self.status.transports.get(index).is_some_and(|status| status.ice == IceState::Gathering);
            if gathers && self.transports[index].checking {
                self.tell_ice(index, IceState::Connecting, out);
            }
            self.turn(index, out);
        }
    }

    /// Gives a candidate to ICE, and tells it for each m-line.
    fn offer_candidate(&mut self, found: Gathered, out: &mut Outbox) {
        for transport in &mut self.transports {
            add_local(&mut transport.rtc, &found);
        }
        let text = found.shown.to_string();
        for (mid, index) in &self.gathering.lines {
            out.tell(WebRtcEvent::CandidateFound { candidate: text.clone(), mid: mid.clone(), index: *index });
        }
        self.gathered.push(found);
    }

    /// Tells the end of gathering, once, when nobody is waited for any longer.
    pub(super) fn end_gathering(&mut self, out: &mut Outbox) {
        let gathering = &mut self.gathering;
        let waits = !gathering.questions.is_empty() || gathering.relay.as_ref().is_some_and(Relaying::is_asked_for);
        if !waits && std::mem::take(&mut gathering.waited_for) {
            out.tell(WebRtcEvent::GatheringDone);
        }
    }
}

pub(super) fn add_local(rtc: &mut Rtc, gathered: &Gathered) {
    let address = gathered.address;
    let candidate = match (&gathered.shown.typ, gathered.shown.tcptype) {
        // ICE checks from their bases, which are host candidates (RFC 8445, section 6.1.2.4).
        (CandidateType::ServerReflexive | CandidateType::PeerReflexive, _) => return,
        (CandidateType::Relayed, _) => Candidate::relayed(address, address, "udp"),
        (_, None) => Candidate::builder().udp().host(address).build(),
        (_, Some(TcpType::Passive)) => Candidate::builder().tcp().host(address).tcptype(RtcTcpType::Passive).build(),
        // To str0m it is one with the passive one, whose address it shares.
        (_, Some(TcpType::Active | TcpType::SimultaneousOpen)) => return,
    };
    match candidate {
        Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
        Err(why) => tracing::debug!(%address, "a local address is no candidate: {why}"),
    }
}

pub(super) fn udp_candidate(
    foundation: String,
    priority: u32,
    at: SocketAddr,
    typ: CandidateType,
    related: Option<SocketAddr>,
) -> sdp::Candidate {
    sdp::Candidate {
        foundation,
        component: 1,
        transport: sdp::Transport::Udp,
        priority,
        address: Address::Ip(at.ip()),
        port: at.port(),
        typ,
        related: related.map(|at| Related { address: Address::Ip(at.ip()), port: at.port() }),
        tcptype: None,
        extensions: Vec::new(),
    }
}

/// The host candidates of one of our addresses: the first address has the highest preference. UDP as RFC 8445, section 5.1.2,
/// has it; for TCP Kurento's type and direction preferences (RFC 6544, section 4.2), and its order.
fn host_candidates(number: usize, ip: IpAddr, port: u16, tcp: Option<&TcpPort>, plan: &GatherPlan) -> Vec<Gathered> {
    let external = if ip.is_ipv4() { plan.external_v4 } else { plan.external_v6 };
    let tcp = tcp.filter(|tcp| tcp.serves(ip)).map(TcpPort::number);
    let rank = number.min(8191) as u32;
    let mut gathered = Vec::new();
    let mut add = |tcptype: Option<TcpType>, preference: u32, at: u16, shown_port: u16| {
        let each = if plan.tcp { 3 } else { 1 };
        let shown = sdp::Candidate {
            foundation: (number * each + gathered.len() + 1).to_string(),
            component: 1,
            transport: if tcptype.is_some() { sdp::Transport::Tcp } else { sdp::Transport::Udp },
            priority: (preference << 8) | 255,
            address: Address::Ip(external.unwrap_or(ip)),
            port: shown_port,
            typ: CandidateType::Host,
            related: None,
            tcptype,
            extensions: Vec::new(),
        };
        gathered.push(Gathered { address: SocketAddr::new(ip, at), shown });
    };
    add(None, (HOST << 16) | (65_535 - rank), port, port);
    if let Some(tcp) = tcp {
        add(Some(TcpType::Active), (60 << 16) | (4 << 13) | (8191 - rank), tcp, DISCARD);
        add(Some(TcpType::Passive), (60 << 16) | (2 << 13) | (8191 - rank), tcp, tcp);
    }
    gathered
}
