//! One track of a recording: what waits to be put in order, what its header says, and its times in the container's base.
//!
//! Enters: units as the recording takes them. Leaves: the description of the stream, and for each unit when it is decoded, when it is
//! shown and for how long. It must never know of other tracks, of files, or of when its units are written.

use super::ffmpeg::OutputStream;
use super::{FilmError, Format, heads};
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind, MediaTime};
use std::collections::VecDeque;
use std::time::Duration;

/// Size of a track that begins late and was not described, in pixels.
const UNKNOWN_SIZE: (u32, u32) = (640, 480);

/// What is known of a track before its first unit. Zeros and nothing stand for what is not.
#[derive(Clone, Debug)]
pub struct WriterTrack {
    pub codec: Codec,
    /// AAC's AudioSpecificConfig and Vorbis's headers are needed; an OpusHead and parameter sets (as a byte stream) are welcome.
    pub config: Bytes,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Hz
    pub rate: u32,
    pub channels: u8,
}

impl WriterTrack {
    pub fn video(codec: Codec) -> Self {
        WriterTrack { codec, config: Bytes::new(), width: 0, height: 0, rate: 0, channels: 0 }
    }

    pub fn audio(codec: Codec, rate: u32, channels: u8) -> Self {
        WriterTrack { codec, config: Bytes::new(), width: 0, height: 0, rate, channels }
    }
}

/// A unit that waits to be written.
pub(super) struct Waiting {
    pub data: Bytes,
    pub at: MediaTime,
    pub key: bool,
}

pub(super) struct Lane {
    pub about: WriterTrack,
    profile: i32,
    /// Whether a unit has come, a key frame of pictures.
    pub begun: bool,
    pub waiting: VecDeque<Waiting>,
    pub base: (i32, i32),
    /// In the base.
    last_dts: Option<i64>,
    last_step: i64,
    pub units: u64,
    /// Of its last unit, from the recording's beginning.
    pub end: Duration,
}

impl Lane {
    pub fn new(about: WriterTrack) -> Self {
        Lane {
            about,
            profile: 0,
            begun: false,
            waiting: VecDeque::new(),
            base: (1, 1000),
            last_dts: None,
            last_step: 0,
            units: 0,
            end: Duration::ZERO,
        }
    }

    /// Learns from the first unit.
    pub fn begin(&mut self, data: &Bytes) {
        self.begun = true;
        let codec = self.about.codec;
        self.profile = heads::profile(codec, data);
        let config = heads::config(codec, data);
        if !config.is_empty() {
            self.about.config = config.into();
        }
        if codec.kind() == MediaKind::Video
            && let Some((width, height)) = heads::size(codec, data)
        {
            (self.about.width, self.about.height) = (width, height);
        }
    }

    /// Fills in what a header needs and nobody said.
    pub fn stand_in(&mut self) -> Result<(), FilmError> {
        let about = &mut self.about;
        if about.codec == Codec::Opus {
            about.config = heads::opus_head(&about.config, about.channels).into();
        }
        if about.codec.kind() != MediaKind::Video {
            return Ok(());
        }
        if about.width == 0 || about.height == 0 {
            (about.width, about.height) = UNKNOWN_SIZE;
        }
        if about.config.is_empty() && heads::wants_config(about.codec) {
            let frame = heads::stand_in(about.codec, about.width, about.height)?;
            about.config = heads::config(about.codec, &frame).into();
        }
        Ok(())
    }

    pub fn describe(&self) -> OutputStream<'_> {
        let about = &self.about;
        let video = about.codec.kind() == MediaKind::Video;
        let opus = about.codec == Codec::Opus;
        OutputStream {
            codec: about.codec,
            config: &about.config,
            width: about.width,
            height: about.height,
            rate: if video {
                0
            } else if opus {
                48_000
            } else {
                about.rate
            },
            channels: if video { 0 } else { about.channels },
            padding: if opus { u32::from(heads::opus_delay(&about.config)) } else { 0 },
            frame_size: match about.codec {
                Codec::Aac => 1024,
                Codec::Mp3 => 1152,
                Codec::Opus => 960,
                _ => 0,
            },
            profile: self.profile,
        }
    }

    /// When the first that waits is to be decoded, as far as that can be told.
    pub fn front(&self) -> Option<MediaTime> {
        self.waiting.iter().map(|unit| unit.at).min()
    }

    fn ticks(&self, at: MediaTime, origin: MediaTime) -> i64 {
        let (num, den) = (self.base.0.max(1) as u128, self.base.1.max(1) as u128);
        let nanos = at.since(origin).as_nanos();
        ((nanos * den + num * 500_000_000) / (num * 1_000_000_000)) as i64
    }

    /// Of the first that waits: (when to show, when to decode, duration) in the base; and its end.
    ///
    /// Pictures may come in another order than they are shown in. Then none may be decoded later than those behind it are shown:
    /// it goes before them by one tick each.
    pub fn next_times(&mut self, origin: MediaTime) -> ((i64, i64, i64), Duration) {
        let mut earliest = i64::MAX;
        for (ahead, unit) in self.waiting.iter().enumerate() {
            earliest = earliest.min(self.ticks(unit.at, origin) - ahead as i64);
        }
        let first = &self.waiting[0];
        let shown = self.ticks(first.at, origin);
        let dts = self.last_dts.map_or(earliest, |last| earliest.max(last + 1));
        let pts = shown.max(dts);
        let following = self.waiting.get(1).map(|next| self.ticks(next.at, origin) - shown).filter(|step| *step > 0);
        let step = following.unwrap_or(self.last_step);
        (self.last_dts, self.last_step) = (Some(dts), step);
        let nanos = (step as u128 * self.base.0.max(1) as u128 * 1_000_000_000 / self.base.1.max(1) as u128) as u64;
        ((pts, dts, step), first.at.since(origin) + Duration::from_nanos(nanos))
    }

    /// FLV alone has a place for another configuration in mid-stream, and players that heed nothing else.
    pub fn changed_config(&mut self, format: Format, unit: &Waiting) -> Option<Vec<u8>> {
        if format != Format::Flv || !unit.key || !heads::wants_config(self.about.codec) {
            return None;
        }
        let config = heads::config(self.about.codec, &unit.data);
        if config.is_empty() || config[..] == self.about.config[..] {
            return None;
        }
        self.about.config = config.clone().into();
        Some(config)
    }
}

/// # Errors
/// The format does not take such a track, or what is said of it makes no sense.
pub(super) fn check_track(format: Format, track: &WriterTrack) -> Result<(), FilmError> {
    let codec = track.codec;
    if !format.takes(codec) {
        return Err(FilmError::Unsupported(format!("{} in {format:?}", codec.name())));
    }
    if matches!(codec, Codec::Aac | Codec::Vorbis) && track.config.is_empty() {
        return Err(FilmError::Refused("a codec without its configuration"));
    }
    let sound = codec.kind() == MediaKind::Audio;
    if sound && !((1..=384_000).contains(&track.rate) && (1..=8).contains(&track.channels)) {
        return Err(FilmError::Refused("a sampling rate or a number of channels that makes no sense"));
    }
    if track.width > 16_384 || track.height > 16_384 {
        return Err(FilmError::Refused("a picture too large"));
    }
    Ok(())
}
