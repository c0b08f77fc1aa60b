//! A source of coded media: a file, bytes in memory, or a stream of the network.
//!
//! Enters: a URI, or bytes that come in one go. Leaves: tracks, and their units in the order of the file. This room must never know
//! who plays them, nor when.

mod lane;
mod options;
mod seek;
mod track;

pub use options::{OpenOptions, RtspTransport};
pub use track::{Track, Unit};

use super::decoder::most_pixels;
use super::ffmpeg::{Channel, Input, Origin, Packet, explain, is_again};
use super::interrupt::Ended;
use super::place::{self, Place};
use super::stream::{self, Posted, SpoolRoom};
use super::{FilmError, Interrupt, Scheme, samples};
use crate::coder::Cause;
use lane::Lane;
use rivero_engine::{Codec, MediaKind};
use std::collections::VecDeque;
use std::io::{Cursor, Read, Seek};
use std::time::Duration;

/// Bounds on what is read ahead: to know a track's configuration, or where a seek has led.
const MOST_AHEAD: usize = 2048;
const MOST_BYTES_AHEAD: usize = 32 << 20;

/// How long it may take to tell a server that we go.
const LEAVE: Duration = Duration::from_secs(1);

pub struct Reader {
    input: Input,
    interrupt: Interrupt,
    read_patience: Duration,
    remote: bool,
    live: bool,
    /// A stream without an end of its own.
    endless: bool,
    /// What FFmpeg takes for an end is that of the connection.
    camera: bool,
    tracks: Vec<Track>,
    lanes: Vec<Lane>,
    ahead: VecDeque<Unit>,
    bytes_ahead: usize,
    /// Nanoseconds in the media's own time.
    start: i64,
}

/// A camera that is not told goes on sending until it misses us.
impl Drop for Reader {
    fn drop(&mut self) {
        if self.live {
            self.interrupt.take_leave(LEAVE);
        }
    }
}

impl Reader {
    /// Opens a URI or a plain path, and looks at its streams. May take as long as `open_patience` says.
    pub fn open(uri: &str, options: &OpenOptions, interrupt: Interrupt) -> Result<Self, FilmError> {
        interrupt.wait_for(options.open_patience);
        let (origin, scheme) = match place::locate(uri, options)? {
            Place::File { file, extension } => (here(file, extension)?, Scheme::File),
            Place::Memory { bytes, extension } => (here(Cursor::new(bytes), extension)?, Scheme::Data),
            Place::Net { scheme, url } => (options::network(scheme, url, options), scheme),
        };
        Self::begin(origin, scheme, options, interrupt)
    }

    /// Opens what comes in one go, such as the body of a request. Where its index stands at its end, it is written to a temporary
    /// file first, within `room`. A call waits as long as `source` does; the interrupt is looked at between two reads.
    pub fn from_stream(
        source: Box<dyn Read + Send>,
        room: &SpoolRoom,
        options: &OpenOptions,
        interrupt: Interrupt,
    ) -> Result<Self, FilmError> {
        let origin = match stream::examine(source, room, &interrupt)? {
            Posted::Stream(stream) => Origin::Here { source: Channel::Stream(stream), extension: String::new() },
            Posted::Whole(file) => here(file, String::new())?,
        };
        interrupt.wait_for(options.open_patience);
        // As bytes in memory: what comes from elsewhere leads nowhere.
        Self::begin(origin, Scheme::Data, options, interrupt)
    }

