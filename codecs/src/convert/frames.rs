//! Frames without packets: what comes from a film or goes into one. Packed and unpacked without a coder, or decoded.

use super::audio_decode::open;
use super::inlet::{Arrival, Arrived, Inlet};
use super::sender::Sender;
use super::{LARGEST, raw};
use crate::coder::{AudioDecoder, DecodedPicture, VideoDecoder};
use crate::payload::{depayload, number, payload, setup};
use rivero_engine::{Body, Caps, Codec, Coded, Form, Input, MediaKind, Node, Outbox, Packet, Sound};
use std::sync::Arc;

/// What the format of frames says that are decoded in another order than they are shown in: no browser takes them in RTP.
pub const REORDERED: &str = "reordered=1";
/// And of pictures with more than eight bits, or more colour than 4:2:0 has: hardly anybody's decoder for calls knows them.
const UNCOMMON: &str = "uncommon=1";
const BOTH: &str = "reordered=1;uncommon=1";

/// The format of frames of video; `plain`: eight bits a sample, 4:2:0.
pub fn frames_format(reordered: bool, plain: bool) -> Option<&'static str> {
    match (reordered, plain) {
        (false, true) => None,
        (true, true) => Some(REORDERED),
        (false, false) => Some(UNCOMMON),
        (true, false) => Some(BOTH),
    }
}

/// See [`REORDERED`].
pub fn is_reordered(caps: &Caps) -> bool {
    matches!(caps.format(), Some(REORDERED | BOTH))
}

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
            payload(to).is_some() && whole && !is_for_coders(from) && setup(from) == setup(to)
        }
        _ => false,
    }
}

/// Frames that only whoever decodes them has a use for.
fn is_for_coders(caps: &Caps) -> bool {
    matches!(caps.format(), Some(REORDERED | UNCOMMON | BOTH))
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
    to: Caps,
    inlet: Inlet,
}

impl Unpack {
    pub fn new(from: &Caps, to: &Caps) -> Result<Self, String> {
        Ok(Unpack { to: to.clone(), inlet: Inlet::new(from)? })
    }

    fn hand_on(&mut self, Arrived { frame, at, entered }: Arrived, out: &mut Outbox) {
        if frame.key {
            self.inlet.settle();
        } else if self.inlet.wish().is_open() {
            return self.inlet.want_key(out);
        }
        let body = Body::Coded(Arc::new(Coded { data: frame.data, at }));
        out.media(0, Packet::new(self.to.clone(), body, entered).key(frame.key).frame_end(true));
    }
}

impl Node for Unpack {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Feedback { feedback, .. } = input {
            return out.feedback(0, feedback);
        }
        if !self.inlet.push(input, out.now()) {
            return;
        }
        while let Some(arrival) = self.inlet.pop(out) {
            if let Arrival::Frame(arrived) = arrival {
                self.hand_on(arrived, out);
            }
        }
    }
}

/// Frames of video to pictures.
pub struct DecodePictures {
    raw: Caps,
    decoder: VideoDecoder,
    pictures: Vec<DecodedPicture>,
}

impl DecodePictures {
    pub fn new(from: &Caps) -> Result<Self, String> {
        let decoder = VideoDecoder::with_largest(from.codec(), LARGEST).map_err(|why| why.to_string())?;
        let raw = raw(MediaKind::Video).ok_or("no raw video")?;
        Ok(DecodePictures { raw, decoder, pictures: Vec::new() })
    }
}

impl Node for DecodePictures {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        let Input::Media { packet: Packet { body: Body::Coded(frame), entered, .. }, .. } = input else { return };
        if let Err(why) = self.decoder.decode(&frame.data, frame.at, &mut self.pictures) {
            tracing::debug!("a frame is not decoded: {why}");
        }
        for decoded in self.pictures.drain(..) {
            if !decoded.damaged {
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
        let raw = raw(MediaKind::Audio).ok_or("no raw audio")?;
        Ok(DecodeSound { raw, decoder: open(from)?, sounds: Vec::new() })
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
