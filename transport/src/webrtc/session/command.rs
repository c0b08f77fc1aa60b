//! From the control side.

use super::super::plan::{LinePlan, SessionCommand, TransportPlan};
use super::data::DataChannels;
use super::gather::add_local;
use super::{Line, PORTS, Transport, WebRtcSession};
use crate::net::tcp::Connections;
use crate::rtp::format::takes;
use crate::rtp::inbound::Inbound;
use crate::rtp::outbound::Outbound;
use crate::rtp::outgoing::{Mid, Rtx, SendLine};
use crate::rtp::port_of;
use crate::sdp::{self, Address, TcpType};
use crate::webrtc::bitrate::RembParams;
use crate::webrtc::event::{DtlsState, TransportStatus};
use rivero_engine::{MediaKind, Outbox};
use std::net::SocketAddr;
use std::time::Duration;
use str0m::{Candidate, IceCreds, RtcConfig};

/// Candidates of a peer that a transport tries; browsers tell about ten. Each is sent requests, on the word of whoever told it.
const MOST_CANDIDATES: usize = 64;
/// Those that wait for the negotiation, of all transports.
const MOST_EARLY: usize = 256;
/// Bytes of a candidate as text, with all its extensions; of ours the longest has 130.
const LONGEST_CANDIDATE: usize = 1024;
/// Addresses that a peer may check from. ICE remembers each for as long as the session lives.
const MOST_SOURCES: usize = 128;
/// How often the selected pair is looked at, which may change while neither side sends anything else.
const PAIR_INTERVAL: Duration = Duration::from_secs(5);
/// The peer's consent is asked for this often (RFC 7675, section 5.1), and more often once an answer is missing.
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// After so many requests without an answer the peer is gone: within the 30 seconds after which consent expires.
const UNANSWERED: usize = 8;
/// Packets of a source that carry the tag of its line, where negotiated: by then some have arrived, and the peer knows the source.
const MID_PACKETS: u64 = 64;

impl WebRtcSession {
    pub(super) fn command(&mut self, command: SessionCommand, out: &mut Outbox) {
        // Whoever asked may have gone: an answer that nobody reads is no error.
        match command {
            SessionCommand::Open { transports, reply } => {
                let _ = reply.send(self.open(transports, out));
            }
            SessionCommand::Gather { plan, reply } => {
                let _ = reply.send(self.gather(plan, out));
            }
            SessionCommand::AddCandidate { index, candidate } => self.add_remote_candidate(index, candidate, out),
            SessionCommand::RequestKeyFrame { reply } => {
                let sends = self.lines().any(|line| line.plan.kind == MediaKind::Video && line.plan.sends);
                if sends {
                    out.feedback(1, rivero_engine::Feedback::KeyFrame);
                }
                let _ = reply.send(sends);
            }
            SessionCommand::SetBandwidths { limits, params } => (self.limits, self.remb) = (limits, params),
            SessionCommand::Report { reply } => {
                let _ = reply.send(self.report());
            }
            SessionCommand::CreateDataChannel { options, offered, reply } => {
                let _ = reply.send(self.create_channel(options, offered, out));
            }
            SessionCommand::CloseDataChannel { stream, reply } => {
                let _ = reply.send(self.close_channel(stream, out));
            }
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.transports.iter().flat_map(|transport| &transport.lines)
    }

    /// Builds the transports, now that everything about them is negotiated.
    fn open(&mut self, plans: Vec<TransportPlan>, out: &mut Outbox) -> Result<(), String> {
        self.status.transports.resize_with(plans.len().max(1), TransportStatus::default);
        for plan in plans {
            let index = self.transports.len();
            let transport = self.open_transport(plan, out)?;
            self.transports.push(transport);
            self.tell_dtls(index, DtlsState::New, out);
            self.turn(index, out);
        }
        self.create_early_channels(out);
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let sends = self.transports.iter().filter_map(|one| one.sending[port_of(kind)].map(|at| &one.lines[at]));
            out.takes(port_of(kind), takes(sends.flat_map(|line| line.plan.payload_types.iter().cloned()).collect()));
        }
        for (index, candidate) in std::mem::take(&mut self.early) {
            self.add_remote_candidate(index, candidate, out);
        }
        Ok(())
    }

