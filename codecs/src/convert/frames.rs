//! Frames without packets: what comes from a film or goes into one. Packed and unpacked without a coder, or decoded.

use super::sender::Sender;
use super::{LARGEST, piece, raw};
use crate::coder::{AudioDecoder, DecodedPicture, VideoDecoder};
use crate::payload::{Depayload, Frame, Loss, depayload, number, payload, setup};
use crate::playout::{Reorder, Step, Timeline};
use rivero_engine::{
    Body, Caps, Codec, Coded, Feedback, Form, Input, MediaKind, MediaTime, Node, Outbox, Packet, Sound,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What the format of frames says that are decoded in another order than they are shown in: no browser takes them in RTP.
pub const REORDERED: &str = "reordered=1";

/// Frames whose packets are still on their way, or that are still in a decoder.
const PENDING: usize = 64;
/// A key frame that does not come is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Whether frames of the one description can travel as the other says, or the other way round, without a coder.
pub fn packing(from: &Caps, to: &Caps) -> bool {
    let coding = |caps: &Caps| (caps.kind(), caps.codec(), caps.clock_rate(), caps.channels().max(1));
    if coding(from) != coding(to) || from.codec() == Codec::Raw {
        return false;
    }
    match (from.form(), to.form()) {
        (Form::Packets, Form::Frames) => depayload(from).is_some() && setup(from) == setup(to),
        (Form::Frames, Form::Packets) => {
            let whole = to.codec() != Codec::H264 || number(to.format(), "packetization-mode") == Some(1);
            payload(to).is_some() && whole && from.format() != Some(REORDERED) && setup(from) == setup(to)
        }
        _ => false,
    }
}

/// Frames into packets.
pub struct Pack(Sender);

impl Pack {
    pub fn new(to: &Caps, ssrc: u32) -> Result<Self, String> {
        Sender::new(to, ssrc).map(Pack).ok_or_else(|| "no payload format".to_owned())
    }
}

impl Node for Pack {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet: Packet { body: Body::Coded(frame), key, .. }, .. } => {
                if let Err(why) = self.0.send(&frame.data, key, frame.at, out) {
                    tracing::debug!("a frame cannot be sent: {why}");
                }
            }
            Input::Feedback { feedback, .. } => out.feedback(0, feedback),
            Input::Media { .. } | Input::Deadline | Input::Command(_) => {}
        }
    }
}

/// Packets into frames: whole ones, and of video only what can be decoded.
pub struct Unpack {
    from: Caps,
    to: Caps,
    reorder: Reorder,
    timeline: Timeline,
    format: Box<dyn Depayload>,
    /// (timestamp, when it is shown), the newest last.
    pending: VecDeque<(u32, MediaTime)>,
    frames: Vec<Frame>,
    /// Something is missing: nothing leaves before a key frame.
    waits: bool,
    asked: Option<MediaTime>,
}

impl Unpack {
    pub fn new(from: &Caps, to: &Caps) -> Result<Self, String> {
        Ok(Unpack {
            from: from.clone(),
            to: to.clone(),
            reorder: Reorder::new(from.kind()),
            timeline: Timeline::new(from.clock_rate()),
            format: depayload(from).ok_or("no payload format")?,
            pending: VecDeque::new(),
            frames: Vec::new(),
            waits: from.kind() == MediaKind::Video,
            asked: None,
        })
    }

    fn read(&mut self, out: &mut Outbox) {
        let now = out.now();
        loop {
            // Where nothing is of use before a key frame, that one waits for nothing before it.
            self.reorder.want_key(self.waits);
            let Some(step) = self.reorder.pop(now) else { break };
            match step {
                Step::Packet(packet) => self.take(&packet, out),
                Step::Lost { .. } => self.note_loss(out),
                Step::Restart => {
                    if let Some(format) = depayload(&self.from) {
                        self.format = format;
                    }
                    self.timeline = Timeline::new(self.from.clock_rate());
                    self.pending.clear();
                    self.note_loss(out);
                }
            }
        }
        out.wake_at(self.reorder.due());
    }

