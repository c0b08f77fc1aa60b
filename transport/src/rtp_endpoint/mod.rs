//! `RtpEndpoint`: a peer that speaks plain RTP, or SRTP with keys in the session description, as one element of the graph.
//!
//! Enters: a session description from the application, datagrams at ports of its own, packets from the graph. Leaves: our
//! description, datagrams, packets, and [`RtpEvent`]s. It must never know JSON, ICE or DTLS.
//!
//! [`RtpEndpoint`] is the control side; [`RtpSession`] is the node on a media worker. Each m-line has an even port for RTP and
//! the odd one after it for RTCP; nothing is bundled or multiplexed. What is sent goes through the same sending half as that of
//! `WebRtcEndpoint`, with keys that leave packets as they are where there is no SRTP.
//!
//! Nobody proves himself to a port of plain RTP, so each line holds on to one sender: see `session::lock`.

mod endpoint;
mod plan;
mod session;

pub use endpoint::{RtpConfig, RtpEndpoint, RtpOptions};
pub use plan::RtpEvent;
pub use session::RtpSession;
