//! When a packet was meant to be seen or heard, on the pipeline's clock.
//!
//! Enters: RTP timestamps in the order of sending and when their packets arrived. Leaves: times on the pipeline's clock which move
//! as evenly as the sender's clock does. It must never know a codec or a sequence number.
//!
//! Arrival minus media time is the path's delay, plus the unknown beginning of the sender's clock, plus how far that clock has
//! drifted since. Jitter, queues and retransmissions only ever add to it; so the least of it over ten seconds is the path as such,
//! and what moves that least is the clock. The time given out is media time plus an offset that follows the least: by a fifth of the
//! difference in a second, and by no more than one millisecond in a second, which is five times what the worst of crystals drift.
//! Only in its first two seconds does it follow faster, for then the least is not known yet; and downwards only, by half the time that
//! passes, so that time never stands still.
//!
//! The time given out is thus the earliest at which the packet could have come. Whoever plays at once adds a delay of its own for jitter.

use rivero_engine::MediaTime;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;

/// The window of the least, in parts of a second each.
const PARTS: usize = 10;
/// The offset follows by this part of the difference in a second.
const FOLLOW: i64 = 5;
/// Its greatest speed, as a part of the time that passes: a millisecond in a second.
const SPEED: i64 = 1000;
/// How long the beginning takes, and the speed downwards in it, as a part of the time that passes.
const BEGINNING: i64 = 2 * SECOND;
const BEGINNING_SPEED: i64 = 2;
/// A timestamp that moves by this much more or less than the time between arrivals was not sent on the same clock.
const JUMP: i64 = 2 * SECOND;
/// How far the offset may be wrong before it is given up instead of corrected.
const WRONG: i64 = 200 * MILLISECOND;
/// How long all must be later than `WRONG`: a queue in the network can also do that, for a while.
const WRONG_FOR: i64 = PARTS as i64 * SECOND;
/// How long all must be later than `JUMP`: a network that stalled delivers the rest in one burst.
const JUMP_FOR: i64 = SECOND;

/// What a timestamp means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// On the pipeline's clock.
    pub at: MediaTime,
    /// The sender's clock stepped or another one began: this time has no relation to the ones before.
    pub restarted: bool,
}

/// One packet in nanoseconds.
#[derive(Clone, Copy)]
struct Sample {
    /// Since the run's first packet, on the sender's clock.
    media: i64,
    arrival: i64,
    /// Arrival minus media.
    delay: i64,
}

/// Maps the timestamps of one stream. Times of one frame's packets are equal.
pub struct Timeline {
    clock_rate: i64,
    run: Option<Run>,
}

/// What holds from one restart to the next.
struct Run {
    /// Of the newest packet, as sent and unwrapped from the run's first one, in units of the clock.
    timestamp: u32,
    units: i64,
    began: i64,
    newest: Sample,
    /// The latest arrival; packets in order did not always arrive in order.
    latest: i64,
    offset: i64,
    /// What was last given out for the newest timestamp.
    at: i64,
    least: Least,
    /// Since when all were later than `WRONG`, and later than `JUMP`.
    wrong_since: Option<i64>,
    jump_since: Option<i64>,
}

/// The least delay of the last `PARTS` seconds.
struct Least {
    parts: [Option<(i64, i64)>; PARTS],
}

impl Least {
    /// Takes a delay in; returns the least in the window that ends with `second`.
    fn take(&mut self, second: i64, delay: i64) -> i64 {
        let part = &mut self.parts[second.rem_euclid(PARTS as i64) as usize];
        match part {
            Some((of, least)) if *of == second => *least = (*least).min(delay),
            _ => *part = Some((second, delay)),
        }
        let within = |(of, _): &&(i64, i64)| second - of < PARTS as i64;
        self.parts.iter().flatten().filter(within).map(|(_, least)| *least).min().unwrap_or(delay)
    }
}

impl Timeline {
    /// `clock_rate` in Hz, as in the caps; a stream with another one begins another timeline.
    pub fn new(clock_rate: u32) -> Self {
        Timeline { clock_rate: i64::from(clock_rate.max(1)), run: None }
    }

