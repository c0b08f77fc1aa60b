//! The latest group of pictures of a video output: everything since the last key frame began, within bounds, so that a late
//! viewer starts at once and nobody has to ask the publisher.

use crate::{Body, MediaTime, Packet};
use std::time::Duration;

/// A group that grows past this is let go. It reaches a late viewer in one burst, and a browser's socket holds some 60
/// packets: the load tool saw larger groups overflow it, which costs the viewer more than waiting for a key frame does.
const MOST_BYTES: usize = 48 << 10;
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Group {
    packets: Vec<Packet>,
    bytes: usize,
    /// The key frame's time stamp: more packets of one frame may be marked as its beginning.
    frame: Option<u32>,
}

impl Group {
    /// Takes in the next packet of the output.
    pub fn push(&mut self, packet: &Packet) {
        let Body::Rtp(rtp) = &packet.body else { return };
        if packet.key && self.frame != Some(rtp.timestamp) {
            self.clear();
            self.frame = Some(rtp.timestamp);
        }
        if self.frame.is_none() {
            return;
        }
        self.bytes += packet.body.len();
        self.packets.push(packet.clone());
        if self.bytes > MOST_BYTES || packet.entered.since(self.began()) > LONGEST {
            self.clear();
        }
    }

    /// From the key frame on, in order; empty when there is no whole group.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    fn began(&self) -> MediaTime {
        self.packets.first().map_or(MediaTime::ZERO, |packet| packet.entered)
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
        self.frame = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::video;

    fn times(group: &Group) -> Vec<u64> {
        group.packets().iter().map(|packet| packet.entered.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn it_begins_with_each_key_frame_and_never_grows_past_two_seconds() {
        let mut group = Group::default();
        group.push(&video(0, false));
        assert!(group.packets().is_empty(), "nothing before the first key frame");
        for ms in [20, 40, 60] {
            group.push(&video(ms, ms == 20));
        }
        assert_eq!(times(&group), [20, 40, 60]);
        group.push(&video(80, true));
        assert_eq!(times(&group), [80]);
        (100..=2080).step_by(20).for_each(|ms| group.push(&video(ms, false)));
        assert_eq!(group.packets().len(), 101);
        group.push(&video(2100, false));
        assert!(group.packets().is_empty(), "too long: wait for the next key frame");
        group.push(&video(2120, false));
        assert!(group.packets().is_empty());
    }

    #[test]
    fn several_packets_of_one_key_frame_belong_together() {
        let mut group = Group::default();
        group.push(&video(20, true));
        group.push(&video(20, true));
        assert_eq!(group.packets().len(), 2);
    }
}
