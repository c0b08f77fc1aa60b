//! Landing: what an output sends to another worker crosses once, however many consumers it has there.
//!
//! At home the other worker is one sink more: a [`Road`], with a gate and a door like any. Over there stands a landing, which is
//! the output once more: the consumers of that worker with their gates, and a group of pictures of its own, so that whoever comes
//! late is served where he lives. Only what a landing cannot answer goes home: one wish for a key frame for all.
//!
//! Enters: consumers that join or leave (commands reach the home first, and go on from there in order with the packets), and what
//! crossed. Leaves: packets in the landing's outgoing list as if a node had just written them. A landing must never touch the
//! memory of its home: what two cores count references in costs both of them.

use super::departure::Crossing;
use super::slot::{OutputPort, Sink};
use super::{LinkReport, Shard};
use crate::node::{NodeId, Port, PortSpec};
use crate::packet::{Message, Rtp};
use crate::{Body, Caps, MediaKind, Packet};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;

/// No node stands at this index: it marks the names of roads.
const ROAD: u32 = u32::MAX;

/// The way of an output to one other worker.
pub(super) struct Road {
    /// Names it among the sinks. The generation tells it from an earlier road to the same worker.
    name: NodeId,
    consumers: Vec<(NodeId, Port)>,
}

impl Road {
    pub fn leads_to(&self, consumer: (NodeId, Port)) -> bool {
        self.consumers.contains(&consumer)
    }

    /// Whether it leads to anybody but this consumer.
    pub fn leads_elsewhere(&self, consumer: (NodeId, Port)) -> bool {
        self.consumers.iter().any(|other| *other != consumer)
    }
}

impl Sink {
    pub fn is_road(&self) -> bool {
        self.to.index == ROAD
    }
}

/// What the home of an output asks of a worker that has consumers of it.
#[derive(Debug)]
pub enum Control {
    /// Makes the landing, with what the group of pictures holds by now.
    Land {
        from: NodeId,
        output: Port,
        spec: PortSpec,
        group: Vec<Packet>,
    },
    Join {
        from: NodeId,
        output: Port,
        consumer: (NodeId, Port),
        reply: oneshot::Sender<()>,
    },
    /// The last to leave takes the landing with him.
    Leave {
        from: NodeId,
        output: Port,
        consumer: (NodeId, Port),
        reply: oneshot::Sender<()>,
    },
}

impl Shard {
    /// How many outputs of other workers have consumers here.
    pub fn landings(&self) -> usize {
        self.landings.len()
    }

    /// Adds a consumer to an output that lives here, wherever the consumer lives.
    pub(super) fn join(&mut self, from: NodeId, output: Port, consumer: (NodeId, Port), reply: oneshot::Sender<()>) {
        if consumer.0.worker == self.worker {
            self.add_sink(from, output, consumer);
            // Whoever asked may have gone.
            let _ = reply.send(());
        } else if self.open_road(from, output, consumer) {
            let join = Control::Join { from, output, consumer, reply };
            self.peers.stage(consumer.0.worker, Crossing::Control(Box::new(join)));
        }
    }

    /// Takes a consumer from an output that lives here, or lived here.
    pub(super) fn leave(&mut self, from: NodeId, output: Port, consumer: (NodeId, Port), reply: oneshot::Sender<()>) {
        let worker = consumer.0.worker;
        if let Some(port) = self.output_mut(from, output) {
            port.sinks.retain(|sink| (sink.to, sink.port) != consumer);
            if let Some(at) = port.roads.iter().position(|road| road.name.worker == worker) {
                let road = &mut port.roads[at];
                road.consumers.retain(|other| *other != consumer);
                if road.consumers.is_empty() {
                    let name = port.roads.swap_remove(at).name;
                    port.sinks.retain(|sink| sink.to != name);
                }
            }
        }
        self.forget_bitrate(from, output, consumer);
        if worker == self.worker {
            let _ = reply.send(());
        } else {
            let leave = Control::Leave { from, output, consumer, reply };
            self.peers.stage(worker, Crossing::Control(Box::new(leave)));
        }
    }

