//! The node of an `RtpEndpoint`: owns the ports, turns datagrams into packets and packets into datagrams.
//!
//! By direction: `receive` from the network, with `lock` for whom to listen to and `sources` for what is opened; `send` from the
//! graph; `feedback` for RTCP both ways; this file for the control side and the time.

mod feedback;
mod key;
mod lock;
mod receive;
mod send;
mod sources;

use super::plan::{LinePlan, RtpCommand, RtpEvent};
use crate::net::{LocalNet, Mark, Path, PortPair, UdpPort, Way};
use crate::rtp::format::takes;
use crate::rtp::inbound::Inbound;
use crate::rtp::outbound::Outbound;
use crate::rtp::outgoing::{Outgoing, SendLine};
use crate::rtp::port_of;
use crate::rtp::voice::Voice;
use crate::srtp::{Opener, RtpOpener, Sealer, SrtpError};
use crate::webrtc::bitrate::{BandwidthLimits, RembParams};
use crate::webrtc::{IceStatus, SessionReport, StreamReport};
use key::KeyUse;
use lock::Lock;
use rivero_engine::shard::BuildContext;
use rivero_engine::{Body, Feedback, Input, MediaKind, MediaTime, Node, NodeId, Outbox};
use sources::Sources;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// Without a packet for so long a source counts as gone (RFC 3550 §6.3.5: five intervals).
const GONE: Duration = Duration::from_secs(30);

pub struct RtpSession {
    id: NodeId,
    label: String,
    net: Rc<LocalNet>,
    /// Bound and not yet a line's.
    pairs: Vec<Option<PortPair>>,
    lines: Vec<Line>,
    cname: String,
    status: IceStatus,
    limits: BandwidthLimits,
    remb: RembParams,
}

struct Line {
    plan: LinePlan,
    ports: PortPair,
    lock: Lock,
    rtcp_lock: Lock,
    /// Where RTP and RTCP go.
    way: Option<Way>,
    rtcp_way: Option<Way>,
    outgoing: Outgoing,
    send: SendLine,
    sources: Sources,
    inbound: Inbound,
    outbound: Outbound,
    round_trip: Option<Duration>,
    report_due: Option<MediaTime>,
    /// When the peer's RTCP was heard, while it counts as there.
    heard: Option<MediaTime>,
    /// Packets of RTCP that came.
    rtcp_count: u64,
    /// Of our key and of the peer's.
    keys: Option<(KeyUse, KeyUse)>,
}

impl RtpSession {
    /// Called on the worker on which it will live, whose driver offers a [`LocalNet`].
    pub fn new(context: &BuildContext<'_>, label: String) -> Self {
        let net = context.local.downcast_ref::<Rc<LocalNet>>().expect("a media worker offers its network").clone();
        RtpSession {
            id: context.id,
            label,
            net,
            pairs: Vec::new(),
            lines: Vec::new(),
            cname: String::new(),
            status: IceStatus::default(),
            limits: BandwidthLimits::default(),
            remb: RembParams::default(),
        }
    }

    fn command(&mut self, command: RtpCommand, out: &mut Outbox) {
        // Whoever asked may have gone: an answer that nobody reads is no error.
        match command {
            RtpCommand::Bind { pairs, reply } => {
                let _ = reply.send(self.bind(pairs));
            }
            RtpCommand::Open { lines, cname, reply } => {
                let _ = reply.send(self.open(lines, cname, out));
            }
            RtpCommand::SetBandwidths { limits, params } => (self.limits, self.remb) = (limits, params),
            RtpCommand::RequestKeyFrame { reply } => {
                let sends = self.lines.iter().any(|line| line.plan.kind == MediaKind::Video && line.plan.sends);
                if sends {
                    out.feedback(port_of(MediaKind::Video), Feedback::KeyFrame);
                }
                let _ = reply.send(sends);
            }
            RtpCommand::Report { reply } => {
                let _ = reply.send(self.report());
            }
        }
    }