    fn begin(origin: Origin, scheme: Scheme, options: &OpenOptions, interrupt: Interrupt) -> Result<Self, FilmError> {
        let remote = !matches!(scheme, Scheme::File | Scheme::Data);
        let why = |cause, io: Option<std::io::Error>| why(cause, io, &interrupt, remote);
        let input =
            Input::open(origin, interrupt.clone(), options::formats(scheme), &options::settings(scheme, options));
        let mut input = input.map_err(|cause| why(cause, None))?;
        if let Err(cause) = input.look(most_pixels(options.largest)) {
            let io = input.take_error();
            return Err(why(cause, io));
        }
        let always = matches!(scheme, Scheme::Rtsp | Scheme::Rtsps | Scheme::Rtmp | Scheme::Rtmps | Scheme::Srt);
        let live = always || remote && input.duration().is_none() && input.seeks_bytes() != Some(true);
        let endless = always && input.duration().is_none();
        let camera = matches!(scheme, Scheme::Rtsp | Scheme::Rtsps);
        let start = input.start();
        let mut reader = Reader {
            input,
            interrupt: interrupt.clone(),
            read_patience: options.read_patience,
            remote,
            live,
            endless,
            camera,
            tracks: Vec::new(),
            lanes: Vec::new(),
            ahead: VecDeque::new(),
            bytes_ahead: 0,
            start,
        };
        reader.meet_streams()?;
        if reader.tracks.is_empty() {
            return Err(FilmError::Unsupported("media without sound or pictures".to_owned()));
        }
        let unknown =
            |reader: &Reader| reader.tracks.iter().any(|t| t.codec == Some(Codec::Aac) && t.config.is_empty());
        while unknown(&reader) && reader.has_room_ahead() && reader.fetch()? {}
        Ok(reader)
    }

    /// Some formats reveal a track only when its first unit comes: the list may grow, and never changes otherwise.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Of the tracks of a kind, the one to play if only one can be.
    pub fn best(&self, kind: MediaKind) -> Option<usize> {
        let best = self.input.best(kind == MediaKind::Video).and_then(|stream| self.lanes.get(stream)?.track);
        best.or_else(|| self.tracks.iter().position(|track| track.kind == kind))
    }

    /// Units of all other tracks are left out from now on.
    pub fn keep(&mut self, tracks: &[usize]) {
        for (stream, lane) in self.lanes.iter_mut().enumerate() {
            lane.ignored = !lane.track.is_some_and(|track| tracks.contains(&track));
            self.input.set_ignored(stream, lane.ignored);
        }
        self.ahead.retain(|unit| tracks.contains(&unit.track));
        self.bytes_ahead = self.ahead.iter().map(|unit| unit.data.len()).sum();
    }

    /// FFmpeg's names of the container, separated by commas.
    pub fn format(&self) -> &str {
        self.input.format()
    }

    /// None if unknown, or without end.
    pub fn duration(&self) -> Option<Duration> {
        self.input.duration().map(Duration::from_nanos)
    }

    /// Whether it goes on whether it is read or not.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether it has no end of its own: once it breaks off, it may come back.
    pub fn is_endless(&self) -> bool {
        self.endless
    }

    pub fn is_seekable(&self) -> bool {
        // What reads by itself (HLS) does not depend on whether its playlist can be read in any order.
        let playlist = self.input.format().split(',').any(|name| matches!(name, "hls" | "dash"));
        let able = if playlist { None } else { self.input.seeks_bytes() };
        !self.live && !self.input.is_unseekable() && able.unwrap_or(self.input.duration().is_some())
    }

    /// The next unit, in the order of the file; None at the end. May take as long as `read_patience` says; after an error the
    /// rest cannot be had.
    pub fn read(&mut self) -> Result<Option<Unit>, FilmError> {
        if self.ahead.is_empty() {
            self.interrupt.wait_for(self.read_patience);
            self.fetch()?;
        }
        let unit = self.ahead.pop_front();
        self.bytes_ahead -= unit.as_ref().map_or(0, |unit| unit.data.len());
        Ok(unit)
    }

    fn has_room_ahead(&self) -> bool {
        self.ahead.len() < MOST_AHEAD && self.bytes_ahead < MOST_BYTES_AHEAD
    }

