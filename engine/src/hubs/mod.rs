//! Hubs that only route: [`Dispatcher`] and [`OneToMany`]. They have no node of their own: a rule of theirs is a set of links
//! between their ports, so that a switch costs what a `connect` costs and starts at a key frame.

mod dispatcher;
mod one_to_many;

pub use dispatcher::Dispatcher;
pub use one_to_many::OneToMany;

use crate::graph::{Element, Pipeline, Selection};
use crate::node::HUB;
use crate::notice::ElementId;
use crate::{EngineError, MediaKind, elements};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The ports of one hub.
struct Ports {
    pipeline: Pipeline,
    ports: Mutex<BTreeMap<ElementId, Element>>,
}

impl Ports {
    fn new(pipeline: Pipeline) -> Self {
        Ports { pipeline, ports: Mutex::new(BTreeMap::new()) }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ElementId, Element>> {
        self.ports.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn add(&self, label: String) -> Result<Element, EngineError> {
        let port = self.pipeline.add(elements::hub_port(label)).await?;
        self.all().insert(port.id(), port.clone());
        Ok(port)
    }

    fn check(&self, port: &Element) -> Result<(), EngineError> {
        if self.all().contains_key(&port.id()) { Ok(()) } else { Err(EngineError::NotOfThisHub) }
    }
}

/// The link from one port, through the hub, to another.
fn route(kind: MediaKind) -> Selection {
    Selection { kind: Some(kind), source_description: Some(HUB.to_owned()), sink_description: Some(HUB.to_owned()) }
}

/// What the routing hubs carry.
const ROUTED: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
