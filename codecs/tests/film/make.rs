//! Clips by our own coders, and recordings of them.

use crate::signal::{picture, tone};
use crate::{Room, ffmpeg, open, read_all};
use bytes::Bytes;
use rivero_codecs::coder::{AudioEncoder, AudioSettings, EncodedFrame, VideoEncoder, VideoSettings};
use rivero_codecs::film::{Format, Summary, Target, Unit, Writer, WriterOptions, WriterTrack};
use rivero_engine::{Codec, MediaKind, MediaTime, Sound};
use std::path::Path;
use std::time::Duration;

/// A track and its frames.
#[derive(Clone)]
pub struct Clip {
    pub track: WriterTrack,
    pub frames: Vec<EncodedFrame>,
}

/// 30 pictures a second, a key frame each second.
pub fn video(codec: Codec, width: u32, height: u32, seconds: f64) -> Clip {
    let settings = VideoSettings { bitrate: 400_000, ..VideoSettings::new(width, height) };
    let mut encoder = VideoEncoder::new(codec, settings).unwrap();
    let mut frames = Vec::new();
    for number in 0..(seconds * 30.0) as u32 {
        encoder.encode(&picture(width, height, number), number % 30 == 0, &mut frames).unwrap();
    }
    Clip { track: WriterTrack::video(codec), frames }
}

pub fn audio(codec: Codec, seconds: f64) -> Clip {
    let settings = AudioSettings::usual(codec);
    let mut encoder = AudioEncoder::new(codec, settings).unwrap();
    let mut frames = Vec::new();
    let count = (seconds * f64::from(settings.rate)) as usize;
    // Some encoders put frames before the first sample, and nothing lies before the clock's zero.
    let sound = tone(settings.rate, settings.channels, 440.0, 0, count);
    encoder.encode(&Sound { at: MediaTime::from_millis(1000), ..sound }, &mut frames).unwrap();
    let first = frames[0].at;
    frames.iter_mut().for_each(|frame| frame.at = MediaTime::ZERO + frame.at.since(first));
    let mut track = WriterTrack::audio(codec, settings.rate, settings.channels);
    track.config = encoder.config();
    Clip { track, frames }
}

/// By FFmpeg's own tool: frames of Vorbis are not equally long, and our encoder does not tell how long each is.
fn vorbis(seconds: f64) -> Clip {
    let room = Room::new("vorbis");
    let path = room.path("a.ogg");
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    ffmpeg(&["-f", "lavfi", "-i", &tone, "-ac", "2", "-c:a", "libvorbis"], &path);
    let mut reader = open(&path).unwrap();
    let mut track = WriterTrack::audio(Codec::Vorbis, 48_000, 2);
    track.config = reader.tracks()[0].config.clone();
    let frame = |unit: Unit| EncodedFrame { data: unit.data, at: MediaTime::ZERO + unit.at, key: true };
    let frames = read_all(&mut reader).unwrap().into_iter().map(frame).collect();
    Clip { track, frames }
}

pub fn clip(codec: Codec, seconds: f64) -> Clip {
    match codec.kind() {
        _ if codec == Codec::Vorbis => vorbis(seconds),
        MediaKind::Video => video(codec, 160, 120, seconds),
        _ => audio(codec, seconds),
    }
}

impl Clip {
    /// As if it had begun later.
    pub fn later(mut self, by: Duration) -> Self {
        self.frames.iter_mut().for_each(|frame| frame.at = frame.at + by);
        self
    }
}

/// (track, frame) in the order of time.
pub fn in_order(clips: &[Clip]) -> Vec<(usize, &EncodedFrame)> {
    let mut all: Vec<_> =
        clips.iter().enumerate().flat_map(|(i, clip)| clip.frames.iter().map(move |f| (i, f))).collect();
    all.sort_by_key(|(_, frame)| frame.at);
    all
}

pub fn tracks(clips: &[Clip]) -> Vec<WriterTrack> {
    clips.iter().map(|clip| clip.track.clone()).collect()
}

pub fn record(target: Target, format: Format, clips: &[Clip]) -> Summary {
    let mut writer = Writer::create(target, format, tracks(clips), WriterOptions::default()).unwrap();
    // Not at zero: what counts is what lies between.
    let late = Duration::from_secs(1000);
    for (track, frame) in in_order(clips) {
        writer.write(track, frame.data.clone(), frame.at + late, frame.key).unwrap();
    }
    writer.finish().unwrap()
}

pub fn record_file(path: &Path, format: Format, clips: &[Clip]) -> Summary {
    record(Target::Path(path.to_owned()), format, clips)
}

pub fn bytes(clip: &Clip) -> Vec<Bytes> {
    clip.frames.iter().map(|frame| frame.data.clone()).collect()
}

pub fn at(frame: &EncodedFrame) -> Duration {
    frame.at.since(MediaTime::ZERO)
}
