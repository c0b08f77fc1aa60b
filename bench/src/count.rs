//! Counts one RTP stream by its sequence numbers alone, as anybody on the path can: no key is needed.

/// Everything since the count began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
    first: Option<u64>,
    highest: u64,
}

impl Count {
    /// Counts a packet of `bytes` bytes on the wire.
    pub fn note(&mut self, sequence: u16, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
        match self.first {
            // A first number high above zero leaves room for what comes late.
            None => {
                self.first = Some(1 << 32 | u64::from(sequence));
                self.highest = 1 << 32 | u64::from(sequence);
            }
            Some(_) => {
                let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
                self.highest = self.highest.max(self.highest.wrapping_add_signed(i64::from(ahead)));
            }
        }
    }

    /// Packets that the sender numbered since `before`, an earlier state of this count.
    pub fn numbered_since(&self, before: &Count) -> u64 {
        match (self.first, before.first) {
            (None, _) => 0,
            (Some(first), None) => self.highest - first + 1,
            (Some(_), Some(_)) => self.highest - before.highest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: impl IntoIterator<Item = u16>, mut count: Count) -> Count {
        numbers.into_iter().for_each(|number| count.note(number, 100));
        count
    }

    #[test]
    fn gaps_show_as_numbered_and_not_received() {
        let before = counted([65_533, 65_534], Count::default());
        let after = counted([65_535, 1, 3, 2], before);
        assert_eq!(after.numbered_since(&before), 5, "65535 to 3, over the wrap");
        assert_eq!(after.packets - before.packets, 4);
        assert_eq!(after.bytes, 600);
    }

    #[test]
    fn a_count_from_nothing_includes_its_first_packet() {
        let none = Count::default();
        assert_eq!(none.numbered_since(&none), 0);
        assert_eq!(counted([10, 11, 12], none).numbered_since(&none), 3);
    }

    #[test]
    fn a_late_packet_does_not_take_the_count_back() {
        let count = counted([100, 101, 99], Count::default());
        assert_eq!(count.numbered_since(&Count::default()), 2);
        assert_eq!(count.packets, 3);
    }
}
