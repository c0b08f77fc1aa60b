//! West: what a node says of an input reaches the node that feeds it, on whatever worker that lives.

use super::departure::Crossing;
use super::{Shard, Work};
use crate::Feedback;
use crate::bitrate::NO_LIMIT;
use crate::node::{Input, NodeId, Port};
use crate::packet::MAX_HOPS;
use std::time::Duration;

/// For how long one of several consumers of data may hold up what the others are waiting for.
const SHARED_WAIT: Duration = Duration::from_millis(100);

impl Shard {
    pub(super) fn emit_feedback(&mut self, from: NodeId, input: Port, feedback: Feedback, hops: u8) {
        let source = self.slot(from).and_then(|slot| slot.inputs.get(input)).and_then(|input| input.source);
        let Some((to, port)) = source else { return };
        // In a ring of elements feedback would go round forever; whoever has not heard it by now is no source.
        let Some(hops) = hops.checked_add(1).filter(|hops| *hops <= MAX_HOPS) else { return };
        if to.worker == self.worker || feedback == Feedback::Start {
            // Who begins is served by the landing where there is one.
            self.queue.push_back(Work::Feedback { to, port, from: (from, input), feedback, hops });
        } else {
            self.peers.stage(to.worker, Crossing::Feedback { to, port, from: (from, input), feedback, hops });
        }
    }

    pub(super) fn deliver_feedback(
        &mut self,
        to: NodeId,
        port: Port,
        from: (NodeId, Port),
        mut feedback: Feedback,
        hops: u8,
    ) {
        if feedback == Feedback::Start {
            if self.begin_again(to, port, from) {
                return;
            }
            feedback = Feedback::KeyFrame;
        }
        if to.worker != self.worker {
            self.peers.stage(to.worker, Crossing::Feedback { to, port, from, feedback, hops });
            return;
        }
        if let Feedback::Bitrate(bps) = feedback {
            let Some(governing) = self.merge_bitrate(to, port, from, bps) else { return };
            feedback = Feedback::Bitrate(governing);
        }
        if let Feedback::Wait(time) = feedback
            && self.has_other_consumers(to, port, from)
        {
            feedback = Feedback::Wait(time.min(SHARED_WAIT));
        }
        self.guarded(to, |node, out| {
            out.feedback_hops = hops;
            node.handle(Input::Feedback { port, feedback }, out);
        });
    }

    fn has_other_consumers(&self, node: NodeId, port: Port, consumer: (NodeId, Port)) -> bool {
        let Some(output) = self.slot(node).and_then(|slot| slot.outputs.get(port)) else { return false };
        let near = output.sinks.iter().any(|sink| !sink.is_road() && (sink.to, sink.port) != consumer);
        near || output.roads.iter().any(|road| road.leads_elsewhere(consumer))
    }

    /// Puts what one consumer of an output can take beside what the others can. `None` when the producer need not hear of it.
    fn merge_bitrate(&mut self, node: NodeId, port: Port, consumer: (NodeId, Port), bps: u64) -> Option<u64> {
        let (now, policy) = (self.time, self.bitrate_policy);
        let output = self.slot_mut(node)?.outputs.get_mut(port)?;
        let near = || output.sinks.iter().any(|sink| (sink.to, sink.port) == consumer);
        let connected = || near() || output.roads.iter().any(|road| road.leads_to(consumer));
        if bps == NO_LIMIT {
            output.demand.forget(consumer);
        } else if output.demand.knows(consumer) || connected() {
            output.demand.wish(consumer, bps, now);
        }
        output.demand.news(policy, now)
    }

    /// What a consumer could take counts no longer: it has left.
    pub(super) fn forget_bitrate(&mut self, node: NodeId, port: Port, consumer: (NodeId, Port)) {
        let (now, policy) = (self.time, self.bitrate_policy);
        let output = self.slot_mut(node).and_then(|slot| slot.outputs.get_mut(port));
        let Some(output) = output.filter(|output| output.demand.knows(consumer)) else { return };
        output.demand.forget(consumer);
        if let Some(bps) = output.demand.news(policy, now) {
            let feedback = Feedback::Bitrate(bps);
            self.guarded(node, |node, out| node.handle(Input::Feedback { port, feedback }, out));
        }
    }
}
