//! East: what a node wrote to an output goes to each consumer, through its gate, and to the next node's input.

use super::departure::Crossing;
use super::slot::{OutputPort, Sink};
use super::{Shard, Work};
use crate::door::Passage;
use crate::flow;
use crate::node::{HUB, Input, NodeId, Port};
use crate::notice::{ErrorKind, What};
use crate::packet::MAX_HOPS;
use crate::{Feedback, MediaKind, MediaTime, Packet};
use std::time::Duration;

/// How many consumers' memory is fetched together.
const WARMED: usize = 8;

impl Shard {
    /// Counts a packet at the output and queues it for the consumers, unless the worker is at its limit.
    pub(super) fn emit_media(&mut self, from: NodeId, port: Port, mut packet: Packet) {
        let share = self.shed.share();
        let Some(output) = self.output_mut(from, port) else {
            debug_assert!(self.slot(from).is_none(), "a node wrote to an output that it does not have");
            return;
        };
        let spec = output.spec;
        let starts = output.flow.count(packet.body.len()) && reports_flow(spec.kind, spec.description);
        let changes = output.gives(&packet.caps);
        let judged = spec.kind == MediaKind::Video && output.thinning.concerns(&packet, share);
        if starts {
            self.post(from, What::FlowOut { kind: spec.kind, pad: spec.description, flowing: true });
        }
        if changes && let Some(slot) = self.slot(from) {
            slot.facts.set_gives(port, packet.caps.clone());
        }
        self.arm_flow_tick(from, self.time);
        if judged && self.stays_out(from, port, &mut packet) {
            return;
        }
        self.queue.push_back(Work::Fan { from, port, packet });
    }

    /// Takes everything of this output that waits next in the queue, so that each consumer is visited once for all of it.
    pub(super) fn fan_out_burst(&mut self, from: NodeId, port: Port, first: Packet) {
        let mut burst = std::mem::take(&mut self.burst);
        burst.push(first);
        let same = |work: &mut Work| matches!(work, Work::Fan { from: f, port: p, .. } if (*f, *p) == (from, port));
        while let Some(Work::Fan { packet, .. }) = self.queue.pop_front_if(same) {
            burst.push(packet);
        }
        if from.worker != self.worker {
            self.land(from, port, &mut burst);
        }
        self.fan_out(from, port, &burst);
        burst.clear();
        self.burst = burst;
    }

    /// Hands one cheap clone of each packet to each consumer whose gate is open.
    fn fan_out(&mut self, from: NodeId, port: Port, burst: &[Packet]) {
        let now = self.time;
        let Some(output) = self.output_mut(from, port) else { return };
        let spec = output.spec;
        if spec.kind == MediaKind::Video && spec.description != HUB {
            let held = !output.late.is_empty();
            burst.iter().for_each(|packet| output.group.push(packet, held));
        }
        // Consumers are entered while the list is walked; it cannot change meanwhile, since commands wait for the pass to end.
        let mut sinks = std::mem::take(&mut output.sinks);
        let mut ask = false;
        let mut passing = std::mem::take(&mut self.arriving);
        for at in 0..sinks.len() {
            if at % WARMED == 0 {
                self.warm(&sinks[at..sinks.len().min(at + WARMED)]);
            }
            let sink = &mut sinks[at];
            for packet in burst {
                match sink.gate.pass(packet.key, now) {
                    Passage::Passes | Passage::Opens => {
                        let copy = sink.copy(packet);
                        passing.push(copy);
                    }
                    Passage::Diverted => {}
                    Passage::Stays => sink.dropped += 1,
                    Passage::StaysAndAsks => {
                        sink.dropped += 1;
                        ask = true;
                    }
                }
            }
            if sink.to.worker == self.worker {
                self.deliver_media(sink.to, sink.port, &mut passing);
            } else {
                passing.drain(..).for_each(|copy| self.peers.send_media(from, port, sink, copy, now, &mut ask));
            }
        }
        self.arriving = passing;
        let Some(output) = self.output_mut(from, port) else { return };
        output.sinks = sinks;
        if ask {
            self.ask_node(from, port);
        }
    }

    fn warm(&self, sinks: &[Sink]) {
        for sink in sinks.iter().filter(|sink| sink.to.worker == self.worker) {
            if let Some(slot) = self.nodes.get(sink.to.index as usize) {
                slot.node.warm(sink.port);
            }
        }
    }

    /// The output of a node that lives here, or the landing of one that does not.
    pub(super) fn output_mut(&mut self, node: NodeId, port: Port) -> Option<&mut OutputPort> {
        if node.worker != self.worker {
            return self.landings.get_mut(&(node, port));
        }
        self.slot_mut(node)?.outputs.get_mut(port)
    }

