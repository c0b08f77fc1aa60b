//! How long recordings are. Enters: what is listed. Leaves: milliseconds, where they are known.
//!
//! A film must be opened for that, which takes some milliseconds of a disk. So what was found is remembered as long as the file does
//! not change, and a list does not wait longer than [`PATIENCE`] in all: what is not known by then, the next list says.

use super::shelf::{Entry, Shelf};
use crate::objects::lock;
use rivero_codecs::film::{Interrupt, OpenOptions, Reader, Scheme};
use rivero_engine::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const PATIENCE: Duration = Duration::from_secs(1);

type Key = (String, u64, SystemTime);

pub struct Lengths {
    clock: Arc<dyn Clock>,
    /// Of what was listed last. `None`: the film does not say, or is none.
    known: Mutex<HashMap<Key, Option<u64>>>,
}

impl Lengths {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Lengths { clock, known: Mutex::default() }
    }

    /// One for each entry, in ms. For threads that may wait; two of them look one after the other.
    pub fn of(&self, shelf: &Shelf, entries: &[Entry]) -> Vec<Option<u64>> {
        let mut known = lock(&self.known);
        let deadline = self.clock.now() + PATIENCE;
        let mut seen = HashMap::new();
        let mut lengths = Vec::new();
        for entry in entries {
            let key = (entry.name.clone(), entry.bytes, entry.modified);
            let length = match known.remove(&key) {
                Some(length) => length,
                None if self.clock.now() < deadline => self.look(shelf, &entry.name),
                None => {
                    lengths.push(None);
                    continue;
                }
            };
            seen.insert(key, length);
            lengths.push(length);
        }
        *known = seen;
        lengths
    }

    fn look(&self, shelf: &Shelf, name: &str) -> Option<u64> {
        let options = OpenOptions { schemes: vec![Scheme::File], open_patience: PATIENCE, ..OpenOptions::default() };
        let path = shelf.path(name);
        let film = Reader::open(path.to_str()?, &options, Interrupt::new(self.clock.clone())).ok()?;
        film.duration().and_then(|length| u64::try_from(length.as_millis()).ok())
    }
}
