//! What a session tells the control side: events as they happen, and reports when asked.

use super::data::DataReport;
use crate::sdp::{Candidate, Fingerprint};
use rivero_engine::MediaKind;

/// Kurento's `IceComponentState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IceState {
    #[default]
    Disconnected,
    Gathering,
    Connecting,
    Connected,
    Ready,
    Failed,
}

impl IceState {
    pub fn name(self) -> &'static str {
        match self {
            IceState::Disconnected => "DISCONNECTED",
            IceState::Gathering => "GATHERING",
            IceState::Connecting => "CONNECTING",
            IceState::Connected => "CONNECTED",
            IceState::Ready => "READY",
            IceState::Failed => "FAILED",
        }
    }
}

/// Kurento's `DtlsConnectionState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DtlsState {
    #[default]
    New,
    Connecting,
    Connected,
    Failed,
    Closed,
}

impl DtlsState {
    pub fn name(self) -> &'static str {
        match self {
            DtlsState::New => "NEW",
            DtlsState::Connecting => "CONNECTING",
            DtlsState::Connected => "CONNECTED",
            DtlsState::Failed => "FAILED",
            DtlsState::Closed => "CLOSED",
        }
    }
}

/// The pair that media takes, as candidate lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidatePair {
    pub local: String,
    pub remote: String,
}

/// A transport is numbered from 1, as Kurento numbers its ICE streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebRtcEvent {
    /// One for each m-line that the candidate serves.
    CandidateFound {
        candidate: String,
        mid: String,
        index: usize,
    },
    GatheringDone,
    IceState {
        stream: usize,
        state: IceState,
    },
    PairSelected {
        stream: usize,
        pair: CandidatePair,
    },
    DtlsState {
        stream: usize,
        state: DtlsState,
    },
    /// Every transport can carry media, or no longer.
    Connection {
        connected: bool,
    },
    /// The peer's RTCP is seen, or no longer.
    Media {
        connected: bool,
    },
    /// Messages can be sent and received on a data channel; `stream` is its SCTP stream.
    DataChannelOpened {
        stream: u16,
    },
    /// Told of each channel whose opening was told.
    DataChannelClosed {
        stream: u16,
    },
}

/// The state of one transport.
#[derive(Clone, Debug, Default)]
pub struct TransportStatus {
    pub ice: IceState,
    pub dtls: DtlsState,
    pub pair: Option<CandidatePair>,
}

/// Where the ICE of an endpoint stands.
#[derive(Clone, Debug, Default)]
pub struct IceStatus {
    pub transports: Vec<TransportStatus>,
    pub connected: bool,
    pub media: bool,
}

/// Counters of one RTP stream (RFC 3550, section 6.4; W3C webrtc-stats).
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// The number of its transport, from 1.
    pub transport: usize,
    pub kind: Option<MediaKind>,
    pub ssrc: u32,
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Below zero when packets come twice.
    pub lost: i64,
    /// 0 to 1.
    pub fraction_lost: f64,
    /// Seconds.
    pub jitter: f64,
    /// Seconds; of an outbound stream.
    pub round_trip: f64,
    pub fir: u64,
    pub pli: u64,
    pub nack: u64,
    /// bps; of video.
    pub remb: u64,
}

/// One transport whose handshake is done.
#[derive(Clone, Debug)]
pub struct TransportReport {
    /// As in events, from 1.
    pub stream: usize,
    /// Of all datagrams but those of ICE, as they are on the network, in bytes; the same for what came.
    pub sent: u64,
    pub received: u64,
    pub local: Vec<Candidate>,
    pub remote: Vec<Candidate>,
    /// The pair that media takes, of which both are among the candidates.
    pub pair: Option<(Candidate, Candidate)>,
    /// Of that pair (RFC 8445, section 6.1.2.3).
    pub pair_priority: u64,
    /// Seconds, as ICE measures it.
    pub round_trip: Option<f64>,
    pub local_certificate: CertificateReport,
    pub remote_certificate: Option<CertificateReport>,
}

#[derive(Clone, Debug)]
pub struct CertificateReport {
    /// The certificate itself, in DER.
    pub der: Vec<u8>,
    pub fingerprint: Fingerprint,
}

#[derive(Clone, Debug, Default)]
pub struct SessionReport {
    pub transports: Vec<TransportReport>,
    pub inbound: Vec<StreamReport>,
    pub outbound: Vec<StreamReport>,
    pub status: IceStatus,
    /// `None` where data channels are not negotiated.
    pub data: Option<DataReport>,
}