    /// Tells a node that a key frame is wanted of its output.
    pub(super) fn ask_node(&mut self, node: NodeId, port: Port) {
        let (from, feedback) = ((node, port), Feedback::KeyFrame);
        if node.worker == self.worker {
            self.queue.push_back(Work::Feedback { to: node, port, from, feedback, hops: 0 });
        } else {
            self.peers.stage(node.worker, Crossing::Feedback { to: node, port, from, feedback, hops: 0 });
        }
    }

    /// Hands packets that arrived together to the node behind an input. `packets` is empty afterwards.
    pub(super) fn deliver_media(&mut self, to: NodeId, port: Port, packets: &mut Vec<Packet>) {
        let now = self.time;
        if packets.iter().any(|packet| packet.hops > MAX_HOPS) {
            packets.retain(|packet| packet.hops <= MAX_HOPS);
            self.report_ring(to, now);
        }
        let slot = self.nodes.get_mut(to.index as usize).filter(|slot| slot.id.generation == to.generation);
        let Some(slot) = slot.filter(|_| !packets.is_empty()) else { return packets.clear() };
        let (latency, ticks) = (slot.latency, slot.flow_tick.is_some());
        let Some(input) = slot.inputs.get_mut(port) else { return packets.clear() };
        let mut starts = false;
        for packet in packets.iter() {
            starts |= input.flow.count(packet.body.len());
            if latency {
                input.flow.sample_latency(packet.entered, self.clock.now());
            }
        }
        if starts && reports_flow(input.spec.kind, input.spec.description) {
            let (kind, pad) = (input.spec.kind, input.spec.description);
            self.post(to, What::FlowIn { kind, pad, flowing: true });
        }
        if !ticks {
            self.arm_flow_tick(to, now);
        }
        self.guarded(to, |node, out| {
            let mut rest = packets.drain(..);
            while let Some(packet) = rest.next() {
                node.handle(Input::Media { port, packet, more: rest.len() > 0 }, out);
            }
        });
    }

    /// A packet went round a ring. Said once a second at most; the ring itself keeps turning only as long as it is fed.
    fn report_ring(&mut self, at: NodeId, now: MediaTime) {
        let Some(slot) = self.slot_mut(at) else { return };
        if slot.ring_reported.is_some_and(|then| now.since(then) < Duration::from_secs(1)) {
            return;
        }
        slot.ring_reported = Some(now);
        let description =
            format!("A packet crossed {MAX_HOPS} links and was dropped: the elements are connected in a ring");
        self.post(at, What::Error { kind: ErrorKind::Ring, description });
    }

    pub(super) fn sample_end_to_end(&mut self, at: NodeId, kind: MediaKind, entered: MediaTime) {
        let now = self.clock.now();
        if let Some(slot) = self.slot_mut(at)
            && slot.latency
            && let Some(input) = slot.inputs.iter_mut().find(|input| input.spec.kind == kind)
        {
            input.end_to_end.sample_latency(entered, now);
        }
    }

    fn arm_flow_tick(&mut self, id: NodeId, now: MediaTime) {
        let Some(slot) = self.slot_mut(id) else { return };
        if slot.flow_tick.is_none() {
            slot.flow_tick = Some(now + flow::TICK);
            self.arm(id);
        }
    }

    /// Looks at all meters of a node. The tick goes on while anything flows.
    pub(super) fn tick_flows(&mut self, id: NodeId, now: MediaTime) {
        let Some(slot) = self.slot_mut(id) else { return };
        let mut stopped = Vec::new();
        let mut flowing = false;
        for input in &mut slot.inputs {
            if input.flow.tick() && reports_flow(input.spec.kind, input.spec.description) {
                stopped.push(What::FlowIn { kind: input.spec.kind, pad: input.spec.description, flowing: false });
            }
            flowing |= input.flow.is_flowing();
        }
        for (port, output) in slot.outputs.iter_mut().enumerate() {
            if let Some(caps) = output.untold() {
                slot.facts.set_gives(port, caps);
            }
            if output.flow.tick() && reports_flow(output.spec.kind, output.spec.description) {
                stopped.push(What::FlowOut { kind: output.spec.kind, pad: output.spec.description, flowing: false });
            }
            flowing |= output.flow.is_flowing();
        }
        slot.flow_tick = flowing.then(|| now + flow::TICK);
        for what in stopped {
            self.post(id, what);
        }
    }
}

/// Data never raises flow events, and what goes on inside a hub is its own affair.
fn reports_flow(kind: MediaKind, description: &str) -> bool {
    kind != MediaKind::Data && description != HUB
}