    /// Makes sure that there is a road to the consumer's worker. False when there is no such output.
    fn open_road(&mut self, from: NodeId, output: Port, consumer: (NodeId, Port)) -> bool {
        let (now, worker) = (self.time, consumer.0.worker);
        let name = NodeId { worker, index: ROAD, generation: self.next_road };
        let Some(port) = self.output_mut(from, output) else { return false };
        if let Some(road) = port.roads.iter_mut().find(|road| road.name.worker == worker) {
            if !road.leads_to(consumer) {
                road.consumers.push(consumer);
            }
            return true;
        }
        port.roads.push(Road { name, consumers: vec![consumer] });
        let mut sink = Sink::new(name, 0, port.spec);
        // That something lies before it is said to each consumer over there.
        sink.gap = false;
        sink.gate.note_asked(now);
        let group = port.group.start().and_then(|start| port.group.rest(start)).unwrap_or_default().to_vec();
        if !group.is_empty() {
            sink.gate.open();
        }
        let spec = port.spec;
        port.sinks.push(sink);
        self.next_road = self.next_road.wrapping_add(1);
        let land = Control::Land { from, output, spec, group };
        self.peers.stage(worker, Crossing::Control(Box::new(land)));
        true
    }

    /// Does what the home of an output asks.
    pub(super) fn obey(&mut self, control: Control) {
        match control {
            Control::Land { from, output, spec, group } => {
                let mut landing = OutputPort::new(&spec);
                for mut packet in group {
                    take_over(&mut packet, &mut landing.caps);
                    landing.group.push(&packet, false);
                }
                self.landings.insert((from, output), landing);
            }
            Control::Join { from, output, consumer, reply } => {
                self.add_sink(from, output, consumer);
                let _ = reply.send(());
            }
            Control::Leave { from, output, consumer, reply } => {
                if let Some(landing) = self.landings.get_mut(&(from, output)) {
                    landing.sinks.retain(|sink| (sink.to, sink.port) != consumer);
                    if landing.sinks.is_empty() {
                        self.landings.remove(&(from, output));
                    }
                }
                let _ = reply.send(());
            }
        }
    }

    /// Takes over what crossed together, before it goes to the consumers here. What is at its limit is this worker, not the home.
    pub(super) fn land(&mut self, from: NodeId, output: Port, burst: &mut Vec<Packet>) {
        let share = self.shed.share();
        burst.retain_mut(|packet| {
            let Some(landing) = self.landings.get_mut(&(from, output)) else { return false };
            take_over(packet, &mut landing.caps);
            let judged = landing.spec.kind == MediaKind::Video && landing.thinning.concerns(packet, share);
            !(judged && self.stays_out(from, output, packet))
        });
    }

    /// The links of an element's outputs that end here, while the element lives elsewhere.
    pub(super) fn report_landings(&self, node: NodeId) -> Vec<(Port, LinkReport)> {
        let landings = self.landings.iter().filter(|((from, _), _)| *from == node);
        landings.flat_map(|((_, port), landing)| landing.sinks.iter().map(|sink| (*port, sink.report()))).collect()
    }
}

/// Puts a packet into memory of this worker's own. `caps` is the copy that the packets of a landing share.
fn take_over(packet: &mut Packet, caps: &mut Option<Caps>) {
    let own = match caps {
        Some(own) if *own == packet.caps => own,
        _ => caps.insert(packet.caps.apart()),
    };
    packet.caps = own.clone();
    packet.body = match &packet.body {
        // Few and large: what counting references costs is nothing beside copying them.
        body @ (Body::Coded(_) | Body::Picture(_) | Body::Sound(_)) => body.clone(),
        Body::Rtp(rtp) => {
            let payload = Bytes::copy_from_slice(&rtp.payload);
            let Rtp { ssrc, sequence, timestamp, marker, .. } = **rtp;
            Body::Rtp(Arc::new(Rtp { ssrc, sequence, timestamp, marker, payload }))
        }
        Body::Data(message) => {
            let bytes = Bytes::copy_from_slice(&message.bytes);
            Body::Data(Arc::new(Message { channel: Arc::from(&*message.channel), binary: message.binary, bytes }))
        }
    };
}
