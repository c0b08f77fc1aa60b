//! The way that a connection takes: straight from source to sink, or through converters where the sink does not take what the
//! source gives.
//!
//! Enters: connections that come and go, and news of what ports give and take. Leaves: links on workers, and the nodes of
//! converters. One chain stands for each source output and target format, however many sinks want it; chains share what they
//! have in common (a decoder), and each part goes with its last user. All of this happens in the pipeline's lane, one change at a time.

use super::element::Inner as ElementInner;
use super::pipeline::{Inner, is_public};
use super::topology::Connection;
use crate::node::{DEFAULT, NodeId, Port};
use crate::notice::{ElementId, ErrorKind, Notice, What};
use crate::shard::Command;
use crate::toolbox::Step;
use crate::{Caps, EngineError, MediaKind};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A port of a node.
pub(super) type End = (NodeId, Port);

/// What a sink's input is known by.
type Mouth = (ElementId, MediaKind, String);

/// What a source's output is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Output {
    element: ElementId,
    kind: MediaKind,
    description: String,
}

/// What a converter is known by: the output that it serves and what that gives, and its own two sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    output: Output,
    gives: Caps,
    from: Caps,
    to: Caps,
}

struct Converter {
    element: Arc<ElementInner>,
    fed_by: End,
    transcodes: bool,
    weight: u32,
    /// Links that lead on from here.
    users: usize,
}

/// The ways taken now.
#[derive(Default)]
pub(super) struct Routes {
    taken: HashMap<Mouth, Vec<Key>>,
    converters: HashMap<Key, Converter>,
    /// What was told of each output: whether it is transcoded.
    told: HashMap<Output, bool>,
    /// Sinks that no conversion leads to, so that it is told once.
    impossible: HashMap<Mouth, (Caps, String)>,
}

/// Where a connection should lead.
enum Plan {
    /// `known`: the sink is known to take what the source gives.
    Straight {
        known: bool,
    },
    Through(Vec<(Key, Step)>),
    Impossible {
        gives: Caps,
        wanted: String,
    },
}

impl Routes {
    fn converters(&self) -> usize {
        self.converters.len()
    }

    /// The converters that serve an element's outputs.
    pub fn serving(&self, element: ElementId) -> Vec<NodeId> {
        let serves = |(key, _): &(&Key, &Converter)| key.output.element == element;
        self.converters.iter().filter(serves).map(|(_, converter)| converter.element.node).collect()
    }

    /// An element is released.
    pub fn forget(&mut self, element: ElementId) {
        self.told.retain(|output, _| output.element != element);
    }

    /// Whether what leaves the element is decoded or encoded on the way to anybody.
    pub fn transcodes(&self, element: ElementId, kind: MediaKind) -> bool {
        let serves = |key: &Key| key.output.element == element && key.output.kind == kind;
        self.converters.iter().any(|(key, converter)| serves(key) && converter.transcodes)
    }

    /// The elements of the converters that a connection goes through, in order.
    pub fn on_the_way(&self, connection: &Connection) -> Vec<Arc<ElementInner>> {
        let keys = self.taken.get(&mouth(connection)).map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|key| self.converters.get(key)).map(|converter| converter.element.clone()).collect()
    }
}

impl Inner {
    /// Whether there is room for the converters that a connection would need now.
    ///
    /// Errors: [`EngineError::TooManyConverters`].
    pub(super) fn check_room(&self, connection: &Connection) -> Result<(), EngineError> {
        let Plan::Through(chain) = self.plan(connection) else { return Ok(()) };
        self.check_room_for(&chain)
    }

    fn check_room_for(&self, chain: &[(Key, Step)]) -> Result<(), EngineError> {
        let most = self.shared.converters_per_pipeline;
        let state = self.state();
        let missing = chain.iter().filter(|(key, _)| !state.routes.converters.contains_key(key)).count();
        if state.routes.converters() + missing > most {
            return Err(EngineError::TooManyConverters(most));
        }
        Ok(())
    }

    /// Looks again at everything that is joined to an element.
    pub(super) async fn replan(&self, element: ElementId) {
        let _lane = self.lane.lock().await;
        let connections: Vec<Connection> = {
            let state = self.state();
            let into = state.topology.sources_of(element);
            into.chain(state.topology.sinks_of(element)).cloned().collect()
        };
        for connection in connections {
            self.lead(&connection).await;
        }
    }

