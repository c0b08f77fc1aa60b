//! The latest group of pictures of a video output: everything since the last key frame began, within bounds, so that a late
//! viewer starts at once and nobody has to ask the publisher.
//!
//! Enters: every packet of the output, in order. Leaves: the same, read by whoever is behind. Packets are known by their position:
//! how many went by before them. It must never know who reads.

use crate::{Body, MediaTime, Packet};
use std::time::Duration;

/// A newcomer gets no group that is larger or longer than this. It is handed over in portions, faster than it was made: the
/// longest of an ordinary stream (1.5 Mbps) takes a good second. A key frame of its own would cost the publisher, and through it
/// all other viewers, as many bits as several hundred ms of the stream; beyond this it is the cheaper way, and the sooner one.
const MOST_BYTES: usize = 1 << 20;
const LONGEST: Duration = Duration::from_secs(4);
/// As long as somebody still reads, the group is kept up to this: twice as much, since readers are at least twice as fast as
/// the stream.
const HELD_BYTES: usize = 2 * MOST_BYTES;
const HELD_FOR: Duration = Duration::from_secs(8);
/// A rate is not measured over less: a key frame that arrived in a few ms says nothing of the stream.
const SHORTEST: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Group {
    packets: Vec<Packet>,
    bytes: usize,
    /// The key frame's time: more packets of one frame may be marked as its beginning.
    frame: Option<u64>,
    /// The position of the first packet.
    begin: u64,
}

impl Group {
    /// Takes in the next packet of the output. `held`: somebody reads, so that the group should not be let go yet.
    pub fn push(&mut self, packet: &Packet, held: bool) {
        let time = match &packet.body {
            Body::Rtp(rtp) => u64::from(rtp.timestamp),
            Body::Coded(frame) => frame.at.as_nanos(),
            // The picture with which another scene begins is kept until the next one comes: for who is led here because of it, and for
            // who comes while a film is paused. Otherwise whoever comes late to pictures begins with the next one.
            Body::Picture(picture) if packet.discontinuity => picture.at.as_nanos(),
            Body::Picture(_) => {
                self.clear();
                return self.begin += 1;
            }
            Body::Sound(_) | Body::Data(_) => return self.begin += 1,
        };
        if packet.key && self.frame != Some(time) {
            self.clear();
            self.frame = Some(time);
        }
        if self.frame.is_none() {
            self.begin += 1;
            return;
        }
        // One picture is never too much, whatever its size: it is shared memory.
        self.bytes += if matches!(packet.body, Body::Picture(_)) { 0 } else { packet.body.len() };
        self.packets.push(packet.clone());
        let (bytes, span) = if held { (HELD_BYTES, HELD_FOR) } else { (MOST_BYTES, LONGEST) };
        if self.exceeds(bytes, span) {
            self.clear();
        }
    }

    /// Where a newcomer begins: at the key frame. `None` when there is no whole group, or too much of it.
    pub fn start(&self) -> Option<u64> {
        let usable = !self.packets.is_empty() && !self.exceeds(MOST_BYTES, LONGEST);
        usable.then_some(self.begin)
    }

    /// The position of the first packet that is kept; equal to [`Group::end`] when none is.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The position of the next packet to come.
    pub fn end(&self) -> u64 {
        self.begin + self.packets.len() as u64
    }

    /// From this position on, in order; `None` when what stood there is kept no longer.
    pub fn rest(&self, position: u64) -> Option<&[Packet]> {
        self.packets.get(usize::try_from(position.checked_sub(self.begin)?).ok()?..)
    }

    /// How fast the group was made, in bytes a second.
    pub fn rate(&self) -> u64 {
        let span = self.span().max(SHORTEST);
        self.bytes as u64 * 1000 / span.as_millis() as u64
    }

    fn exceeds(&self, bytes: usize, span: Duration) -> bool {
        self.bytes > bytes || self.span() > span
    }

    fn span(&self) -> Duration {
        let entered = |packet: Option<&Packet>| packet.map_or(MediaTime::ZERO, |packet| packet.entered);
        entered(self.packets.last()).since(entered(self.packets.first()))
    }

    fn clear(&mut self) {
        self.begin = self.end();
        self.packets.clear();
        self.bytes = 0;
        self.frame = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::video;
    use crate::{Caps, Codec, Picture, Plane};
    use bytes::Bytes;
    use std::sync::Arc;

    /// What a newcomer gets.
    fn times(group: &Group) -> Vec<u64> {
        let packets = group.start().and_then(|start| group.rest(start)).unwrap_or_default();
        packets.iter().map(|packet| packet.entered.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn it_begins_with_each_key_frame_and_never_grows_past_four_seconds() {
        let mut group = Group::default();
        group.push(&video(0, false), false);
        assert_eq!(group.start(), None, "nothing before the first key frame");
        for ms in [20, 40, 60] {
            group.push(&video(ms, ms == 20), false);
        }
        assert_eq!(times(&group), [20, 40, 60]);
        group.push(&video(80, true), false);
        assert_eq!(times(&group), [80]);
        (100..=4080).step_by(20).for_each(|ms| group.push(&video(ms, false), false));
        assert_eq!(times(&group).len(), 201);
        group.push(&video(4100, false), false);
        assert_eq!(group.start(), None, "too long: wait for the next key frame");
        group.push(&video(4120, false), false);
        assert_eq!((group.begin(), group.end()), (207, 207), "all that went by is counted, and none is kept");
    }

    #[test]
    fn several_packets_of_one_key_frame_belong_together() {
        let mut group = Group::default();
        group.push(&video(20, true), false);
        group.push(&video(20, true), false);
        assert_eq!(times(&group).len(), 2);
    }

    #[test]
    fn whoever_reads_holds_it_a_while_but_newcomers_get_it_no_longer() {
        let mut group = Group::default();
        (0..=8000).step_by(20).for_each(|ms| group.push(&video(ms, ms == 0), true));
        assert_eq!(group.start(), None);
        assert_eq!(group.rest(400).map(<[Packet]>::len), Some(1));
        group.push(&video(8020, false), true);
        assert!(group.rest(400).is_none(), "held long enough");
    }

    #[test]
    fn the_picture_of_a_cut_is_kept_whatever_its_size_until_the_next_one() {
        let mut group = Group::default();
        let mut push = |ms, cut| {
            let plane = || Plane { data: Bytes::from(vec![0; MOST_BYTES]), stride: 1024 };
            let at = MediaTime::from_millis(ms);
            let picture = Picture { width: 1024, height: 1024, planes: [plane(), plane(), plane()], at };
            let packet = Packet::new(Caps::video(Codec::Raw, None), Body::Picture(Arc::new(picture)), at);
            group.push(&Packet { discontinuity: cut, ..packet.key(true) }, false);
            (times(&group), group.end())
        };
        assert_eq!(push(20, false), (vec![], 1));
        assert_eq!(push(40, true), (vec![40], 2));
        assert_eq!(push(60, true), (vec![60], 3));
        assert_eq!(push(80, false), (vec![], 4));
    }

    #[test]
    fn a_position_that_is_gone_is_told_from_the_end() {
        let mut group = Group::default();
        [0, 20, 40].iter().for_each(|ms| group.push(&video(*ms, *ms == 0), false));
        assert_eq!(group.rest(3).map(<[Packet]>::len), Some(0), "has seen it all");
        group.push(&video(60, true), false);
        assert!(group.rest(2).is_none());
        assert_eq!(group.rest(3).map(<[Packet]>::len), Some(1));
    }
}
