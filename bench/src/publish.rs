//! What one publisher sends and when: the recorded video and a steady sound, numbered and stamped. Enters: the time, and
//! requests for key frames. Leaves: packets, not yet sealed.

use crate::payload::{self, OPUS_EVERY_US, Stamp, Vp8Packet};
use crate::schedule::{Cursor, Schedule};

/// The first sequence number of every stream: low enough that a receiver does not mistake it for a rollover.
const FIRST: u64 = 1000;

/// A packet that is due.
#[derive(Debug)]
pub struct Outgoing {
    pub video: bool,
    /// With its rollovers; the low 16 bits go into the header.
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub struct Publisher {
    video: Cursor,
    start_ns: u64,
    stretch: f64,
    frame: u32,
    /// The next packet begins a frame.
    begins: bool,
    /// The frame that is being sent is a key frame.
    key: bool,
    key_asked: bool,
    sent: [u64; 2],
    pub requests: u64,
    /// µs by which the latest packet since the last [`Publisher::forget_lateness`] was late.
    pub latest_us: u64,
}

impl Publisher {
    /// Begins at `start_ns`, at `speed` times the recorded pace.
    pub fn new(start_ns: u64, speed: f64) -> Self {
        Publisher {
            video: Cursor::new(start_ns, speed),
            start_ns,
            stretch: 1.0 / speed,
            frame: 0,
            begins: true,
            key: false,
            key_asked: false,
            sent: [0; 2],
            requests: 0,
            latest_us: 0,
        }
    }

    /// The next frame becomes a key frame, at its recorded size: a load shall not depend on who asks how often.
    pub fn ask_key_frame(&mut self) {
        self.requests += 1;
        self.key_asked = true;
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent[0] + self.sent[1]
    }

    pub fn forget_lateness(&mut self) {
        self.latest_us = 0;
    }

    fn audio_due(&self) -> u64 {
        self.start_ns + (self.sent[0] as f64 * OPUS_EVERY_US as f64 * 1000.0 * self.stretch) as u64
    }

    /// When there is something to send again, in ns.
    pub fn due(&self, schedule: &Schedule) -> u64 {
        self.audio_due().min(self.video.due(schedule))
    }

    /// Takes what is due.
    pub fn take_due(&mut self, schedule: &Schedule, now: u64, out: &mut Vec<Outgoing>) {
        while self.audio_due() <= now {
            self.note_lateness(now - self.audio_due());
            let number = self.sent[0];
            self.sent[0] += 1;
            let payload = payload::opus(Stamp { frame: number as u32, sent_ns: now });
            let timestamp = (number * 960) as u32;
            out.push(Outgoing { video: false, sequence: FIRST + number, timestamp, marker: false, payload });
        }
        while self.video.due(schedule) <= now {
            self.note_lateness(now - self.video.due(schedule));
            let timestamp = (self.video.media_us(schedule) * 9 / 100) as u32;
            let line = self.video.take(schedule);
            let first = std::mem::replace(&mut self.begins, line.last);
            if first {
                self.key = line.key || std::mem::take(&mut self.key_asked);
            }
            let stamp = Stamp { frame: self.frame, sent_ns: now };
            let payload = payload::vp8(line.bytes, Vp8Packet { first, key: self.key }, stamp);
            self.frame += u32::from(line.last);
            let sequence = FIRST + self.sent[1];
            self.sent[1] += 1;
            out.push(Outgoing { video: true, sequence, timestamp, marker: line.last, payload });
        }
    }

    fn note_lateness(&mut self, ns: u64) {
        self.latest_us = self.latest_us.max(ns / 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{read_stamp, read_vp8};

    fn sent(publisher: &mut Publisher, schedule: &Schedule, now: u64) -> Vec<Outgoing> {
        let mut out = Vec::new();
        publisher.take_due(schedule, now, &mut out);
        out
    }

    #[test]
    fn a_request_turns_the_next_frame_into_a_key_frame_and_only_that() {
        let schedule = Schedule::parse("0 100 k\n0 100 mk\n40 90 -\n40 91 m\n80 92 m").unwrap();
        let mut publisher = Publisher::new(0, 1.0);
        assert_eq!(publisher.due(&schedule), 0);
        let first = sent(&mut publisher, &schedule, 0);
        assert_eq!(first.len(), 3, "one of sound, two of the picture");
        assert!(read_vp8(&first[1].payload).unwrap().key);
        assert_eq!(publisher.due(&schedule), 20_000_000);
        publisher.ask_key_frame();
        let rest = sent(&mut publisher, &schedule, 81_000_000);
        let video: Vec<_> = rest.iter().filter(|packet| packet.video).collect();
        let shape: Vec<_> = video.iter().map(|p| (p.payload.len(), p.marker, read_vp8(&p.payload).unwrap())).collect();
        let packet = |first, key| Vp8Packet { first, key };
        assert_eq!(
            shape,
            [(90, false, packet(true, true)), (91, true, packet(false, false)), (92, true, packet(true, false))]
        );
        let frames: Vec<_> = video.iter().map(|p| read_stamp(&p.payload).unwrap().frame).collect();
        assert_eq!(frames, [1, 1, 2]);
        assert_eq!(video.iter().map(|p| p.sequence).collect::<Vec<_>>(), [1002, 1003, 1004]);
        assert_eq!(video[2].timestamp, 7200);
        assert_eq!((publisher.requests, publisher.latest_us, publisher.sent()), (1, 61_000, 10));
    }

    #[test]
    fn half_the_speed_takes_twice_the_time() {
        let schedule = Schedule::parse("0 100 mk\n40 90 m").unwrap();
        let mut publisher = Publisher::new(0, 0.5);
        sent(&mut publisher, &schedule, 0);
        assert_eq!(sent(&mut publisher, &schedule, 79_999_999).len(), 1, "one of sound at 40 ms");
        assert_eq!(sent(&mut publisher, &schedule, 80_000_000).len(), 2);
    }
}