    /// Maps a packet's timestamp. `arrival` is when it entered the pipeline. Packets come in order of sending; for timestamps that
    /// increase, times increase until a restart.
    pub fn map(&mut self, timestamp: u32, arrival: MediaTime) -> Mapped {
        let arrival = i64::try_from(arrival.as_nanos()).unwrap_or(i64::MAX);
        let clock_rate = self.clock_rate;
        if let Some(run) = &mut self.run
            && let Some(at) = run.follow(timestamp, arrival, clock_rate)
        {
            return Mapped { at: to_time(at), restarted: false };
        }
        let restarted = self.run.is_some();
        self.run = Some(Run::begin(timestamp, arrival));
        Mapped { at: to_time(arrival), restarted }
    }
}

impl Run {
    fn begin(timestamp: u32, arrival: i64) -> Self {
        let newest = Sample { media: 0, arrival, delay: arrival };
        let mut least = Least { parts: [None; PARTS] };
        least.take(arrival / SECOND, arrival);
        Run {
            timestamp,
            units: 0,
            began: arrival,
            newest,
            latest: arrival,
            offset: arrival,
            at: arrival,
            least,
            wrong_since: None,
            jump_since: None,
        }
    }

    /// The time of a packet; `None` if it belongs to another run.
    fn follow(&mut self, timestamp: u32, arrival: i64, clock_rate: i64) -> Option<i64> {
        // Half the circle forwards, half backwards (as RFC 3550 does with sequence numbers).
        let step = i64::from(timestamp.wrapping_sub(self.timestamp) as i32);
        let units = self.units.checked_add(step)?;
        let media = to_nanos(units, clock_rate)?;
        let sample = Sample { media, arrival, delay: arrival.checked_sub(media)? };
        if self.jumped(sample) || self.is_wrong(sample) {
            return None;
        }
        self.latest = self.latest.max(arrival);
        let least = self.least.take(self.latest / SECOND, sample.delay);
        let passed = media - self.newest.media;
        if passed > 0 {
            self.offset = self.offset.checked_add(self.correction(least, passed))?;
            self.at = media.checked_add(self.offset)?.max(self.at);
            (self.timestamp, self.units, self.newest) = (timestamp, units, sample);
            return Some(self.at);
        }
        // Pictures are not always sent in the order in which they are shown.
        media.checked_add(self.offset).map(|at| at.min(self.at))
    }

    /// The timestamp moved otherwise than the time.
    fn jumped(&self, sample: Sample) -> bool {
        let moved = sample.media - self.newest.media;
        let passed = sample.arrival - self.newest.arrival;
        moved.abs() > JUMP && moved.saturating_sub(passed).abs() > JUMP
    }

    /// No packet comes before it is sent: one that is far too early disproves the offset. Too late is proved by all being so.
    fn is_wrong(&mut self, sample: Sample) -> bool {
        let late = sample.delay.saturating_sub(self.offset);
        let lasts = |since: &mut Option<i64>, limit: i64, enough: i64| {
            if late <= limit {
                *since = None;
                return false;
            }
            sample.arrival.saturating_sub(*since.get_or_insert(sample.arrival)) >= enough
        };
        let wrong = lasts(&mut self.wrong_since, WRONG, WRONG_FOR);
        let jump = lasts(&mut self.jump_since, JUMP, JUMP_FOR);
        late < -WRONG || wrong || jump
    }

    /// By how much the offset moves while `passed` goes by on the sender's clock.
    fn correction(&self, least: i64, passed: i64) -> i64 {
        // After a pause a single packet stands for its own delay only.
        let passed = passed.min(SECOND);
        let difference = least.saturating_sub(self.offset);
        if difference < 0 && self.latest - self.began < BEGINNING {
            return difference.max(-passed / BEGINNING_SPEED);
        }
        let wanted = difference.clamp(-SECOND, SECOND) / FOLLOW * (passed / 1000) / (SECOND / 1000);
        wanted.clamp(-passed / SPEED, passed / SPEED)
    }
}

/// Nanoseconds of so many units; `None` beyond what 64 bits hold, some 290 years.
fn to_nanos(units: i64, clock_rate: i64) -> Option<i64> {
    let (seconds, rest) = (units.div_euclid(clock_rate), units.rem_euclid(clock_rate));
    seconds.checked_mul(SECOND)?.checked_add(rest.checked_mul(SECOND)? / clock_rate)
}

fn to_time(nanos: i64) -> MediaTime {
    MediaTime::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests;
