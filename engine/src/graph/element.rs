//! The handle to one node.

use super::pipeline::{Inner as PipelineInner, Pipeline, is_public};
use super::topology::{Change, Connection};
use crate::node::{DEFAULT, NodeId, Port, PortSpec};
use crate::notice::ElementId;
use crate::shard::{Command, NodeReport};
use crate::takes::PortFacts;
use crate::{CodingSettings, EngineError, MediaKind, Takes};
use std::any::Any;
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub struct Element {
    pub(super) inner: Arc<Inner>,
    pub(super) pipeline: Arc<PipelineInner>,
}

pub(super) struct Inner {
    pub id: ElementId,
    pub class: &'static str,
    pub label: Mutex<String>,
    pub node: NodeId,
    pub inputs: Vec<PortSpec>,
    pub outputs: Vec<PortSpec>,
    pub facts: Arc<PortFacts>,
    pub coding: Mutex<CodingSettings>,
}

/// Which of two elements' ports are meant: all kinds unless one is named, `default` unless a description is given.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub kind: Option<MediaKind>,
    pub source_description: Option<String>,
    pub sink_description: Option<String>,
}

impl Selection {
    pub fn all() -> Self {
        Selection::default()
    }

    pub fn only(kind: MediaKind) -> Self {
        Selection { kind: Some(kind), ..Selection::default() }
    }

    fn connections(&self, source: ElementId, sink: ElementId) -> Vec<Connection> {
        let description = |given: &Option<String>| given.clone().unwrap_or_else(|| DEFAULT.to_owned());
        let connection = |kind| Connection {
            source,
            sink,
            kind,
            source_description: description(&self.source_description),
            sink_description: description(&self.sink_description),
        };
        match self.kind {
            Some(kind) => vec![connection(kind)],
            None => MediaKind::ALL.into_iter().map(connection).collect(),
        }
    }
}

impl Inner {
    pub fn coding(&self) -> CodingSettings {
        *self.coding.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn output(&self, connection: &Connection) -> Option<(NodeId, Port)> {
        position(&self.outputs, connection.kind, &connection.source_description).map(|port| (self.node, port))
    }

    pub fn input(&self, connection: &Connection) -> Option<(NodeId, Port)> {
        position(&self.inputs, connection.kind, &connection.sink_description).map(|port| (self.node, port))
    }
}

fn position(ports: &[PortSpec], kind: MediaKind, description: &str) -> Option<Port> {
    ports.iter().position(|port| port.kind == kind && port.description == description)
}

impl Element {
    pub fn id(&self) -> ElementId {
        self.inner.id
    }

    /// The worker on which the node lives, and its name there.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    pub fn class(&self) -> &'static str {
        self.inner.class
    }

    pub fn pipeline(&self) -> Pipeline {
        Pipeline { inner: self.pipeline.clone() }
    }

    /// Until its node says what it takes, no audio or video is converted for this element.
    pub fn take_no_media_yet(&self) {
        for (port, _) in self.inner.inputs.iter().enumerate().filter(|(_, spec)| spec.kind != MediaKind::Data) {
            self.take(port, Takes::Nothing);
        }
    }

    /// Says what an input takes, before its node has said anything of it.
    pub fn take(&self, input: Port, takes: Takes) {
        self.inner.facts.set_takes(input, takes);
    }

    /// The name that drawings show.
    pub fn set_label(&self, label: impl Into<String>) {
        *self.inner.label.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = label.into();
    }

    /// Connects this element's outputs to the inputs of `sink`; what fed those before is disconnected first.
    ///
    /// Errors: [`EngineError::NotSamePipeline`], [`EngineError::Released`], [`EngineError::TooManyConverters`].
    pub async fn connect(&self, sink: &Element, selection: &Selection) -> Result<Vec<Change>, EngineError> {
        if !Arc::ptr_eq(&self.pipeline, &sink.pipeline) {
            return Err(EngineError::NotSamePipeline);
        }
        let pipeline = &self.pipeline;
        let _lane = pipeline.lane.lock().await;
        let mut changes = Vec::new();
        for connection in selection.connections(self.id(), sink.id()) {
            pipeline.check_room(&connection)?;
            let steps = {
                let mut state = pipeline.state();
                if !state.elements.contains_key(&self.id()) || !state.elements.contains_key(&sink.id()) {
                    return Err(EngineError::Released);
                }
                state.topology.connect(connection)
            };
            for step in steps {
                pipeline.carry_out(&step).await;
                changes.push(step);
            }
        }
        Ok(changes)
    }

