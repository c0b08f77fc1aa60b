//! `Dispatcher`: audio and video of any port to any other; each port has at most one source.

use super::{Ports, ROUTED, route};
use crate::EngineError;
use crate::graph::{Element, Pipeline};

pub struct Dispatcher {
    ports: Ports,
}

impl Dispatcher {
    pub fn new(pipeline: Pipeline) -> Self {
        Dispatcher { ports: Ports::new(pipeline) }
    }

    pub async fn add_port(&self, label: String) -> Result<Element, EngineError> {
        self.ports.add(label).await
    }

    /// Forgets a port that is about to be released.
    pub fn forget_port(&self, port: &Element) {
        self.ports.all().remove(&port.id());
    }

    /// What comes into `source` leaves from `sink`, instead of what left there before.
    ///
    /// Errors: [`EngineError::NotOfThisHub`].
    pub async fn connect(&self, source: &Element, sink: &Element) -> Result<(), EngineError> {
        self.ports.check(source)?;
        self.ports.check(sink)?;
        for kind in ROUTED {
            source.connect(sink, &route(kind)).await?;
        }
        Ok(())
    }
}
