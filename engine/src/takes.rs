//! What an input takes, and what an output gives: what decides where media has to be converted.
//!
//! Enters: what nodes say of their inputs, and the caps of what leaves their outputs. Leaves: the same, read by whoever plans
//! links ([`graph`](crate::graph)). A worker writes here when something changes, which is rare; it never waits for a reader.

use crate::graph::PipelineRef;
use crate::node::Port;
use crate::notice::ElementId;
use crate::{Caps, PortSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// What an input takes.
#[derive(Clone, Default)]
pub enum Takes {
    /// Whatever comes.
    #[default]
    Anything,
    /// It is not known yet, or nothing: what comes is dropped there, and nothing is converted for it.
    Nothing,
    Only(Formats),
}

/// The formats of an input.
#[derive(Clone)]
pub struct Formats {
    accepts: Arc<dyn Fn(&Caps) -> bool + Send + Sync>,
    /// What to convert to, the best first.
    preferred: Arc<[Caps]>,
}

impl Takes {
    /// Takes what `accepts` says; anything else is to be converted to the first of `preferred` that it can be converted to,
    /// without coding anew if that is possible for any of them.
    pub fn only(accepts: impl Fn(&Caps) -> bool + Send + Sync + 'static, preferred: Vec<Caps>) -> Self {
        Takes::Only(Formats { accepts: Arc::new(accepts), preferred: preferred.into() })
    }

    /// Takes exactly this.
    pub fn just(caps: Caps) -> Self {
        let wanted = caps.clone();
        Self::only(move |caps| *caps == wanted, vec![caps])
    }

    pub fn accepts(&self, caps: &Caps) -> bool {
        match self {
            Takes::Anything => true,
            Takes::Nothing => false,
            Takes::Only(formats) => (formats.accepts)(caps),
        }
    }

    /// What to convert to; empty when there is no point in converting.
    pub fn preferred(&self) -> &[Caps] {
        match self {
            Takes::Anything | Takes::Nothing => &[],
            Takes::Only(formats) => &formats.preferred,
        }
    }
}

impl fmt::Debug for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::Anything => f.write_str("anything"),
            Takes::Nothing => f.write_str("nothing"),
            Takes::Only(formats) => f.debug_list().entries(formats.preferred.iter()).finish(),
        }
    }
}

/// What is known of one node's ports. Its worker writes, the control side reads.
pub struct PortFacts {
    element: ElementId,
    pipeline: PipelineRef,
    bulletin: Arc<Bulletin>,
    known: Mutex<Known>,
}

struct Known {
    inputs: Vec<Takes>,
    outputs: Vec<Option<Caps>>,
}

impl PortFacts {
    pub(crate) fn new(
        element: ElementId,
        pipeline: PipelineRef,
        bulletin: Arc<Bulletin>,
        inputs: &[PortSpec],
        outputs: &[PortSpec],
    ) -> Arc<Self> {
        let known = Known { inputs: vec![Takes::Anything; inputs.len()], outputs: vec![None; outputs.len()] };
        Arc::new(PortFacts { element, pipeline, bulletin, known: Mutex::new(known) })
    }

    /// What the input takes.
    pub fn takes(&self, input: Port) -> Takes {
        self.known().inputs.get(input).cloned().unwrap_or_default()
    }

    /// What left the output last.
    pub fn gives(&self, output: Port) -> Option<Caps> {
        self.known().outputs.get(output).cloned().flatten()
    }

    pub(crate) fn element(&self) -> ElementId {
        self.element
    }

    pub(crate) fn pipeline(&self) -> &PipelineRef {
        &self.pipeline
    }

    pub(crate) fn set_takes(self: &Arc<Self>, input: Port, takes: Takes) {
        if let Some(known) = self.known().inputs.get_mut(input) {
            *known = takes;
        }
        self.bulletin.post(self);
    }

    pub(crate) fn set_gives(self: &Arc<Self>, output: Port, caps: Caps) {
        if let Some(known) = self.known().outputs.get_mut(output) {
            *known = Some(caps);
        }
        self.bulletin.post(self);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Whose facts have changed. Bounded: each element stands here once, and only while it lives or until it is read.
#[derive(Default)]
pub(crate) struct Bulletin {
    changed: Mutex<BTreeMap<ElementId, Arc<PortFacts>>>,
    bell: Notify,
}

impl Bulletin {
    fn post(&self, facts: &Arc<PortFacts>) {
        self.changed().insert(facts.element, facts.clone());
        self.bell.notify_one();
    }

    /// Waits until something has changed.
    pub async fn wait(&self) {
        self.bell.notified().await;
    }

    pub fn take(&self) -> Vec<Arc<PortFacts>> {
        std::mem::take(&mut *self.changed()).into_values().collect()
    }

    fn changed(&self) -> MutexGuard<'_, BTreeMap<ElementId, Arc<PortFacts>>> {
        self.changed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
