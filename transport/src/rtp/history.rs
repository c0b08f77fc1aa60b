//! What a peer may ask for again: for each packet the numbers that it was sent with, 24 bytes; the packet itself is shared with
//! everyone else that it was sent to.
//!
//! Enters: packets as they leave. Leaves: the same, when the peer names their sequence number. It must never know keys.

use rivero_engine::{MediaTime, Rtp};
use std::sync::Arc;

/// Packets that are remembered at first, and at most: twice as many each time that the oldest is younger than [`LONG_ENOUGH`].
const FIRST_LENGTH: usize = 32;
const MOST: usize = 2048;
/// In units of the abs-send-time header extension: one second. Nobody asks again for what is older.
const LONG_ENOUGH: u32 = 1 << 18;

/// How a packet is told to the peer, beside its sequence number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub timestamp: u32,
    pub entered: MediaTime,
    pub payload_type: u8,
}

/// A packet of a line, as it is told to the peer. Sent again it must be the same byte for byte.
#[derive(Clone)]
pub(crate) struct Record {
    pub rtp: Arc<Rtp>,
    pub timestamp: u32,
    /// The lower half of its sequence number of 64 bits.
    sequence: u32,
    /// As the header extension abs-send-time has it.
    time: [u8; 3],
    pub payload_type: u8,
    /// Bytes of padding, decided when it is first sent.
    pub padding: u8,
}

impl Record {
    pub fn new(rtp: Arc<Rtp>, numbers: Numbers) -> Self {
        let Numbers { timestamp, entered, payload_type } = numbers;
        let [_, time @ ..] = abs_send_time(entered).to_be_bytes();
        Record { rtp, timestamp, sequence: 0, time, payload_type, padding: 0 }
    }

    /// When it entered the pipeline: seconds in 6.18 bits fixed point, big endian. That is the same for all consumers, and for
    /// a packet that is sent again.
    pub fn abs_send_time(&self) -> [u8; 3] {
        self.time
    }

    fn time(&self) -> u32 {
        u32::from_be_bytes([0, self.time[0], self.time[1], self.time[2]])
    }
}

fn abs_send_time(entered: MediaTime) -> u32 {
    let fraction = (u128::from(entered.as_nanos()) << 18) / 1_000_000_000;
    (fraction & 0x00ff_ffff) as u32
}

/// The last second of a line, within bounds.
#[derive(Default)]
pub(crate) struct History {
    /// Each stands at its number modulo the length, which is a power of two.
    records: Vec<Option<Record>>,
    /// The highest number kept.
    newest: u64,
}

impl History {
    pub fn keep(&mut self, sequence: u64, mut record: Record) {
        record.sequence = sequence as u32;
        self.newest = self.newest.max(sequence);
        if self.records.is_empty() {
            self.records.resize(FIRST_LENGTH, None);
        }
        let at = sequence as usize % self.records.len();
        let stands = self.records[at].as_ref();
        let young = stands.is_some_and(|old| record.time().wrapping_sub(old.time()) & 0x00ff_ffff < LONG_ENOUGH);
        if young && self.records.len() < MOST {
            self.grow();
        }
        let at = sequence as usize % self.records.len();
        self.records[at] = Some(record);
    }

    /// Whether a packet stands where the next one will: reading it fetches that place.
    pub fn is_next_taken(&self) -> bool {
        let at = (self.newest + 1) as usize % self.records.len().max(1);
        self.records.get(at).is_some_and(Option::is_some)
    }

    fn grow(&mut self) {
        let length = self.records.len() * 2;
        let before = std::mem::take(&mut self.records);
        self.records.resize(length, None);
        for record in before.into_iter().flatten() {
            let at = record.sequence as usize % length;
            self.records[at] = Some(record);
        }
    }

    /// The packet of a 16-bit sequence number and its whole number, if it is still known.
    pub fn find(&self, sequence: u16) -> Option<(u64, &Record)> {
        let whole = self.newest.checked_sub((self.newest as u16).wrapping_sub(sequence).into())?;
        let at = whole as usize % self.records.len().max(1);
        let record = self.records.get(at)?.as_ref()?;
        (record.sequence == whole as u32).then_some((whole, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(ms: u64) -> Record {
        let rtp = Rtp { ssrc: 1, sequence: 9, timestamp: 0, marker: false, payload: Bytes::new() };
        let numbers = Numbers { timestamp: ms as u32, entered: MediaTime::from_millis(ms), payload_type: 96 };
        Record::new(Arc::new(rtp), numbers)
    }

    #[test]
    fn a_packet_costs_24_bytes() {
        assert_eq!(size_of::<Option<Record>>(), 24);
    }

    #[test]
    fn the_time_of_sending_has_18_bits_of_fraction() {
        assert_eq!(abs_send_time(MediaTime::from_millis(1500)), 3 << 17);
        assert_eq!(abs_send_time(MediaTime::from_millis(64_000)), 0, "and wraps every 64 seconds");
        assert_eq!(record(1500).abs_send_time(), [6, 0, 0]);
    }

    #[test]
    fn the_last_second_is_known_at_any_rate() {
        for (rate, length) in [(20, 32), (75, 128), (240, 256), (1000, 1024), (10_000, MOST as u64)] {
            let mut history = History::default();
            let first = 65_000u64;
            let last = first + 3 * rate;
            // Times that wrap in the middle.
            (first..=last).for_each(|n| history.keep(n, record(62_500 + (n - first) * 1000 / rate)));
            assert_eq!(history.records.len() as u64, length, "at {rate} packets a second");
            for number in [last, last - rate.min(length) + 1] {
                let (whole, found) = history.find(number as u16).expect("sent within a second");
                assert_eq!((whole, u64::from(found.timestamp)), (number, 62_500 + (number - first) * 1000 / rate));
            }
            assert!(history.find((last - length) as u16).is_none(), "too long ago");
            assert!(history.find((last + 1) as u16).is_none(), "never sent");
        }
    }

    #[test]
    fn what_was_never_sent_is_not_found_in_the_place_of_another() {
        let mut history = History::default();
        assert!(history.find(0).is_none());
        history.keep(5, record(0));
        history.keep(40, record(1));
        assert!(history.find(8).is_none(), "its place was never taken");
        assert_eq!(history.find(5).map(|(whole, _)| whole), Some(5));
        assert!(history.find(41).is_none());
    }
}
