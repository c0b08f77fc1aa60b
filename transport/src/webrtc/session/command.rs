//! From the control side.

use super::super::plan::{GatherPlan, LinePlan, SessionCommand, TransportPlan};
use super::bitrate::Bitrates;
use super::data::DataChannels;
use super::history::History;
use super::outgoing::SendLine;
use super::{Gathered, KeyFrameRequests, Line, PORTS, Transport, WebRtcSession};
use crate::net::tcp::{Connections, TcpPort};
use crate::sdp::{self, Address, CandidateType, TcpType};
use crate::webrtc::bitrate::RembParams;
use crate::webrtc::event::{DtlsState, IceState, StreamReport, TransportStatus, WebRtcEvent};
use crate::webrtc::missing::Missing;
use crate::webrtc::rewrite::{PaddingGaps, Rewriter};
use rivero_engine::{Codec, MediaKind, Outbox};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use str0m::format::{Codec as RtcCodec, FormatParams};
use str0m::media::{Frequency, MediaKind as RtcKind, Mid};
use str0m::net::TcpType as RtcTcpType;
use str0m::rtp::Extension;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

/// How often a session's counters are taken from str0m, and its selected pair is looked at.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// The same for a session that receives nothing and has only the pair to look at.
const PAIR_INTERVAL: Duration = Duration::from_secs(3);

/// What active TCP candidates say for a port (RFC 6544, section 4.5).
const DISCARD: u16 = 9;

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
        for (index, candidate) in std::mem::take(&mut self.early) {
            self.add_remote_candidate(index, candidate, out);
        }
        Ok(())
    }

    fn open_transport(&mut self, plan: TransportPlan, out: &mut Outbox) -> Result<Transport, String> {
        let now = self.net.clock.instant(out.now());
        let receives = plan.lines.iter().any(|line| line.receives && line.kind != MediaKind::Data);
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_dtls_cert(self.net.certificate.cert.clone())
            .set_crypto_provider(self.net.crypto.provider())
            .set_sctp_max_message_size(sdp::MAX_MESSAGE_SIZE)
            .set_sctp_max_buffered_amount(super::data::ROOM)
            .set_local_ice_credentials(IceCreds { ufrag: plan.local_ufrag.clone(), pass: plan.local_pwd })
            .set_stats_interval(Some(if receives { STATS_INTERVAL } else { PAIR_INTERVAL }));
        if let Some(id) = plan.lines.iter().find_map(|line| line.abs_send_time) {
            config = config.set_extension(id, Extension::AbsoluteSendTime);
        }
        for payload_type in plan.lines.iter().flat_map(|line| &line.payload_types) {
            let (codec, rate, channels) = rtc_codec(payload_type.codec);
            config.codec_config().add_config(
                payload_type.number.into(),
                None,
                codec,
                rate,
                channels,
                FormatParams::default(),
            );
        }
        let dtls = self.net.crypto.watch_next();
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
        let lines: Vec<Line> =
            plan.lines.into_iter().enumerate().map(|(n, line)| open_line(n, line, &self.remb, &mut rtc)).collect();
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
            remote_candidates: Vec::new(),
            tcp: Connections::default(),
            due: out.now(),
            way: None,
            round_trip: None,
            late: None,
            checking: false,
            ice_ready: false,
            alive: true,
        };
        for candidate in plan.remote_candidates {
            transport.add_remote_candidate(candidate);
        }
        Ok(transport)
    }

    fn gather(&mut self, plan: GatherPlan, out: &mut Outbox) -> Result<Vec<sdp::Candidate>, String> {
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
        let usable = plan.addresses.iter().filter(|ip| port.serves(**ip));
        let hosts = usable.enumerate().map(|(n, ip)| host_candidates(n, *ip, port.number(), tcp.as_deref(), &plan));
        let gathered: Vec<Gathered> = hosts.flatten().collect();
        for candidate in &gathered {
            for transport in &mut self.transports {
                add_local(&mut transport.rtc, candidate);
            }
            let text = candidate.shown.to_string();
            for (mid, index) in plan.transports.iter().flatten() {
                out.tell(WebRtcEvent::CandidateFound { candidate: text.clone(), mid: mid.clone(), index: *index });
            }
        }
        self.gathered = gathered;
        out.tell(WebRtcEvent::GatheringDone);
        for index in 0..self.transports.len() {
            if self.transports[index].checking {
                self.tell_ice(index, IceState::Connecting, out);
            }
            self.turn(index, out);
        }
        Ok(self.gathered.iter().map(|gathered| gathered.shown.clone()).collect())
    }

    fn add_remote_candidate(&mut self, index: Option<usize>, candidate: sdp::Candidate, out: &mut Outbox) {
        if self.transports.is_empty() {
            // Bounded: a client could go on for ever before it negotiates.
            if self.early.len() < 256 {
                self.early.push((index, candidate));
            }
            return;
        }
        for number in 0..self.transports.len() {
            let transport = &mut self.transports[number];
            let serves = index.is_none_or(|index| transport.lines.iter().any(|line| line.plan.index == index));
            if serves && transport.alive {
                transport.add_remote_candidate(candidate.clone());
                self.turn(number, out);
            }
        }
    }
}

