//! Whether a server that is spoken to has fallen silent. On datagrams nothing else tells that it was restarted and has forgotten
//! us: what it is to pass on it drops without a word.
//!
//! Enters: that something was sent to a peer, that the server was heard. Leaves: when it had better be asked. It must never know
//! what was said.

use rivero_engine::MediaTime;
use std::time::Duration;

/// How long nothing comes back before the server is asked. ICE checks a pair that is in use at least every 5 s, so that the loss is
/// known after 8 s and a round trip: in time for another relay, before the peer's consent expires (RFC 7675, section 5.1).
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Silence {
    /// When something was first sent after the server had last been heard.
    since: Option<MediaTime>,
}

impl Silence {
    pub fn sent(&mut self, now: MediaTime) {
        self.since.get_or_insert(now);
    }

    pub fn heard(&mut self) {
        self.since = None;
    }

    /// When to ask.
    pub fn due(&self) -> Option<MediaTime> {
        self.since.map(|since| since + PATIENCE)
    }

    pub fn is_long(&self, now: MediaTime) -> bool {
        self.due().is_some_and(|due| due <= now)
    }
}
