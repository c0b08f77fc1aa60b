//! From the north: what the control side asks of a worker. Every command that changes the graph is answered, so that the
//! control side can order its steps across workers.

use super::Shard;
use super::slot::{Sink, Slot};
use crate::node::{DEFAULT, Input, NodeId, Port, PortSpec};
use crate::notice::ElementId;
use crate::takes::PortFacts;
use crate::{Caps, MediaKind, MediaTime, Node};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a node is told of the place where it is built.
pub struct BuildContext<'a> {
    pub now: MediaTime,
    pub id: NodeId,
    pub element: ElementId,
    /// What the worker's driver offers.
    pub local: &'a dyn Any,
}

/// Makes the node on its worker, once.
pub type Build = Box<dyn FnOnce(&BuildContext<'_>) -> Box<dyn Node> + Send>;

pub enum Command {
    Add {
        facts: Arc<PortFacts>,
        inputs: Vec<PortSpec>,
        outputs: Vec<PortSpec>,
        build: Build,
        reply: oneshot::Sender<Option<NodeId>>,
    },
    Remove {
        node: NodeId,
        reply: oneshot::Sender<()>,
    },
    /// Tells an input who feeds it, or that nobody does.
    SetSource {
        node: NodeId,
        port: Port,
        source: Option<(NodeId, Port)>,
        reply: oneshot::Sender<()>,
    },
    AddSink {
        node: NodeId,
        port: Port,
        to: NodeId,
        to_port: Port,
        reply: oneshot::Sender<()>,
    },
    RemoveSink {
        node: NodeId,
        port: Port,
        to: NodeId,
        to_port: Port,
        reply: oneshot::Sender<()>,
    },
    /// Of the node's own.
    Tell {
        node: NodeId,
        command: Box<dyn Any + Send>,
    },
    MeasureLatency {
        node: NodeId,
        on: bool,
    },
    Report {
        node: NodeId,
        reply: oneshot::Sender<Option<NodeReport>>,
    },
    /// The links on this worker of an element that lives on another.
    ReportLandings {
        node: NodeId,
        reply: oneshot::Sender<Vec<(Port, LinkReport)>>,
    },
}

/// What a shard says of one node.
#[derive(Debug, Default)]
pub struct NodeReport {
    pub inputs: Vec<PortReport>,
    pub outputs: Vec<PortReport>,
}

#[derive(Debug)]
pub struct PortReport {
    pub kind: MediaKind,
    pub description: &'static str,
    pub flowing: bool,
    pub packets: u64,
    pub bytes: u64,
    pub caps: Option<Caps>,
    /// Frames of an output that stayed out because the worker was at its limit.
    pub left_out: u64,
    /// Moving average in ns since packets entered the pipeline, at this input.
    pub latency: Option<f64>,
    /// The same when they left through this element.
    pub end_to_end: Option<f64>,
    /// Of an output: one for each consumer. A shard knows those on its own worker; the control side adds the others.
    pub links: Vec<LinkReport>,
    /// Of an output: each other worker with consumers of it, and what was dropped on the way there.
    pub roads: Vec<(u16, u64)>,
}

#[derive(Debug)]
pub struct LinkReport {
    pub to: NodeId,
    pub port: Port,
    pub packets: u64,
    pub bytes: u64,
    pub dropped: u64,
    /// Waits for a key frame.
    pub gated: bool,
}

impl Shard {
    /// Follow with [`Shard::run`].
    pub fn apply(&mut self, command: Command) {
        self.refresh_time();
        // Whoever asked may have gone: an answer that nobody reads is no error.
        match command {
            Command::Add { facts, inputs, outputs, build, reply } => {
                let _ = reply.send(self.add(facts, &inputs, &outputs, build));
            }
            Command::Remove { node, reply } => {
                self.remove(node);
                let _ = reply.send(());
            }
            Command::SetSource { node, port, source, reply } => {
                if let Some(input) = self.slot_mut(node).and_then(|slot| slot.inputs.get_mut(port)) {
                    input.source = source;
                }
                let _ = reply.send(());
            }
            Command::AddSink { node, port, to, to_port, reply } => {
                self.join(node, port, (to, to_port), reply);
            }
            Command::RemoveSink { node, port, to, to_port, reply } => {
                self.leave(node, port, (to, to_port), reply);
            }
            Command::Tell { node, command } => {
                self.guarded(node, |node, out| node.handle(Input::Command(command), out));
            }
            Command::MeasureLatency { node, on } => {
                if let Some(slot) = self.slot_mut(node) {
                    slot.latency = on;
                    for input in slot.inputs.iter_mut().filter(|_| !on) {
                        input.flow.latency = None;
                        input.end_to_end.latency = None;
                    }
                }
            }
            Command::Report { node, reply } => {
                let _ = reply.send(self.slot(node).map(report));
            }
            Command::ReportLandings { node, reply } => {
                let _ = reply.send(self.report_landings(node));
            }
        }
    }

    fn add(
        &mut self,
        facts: Arc<PortFacts>,
        inputs: &[PortSpec],
        outputs: &[PortSpec],
        build: Build,
    ) -> Option<NodeId> {
        let element = facts.element();
        let index = u32::try_from(self.nodes.vacant_key()).ok()?;
        let id = NodeId { worker: self.worker, index, generation: self.next_generation };
        let context = BuildContext { now: self.time, id, element, local: &*self.local };
        let node = catch_unwind(AssertUnwindSafe(|| build(&context))).ok()?;
        self.next_generation = self.next_generation.wrapping_add(1);
        self.nodes.insert(Slot::new(id, element, facts, node, inputs, outputs));
        Some(id)
    }

    fn remove(&mut self, id: NodeId) {
        if self.slot(id).is_some() {
            let slot = self.nodes.remove(id.index as usize);
            if catch_unwind(AssertUnwindSafe(move || drop(slot))).is_err() {
                tracing::error!("a node panicked while it was dropped");
            }
        }
    }

    /// Adds a consumer that lives here to an output, or to the landing of one.
    pub(super) fn add_sink(&mut self, node: NodeId, port: Port, (to, to_port): (NodeId, Port)) {
        let now = self.time;
        let Some(output) = self.output_mut(node, port) else { return };
        output.sinks.retain(|sink| (sink.to, sink.port) != (to, to_port));
        let mut sink = Sink::new(to, to_port, output.spec);
        let gated = sink.gate.is_closed();
        if gated {
            sink.gate.note_asked(now);
        }
        output.sinks.push(sink);
        if gated && !self.begin_again(node, port, (to, to_port)) {
            // A new viewer starts at a key frame: ask for one now rather than at the first packet that it cannot use.
            self.ask_node(node, port);
        }
    }
}

fn report(slot: &Slot) -> NodeReport {
    let inputs = slot.inputs.iter().map(|input| PortReport {
        kind: input.spec.kind,
        description: input.spec.description,
        flowing: input.flow.is_flowing(),
        packets: input.flow.packets,
        bytes: input.flow.bytes,
        caps: None,
        left_out: 0,
        latency: input.flow.latency,
        end_to_end: input.end_to_end.latency,
        links: Vec::new(),
        roads: Vec::new(),
    });
    let outputs = slot.outputs.iter().map(|output| PortReport {
        kind: output.spec.kind,
        description: output.spec.description,
        flowing: output.flow.is_flowing(),
        packets: output.flow.packets,
        bytes: output.flow.bytes,
        caps: output.caps.clone(),
        left_out: output.thinning.frames,
        latency: None,
        end_to_end: None,
        links: output.sinks.iter().filter(|sink| !sink.is_road()).map(Sink::report).collect(),
        roads: output.sinks.iter().filter(|sink| sink.is_road()).map(|road| (road.to.worker, road.dropped)).collect(),
    });
    NodeReport { inputs: inputs.collect(), outputs: outputs.collect() }
}

impl Sink {
    pub(super) fn report(&self) -> LinkReport {
        LinkReport {
            to: self.to,
            port: self.port,
            packets: self.packets,
            bytes: self.bytes,
            dropped: self.dropped,
            gated: self.gate.is_closed(),
        }
    }
}

impl NodeReport {
    /// The input that applications know by this kind and description (`default` when they name none).
    pub fn input(&self, kind: MediaKind, description: Option<&str>) -> Option<&PortReport> {
        find(&self.inputs, kind, description)
    }

    pub fn output(&self, kind: MediaKind, description: Option<&str>) -> Option<&PortReport> {
        find(&self.outputs, kind, description)
    }
}

fn find<'a>(ports: &'a [PortReport], kind: MediaKind, description: Option<&str>) -> Option<&'a PortReport> {
    let description = description.unwrap_or(DEFAULT);
    ports.iter().find(|port| port.kind == kind && port.description == description)
}
