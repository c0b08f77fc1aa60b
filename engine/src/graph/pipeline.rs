//! Owns one graph. Changes of it are made one at a time, across however many workers they reach.

use super::element::{Element, Inner as ElementInner};
use super::engine::Shared;
use super::topology::{Change, Connection, Topology};
use crate::node::{HUB, NodeId, PortSpec};
use crate::notice::ElementId;
use crate::shard::{Build, Command, NodeReport};
use crate::{Clock, EngineError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// How to make an element.
pub struct NodeSpec {
    /// The element's class, for drawings and logs.
    pub class: &'static str,
    pub label: String,
    pub inputs: Vec<PortSpec>,
    pub outputs: Vec<PortSpec>,
    pub build: Build,
    /// Stays on this worker, if given.
    pub worker: Option<u16>,
}

#[derive(Clone)]
pub struct Pipeline {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub shared: Arc<Shared>,
    pub label: String,
    home: u16,
    /// The lane in which changes of the graph queue: it is an async lock because a change is a sequence of steps that waits
    /// for workers, and no other change may come between.
    pub lane: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    latency: AtomicBool,
}

#[derive(Default)]
pub(super) struct State {
    pub topology: Topology,
    pub elements: BTreeMap<ElementId, Arc<ElementInner>>,
}

impl Pipeline {
    pub(super) fn new(shared: Arc<Shared>, label: String, home: u16) -> Self {
        let inner = Inner {
            shared,
            label,
            home,
            lane: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::default()),
            latency: AtomicBool::new(false),
        };
        Pipeline { inner: Arc::new(inner) }
    }

    /// Makes an element's node on a worker.
    pub async fn add(&self, spec: NodeSpec) -> Result<Element, EngineError> {
        let worker = spec.worker.unwrap_or_else(|| self.inner.shared.place(self.inner.home));
        let id = self.inner.shared.next_element();
        let (reply, answer) = oneshot::channel();
        let command = Command::Add {
            element: id,
            inputs: spec.inputs.clone(),
            outputs: spec.outputs.clone(),
            build: spec.build,
            reply,
        };
        self.inner.shared.send(worker, command).await?;
        let node = answer.await.map_err(|_| EngineError::WorkerGone)?.ok_or(EngineError::WorkerGone)?;
        if self.latency_stats() {
            self.inner.shared.send(worker, Command::MeasureLatency { node, on: true }).await?;
        }
        let element = Arc::new(ElementInner {
            id,
            class: spec.class,
            label: Mutex::new(spec.label),
            node,
            inputs: spec.inputs,
            outputs: spec.outputs,
            pipeline: self.inner.clone(),
        });
        self.inner.state().elements.insert(id, element.clone());
        Ok(Element { inner: element })
    }

    pub fn label(&self) -> &str {
        &self.inner.label
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.shared.clock
    }

    /// Whether latencies are measured in this pipeline's elements.
    pub fn latency_stats(&self) -> bool {
        self.inner.latency.load(Ordering::Relaxed)
    }

    pub async fn set_latency_stats(&self, on: bool) -> Result<(), EngineError> {
        self.inner.latency.store(on, Ordering::Relaxed);
        let nodes: Vec<NodeId> = self.inner.state().elements.values().map(|element| element.node).collect();
        for node in nodes {
            self.inner.shared.send(node.worker, Command::MeasureLatency { node, on }).await?;
        }
        Ok(())
    }

    /// Takes all elements out of the graph.
    pub async fn release(&self) -> Vec<Change> {
        let elements: Vec<_> = self.inner.state().elements.values().cloned().collect();
        let mut changes = Vec::new();
        for inner in elements {
            changes.extend(Element { inner }.release().await);
        }
        changes
    }

    /// A Graphviz drawing of the live graph.
    pub async fn dot(&self) -> String {
        self.draw(None).await
    }

    /// Draws everything, or one element with its neighbours.
    pub(super) async fn draw(&self, around: Option<ElementId>) -> String {
        let touches = |c: &Connection| around.is_none_or(|id| c.source == id || c.sink == id);
        let (elements, connections) = {
            let state = self.inner.state();
            let connections: Vec<Connection> = state.topology.connections().filter(|c| touches(c)).cloned().collect();
            let near = |id: ElementId| around == Some(id) || connections.iter().any(|c| c.source == id || c.sink == id);
            let elements = state.elements.values().filter(|element| around.is_none() || near(element.id));
            (elements.cloned().collect::<Vec<_>>(), connections)
        };
        let mut reports = Vec::with_capacity(elements.len());
        for element in elements {
            let report = self.inner.report(element.node).await.unwrap_or_default();
            reports.push((element, report));
        }
        super::dot::draw(&self.inner.label, &reports, &connections)
    }
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub async fn report(&self, node: NodeId) -> Option<NodeReport> {
        let (reply, answer) = oneshot::channel();
        self.shared.send(node.worker, Command::Report { node, reply }).await.ok()?;
        let mut report = answer.await.ok()??;
        let far: BTreeSet<u16> = report.outputs.iter().flat_map(|o| &o.roads).map(|(worker, _)| *worker).collect();
        for worker in far {
            let (reply, answer) = oneshot::channel();
            self.shared.send(worker, Command::ReportLandings { node, reply }).await.ok()?;
            for (port, mut link) in answer.await.ok()? {
                let Some(output) = report.outputs.get_mut(port) else { continue };
                // What was dropped on the way reached none of the consumers there.
                link.dropped += output.roads.iter().find(|road| road.0 == worker).map_or(0, |road| road.1);
                output.links.push(link);
            }
        }
        Some(report)
    }

    /// Carries out a change on the workers. A link is made from the sink's side to the source's, and undone the other way
    /// round, so that a packet never arrives where nobody expects it.
    pub async fn carry_out(&self, change: &Change) {
        let (connection, connect) = match change {
            Change::Connected(connection) => (connection, true),
            Change::Disconnected(connection) => (connection, false),
        };
        let ends = {
            let state = self.state();
            let source = state.elements.get(&connection.source).and_then(|e| e.output(connection));
            let sink = state.elements.get(&connection.sink).and_then(|e| e.input(connection));
            source.zip(sink)
        };
        // A connection without ports at both ends (data through a pass-through) is remembered and carries nothing.
        let Some(((source, source_port), (sink, sink_port))) = ends else { return };
        let (reply, answer) = oneshot::channel();
        let (other_reply, other_answer) = oneshot::channel();
        let fed = connect.then_some((source, source_port));
        let at_sink = Command::SetSource { node: sink, port: sink_port, source: fed, reply };
        let at_source = if connect {
            Command::AddSink { node: source, port: source_port, to: sink, to_port: sink_port, reply: other_reply }
        } else {
            Command::RemoveSink { node: source, port: source_port, to: sink, to_port: sink_port, reply: other_reply }
        };
        // A worker that is gone answers nothing, and then there is nothing left to undo on it either.
        let sink_step = async {
            if self.shared.send(sink.worker, at_sink).await.is_ok() {
                let _ = answer.await;
            }
        };
        let source_step = async {
            if self.shared.send(source.worker, at_source).await.is_ok() {
                let _ = other_answer.await;
            }
        };
        if connect {
            sink_step.await;
            source_step.await;
        } else {
            source_step.await;
            sink_step.await;
        }
    }
}

/// What goes on between a hub and its ports is not the application's connection.
pub(super) fn is_public(connection: &Connection) -> bool {
    connection.source_description != HUB && connection.sink_description != HUB
}
