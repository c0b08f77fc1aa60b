//! Makes one continuous RTP stream out of what a sink is fed: its own sequence numbers and time stamps, whatever source they
//! come from and however often that is replaced (RFC 3550, section 5.1). The payload is never touched.

use rivero_engine::{MediaTime, Rtp};

/// The first sequence number lies below this, so that the receiver's roll-over count starts at zero (RFC 3711, 3.3.1).
const FIRST_SEQUENCE: u64 = 1 << 14;

#[derive(Debug)]
pub struct Rewriter {
    /// Hz
    clock_rate: u32,
    source: Option<Source>,
    next_sequence: u64,
    /// The last time stamp sent, and when.
    last: Option<(u32, MediaTime)>,
    first_timestamp: u32,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// What of the source becomes what of ours.
    from: u64,
    to: u64,
    /// Added to the source's time stamps.
    shift: u32,
}

impl Rewriter {
    /// `random` seeds the first sequence number and time stamp.
    pub fn new(clock_rate: u32, random: u64) -> Self {
        Rewriter {
            clock_rate: clock_rate.max(1),
            source: None,
            next_sequence: 1 + random % FIRST_SEQUENCE,
            last: None,
            first_timestamp: (random >> 32) as u32,
        }
    }

    /// The greatest sequence number so far, and one.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The sequence number and time stamp to send; `None` for a packet older than the switch to its source.
    ///
    /// `gap` says that packets before this one were left out on purpose: the receiver shall not miss them.
    pub fn rewrite(&mut self, rtp: &Rtp, entered: MediaTime, gap: bool) -> Option<(u64, u32)> {
        let known = self.source.as_ref().is_some_and(|source| source.ssrc == rtp.ssrc);
        if !known || gap {
            let shift = match &self.source {
                // The same source after a gap: its time goes on, only the numbers close up.
                Some(source) if known => source.shift,
                _ => self.start_timestamp(entered).wrapping_sub(rtp.timestamp),
            };
            self.source = Some(Source { ssrc: rtp.ssrc, from: rtp.sequence, to: self.next_sequence, shift });
        }
        let source = self.source.as_ref()?;
        let sequence = source.to + rtp.sequence.checked_sub(source.from)?;
        let timestamp = rtp.timestamp.wrapping_add(source.shift);
        self.next_sequence = self.next_sequence.max(sequence + 1);
        self.last = Some((timestamp, entered));
        Some((sequence, timestamp))
    }

    /// What time stamp belongs to a moment, for sender reports; `None` before the first packet.
    pub fn timestamp_at(&self, now: MediaTime) -> Option<u32> {
        let (timestamp, at) = self.last?;
        Some(timestamp.wrapping_add(self.ticks(at, now)))
    }

    fn ticks(&self, from: MediaTime, to: MediaTime) -> u32 {
        (to.since(from).as_nanos() * u128::from(self.clock_rate) / 1_000_000_000) as u32
    }

    /// Where the time line of a new source begins: as long after the last packet as it came after it, and at least a tick.
    fn start_timestamp(&self, entered: MediaTime) -> u32 {
        let Some((timestamp, at)) = self.last else { return self.first_timestamp };
        timestamp.wrapping_add(self.ticks(at, entered).max(1))
    }
}

/// How far back numbers of packets without payload are remembered: as far as packets may arrive out of order.
const PADDING_MEMORY: usize = 512;

/// Closes up the numbers of a source that sends packets of padding only, as browsers do to probe the path. They are not
/// forwarded, and their numbers must not look like losses to anyone.
#[derive(Debug, Default)]
pub struct PaddingGaps {
    /// Left out before all that is remembered.
    before: u64,
    /// Left out lately, in order.
    recent: std::collections::VecDeque<u64>,
    /// The greatest number that was closed up.
    newest: u64,
}