    fn open_transport(&mut self, plan: TransportPlan, out: &mut Outbox) -> Result<Transport, String> {
        let now = self.net.clock.instant(out.now());
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_dtls_cert(self.net.certificate.cert.clone())
            .set_crypto_provider(self.net.crypto.provider())
            .set_sctp_max_message_size(sdp::MAX_MESSAGE_SIZE)
            .set_sctp_max_buffered_amount(super::data::ROOM)
            .set_local_ice_credentials(IceCreds { ufrag: plan.local_ufrag.clone(), pass: plan.local_pwd.clone() })
            .set_stats_interval(Some(PAIR_INTERVAL));
        config.set_max_stun_rto(CONSENT_INTERVAL);
        config.set_max_stun_retransmits(UNANSWERED);
        let dtls = self.net.crypto.watch_next();
        dtls.look().waits = true;
        let mut rtc = Box::new(config.build(now));
        for gathered in &self.gathered {
            add_local(&mut rtc, gathered);
        }
        if let Some(peer_limit) = plan.data {
            super::data::start_sctp(&mut rtc, &plan, peer_limit)?;
        }
        let mut api = rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds { ufrag: plan.remote_ufrag, pass: plan.remote_pwd });
        let fingerprint = plan.remote_fingerprint.parse().map_err(|_| "the peer's fingerprint is not one")?;
        api.set_remote_fingerprint(fingerprint);
        api.set_ice_controlling(plan.controlling);
        let send_lines = plan.lines.iter().map(send_line).collect();
        let sending = PORTS.map(|kind| plan.lines.iter().position(|line| line.kind == kind && line.sends));
        let lines: Vec<Line> = plan.lines.into_iter().map(|line| open_line(line, &self.remb)).collect();
        rtc.direct_api().start_dtls(plan.dtls_active).map_err(|why| why.to_string())?;
        self.net.add_name(plan.local_ufrag, (self.id, self.transports.len()));
        let mut transport = Transport {
            rtc,
            dtls,
            client: plan.dtls_active,
            lines,
            send_lines,
            sending,
            outgoing: None,
            data: plan.data.map(DataChannels::new),
            cname: plan.cname,
            controlling: plan.controlling,
            sent: 0,
            received: 0,
            remote_candidates: Vec::new(),
            sources: Vec::new(),
            candidates_full: false,
            tcp: Connections::default(),
            due: out.now(),
            way: None,
            round_trip: None,
            reception: None,
            checking: false,
            ice_ready: false,
            alive: true,
        };
        for candidate in plan.remote_candidates {
            transport.add_remote_candidate(candidate);
        }
        Ok(transport)
    }

    fn add_remote_candidate(&mut self, index: Option<usize>, candidate: sdp::Candidate, out: &mut Outbox) {
        // The text is what it costs to remember one.
        if candidate.to_string().len() > LONGEST_CANDIDATE {
            tracing::debug!(endpoint = %self.label, "a remote candidate is ignored: it is too long");
            return;
        }
        if self.transports.is_empty() {
            // Bounded: a client could go on for ever before it negotiates.
            if self.early.len() < MOST_EARLY {
                self.early.push((index, candidate));
            }
            return;
        }
        for number in 0..self.transports.len() {
            let transport = &mut self.transports[number];
            let serves = index.is_none_or(|index| transport.lines.iter().any(|line| line.plan.index == index));
            if serves && transport.alive && transport.add_remote_candidate(candidate.clone()) {
                self.turn(number, out);
            }
        }
    }
}

impl Transport {
    /// Names (mDNS) are ignored, and those of TCP that only connect: such a peer is found when its own requests arrive. False for
    /// what ICE does not get.
    fn add_remote_candidate(&mut self, candidate: sdp::Candidate) -> bool {
        let Address::Ip(ip) = candidate.address else { return false };
        if self.remote_candidates.contains(&candidate) {
            return false;
        }
        if self.remote_candidates.len() == MOST_CANDIDATES {
            if !std::mem::replace(&mut self.candidates_full, true) {
                tracing::warn!(most = MOST_CANDIDATES, "further remote candidates of this transport are ignored");
            }
            return false;
        }
        let usable = candidate.component == 1
            && match (&candidate.transport, candidate.tcptype) {
                (sdp::Transport::Udp, _) => true,
                (sdp::Transport::Tcp, Some(TcpType::Passive)) => self.tcp.expect(SocketAddr::new(ip, candidate.port)),
                _ => false,
            };
        if !usable {
            return false;
        }
        let plain = sdp::Candidate { extensions: Vec::new(), ..candidate.clone() };
        match Candidate::from_sdp_string(&plain.to_string()) {
            Ok(parsed) => {
                self.rtc.add_remote_candidate(parsed);
                self.remote_candidates.push(candidate);
                true
            }
            Err(why) => {
                tracing::debug!("a remote candidate is ignored: {why}");
                false
            }
        }
    }

    /// Whether STUN from this address may go on to ICE. False when the peer has used too many.
    pub(super) fn admit_source(&mut self, source: SocketAddr) -> bool {
        let known = self.sources.contains(&source);
        if !known && self.sources.len() < MOST_SOURCES {
            self.sources.push(source);
            return true;
        }
        known
    }
}

fn open_line(plan: LinePlan, remb: &RembParams) -> Line {
    Line {
        inbound: Inbound::new(plan.kind, plan.local_ssrc, &plan.payload_types, remb),
        outbound: Outbound::new(plan.kind, plan.local_ssrc, &plan.payload_types, remb),
        plan,
    }
}

/// The sending half is ours: str0m is told nothing of what we send.
fn send_line(plan: &LinePlan) -> SendLine {
    let line = SendLine::new(plan.local_ssrc, plan.kind, &plan.payload_types, plan.abs_send_time);
    let mid = plan.mid.as_ref().and_then(|(id, tag)| Mid::new(*id, tag));
    let mid_before = if mid.is_some() { line.rewriter.next_sequence() + MID_PACKETS } else { 0 };
    SendLine { mid_before, mid, rtx: rtx(plan), ..line }
}

/// Where the peer takes what is sent again on a source of its own.
fn rtx(plan: &LinePlan) -> Option<Rtx> {
    let ssrc = plan.local_rtx_ssrc?;
    let payload_types = plan.payload_types.iter().filter_map(|of| Some((of.number, of.rtx?))).collect();
    let next_sequence = u64::from(getrandom::u32().unwrap_or(1) % (1 << 14));
    Some(Rtx { ssrc, payload_types, next_sequence, mid_before: next_sequence + MID_PACKETS })
}
