//! RTP as both endpoints speak it: what one line receives and sends, whoever its peer is and however it is keyed.
//!
//! Enters: packets that were opened, packets of the graph, the peer's reports and wishes, the time. Leaves: packets for the graph,
//! sealed packets and RTCP for the peer. It must never know ICE, session descriptions, or which endpoint it works for.
//!
//! What comes: [`header`] reads it, [`source`] tells what is new, [`inbound`] makes packets of it and asks the peer for what is missing
//! ([`missing`]), for key frames ([`keyframe`]) and for a bitrate ([`bitrates`]), each said by a [`voice`]; [`latency`] tells how its
//! streams lie to each other. What goes: [`sending`]
//! and [`outgoing`] with [`format`] for the payload types, [`rewrite`] for the numbers and [`history`] for what may be asked for again;
//! [`outbound`] is what the peer says of it.

pub(crate) mod bitrates;
pub(crate) mod format;
pub(crate) mod header;
pub(crate) mod history;
pub(crate) mod inbound;
pub(crate) mod keyframe;
pub(crate) mod latency;
pub(crate) mod missing;
pub(crate) mod outbound;
pub(crate) mod outgoing;
pub(crate) mod rewrite;
pub(crate) mod sending;
pub(crate) mod source;
pub(crate) mod voice;

use history::Record;
use rivero_engine::MediaKind;
use std::cell::Cell;

/// Room that a worker's sessions lend each other: only one of them is at work at a time.
#[derive(Default)]
pub struct Scratch {
    sending: Cell<Vec<(u64, Record)>>,
    /// What incoming RTCP is opened into.
    pub opened: Cell<Vec<u8>>,
}

/// The port of a node for a kind, in the engine's default order.
pub(crate) fn port_of(kind: MediaKind) -> usize {
    MediaKind::ALL.iter().position(|port| *port == kind).unwrap_or(2)
}
