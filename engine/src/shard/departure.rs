//! To other workers: one bounded message per pass and worker, and in it each packet once. While a worker is behind, each road to
//! it queues at its own door and drops by its own policy; when there is room again the doors are emptied in order.

use super::landing::Control;
use super::slot::{Sink, Slot};
use super::{Shard, Work};
use crate::door::{Kept, Passage};
use crate::node::{NodeId, Port};
use crate::{Feedback, MediaTime, Packet};
use slab::Slab;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How soon a worker that was behind is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// Empty batches that are kept for their room: those that arrived leave again.
const SPARE: usize = 8;

/// Something that goes from one worker to another.
#[derive(Debug)]
pub enum Crossing {
    /// What an output gave, for all its consumers on that worker.
    Media {
        from: NodeId,
        output: Port,
        road: NodeId,
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

/// All that one pass sends to one worker.
pub type Batch = Vec<Crossing>;

struct Peer {
    way: mpsc::Sender<Batch>,
    staged: Batch,
    /// When to try again; set while the worker is behind.
    behind: Option<MediaTime>,
    /// Outputs with something in a door for this worker.
    waiting: Vec<(NodeId, Port)>,
}

pub(super) struct Peers {
    peers: Vec<Peer>,
    spare: Vec<Batch>,
}

impl Peers {
    pub fn new(ways: Vec<mpsc::Sender<Batch>>) -> Self {
        let peer = |way| Peer { way, staged: Vec::new(), behind: None, waiting: Vec::new() };
        Peers { peers: ways.into_iter().map(peer).collect(), spare: Vec::new() }
    }

    pub fn stage(&mut self, worker: u16, crossing: Crossing) {
        if let Some(peer) = self.peers.get_mut(usize::from(worker)) {
            peer.staged.push(crossing);
        }
    }

    /// Stages a packet, or queues it at the road's door while the far worker is behind; `ask` is set when that costs a gap
    /// up to the next key frame.
    pub fn send_media(
        &mut self,
        from: NodeId,
        output: Port,
        road: &mut Sink,
        mut packet: Packet,
        now: MediaTime,
        ask: &mut bool,
    ) {
        let Some(peer) = self.peers.get_mut(usize::from(road.to.worker)) else { return };
        // A road is no link: over there the packet crosses one to each consumer.
        packet.hops -= 1;
        if peer.behind.is_none() && road.door.is_empty() {
            peer.staged.push(Crossing::Media { from, output, road: road.to, packet });
        } else {
            peer.wait(from, output, road, packet, now, ask);
        }
    }

    pub fn next_try(&self) -> Option<MediaTime> {
        self.peers.iter().filter_map(|peer| peer.behind).min()
    }
}

impl Peer {
    /// Queues a packet at the door.
    fn wait(&mut self, from: NodeId, output: Port, road: &mut Sink, packet: Packet, now: MediaTime, ask: &mut bool) {
        let before = road.door.dropped;
        let kept = road.door.push(packet);
        road.dropped += road.door.dropped - before;
        if kept == Kept::DroppedToKeyFrame {
            road.gate.close();
            road.gate.note_asked(now);
            *ask = true;
        }
        road.gap |= kept != Kept::Queued;
        if !self.waiting.contains(&(from, output)) {
            self.waiting.push((from, output));
        }
    }
}

impl Shard {
    /// Takes in what another worker sent. Follow with [`Shard::run`].
    pub fn accept(&mut self, mut batch: Batch) {
        self.queue.extend(batch.drain(..).map(|crossing| match crossing {
            Crossing::Media { from, output, packet, .. } => Work::Fan { from, port: output, packet },
            Crossing::Feedback { to, port, from, feedback, hops } => Work::Feedback { to, port, from, feedback, hops },
            Crossing::Control(control) => Work::Control(control),
        }));
        if self.peers.spare.len() < SPARE {
            self.peers.spare.push(batch);
        }
    }

    /// Sends off what this pass staged.
    pub(super) fn depart(&mut self) {
        let now = self.time;
        for worker in 0..self.peers.peers.len() {
            if self.peers.peers[worker].behind.is_some() {
                self.empty_doors(worker, now);
            }
            let peer = &mut self.peers.peers[worker];
            if peer.staged.is_empty() {
                continue;
            }
            let empty = self.peers.spare.pop().unwrap_or_else(|| Batch::with_capacity(peer.staged.len()));
            match peer.way.try_send(std::mem::replace(&mut peer.staged, empty)) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(batch)) => {
                    peer.behind = Some(now + TRY_AGAIN);
                    tracing::debug!(from = self.worker, to = worker, "a worker is behind");
                    self.put_back(batch, worker);
                }
            }
        }
    }

    /// A batch that found no room: its packets go to the doors of their roads, everything else is kept for the next try.
    fn put_back(&mut self, batch: Batch, worker: usize) {
        let now = self.time;
        for crossing in batch {
            let Crossing::Media { from, output, road, mut packet } = crossing else {
                self.peers.peers[worker].staged.push(crossing);
                continue;
            };
            // The road may have been given up meanwhile: then nobody waits for the packet.
            let Some(sink) = find_road(&mut self.nodes, from, output, |sink| sink.to == road) else { continue };
            // What follows a drop waits for a key frame, though it had passed the gate before.
            let passage = sink.gate.pass(packet.key, now);
            let mut ask = passage == Passage::StaysAndAsks;
            if matches!(passage, Passage::Passes | Passage::Opens) {
                packet.discontinuity |= std::mem::take(&mut sink.gap);
                self.peers.peers[worker].wait(from, output, sink, packet, now, &mut ask);
            } else {
                sink.dropped += 1;
            }
            if ask {
                self.ask_node(from, output);
            }
        }
    }

    /// If the far worker has room again, empties the doors that lead to it into one batch.
    fn empty_doors(&mut self, worker: usize, now: MediaTime) {
        let peer = &mut self.peers.peers[worker];
        if peer.behind.is_some_and(|at| now < at) {
            return;
        }
        if peer.way.capacity() == 0 {
            peer.behind = Some(now + TRY_AGAIN);
            return;
        }
        peer.behind = None;
        for (from, output) in std::mem::take(&mut peer.waiting) {
            let leads = |sink: &Sink| sink.is_road() && usize::from(sink.to.worker) == worker;
            let Some(sink) = find_road(&mut self.nodes, from, output, leads) else { continue };
            while let Some(packet) = sink.door.pop() {
                peer.staged.push(Crossing::Media { from, output, road: sink.to, packet });
            }
        }
    }
}

fn find_road(nodes: &mut Slab<Slot>, from: NodeId, output: Port, is: impl Fn(&Sink) -> bool) -> Option<&mut Sink> {
    let slot = nodes.get_mut(from.index as usize).filter(|slot| slot.id.generation == from.generation)?;
    slot.outputs.get_mut(output)?.sinks.iter_mut().find(|sink| is(sink))
}
