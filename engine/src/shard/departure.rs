//! To other workers: one bounded message per pass and worker. While a worker is behind, each link to it queues at its own
//! door and drops by its own policy; when there is room again the doors are emptied in order.

use super::slot::Sink;
use super::{Shard, Work};
use crate::door::Kept;
use crate::node::{NodeId, Port};
use crate::{Feedback, MediaTime, Packet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How soon a worker that was behind is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Something that goes from one worker to another.
#[derive(Debug)]
pub enum Crossing {
    Media { to: NodeId, port: Port, packet: Packet },
    Feedback { to: NodeId, port: Port, from: (NodeId, Port), feedback: Feedback, hops: u8 },
}

/// All that one pass sends to one worker.
pub type Batch = Vec<Crossing>;

struct Peer {
    road: mpsc::Sender<Batch>,
    staged: Batch,
    /// When to try again; set while the worker is behind.
    behind: Option<MediaTime>,
    /// Outputs with something in a door for this worker.
    waiting: Vec<(NodeId, Port)>,
}

pub(super) struct Peers(Vec<Peer>);

impl Peers {
    pub fn new(roads: Vec<mpsc::Sender<Batch>>) -> Self {
        let peer = |road| Peer { road, staged: Vec::new(), behind: None, waiting: Vec::new() };
        Peers(roads.into_iter().map(peer).collect())
    }

    pub fn stage(&mut self, worker: u16, crossing: Crossing) {
        if let Some(peer) = self.0.get_mut(usize::from(worker)) {
            peer.staged.push(crossing);
        }
    }

    /// Stages a packet, or queues it at the link's door while the far worker is behind; `ask` is set when that costs a gap
    /// up to the next key frame.
    pub fn send_media(
        &mut self,
        from: NodeId,
        output: Port,
        sink: &mut Sink,
        packet: Packet,
        now: MediaTime,
        ask: &mut bool,
    ) {
        let Some(peer) = self.0.get_mut(usize::from(sink.to.worker)) else { return };
        if peer.behind.is_none() && sink.door.is_empty() {
            peer.staged.push(Crossing::Media { to: sink.to, port: sink.port, packet });
            return;
        }
        let before = sink.door.dropped;
        let kept = sink.door.push(packet);
        sink.dropped += sink.door.dropped - before;
        if kept == Kept::DroppedToKeyFrame {
            sink.gate.close();
            sink.gate.note_asked(now);
            *ask = true;
        }
        sink.gap |= kept != Kept::Queued;
        if !peer.waiting.contains(&(from, output)) {
            peer.waiting.push((from, output));
        }
    }

    pub fn next_try(&self) -> Option<MediaTime> {
        self.0.iter().filter_map(|peer| peer.behind).min()
    }
}

impl Shard {
    /// Takes in what another worker sent. Follow with [`Shard::run`].
    pub fn accept(&mut self, batch: Batch) {
        self.queue.extend(batch.into_iter().map(|crossing| match crossing {
            Crossing::Media { to, port, packet } => Work::Media { to, port, packet },
            Crossing::Feedback { to, port, from, feedback, hops } => Work::Feedback { to, port, from, feedback, hops },
        }));
    }

    /// Sends off what this pass staged.
    pub(super) fn depart(&mut self) {
        let now = self.time;
        for worker in 0..self.peers.0.len() {
            if self.peers.0[worker].behind.is_some() {
                self.empty_doors(worker, now);
            }
            let peer = &mut self.peers.0[worker];
            if peer.staged.is_empty() {
                continue;
            }
            match peer.road.try_send(std::mem::take(&mut peer.staged)) {
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

    /// A batch that found no room: its packets go to the doors of their links, feedback is kept for the next try.
    fn put_back(&mut self, batch: Batch, worker: usize) {
        let now = self.time;
        for crossing in batch {
            match crossing {
                Crossing::Feedback { .. } => self.peers.0[worker].staged.push(crossing),
                Crossing::Media { to, port, packet } => {
                    let found = self.nodes.iter_mut().find_map(|(_, slot)| {
                        let id = slot.id;
                        let mut outputs = slot.outputs.iter_mut().enumerate();
                        outputs.find_map(|(output, o)| {
                            let sink = o.sinks.iter_mut().find(|sink| sink.to == to && sink.port == port)?;
                            Some((id, output, sink))
                        })
                    });
                    let Some((from, output, sink)) = found else { continue };
                    let mut ask = false;
                    self.peers.send_media(from, output, sink, packet, now, &mut ask);
                    if ask {
                        self.ask_node(from, output);
                    }
                }
            }
        }
    }

    /// If the far worker has room again, empties the doors that lead to it into one batch.
    fn empty_doors(&mut self, worker: usize, now: MediaTime) {
        let peer = &mut self.peers.0[worker];
        if peer.behind.is_some_and(|at| now < at) {
            return;
        }
        if peer.road.capacity() == 0 {
            peer.behind = Some(now + TRY_AGAIN);
            return;
        }
        peer.behind = None;
        let mut batch = std::mem::take(&mut peer.staged);
        for (from, output) in std::mem::take(&mut peer.waiting) {
            let slot = self.nodes.get_mut(from.index as usize).filter(|s| s.id.generation == from.generation);
            let Some(output) = slot.and_then(|slot| slot.outputs.get_mut(output)) else { continue };
            for sink in output.sinks.iter_mut().filter(|sink| usize::from(sink.to.worker) == worker) {
                while let Some(packet) = sink.door.pop() {
                    batch.push(Crossing::Media { to: sink.to, port: sink.port, packet });
                }
            }
        }
        self.peers.0[worker].staged = batch;
    }
}
