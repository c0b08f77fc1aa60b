//! Whom a line of plain RTP listens to: one sender at a time, so that nobody else can talk into a stream.
//!
//! Enters: where packets come from, and when. Leaves: whether they are taken. It must never know what is in them.
//!
//! The first sender is taken, since peers behind NAT do not come from where their description says. The address and port of the
//! description take over from any other at once, and so does the described host from another host. Another port of the same host
//! is taken when the first has fallen silent for a moment (a NAT has forgotten a mapping, an application has started anew),
//! another host only after a long silence, and never in place of the described one.

use rivero_engine::MediaTime;
use std::net::SocketAddr;
use std::time::Duration;

/// Silence after which another port of the same host may follow, and after which another host may.
const SAME_HOST: Duration = Duration::from_millis(250);
const OTHER_HOST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Lock {
    /// The address that the description promises.
    described: Option<SocketAddr>,
    held: Option<(SocketAddr, MediaTime)>,
}

impl Lock {
    pub fn new(described: Option<SocketAddr>) -> Self {
        Lock { described, held: None }
    }

    /// Whether a packet that proves nothing is taken.
    pub fn admits(&self, source: SocketAddr, now: MediaTime) -> bool {
        let Some((held, heard)) = self.held else { return true };
        let silence = now.since(heard);
        let described_host = self.described.map(|described| described.ip());
        if source == held || self.described == Some(source) {
            true
        } else if source.ip() == held.ip() {
            silence >= SAME_HOST
        } else if described_host == Some(source.ip()) {
            true
        } else {
            described_host != Some(held.ip()) && silence >= OTHER_HOST
        }
    }

    /// A packet was taken. True when it came from elsewhere than those before.
    pub fn note(&mut self, source: SocketAddr, now: MediaTime) -> bool {
        let before = self.held.replace((source, now));
        before.is_none_or(|(held, _)| held != source)
    }

    /// Who is listened to.
    pub fn holder(&self) -> Option<SocketAddr> {
        self.held.map(|(held, _)| held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn from(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_first_sender_is_held_and_strangers_stay_outside() {
        let (peer, stranger) = (from("192.0.2.1:5000"), from("192.0.2.9:5000"));
        let mut lock = Lock::new(None);
        assert!(lock.admits(peer, at(0)) && lock.note(peer, at(0)));
        for ms in (0..20_000).step_by(20) {
            assert!(!lock.admits(stranger, at(ms)) && lock.admits(peer, at(ms)));
            assert!(!lock.note(peer, at(ms)));
        }
        assert!(!lock.admits(stranger, at(24_900)), "a pause is not the end");
        assert!(lock.admits(stranger, at(24_980)), "after five seconds somebody else may come");
    }

    #[test]
    fn another_port_of_the_host_follows_a_moment_of_silence() {
        let (old, new) = (from("192.0.2.1:5000"), from("192.0.2.1:6000"));
        let mut lock = Lock::new(None);
        lock.note(old, at(0));
        assert!(!lock.admits(new, at(249)), "both at once: one of them is wrong");
        assert!(lock.admits(new, at(250)) && lock.note(new, at(250)));
        assert!(!lock.admits(old, at(251)));
        assert_eq!(lock.holder(), Some(new));
    }

    #[test]
    fn the_described_address_goes_first_and_is_never_given_up() {
        let (peer, stranger) = (from("192.0.2.1:5000"), from("192.0.2.9:5000"));
        let beside = from("192.0.2.1:6000");
        let mut lock = Lock::new(Some(peer));
        lock.note(stranger, at(0));
        assert!(lock.admits(beside, at(1)) && lock.note(beside, at(1)), "a stranger came first, and goes");
        assert!(!lock.admits(stranger, at(2)) && !lock.admits(stranger, at(1_000_000)));
        assert!(lock.admits(peer, at(2)) && lock.note(peer, at(2)), "just as described");
        assert!(!lock.admits(beside, at(3)) && lock.admits(beside, at(300)));
    }
}