    fn take(&mut self, packet: &Packet, out: &mut Outbox) {
        let Body::Rtp(rtp) = &packet.body else { return };
        let at = self.timeline.map(rtp.timestamp, packet.entered).at;
        if self.pending.back().is_none_or(|(timestamp, _)| *timestamp != rtp.timestamp) {
            if self.pending.len() == PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((rtp.timestamp, at));
        }
        if self.format.push(piece(rtp), &mut self.frames) == Loss::Something {
            self.note_loss(out);
        }
        for frame in std::mem::take(&mut self.frames) {
            self.waits &= !frame.key;
            if self.waits {
                self.ask(out);
                continue;
            }
            let known = self.pending.iter().rev().find(|(timestamp, _)| *timestamp == frame.timestamp);
            // Several frames of audio in one packet follow each other by their time stamps.
            let at = known.map_or_else(
                || {
                    let behind = i64::from(frame.timestamp.wrapping_sub(rtp.timestamp) as i32);
                    let nanos = behind * 1_000_000_000 / i64::from(self.from.clock_rate().max(1));
                    at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
                },
                |(_, at)| *at,
            );
            let body = Body::Coded(Arc::new(Coded { data: frame.data, at, shown: true }));
            out.media(0, Packet::new(self.to.clone(), body, packet.entered).key(frame.key).frame_end(true));
        }
    }

    fn note_loss(&mut self, out: &mut Outbox) {
        if self.from.kind() == MediaKind::Video {
            self.waits = true;
            self.ask(out);
        }
    }

    fn ask(&mut self, out: &mut Outbox) {
        if self.asked.is_none_or(|asked| out.now().since(asked) >= ASK_AGAIN) {
            self.asked = Some(out.now());
            out.feedback(0, Feedback::KeyFrame);
        }
    }
}

impl Node for Unpack {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, more, .. } => {
                if packet.caps == self.from {
                    self.reorder.push(packet, out.now());
                }
                if !more {
                    self.read(out);
                }
            }
            Input::Deadline => self.read(out),
            Input::Feedback { feedback, .. } => out.feedback(0, feedback),
            Input::Command(_) => {}
        }
    }
}

/// Frames of video to pictures.
pub struct DecodePictures {
    raw: Caps,
    decoder: VideoDecoder,
    pictures: Vec<DecodedPicture>,
    /// Times of frames that only serve to decode what follows.
    hidden: VecDeque<MediaTime>,
}

impl DecodePictures {
    pub fn new(from: &Caps) -> Result<Self, String> {
        let decoder = VideoDecoder::with_largest(from.codec(), LARGEST).map_err(|why| why.to_string())?;
        let raw = raw(MediaKind::Video).ok_or("no raw video")?;
        Ok(DecodePictures { raw, decoder, pictures: Vec::new(), hidden: VecDeque::new() })
    }
}

impl Node for DecodePictures {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        let Input::Media { packet: Packet { body: Body::Coded(frame), entered, .. }, .. } = input else { return };
        if !frame.shown {
            if self.hidden.len() == PENDING {
                self.hidden.pop_front();
            }
            self.hidden.push_back(frame.at);
        }
        if let Err(why) = self.decoder.decode(&frame.data, frame.at, &mut self.pictures) {
            tracing::debug!("a frame is not decoded: {why}");
        }
        for decoded in self.pictures.drain(..) {
            let hidden = self.hidden.contains(&decoded.picture.at);
            if !decoded.damaged && !hidden {
                let picture = Packet::new(self.raw.clone(), Body::Picture(Arc::new(decoded.picture)), entered);
                out.media(0, picture.key(true).frame_end(true));
            }
        }
    }
}

/// Frames of audio to sound.
pub struct DecodeSound {
    raw: Caps,
    decoder: AudioDecoder,
    sounds: Vec<Sound>,
}

impl DecodeSound {
    pub fn new(from: &Caps) -> Result<Self, String> {
        let config = setup(from).unwrap_or_default();
        let decoder = AudioDecoder::new(from.codec(), from.clock_rate(), from.channels().max(1), &config);
        let decoder = decoder.map_err(|why| why.to_string())?;
        Ok(DecodeSound { raw: raw(MediaKind::Audio).ok_or("no raw audio")?, decoder, sounds: Vec::new() })
    }
}

impl Node for DecodeSound {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        let Input::Media { packet: Packet { body: Body::Coded(frame), entered, .. }, .. } = input else { return };
        if let Err(why) = self.decoder.decode(&frame.data, frame.at, &mut self.sounds) {
            tracing::debug!("a frame is not decoded: {why}");
        }
        for sound in self.sounds.drain(..) {
            out.media(0, Packet::new(self.raw.clone(), Body::Sound(Arc::new(sound)), entered));
        }
    }
}
