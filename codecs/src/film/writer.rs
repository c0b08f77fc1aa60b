//! A recording: coded media into a file that is whole at every moment.
//!
//! WebM and Matroska go out in clusters, MP4 in fragments, each closed and handed to the system after half a second at most; with
//! what waits to be put in order, a file that ends abruptly plays up to a second before that. [`Writer::finish`] adds what is known only
//! then: WebM's duration and its index (cues), MP4's index of fragments, FLV's duration.
//!
//! Times are the caller's and become the recording's: what is missing stays missing, and no track drifts against another. The first
//! unit is at zero.
//!
//! A header is written once, when every track has begun or `start_patience` is over. A track that begins later is declared as it
//! was described, or by a stand-in, and its own headers, which stand before its key frames, are what counts for decoders. Pictures
//! may change in size: each key frame says its own, and the container keeps the first.

use super::ffmpeg::{Channel, Output, OutputStream, explain};
use super::{FilmError, heads};
use crate::coder::Cause;
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind, MediaTime};
use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How long units wait for those of other tracks that belong before them, and for those that are shown before them.
const WINDOW: Duration = Duration::from_millis(250);

/// A cluster or a fragment is closed when it is this long.
const CADENCE: Duration = Duration::from_millis(500);

/// Bounds on what waits: units of a track, and bytes of all.
const MOST_WAITING: usize = 2048;
const MOST_BYTES_WAITING: usize = 64 << 20;

/// Size of a track that begins late and was not described, in pixels.
const UNKNOWN_SIZE: (u32, u32) = (640, 480);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    WebM,
    Matroska,
    Mp4,
    Flv,
    /// One JPEG after the other.
    Jpeg,
}

impl Format {
    /// Whether the container takes the coding as it is, in a way that players know.
    pub fn takes(self, codec: Codec) -> bool {
        use Codec::*;
        match self {
            Format::WebM => matches!(codec, Vp8 | Vp9 | Av1 | Opus | Vorbis),
            Format::Matroska => {
                matches!(codec, Vp8 | Vp9 | Av1 | H264 | H265 | Mjpeg | Opus | Vorbis | Aac | Mp3 | Pcmu | Pcma)
            }
            Format::Mp4 => matches!(codec, H264 | H265 | Vp9 | Av1 | Aac | Mp3 | Opus),
            Format::Flv => matches!(codec, H264 | Aac | Mp3),
            Format::Jpeg => codec == Mjpeg,
        }
    }

    fn muxer(self) -> &'static CStr {
        match self {
            Format::WebM => c"webm",
            Format::Matroska => c"matroska",
            Format::Mp4 => c"mp4",
            Format::Flv => c"flv",
            Format::Jpeg => c"mjpeg",
        }
    }

    fn options(self, seekable: bool) -> &'static [(&'static CStr, &'static str)] {
        match self {
            Format::WebM | Format::Matroska => &[(c"cluster_time_limit", "1000")],
            // Fragments that we close; times that may begin late and have gaps.
            Format::Mp4 => &[
                (c"movflags", "empty_moov+default_base_moof+frag_custom+frag_discont"),
                // By itself it would stretch the first picture of a track that begins late, to begin with the others.
                (c"avoid_negative_ts", "make_non_negative"),
            ],
            Format::Flv if !seekable => &[(c"flvflags", "no_duration_filesize")],
            Format::Flv | Format::Jpeg => &[],
        }
    }
}

/// What can be written to and rewritten.
pub trait WriteSeek: Write + Seek + Send {}
impl<T: Write + Seek + Send> WriteSeek for T {}

/// Where a recording goes.
pub enum Target {
    /// A file to be created or overwritten; its directories are created.
    Path(PathBuf),
    File(Box<dyn WriteSeek>),
    /// What goes out cannot be changed any more: WebM stays without duration and index, FLV without duration.
    Stream(Box<dyn Write + Send>),
}

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

#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Whether what was handed to the system is also brought to the disk at once: then it survives a power cut.
    pub sync: bool,
    /// How long the header waits for tracks that have not begun, in the recording's own time.
    pub start_patience: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        WriterOptions { sync: false, start_patience: Duration::from_secs(2) }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub duration: Duration,
    /// Bytes that were written, rewritten ones included.
    pub bytes: u64,
    /// Units of each track that are in the file.
    pub units: Vec<u64>,
    /// Pictures that were left out, as no key frame had come before them.
    pub left_out: u64,
}

