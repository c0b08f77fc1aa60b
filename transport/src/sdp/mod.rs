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
//! negotiate (RFC 3264, RFC 9429), [`describe_gathered`] adds what ICE has found (RFC 8839), [`write`] makes text.
//! The model keeps every attribute as it came; the typed readers in [`attributes`] interpret them when asked.
//!
//! # Which server the answers resemble
//!
//! The order of lines and the choice of attributes are those of Kurento Media Server 7.3, including what looks odd:
//! session attributes of the offer are copied into the answer, every acceptable payload type stays (never the best
//! one only), `transport-cc` and RTX are declined, a bandwidth limit shows in offers but not in answers, and the
//! payload types of an offered video line begin after a gap.
//!
//! # Deliberate differences
//!
//! Each of them differs from Kurento only where the peer would otherwise be misled or the text would be invalid:
//!
//! * The session attributes `ice-lite`, `end-of-candidates` and `identity` of an offer are not copied: said by us they
//!   would claim that we are a lite agent (RFC 8445 §2.5), have no more candidates, or are the peer itself (RFC 8827).
//! * The default candidate in the `m=` and `c=` lines is a UDP one where there is one, because the protocol of the line
//!   says UDP (RFC 8839 §4.2.1); Kurento takes the lowest priority, which is often a TCP port.
//! * A refused `m=` line keeps `c=IN IP4 0.0.0.0` once the session's `c=` line has given way to those of the media
//!   lines, because each media line must have one (RFC 8866 §5.7).
//! * A `bundle-only` line with port 0 is taken, with the transport of its group, as RFC 8843 §6 has it. Browsers write such
//!   lines under the `max-bundle` policy; no recording of Kurento shows one.
//! * A refused or recycled line (port 0) does not use up the one audio or video line that an endpoint takes, so that
//!   a browser which stopped one transceiver and added another is still served.

pub mod attributes;
pub mod candidate;
mod error;
mod model;
mod negotiate;
mod parse;
mod write;

pub use attributes::{
    Direction, ExtMap, Fingerprint, Group, Rid, RtcpFeedback, RtpMap, Setup, Simulcast, SsrcGroup, SsrcLine,
};
pub use candidate::{Address, Candidate, CandidateError, CandidateType, Related, TcpType, Transport};
pub use error::SdpError;
pub use model::{Attribute, Bandwidth, Connection, Media, Origin, SessionDescription};
pub use negotiate::{
    ABS_SEND_TIME, Codec, DtlsRole, IceCredentials, Kind, LocalCodec, LocalMedia, LocalSession, Negotiated,
    NegotiatedMedia, OfferOptions, OfferedMedia, Remote, answer, describe_gathered, offer, process_answer,
};
pub use parse::{MAX_LINES_PER_SECTION, MAX_MEDIA, MAX_TEXT_BYTES, parse};
pub use write::write;

#[cfg(test)]
mod tests;
