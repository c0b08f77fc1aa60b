//! Shedding: a worker at its limit forwards less video, everybody alike, and says so. Audio and data are never touched.
//!
//! Enters: how busy the worker's thread is, told by its driver; how late its timers fire; every packet of a video output while
//! something is left out. Leaves: which packets stay out, the wish for a key frame, and what is said of it. It acts at the output,
//! before the packet is copied for anyone, so that all consumers get the same and nothing is spent on what stays out. It must
//! never know a consumer, a codec or what a core is.
//!
//! What is left out is the end of each group of pictures: after a key frame whole frames pass for a share of the time that
//! groups take, in eighths, and then nothing until the next key frame. So whatever is forwarded can be decoded. At a share of
//! nothing key frames alone pass. A publisher that sends key frames only when asked is asked once such a time is over.

use super::Shard;
use crate::node::{NodeId, Port};
use crate::notice::{ElementId, Notice, What};
use crate::{Body, MediaTime, Packet};
use std::time::Duration;

/// The share of video that is forwarded is counted in eighths.
pub const ALL: u8 = 8;

/// A thread that is busier than this (thousandths of a core, over a second) is at its limit: the rest goes to waiting.
const LIMIT: u32 = 950;
/// With less than this there is room for one eighth more: one costs at most some 120 where all of the load is video.
const ROOM: u32 = 830;
/// Timers that fire this late tell that the thread gets too little of its core, which its own time does not show. It is the span
/// of media that a door holds.
const LATE: Duration = Duration::from_millis(200);
/// Lateness counts only for a thread with so much to do: an idle one on a crowded machine has nothing to shed.
const LATE_COUNTS: u32 = 500;
/// Reports over the limit before anything is left out: one second may be forty viewers who came at once.
const BEGINS_AFTER: u8 = 2;
/// How long there must have been room before a step up.
const PATIENCE: Duration = Duration::from_secs(3);
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// A step up that is taken back so soon was one too many: the next is waited for twice as long.
const PROBATION: Duration = Duration::from_secs(10);

/// A group of pictures is taken to last between these: a shorter one would mean asking more often, and key frames are dear; a
/// longer one would stand still for too long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(4);
/// What a group is taken to last as long as none has ended.
const USUAL: Duration = Duration::from_secs(2);
/// How often the request for a key frame is repeated.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Which part of the video is forwarded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    eighths: u8,
    /// Counts the times that shedding began.
    episode: u32,
}

/// Decides how much video a worker forwards.
pub(super) struct Shed {
    share: Share,
    /// Reports over the limit in a row.
    over: u8,
    /// The longest that a timer fired late since the last report; and whether that was too long in the report before.
    latest: Duration,
    was_late: bool,
    /// When the worker last looked at its timers.
    ran: MediaTime,
    room_since: Option<MediaTime>,
    /// The last step up that has not been taken back.
    raised: Option<MediaTime>,
    patience: Duration,
    /// Left out since it began.
    frames: u64,
    packets: u64,
}

impl Default for Shed {
    fn default() -> Self {
        Shed {
            share: Share { eighths: ALL, episode: 0 },
            over: 0,
            latest: Duration::ZERO,
            was_late: false,
            ran: MediaTime::ZERO,
            room_since: None,
            raised: None,
            patience: PATIENCE,
            frames: 0,
            packets: 0,
        }
    }
}

impl Shed {
    pub fn share(&self) -> Share {
        self.share
    }

    fn count(&mut self, begins_frame: bool) {
        self.packets += 1;
        self.frames += u64::from(begins_frame);
    }

    /// Takes in a report and moves the share by a step where that is due. True when it changed.
    fn judge(&mut self, busy: u32, now: MediaTime) -> bool {
        let late = std::mem::take(&mut self.latest) >= LATE;
        let stays_late = std::mem::replace(&mut self.was_late, late) && late;
        let before = self.share.eighths;
        if busy >= LIMIT || (busy >= LATE_COUNTS && stays_late) {
            self.room_since = None;
            self.over = self.over.saturating_add(1);
            if before < ALL || self.over >= BEGINS_AFTER {
                self.lower(if stays_late { 2 } else { 1 }, now);
            }
            return self.share.eighths != before;
        }
        self.over = 0;
        if busy >= ROOM {
            self.room_since = None;
        } else if now.since(*self.room_since.get_or_insert(now)) >= self.patience && before < ALL {
            self.raise(now);
        }
        self.share.eighths != before
    }

