//! One source of the peer's: which of its packets have come, and what we report of it.
//!
//! Enters: the number, time stamp and arrival of each packet that proved authentic. Leaves: whole sequence numbers, which packets are
//! new (RFC 3711, sections 3.3.1 and 3.3.2), and report blocks (RFC 3550, section 6.4.1 and appendix A). It must never know keys.

use crate::rtcp::ReportBlock;
use rivero_engine::MediaTime;

/// How far behind the newest a packet may come: two seconds at 2,000 packets a second.
const WINDOW: u64 = 4096;
const WORDS: usize = (WINDOW / 64) as usize;
/// The number of lost packets is told in 24 bits with sign.
const MOST_LOST: i64 = 0x7f_ffff;

#[derive(Debug)]
pub struct Source {
    pub ssrc: u32,
    /// Hz
    clock_rate: u32,
    /// The lowest and the highest number that came.
    span: Option<(u64, u64)>,
    /// Which of the last [`WINDOW`] numbers came, each at its number modulo that.
    seen: Box<[u64; WORDS]>,
    received: u64,
    /// Expected and received when the last report was written.
    reported: (u64, u64),
    /// Arrival minus time stamp of the last packet, and their mean deviation in 16ths, both in ticks of the clock.
    transit: Option<u32>,
    jitter: u32,
    /// The middle of the time in the newest sender report, and when that came.
    sender_report: Option<(u32, MediaTime)>,
    /// When a packet came last.
    pub heard: MediaTime,
}

impl Source {
    pub fn new(ssrc: u32, clock_rate: u32) -> Self {
        Source {
            ssrc,
            clock_rate: clock_rate.max(1),
            span: None,
            seen: Box::new([0; WORDS]),
            received: 0,
            reported: (0, 0),
            transit: None,
            jitter: 0,
            sender_report: None,
            heard: MediaTime::ZERO,
        }
    }

    /// The whole number of a packet, nearest to the newest one; `None` for one from before the first.
    pub fn whole(&self, number: u16) -> Option<u64> {
        let Some((_, newest)) = self.span else { return Some(number.into()) };
        let ahead = number.wrapping_sub(newest as u16) as i16;
        newest.checked_add_signed(ahead.into())
    }

    /// Whether a packet of this number has not come yet and is not too old to tell.
    pub fn is_new(&self, number: u64) -> bool {
        let Some((_, newest)) = self.span else { return true };
        let (word, bit) = place(number);
        number > newest || (newest - number < WINDOW && self.seen[word] & bit == 0)
    }

    /// An authentic packet came.
    pub fn note(&mut self, number: u64, timestamp: u32, now: MediaTime) {
        self.mark(number);
        self.received += 1;
        self.heard = now;
        let ticks = u128::from(now.as_nanos()) * u128::from(self.clock_rate) / 1_000_000_000;
        let transit = (ticks as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let deviation = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            self.jitter = self.jitter.saturating_add(deviation) - ((self.jitter + 8) >> 4);
        }
    }

