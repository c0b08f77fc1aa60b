//! One worker's share of the graph: owns nodes, runs them to completion on one thread, without I/O.
//!
//! Enters: [`Command`]s from the control side, [`Batch`]es from other workers, and whatever the worker's driver hands to a node
//! through [`Shard::enter`]. Leaves: batches for other workers, notices, and the time of the next deadline. The driver calls
//! [`Shard::run`] after it has handed something in, and again at [`Shard::next_deadline`].
//!
//! By direction: `media` (east), `feedback` (west), `command` (from the north), `departure` and `landing` (to
//! other workers and from them), `timers`. Beside the
//! road: `catch_up` (consumers that come late) and `shed` (a worker at its limit).

mod catch_up;
mod command;
mod departure;
mod feedback;
mod landing;
mod media;
mod shed;
mod slot;
mod timers;

pub use command::{Build, BuildContext, Command, LinkReport, NodeReport, PortReport};
pub use departure::{Batch, Crossing};
pub use landing::Control;
pub use shed::ALL;

use crate::bitrate::BitratePolicy;
use crate::node::{NodeId, Outbox, Port};
use crate::notice::{ErrorKind, Notice, NoticeSink, What};
use crate::{Clock, Feedback, MediaTime, Node, Packet};
use catch_up::CatchingUp;
use departure::Peers;
use shed::Shed;
use slab::Slab;
use slot::{OutputPort, Slot};
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use timers::Timers;
use tokio::sync::mpsc;

/// What waits to be handed to a node of this shard.
enum Work {
    /// What an output gave, for all its consumers here.
    Fan {
        from: NodeId,
        port: Port,
        packet: Packet,
    },
    Feedback {
        to: NodeId,
        port: Port,
        from: (NodeId, Port),
        feedback: Feedback,
        hops: u8,
    },
    Control(Box<Control>),
}

pub struct Shard {
    worker: u16,
    clock: Arc<dyn Clock>,
    /// The time of the current pass: read once, the same for everyone in it.
    time: MediaTime,
    notices: NoticeSink,
    /// What the driver offers to nodes that are built here (sockets, for instance).
    local: Rc<dyn Any>,
    nodes: Slab<Slot>,
    next_generation: u32,
    queue: VecDeque<Work>,
    timers: Timers,
    peers: Peers,
    bitrate_policy: BitratePolicy,
    /// What comes from outputs of other workers, for consumers here.
    landings: HashMap<(NodeId, Port), OutputPort>,
    next_road: u32,
    catching_up: CatchingUp,
    shed: Shed,
    /// Where the node that is being entered writes; kept for its room.
    outbox: Option<Box<Outbox>>,
    /// Packets of one output on their way to its consumers; kept for its room.
    burst: Vec<Packet>,
    /// Packets of a burst on their way to one input; kept for its room.
    arriving: Vec<Packet>,
}

impl Shard {
    /// `peers[w]` leads to worker `w`; the entry of the shard itself is never used.
    pub fn new(
        worker: u16,
        clock: Arc<dyn Clock>,
        notices: NoticeSink,
        peers: Vec<mpsc::Sender<Batch>>,
        local: Rc<dyn Any>,
    ) -> Self {
        Shard {
            worker,
            time: clock.now(),
            notices,
            local,
            nodes: Slab::new(),
            next_generation: 1,
            queue: VecDeque::new(),
            timers: Timers::default(),
            bitrate_policy: BitratePolicy::default(),
            peers: Peers::new(peers),
            landings: HashMap::new(),
            next_road: 1,
            catching_up: CatchingUp::default(),
            shed: Shed::default(),
            outbox: None,
            burst: Vec::new(),
            arriving: Vec::new(),
            clock,
        }
    }

    /// Which consumers govern their producers' bitrates.
    pub fn set_bitrate_policy(&mut self, policy: BitratePolicy) {
        self.bitrate_policy = policy;
    }