impl Transport {
    /// Names (mDNS) are ignored, and those of TCP that only connect: such a peer is found when its own requests arrive.
    fn add_remote_candidate(&mut self, candidate: sdp::Candidate) {
        let Address::Ip(ip) = candidate.address else { return };
        let usable = candidate.component == 1
            && match (&candidate.transport, candidate.tcptype) {
                (sdp::Transport::Udp, _) => true,
                (sdp::Transport::Tcp, Some(TcpType::Passive)) => self.tcp.expect(SocketAddr::new(ip, candidate.port)),
                _ => false,
            };
        if !usable || self.remote_candidates.len() >= 256 || self.remote_candidates.contains(&candidate) {
            return;
        }
        let plain = sdp::Candidate { extensions: Vec::new(), ..candidate.clone() };
        match Candidate::from_sdp_string(&plain.to_string()) {
            Ok(parsed) => {
                self.rtc.add_remote_candidate(parsed);
                self.remote_candidates.push(candidate);
            }
            Err(why) => tracing::debug!("a remote candidate is ignored: {why}"),
        }
    }
}

fn add_local(rtc: &mut Rtc, gathered: &Gathered) {
    let address = gathered.address;
    let candidate = match gathered.shown.tcptype {
        None => Candidate::builder().udp().host(address).build(),
        Some(TcpType::Passive) => Candidate::builder().tcp().host(address).tcptype(RtcTcpType::Passive).build(),
        // To str0m it is one with the passive one, whose address it shares.
        Some(TcpType::Active | TcpType::SimultaneousOpen) => return,
    };
    match candidate {
        Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
        Err(why) => tracing::debug!(%address, "a local address is no candidate: {why}"),
    }
}

fn open_line(number: usize, plan: LinePlan, remb: &RembParams, rtc: &mut Rtc) -> Line {
    let mid = Mid::from(number.to_string().as_str());
    let mut api = rtc.direct_api();
    if plan.kind != MediaKind::Data {
        api.declare_media(mid, if plan.kind == MediaKind::Audio { RtcKind::Audio } else { RtcKind::Video });
        if plan.receives {
            for ssrc in &plan.remote_ssrcs {
                api.expect_stream_rx((*ssrc).into(), None, mid, None).suppress_nack(true);
            }
        }
    }
    Line {
        mid,
        admitted: 0,
        receiving: None,
        padding: PaddingGaps::default(),
        missing: Missing::default(),
        key_frame: KeyFrameRequests::default(),
        bitrates: remb_negotiated(&plan).then(|| Bitrates::new(remb)),
        inbound: StreamReport { kind: Some(plan.kind), ..StreamReport::default() },
        outbound: StreamReport { kind: Some(plan.kind), ssrc: plan.local_ssrc, ..StreamReport::default() },
        plan,
    }
}

/// The sending half is ours: str0m is told nothing of what we send.
fn send_line(plan: &LinePlan) -> SendLine {
    // As Kurento: on video only.
    let abs_send_time = plan.abs_send_time.filter(|_| plan.kind == MediaKind::Video);
    let resends = plan.payload_types.iter().any(|payload_type| payload_type.nack);
    let clock_rate = plan.payload_types.first().map_or(90_000, |payload_type| payload_type.caps.clock_rate());
    SendLine {
        ssrc: plan.local_ssrc,
        chosen: None,
        rewriter: Rewriter::new(clock_rate, getrandom::u64().unwrap_or(1)),
        packets: 0,
        bytes: 0,
        reported: 0,
        abs_send_time,
        history: resends.then(History::default),
        rtx: None,
    }
}

/// Whether we ask for lost packets: Kurento does so for video where generic NACK is negotiated on the preferred format.
pub(super) fn nack(plan: &LinePlan) -> bool {
    plan.kind == MediaKind::Video && plan.payload_types.first().is_some_and(|payload_type| payload_type.nack)
}

/// Whether REMB goes to and fro: as with NACK, the preferred format decides.
fn remb_negotiated(plan: &LinePlan) -> bool {
    plan.kind == MediaKind::Video && plan.payload_types.first().is_some_and(|payload_type| payload_type.remb)
}

/// In RTP mode the format only names a payload type; its parameters play no part.
fn rtc_codec(codec: Codec) -> (RtcCodec, Frequency, Option<u8>) {
    match codec {
        Codec::Opus => (RtcCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2)),
        Codec::Pcmu => (RtcCodec::PCMU, Frequency::EIGHT_KHZ, None),
        Codec::Pcma => (RtcCodec::PCMA, Frequency::EIGHT_KHZ, None),
        Codec::G722 => (RtcCodec::G722, Frequency::EIGHT_KHZ, None),
        Codec::Vp8 | Codec::Message => (RtcCodec::Vp8, Frequency::NINETY_KHZ, None),
        Codec::Vp9 => (RtcCodec::Vp9, Frequency::NINETY_KHZ, None),
        Codec::Av1 => (RtcCodec::Av1, Frequency::NINETY_KHZ, None),
        Codec::H264 => (RtcCodec::H264, Frequency::NINETY_KHZ, None),
        Codec::H265 => (RtcCodec::H265, Frequency::NINETY_KHZ, None),
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
    add(None, (126 << 16) | (65_535 - rank), port, port);
    if let Some(tcp) = tcp {
        add(Some(TcpType::Active), (60 << 16) | (4 << 13) | (8191 - rank), tcp, DISCARD);
        add(Some(TcpType::Passive), (60 << 16) | (2 << 13) | (8191 - rank), tcp, tcp);
    }
    gathered
}