impl PaddingGaps {
    /// Notes a packet that is left out. False when it comes too late for that: packets behind it have their numbers already, to
    /// which it counted, and must never share them. Then it is forwarded, empty.
    pub fn leave_out(&mut self, sequence: u64) -> bool {
        if sequence < self.newest {
            return false;
        }
        let at = self.recent.partition_point(|other| *other < sequence);
        if self.recent.get(at) == Some(&sequence) {
            return true;
        }
        self.recent.insert(at, sequence);
        if self.recent.len() > PADDING_MEMORY {
            self.recent.pop_front();
            self.before += 1;
        }
        true
    }

    /// The number of a packet as if those before it had never been left out.
    pub fn close_up(&mut self, sequence: u64) -> u64 {
        self.newest = self.newest.max(sequence);
        let recent = self.recent.partition_point(|other| *other < sequence) as u64;
        sequence.saturating_sub(self.before + recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn rtp(ssrc: u32, sequence: u64, timestamp: u32) -> Rtp {
        Rtp { ssrc, sequence, timestamp, marker: false, payload: Bytes::new() }
    }

    #[test]
    fn a_switch_of_source_is_seamless() {
        let at = MediaTime::from_millis;
        let mut rewriter = Rewriter::new(90_000, 0);
        assert_eq!(rewriter.rewrite(&rtp(1, 70_000, 5), at(0), true), Some((1, 0)));
        assert_eq!(rewriter.rewrite(&rtp(1, 70_002, 3005), at(33), false), Some((3, 3000)), "a loss stays a loss");
        assert_eq!(rewriter.rewrite(&rtp(1, 70_001, 5), at(34), false), Some((2, 0)), "and may still arrive");
        assert_eq!(rewriter.rewrite(&rtp(2, 9, 900), at(100), true), Some((4, 66 * 90)));
        assert_eq!(rewriter.rewrite(&rtp(2, 8, 900), at(101), false), None, "older than the switch");
    }

    #[test]
    fn what_was_left_out_on_purpose_is_not_missed() {
        let at = MediaTime::from_millis;
        let mut rewriter = Rewriter::new(90_000, 0);
        rewriter.rewrite(&rtp(1, 10, 0), at(0), true);
        assert_eq!(
            rewriter.rewrite(&rtp(1, 40, 90_000), at(1000), true),
            Some((2, 90_000)),
            "numbers close up, time does not"
        );
    }

    #[test]
    fn padding_leaves_no_gap_even_out_of_order() {
        let mut gaps = PaddingGaps::default();
        assert_eq!(gaps.close_up(10), 10);
        gaps.leave_out(12);
        gaps.leave_out(13);
        gaps.leave_out(13);
        assert_eq!([11, 14, 15].map(|n| gaps.close_up(n)), [11, 12, 13], "a late one keeps its place");
        assert!((100..2000).all(|n| gaps.leave_out(n)));
        assert_eq!(gaps.close_up(2000), 98, "however many");
    }

    #[test]
    fn padding_that_comes_late_keeps_its_number() {
        let mut gaps = PaddingGaps::default();
        assert_eq!([10, 12].map(|n| gaps.close_up(n)), [10, 12]);
        assert!(!gaps.leave_out(11), "12 is on its way as 12");
        assert_eq!([13, 11].map(|n| gaps.close_up(n)), [13, 11]);
    }

    proptest! {
        #[test]
        fn no_number_is_ever_used_twice(steps in prop::collection::vec((0u32..3, 0u64..5, any::<bool>()), 1..200)) {
            let mut rewriter = Rewriter::new(48_000, 7);
            let mut sources = [100u64, 65_000, 1 << 20];
            let mut seen = std::collections::HashSet::new();
            let mut last = None;
            for (step, (source, skip, gap)) in steps.into_iter().enumerate() {
                let next = &mut sources[source as usize];
                *next += 1 + skip;
                // A source that comes back does so behind a gate, which reports the gap.
                let gap = gap || last != Some(source);
                last = Some(source);
                let (sequence, _) = rewriter
                    .rewrite(&rtp(source, *next, 0), MediaTime::from_millis(step as u64), gap)
                    .expect("never older than the switch");
                prop_assert!(seen.insert(sequence));
            }
        }
    }
}