    fn refresh_time(&mut self) {
        self.time = self.clock.now();
    }

    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Hands something of the driver's to a node, such as a datagram to the session that it belongs to. `None` when the
    /// node is gone or of another type. Follow with [`Shard::run`] once everything that arrived together is handed in.
    pub fn enter<N: Node, R>(&mut self, id: NodeId, action: impl FnOnce(&mut N, &mut Outbox) -> R) -> Option<R> {
        self.refresh_time();
        self.guarded(id, |node, out| (node as &mut dyn Any).downcast_mut::<N>().map(|node| action(node, out))).flatten()
    }

    /// Fires what is due, delivers until nothing is left to deliver, and sends off the batches.
    pub fn run(&mut self) {
        self.refresh_time();
        self.note_lateness();
        self.fire_timers(self.time);
        self.hand_portions();
        while let Some(work) = self.queue.pop_front() {
            match work {
                Work::Fan { from, port, packet } => self.fan_out_burst(from, port, packet),
                Work::Feedback { to, port, from, feedback, hops } => {
                    self.deliver_feedback(to, port, from, feedback, hops);
                }
                Work::Control(control) => self.obey(*control),
            }
        }
        self.depart();
    }

    /// When [`Shard::run`] should be called next, if nothing arrives before.
    pub fn next_deadline(&self) -> Option<MediaTime> {
        [self.timers.next(), self.peers.next_try(), self.catching_up.next()].into_iter().flatten().min()
    }

    fn slot(&self, id: NodeId) -> Option<&Slot> {
        self.nodes.get(id.index as usize).filter(|slot| slot.id.generation == id.generation)
    }

    fn slot_mut(&mut self, id: NodeId) -> Option<&mut Slot> {
        self.nodes.get_mut(id.index as usize).filter(|slot| slot.id.generation == id.generation)
    }

    /// Enters a node behind the panic guard and hands on what it wrote. A panic costs that node, never the worker.
    fn guarded<R>(&mut self, id: NodeId, action: impl FnOnce(&mut dyn Node, &mut Outbox) -> R) -> Option<R> {
        let now = self.time;
        let slot = self.nodes.get_mut(id.index as usize).filter(|slot| slot.id.generation == id.generation)?;
        let mut out = self.outbox.take().unwrap_or_else(|| Box::new(Outbox::new(now)));
        out.at(now);
        out.latency = slot.latency;
        let result = catch_unwind(AssertUnwindSafe(|| action(slot.node.as_mut(), &mut out)));
        match result {
            Ok(result) => {
                self.hand_on(id, &mut out);
                self.outbox = Some(out);
                Some(result)
            }
            Err(panic) => {
                self.bury(id, panic_text(panic.as_ref()));
                None
            }
        }
    }

    /// Queues what a node wrote.
    fn hand_on(&mut self, from: NodeId, out: &mut Outbox) {
        for (port, packet) in out.media.drain(..) {
            self.emit_media(from, port, packet);
        }
        for (port, feedback) in out.feedback.drain(..) {
            self.emit_feedback(from, port, feedback, out.feedback_hops);
        }
        out.feedback_hops = 0;
        for what in out.notices.drain(..) {
            self.post(from, what);
        }
        if let Some(wake) = out.wake.take() {
            self.set_deadline(from, wake);
        }
        for (port, takes) in out.takes.drain(..) {
            if let Some(slot) = self.slot(from) {
                slot.facts.set_takes(port, takes);
            }
        }
        for (kind, entered) in out.left.drain(..) {
            self.sample_end_to_end(from, kind, entered);
        }
    }

    fn post(&self, from: NodeId, what: What) {
        if let Some(slot) = self.slot(from) {
            (self.notices)(Notice { at: self.time, element: slot.element, what });
        }
    }

    /// Takes a node that panicked out of the graph. Its neighbours' entries for it meet nothing from now on.
    fn bury(&mut self, id: NodeId, why: String) {
        let Some(slot) = self.nodes.try_remove(id.index as usize) else { return };
        let element = slot.element;
        tracing::error!(element = element.0, "a node panicked and is taken out of the graph: {why}");
        // Its own destructor may panic as well.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(slot)));
        let what =
            What::Error { kind: ErrorKind::Panic, description: format!("The element broke and was stopped: {why}") };
        (self.notices)(Notice { at: self.time, element, what });
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}