    fn lower(&mut self, by: u8, now: MediaTime) {
        if self.share.eighths == ALL {
            self.share.episode = self.share.episode.wrapping_add(1);
            (self.frames, self.packets) = (0, 0);
        }
        self.share.eighths = self.share.eighths.saturating_sub(by);
        if self.raised.take().is_some_and(|then| now.since(then) < PROBATION) {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
    }

    fn raise(&mut self, now: MediaTime) {
        self.share.eighths += 1;
        self.room_since = Some(now);
        if self.raised.replace(now).is_some() {
            // The step before has held.
            self.patience = PATIENCE;
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    StaysOut { begins_frame: bool, ask: bool },
}

/// What an output remembers so that it leaves out whole frames only.
#[derive(Default)]
pub(super) struct Thinning {
    key: Option<KeyFrame>,
    /// What the last group lasted whose end nobody asked for here.
    period: Option<Duration>,
    episode: u32,
    /// The newest packet that passed in this episode.
    newest: Option<Place>,
    /// The first packet that stayed out; `None` while everything passes.
    cut: Option<Place>,
    asked: Option<MediaTime>,
    /// The last frame that stayed out.
    out: Option<u32>,
    /// Frames left out.
    pub frames: u64,
}

struct KeyFrame {
    entered: MediaTime,
    ssrc: u32,
    place: Place,
    /// Something was left out before it.
    after_gap: bool,
}

#[derive(Clone, Copy)]
struct Place {
    sequence: u64,
    timestamp: u32,
}

impl Thinning {
    /// Whether this packet must be judged. Asked of every packet of video.
    pub fn concerns(&self, packet: &Packet, share: Share) -> bool {
        packet.key || share.eighths < ALL || self.cut.is_some()
    }

    /// Judges a packet; the first after a gap is marked.
    fn judge(&mut self, packet: &mut Packet, share: Share, now: MediaTime) -> Verdict {
        let Body::Rtp(rtp) = &packet.body else { return Verdict::Passes };
        let (ssrc, place) = (rtp.ssrc, Place { sequence: rtp.sequence, timestamp: rtp.timestamp });
        if std::mem::replace(&mut self.episode, share.episode) != share.episode {
            // What passed before was not watched: the first frame counts as begun.
            self.newest = None;
        }
        if packet.key && self.begins(ssrc, place) {
            packet.discontinuity |= self.begin(ssrc, place, packet.entered);
            return Verdict::Passes;
        }
        let (passes, begins_gap) = self.passes(ssrc, place, packet.entered, share);
        if passes {
            return Verdict::Passes;
        }
        if begins_gap {
            self.cut = Some(place);
        }
        let begins_frame = self.out.replace(place.timestamp) != Some(place.timestamp);
        self.frames += u64::from(begins_frame);
        Verdict::StaysOut { begins_frame, ask: self.asks(packet.entered, now) }
    }

    /// Whether a packet that is marked as key begins another key frame: one frame may have several such packets, and they may
    /// come late.
    fn begins(&self, ssrc: u32, place: Place) -> bool {
        let Some(key) = self.key.as_ref().filter(|key| key.ssrc == ssrc) else { return true };
        let after = self.cut.map_or(key.place.sequence, |cut| cut.sequence);
        key.place.timestamp != place.timestamp && place.sequence > after
    }

    /// Begins a group. True when something was left out before it.
    fn begin(&mut self, ssrc: u32, place: Place, entered: MediaTime) -> bool {
        if let Some(key) = &self.key
            && key.ssrc == ssrc
            && self.asked.is_none()
        {
            self.period = Some(entered.since(key.entered).clamp(SHORTEST, LONGEST));
        }
        let after_gap = self.cut.take().is_some();
        self.key = Some(KeyFrame { entered, ssrc, place, after_gap });
        self.newest = Some(place);
        self.asked = None;
        after_gap
    }

    /// Whether a packet of a group passes; and if not, whether the gap begins with it.
    fn passes(&mut self, ssrc: u32, place: Place, entered: MediaTime, share: Share) -> (bool, bool) {
        let Some(key) = self.key.as_ref().filter(|key| key.ssrc == ssrc) else { return (self.cut.is_none(), false) };
        if place.timestamp == key.place.timestamp {
            return (true, false);
        }
        if key.after_gap && place.sequence < key.place.sequence {
            return (false, false);
        }
        if let Some(cut) = self.cut {
            // Only what is late of frames that have passed: order is by number, since time stamps go back where frames are coded
            // out of order.
            return (place.sequence < cut.sequence && place.timestamp != cut.timestamp, false);
        }
        let continues =
            self.newest.is_none_or(|newest| newest.timestamp == place.timestamp || place.sequence < newest.sequence);
        let until = key.entered + self.period.unwrap_or(USUAL) * u32::from(share.eighths) / u32::from(ALL);
        if share.eighths < ALL && !continues && entered >= until {
            return (false, true);
        }
        if self.newest.is_none_or(|newest| place.sequence > newest.sequence) {
            self.newest = Some(place);
        }
        (true, false)
    }

    /// Whether a key frame should be asked for: the group has lasted as long as groups do.
    fn asks(&mut self, entered: MediaTime, now: MediaTime) -> bool {
        let Some(key) = &self.key else { return false };
        let over = entered >= key.entered + self.period.unwrap_or(USUAL);
        let asks = over && self.asked.is_none_or(|then| now.since(then) >= ASK_AGAIN);
        if asks {
            self.asked = Some(now);
        }
        asks
    }
}

impl Shard {
    /// How busy the worker's thread was since the last report, in thousandths of a core. The driver tells it about once a second,
    /// and goes on to do so as long as [`Shard::is_shedding`]. Follow with [`Shard::run`].
    pub fn note_load(&mut self, busy: u32) {
        self.refresh_time();
        let before = self.shed.share.eighths;
        if !self.shed.judge(busy, self.time) {
            return;
        }
        let (worker, share) = (self.worker, self.shed.share.eighths);
        if before == ALL {
            tracing::warn!(worker, busy, "the worker is at its limit: video is left out up to key frames");
        } else if share == ALL {
            let (frames, packets) = (self.shed.frames, self.shed.packets);
            tracing::info!(worker, busy, frames, packets, "the worker forwards everything again");
        } else {
            tracing::debug!(worker, busy, share, "another share of the video is forwarded");
        }
        (self.notices)(Notice { at: self.time, element: ElementId::NONE, what: What::Overload { worker, share } });
    }

    /// Notes how late the worker is. A timer that was set when its time was over already is not late.
    pub(super) fn note_lateness(&mut self) {
        let now = self.time;
        let ran = std::mem::replace(&mut self.shed.ran, now);
        if let Some(due) = self.timers.next() {
            self.shed.latest = self.shed.latest.max(now.since(due.max(ran)));
        }
    }

    /// Whether less than all video is forwarded.
    pub fn is_shedding(&self) -> bool {
        self.shed.share.eighths < ALL
    }

    /// Whether a packet of a video output stays out; asks for a key frame where one is due.
    pub(super) fn stays_out(&mut self, from: NodeId, port: Port, packet: &mut Packet) -> bool {
        let (share, now) = (self.shed.share(), self.time);
        let Some(output) = self.output_mut(from, port) else { return false };
        match output.thinning.judge(packet, share, now) {
            Verdict::Passes => false,
            Verdict::StaysOut { begins_frame, ask } => {
                self.shed.count(begins_frame);
                if ask {
                    self.ask_node(from, port);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Rtp;
    use crate::{Caps, Codec};
    use bytes::Bytes;
    use std::sync::Arc;

    const HALF: Share = Share { eighths: 4, episode: 1 };
    const WHOLE: Share = Share { eighths: ALL, episode: 0 };

    /// A packet of a frame that was taken at `ms`.
    fn packet(sequence: u64, ms: u64, key: bool) -> Packet {
        let rtp = Rtp { ssrc: 1, sequence, timestamp: ms as u32 * 90, marker: false, payload: Bytes::new() };
        Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::from_millis(ms)).key(key)
    }

    fn passes(thinning: &mut Thinning, share: Share, mut packet: Packet) -> bool {
        let now = packet.entered;
        thinning.judge(&mut packet, share, now) == Verdict::Passes
    }

    #[test]
    fn a_frame_that_was_begun_when_shedding_began_is_finished() {
        let mut thinning = Thinning::default();
        assert!(passes(&mut thinning, WHOLE, packet(1, 0, true)));
        assert!(passes(&mut thinning, HALF, packet(5, 1500, false)), "nobody knows whether a frame begins here");
        assert!(passes(&mut thinning, HALF, packet(6, 1500, false)));
        assert!(!passes(&mut thinning, HALF, packet(7, 1540, false)));
        assert!(!passes(&mut thinning, WHOLE, packet(8, 1580, false)), "over or not: what follows cannot be decoded");
        assert!(passes(&mut thinning, WHOLE, packet(9, 1620, true)));
        assert!(passes(&mut thinning, WHOLE, packet(10, 1660, false)));
    }

    #[test]
    fn packets_out_of_order_stay_with_their_frames() {
        let mut thinning = Thinning::default();
        assert!(passes(&mut thinning, HALF, packet(1, 0, true)));
        assert!(passes(&mut thinning, HALF, packet(2, 960, false)));
        assert!(passes(&mut thinning, HALF, packet(4, 960, false)));
        assert!(!passes(&mut thinning, HALF, packet(6, 1000, false)));
        assert!(
            !passes(&mut thinning, HALF, packet(5, 1000, false)),
            "of the frame that stays out, though before the cut"
        );
        assert!(passes(&mut thinning, HALF, packet(3, 960, false)), "of a frame that passed");
        let mut key = packet(9, 2000, true);
        assert_eq!(thinning.judge(&mut key, HALF, MediaTime::from_millis(2000)), Verdict::Passes);
        assert!(key.discontinuity, "it says that something is missing");
        assert!(!passes(&mut thinning, HALF, packet(7, 1040, false)), "left out before, and late");
        assert!(passes(&mut thinning, HALF, packet(10, 2000, false)));
        assert!(!passes(&mut thinning, Share { eighths: 0, ..HALF }, packet(11, 2040, false)), "key frames only");
        assert_eq!(thinning.frames, 3);
    }

    #[test]
    fn a_group_lasts_as_long_as_the_one_before_within_bounds() {
        let mut thinning = Thinning::default();
        for (number, (ms, period)) in
            [(0, None), (100, Some(1000)), (1600, Some(1500)), (9000, Some(4000))].into_iter().enumerate()
        {
            assert!(passes(&mut thinning, WHOLE, packet(number as u64, ms, true)));
            assert_eq!(thinning.period, period.map(Duration::from_millis), "at {ms} ms");
        }
    }

    /// Runs the decision alone over one load a second, and says what share came of each.
    fn shares(shed: &mut Shed, from: u64, loads: &[u32]) -> Vec<u8> {
        let share = |(second, busy): (u64, &u32)| {
            shed.judge(*busy, MediaTime::from_millis(second * 1000));
            shed.share.eighths
        };
        (from..).zip(loads).map(share).collect()
    }

    #[test]
    fn one_busy_second_is_nothing_and_each_step_up_takes_three_seconds_of_room() {
        let mut shed = Shed::default();
        assert_eq!(shares(&mut shed, 0, &[1000, 900, 1000, 949]), [8, 8, 8, 8]);
        assert_eq!(
            shares(&mut shed, 4, &[950, 950, 950, 900, 900, 900, 900]),
            [8, 7, 6, 6, 6, 6, 6],
            "between: it stays"
        );
        assert_eq!(shares(&mut shed, 11, &[800; 9]), [6, 6, 6, 7, 7, 7, 8, 8, 8]);
        assert_eq!(shares(&mut shed, 20, &[1000; 12]), [8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_step_up_that_was_too_much_is_tried_less_and_less_often() {
        let mut shed = Shed::default();
        // There is room for seven eighths and not for all.
        let mut changes = Vec::new();
        let mut before = ALL;
        for second in 0..300 {
            let busy = if shed.share.eighths == ALL { 1000 } else { 800 };
            if shed.judge(busy, MediaTime::from_millis(second * 1000)) {
                assert_eq!(shed.share.eighths.abs_diff(before), 1);
                before = shed.share.eighths;
                changes.push(second);
            }
        }
        let ups: Vec<u64> = changes.iter().skip(1).step_by(2).copied().collect();
        let waits: Vec<u64> = ups.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits, [9, 15, 27, 51, 63, 63, 63], "twice as long each time, up to a minute");
    }

    #[test]
    fn lateness_counts_only_when_it_stays_and_there_is_something_to_shed() {
        let late = |busy, first: u64, second: u64| {
            let mut shed = Shed::default();
            let mut shares = Vec::new();
            for (at, late) in [first, second, second].into_iter().enumerate() {
                shed.latest = Duration::from_millis(late);
                shed.judge(busy, MediaTime::from_millis(at as u64 * 1000));
                shares.push(shed.share.eighths);
            }
            shares
        };
        assert_eq!(late(600, 300, 300), [8, 8, 6], "one report may be chance, and then two begin it");
        assert_eq!(late(960, 300, 300), [8, 6, 4], "twice as fast");
        assert_eq!(late(100, 300, 300), [8, 8, 8]);
        assert_eq!(late(600, 300, 0), [8, 8, 8]);
    }
}
