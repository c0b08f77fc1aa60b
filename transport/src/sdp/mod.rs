//! SDP: the text that two peers exchange before any packet, and the facts that follow from it.
//!
//! What enters: a peer's session description as text, our own capabilities, keys and identifiers as plain values.
//! What leaves: our description as text, and [`Negotiated`], the facts that a transport needs to open a session.
//! What it must never know: sockets, clocks, random numbers, str0m. Ports, keys, SSRCs and ids are arguments, so
//! that the same input always gives the same answer.
//!
//! # The way through
//!
//! [`parse`] reads text into a [`SessionDescription`] (RFC 8866), [`answer`] or [`offer`] and [`process_answer`]
//! negotiate (RFC 3264, RFC 9429), [`describe_gathered`] adds what ICE has found (RFC 8839), [`write()`] makes text.
//! The model keeps every attribute as it came; the typed readers in [`attributes`] interpret them when asked.
//!
//! # Which server the answers resemble
//!
//! The order of lines and the choice of attributes are those of Kurento Media Server 7.3, including what looks odd:
//! session attributes of the offer are copied into the answer, every acceptable payload type stays (never the best
//! one only), `transport-cc` and RTX are declined unless they are switched on, a bandwidth limit shows in offers but
//! not in answers, and the payload types of an offered video line begin after a gap.
//!
#![doc = include_str!("differences.md")]

pub mod attributes;
mod bandwidth;
pub mod base64;
pub mod candidate;
mod crypto;
mod error;
mod model;
mod negotiate;
mod parse;
mod write;

pub use attributes::{
    Direction, ExtMap, Fingerprint, Group, Rid, RtcpFeedback, RtpMap, Setup, Simulcast, SsrcGroup, SsrcLine,
};
pub use candidate::{Address, Candidate, CandidateError, CandidateType, Related, TcpType, Transport};
pub use crypto::Crypto;
pub use error::SdpError;
pub use model::{Attribute, Bandwidth, Connection, Media, Origin, SessionDescription};
pub use negotiate::{
    ABS_SEND_TIME, AudioVideo, Codec, DtlsRole, IceCredentials, Kind, LocalCodec, LocalLines, LocalMedia, LocalSession,
    MAX_MESSAGE_SIZE, MID, Modern, Negotiated, NegotiatedMedia, OfferOptions, OfferedMedia, Remote, RtpLine, RtpLocal,
    TRANSPORT_CC, answer, answer_rtp, describe_gathered, offer, offer_rtp, process_answer, process_rtp_answer,
    set_ports,
};
pub use parse::{MAX_LINES_PER_SECTION, MAX_MEDIA, MAX_TEXT_BYTES, parse};
pub use write::write;

#[cfg(test)]
mod tests;
