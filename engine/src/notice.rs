//! What leaves to the south: things that happened, for whoever subscribed. Kurento's events are made of them upstairs.

use crate::{MediaKind, MediaTime};
use std::any::Any;
use std::sync::Arc;

/// Names an element for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementId(pub u64);

impl ElementId {
    /// Of what concerns no element alone: no element has this name.
    pub const NONE: ElementId = ElementId(0);
}

#[derive(Debug)]
pub struct Notice {
    pub at: MediaTime,
    pub element: ElementId,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// Media began or ceased to arrive at an input (`MediaFlowInStateChanged`).
    FlowIn { kind: MediaKind, pad: &'static str, flowing: bool },
    /// Media began or ceased to leave the element (`MediaFlowOutStateChanged`).
    FlowOut { kind: MediaKind, pad: &'static str, flowing: bool },
    /// A consumer takes an output as it is, or not (`MediaTranscodingStateChanged`).
    Transcoding { kind: MediaKind, transcoding: bool },
    /// A worker forwards this share of its video from now on, in eighths ([`crate::shard::ALL`] is everything). Of no element.
    Overload { worker: u16, share: u8 },
    /// Something broke; the rest of the graph plays on.
    Error { kind: ErrorKind, description: String },
    /// Of a floor above: only that floor knows the type inside.
    Other(Box<dyn Any + Send>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The node panicked and was taken out of the graph.
    Panic,
    /// A packet crossed [`crate::packet::MAX_HOPS`] links: the graph has a ring.
    Ring,
    /// The sink takes no format that the source has, and there is no converter.
    Format,
    /// Of a node.
    Element,
}

/// Where notices go. Called on media workers: it must not block.
pub type NoticeSink = Arc<dyn Fn(Notice) + Send + Sync>;
