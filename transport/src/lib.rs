//! Floor 1: network to RTP and back. The only crate that sees str0m, UDP and SDP.
//!
//! Enters: datagrams, session descriptions and candidates, packets of the graph. Leaves: the same, the other way round.
//! It must never know JSON, sessions of applications, codecs' insides beyond where a key frame begins, or files.
//!
//! [`worker`] drives one share of the graph on one thread; [`net`] is its sockets and the map from addresses to sessions;
//! [`webrtc`] is `WebRtcEndpoint`, [`rtp_endpoint`] is `RtpEndpoint`, and `rtp` is what both do with media; [`sdp`] is text and what
//! follows from it; [`srtp`] and [`rtcp`] are bytes. [`testing`] runs a worker on simulated time over simulated networks.

mod negotiation;
pub mod net;
pub mod rtcp;
mod rtp;
pub mod rtp_endpoint;
pub mod sdp;
pub mod srtp;
pub mod testing;
pub mod webrtc;
pub mod worker;
