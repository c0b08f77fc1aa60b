//! A recording: coded media into a file that is whole at every moment.
//!
//! WebM and Matroska go out in clusters, MP4 in fragments, each closed and handed to the system after less than half a second; with
//! what waits to be put in order, a file that ends abruptly plays up to a second before that, wherever a write breaks off.
//! [`Writer::finish`] adds what is known only then: WebM's duration and its index (cues), MP4's durations and its index of fragments,
//! FLV's duration; tracks that never came are taken out of the head.
//!
//! Times are the caller's and become the recording's: what is missing stays missing, and no track drifts against another. The first
//! unit is at zero.
//!
//! A header is written once, when every track has begun or `start_patience` is over. A track that begins later is declared as it
//! was described, or by a stand-in, and its own headers, which stand before its key frames, are what counts for decoders. Pictures
//! may change in size: each key frame says its own, and the container keeps the first.

use super::FilmError;
use super::afterwards::{self, Came};
use super::ffmpeg::{Channel, Output, explain};
use super::lane::{Lane, Waiting, WriterTrack, check_track};
use super::roots::Roots;
use super::sheet::{Medium, Sheet};
use crate::coder::Cause;
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind, MediaTime};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long units wait for those of other tracks that belong before them, and for those that are shown before them.
const WINDOW: Duration = Duration::from_millis(250);

/// A cluster or a fragment is closed when it is this long.
const CADENCE: Duration = Duration::from_millis(400);

/// Bounds on what waits: units of a track, and bytes of all.
const MOST_WAITING: usize = 2048;
const MOST_BYTES_WAITING: usize = 64 << 20;

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

/// Where a recording goes.
pub enum Target {
    /// A file to be created or overwritten; its directories are created.
    Path(PathBuf),
    /// The same, but nowhere else than below these.
    Inside(PathBuf, Roots),
    File(Box<dyn Medium>),
    /// What goes out cannot be changed any more: WebM stays without duration and index, FLV without duration.
    Stream(Box<dyn Write + Send>),
}

#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Whether what was handed to the system is also brought to the disk at once: then it survives a power cut, too, up to a second
    /// before it. What is written takes as long as the disk does.
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

pub struct Writer {
    format: Format,
    options: WriterOptions,
    lanes: Vec<Lane>,
    /// Until the header is written.
    channel: Option<Channel>,
    output: Option<Output>,
    /// The same file once more, to complete its head.
    head: Option<File>,
    waiting_bytes: usize,
    first: Option<MediaTime>,
    origin: MediaTime,
    newest: MediaTime,
    flushed: MediaTime,
    dirty: bool,
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
        let (channel, head) = match target {
            Target::Path(path) => create_file(&path, &Roots::anywhere(), options.sync)?,
            Target::Inside(path, roots) => create_file(&path, &roots, options.sync)?,
            Target::File(medium) => (Channel::File(Sheet::new(medium, options.sync)), None),
            Target::Stream(stream) => (Channel::Pipe(stream), None),
        };
        Ok(Writer {
            format,
            options,
            lanes: tracks.into_iter().map(Lane::new).collect(),
            channel: Some(channel),
            output: None,
            head,
            waiting_bytes: 0,
            first: None,
            origin: MediaTime::ZERO,
            newest: MediaTime::ZERO,
            flushed: MediaTime::ZERO,
            dirty: false,
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
            if let Some(file) = &self.head {
                let came: Vec<_> = self.lanes.iter().map(|lane| Came { units: lane.units, end: lane.end }).collect();
                afterwards::correct(file, self.format, &came)?;
                if self.options.sync {
                    file.sync_data()?;
                }
            }
        }
        Ok(Summary {
            duration: self.lanes.iter().map(|lane| lane.end).max().unwrap_or_default(),
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
            lane.end = lane.end.max(until);
        }
    }
}

fn create_file(path: &Path, roots: &Roots, sync: bool) -> Result<(Channel, Option<File>), FilmError> {
    let file = roots.create(path)?;
    if !file.metadata()?.is_file() {
        // A pipe or a device: what goes there stays as it is.
        return Ok((Channel::Pipe(Box::new(file)), None));
    }
    if sync && let Some(directory) = path.parent() {
        // That there is such a file survives a power cut too.
        File::open(directory)?.sync_all()?;
    }
    // Where one may write and not read, the head stays as it is. Not by its path, which may lead elsewhere by now.
    let head = File::options().read(true).write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
    Ok((Channel::File(Sheet::new(Box::new(file), sync)), head))
}

/// What is wrong, in the system's words if it has any.
fn why(output: &mut Output, cause: Cause) -> FilmError {
    let io: Option<io::Error> = output.take_error();
    io.map_or_else(|| explain(cause, false), FilmError::from)
}
