//! The worker half of an element. A node owns its state, sees one input at a time, never blocks, never locks, and writes
//! what it has to say to an [`Outbox`]. What it writes is handed on after it returns: delivery is a queue, never recursion.

use crate::notice::{ErrorKind, What};
use crate::{MediaKind, MediaTime, Packet, Takes};
use std::any::Any;
use std::time::Duration;

/// Names a node on its worker. The generation makes a name that outlived its node meet nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    pub worker: u16,
    pub index: u32,
    pub generation: u32,
}

/// Position of a port in its node's list of inputs or outputs.
pub type Port = usize;

/// The description of ports that applications connect.
pub const DEFAULT: &str = "default";
/// The description of the ports between a hub and its `HubPort`s.
pub const HUB: &str = "hub";

/// A typed mouth of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    pub kind: MediaKind,
    /// Kurento's media description.
    pub description: &'static str,
}

impl PortSpec {
    pub const fn new(kind: MediaKind, description: &'static str) -> Self {
        PortSpec { kind, description }
    }
}

/// The three default ports, in the order audio, video, data.
pub const DEFAULT_PORTS: [PortSpec; 3] = [
    PortSpec::new(MediaKind::Audio, DEFAULT),
    PortSpec::new(MediaKind::Video, DEFAULT),
    PortSpec::new(MediaKind::Data, DEFAULT),
];

/// What flows west.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A consumer cannot decode until it gets a key frame.
    KeyFrame,
    /// A consumer is ready now and has seen nothing so far: begin again, at a key frame. Answered by the feeding output
    /// from its group of pictures where it has one; else it becomes [`Feedback::KeyFrame`].
    Start,
    /// A consumer's path carries this much, in bps; [`NO_LIMIT`](crate::bitrate::NO_LIMIT) takes the last word back. What all
    /// consumers of an output say is merged there ([`bitrate`](crate::bitrate)): its producer hears the value that governs.
    Bitrate(u64),
    /// A consumer of data holds so much that it wants no more for so long. Where others would have to wait too, the producer
    /// hears of a short time at most.
    Wait(Duration),
}

/// Everything that a node can be woken by.
pub enum Input {
    /// From the node that feeds this input.
    ///
    /// `more`: the next input of this node is another packet that arrived together with this one at the same port, so that
    /// what is done once for all of them can wait for the last.
    Media { port: Port, packet: Packet, more: bool },
    /// From a consumer of this output.
    Feedback { port: Port, feedback: Feedback },
    /// From the control side; only the node knows its commands' type.
    Command(Box<dyn Any + Send>),
    /// The time asked for by [`Outbox::wake_at`] has come.
    Deadline,
}

pub trait Node: Any {
    fn handle(&mut self, input: Input, out: &mut Outbox);

    /// Reads what handing over media to this input will touch, and does nothing with it. Called for several nodes in a row before
    /// the first of them gets its packet, so that their memory is fetched at the same time and not one after another: with
    /// hundreds of consumers that is most of what user space costs. Only nodes of which there are so many need it.
    fn warm(&self, _input: Port) {}
}

/// Where a node writes.
pub struct Outbox {
    now: MediaTime,
    pub(crate) media: Vec<(Port, Packet)>,
    pub(crate) feedback: Vec<(Port, Feedback)>,
    /// Links that feedback written now has already crossed: feedback goes round rings too.
    pub(crate) feedback_hops: u8,
    pub(crate) notices: Vec<What>,
    /// Outer: whether it was said; inner: what was said.
    pub(crate) wake: Option<Option<MediaTime>>,
    pub(crate) takes: Vec<(Port, Takes)>,
    pub(crate) latency: bool,
    pub(crate) left: Vec<(MediaKind, MediaTime)>,
}

impl Outbox {
    pub(crate) fn new(now: MediaTime) -> Self {
        Outbox {
            now,
            media: Vec::new(),
            feedback: Vec::new(),
            feedback_hops: 0,
            notices: Vec::new(),
            wake: None,
            takes: Vec::new(),
            latency: false,
            left: Vec::new(),
        }
    }

    pub(crate) fn at(&mut self, now: MediaTime) {
        self.now = now;
    }

    pub fn now(&self) -> MediaTime {
        self.now
    }

    /// East, to everyone that is connected to this output.
    pub fn media(&mut self, port: Port, packet: Packet) {
        self.media.push((port, packet));
    }

    /// West, to whoever feeds this input.
    pub fn feedback(&mut self, port: Port, feedback: Feedback) {
        self.feedback.push((port, feedback));
    }

    /// South.
    pub fn notice(&mut self, what: What) {
        self.notices.push(what);
    }

    /// South, with a type of an upper floor inside.
    pub fn tell<T: Any + Send>(&mut self, what: T) {
        self.notices.push(What::Other(Box::new(what)));
    }

    pub fn error(&mut self, description: impl Into<String>) {
        self.notices.push(What::Error { kind: ErrorKind::Element, description: description.into() });
    }

    /// Replaces the node's deadline; `None` lets it sleep.
    pub fn wake_at(&mut self, at: Option<MediaTime>) {
        self.wake = Some(at);
    }

    /// Says what this input takes from now on. Until then it takes anything.
    pub fn takes(&mut self, port: Port, takes: Takes) {
        self.takes.push((port, takes));
    }

    /// Says that media which entered the pipeline at `entered` has left it here: an end-to-end latency sample, where latencies
    /// are measured.
    pub fn left(&mut self, kind: MediaKind, entered: MediaTime) {
        if self.latency {
            self.left.push((kind, entered));
        }
    }
}
