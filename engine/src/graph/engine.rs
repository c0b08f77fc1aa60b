//! The whole: the workers, and who goes to which.

use super::pipeline::Pipeline;
use super::tally::{Conversion, ConverterCount, Tally};
use crate::notice::{ElementId, NoticeSink};
use crate::shard::Command;
use crate::takes::Bulletin;
use crate::{Clock, EngineError, Toolbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Above this share of a core, in thousandths, a pipeline's worker is full and newcomers go elsewhere.
const FULL: u32 = 600;

/// The control side's end of a worker.
#[derive(Clone)]
pub struct WorkerHandle {
    pub commands: mpsc::Sender<Command>,
    /// How busy the worker is, in thousandths of a core; written by its driver.
    pub busy: Arc<AtomicU32>,
}

/// What an engine is made of.
pub struct EngineParts {
    /// Those of media first, then those of converters.
    pub workers: Vec<WorkerHandle>,
    /// How many of the workers, the last ones, are for converters. Without any, converters live on those of media.
    pub coders: usize,
    pub clock: Arc<dyn Clock>,
    pub placement: Placement,
    pub toolbox: Arc<dyn Toolbox>,
    /// What one pipeline may have.
    pub converters_per_pipeline: usize,
    pub notices: NoticeSink,
}

/// Where new elements go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// To their pipeline's worker until that one is 60 % busy, then to the least busy.
    #[default]
    Pipeline,
    /// Round robin, so that links cross workers: for tests and for machines with few, large pipelines.
    Spread,
}

#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub workers: Vec<WorkerHandle>,
    /// How many of them are for media.
    media: usize,
    /// The weights of the converters on each worker for them.
    weights: Vec<AtomicU32>,
    pub toolbox: Arc<dyn Toolbox>,
    pub converters_per_pipeline: usize,
    pub notices: NoticeSink,
    pub bulletin: Arc<Bulletin>,
    pub tally: Tally,
    pub clock: Arc<dyn Clock>,
    placement: Placement,
    next_element: AtomicU64,
    next_worker: AtomicUsize,
}

impl Engine {
    pub fn new(parts: EngineParts) -> Self {
        assert!(parts.workers.len() > parts.coders, "an engine has at least one worker for media");
        let shared = Shared {
            media: parts.workers.len() - parts.coders,
            weights: (0..parts.coders).map(|_| AtomicU32::new(0)).collect(),
            workers: parts.workers,
            toolbox: parts.toolbox,
            converters_per_pipeline: parts.converters_per_pipeline,
            notices: parts.notices,
            bulletin: Arc::default(),
            tally: Tally::default(),
            clock: parts.clock,
            placement: parts.placement,
            next_element: AtomicU64::new(1),
            next_worker: AtomicUsize::new(0),
        };
        Engine { shared: Arc::new(shared) }
    }

    /// Puts converters where they are needed, and takes them away, as what ports give and take changes. To be spawned once.
    pub async fn plan_forever(self) {
        loop {
            self.shared.bulletin.wait().await;
            for facts in self.shared.bulletin.take() {
                facts.pipeline().replan(facts.element()).await;
            }
        }
    }

    /// A new, empty pipeline, at home on the least busy worker.
    pub fn pipeline(&self, label: impl Into<String>) -> Pipeline {
        let home = self.shared.least_busy();
        Pipeline::new(self.shared.clone(), label.into(), home)
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// How many converters there are of each kind, and were.
    pub fn converters(&self) -> Vec<(Conversion, ConverterCount)> {
        self.shared.tally.read()
    }

    /// How busy each worker is, in thousandths of a core: those for media first, then those for converters.
    pub fn load(&self) -> (Vec<u32>, Vec<u32>) {
        let busy = |handle: &WorkerHandle| handle.busy.load(Ordering::Relaxed);
        let (media, coders) = self.shared.workers.split_at(self.shared.media);
        (media.iter().map(busy).collect(), coders.iter().map(busy).collect())
    }

    /// Workers for media.
    pub fn workers(&self) -> usize {
        self.shared.media
    }
}

impl Shared {
    pub fn next_element(&self) -> ElementId {
        ElementId(self.next_element.fetch_add(1, Ordering::Relaxed))
    }

    pub async fn send(&self, worker: u16, command: Command) -> Result<(), EngineError> {
        let handle = self.workers.get(usize::from(worker)).ok_or(EngineError::WorkerGone)?;
        handle.commands.send(command).await.map_err(|_| EngineError::WorkerGone)
    }

    /// The worker for a new element of a pipeline that lives on `home`.
    pub fn place(&self, home: u16) -> u16 {
        match self.placement {
            Placement::Spread => self.round_robin(),
            Placement::Pipeline => {
                let busy = self.workers[usize::from(home)].busy.load(Ordering::Relaxed);
                if busy < FULL { home } else { self.least_busy() }
            }
        }
    }

    /// The least busy worker; among equals, one after the other.
    pub fn least_busy(&self) -> u16 {
        let start = usize::from(self.round_robin());
        let count = self.media;
        let in_turn = (0..count).map(|i| (start + i) % count);
        let least = in_turn.min_by_key(|&w| self.workers[w].busy.load(Ordering::Relaxed) / 100);
        least.unwrap_or(0) as u16
    }

    fn round_robin(&self) -> u16 {
        (self.next_worker.fetch_add(1, Ordering::Relaxed) % self.media) as u16
    }

    /// The worker for a converter: the one with the least to convert.
    pub fn place_converter(&self, home: u16, weight: u32) -> u16 {
        let load = |at: &usize| self.weights[*at].load(Ordering::Relaxed);
        let Some(least) = (0..self.weights.len()).min_by_key(load) else { return self.place(home) };
        self.weights[least].fetch_add(weight, Ordering::Relaxed);
        (self.media + least) as u16
    }

    /// A converter has left its worker.
    pub fn unplace_converter(&self, worker: u16, weight: u32) {
        if let Some(load) = usize::from(worker).checked_sub(self.media).and_then(|at| self.weights.get(at)) {
            load.fetch_sub(weight, Ordering::Relaxed);
        }
    }
}
