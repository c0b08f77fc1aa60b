//! The node of a `WebRtcEndpoint`: owns the transports, turns datagrams into packets and packets into datagrams.
//!
//! By direction: `command` from the control side, with `gather` for candidates and `relay` for that of a TURN server; `receive` from the network, with `reception` for RTP and
//! `rtcp` for what concerns our sending; `send` from the graph; `repair` for what we ask of the peer; `data` both ways; `state` and
//! `report` to the control side. What RTP has in common with other endpoints is in `crate::rtp`.

mod command;
mod data;
mod gather;
mod hold;
mod receive;
mod reception;
mod relay;
mod repair;
mod report;
mod rtcp;
mod send;
mod state;

use super::Watch;
use super::bitrate::{BandwidthLimits, RembParams};
use super::data::ChannelOptions;
use super::event::{IceStatus, TransportStatus};
use super::plan::{LinePlan, SessionCommand};
use crate::net::tcp::Connections;
use crate::net::{LocalNet, Mark, OwnPort, UdpPort, Way};
use crate::rtp::history::History;
use crate::rtp::inbound::Inbound;
use crate::rtp::outbound::Outbound;
use crate::rtp::outgoing::{Outgoing, SendLine};
use crate::rtp::voice::Voice;
use crate::sdp;
use data::DataChannels;
use gather::Gathering;
use reception::Reception;
use rivero_engine::shard::BuildContext;
use rivero_engine::{Body, Feedback, Input, MediaKind, MediaTime, Node, NodeId, Outbox, Port};
use std::net::SocketAddr;
use std::rc::Rc;
use str0m::Rtc;

/// Ports of the node, in the engine's default order.
const PORTS: [MediaKind; 3] = MediaKind::ALL;

pub struct WebRtcSession {
    id: NodeId,
    label: String,
    /// Of all datagrams to the peer.
    mark: Mark,
    net: Rc<LocalNet>,
    own_port: Option<OwnPort>,
    gathered: Vec<Gathered>,
    gathering: Gathering,
    /// Candidates that came before their transport was opened.
    early: Vec<(Option<usize>, sdp::Candidate)>,
    transports: Vec<Transport>,
    status: IceStatus,
    /// Data channels that were asked for between our offer and its answer.
    early_channels: Vec<ChannelOptions>,
    limits: BandwidthLimits,
    remb: RembParams,
}

/// A local candidate: the address that ICE sends from, and how descriptions show it. Those of TCP come in twos, active and
/// passive, with one address for both (see [`crate::net::tcp`]).
#[derive(Clone)]
struct Gathered {
    address: SocketAddr,
    shown: sdp::Candidate,
}

struct Transport {
    rtc: Box<Rtc>,
    dtls: Watch,
    /// Our part in DTLS, which decides whose keys are whose.
    client: bool,
    lines: Vec<Line>,
    /// What sending needs of each line, in the same order.
    send_lines: Vec<SendLine>,
    /// Which line sends audio, video and data.
    sending: [Option<usize>; 3],
    /// Once the keys are known.
    outgoing: Option<Outgoing>,
    /// Where negotiated.
    data: Option<DataChannels>,
    cname: String,
    /// Our part in ICE, as negotiated.
    controlling: bool,
    /// Of datagrams that are neither STUN nor RTP, and of all datagrams but STUN, in bytes.
    sent: u64,
    received: u64,
    remote_candidates: Vec<sdp::Candidate>,
    /// From where the peer's STUN came.
    sources: Vec<SocketAddr>,
    /// Said once: there were too many candidates.
    candidates_full: bool,
    /// When str0m wants to be called.
    due: MediaTime,
    tcp: Connections,
    /// The one that media takes.
    way: Option<Way>,
    /// To the peer and back, as ICE measures it.
    round_trip: Option<std::time::Duration>,
    /// Once the keys are known, where the peer may send media.
    reception: Option<Reception>,
    /// ICE has begun its checks.
    checking: bool,
    /// ICE has finished its checks.
    ice_ready: bool,
    alive: bool,
}

struct Line {
    plan: LinePlan,
    inbound: Inbound,
    outbound: Outbound,
}

impl Transport {
    /// Its lines, and whom to speak with: with nobody while there is no way or no key.
    fn voice<'a>(&'a mut self, net: &'a LocalNet) -> (&'a mut [Line], Option<Voice<'a>>) {
        let voice = Voice::new(net, self.way.as_ref(), self.outgoing.as_mut(), &self.cname);
        (&mut self.lines, voice)
    }
}