    /// Makes a connection lead where it should, which may be where it leads already.
    pub(super) async fn lead(&self, connection: &Connection) {
        // A connection without ports at both ends (data through a pass-through) is remembered and carries nothing.
        let Some((source, sink)) = self.ends(connection) else { return };
        let chain = match self.plan(connection) {
            Plan::Straight { known } => {
                if known {
                    self.tell(connection, false);
                }
                Vec::new()
            }
            Plan::Through(chain) => match self.check_room_for(&chain) {
                Ok(()) => chain,
                Err(why) => {
                    self.complain(connection, chain[0].0.gives.clone(), why.to_string());
                    Vec::new()
                }
            },
            Plan::Impossible { gives, wanted } => {
                let why = format!("Formats are not compatible: nothing converts {gives} to {wanted}");
                self.complain(connection, gives, why);
                Vec::new()
            }
        };
        let keys: Vec<Key> = chain.iter().map(|(key, _)| key.clone()).collect();
        if self.state().routes.taken.get(&mouth(connection)) == Some(&keys) {
            return;
        }
        self.unlead(connection).await;
        match self.raise(source, chain).await {
            Ok(last) => {
                self.link(last, sink).await;
                let mut state = self.state();
                if let Some(converter) = keys.last().and_then(|key| state.routes.converters.get_mut(key)) {
                    converter.users += 1;
                }
                let transcodes = keys.iter().filter_map(|key| state.routes.converters.get(key)).any(|c| c.transcodes);
                let converts = !keys.is_empty();
                state.routes.taken.insert(mouth(connection), keys);
                drop(state);
                if converts {
                    self.tell(connection, transcodes);
                }
            }
            Err(why) => {
                tracing::error!("a converter cannot be made: {why}");
                self.fell_unused().await;
            }
        }
    }

    /// Ends what was made for a chain that did not come to its end.
    async fn fell_unused(&self) {
        loop {
            let unused = {
                let mut state = self.state();
                let converters = &mut state.routes.converters;
                let key = converters.iter().find(|(_, converter)| converter.users == 0).map(|(key, _)| key.clone());
                let gone = key.and_then(|key| converters.remove(&key).map(|converter| (key, converter)));
                let feeds = |one: &&mut Converter| gone.as_ref().is_some_and(|(_, c)| c.fed_by.0 == one.element.node);
                if let Some(before) = converters.values_mut().find(feeds) {
                    before.users -= 1;
                }
                gone
            };
            let Some((key, converter)) = unused else { return };
            self.fell(&key, converter).await;
        }
    }

    /// Takes a connection's links away, and the converters that only it used.
    pub(super) async fn unlead(&self, connection: &Connection) {
        let taken = {
            let mut state = self.state();
            state.routes.impossible.remove(&mouth(connection));
            state.routes.taken.remove(&mouth(connection))
        };
        let (Some(mut keys), Some((source, sink))) = (taken, self.ends(connection)) else { return };
        let last = keys.last().and_then(|key| self.state().routes.converters.get(key).map(|c| (c.element.node, 0)));
        self.unlink(last.unwrap_or(source), sink).await;
        while let Some(key) = keys.pop() {
            let gone = {
                let mut state = self.state();
                let Some(converter) = state.routes.converters.get_mut(&key) else { break };
                converter.users -= 1;
                if converter.users > 0 {
                    break;
                }
                state.routes.converters.remove(&key)
            };
            if let Some(converter) = gone {
                self.fell(&key, converter).await;
            }
        }
    }

    fn plan(&self, connection: &Connection) -> Plan {
        let state = self.state();
        let elements = &state.elements;
        let source = elements.get(&connection.source).and_then(|e| Some((e, e.output(connection)?.1)));
        let sink = elements.get(&connection.sink).and_then(|e| Some((e, e.input(connection)?.1)));
        let (Some((source, output)), Some((sink, input))) = (source, sink) else {
            return Plan::Straight { known: false };
        };
        let takes = sink.facts.takes(input);
        let Some(gives) = source.facts.gives(output) else { return Plan::Straight { known: false } };
        if takes.accepts(&gives) || takes.preferred().is_empty() {
            return Plan::Straight { known: takes.accepts(&gives) };
        }
        let output = Output {
            element: connection.source,
            kind: connection.kind,
            description: connection.source_description.clone(),
        };
        // What need not be coded again comes before what the sink likes best.
        let chains = takes.preferred().iter().filter_map(|to| self.shared.toolbox.steps(&gives, to));
        let found = chains.min_by_key(|steps| steps.iter().any(|step| step.transcodes));
        let Some(steps) = found else {
            let wanted = takes.preferred().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Plan::Impossible { gives, wanted };
        };
        let mut from = gives.clone();
        let keyed = steps.into_iter().map(|step| {
            let to = step.to.clone();
            let key = Key { output: output.clone(), gives: gives.clone(), from: from.clone(), to: to.clone() };
            from = to;
            (key, step)
        });
        Plan::Through(keyed.collect())
    }

