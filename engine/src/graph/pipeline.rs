//! Owns one graph. Changes of it are made one at a time, across however many workers they reach.

use super::element::{Element, Inner as ElementInner};
use super::engine::Shared;
use super::routes::{Routes, straightened};
use super::topology::{Change, Connection, Topology};
use crate::node::{HUB, NodeId, PortSpec};
use crate::notice::ElementId;
use crate::shard::{Build, Command, NodeReport};
use crate::takes::PortFacts;
use crate::{Clock, CodingSettings, EngineError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
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
    own: Weak<Inner>,
}

/// A pipeline, as long as somebody has it.
pub(crate) struct PipelineRef(Weak<Inner>);

impl PipelineRef {
    /// Looks again at the links of an element of which something new is known.
    pub async fn replan(&self, element: ElementId) {
        if let Some(pipeline) = self.0.upgrade() {
            pipeline.replan(element).await;
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub topology: Topology,
    pub routes: Routes,
    pub elements: BTreeMap<ElementId, Arc<ElementInner>>,
}

impl Pipeline {
    pub(super) fn new(shared: Arc<Shared>, label: String, home: u16) -> Self {
        let inner = Arc::new_cyclic(|own: &Weak<Inner>| Inner {
            shared,
            label,
            home,
            lane: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::default()),
            latency: AtomicBool::new(false),
            own: own.clone(),
        });
        Pipeline { inner }
    }

    /// Makes an element's node on a worker.
    pub async fn add(&self, spec: NodeSpec) -> Result<Element, EngineError> {
        let element = self.inner.make(spec).await?;
        self.inner.state().elements.insert(element.id, element.clone());
        Ok(Element { inner: element, pipeline: self.inner.clone() })
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
            changes.extend(Element { inner, pipeline: self.inner.clone() }.release().await);
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
            let mut elements: Vec<_> = elements.cloned().collect();
            let mut parts: Vec<Connection> = Vec::with_capacity(connections.len());
            for connection in &connections {
                let way = state.routes.on_the_way(connection);
                parts.extend(
                    straightened(connection, &way).into_iter().filter(|part| !parts.contains(part)).collect::<Vec<_>>(),
                );
                elements
                    .extend(way.into_iter().filter(|one| !elements.iter().any(|e| e.id == one.id)).collect::<Vec<_>>());
            }
            (elements, parts)
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

    pub fn home(&self) -> u16 {
        self.home
    }

    /// Makes a node on a worker, and the handle to it.
    pub async fn make(&self, spec: NodeSpec) -> Result<Arc<ElementInner>, EngineError> {
        let worker = spec.worker.unwrap_or_else(|| self.shared.place(self.home));
        let id = self.shared.next_element();
        let own = PipelineRef(self.own.clone());
        let facts = PortFacts::new(id, own, self.shared.bulletin.clone(), &spec.inputs, &spec.outputs);
        let (reply, answer) = oneshot::channel();
        let command = Command::Add {
            facts: facts.clone(),
            inputs: spec.inputs.clone(),
            outputs: spec.outputs.clone(),
            build: spec.build,
            reply,
        };
        self.shared.send(worker, command).await?;
        let node = answer.await.map_err(|_| EngineError::WorkerGone)?.ok_or(EngineError::WorkerGone)?;
        if self.latency.load(Ordering::Relaxed) {
            self.shared.send(worker, Command::MeasureLatency { node, on: true }).await?;
        }
        Ok(Arc::new(ElementInner {
            id,
            class: spec.class,
            label: Mutex::new(spec.label),
            node,
            inputs: spec.inputs,
            outputs: spec.outputs,
            facts,
            coding: Mutex::new(CodingSettings::default()),
        }))
    }

    /// Ends a node that is joined to nothing any more.
    pub async fn end(&self, node: NodeId) {
        let (reply, answer) = oneshot::channel();
        if self.shared.send(node.worker, Command::Remove { node, reply }).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Carries out a change on the workers.
    pub async fn carry_out(&self, change: &Change) {
        match change {
            Change::Connected(connection) => self.lead(connection).await,
            Change::Disconnected(connection) => self.unlead(connection).await,
        }
    }
}

/// What goes on between a hub and its ports is not the application's connection.
pub(super) fn is_public(connection: &Connection) -> bool {
    connection.source_description != HUB && connection.sink_description != HUB
}
