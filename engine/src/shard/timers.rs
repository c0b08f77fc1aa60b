//! One heap of deadlines a worker. A node that moves its deadline with every packet costs nothing: the heap holds an entry
//! for the earliest time only, and an entry that comes too early is put back.

use super::Shard;
use crate::MediaTime;
use crate::node::{Input, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Deadlines at least this far away are rounded up to a multiple of [`GRID`], so that many nodes are woken together: waking a
/// thread that sleeps costs more than most of what it is woken for.
const FAR: Duration = Duration::from_millis(500);
const GRID: Duration = Duration::from_millis(50);

/// When a deadline is served that is set now.
fn served(at: MediaTime, now: MediaTime) -> MediaTime {
    if at.since(now) < FAR {
        return at;
    }
    MediaTime::from_nanos(at.as_nanos().next_multiple_of(GRID.as_nanos() as u64))
}

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
        let now = self.time;
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(at) = [slot.deadline, slot.flow_tick].into_iter().flatten().min() else { return };
        let at = served(at, now);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_far_away_come_together_and_never_too_early() {
        let at = MediaTime::from_millis;
        assert_eq!(served(at(1499), at(1000)), at(1499), "soon: to the point");
        assert_eq!(served(at(1501), at(1000)), at(1550));
        assert_eq!(served(at(1550), at(1000)), at(1550));
        assert_eq!(served(at(5), at(1000)), at(5), "already over");
    }
}
