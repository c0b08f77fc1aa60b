//! Floor 0: the graph. Who is joined to whom, how media crosses a link, when it drops.
//!
//! Enters: commands from the control side ([`graph`]), packets and feedback from nodes, the time (always an argument or a
//! [`time::Clock`]). Leaves: packets for nodes, batches for other workers, [`notice::Notice`]s for whoever subscribed.
//! It must never know a socket, a file, JSON, a codec's bit stream or any library of the floors above.
//!
//! The two halves: a [`graph::Pipeline`] and its [`graph::Element`]s are handles of the control side, cheap to clone, which
//! cannot touch media. A [`shard::Shard`] is one worker's share of the graph: it owns nodes and runs them to completion, one
//! input at a time, on one thread. Between the halves go bounded command queues; between shards go bounded batches.
//!
//! Where a sink does not take what its source gives ([`takes`]), the control side puts converters between them, which a floor above
//! makes ([`toolbox`]).

pub mod bitrate;
pub mod caps;
pub mod door;
pub mod elements;
pub mod error;
pub mod flow;
pub mod frame;
pub mod graph;
pub mod group;
pub mod hubs;
pub mod node;
pub mod notice;
pub mod packet;
pub mod shard;
pub mod takes;
pub mod testing;
pub mod time;
pub mod toolbox;

pub use caps::{Caps, Codec, Form, MediaKind};
pub use error::EngineError;
pub use frame::{Coded, Picture, Plane, Sound};
pub use graph::{Element, Engine, Pipeline};
pub use node::{Feedback, Input, Node, NodeId, Outbox, Port, PortSpec};
pub use notice::{Notice, What};
pub use packet::{Body, Message, Packet, Rtp};
pub use takes::Takes;
pub use time::{Clock, MediaTime};
pub use toolbox::{CodingSettings, Toolbox};
