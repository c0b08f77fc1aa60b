//! The whole: the workers, and who goes to which.

use super::pipeline::Pipeline;
use crate::notice::ElementId;
use crate::shard::Command;
use crate::{Clock, EngineError};
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
    pub clock: Arc<dyn Clock>,
    placement: Placement,
    next_element: AtomicU64,
    next_worker: AtomicUsize,
}

impl Engine {
    pub fn new(workers: Vec<WorkerHandle>, clock: Arc<dyn Clock>, placement: Placement) -> Self {
        assert!(!workers.is_empty(), "an engine has at least one worker");
        let shared =
            Shared { workers, clock, placement, next_element: AtomicU64::new(1), next_worker: AtomicUsize::new(0) };
        Engine { shared: Arc::new(shared) }
    }

    /// A new, empty pipeline, at home on the least busy worker.
    pub fn pipeline(&self, label: impl Into<String>) -> Pipeline {
        let home = self.shared.least_busy();
        Pipeline::new(self.shared.clone(), label.into(), home)
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    pub fn workers(&self) -> usize {
        self.shared.workers.len()
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
        let count = self.workers.len();
        let in_turn = (0..count).map(|i| (start + i) % count);
        let least = in_turn.min_by_key(|&w| self.workers[w].busy.load(Ordering::Relaxed) / 100);
        least.unwrap_or(0) as u16
    }

    fn round_robin(&self) -> u16 {
        (self.next_worker.fetch_add(1, Ordering::Relaxed) % self.workers.len()) as u16
    }
}
