//! A worker's sockets: receives in batches, sends what sessions wrote, and knows which session a datagram belongs to.

mod demux;
mod interfaces;
mod local;
mod mark;
pub mod nat;
mod pair;
mod path;
mod port;
mod send;
pub mod tcp;
mod wire;

pub use demux::Demux;
pub use interfaces::local_addresses;
pub use local::{Datagram, LocalNet, NetSettings, OwnPort};
pub use mark::Mark;
pub use pair::PortPair;
pub use path::{Path, Relay};
pub use port::UdpPort;
pub use send::{SendBuffer, Way};
pub use wire::{OnWire, Wire};

pub use demux::Route;
pub(crate) use demux::is_stun;