    fn bind(&mut self, pairs: usize) -> Result<Vec<u16>, String> {
        self.pairs.clear();
        for place in 0..pairs {
            let pair = self.net.open_pair(self.id, place).map_err(|why| why.to_string())?;
            self.pairs.push(Some(pair));
        }
        Ok(self.pairs.iter().flatten().map(|pair| pair.rtp.port.number()).collect())
    }

    fn open(&mut self, plans: Vec<LinePlan>, cname: String, out: &mut Outbox) -> Result<(), String> {
        self.cname = cname;
        let mut lines = Vec::new();
        for plan in plans {
            let ports = self.pairs.get_mut(plan.place).and_then(Option::take).ok_or("a line has no ports")?;
            lines.push(Line::open(plan, ports, &self.remb).map_err(|why| why.to_string())?);
        }
        self.lines = lines;
        self.pairs.clear();
        self.status.connected = true;
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let sends = self.lines.iter().filter(|line| line.plan.kind == kind && line.plan.sends);
            out.takes(port_of(kind), takes(sends.flat_map(|line| line.plan.payload_types.iter().cloned()).collect()));
        }
        out.tell(RtpEvent::Connection { connected: true });
        for line in self.lines.iter().filter(|line| line.plan.sends) {
            // Whatever came before could not be sent: begin again, at a key frame.
            out.feedback(port_of(line.plan.kind), Feedback::Start);
            line.outbound.begin(&self.limits, out);
        }
        tracing::info!(endpoint = %self.label, lines = self.lines.len(), "RTP session opened");
        Ok(())
    }

    /// What came is told of from its first packet on, what is sent as soon as it can be.
    fn report(&self) -> SessionReport {
        let came = self.lines.iter().map(|line| &line.inbound.report).filter(|report| report.packets > 0).cloned();
        let sending = self.lines.iter().filter(|line| line.plan.sends && line.way.is_some());
        let sent = |line: &Line| {
            let (packets, bytes) = (line.send.packets, line.send.bytes);
            StreamReport { packets, bytes, ..line.outbound.report.clone() }
        };
        SessionReport {
            inbound: came.collect(),
            outbound: sending.map(sent).collect(),
            status: self.status.clone(),
            ..SessionReport::default()
        }
    }

    fn rearm(&self, out: &mut Outbox) {
        let due = self.lines.iter().flat_map(|line| {
            [line.outgoing.report_due, line.report_due, line.inbound.due(), line.heard.map(|heard| heard + GONE)]
        });
        out.wake_at(due.flatten().min());
    }

    fn on_deadline(&mut self, out: &mut Outbox) {
        let now = out.now();
        for at in 0..self.lines.len() {
            self.ask_peer(at, now);
            self.report_sent(at, out);
            self.report_received(at, now);
        }
        if self.lines.iter_mut().filter_map(|line| line.heard.take_if(|heard| now.since(*heard) >= GONE)).count() > 0 {
            self.note_absence(out);
        }
    }

    /// Tells once for each key of a line that its end is near.
    fn note_keys(&mut self, at: usize, out: &mut Outbox) {
        let line = &mut self.lines[at];
        let Some((ours, theirs)) = &mut line.keys else { return };
        let kind = line.plan.kind;
        let (rtcp_sent, _) = line.outgoing.sealer.rtcp_use();
        let ending =
            [ours.ends(line.send.packets, rtcp_sent), theirs.ends(line.inbound.report.packets, line.rtcp_count)];
        ending.into_iter().filter(|ends| *ends).for_each(|_| out.tell(RtpEvent::KeySoftLimit { kind }));
    }

    /// The peer's RTCP is seen on a line.
    fn note_presence(&mut self, at: usize, out: &mut Outbox) {
        self.lines[at].heard = Some(out.now());
        if !std::mem::replace(&mut self.status.media, true) {
            out.tell(RtpEvent::Media { connected: true });
        }
    }

    /// The peer has left a line: media is disconnected when it has left all.
    fn note_absence(&mut self, out: &mut Outbox) {
        let present = self.lines.iter().any(|line| line.heard.is_some());
        if !present && std::mem::replace(&mut self.status.media, false) {
            out.tell(RtpEvent::Media { connected: false });
        }
    }
}