    /// Makes what is missing of a chain. Answers where it ends.
    async fn raise(&self, source: End, chain: Vec<(Key, Step)>) -> Result<End, EngineError> {
        let (mut end, mut before) = (source, None::<Key>);
        for (key, step) in chain {
            let known = self.state().routes.converters.get(&key).map(|converter| (converter.element.node, 0));
            if let Some(known) = known {
                (end, before) = (known, Some(key));
                continue;
            }
            let settings = self.state().elements.get(&key.output.element).map(|e| e.coding()).unwrap_or_default();
            // What only packs otherwise stays where its media is: a thread that waits behind encoders would hold it up, and costs more to
            // wake than the work itself.
            let worker = match step.transcodes {
                true => self.shared.place_converter(self.home(), step.weight),
                false => end.0.worker,
            };
            let spec = super::NodeSpec {
                class: step.class,
                label: format!("{} to {}", key.from, key.to),
                inputs: vec![step.port],
                outputs: vec![step.port],
                build: self.shared.toolbox.build(&key.from, &key.to, settings),
                worker: Some(worker),
            };
            let element = match self.make(spec).await {
                Ok(element) => element,
                Err(why) => {
                    self.shared.unplace_converter(worker, step.weight);
                    return Err(why);
                }
            };
            let (node, source) = (element.node, key.output.element.0);
            tracing::info!(source, from = %key.from, to = %key.to, worker, "a converter begins");
            self.shared.tally.begins(&key.from, &key.to);
            self.link(end, (node, 0)).await;
            let mut state = self.state();
            if let Some(converter) = before.as_ref().and_then(|key| state.routes.converters.get_mut(key)) {
                converter.users += 1;
            }
            let (transcodes, weight) = (step.transcodes, step.weight);
            before = Some(key.clone());
            let converter = Converter { element, fed_by: end, transcodes, weight, users: 0 };
            state.routes.converters.insert(key, converter);
            end = (node, 0);
        }
        Ok(end)
    }

    /// Ends a converter that nobody uses.
    async fn fell(&self, key: &Key, converter: Converter) {
        let node = converter.element.node;
        self.unlink(converter.fed_by, (node, 0)).await;
        self.shared.unplace_converter(node.worker, converter.weight);
        self.end(node).await;
        self.shared.tally.ends(&key.from, &key.to);
        tracing::info!(source = key.output.element.0, from = %key.from, to = %key.to, "a converter ends");
    }

    /// Joins an output to an input: from the sink's side to the source's, so that a packet never arrives where nobody
    /// expects it.
    async fn link(&self, (source, source_port): End, (sink, sink_port): End) {
        self.set_source((sink, sink_port), Some((source, source_port))).await;
        let (reply, answer) = oneshot::channel();
        let add = Command::AddSink { node: source, port: source_port, to: sink, to_port: sink_port, reply };
        // A worker that is gone answers nothing, and then there is nothing left to do on it either.
        if self.shared.send(source.worker, add).await.is_ok() {
            let _ = answer.await;
        }
    }

    async fn unlink(&self, (source, source_port): End, (sink, sink_port): End) {
        let (reply, answer) = oneshot::channel();
        let remove = Command::RemoveSink { node: source, port: source_port, to: sink, to_port: sink_port, reply };
        if self.shared.send(source.worker, remove).await.is_ok() {
            let _ = answer.await;
        }
        self.set_source((sink, sink_port), None).await;
    }

    async fn set_source(&self, (node, port): End, source: Option<End>) {
        let (reply, answer) = oneshot::channel();
        if self.shared.send(node.worker, Command::SetSource { node, port, source, reply }).await.is_ok() {
            let _ = answer.await;
        }
    }

    fn ends(&self, connection: &Connection) -> Option<(End, End)> {
        let state = self.state();
        let source = state.elements.get(&connection.source).and_then(|e| e.output(connection));
        let sink = state.elements.get(&connection.sink).and_then(|e| e.input(connection));
        source.zip(sink)
    }

    /// Kurento says of an output once that it is transcoded, and that it is not only before that.
    fn tell(&self, connection: &Connection, transcoding: bool) {
        if !is_public(connection) || connection.kind == MediaKind::Data {
            return;
        }
        let (element, kind) = (connection.source, connection.kind);
        let output = Output { element, kind, description: connection.source_description.clone() };
        {
            let told = &mut self.state().routes.told;
            if told.get(&output).is_some_and(|before| *before || !transcoding) {
                return;
            }
            told.insert(output, transcoding);
        }
        self.post(element, What::Transcoding { kind, transcoding });
    }

    fn complain(&self, connection: &Connection, gives: Caps, why: String) {
        let before = self.state().routes.impossible.insert(mouth(connection), (gives.clone(), why.clone()));
        if before.as_ref() != Some(&(gives, why.clone())) {
            self.post(connection.sink, What::Error { kind: ErrorKind::Format, description: why });
        }
    }

    fn post(&self, element: ElementId, what: What) {
        (self.shared.notices)(Notice { at: self.shared.clock.now(), element, what });
    }
}

/// A converter's ports are `default`, whatever those of its source are called.
pub(super) fn straightened(connection: &Connection, way: &[Arc<ElementInner>]) -> Vec<Connection> {
    let mut parts = Vec::with_capacity(way.len() + 1);
    let mut rest = connection.clone();
    for converter in way {
        let mut part = rest.clone();
        part.sink = converter.id;
        part.sink_description = DEFAULT.to_owned();
        parts.push(part);
        rest.source = converter.id;
        rest.source_description = DEFAULT.to_owned();
    }
    parts.push(rest);
    parts
}

fn mouth(connection: &Connection) -> Mouth {
    (connection.sink, connection.kind, connection.sink_description.clone())
}
