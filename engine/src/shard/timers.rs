//! One heap of deadlines a worker. A node that moves its deadline with every packet costs nothing: the heap holds an entry
//! for the earliest time only, and an entry that comes too early is put back.

use super::Shard;
use crate::MediaTime;
use crate::node::{Input, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(MediaTime, NodeId)>>,
}

impl Timers {
    pub fn next(&self) -> Option<MediaTime> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn pop_due(&mut self, now: MediaTime) -> Option<NodeId> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, id))| id)
    }
}

impl Shard {
    pub(super) fn set_deadline(&mut self, id: NodeId, at: Option<MediaTime>) {
        if let Some(slot) = self.slot_mut(id) {
            slot.deadline = at;
            self.arm(id);
        }
    }

    /// Makes sure that the heap has an entry no later than the earliest thing this node waits for.
    pub(super) fn arm(&mut self, id: NodeId) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(at) = [slot.deadline, slot.flow_tick].into_iter().flatten().min() else { return };
        if slot.armed.is_none_or(|armed| at < armed) {
            slot.armed = Some(at);
            self.timers.heap.push(Reverse((at, id)));
        }
    }

    pub(super) fn fire_timers(&mut self, now: MediaTime) {
        // Whoever asks for a time that has already come is served in the next run, so that nobody can hold up the worker.
        let mut due = Vec::new();
        while let Some(id) = self.timers.pop_due(now) {
            due.push(id);
        }
        for id in due {
            let Some(slot) = self.slot_mut(id) else { continue };
            if slot.armed.is_none_or(|armed| armed > now) {
                // A later entry already stands for this node.
                continue;
            }
            slot.armed = None;
            let fires = slot.deadline.is_some_and(|at| at <= now);
            if fires {
                slot.deadline = None;
            }
            if slot.flow_tick.is_some_and(|at| at <= now) {
                self.tick_flows(id, now);
            }
            if fires {
                self.guarded(id, |node, out| node.handle(Input::Deadline, out));
            }
            self.arm(id);
        }
    }
}