impl WebRtcSession {
    /// Called on the worker on which it will live, whose driver offers a [`LocalNet`].
    pub fn new(context: &BuildContext<'_>, label: String, mark: Mark) -> Self {
        let net = context.local.downcast_ref::<Rc<LocalNet>>().expect("a media worker offers its network").clone();
        WebRtcSession {
            id: context.id,
            label,
            mark,
            net,
            own_port: None,
            gathered: Vec::new(),
            gathering: Gathering::default(),
            early: Vec::new(),
            transports: Vec::new(),
            status: IceStatus { transports: vec![TransportStatus::default()], ..IceStatus::default() },
            early_channels: Vec::new(),
            limits: BandwidthLimits::default(),
            remb: RembParams::default(),
        }
    }

    fn udp_port(&self) -> &Rc<UdpPort> {
        self.own_port.as_ref().map_or_else(|| self.net.shared_port(), |own| &own.port)
    }

    /// Asks to be woken when the first transport, or a delayed request, wants it.
    fn rearm(&mut self, out: &mut Outbox) {
        let alive = self.transports.iter().filter(|transport| transport.alive);
        let due = alive.flat_map(|transport| {
            let report = transport.outgoing.as_ref().and_then(|outgoing| outgoing.report_due);
            let lines = transport.lines.iter().filter_map(|line| line.inbound.due());
            let reports = transport.reception.as_ref().and_then(|reception| reception.report_due);
            let arrivals = transport.reception.as_ref().and_then(|reception| reception.arrivals.due());
            std::iter::once(transport.due)
                .chain(transport.held_due())
                .chain(report)
                .chain(reports)
                .chain(arrivals)
                .chain(lines)
        });
        let asking = self.gathering.due();
        out.wake_at(due.chain(asking).min());
    }

    fn on_deadline(&mut self, out: &mut Outbox) {
        let now = out.now();
        if self.gathering.due().is_some_and(|due| due <= now) {
            self.ask_reflexive(out);
        }
        for index in 0..self.transports.len() {
            // Without the peer's consent nothing may be sent to it (RFC 7675, section 5.1).
            if !self.transports[index].alive {
                continue;
            }
            self.ask_peer(index, now);
            self.report_sent(index, now);
            self.report_received(index, now);
            self.report_arrivals(index, now);
            if self.transports[index].held_due().is_some_and(|due| due <= now) {
                self.read_held(index, out);
            }
            if self.transports[index].due <= now {
                self.turn(index, out);
            }
        }
    }
}

impl Node for WebRtcSession {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            // The way of every packet: no deadline of ours moves before the pass is over.
            Input::Media { packet, more, .. } => match &packet.body {
                Body::Data(message) => self.send_message(message, more, out),
                Body::Rtp(_) => return self.send(packet, more, out),
                // Whatever is joined to a session of a network is converted on the way.
                Body::Coded(_) | Body::Picture(_) | Body::Sound(_) => return,
            },
            Input::Feedback { port, feedback } => match feedback {
                Feedback::KeyFrame => self.want_key_frame(PORTS[port.min(2)], out),
                Feedback::Bitrate(bps) => self.note_wish(PORTS[port.min(2)], bps, out.now()),
                Feedback::Wait(time) => self.wait_with_data(time, out.now()),
                // The engine answers it.
                Feedback::Start => {}
            },
            Input::Command(command) => match command.downcast::<SessionCommand>() {
                Ok(command) => self.command(*command, out),
                Err(_) => tracing::error!("a command that is not a session's"),
            },
            Input::Deadline => self.on_deadline(out),
        }
        self.rearm(out);
    }

    fn warm(&self, input: Port) {
        for transport in &self.transports {
            let Some(line) = transport.sending[input.min(2)].and_then(|at| transport.send_lines.get(at)) else {
                continue;
            };
            let next = line.history.as_ref().is_some_and(History::is_next_taken);
            let waits = transport.outgoing.as_ref().is_some_and(|outgoing| outgoing.report_due.is_some());
            std::hint::black_box((transport.way.is_some(), line.packets, next, waits));
        }
    }
}

impl Drop for WebRtcSession {
    fn drop(&mut self) {
        // Tell the peer: BYE and close_notify leave with the worker's next flush.
        for index in 0..self.transports.len() {
            if self.transports[index].alive {
                let _ = self.transports[index].rtc.close();
                self.say_goodbye(index);
            }
        }
        self.net.forget(self.id);
        let relay_dropped = self.gathering.dropped();
        tracing::info!(endpoint = %self.label, relay_dropped, "WebRTC session closed");
    }
}
