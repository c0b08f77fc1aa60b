//! What a viewer learns that opens its packets: how long each was on its way, and when a picture could first be decoded.

use crate::payload::{read_stamp, read_vp8};

/// A packet that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    pub video: bool,
    pub sequence: u16,
    pub marker: bool,
    pub payload: &'a [u8],
    /// ns at which the kernel had it.
    pub at_ns: u64,
}

#[derive(Debug, Default)]
pub struct Sampler {
    /// µs from sending to the kernel's reception, video only.
    pub latencies_us: Vec<u32>,
    /// When the last packet of the first whole key frame had come.
    pub first_frame_ns: Option<u64>,
    /// What came last cannot be shown: it is not part of a key frame, and none was whole yet.
    pub dark: bool,
    /// A key frame began and this is the number of its next packet.
    expected: Option<u16>,
}

impl Sampler {
    pub fn note(&mut self, packet: Opened<'_>) {
        if !packet.video {
            return;
        }
        if let Some(stamp) = read_stamp(packet.payload) {
            let us = packet.at_ns.saturating_sub(stamp.sent_ns) / 1000;
            self.latencies_us.push(us.min(u64::from(u32::MAX)) as u32);
        }
        if self.first_frame_ns.is_some() {
            return;
        }
        let begins = read_vp8(packet.payload).is_some_and(|vp8| vp8.key);
        if begins || self.expected == Some(packet.sequence) {
            self.expected = Some(packet.sequence.wrapping_add(1));
            self.dark = false;
            if packet.marker {
                self.first_frame_ns = Some(packet.at_ns);
            }
        } else {
            self.expected = None;
            self.dark = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Stamp, Vp8Packet, vp8};

    #[test]
    fn the_first_whole_key_frame_counts() {
        let mut sampler = Sampler::default();
        let mut note = |sequence, first, key, marker| {
            let stamp = Stamp { frame: 1, sent_ns: 1_000_000 };
            let payload = vp8(100, Vp8Packet { first, key }, stamp);
            let at_ns = 2_500_000 + u64::from(sequence);
            sampler.note(Opened { video: true, sequence, marker, payload: &payload, at_ns });
            sampler.first_frame_ns
        };
        assert_eq!(note(1, true, false, true), None, "a delta frame shows nothing");
        assert_eq!(note(2, true, true, false), None);
        assert_eq!(note(4, false, false, true), None, "3 is missing");
        assert_eq!(note(5, true, true, false), None);
        assert_eq!(note(6, false, false, true), Some(2_500_006));
        assert_eq!(note(7, true, true, true), Some(2_500_006));
        assert_eq!(sampler.latencies_us, [1500; 6]);
    }
}
