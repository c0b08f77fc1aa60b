//! How many converters there are, and were, by what they make of what: for whoever watches the server.

use crate::{Caps, MediaKind};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// Converters of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConverterCount {
    /// At work now.
    pub active: u64,
    /// Begun since the start.
    pub begun: u64,
}

/// What a converter makes of what: the kind of media, and the codecs' names.
pub type Conversion = (MediaKind, &'static str, &'static str);

#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<Conversion, ConverterCount>>);

impl Tally {
    pub fn begins(&self, from: &Caps, to: &Caps) {
        let mut counts = self.counts();
        let count = counts.entry(conversion(from, to)).or_default();
        count.active += 1;
        count.begun += 1;
    }

    pub fn ends(&self, from: &Caps, to: &Caps) {
        if let Some(count) = self.counts().get_mut(&conversion(from, to)) {
            count.active = count.active.saturating_sub(1);
        }
    }

    pub fn read(&self) -> Vec<(Conversion, ConverterCount)> {
        self.counts().iter().map(|(conversion, count)| (*conversion, *count)).collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Conversion, ConverterCount>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn conversion(from: &Caps, to: &Caps) -> Conversion {
    (from.kind(), from.codec().name(), to.codec().name())
}
