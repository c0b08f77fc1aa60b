//! One STUN request on its way: when it is sent again and when nobody waits for the answer any longer (RFC 8489, section 6.2).
//!
//! Enters: the time. Leaves: what to do at that time. It must never know what was asked.

use super::wire::Id;
use rivero_engine::MediaTime;
use std::time::Duration;

/// How often a request is sent and how long the last one is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    sends: u32,
    /// After the last.
    wait: Duration,
}

/// The first interval on datagrams; each next one is twice as long.
const INTERVAL: Duration = Duration::from_millis(500);

impl Patience {
    /// Somebody waits for a candidate: 7.5 s in all. Datagrams leave after 0, 0.5, 1.5 and 3.5 s.
    pub fn short(stream: bool) -> Self {
        if stream {
            Patience { sends: 1, wait: Duration::from_millis(7500) }
        } else {
            Patience { sends: 4, wait: Duration::from_secs(4) }
        }
    }

    /// What is already there is kept: the RFC's own 39.5 s in all, seven datagrams.
    pub fn long(stream: bool) -> Self {
        if stream {
            Patience { sends: 1, wait: Duration::from_millis(39_500) }
        } else {
            Patience { sends: 7, wait: Duration::from_secs(8) }
        }
    }
}

#[derive(Debug)]
pub struct Transaction {
    pub id: Id,
    bytes: Vec<u8>,
    patience: Patience,
    sent: u32,
    next: MediaTime,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Send(&'a [u8]),
    Wait(MediaTime),
    GiveUp,
}

impl Transaction {
    /// Due at once.
    pub fn new(id: Id, bytes: Vec<u8>, patience: Patience, now: MediaTime) -> Self {
        Transaction { id, bytes, patience, sent: 0, next: now }
    }

    /// Call again until it says `Wait` or `GiveUp`.
    pub fn step(&mut self, now: MediaTime) -> Step<'_> {
        if now < self.next {
            return Step::Wait(self.next);
        }
        if self.sent == self.patience.sends {
            return Step::GiveUp;
        }
        self.sent += 1;
        let last = self.sent == self.patience.sends;
        self.next = now + if last { self.patience.wait } else { INTERVAL * (1 << (self.sent - 1)) };
        Step::Send(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds at which it sends, and at which it gives up.
    fn run(patience: Patience) -> (Vec<u64>, u64) {
        let start = MediaTime::from_millis(1000);
        let mut transaction = Transaction::new(Id::generate(), vec![7], patience, start);
        let (mut now, mut sent) = (start, Vec::new());
        loop {
            match transaction.step(now) {
                Step::Send(bytes) => {
                    assert_eq!(bytes, [7]);
                    sent.push(now.since(start).as_millis() as u64);
                }
                Step::Wait(at) => now = at,
                Step::GiveUp => return (sent, now.since(start).as_millis() as u64),
            }
        }
    }

    #[test]
    fn requests_are_repeated_as_the_rfc_says() {
        assert_eq!(run(Patience::long(false)), (vec![0, 500, 1500, 3500, 7500, 15_500, 31_500], 39_500));
        assert_eq!(run(Patience::short(false)), (vec![0, 500, 1500, 3500], 7500));
        assert_eq!(run(Patience::long(true)), (vec![0], 39_500));
        assert_eq!(run(Patience::short(true)), (vec![0], 7500));
    }
}
