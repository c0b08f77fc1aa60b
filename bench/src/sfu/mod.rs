//! Servers that forward: what the tool needs of one, and an adapter a file. A further server (mediasoup, LiveKit, WHIP and
//! WHEP) is one more file here.
//!
//! An adapter speaks its server's signalling and drives a [`Negotiator`], which is a client that is not connected yet. It never
//! sees media, sockets or figures.

mod janus;
mod kurento;
mod process;
mod socket;

pub use janus::{Janus, JanusOptions};
pub use kurento::{Kurento, RiveroOptions};
use process::{Process, free_port};

use crate::sdp::SdpError;

#[derive(Debug, thiserror::Error)]
pub enum SfuError {
    #[error("{0} cannot be started: {1}")]
    NotStarted(String, String),
    #[error("the connection to the server: {0}")]
    Connection(String),
    #[error("the server refused {0}: {1}")]
    Refused(String, String),
    #[error("the server said nothing to {0} in time")]
    Silent(String),
    #[error("a description: {0}")]
    Sdp(#[from] SdpError),
    #[error("a client: {0}")]
    Client(#[from] std::io::Error),
}

/// A client on its way into a session.
pub trait Negotiator {
    /// The client's offer.
    fn offer(&mut self) -> Result<String, SfuError>;

    /// The server's answer to it; the client begins to connect.
    fn take_answer(&mut self, answer: &str) -> Result<(), SfuError>;

    /// The client's answer to a server's offer; the client begins to connect.
    fn answer(&mut self, offer: &str) -> Result<String, SfuError>;

    /// A candidate of the server that came later, as `candidate:…`.
    fn add_candidate(&mut self, line: &str);
}

/// What the server calls a participant; only its adapter understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat(pub String);

/// A running server.
pub trait Sfu {
    /// Its process.
    fn pid(&self) -> u32;

    /// Connects a publisher.
    fn publish(&mut self, peer: &mut dyn Negotiator) -> Result<Seat, SfuError>;

    /// Connects a viewer to what a publisher sends.
    fn view(&mut self, publisher: &Seat, peer: &mut dyn Negotiator) -> Result<Seat, SfuError>;

    /// Lets a participant go.
    fn leave(&mut self, seat: &Seat) -> Result<(), SfuError>;

    /// Ends the session and, where the adapter started it, the server.
    fn stop(&mut self);
}
