//! Nodes that convert: what the graph puts between a source and a sink that does not take what it gives.
//!
//! Enters: RTP packets as the network delivered them, pictures, sound. Leaves: pictures and sound with their times, or RTP packets of another
//! codec. Each node runs on a thread for converters, one input at a time. This room joins `playout`, `payload` and `coder`; it must
//! never know who is at either end of the chain.

mod audio_decode;
mod audio_encode;
mod frames;
mod inlet;
mod key_wish;
mod repack;
mod sender;
mod video_decode;
mod video_encode;

use crate::coder::{Largest, can_decode, can_encode};
use crate::payload::{depayload, number, parameter, payload};
use audio_decode::AudioDecode;
use audio_encode::AudioEncode;
use frames::{DecodePictures, DecodeSound, Pack, Unpack, packing};
pub use frames::{REORDERED, frames_format, is_reordered};
use repack::{Rename, Repack, Repacking, repacking};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::shard::Build;
use rivero_engine::toolbox::{CodingSettings, Step, Toolbox};
use rivero_engine::{Caps, Codec, Form, Input, MediaKind, Node, Outbox};
use video_decode::VideoDecode;
use video_encode::VideoEncode;

/// The largest pictures that are converted, by what they hold: 4K, upright or not. A stream that claims more costs nothing but
/// itself.
const LARGEST: Largest = Largest { width: 4096, height: 2304 };

/// Raw media of a kind: pictures in I420 of any size, or sound of any rate; each frame says which.
pub fn raw(kind: MediaKind) -> Option<Caps> {
    match kind {
        MediaKind::Audio => Some(Caps::audio(Codec::Raw, 0, 0)),
        MediaKind::Video => Some(Caps::video(Codec::Raw, None)),
        MediaKind::Data => None,
    }
}

/// What FFmpeg and our payload formats can convert.
#[derive(Clone, Copy, Debug, Default)]
pub struct Converters;

impl Toolbox for Converters {
    fn steps(&self, from: &Caps, to: &Caps) -> Option<Vec<Step>> {
        let raw = raw(from.kind()).filter(|_| to.kind() == from.kind())?;
        let step = |class, to: &Caps, weight| Step {
            class,
            port: PortSpec::new(from.kind(), DEFAULT),
            to: to.clone(),
            transcodes: true,
            weight,
        };
        if packing(from, to) {
            let class = if to.form() == Form::Frames { "Unpacker" } else { "Packer" };
            return Some(vec![Step { transcodes: false, ..step(class, to, 1) }]);
        }
        if repacking(from, to).is_some() {
            return Some(vec![Step { transcodes: false, ..step("Repacker", to, 1) }]);
        }
        let video = from.kind() == MediaKind::Video;
        let mut steps = Vec::with_capacity(2);
        if from.codec() != Codec::Raw {
            if !can_decode(from.codec()) || (from.form() == Form::Packets && depayload(from).is_none()) {
                return None;
            }
            steps.push(step("Decoder", &raw, if video { 4 } else { 1 }));
        }
        if to.codec() != Codec::Raw {
            let fits = to.form() == Form::Frames || payload(to).is_some();
            if !can_encode(to.codec()) || !fits || !is_ours(to) {
                return None;
            }
            steps.push(step("Encoder", &shared(to), if video { 16 } else { 1 }));
        }
        (!steps.is_empty()).then_some(steps)
    }

    fn build(&self, from: &Caps, to: &Caps, settings: CodingSettings) -> Build {
        let (from, to) = (from.clone(), to.clone());
        Box::new(move |context| {
            // Each stream that begins here has a name of its own, since no two elements have the same.
            make(&from, &to, context.element.0 as u32, settings).unwrap_or_else(|why| {
                tracing::error!(element = context.element.0, %from, %to, "a converter does not start: {why}");
                Box::new(Broken(why))
            })
        })
    }
}

fn make(from: &Caps, to: &Caps, ssrc: u32, settings: CodingSettings) -> Result<Box<dyn Node>, String> {
    match (from.form(), to.form()) {
        (Form::Frames, Form::Packets) if packing(from, to) => return Ok(Box::new(Pack::new(to, ssrc)?)),
        (Form::Packets, Form::Frames) if packing(from, to) => return Ok(Box::new(Unpack::new(from, to)?)),
        (Form::Frames, Form::Raw) if from.kind() == MediaKind::Video => {
            return Ok(Box::new(DecodePictures::new(from)?));
        }
        (Form::Frames, Form::Raw) => return Ok(Box::new(DecodeSound::new(from)?)),
        _ => {}
    }
    match repacking(from, to) {
        Some(Repacking::Rename) => return Ok(Box::new(Rename::new(from, to))),
        Some(Repacking::Repack) => return Ok(Box::new(Repack::new(from, to, ssrc)?)),
        None => {}
    }
    Ok(match (from.kind(), to.codec() == Codec::Raw) {
        (MediaKind::Video, true) => Box::new(VideoDecode::new(from)?),
        (MediaKind::Video, false) => Box::new(VideoEncode::new(to, ssrc, settings)?),
        (_, true) => Box::new(AudioDecode::new(from)?),
        (_, false) => Box::new(AudioEncode::new(to, ssrc)?),
    })
}

/// Whether an encoder here makes what is described. Ours for VP9 make profile 0, eight bits in 4:2:0 (RFC 9628, section 6).
fn is_ours(to: &Caps) -> bool {
    to.codec() != Codec::Vp9 || parameter(to.format(), "profile-id").is_none_or(|profile| profile == "0")
}

/// What an encoder is known by: of a description of video only what changes the packets, so that viewers who put the same in
/// other words share one.
fn shared(to: &Caps) -> Caps {
    match to.codec() {
        Codec::H264 if number(to.format(), "packetization-mode") == Some(1) => {
            to.with_format(Some("packetization-mode=1"))
        }
        codec if codec.kind() == MediaKind::Video => to.with_format(None),
        _ => to.clone(),
    }
}

/// Stands where a coder could not be started: says so once, and swallows what comes.
struct Broken(String);

impl Node for Broken {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Media { .. } = input
            && !self.0.is_empty()
        {
            out.error(std::mem::take(&mut self.0));
        }
    }
}