    /// Reads until there is one unit more at least; false at the end.
    fn fetch(&mut self) -> Result<bool, FilmError> {
        let before = self.ahead.len();
        loop {
            let packet = match self.input.read() {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    return match self.input.take_error() {
                        Some(error) => Err(why(Cause(0), Some(error), &self.interrupt, self.remote)),
                        None if self.endless && self.camera => Err(FilmError::Gone),
                        None => Ok(false),
                    };
                }
                Err(cause) if is_again(cause) && self.interrupt.ended().is_none() => continue,
                Err(cause) => return Err(self.fail(cause)),
            };
            self.meet_streams()?;
            self.take(packet);
            if self.ahead.len() > before {
                return Ok(true);
            }
            // Whoever reads nothing but what is left out notices no deadline otherwise.
            if self.interrupt.ended().is_some() {
                return Err(why(Cause(0), None, &self.interrupt, self.remote));
            }
        }
    }

    /// Makes tracks of the streams that are new.
    fn meet_streams(&mut self) -> Result<(), FilmError> {
        for stream in self.lanes.len()..self.input.streams() {
            let failed = |source| FilmError::Failed { what: "looking at a stream", source };
            let parameters = self.input.parameters(stream).map_err(failed)?;
            let base = self.input.time_base(stream);
            let mut lane = Lane::new(base, self.start);
            match parameters.kind().filter(|_| !self.input.is_cover(stream)) {
                None => {
                    lane.ignored = true;
                    self.input.set_ignored(stream, true);
                }
                Some(kind) => {
                    let (parameters, codec) = lane.bring_in_form(parameters);
                    lane.track = Some(self.tracks.len());
                    let frame_rate = self.input.frame_rate(stream).filter(|_| kind == MediaKind::Video);
                    self.tracks.push(Track::new(kind, codec, parameters, frame_rate));
                }
            }
            self.lanes.push(lane);
        }
        Ok(())
    }

    /// Makes units of a packet, unless it is of no use.
    fn take(&mut self, packet: Packet) {
        let Some(lane) = self.lanes.get_mut(packet.stream()) else { return };
        let Some(index) = lane.track.filter(|_| !lane.ignored) else { return };
        let mut packets = Vec::new();
        match &mut lane.filter {
            None => packets.push(packet),
            // What the filter does not understand no decoder would either.
            Some(filter) => match filter.pass(packet, &mut packets) {
                Ok(()) => {}
                Err(cause) => tracing::debug!(%cause, "a unit that its filter rejects is left out"),
            },
        }
        let track = &mut self.tracks[index];
        for packet in packets {
            let Some(mut unit) = lane.unit(packet, index, track, self.start) else { continue };
            if let Some(config) = &unit.config
                && track.config.is_empty()
            {
                track.config = config.clone();
                unit.config = None;
            }
            self.bytes_ahead += unit.data.len();
            self.ahead.push_back(unit);
        }
    }

    fn fail(&mut self, cause: Cause) -> FilmError {
        let io = self.input.take_error();
        why(cause, io, &self.interrupt, self.remote)
    }
}

/// What is wrong, by the most telling of those who say so.
fn why(cause: Cause, io: Option<std::io::Error>, interrupt: &Interrupt, remote: bool) -> FilmError {
    match (interrupt.ended(), io) {
        (Some(Ended::Stopped), _) => FilmError::Interrupted,
        (Some(Ended::Late), _) => FilmError::Timeout,
        (None, Some(error)) => error.into(),
        (None, None) => match explain(cause, remote) {
            // Memory is bounded, and what a demuxer asks for is what the file claims.
            FilmError::Failed { source, .. } => FilmError::Invalid { source },
            told => told,
        },
    }
}

fn here(mut source: impl Read + Seek + Send + 'static, extension: String) -> Result<Origin, FilmError> {
    match samples::are_plausible(&mut source)? {
        true => Ok(Origin::Here { source: Channel::Source(Box::new(source)), extension }),
        false => Err(samples::too_many()),
    }
}