impl Line {
    fn open(plan: LinePlan, ports: PortPair, remb: &RembParams) -> Result<Self, SrtpError> {
        let (outgoing, sources, keys) = match &plan.keys {
            None => (Outgoing::new(Sealer::plain(), Opener::plain()), Sources::plain(), None),
            Some((ours, theirs)) => {
                let sealer = Sealer::with_master(ours.suite, &ours.key)?;
                let opener = Opener::with_master(theirs.suite, &theirs.key, theirs.mki_length)?;
                let rtp = RtpOpener::with_master(theirs.suite, &theirs.key, theirs.mki_length)?;
                let (_, most_rtcp) = sealer.rtcp_use();
                let keys = (KeyUse::new(ours.lifetime).with_rtcp(most_rtcp), KeyUse::new(theirs.lifetime));
                (Outgoing::new(sealer, opener), Sources::secured(rtp), Some(keys))
            }
        };
        let described = |remote: Option<SocketAddr>| remote.filter(|_| !plan.comedia);
        let send = SendLine::new(plan.local_ssrc, plan.kind, &plan.payload_types, plan.abs_send_time);
        let way = |port: &Rc<UdpPort>, to: Option<SocketAddr>| Some(way_to(port, to?));
        Ok(Line {
            lock: Lock::new(described(plan.remote)),
            rtcp_lock: Lock::new(described(plan.remote_rtcp)),
            way: way(&ports.rtp.port, plan.remote),
            rtcp_way: way(&ports.rtcp.port, plan.remote_rtcp),
            outgoing,
            send,
            sources,
            inbound: Inbound::new(plan.kind, plan.local_ssrc, &plan.payload_types, remb),
            outbound: Outbound::new(plan.kind, plan.local_ssrc, &plan.payload_types, remb).limited(plan.most),
            round_trip: None,
            report_due: None,
            heard: None,
            rtcp_count: 0,
            keys,
            plan,
            ports,
        })
    }

    /// What comes from the peer, and how to speak of it: not at all while there is no way.
    fn voice<'a>(&'a mut self, net: &'a LocalNet, cname: &'a str) -> (&'a mut Inbound, Option<Voice<'a>>) {
        let voice = Voice::new(net, self.rtcp_way.as_ref(), Some(&mut self.outgoing), cname);
        (&mut self.inbound, voice)
    }
}

/// To a peer whose address is known; which of ours it comes from is the kernel's choice.
fn way_to(port: &Rc<UdpPort>, to: SocketAddr) -> Way {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Way { path: Path::Udp(port.clone()), from: SocketAddr::new(any, port.number()), to, mark: Mark::NONE }
}

/// Back to where a datagram came from, from where it came to.
fn way_back(port: &Rc<UdpPort>, source: SocketAddr, destination: SocketAddr) -> Way {
    let mark = Mark::NONE.between(destination.ip(), source);
    Way { path: Path::Udp(port.clone()), from: destination, to: source, mark }
}

impl Node for RtpSession {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, more, .. } => match &packet.body {
                // The way of every packet: no deadline of ours moves before the pass is over.
                Body::Rtp(_) => return self.send(packet, more, out),
                // Whatever is joined to a session of a network is converted on the way.
                _ => return,
            },
            Input::Feedback { port, feedback } => match feedback {
                Feedback::KeyFrame => self.want_key_frame(port, out),
                Feedback::Bitrate(bps) => self.note_wish(port, bps, out.now()),
                // The engine answers the one, and there is no data for the other.
                Feedback::Start | Feedback::Wait(_) => {}
            },
            Input::Command(command) => match command.downcast::<RtpCommand>() {
                Ok(command) => self.command(*command, out),
                Err(_) => tracing::error!("a command that is not an RTP session's"),
            },
            Input::Deadline => self.on_deadline(out),
        }
        self.rearm(out);
    }
}

impl Drop for RtpSession {
    fn drop(&mut self) {
        (0..self.lines.len()).for_each(|at| self.say_goodbye(at));
        tracing::info!(endpoint = %self.label, "RTP session closed");
    }
}
