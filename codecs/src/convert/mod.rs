//! Nodes that convert: what the graph puts between a source and a sink that does not take what it gives.
//!
//! Enters: RTP packets as the network delivered them, pictures, sound. Leaves: pictures and sound with their times, or RTP packets of another
//! codec. Each node runs on a thread for converters, one input at a time. This room joins `playout`, `payload` and `coder`; it must
//! never know who is at either end of the chain.

mod audio_decode;
mod audio_encode;
mod sender;
mod video_decode;
mod video_encode;

use crate::coder::{can_decode, can_encode};
use crate::payload::{depayload, payload};
use audio_decode::AudioDecode;
use audio_encode::AudioEncode;
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::shard::Build;
use rivero_engine::toolbox::{CodingSettings, Step, Toolbox};
use rivero_engine::{Caps, Codec, Input, MediaKind, Node, Outbox};
use video_decode::VideoDecode;
use video_encode::VideoEncode;

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
        let raw = raw(from.kind())?;
        let step = |class, to: &Caps, weight| Step {
            class,
            port: PortSpec::new(from.kind(), DEFAULT),
            to: to.clone(),
            transcodes: true,
            weight,
        };
        let video = from.kind() == MediaKind::Video;
        let mut steps = Vec::with_capacity(2);
        if from.codec() != Codec::Raw {
            if !can_decode(from.codec()) || depayload(from).is_none() {
                return None;
            }
            steps.push(step("Decoder", &raw, if video { 4 } else { 1 }));
        }
        if to.codec() != Codec::Raw {
            if to.kind() != from.kind() || !can_encode(to.codec()) || payload(to).is_none() {
                return None;
            }
            steps.push(step("Encoder", to, if video { 16 } else { 1 }));
        }
        (!steps.is_empty()).then_some(steps)
    }

    fn build(&self, from: &Caps, to: &Caps, settings: CodingSettings) -> Build {
        let (from, to) = (from.clone(), to.clone());
        Box::new(move |context| {
            let made: Result<Box<dyn Node>, String> = match (from.kind(), to.codec() == Codec::Raw) {
                (MediaKind::Video, true) => VideoDecode::new(&from).map(|node| Box::new(node) as Box<dyn Node>),
                (MediaKind::Video, false) => {
                    VideoEncode::new(&to, settings).map(|node| Box::new(node) as Box<dyn Node>)
                }
                (_, true) => AudioDecode::new(&from).map(|node| Box::new(node) as Box<dyn Node>),
                (_, false) => AudioEncode::new(&to).map(|node| Box::new(node) as Box<dyn Node>),
            };
            made.unwrap_or_else(|why| {
                tracing::error!(element = context.element.0, %from, %to, "a converter does not start: {why}");
                Box::new(Broken(why))
            })
        })
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
