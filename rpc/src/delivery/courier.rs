//! The thread that sends. Enters: a spool and who makes requests. Leaves: whether the server has accepted the whole; temporary
//! failures are tried again, from the beginning.

use super::request::{Attempt, Sender};
use super::spool::Spool;
use rivero_engine::{Clock, MediaTime};
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The pause before another attempt doubles, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long it is tried once the recording is over, beside an attempt under way; while it is made, its room is the bound.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Time as a courier knows it.
pub trait Pace: Send + Sync {
    fn now(&self) -> MediaTime;
    /// Comes back when so much time is over.
    fn rest(&self, time: Duration);
}

/// The time of a clock that runs by itself.
pub struct RealPace(pub Arc<dyn Clock>);

impl Pace for RealPace {
    fn now(&self) -> MediaTime {
        self.0.now()
    }

    fn rest(&self, time: Duration) {
        // Nothing ever wakes who rests.
        let (nobody, never) = (Mutex::new(()), Condvar::new());
        drop(never.wait_timeout_while(crate::objects::lock(&nobody), time, |()| true));
    }
}

pub(super) struct Courier<'a> {
    pub sender: Sender,
    pub spool: &'a Arc<Spool>,
    pub pace: &'a dyn Pace,
}

impl Courier<'_> {
    pub(super) fn deliver(&self) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut over_since = None;
        loop {
            let why = match self.sender.attempt(self.spool) {
                Attempt::Accepted => return Ok(()),
                Attempt::Refused(why) => {
                    tracing::error!("a server does not take a recording: {why}");
                    return Err(io::Error::other(why));
                }
                Attempt::Failed(why) => why,
            };
            if !self.spool.is_whole() {
                tracing::error!("a recording breaks off, too long to be sent once more: {why}");
                return Err(io::Error::other(why));
            }
            if self.spool.has_ended() {
                let now = self.pace.now();
                if now.since(*over_since.get_or_insert(now)) >= PATIENCE {
                    tracing::error!("a recording cannot be sent: {why}");
                    return Err(io::Error::other(why));
                }
            }
            tracing::warn!("a recording is sent again, from its beginning: {why}");
            self.pace.rest(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