    /// Disconnects. What was not connected is reported as disconnected all the same, as Kurento does.
    pub async fn disconnect(&self, sink: &Element, selection: &Selection) -> Vec<Change> {
        let pipeline = &self.pipeline;
        let _lane = pipeline.lane.lock().await;
        let mut changes = Vec::new();
        for connection in selection.connections(self.id(), sink.id()) {
            let (change, was_connected) = pipeline.state().topology.disconnect(connection);
            if was_connected {
                pipeline.carry_out(&change).await;
            }
            changes.push(change);
        }
        changes
    }

    /// Takes the element out of the graph and ends its node. A second call does nothing.
    pub async fn release(&self) -> Vec<Change> {
        let pipeline = &self.pipeline;
        let _lane = pipeline.lane.lock().await;
        let changes = pipeline.state().topology.release(self.id());
        for change in &changes {
            pipeline.carry_out(change).await;
        }
        if pipeline.state().elements.remove(&self.id()).is_some() {
            pipeline.state().routes.forget(self.id());
            pipeline.end(self.inner.node).await;
        }
        changes.into_iter().filter(|change| is_public(change.connection())).collect()
    }

    /// What feeds this element, optionally of one kind and sink description only.
    pub fn sources(&self, kind: Option<MediaKind>, description: Option<&str>) -> Vec<Connection> {
        let state = self.pipeline.state();
        let all = state.topology.sources_of(self.id()).filter(|c| is_public(c));
        let wanted = all.filter(|c| kind.is_none_or(|k| c.kind == k));
        wanted.filter(|c| description.is_none_or(|d| c.sink_description == d)).cloned().collect()
    }

    /// What this element feeds, optionally of one kind and source description only.
    pub fn sinks(&self, kind: Option<MediaKind>, description: Option<&str>) -> Vec<Connection> {
        let state = self.pipeline.state();
        let all = state.topology.sinks_of(self.id()).filter(|c| is_public(c));
        let wanted = all.filter(|c| kind.is_none_or(|k| c.kind == k));
        wanted.filter(|c| description.is_none_or(|d| c.source_description == d)).cloned().collect()
    }

    /// Hands a command to the node, which alone knows its type.
    pub async fn tell<T: Any + Send>(&self, command: T) -> Result<(), EngineError> {
        let node = self.inner.node;
        self.pipeline.shared.send(node.worker, Command::Tell { node, command: Box::new(command) }).await
    }

    /// The bitrates of encoders that will stand behind this element's outputs.
    pub fn begin_coding_with(&self, settings: CodingSettings) {
        *self.inner.coding.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = settings;
    }

    /// The bitrates of encoders that stand behind this element's outputs, now and later.
    pub async fn set_coding(&self, settings: CodingSettings) {
        self.begin_coding_with(settings);
        let serving = self.pipeline.state().routes.serving(self.id());
        for node in serving {
            // One that is gone has nothing left to encode.
            let _ = self.pipeline.shared.send(node.worker, Command::Tell { node, command: Box::new(settings) }).await;
        }
    }

    /// Whether what leaves this element is decoded or encoded on the way to anybody now.
    pub fn is_transcoding(&self, kind: MediaKind) -> bool {
        self.pipeline.state().routes.transcodes(self.id(), kind)
    }

    /// A Graphviz drawing of the element and its neighbours.
    pub async fn dot(&self) -> String {
        self.pipeline().draw(Some(self.id())).await
    }

    /// What flows through the element now; `None` once its node is gone.
    pub async fn report(&self) -> Option<NodeReport> {
        self.pipeline.report(self.inner.node).await
    }
}
