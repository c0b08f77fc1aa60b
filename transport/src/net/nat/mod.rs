//! How a session is reached from beyond a NAT: the public address of its own port (STUN, RFC 8489) and an address that a
//! relay lends it (TURN, RFC 8656).
//!
//! Enters: addresses of servers, datagrams of peers, the time. Leaves: the same the other way round, and addresses to offer
//! as candidates. It must never know sessions, ICE or media: whoever owns a [`reflexive::Query`] or a [`drive::RelayHandle`]
//! says what its datagrams mean.
//!
//! [`address`] reads what configuration and applications write; [`reflexive`] asks a STUN server; [`relay`] is an allocation
//! on a TURN server, both without sockets and clocks; [`drive`] gives an allocation its socket; `wire` and `transaction`
//! are the messages and their retransmission.
//!
//! Only the codec comes from a library (`stun-types`). Its sister for TURN clients does not pad channel data on streams
//! (RFC 8656, section 12.5), which breaks every relay over TCP and TLS, and keeps the server's error codes to itself.

pub mod address;
pub mod drive;
pub mod reflexive;
pub mod relay;
mod socket;
mod transaction;
mod wire;

pub use address::{Host, ServerAddress, TurnTransport, TurnUrl, TurnUrlError};
pub use drive::{RelayHandle, RelayNews, Relayed, open_relay};
pub use reflexive::{Query, QueryOutput};
pub use relay::{Allocation, RelayError, RelayOutput, RelaySettings};