struct Waiting {
    data: Bytes,
    at: MediaTime,
    key: bool,
}

struct Lane {
    about: WriterTrack,
    profile: i32,
    /// Whether a unit has come, a key frame of pictures.
    begun: bool,
    waiting: VecDeque<Waiting>,
    base: (i32, i32),
    /// In the base.
    last_dts: Option<i64>,
    last_step: i64,
    units: u64,
}

pub struct Writer {
    format: Format,
    options: WriterOptions,
    lanes: Vec<Lane>,
    /// Until the header is written.
    channel: Option<Channel>,
    output: Option<Output>,
    /// The same file once more, to sync it.
    file: Option<File>,
    waiting_bytes: usize,
    first: Option<MediaTime>,
    origin: MediaTime,
    newest: MediaTime,
    flushed: MediaTime,
    dirty: bool,
    end: Duration,
    left_out: u64,
}

impl Writer {
    pub fn create(
        target: Target,
        format: Format,
        tracks: Vec<WriterTrack>,
        options: WriterOptions,
    ) -> Result<Self, FilmError> {
        if tracks.is_empty() {
            return Err(FilmError::Refused("a recording without tracks"));
        }
        for track in &tracks {
            check_track(format, track)?;
        }
        let (channel, file) = match target {
            Target::Path(path) => {
                if let Some(directory) = path.parent() {
                    std::fs::create_dir_all(directory)?;
                }
                let file = File::create(path)?;
                let again = file.try_clone()?;
                (Channel::File(Box::new(file)), Some(again))
            }
            Target::File(file) => (Channel::File(file), None),
            Target::Stream(stream) => (Channel::Pipe(stream), None),
        };
        Ok(Writer {
            format,
            options,
            lanes: tracks.into_iter().map(Lane::new).collect(),
            channel: Some(channel),
            output: None,
            file,
            waiting_bytes: 0,
            first: None,
            origin: MediaTime::ZERO,
            newest: MediaTime::ZERO,
            flushed: MediaTime::ZERO,
            dirty: false,
            end: Duration::ZERO,
            left_out: 0,
        })
    }

    /// Takes a unit, as [`Coded`](rivero_engine::Coded) describes it, in the order of decoding. Pictures before the first key
    /// frame are left out. After an error the recording is what was written so far.
    pub fn write(&mut self, track: usize, data: Bytes, at: MediaTime, key: bool) -> Result<(), FilmError> {
        let lane = self.lanes.get_mut(track).ok_or(FilmError::Refused("a track that the recording does not have"))?;
        if data.is_empty() {
            return Err(FilmError::Refused("an empty unit"));
        }
        let key = key || lane.about.codec.kind() != MediaKind::Video;
        if !lane.begun {
            if !key {
                self.left_out += 1;
                return Ok(());
            }
            lane.begin(&data);
        }
        self.waiting_bytes += data.len();
        lane.waiting.push_back(Waiting { data, at, key });
        let crowded = lane.waiting.len() >= MOST_WAITING || self.waiting_bytes >= MOST_BYTES_WAITING;
        self.first.get_or_insert(at);
        self.go_on(at, crowded)
    }

    /// Lets time pass without a unit: what waits goes out when it is due. To be called now and then while nothing comes.
    pub fn tick(&mut self, now: MediaTime) -> Result<(), FilmError> {
        self.go_on(now, false)
    }

    /// Writes all that waits, and what a whole file has at its end.
    pub fn finish(mut self) -> Result<Summary, FilmError> {
        if self.first.is_some() {
            if self.output.is_none() {
                self.start()?;
            }
            self.release(true)?;
            let output = self.output.as_mut().expect("just started");
            if let Err(cause) = output.end() {
                return Err(why(output, cause));
            }
        }
        if let (Some(file), true) = (&self.file, self.options.sync) {
            file.sync_all()?;
        }
        Ok(Summary {
            duration: self.end,
            bytes: self.output.as_ref().map_or(0, Output::written),
            units: self.lanes.iter().map(|lane| lane.units).collect(),
            left_out: self.left_out,
        })
    }

