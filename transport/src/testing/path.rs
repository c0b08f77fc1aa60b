//! One direction of a simulated network: what becomes of each datagram on its way.
//!
//! Enters: the time and the length of a datagram. Leaves: the times at which it arrives: none, one or two. Chance comes from a
//! seed, so that every run is the same.

use rivero_engine::MediaTime;
use std::time::Duration;

/// What a path does to datagrams. Shares are from 0 to 1, each for every datagram by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    /// The way of every datagram.
    pub delay: Duration,
    /// Up to so much is added, without changing the order.
    pub jitter: Duration,
    pub loss: f64,
    /// The share that is overtaken, and by how much it comes later than it would.
    pub reorder: f64,
    pub reorder_by: Duration,
    pub duplicate: f64,
    /// bps; a datagram waits while those before it leave. `None` for no limit.
    pub rate: Option<u64>,
    /// How long a datagram may wait for the rate before it is lost.
    pub queue: Duration,
}

impl Quality {
    /// Everything arrives, in order, after `delay`.
    pub fn perfect(delay: Duration) -> Self {
        Quality { delay, ..Quality::default() }
    }

    pub fn losing(self, loss: f64) -> Self {
        Quality { loss, ..self }
    }

    pub fn jittering(self, jitter: Duration) -> Self {
        Quality { jitter, ..self }
    }

    pub fn reordering(self, reorder: f64, reorder_by: Duration) -> Self {
        Quality { reorder, reorder_by, ..self }
    }

    pub fn duplicating(self, duplicate: f64) -> Self {
        Quality { duplicate, ..self }
    }

    pub fn limited(self, bps: u64, queue: Duration) -> Self {
        Quality { rate: Some(bps), queue, ..self }
    }
}

/// What a path has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounts {
    pub taken: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub overtaken: u64,
}

/// One direction between a peer and the server.
#[derive(Debug)]
pub struct Path {
    pub quality: Quality,
    pub counts: PathCounts,
    dice: Dice,
    /// The rate has work until then.
    busy_until: MediaTime,
    /// When the last datagram that kept the order arrives.
    last: MediaTime,
}

impl Path {
    pub fn new(quality: Quality, seed: u64) -> Self {
        Path {
            quality,
            counts: PathCounts::default(),
            dice: Dice::new(seed),
            busy_until: MediaTime::ZERO,
            last: MediaTime::ZERO,
        }
    }

    /// When a datagram of `length` bytes that leaves now arrives; twice where it is duplicated.
    pub fn carry(&mut self, now: MediaTime, length: usize) -> [Option<MediaTime>; 2] {
        let quality = self.quality;
        // As many throws for every datagram, so that one property changes nothing about the others.
        let [loss, jitter, reorder, duplicate] = std::array::from_fn(|_| self.dice.share());
        self.counts.taken += 1;
        let begins = self.busy_until.max(now);
        let overflows = quality.rate.is_some() && begins.since(now) > quality.queue;
        if loss < quality.loss || overflows {
            self.counts.lost += 1;
            return [None, None];
        }
        let on_line =
            quality.rate.map_or(Duration::ZERO, |bps| Duration::from_secs_f64(length as f64 * 8.0 / bps as f64));
        self.busy_until = begins + on_line;
        let mut arrives = (self.busy_until + quality.delay + quality.jitter.mul_f64(jitter)).max(self.last);
        if reorder < quality.reorder {
            self.counts.overtaken += 1;
            arrives = arrives + quality.reorder_by;
        } else {
            self.last = arrives;
        }
        let again = duplicate < quality.duplicate;
        self.counts.duplicated += u64::from(again);
        [Some(arrives), again.then(|| arrives + Duration::from_millis(1))]
    }
}

/// Chance that is the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.throw() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrivals(quality: Quality, count: u64) -> (Vec<[Option<MediaTime>; 2]>, PathCounts) {
        let mut path = Path::new(quality, 7);
        let arrivals = (0..count).map(|n| path.carry(MediaTime::from_millis(n), 1000)).collect();
        (arrivals, path.counts)
    }

    #[test]
    fn a_perfect_path_is_only_slow() {
        let (arrivals, counts) = arrivals(Quality::perfect(25 * MS), 3);
        let at = |ms| [Some(MediaTime::from_millis(ms)), None];
        assert_eq!(arrivals, [at(25), at(26), at(27)]);
        assert_eq!(counts, PathCounts { taken: 3, ..PathCounts::default() });
    }

    #[test]
    fn shares_are_what_they_say_and_the_same_in_every_run() {
        let quality = Quality::perfect(25 * MS).losing(0.05).reordering(0.1, 9 * MS).duplicating(0.2).jittering(5 * MS);
        let (first, counts) = arrivals(quality, 100_000);
        assert_eq!(first, arrivals(quality, 100_000).0);
        let near = |count: u64, wanted: u64| assert!(count.abs_diff(wanted) < wanted / 20, "{count} for {wanted}");
        near(counts.lost, 5_000);
        near(counts.overtaken, 9_500);
        near(counts.duplicated, 19_000);
    }

    #[test]
    fn jitter_keeps_the_order_and_overtaking_does_not() {
        let in_order = |quality| {
            let times: Vec<_> = arrivals(quality, 1000).0.into_iter().filter_map(|[first, _]| first).collect();
            times.is_sorted()
        };
        assert!(in_order(Quality::perfect(25 * MS).jittering(30 * MS)));
        assert!(!in_order(Quality::perfect(25 * MS).reordering(0.1, 5 * MS)));
    }

    #[test]
    fn a_rate_makes_a_queue_and_a_full_queue_loses() {
        // 8 ms a datagram, one each ms: the tenth finds a queue of 63 ms.
        let (arrivals, counts) = arrivals(Quality::perfect(MS).limited(1_000_000, 60 * MS), 10);
        assert_eq!(arrivals[0][0], Some(MediaTime::from_millis(9)));
        assert_eq!(arrivals[8][0], Some(MediaTime::from_millis(73)));
        assert_eq!((arrivals[9], counts.lost), ([None, None], 1));
    }
}
