//! RTP video to pictures. A picture that rests on something that was lost is never handed on: viewers see the last good one until
//! the key frame that is asked for arrives.

use super::raw;
use crate::coder::{DecodedPicture, VideoDecoder};
use crate::payload::{Depayload, Frame, Loss, Piece, depayload};
use crate::playout::{Reorder, Step, Timeline};
use rivero_engine::{Body, Caps, CodingSettings, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A key frame that does not come is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);
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
    /// Since when no picture is good, and when that was last said.
    asked: Option<MediaTime>,
}

impl VideoDecode {
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(VideoDecode {
            from: from.clone(),
            raw: raw(MediaKind::Video).ok_or("no raw video")?,
            reorder: Reorder::new(MediaKind::Video),
            timeline: Timeline::new(from.clock_rate()),
            format: depayload(from).ok_or("no payload format")?,
            decoder: VideoDecoder::new(from.codec()).map_err(|why| why.to_string())?,
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
                Step::Restart => self.begin_anew(out),
            }
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
        let piece =
            Piece { payload: &rtp.payload, marker: rtp.marker, timestamp: rtp.timestamp, sequence: rtp.sequence };
        let mut frames = std::mem::take(&mut self.frames);
        if self.format.push(piece, &mut frames) == Loss::Something {
            self.note_loss(out);
        }
        for frame in frames.drain(..) {
            self.decode(&frame, out);
        }
        self.frames = frames;
    }

    fn decode(&mut self, frame: &Frame, out: &mut Outbox) {
        let times = self.pending.iter().rev().find(|(timestamp, ..)| *timestamp == frame.timestamp);
        let Some(&(_, at, entered)) = times else { return };
        let mut pictures = std::mem::take(&mut self.pictures);
        if let Err(why) = self.decoder.decode(&frame.data, at, &mut pictures) {
            tracing::debug!(codec = self.from.codec().name(), "a frame is not decoded: {why}");
            self.ask(out);
        }
        for decoded in pictures.drain(..) {
            if decoded.damaged {
                self.ask(out);
                continue;
            }
            self.asked = None;
            let picture = Packet::new(self.raw.clone(), Body::Picture(Arc::new(decoded.picture)), entered);
            out.media(0, picture.key(true).frame_end(true));
        }
        self.pictures = pictures;
    }

    fn note_loss(&mut self, out: &mut Outbox) {
        self.decoder.note_loss();
        self.ask(out);
    }

    fn begin_anew(&mut self, out: &mut Outbox) {
        if let Some(format) = depayload(&self.from) {
            self.format = format;
        }
        self.timeline = Timeline::new(self.from.clock_rate());
        self.pending.clear();
        self.note_loss(out);
    }

    fn ask(&mut self, out: &mut Outbox) {
        let now = out.now();
        if self.asked.is_none_or(|asked| now.since(asked) >= ASK_AGAIN) {
            self.asked = Some(now);
            out.feedback(0, Feedback::KeyFrame);
        }
    }
}

impl Node for VideoDecode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, more, .. } => {
                self.reorder.push(packet, out.now());
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
