//! ICE over TCP (RFC 6544): what UDP carries for other peers, in a stream with lengths in it (RFC 4571).
//!
//! Enters: connections of peers to the worker's listening socket, and the addresses at which a peer listens. Leaves: packets
//! and where they came from; a [`TcpLink`] to answer through. It must never know what a session makes of them.
//!
//! ICE thinks in datagrams between two addresses, hence each connection has a pair of them by which it is found:
//!
//! | connection | local address | remote address |
//! |---|---|---|
//! | accepted (we are passive) | where it was accepted: our own address and the listening port | where it comes from |
//! | made by us (we are active) | our own address and **the listening port**, not the one that it leaves from | where the peer listens |
//!
//! So one local candidate a machine's address serves both ways, and ICE forms its pairs with the peer's passive candidates as it
//! does for UDP. Its first check to such a pair opens the connection. A peer's active candidates are no address at all: it
//! comes from wherever it comes, and is known as peer reflexive from its first request.
//!
//! What strangers can do is bounded: a connection must begin with a STUN request for a session that is here, and must have
//! proved to know the password within [`FIRST_WORD`] and [`FIRST_BYTES`]; until then it counts against [`MOST_WAITING`].

mod admission;
mod connections;
pub mod framing;
mod link;
mod listener;
mod worker;

pub use admission::{Admission, MOST_WAITING, MOST_WAITING_EACH, Waiting};
pub use connections::{ATTEMPTS, Connections, MOST_LINKS, MOST_PASSIVE};
pub use framing::{FrameReader, FrameTooLong};
pub use link::{CONNECTING, FIRST_BYTES, FIRST_WORD, IDLE, MOST_QUEUED, Receiver, TcpLink};
pub use listener::TcpPort;
pub use worker::WorkerTcp;
