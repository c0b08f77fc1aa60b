//! The doors of the house: every link is bounded, and what it drops is counted.
//!
//! A [`Gate`] stands in every video link: it lets nothing pass before a key frame. A [`Door`] is the queue behind the gate for
//! a link whose far side may be slower than this one: it holds a bounded span of media and drops by the policy of its kind.

use crate::{MediaKind, MediaTime, Packet};
use std::collections::VecDeque;
use std::time::Duration;

/// What happens when a door is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Empties the queue and waits for the next key frame, asking west for one: coded video.
    ToKeyFrame { span: Duration },
    /// Drops the oldest: audio.
    Oldest { span: Duration },
    /// Refuses what does not fit: unreliable data.
    Newest { bytes: usize },
}

impl Policy {
    /// The sizes of the house plan: 200 ms of media; of data as much as may wait for a slow peer.
    pub fn of(kind: MediaKind) -> Self {
        const SPAN: Duration = Duration::from_millis(200);
        match kind {
            MediaKind::Video => Policy::ToKeyFrame { span: SPAN },
            MediaKind::Audio => Policy::Oldest { span: SPAN },
            MediaKind::Data => Policy::Newest { bytes: 16 << 20 },
        }
    }
}

/// How often a closed gate repeats its request for a key frame.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Lets nothing pass before a key frame.
#[derive(Debug)]
pub struct Gate {
    stand: Stand,
    asked: Option<MediaTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Open,
    Closed,
    Diverted,
}

/// What a gate says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may pass, and is the first to do so since the gate closed.
    Opens,
    Passes,
    Stays,
    /// It stays out, and a key frame should be asked for.
    StaysAndAsks,
    /// It reaches the consumer another way, behind what that one still has to catch up with.
    Diverted,
}

impl Gate {
    /// Closed for video, always open for anything that a decoder can join at any packet.
    pub fn new(kind: MediaKind) -> Self {
        let stand = if kind == MediaKind::Video { Stand::Closed } else { Stand::Open };
        Gate { stand, asked: None }
    }

    pub fn close(&mut self) {
        self.stand = Stand::Closed;
    }

    pub fn open(&mut self) {
        self.stand = Stand::Open;
    }

    /// Sends everything another way until the gate is opened or closed.
    pub fn divert(&mut self) {
        self.stand = Stand::Diverted;
    }

    /// Whether it waits for a key frame.
    pub fn is_closed(&self) -> bool {
        self.stand == Stand::Closed
    }

    pub fn is_diverted(&self) -> bool {
        self.stand == Stand::Diverted
    }

    /// Says that a request has just gone west.
    pub fn note_asked(&mut self, now: MediaTime) {
        self.asked = Some(now);
    }

    pub fn pass(&mut self, key: bool, now: MediaTime) -> Passage {
        match self.stand {
            Stand::Open => return Passage::Passes,
            Stand::Diverted => return Passage::Diverted,
            Stand::Closed if key => {
                self.stand = Stand::Open;
                return Passage::Opens;
            }
            Stand::Closed => {}
        }
        match self.asked {
            Some(asked) if now.since(asked) < ASK_AGAIN => Passage::Stays,
            _ => {
                self.asked = Some(now);
                Passage::StaysAndAsks
            }
        }
    }
}

/// What became of a packet at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Queued,
    /// It, or an older one, was dropped.
    Dropped,
    /// All was dropped up to the next key frame, which should be asked for.
    DroppedToKeyFrame,
}

/// A bounded queue of one link.
#[derive(Debug)]
pub struct Door {
    policy: Policy,
    queue: VecDeque<Packet>,
    bytes: usize,
    pub dropped: u64,
}

impl Door {
    pub fn new(policy: Policy) -> Self {
        Door { policy, queue: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn push(&mut self, packet: Packet) -> Kept {
        if let Policy::Newest { bytes } = self.policy
            && self.bytes + packet.body.len() > bytes
        {
            self.dropped += 1;
            return Kept::Dropped;
        }
        self.bytes += packet.body.len();
        self.queue.push_back(packet);
        match self.policy {
            Policy::ToKeyFrame { span } if self.span() > span => {
                self.dropped += self.queue.len() as u64;
                self.queue.clear();
                self.bytes = 0;
                Kept::DroppedToKeyFrame
            }
            Policy::Oldest { span } if self.span() > span => {
                while self.span() > span {
                    self.pop();
                    self.dropped += 1;
                }
                Kept::Dropped
            }
            _ => Kept::Queued,
        }
    }

    pub fn pop(&mut self) -> Option<Packet> {
        let packet = self.queue.pop_front()?;
        self.bytes -= packet.body.len();
        Some(packet)
    }

    /// The media time between the oldest packet and the newest.
    fn span(&self) -> Duration {
        match (self.queue.front(), self.queue.back()) {
            (Some(oldest), Some(newest)) => newest.entered.since(oldest.entered),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audio, message, video};
    use proptest::prelude::*;

    #[test]
    fn a_gate_waits_for_a_key_frame_and_asks_once_a_second() {
        let at = MediaTime::from_millis;
        let mut gate = Gate::new(MediaKind::Video);
        assert_eq!(gate.pass(false, at(0)), Passage::StaysAndAsks);
        assert_eq!(gate.pass(false, at(999)), Passage::Stays);
        assert_eq!(gate.pass(false, at(1000)), Passage::StaysAndAsks);
        assert_eq!(gate.pass(true, at(1001)), Passage::Opens);
        assert_eq!(gate.pass(false, at(1002)), Passage::Passes);
        gate.divert();
        assert_eq!(gate.pass(true, at(1003)), Passage::Diverted, "a key frame too");
        assert_eq!(Gate::new(MediaKind::Audio).pass(false, at(0)), Passage::Passes);
    }

    #[test]
    fn full_of_video_drops_everything_up_to_the_next_key_frame() {
        let mut door = Door::new(Policy::of(MediaKind::Video));
        for ms in (0..=200).step_by(20) {
            assert_eq!(door.push(video(ms, ms == 0)), Kept::Queued);
        }
        assert_eq!(door.push(video(220, false)), Kept::DroppedToKeyFrame);
        assert_eq!((door.len(), door.dropped), (0, 12));
    }

    #[test]
    fn full_of_audio_drops_the_oldest() {
        let mut door = Door::new(Policy::of(MediaKind::Audio));
        for ms in (0..=400).step_by(20) {
            door.push(audio(ms));
        }
        assert_eq!((door.len(), door.dropped), (11, 10));
        assert_eq!(door.pop().map(|p| p.entered), Some(MediaTime::from_millis(200)));
    }

    #[test]
    fn full_of_data_refuses_the_newest() {
        let mut door = Door::new(Policy::Newest { bytes: 10 });
        assert_eq!(door.push(message(b"12345678")), Kept::Queued);
        assert_eq!(door.push(message(b"123")), Kept::Dropped);
        assert_eq!(door.push(message(b"12")), Kept::Queued);
    }

    proptest! {
        #[test]
        fn no_door_ever_holds_more_than_its_span(steps in prop::collection::vec((0u64..50, any::<bool>()), 1..300)) {
            let mut door = Door::new(Policy::of(MediaKind::Audio));
            let (mut now, mut taken) = (0, 0u64);
            for (gap, take) in &steps {
                now += gap;
                door.push(audio(now));
                prop_assert!(door.span() <= Duration::from_millis(200));
                if *take {
                    taken += u64::from(door.pop().is_some());
                }
            }
            prop_assert_eq!(door.len() as u64 + door.dropped + taken, steps.len() as u64, "every packet is accounted for");
        }
    }
}
