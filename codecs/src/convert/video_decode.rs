//! RTP video to pictures. A picture that rests on something that was lost is never handed on: viewers see the last good one until
//! the key frame that is asked for arrives.

use super::{LARGEST, piece, raw};
use crate::coder::{CoderError, DecodedPicture, VideoDecoder};
use crate::payload::{Depayload, Frame, Loss, depayload};
use crate::playout::{Reorder, Step, Timeline};
use rivero_engine::{Body, Caps, Codec, CodingSettings, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A key frame that does not come is asked for again after this: the request may be lost, or the key frame's first packet.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Frames whose packets are still on their way: their times are known before they are whole.
const PENDING: usize = 32;

pub struct VideoDecode {
    from: Caps,
    raw: Caps,
    reorder: Reorder,
    timeline: Timeline,
    format: Box<dyn Depayload>,
    decoder: VideoDecoder,
    /// (timestamp, when it is shown, when it entered), the newest last.
    pending: VecDeque<(u32, MediaTime, MediaTime)>,
    frames: Vec<Frame>,
    pictures: Vec<DecodedPicture>,
    /// Set while no picture is good.
    asked: Option<Asked>,
}

/// A request for a key frame.
struct Asked {
    at: MediaTime,
    /// A key frame has begun to arrive since. If that one is spoilt too, another is wanted at once.
    answered: bool,
}

impl VideoDecode {
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(VideoDecode {
            from: from.clone(),
            raw: raw(MediaKind::Video).ok_or("no raw video")?,
            reorder: Reorder::new(MediaKind::Video),
            timeline: Timeline::new(from.clock_rate()),
            format: depayload(from).ok_or("no payload format")?,
            decoder: VideoDecoder::with_largest(from.codec(), LARGEST).map_err(|why| why.to_string())?,
            pending: VecDeque::new(),
            frames: Vec::new(),
            pictures: Vec::new(),
            asked: None,
        })
    }

    fn read(&mut self, out: &mut Outbox) {
        let now = out.now();
        while let Some(step) = self.reorder.pop(now) {
            match step {
                Step::Packet(packet) => self.take(&packet, out),
                Step::Lost { .. } => self.note_loss(out),
                Step::Restart => self.begin_anew(),
            }
            self.reorder.want_key(self.asked.is_some());
        }
        out.wake_at(self.reorder.due());
    }

    fn take(&mut self, packet: &Packet, out: &mut Outbox) {
        let Body::Rtp(rtp) = &packet.body else { return };
        let known = self.pending.back().is_some_and(|(timestamp, ..)| *timestamp == rtp.timestamp);
        let mapped = self.timeline.map(rtp.timestamp, packet.entered);
        if !known {
            if self.pending.len() == PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((rtp.timestamp, mapped.at, packet.entered));
        }
        let mut frames = std::mem::take(&mut self.frames);
        let loss = self.format.push(piece(rtp), &mut frames);
        // A frame of an earlier moment, which this packet ended, is whole: what is lost comes behind it.
        let earlier = frames.iter().take_while(|frame| frame.timestamp != rtp.timestamp).count();
        frames.drain(..earlier).for_each(|frame| self.decode(&frame, out));
        if loss == Loss::Something {
            self.note_loss(out);
        }
        frames.drain(..).for_each(|frame| self.decode(&frame, out));
        self.frames = frames;
        if packet.key
            && let Some(asked) = &mut self.asked
        {
            asked.answered = true;
        }
    }

    fn decode(&mut self, frame: &Frame, out: &mut Outbox) {
        let times = self.pending.iter().rev().find(|(timestamp, ..)| *timestamp == frame.timestamp);
        let Some(&(_, at, entered)) = times else {
            self.note_loss(out);
            return;
        };
        let mut pictures = std::mem::take(&mut self.pictures);
        let mut decoded = self.decoder.decode(&frame.data, at, &mut pictures);
        if frame.key && (decoded.is_err() || pictures.iter().any(|decoded| decoded.damaged)) {
            // What went before can leave a decoder in a state that outlives key frames (FFmpeg's of H.263 then takes every
            // stream for that of an encoder with a certain bug): a new one tells whether it is that or the frame.
            pictures.clear();
            decoded = self.open().and_then(|()| self.decoder.decode(&frame.data, at, &mut pictures));
        }
        if let Err(why) = decoded {
            tracing::debug!(codec = self.from.codec().name(), "a frame is not decoded: {why}");
            self.ask(out);
        }
        for decoded in pictures.drain(..) {
            if decoded.damaged {
                self.ask(out);
                continue;
            }
            self.asked = None;
            // Not all pictures leave in the order in which they came.
            let own = self.pending.iter().rev().find(|(_, at, _)| *at == decoded.picture.at);
            let entered = own.map_or(entered, |(.., entered)| *entered);
            let picture = Packet::new(self.raw.clone(), Body::Picture(Arc::new(decoded.picture)), entered);
            out.media(0, picture.key(true).frame_end(true));
        }
        self.pictures = pictures;
        // Some decoders make nothing of what they cannot use, and say nothing either.
        if self.asked.is_some() {
            self.ask(out);
        }
    }

    fn note_loss(&mut self, out: &mut Outbox) {
        self.decoder.note_loss();
        self.ask(out);
    }

    /// Another stream begins, most often with a key frame: nothing is asked for before something else comes.
    fn begin_anew(&mut self) {
        if let Some(format) = depayload(&self.from) {
            self.format = format;
        }
        self.timeline = Timeline::new(self.from.clock_rate());
        self.pending.clear();
        self.asked = None;
        // What it still holds is of the stream that nobody watches any more.
        if let Err(why) = self.open() {
            tracing::debug!(codec = self.from.codec().name(), "a decoder cannot begin anew: {why}");
            self.decoder.note_loss();
        }
    }

    fn open(&mut self) -> Result<(), CoderError> {
        self.decoder = VideoDecoder::with_largest(self.from.codec(), LARGEST)?;
        Ok(())
    }

    fn ask(&mut self, out: &mut Outbox) {
        // Every picture stands for itself there.
        if self.from.codec() == Codec::Mjpeg {
            return;
        }
        let now = out.now();
        let waits = |asked: &Asked| !asked.answered && now.since(asked.at) < ASK_AGAIN;
        if !self.asked.as_ref().is_some_and(waits) {
            self.asked = Some(Asked { at: now, answered: false });
            out.feedback(0, Feedback::KeyFrame);
        }
    }
}

impl Node for VideoDecode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, more, .. } => {
                // A source that turns to another format is led elsewhere; until then its packets come here.
                if packet.caps == self.from {
                    self.reorder.push(packet, out.now());
                }
                if !more {
                    self.read(out);
                }
            }
            Input::Deadline => self.read(out),
            // Pictures can be had at any time, and what an encoder is told to do is no business of a decoder.
            Input::Feedback { .. } => {}
            Input::Command(command) => debug_assert!(command.is::<CodingSettings>(), "nothing else is sent"),
        }
    }
}
