//! The front of every node that takes RTP apart.
//!
//! Enters: packets of one stream as the network delivered them. Leaves: whole frames in the order in which they were sent, each with
//! its time, and word of what is missing, where it is missing; to the source, requests for key frames. It must never know what
//! becomes of a frame.

use super::key_wish::KeyWish;
use crate::payload::{Depayload, Frame, Loss, Piece, depayload};
use crate::playout::{Reorder, Step, Timeline, Together};
use rivero_engine::{Body, Caps, Feedback, Input, MediaKind, MediaTime, Outbox, Packet};
use std::collections::VecDeque;
use std::time::Duration;

/// What comes out, one after another.
pub enum Arrival {
    Frame(Arrived),
    /// Something is missing here; of video, a key frame has been asked for. How many packets, as far as it was not told before.
    Lost {
        packets: u64,
    },
    /// The sender's clock stepped: the times that follow have no relation to those before.
    Jump,
    /// Another stream begins: nothing that follows rests on what came before.
    Restart,
}

pub struct Arrived {
    pub frame: Frame,
    /// When it is shown or heard.
    pub at: MediaTime,
    /// When the first of its packets entered the pipeline.
    pub entered: MediaTime,
}

pub struct Inlet {
    from: Caps,
    reorder: Reorder,
    timeline: Timeline,
    together: Together,
    format: Box<dyn Depayload>,
    /// Of the newest packet, and the one before: a packet ends a frame of one of both.
    moments: [Option<Moment>; 2],
    frames: Vec<Frame>,
    ready: VecDeque<Arrival>,
    wish: KeyWish,
    /// The packet from which `ready` was made begins a key frame.
    key: bool,
}

#[derive(Clone, Copy)]
struct Moment {
    timestamp: u32,
    at: MediaTime,
    entered: MediaTime,
}

impl Inlet {
    /// # Errors
    /// There is no payload format for `from`.
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(Inlet {
            from: from.clone(),
            reorder: Reorder::new(from.kind()),
            timeline: Timeline::new(from.clock_rate()),
            together: Together::default(),
            format: depayload(from).ok_or("no payload format")?,
            moments: [None; 2],
            frames: Vec::new(),
            ready: VecDeque::new(),
            wish: KeyWish::new(from),
            key: false,
        })
    }

    pub fn from(&self) -> &Caps {
        &self.from
    }

    /// Takes in what is for it. True when it is time to [`pop`](Self::pop) until nothing is left.
    pub fn push(&mut self, input: Input, now: MediaTime) -> bool {
        match input {
            Input::Media { packet, more, .. } => {
                // A source that turns to another format is led elsewhere; until then its packets come here.
                if packet.caps == self.from {
                    self.reorder.push(packet, now);
                }
                !more
            }
            Input::Deadline => true,
            Input::Feedback { .. } | Input::Command(_) => false,
        }
    }

    /// What comes next. With `None` the node will be woken when there may be more.
    pub fn pop(&mut self, out: &mut Outbox) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                if let Arrival::Lost { .. } = arrival {
                    self.want_key(out);
                }
                return Some(arrival);
            }
            if std::mem::take(&mut self.key) {
                self.wish.note_key();
            }
            self.reorder.want_key(self.wish.is_open());
            match self.reorder.pop(out.now()) {
                Some(Step::Packet(packet)) => self.unpack(&packet),
                Some(Step::Lost { count, .. }) => self.ready.push_back(Arrival::Lost { packets: count }),
                Some(Step::Restart) => self.begin_anew(),
                None => {
                    out.wake_at(self.reorder.due());
                    return None;
                }
            }
        }
    }

    /// Nothing is of use before the next key frame, which is asked for unless it is on its way.
    pub fn want_key(&mut self, out: &mut Outbox) {
        if self.wish.open(out.now()) {
            out.feedback(0, Feedback::KeyFrame);
        }
    }

    /// What came last can be used, and so can what follows.
    pub fn settle(&mut self) {
        self.wish.close();
    }

    pub fn wish(&self) -> &KeyWish {
        &self.wish
    }

    fn unpack(&mut self, packet: &Packet) {
        let Body::Rtp(rtp) = &packet.body else { return };
        let mapped = self.timeline.map(rtp.timestamp, packet.entered);
        if mapped.restarted {
            self.ready.push_back(Arrival::Jump);
        }
        let at = self.together.delay(mapped, packet.skew);
        let moment = Moment { timestamp: rtp.timestamp, at, entered: packet.entered };
        let holds = !rtp.payload.is_empty();
        if holds && self.moments[0].is_none_or(|newest| newest.timestamp != moment.timestamp) {
            self.moments = [Some(moment), self.moments[0]];
        }
        let piece =
            Piece { payload: &rtp.payload, marker: rtp.marker, timestamp: rtp.timestamp, sequence: rtp.sequence };
        let mut frames = std::mem::take(&mut self.frames);
        let loss = self.format.push(piece, &mut frames);
        // A picture of an earlier moment, which this packet ended, is whole: what is lost comes behind it.
        let video = self.from.kind() == MediaKind::Video;
        let earlier = frames.iter().take_while(|frame| video && frame.timestamp != rtp.timestamp).count();
        frames.drain(..earlier).for_each(|frame| self.arrive(frame, moment));
        if loss == Loss::Something {
            // How many were lost before it was told.
            self.ready.push_back(Arrival::Lost { packets: u64::from(!packet.discontinuity) });
        }
        frames.drain(..).for_each(|frame| self.arrive(frame, moment));
        self.frames = frames;
        self.key = packet.key;
    }

    /// A frame that came with a packet of this moment.
    fn arrive(&mut self, frame: Frame, moment: Moment) {
        let own = self.moments.iter().flatten().find(|known| known.timestamp == frame.timestamp);
        let Moment { timestamp, at, entered } = *own.unwrap_or(&moment);
        // Several frames in one packet follow each other by their timestamps.
        let ahead = u64::try_from(frame.timestamp.wrapping_sub(timestamp) as i32).unwrap_or(0);
        let ahead = Duration::from_nanos(ahead * 1_000_000_000 / u64::from(self.from.clock_rate().max(1)));
        self.ready.push_back(Arrival::Frame(Arrived { frame, at: at + ahead, entered }));
    }

    fn begin_anew(&mut self) {
        if let Some(format) = depayload(&self.from) {
            self.format = format;
        }
        self.timeline = Timeline::new(self.from.clock_rate());
        self.together = Together::default();
        self.moments = [None; 2];
        // Most often it begins with a key frame: nothing is asked for before something else comes.
        self.wish = KeyWish::new(&self.from);
        self.ready.push_back(Arrival::Restart);
    }
}
