//! Counts what arrives of a stream, and what does not, from interval to interval (RFC 3550, appendix A.3).
//!
//! Enters: the number and the length of each packet. Leaves: the [`Interval`] since the last one was taken. It must never know what
//! is in a packet.

use super::Interval;

#[derive(Clone, Debug, Default)]
pub struct Reception {
    ssrc: Option<u32>,
    /// The number after the highest that came.
    next: u64,
    /// The same when the current interval began.
    began: u64,
    received: u64,
    bytes: u64,
}

impl Reception {
    /// A packet came; `sequence` is its number without rollover, `bytes` its length. Another source begins anew.
    pub fn count(&mut self, ssrc: u32, sequence: u64, bytes: usize) {
        if self.ssrc != Some(ssrc) {
            *self = Reception { ssrc: Some(ssrc), next: sequence, began: sequence, ..Reception::default() };
        }
        self.next = self.next.max(sequence + 1);
        self.received += 1;
        self.bytes += bytes as u64;
    }

    /// Ends the interval, `nanos` after it began. Packets that come late make up for losses of the interval in which they come.
    pub fn take(&mut self, nanos: u64) -> Interval {
        let expected = self.next - self.began;
        let lost = expected.saturating_sub(self.received);
        let interval = Interval { bytes: self.bytes, expected: expected.max(self.received), lost, nanos };
        (self.began, self.received, self.bytes) = (self.next, 0, 0);
        interval
    }

    /// Nothing came since the interval began.
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_losses_until_they_are_filled() {
        let mut reception = Reception::default();
        for sequence in [65_530, 65_531, 65_534, 65_536] {
            reception.count(1, sequence, 100);
        }
        assert_eq!(reception.take(7), Interval { bytes: 400, expected: 7, lost: 3, nanos: 7 });
        assert!(reception.is_empty());
        for sequence in [65_532, 65_533, 65_535, 65_537] {
            reception.count(1, sequence, 10);
        }
        assert_eq!(reception.take(8), Interval { bytes: 40, expected: 4, lost: 0, nanos: 8 });
        assert_eq!(reception.take(9), Interval { nanos: 9, ..Interval::default() });
    }

    #[test]
    fn another_source_has_numbers_of_its_own() {
        let mut reception = Reception::default();
        reception.count(1, 70_000, 1);
        reception.count(2, 5, 1);
        reception.count(2, 7, 1);
        assert_eq!(reception.take(1), Interval { bytes: 2, expected: 3, lost: 1, nanos: 1 });
    }
}
