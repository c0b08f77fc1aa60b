//! What the control side tells a session to do: the negotiated facts, without any text.

use super::bitrate::{BandwidthLimits, RembParams};
use super::data::{ChannelOptions, DataChannelError};
use super::event::SessionReport;
use crate::net::nat::TurnUrl;
use crate::rtp::format::PayloadType;
use crate::sdp::Candidate;
use rivero_engine::MediaKind;
use std::net::{IpAddr, SocketAddr};
use tokio::sync::{mpsc, oneshot};

/// One accepted m-line.
#[derive(Clone, Debug)]
pub struct LinePlan {
    /// Position in the description.
    pub index: usize,
    pub kind: MediaKind,
    /// We may send.
    pub sends: bool,
    /// We expect to receive.
    pub receives: bool,
    /// In preference order; empty for data.
    pub payload_types: Vec<PayloadType>,
    pub local_ssrc: u32,
    pub remote_ssrcs: Vec<u32>,
    /// The id of the abs-send-time header extension, if negotiated.
    pub abs_send_time: Option<u8>,
    /// The id of the transport-wide sequence number extension, if it and its feedback are negotiated.
    pub transport_cc: Option<u8>,
    /// The id of the extension that carries the line's tag, and the tag, if negotiated.
    pub mid: Option<(u8, String)>,
    /// The source on which we send again what was lost; only where a payload type has `rtx`.
    pub local_rtx_ssrc: Option<u32>,
    /// The source on which the peer sends again, if it announced one.
    pub remote_rtx_ssrc: Option<u32>,
}

/// One transport: an ICE agent, a DTLS association and the m-lines on it.
#[derive(Clone, Debug)]
pub struct TransportPlan {
    pub local_ufrag: String,
    pub local_pwd: String,
    pub remote_ufrag: String,
    pub remote_pwd: String,
    /// `sha-256 AA:BB…`
    pub remote_fingerprint: String,
    pub controlling: bool,
    pub dtls_active: bool,
    /// The canonical name of our sources (RFC 3550, section 6.5.1).
    pub cname: String,
    pub lines: Vec<LinePlan>,
    /// Where data channels are negotiated: the longest message in bytes that the peer takes.
    pub data: Option<u32>,
    pub remote_candidates: Vec<Candidate>,
}

/// What is to be gathered.
#[derive(Clone, Debug)]
pub struct GatherPlan {
    /// The addresses to offer, as they are on this machine.
    pub addresses: Vec<IpAddr>,
    /// What the descriptions say instead of those of a family.
    pub external_v4: Option<IpAddr>,
    pub external_v6: Option<IpAddr>,
    /// Offers TCP beside UDP.
    pub tcp: bool,
    /// The addresses of the STUN server, best first.
    pub stun: Vec<SocketAddr>,
    /// The TURN server to ask for a relay.
    pub turn: Option<TurnUrl>,
    /// Where candidates go that are found after the reply.
    pub later: mpsc::Sender<Candidate>,
    /// Uses a port of its own rather than the worker's.
    pub own_port: bool,
    /// The m-lines that share each transport: their mids and positions.
    pub transports: Vec<Vec<(String, usize)>>,
}

/// What a session understands.
pub enum SessionCommand {
    Open {
        transports: Vec<TransportPlan>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    Gather {
        plan: GatherPlan,
        /// What was found at once. The rest is told as [`super::WebRtcEvent`]s, and goes to `later`.
        reply: oneshot::Sender<Result<Vec<Candidate>, String>>,
    },
    /// For the transport of an m-line; `None` for all.
    AddCandidate {
        index: Option<usize>,
        candidate: Candidate,
    },
    /// The limits hold from now on, the parameters for lines that are opened from now on.
    SetBandwidths {
        limits: BandwidthLimits,
        params: RembParams,
    },
    RequestKeyFrame {
        reply: oneshot::Sender<bool>,
    },
    Report {
        reply: oneshot::Sender<SessionReport>,
    },
    CreateDataChannel {
        options: ChannelOptions,
        /// We have offered data channels, and wait for the answer.
        offered: bool,
        reply: oneshot::Sender<Result<(), DataChannelError>>,
    },
    /// By its SCTP stream.
    CloseDataChannel {
        stream: u16,
        reply: oneshot::Sender<Result<(), DataChannelError>>,
    },
}
