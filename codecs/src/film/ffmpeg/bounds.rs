//! What a source may cost while FFmpeg works for it: time, and memory where nothing else bounds that.
//!
//! Enters: an interrupt, and what is being done. Leaves: whether it goes on. This room must never know what is read.
//!
//! Playlists are the one kind of source that FFmpeg keeps whole, in pieces hundreds of times as large as the lines that name them, for
//! as long as lines come: some kilobytes of a list that names itself ask for gigabytes. What FFmpeg has taken for it cannot be counted
//! from outside; what the process holds can, and that is what must not run out.

use crate::film::Interrupt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// By so much the process may grow while a playlist is read, which takes a moment; in bytes.
const MOST_GROWTH: u64 = 192 << 20;

pub(super) struct Bounds {
    interrupt: Interrupt,
    /// Bytes that the process held when a playlist was begun; the highest number when none is read.
    before: AtomicU64,
    /// It took too much.
    bloated: AtomicBool,
}

impl Bounds {
    pub(super) fn new(interrupt: Interrupt) -> Self {
        Bounds { interrupt, before: AtomicU64::new(u64::MAX), bloated: AtomicBool::new(false) }
    }

    /// From now on a playlist may be read, which grows.
    pub(super) fn begin_list(&self) {
        self.before.store(resident().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn end_list(&self) {
        self.before.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether work must end. `list`: what is read is a playlist.
    pub(super) fn ended(&self, list: bool) -> bool {
        let before = self.before.load(Ordering::Relaxed);
        if list && before != u64::MAX && resident().is_some_and(|now| now > before.saturating_add(MOST_GROWTH)) {
            self.bloated.store(true, Ordering::Relaxed);
        }
        self.bloated.load(Ordering::Relaxed) || self.interrupt.ended().is_some()
    }

    pub(super) fn is_bloated(&self) -> bool {
        self.bloated.load(Ordering::Relaxed)
    }
}

/// Bytes of memory that the process holds; None where the system does not tell.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<u64>().ok()?;
    // Pages are no smaller anywhere; where they are larger, the bound is lower than it says.
    Some(pages * 4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::time::ManualClock;
    use std::sync::Arc;

    #[test]
    fn a_playlist_may_not_grow_without_end() {
        let bounds = Bounds::new(Interrupt::new(Arc::new(ManualClock::new())));
        assert!(!bounds.ended(true), "nothing was begun");
        bounds.begin_list();
        assert!(!bounds.ended(true));
        // As if all that the process holds had come since.
        bounds.before.store(0, Ordering::Relaxed);
        let held = vec![1_u8; MOST_GROWTH as usize];
        assert!(!bounds.ended(false), "what is no playlist is not held to that");
        assert!(bounds.ended(true) && bounds.is_bloated() && bounds.ended(false));
        drop(held);
    }
}