    /// A packet came by another way (RFC 4588): it is no longer missing, but neither did it arrive on this source.
    pub fn mark(&mut self, number: u64) {
        let (lowest, newest) = self.span.unwrap_or((number, number));
        if number > newest + WINDOW {
            self.seen.fill(0);
        } else {
            (newest + 1..number).for_each(|skipped| {
                let (word, bit) = place(skipped);
                self.seen[word] &= !bit;
            });
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
        self.span = Some((lowest.min(number), newest.max(number)));
    }

    pub fn note_sender_report(&mut self, middle: u32, now: MediaTime) {
        self.sender_report = Some((middle, now));
    }

    /// Something came since the last report.
    pub fn is_active(&self) -> bool {
        self.received > self.reported.1
    }

    /// In seconds.
    pub fn jitter(&self) -> f64 {
        f64::from(self.jitter >> 4) / f64::from(self.clock_rate)
    }

    /// Reports what came since the last report.
    pub fn report(&mut self, now: MediaTime) -> ReportBlock {
        let (lowest, newest) = self.span.unwrap_or_default();
        let expected = newest - lowest + 1;
        let (expected_before, received_before) = self.reported;
        let interval = expected - expected_before;
        let lost = interval.saturating_sub(self.received - received_before);
        self.reported = (expected, self.received);
        let (last_sr, delay_since_last_sr) = self.sender_report.map_or((0, 0), |(middle, at)| {
            let delay = (now.since(at).as_nanos() << 16) / 1_000_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost << 8).checked_div(interval).unwrap_or(0).min(255) as u8,
            lost: (expected.cast_signed() - self.received.cast_signed()).clamp(-MOST_LOST, MOST_LOST) as i32,
            highest_sequence: newest as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_last_sr,
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn numbers_go_on_over_the_rollover_and_each_comes_once() {
        let mut source = Source::new(1, 90_000);
        assert_eq!(source.whole(65_535), Some(65_535));
        source.note(65_535, 0, at(0));
        assert_eq!(source.whole(1), Some(65_537));
        source.note(65_537, 0, at(1));
        assert_eq!(source.whole(0), Some(65_536), "late");
        assert!(source.is_new(65_536) && !source.is_new(65_537) && !source.is_new(65_535));
        let mut young = Source::new(1, 90_000);
        young.note(3, 0, at(0));
        assert_eq!(young.whole(65_000), None, "from before the first packet, whose rollover count is zero");
    }

    #[test]
    fn what_is_too_old_to_tell_is_not_new() {
        let mut source = Source::new(1, 90_000);
        source.note(10_000, 0, at(0));
        assert!(source.is_new(10_000 - WINDOW + 1));
        assert!(!source.is_new(10_000 - WINDOW));
        source.note(10_000 + 3 * WINDOW, 0, at(1));
        assert!(!source.is_new(10_000) && source.is_new(10_000 + 3 * WINDOW - 1));
    }

    #[test]
    fn a_report_tells_losses_of_the_interval_and_of_all_time() {
        let mut source = Source::new(7, 1000);
        for number in [65_530u64, 65_531, 65_533, 65_536] {
            source.note(number, number as u32, at(number));
        }
        source.note_sender_report(0xabcd, at(65_536));
        assert!(source.is_active());
        let block = source.report(at(67_036));
        assert_eq!(
            block,
            ReportBlock {
                ssrc: 7,
                fraction_lost: (3u32 * 256 / 7) as u8,
                lost: 3,
                highest_sequence: 65_536,
                jitter: 0,
                last_sr: 0xabcd,
                delay_since_last_sr: 3 << 15,
            }
        );
        assert!(!source.is_active());
        for number in [65_532u64, 65_534, 65_535, 65_537] {
            source.note(number, number as u32, at(number));
        }
        let block = source.report(at(67_036));
        assert_eq!((block.fraction_lost, block.lost), (0, 0), "late is not lost");
    }

    #[test]
    fn jitter_is_the_mean_deviation_of_rfc_3550() {
        let mut source = Source::new(7, 1000);
        for n in 0..2000u64 {
            // Every other packet comes 20 ms late: neighbours deviate by 20 ms.
            source.note(n, (n * 40) as u32, at(n * 40 + n % 2 * 20));
        }
        assert!((source.jitter() - 0.02).abs() < 0.002, "{}", source.jitter());
    }

    proptest! {
        #[test]
        fn as_a_list_of_all_that_came(steps in prop::collection::vec((-40i64..200, any::<bool>()), 1..400)) {
            let mut source = Source::new(1, 90_000);
            let (mut newest, mut came) = (70_000u64, std::collections::HashSet::new());
            source.note(newest, 0, at(0));
            came.insert(newest);
            for (step, resent) in steps {
                let number = newest.saturating_add_signed(step);
                prop_assert_eq!(source.whole(number as u16), Some(number));
                prop_assert_eq!(source.is_new(number), !came.contains(&number));
                if came.insert(number) {
                    if resent { source.mark(number) } else { source.note(number, 0, at(0)) }
                }
                newest = newest.max(number);
            }
        }
    }
}
