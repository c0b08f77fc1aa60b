//! West: what a node says of an input reaches the node that feeds it, on whatever worker that lives.

use super::departure::Crossing;
use super::{Shard, Work};
use crate::Feedback;
use crate::node::{Input, NodeId, Port};
use crate::packet::MAX_HOPS;

impl Shard {
    pub(super) fn emit_feedback(&mut self, from: NodeId, input: Port, feedback: Feedback, hops: u8) {
        let source = self.slot(from).and_then(|slot| slot.inputs.get(input)).and_then(|input| input.source);
        let Some((to, port)) = source else { return };
        // In a ring of elements feedback would go round forever; whoever has not heard it by now is no source.
        let Some(hops) = hops.checked_add(1).filter(|hops| *hops <= MAX_HOPS) else { return };
        if to.worker == self.worker {
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
        self.guarded(to, |node, out| {
            out.feedback_hops = hops;
            node.handle(Input::Feedback { port, feedback }, out);
        });
    }
}
