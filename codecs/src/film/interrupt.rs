//! How a call that waits for a file or a server is brought to an end.

use rivero_engine::{Clock, MediaTime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The handle on whatever waits inside FFmpeg: any thread may stop it, or move its deadline. Cloning shares it.
///
/// FFmpeg asks about ten times a second while it waits for a network, and between two reads of a file. The look-up of a host's
/// name is the system's and cannot be interrupted; the resolver's own limits apply to it.
#[derive(Clone)]
pub struct Interrupt(Arc<State>);

struct State {
    clock: Arc<dyn Clock>,
    stopped: AtomicBool,
    /// Nanoseconds of the clock; at this time all waiting ends.
    deadline: AtomicU64,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Stopped,
    Late,
}

impl Interrupt {
    /// Without a deadline, until one is set.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Interrupt(Arc::new(State { clock, stopped: AtomicBool::new(false), deadline: AtomicU64::new(u64::MAX) }))
    }

    /// Ends what waits now and all that would wait later, but for a word of leave to a server.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Whoever was stopped takes leave of a server: that may take so long.
    pub(super) fn take_leave(&self, patience: std::time::Duration) {
        self.wait_for(patience);
        self.0.stopped.store(false, Ordering::Relaxed);
    }

    /// Moves the deadline of what waits now. The next call of a [`Reader`](super::Reader) sets its own.
    pub fn wait_until(&self, deadline: MediaTime) {
        self.0.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn wait_for(&self, patience: std::time::Duration) {
        self.wait_until(self.0.clock.now() + patience);
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        if self.0.stopped.load(Ordering::Relaxed) {
            return Some(Ended::Stopped);
        }
        let late = self.0.clock.now().as_nanos() >= self.0.deadline.load(Ordering::Relaxed);
        late.then_some(Ended::Late)
    }
}
