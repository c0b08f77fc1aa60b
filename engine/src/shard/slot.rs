//! What the shard keeps of each node: who feeds it, whom it feeds, what flowed.

use super::catch_up::Late;
use super::landing::Road;
use super::shed::Thinning;
use crate::bitrate::Demand;
use crate::door::{Door, Gate, Policy};
use crate::flow::FlowMeter;
use crate::group::Group;
use crate::node::{NodeId, Port, PortSpec};
use crate::notice::ElementId;
use crate::takes::PortFacts;
use crate::{Caps, MediaTime, Node, Packet};
use std::sync::Arc;

pub(super) struct Slot {
    pub id: NodeId,
    pub element: ElementId,
    /// What the control side knows of the ports.
    pub facts: Arc<PortFacts>,
    pub node: Box<dyn Node>,
    pub inputs: Vec<InputPort>,
    pub outputs: Vec<OutputPort>,
    /// What the node asked for.
    pub deadline: Option<MediaTime>,
    /// When the flow meters are looked at next; `None` while nothing flows.
    pub flow_tick: Option<MediaTime>,
    /// The earliest entry of this slot in the timer heap.
    pub armed: Option<MediaTime>,
    /// Latencies are measured.
    pub latency: bool,
    pub ring_reported: Option<MediaTime>,
}

pub(super) struct InputPort {
    pub spec: PortSpec,
    pub source: Option<(NodeId, Port)>,
    pub flow: FlowMeter,
    pub end_to_end: FlowMeter,
}

pub(super) struct OutputPort {
    pub spec: PortSpec,
    pub caps: Option<Caps>,
    /// How often other caps were told since the last tick of the flow meters.
    pub told_caps: u8,
    pub flow: FlowMeter,
    /// Of video only.
    pub group: Group,
    /// What the consumers' paths carry.
    pub demand: Demand<(NodeId, Port)>,
    /// Those on this worker, and each road to another.
    pub sinks: Vec<Sink>,
    pub roads: Vec<Road>,
    /// Those of the consumers that are still behind.
    pub late: Vec<Late>,
    /// What is left out while the worker is at its limit: of video only.
    pub thinning: Thinning,
}

/// The entry of one consumer at its producer.
pub(super) struct Sink {
    pub to: NodeId,
    pub port: Port,
    pub gate: Gate,
    /// Of a road, and used only while the far worker is behind.
    pub door: Door,
    pub packets: u64,
    pub bytes: u64,
    /// Kept out by the gate or dropped at the door.
    pub dropped: u64,
    /// The next packet to pass follows a gap.
    pub gap: bool,
}

impl Sink {
    pub fn new(to: NodeId, port: Port, spec: PortSpec) -> Self {
        Sink {
            to,
            port,
            gate: Gate::new(spec.kind),
            door: Door::new(Policy::of(spec.kind)),
            packets: 0,
            bytes: 0,
            dropped: 0,
            gap: true,
        }
    }
}

impl Sink {
    /// Counts a packet, and makes the cheap clone that goes to this consumer.
    pub fn copy(&mut self, packet: &Packet) -> Packet {
        self.packets += 1;
        self.bytes += packet.body.len() as u64;
        let mut copy = packet.clone();
        copy.hops += 1;
        copy.discontinuity |= std::mem::take(&mut self.gap);
        copy
    }
}

/// Whoever sends another codec with each packet shall not keep the control side busy: this often between two ticks is enough.
const MOST_CAPS: u8 = 4;

impl OutputPort {
    /// Notes what leaves. True when it is other than before and to be told.
    pub fn gives(&mut self, caps: &Caps) -> bool {
        if self.caps.as_ref() == Some(caps) {
            return false;
        }
        self.caps = Some(caps.clone());
        self.told_caps = self.told_caps.saturating_add(1);
        self.told_caps <= MOST_CAPS
    }

    /// A tick has come. What is to be told now, because too much was to be told before.
    pub fn untold(&mut self) -> Option<Caps> {
        let told = std::mem::take(&mut self.told_caps);
        self.caps.clone().filter(|_| told > MOST_CAPS)
    }

    pub fn new(spec: &PortSpec) -> Self {
        OutputPort {
            spec: *spec,
            caps: None,
            told_caps: 0,
            flow: FlowMeter::default(),
            group: Group::default(),
            demand: Demand::default(),
            sinks: Vec::new(),
            roads: Vec::new(),
            late: Vec::new(),
            thinning: Thinning::default(),
        }
    }
}

impl Slot {
    pub fn new(
        id: NodeId,
        element: ElementId,
        facts: Arc<PortFacts>,
        node: Box<dyn Node>,
        inputs: &[PortSpec],
        outputs: &[PortSpec],
    ) -> Self {
        let input = |spec: &PortSpec| InputPort {
            spec: *spec,
            source: None,
            flow: FlowMeter::default(),
            end_to_end: FlowMeter::default(),
        };
        Slot {
            id,
            element,
            facts,
            node,
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(OutputPort::new).collect(),
            deadline: None,
            flow_tick: None,
            armed: None,
            latency: false,
            ring_reported: None,
        }
    }
}
