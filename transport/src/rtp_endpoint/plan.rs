//! What the two halves tell each other: the negotiated facts of each line without any text, and what happens to the session.

use crate::rtp::format::PayloadType;
use crate::sdp::Crypto;
use crate::webrtc::SessionReport;
use crate::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_engine::MediaKind;
use std::net::SocketAddr;
use tokio::sync::oneshot;

/// One accepted m-line.
#[derive(Clone, Debug)]
pub struct LinePlan {
    /// Which of the bound pairs of ports is its own.
    pub place: usize,
    pub kind: MediaKind,
    /// We may send.
    pub sends: bool,
    /// We expect to receive.
    pub receives: bool,
    /// In preference order.
    pub payload_types: Vec<PayloadType>,
    pub local_ssrc: u32,
    /// Where the peer says that it is, for RTP and for RTCP; `None` where it says nothing that can be sent to.
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    /// The peer is where it sends from (RFC 4145).
    pub comedia: bool,
    /// The id of the abs-send-time header extension, if negotiated.
    pub abs_send_time: Option<u8>,
    /// What the peer wants to receive at most (its `b=` lines), in bps.
    pub most: Option<u64>,
    /// Our key and the peer's; `None` for plain RTP.
    pub keys: Option<(Crypto, Crypto)>,
}

/// What a session understands.
pub enum RtpCommand {
    /// Opens pairs of ports, and answers the even ones.
    Bind {
        pairs: usize,
        reply: oneshot::Sender<Result<Vec<u16>, String>>,
    },
    Open {
        lines: Vec<LinePlan>,
        cname: String,
        reply: oneshot::Sender<Result<(), String>>,
    },
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpEvent {
    /// Media can be sent and received.
    Connection { connected: bool },
    /// The peer's RTCP is seen, or no longer.
    Media { connected: bool },
    /// A key of this kind's line has been used for nearly as long as it may be.
    KeySoftLimit { kind: MediaKind },
}
