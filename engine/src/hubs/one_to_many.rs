//! `DispatcherOneToMany`: audio and video of one port to all of them, the source's own included.

use super::{Ports, ROUTED, route};
use crate::EngineError;
use crate::graph::{Element, Pipeline};
use crate::notice::ElementId;
use std::sync::Mutex;

pub struct OneToMany {
    ports: Ports,
    source: Mutex<Option<ElementId>>,
    /// Keeps `set_source`, `remove_source` and new ports from interleaving; async because each waits for workers.
    lane: tokio::sync::Mutex<()>,
}

impl OneToMany {
    pub fn new(pipeline: Pipeline) -> Self {
        OneToMany { ports: Ports::new(pipeline), source: Mutex::new(None), lane: tokio::sync::Mutex::new(()) }
    }

    /// A new port receives the current source at once.
    pub async fn add_port(&self, label: String) -> Result<Element, EngineError> {
        let _lane = self.lane.lock().await;
        let port = self.ports.add(label).await?;
        if let Some(source) = self.current() {
            feed(&source, &port).await?;
        }
        Ok(port)
    }

    /// Forgets a port that is about to be released; releasing the source is like removing it.
    pub fn forget_port(&self, port: &Element) {
        self.ports.all().remove(&port.id());
        let mut source = self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        source.take_if(|id| *id == port.id());
    }

    /// Errors: [`EngineError::NotOfThisHub`].
    pub async fn set_source(&self, source: &Element) -> Result<(), EngineError> {
        let _lane = self.lane.lock().await;
        self.ports.check(source)?;
        *self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(source.id());
        for port in self.snapshot() {
            feed(source, &port).await?;
        }
        Ok(())
    }

    /// From now on nobody receives anything.
    pub async fn remove_source(&self) {
        let _lane = self.lane.lock().await;
        let source = self.current();
        *self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        let Some(source) = source else { return };
        for port in self.snapshot() {
            for kind in ROUTED {
                source.disconnect(&port, &route(kind)).await;
            }
        }
    }

    fn current(&self) -> Option<Element> {
        let id = (*self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))?;
        self.ports.all().get(&id).cloned()
    }

    fn snapshot(&self) -> Vec<Element> {
        self.ports.all().values().cloned().collect()
    }
}

async fn feed(source: &Element, port: &Element) -> Result<(), EngineError> {
    for kind in ROUTED {
        source.connect(port, &route(kind)).await?;
    }
    Ok(())
}