    fn go_on(&mut self, now: MediaTime, crowded: bool) -> Result<(), FilmError> {
        self.newest = self.newest.max(now);
        let Some(first) = self.first else { return Ok(()) };
        if self.output.is_none() {
            let all = self.lanes.iter().all(|lane| lane.begun);
            if !all && !crowded && self.newest.since(first) < self.options.start_patience {
                return Ok(());
            }
            self.start()?;
        }
        self.release(crowded)?;
        if self.dirty && self.newest.since(self.flushed) >= CADENCE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), FilmError> {
        let output = self.output.as_mut().expect("flushed only after the start");
        let flushed = output.flush().and_then(|()| match self.format {
            // Otherwise the next fragment would begin where this one ends, gap or no gap.
            Format::Mp4 => output.set(c"movflags", c"+frag_discont"),
            _ => Ok(()),
        });
        if let Err(cause) = flushed {
            return Err(why(output, cause));
        }
        if let (Some(file), true) = (&self.file, self.options.sync) {
            file.sync_data()?;
        }
        (self.flushed, self.dirty) = (self.newest, false);
        Ok(())
    }

    /// Writes the header.
    fn start(&mut self) -> Result<(), FilmError> {
        for lane in &mut self.lanes {
            lane.stand_in()?;
        }
        let fronts = self.lanes.iter().flat_map(|lane| lane.waiting.iter().map(|unit| unit.at));
        self.origin = fronts.min().unwrap_or(self.newest);
        self.flushed = self.origin;
        let streams: Vec<_> = self.lanes.iter().map(Lane::describe).collect();
        let channel = self.channel.take().ok_or(FilmError::Refused("a recording whose header failed"))?;
        let options = self.format.options(!matches!(channel, Channel::Pipe(_)));
        let begun = Output::begin(self.format.muxer(), channel, &streams, options);
        let output = begun.map_err(|(cause, io)| io.map_or_else(|| explain(cause, false), FilmError::from))?;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            lane.base = output.time_base(index);
        }
        self.output = Some(output);
        self.dirty = true;
        Ok(())
    }

    /// Hands over what has waited long enough, in the order of decoding over all tracks.
    fn release(&mut self, all: bool) -> Result<(), FilmError> {
        loop {
            let oldest = self.lanes.iter().enumerate().filter_map(|(i, lane)| Some((lane.front()?, i))).min();
            let Some((front, index)) = oldest else { return Ok(()) };
            if !all && self.newest.since(front) < WINDOW {
                return Ok(());
            }
            let (origin, output) = (self.origin, self.output.as_mut().expect("released only after the start"));
            let lane = &mut self.lanes[index];
            let (times, until) = lane.next_times(origin);
            let unit = lane.waiting.pop_front().expect("it has a front");
            self.waiting_bytes -= unit.data.len();
            let config = lane.changed_config(self.format, &unit);
            if let Err(cause) = output.write(index, &unit.data, times, unit.key, config.as_deref()) {
                return Err(why(output, cause));
            }
            lane.units += 1;
            self.dirty = true;
            self.end = self.end.max(until);
        }
    }
}

impl Lane {
    fn new(about: WriterTrack) -> Self {
        Lane {
            about,
            profile: 0,
            begun: false,
            waiting: VecDeque::new(),
            base: (1, 1000),
            last_dts: None,
            last_step: 0,
            units: 0,
        }
    }

    /// Learns from the first unit.
    fn begin(&mut self, data: &Bytes) {
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
    fn stand_in(&mut self) -> Result<(), FilmError> {
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

    fn describe(&self) -> OutputStream<'_> {
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
    fn front(&self) -> Option<MediaTime> {
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
    fn next_times(&mut self, origin: MediaTime) -> ((i64, i64, i64), Duration) {
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
    fn changed_config(&mut self, format: Format, unit: &Waiting) -> Option<Vec<u8>> {
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

fn check_track(format: Format, track: &WriterTrack) -> Result<(), FilmError> {
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

/// What is wrong, in the system's words if it has any.
fn why(output: &mut Output, cause: Cause) -> FilmError {
    let io: Option<io::Error> = output.take_error();
    io.map_or_else(|| explain(cause, false), FilmError::from)
}
