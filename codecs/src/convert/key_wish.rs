//! When a key frame is asked for: as soon as one is needed, again if it does not come, and never in a storm.

use rivero_engine::{Caps, Codec, MediaKind, MediaTime};
use std::time::Duration;

/// A key frame that does not come is asked for again after this: the request may be lost, or the key frame's first packet.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What one stream needs; open from the start, though the first key frame most often comes unasked.
pub struct KeyWish {
    /// Its frames rest on others.
    rests: bool,
    open: bool,
    asked: Option<Asked>,
}

struct Asked {
    at: MediaTime,
    /// A key frame has begun to arrive since. If that one is spoilt too, another is wanted at once.
    answered: bool,
}

impl KeyWish {
    pub fn new(caps: &Caps) -> Self {
        // Every picture of MJPEG stands for itself.
        let rests = caps.kind() == MediaKind::Video && caps.codec() != Codec::Mjpeg;
        KeyWish { rests, open: rests, asked: None }
    }

    /// Nothing is of use before a key frame.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// One was asked for, and nothing has come of it.
    pub fn was_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// A key frame is needed. True if it is to be asked for now.
    pub fn open(&mut self, now: MediaTime) -> bool {
        self.open = self.rests;
        let waits = |asked: &Asked| !asked.answered && now.since(asked.at) < ASK_AGAIN;
        let asks = self.rests && !self.asked.as_ref().is_some_and(waits);
        if asks {
            self.asked = Some(Asked { at: now, answered: false });
        }
        asks
    }

    /// One begins to arrive.
    pub fn note_key(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.answered = true;
        }
    }

    /// One came that can be used.
    pub fn close(&mut self) {
        (self.open, self.asked) = (false, None);
    }
}
