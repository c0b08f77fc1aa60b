//! `WebRtcEndpoint`: a browser, or anything that speaks its protocols, as one element of the graph.
//!
//! Enters: a session description and candidates from the application, datagrams from the worker's sockets, packets from the
//! graph. Leaves: our description and candidates, datagrams, packets, and [`WebRtcEvent`]s. It must never know JSON, or how
//! Kurento words an event.
//!
//! Two halves, as everywhere: [`WebRtcEndpoint`] is the control side; it negotiates, and holds the facts that applications
//! ask for. [`WebRtcSession`] is the node on a media worker; it owns one `Rtc` of str0m for each transport (one with BUNDLE,
//! otherwise one for each m-line). All of str0m stays behind this folder: it changes its interface at nearly every minor version.
//!
//! ICE, DTLS and SCTP are str0m's. RTP and RTCP are ours in both directions (`crate::rtp`, `session::reception`), keyed by the
//! handshake that [`WorkerCrypto`] watches. One packet for a hundred viewers is shared by all of them; each has its own
//! numbers for it, and seals it straight into the worker's send buffer, so that what arrived together leaves in one system
//! call a viewer. NACK is answered from the same shared packets, byte for byte or on RTX; reports go out once a second while
//! something is sent or received.
//!
//! A peer that vanishes is noticed when its consent has expired (RFC 7675): ICE asks each five seconds, sooner and sooner once an
//! answer is missing, and gives up after eight requests.
//!
//! How str0m is driven, what else was tried, and where the keying material is reached: see below.
//!
#![doc = include_str!("routes.md")]
#![doc = include_str!("costs.md")]
#![doc = include_str!("limits.md")]

mod arrivals;
pub mod bitrate;
mod certificate;
mod crypto;
mod data;
mod endpoint;
pub(crate) mod event;
mod extension;
pub(crate) mod plan;
pub(crate) mod session;

pub use crate::negotiation::NegotiationError;
pub use crate::rtp::header::header_length;
pub use crate::rtp::keyframe::starts_key_frame;
pub use certificate::{Certificate, CertificateError, asks_passphrase};
pub use crypto::{Handshake, Watch, WorkerCrypto};
pub use data::{ChannelOptions, ChannelReport, ChannelState, DataChannelError, DataReport, MOST_CHANNELS};
pub use endpoint::{EndpointOptions, WebRtcConfig, WebRtcEndpoint};
pub use event::{
    CandidatePair, CertificateReport, DtlsState, IceState, IceStatus, SessionReport, StreamReport, TransportReport,
    TransportStatus, WebRtcEvent,
};
pub use session::WebRtcSession;
