//! When the packets of a transport arrived, by the numbers that they carry for all of its streams, until the peer is told.
//!
//! Enters: numbers and times. Leaves: transport-wide feedback, some 20 times a second while packets arrive. It must never know
//! streams, keys, or what the peer makes of it.

use crate::rtcp::{self, ARRIVAL_TICK, ArrivalsHead};
use rivero_engine::MediaTime;
use std::collections::VecDeque;
use std::time::Duration;

/// From the first packet that the peer was not told of until it is. Senders expect to hear every 50 to 250 ms.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a packet is remembered that was told of: one that comes late is told with those around it.
const MEMORY: Duration = Duration::from_millis(500);
/// Packets that are remembered. More do not arrive in that time.
const MOST: usize = 8192;

#[derive(Debug, Default)]
pub struct Arrivals {
    /// The number of the first that is remembered, counted on beyond 16 bits.
    first: u64,
    times: VecDeque<Option<MediaTime>>,
    /// The first that is to be told.
    next: u64,
    /// Feedback packets so far.
    count: u8,
    /// The stream that was heard last.
    media: u32,
    due: Option<MediaTime>,
}

impl Arrivals {
    /// A packet came.
    pub fn note(&mut self, number: u16, media: u32, now: MediaTime) {
        self.media = media;
        let end = self.first + self.times.len() as u64;
        let ahead = number.wrapping_sub(end as u16) as i16;
        let whole = end.saturating_add_signed(ahead.into());
        if self.times.is_empty() || ahead > MOST as i16 {
            // The first, or after so many lost ones that the sender seems to count anew.
            self.times.clear();
            // So far from zero that nothing comes before it.
            self.first = (1 << 16) + u64::from(number);
            self.next = self.first;
            self.times.push_back(Some(now));
        } else if whole < self.first {
            // It was long given up, or it came twice.
            return;
        } else {
            let at = (whole - self.first) as usize;
            if at >= self.times.len() {
                self.times.resize(at + 1, None);
            }
            if self.times[at].is_some() {
                return;
            }
            self.times[at] = Some(now);
            self.next = self.next.min(whole);
        }
        self.forget(self.times.len().saturating_sub(MOST));
        self.due.get_or_insert(now + INTERVAL);
    }

    /// When the peer is to be told.
    pub fn due(&self) -> Option<MediaTime> {
        self.due
    }

    /// Writes the next feedback packet, as the last of a compound packet. False when everything is told.
    pub fn write(&mut self, out: &mut Vec<u8>, sender: u32, now: MediaTime) -> bool {
        let from = (self.next - self.first) as usize;
        if from >= self.times.len() {
            self.due = None;
            let old = |time: &&Option<MediaTime>| time.is_none_or(|time| now.since(time) > MEMORY);
            self.forget(self.times.iter().take_while(old).count());
            return false;
        }
        let head = ArrivalsHead { sender, media: self.media, base: self.next as u16, count: self.count };
        let ticks = |time: MediaTime| time.as_nanos() / ARRIVAL_TICK.as_nanos() as u64;
        let arrivals = self.times.range(from..).map(|time| time.map(ticks));
        self.next += rtcp::write_arrivals(out, head, arrivals) as u64;
        self.count = self.count.wrapping_add(1);
        true
    }

    fn forget(&mut self, count: usize) {
        // The newest stays: the next numbers are counted on from it.
        let count = count.min(self.times.len().saturating_sub(1));
        self.times.drain(..count);
        self.first += count as u64;
        self.next = self.next.max(self.first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// The base number, the count of packets and the number of the feedback of each packet written.
    fn told(arrivals: &mut Arrivals, now: u64) -> Vec<(u16, u16, u8)> {
        let mut told = Vec::new();
        loop {
            let mut out = Vec::new();
            if !arrivals.write(&mut out, 1, at(now)) {
                return told;
            }
            let word = |at: usize| u16::from_be_bytes([out[at], out[at + 1]]);
            told.push((word(12), word(14), out[19]));
        }
    }

    #[test]
    fn all_is_told_once_from_the_first_to_the_newest() {
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.due(), told(&mut arrivals, 0)), (None, vec![]));
        for (number, ms) in [(65_533, 10), (65_534, 11), (1, 30), (65_534, 31)] {
            arrivals.note(number, 9, at(ms));
        }
        assert_eq!(arrivals.due(), Some(at(60)), "50 ms after the first");
        assert_eq!(told(&mut arrivals, 60), [(65_533, 5, 0)]);
        assert_eq!((arrivals.due(), told(&mut arrivals, 61)), (None, vec![]));
        arrivals.note(4, 9, at(100));
        assert_eq!(arrivals.due(), Some(at(150)));
        assert_eq!(told(&mut arrivals, 150), [(2, 3, 1)], "with those that were lost before it");
    }

    #[test]
    fn what_comes_late_is_told_with_those_around_it() {
        let mut arrivals = Arrivals::default();
        [5, 6, 8].into_iter().for_each(|number| arrivals.note(number, 9, at(0)));
        assert_eq!(told(&mut arrivals, 50), [(5, 4, 0)]);
        arrivals.note(7, 9, at(60));
        assert_eq!(told(&mut arrivals, 110), [(7, 2, 1)]);
        arrivals.note(7, 9, at(120));
        assert_eq!(arrivals.due(), None, "it came before");
        arrivals.note(9, 9, at(700));
        assert_eq!(told(&mut arrivals, 750), [(9, 1, 2)]);
        assert_eq!(arrivals.times.len(), 1, "the others are forgotten");
        arrivals.note(3, 9, at(760));
        assert_eq!(arrivals.due(), None, "too late");
    }

    #[test]
    fn a_flood_is_told_in_several_packets_and_memory_is_bounded() {
        let mut arrivals = Arrivals::default();
        (0..1000).for_each(|number| arrivals.note(number, 9, at(0)));
        assert_eq!(told(&mut arrivals, 50), [(0, 400, 0), (400, 400, 1), (800, 200, 2)]);
        (0..200_000_u32).for_each(|number| arrivals.note(number as u16, 9, at(60)));
        assert!(arrivals.times.len() <= MOST);
        let told = told(&mut arrivals, 100);
        assert_eq!(told.iter().map(|(_, count, _)| usize::from(*count)).sum::<usize>(), MOST);
        assert_eq!(told[0].0, ((200_000 - MOST as u32) as u16), "the newest");
    }

    #[test]
    fn after_a_leap_the_count_begins_anew() {
        let mut arrivals = Arrivals::default();
        arrivals.note(10, 9, at(0));
        assert_eq!(told(&mut arrivals, 50), [(10, 1, 0)]);
        arrivals.note(20_000, 9, at(60));
        assert_eq!(told(&mut arrivals, 110), [(20_000, 1, 1)]);
    }
}
