//! A source of coded media: a file, bytes in memory, or a stream of the network.

use super::decoder::most_pixels;
use super::ffmpeg::{Channel, Filter, Input, Origin, Packet, Parameters, explain, is_again};
use super::interrupt::Ended;
use super::lengths::Form;
use super::place::{self, Place};
use super::stream::{self, Posted, SpoolRoom};
use super::{FilmError, Interrupt, Scheme, heads, samples};
use crate::coder::{Cause, Largest};
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind};
use std::collections::VecDeque;
use std::ffi::CStr;
use std::io::{Cursor, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bounds on what is read ahead: to know a track's configuration, or where a seek has led.
const MOST_AHEAD: usize = 2048;
const MOST_BYTES_AHEAD: usize = 32 << 20;

/// How long it may take to tell a server that we go.
const LEAVE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RtspTransport {
    /// UDP, and TCP where the server wants that.
    #[default]
    Any,
    Udp,
    Tcp,
}

#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What URIs may begin with; what a server or a playlist leads to as well.
    pub schemes: Vec<Scheme>,
    /// Files must lie below this directory, links resolved; relative paths begin there.
    pub root: Option<PathBuf>,
    /// How long opening may take altogether.
    pub open_patience: Duration,
    /// How long a single unit, or a seek, may take.
    pub read_patience: Duration,
    pub rtsp_transport: RtspTransport,
    /// Local UDP ports for RTSP, first and last.
    pub rtsp_ports: Option<(u16, u16)>,
    /// How long RTP packets may be waited for that are overtaken by others.
    pub network_cache: Duration,
    /// Whether a server must show a certificate that the system trusts.
    pub verify_tls: bool,
    /// No larger picture is decoded while looking at the streams.
    pub largest: Largest,
}

impl Default for OpenOptions {
    /// All schemes and no root: who serves strangers says what they may open.
    fn default() -> Self {
        OpenOptions {
            schemes: Scheme::ALL.to_vec(),
            root: None,
            open_patience: Duration::from_secs(20),
            read_patience: Duration::from_secs(10),
            rtsp_transport: RtspTransport::default(),
            rtsp_ports: None,
            network_cache: Duration::from_millis(2000),
            verify_tls: true,
            largest: Largest::default(),
        }
    }
}

/// One stream of sound or pictures.
#[derive(Clone)]
pub struct Track {
    pub kind: MediaKind,
    /// None if the house has no word for it: then only a [`TrackDecoder`](super::TrackDecoder) can use it.
    pub codec: Option<Codec>,
    /// FFmpeg's name of the coding.
    pub coding: &'static str,
    /// Hz; 0 if unknown, or of pictures.
    pub rate: u32,
    pub channels: u8,
    /// Pixels; 0 if unknown, or of sound.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second as a ratio, where the source says so.
    pub frame_rate: Option<(u32, u32)>,
    /// The source says that pictures are decoded in another order than they are shown in.
    pub reordered: bool,
    /// What the codec wants to be known beforehand (AAC's AudioSpecificConfig, Vorbis's headers, an OpusHead); of H.264 and
    /// H.265 the parameter sets as a byte stream, which stand before each key frame as well.
    pub config: Bytes,
    pub(super) parameters: Arc<Parameters>,
}

/// A coded frame, in the form that [`Coded`](rivero_engine::Coded) describes.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Index into [`Reader::tracks`].
    pub track: usize,
    pub data: Bytes,
    /// When it is to be shown or heard, from the beginning of the media.
    pub at: Duration,
    /// When it is to be decoded; units leave in this order within a track.
    pub decode_at: Duration,
    /// Zero if unknown.
    pub duration: Duration,
    /// Whether decoding can begin here; always so for sound.
    pub key: bool,
    /// The track's configuration from this unit on, where it changes.
    pub config: Option<Bytes>,
}

/// A camera that is not told goes on sending until it misses us.
impl Drop for Reader {
    fn drop(&mut self) {
        if self.live {
            self.interrupt.take_leave(LEAVE);
        }
    }
}

/// What the reader keeps of one of FFmpeg's streams.
struct Lane {
    track: Option<usize>,
    ignored: bool,
    base: (i32, i32),
    filter: Option<Filter>,
    form: Option<Form>,
    /// Nanoseconds in the media's own time: for a unit that does not say its own.
    next: i64,
    /// After a seek, pictures are of no use before a key frame.
    awaits_key: bool,
}

pub struct Reader {
    input: Input,
    interrupt: Interrupt,
    read_patience: Duration,
    remote: bool,
    live: bool,
    /// A stream without an end of its own.
    endless: bool,
    tracks: Vec<Track>,
    lanes: Vec<Lane>,
    ahead: VecDeque<Unit>,
    bytes_ahead: usize,
    /// Nanoseconds in the media's own time.
    start: i64,
}

impl Reader {
    /// Opens a URI or a plain path, and looks at its streams. May take as long as `open_patience` says.
    pub fn open(uri: &str, options: &OpenOptions, interrupt: Interrupt) -> Result<Self, FilmError> {
        interrupt.wait_for(options.open_patience);
        let (origin, scheme) = match place::locate(uri, options)? {
            Place::File { file, extension } => (here(file, extension)?, Scheme::File),
            Place::Memory { bytes, extension } => (here(Cursor::new(bytes), extension)?, Scheme::Data),
            Place::Net { scheme, url } => (network(scheme, url, options), scheme),
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
        let input = Input::open(origin, interrupt.clone(), formats(scheme), &settings(scheme, options));
        let mut input = input.map_err(|cause| why(cause, None))?;
        if let Err(cause) = input.look(most_pixels(options.largest)) {
            let io = input.take_error();
            return Err(why(cause, io));
        }
        let always = matches!(scheme, Scheme::Rtsp | Scheme::Rtsps | Scheme::Rtmp | Scheme::Rtmps | Scheme::Srt);
        let live = always || remote && input.duration().is_none() && input.seeks_bytes() != Some(true);
        let endless = matches!(scheme, Scheme::Rtsp | Scheme::Rtsps) && input.duration().is_none();
        let start = input.start();
        let mut reader = Reader {
            input,
            interrupt: interrupt.clone(),
            read_patience: options.read_patience,
            remote,
            live,
            endless,
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

    /// Goes on at the key frame at this time or before it, and returns that one's time; of sound alone, near it.
    pub fn seek(&mut self, to: Duration) -> Result<Duration, FilmError> {
        if !self.is_seekable() {
            return Err(FilmError::Unsupported("seeking here".to_owned()));
        }
        self.interrupt.wait_for(self.read_patience);
        let to = i64::try_from(to.as_nanos()).unwrap_or(i64::MAX);
        let mut back = 0_i64;
        loop {
            let goal = to.saturating_sub(back).max(0);
            let sought = self.input.seek(self.start.saturating_add(goal));
            // A format without an index may not find the very beginning, or the end.
            if let Err(cause) = sought {
                return Err(self.fail(cause));
            }
            let landed = self.land()?;
            if let Some(landed) = landed.filter(|at| at.as_nanos() <= to as u128) {
                return Ok(landed);
            }
            if goal == 0 {
                return self.land_at_start(landed, to);
            }
            // It led to a place after which there was no key frame in time.
            back = (back * 4).max(1_000_000_000);
        }
    }

    /// The last resort: the first key frame of all, by what finds it earliest.
    fn land_at_start(&mut self, landed: Option<Duration>, to: i64) -> Result<Duration, FilmError> {
        let late = landed.is_none_or(|at| at > Duration::from_millis(100) && at.as_nanos() > to as u128);
        let landed = if late && self.input.rewind().is_ok() { self.land()? } else { landed };
        if landed.is_none() {
            // No key frame far and wide: then the decoder must see what it can make of it.
            self.lanes.iter_mut().for_each(|lane| lane.awaits_key = false);
        }
        Ok(landed.or(self.ahead.front().map(|unit| unit.at)).unwrap_or_default())
    }

    /// Reads up to the first unit that is of use after a seek; None if there is none.
    fn land(&mut self) -> Result<Option<Duration>, FilmError> {
        self.ahead.clear();
        self.bytes_ahead = 0;
        let mut video = false;
        for lane in &mut self.lanes {
            let Some(track) = lane.track.filter(|_| !lane.ignored) else { continue };
            lane.awaits_key = self.tracks[track].kind == MediaKind::Video;
            video |= lane.awaits_key;
            if let Some(filter) = &mut lane.filter {
                filter.reset();
            }
        }
        let useful = |reader: &Reader| {
            reader
                .ahead
                .iter()
                .find(|unit| !video || reader.tracks[unit.track].kind == MediaKind::Video)
                .map(|unit| unit.at)
        };
        while self.has_room_ahead() {
            if let Some(at) = useful(self) {
                return Ok(Some(at));
            }
            if !self.fetch()? {
                break;
            }
        }
        Ok(useful(self))
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
                        None if self.endless => Err(FilmError::Gone),
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
            let mut lane = Lane {
                track: None,
                ignored: false,
                base,
                filter: None,
                form: None,
                next: self.start,
                awaits_key: false,
            };
            match parameters.kind().filter(|_| !self.input.is_cover(stream)) {
                None => {
                    lane.ignored = true;
                    self.input.set_ignored(stream, true);
                }
                Some(kind) => {
                    let (parameters, codec) = lane.bring_in_form(parameters);
                    lane.track = Some(self.tracks.len());
                    let frame_rate = self.input.frame_rate(stream).filter(|_| kind == MediaKind::Video);
                    self.tracks.push(track(kind, codec, parameters, frame_rate));
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

impl Lane {
    /// Prepares to bring the packets into the form of [`Coded`](rivero_engine::Coded). A stream that this fails for is left to
    /// FFmpeg's decoders.
    fn bring_in_form(&mut self, mut parameters: Parameters) -> (Parameters, Option<Codec>) {
        let codec = parameters.codec();
        match codec {
            Some(codec @ (Codec::H264 | Codec::H265)) => {
                let Some(form) = Form::read(codec, parameters.config()) else { return (parameters, None) };
                if parameters.set_config(&form.sets).is_err() {
                    return (parameters, None);
                }
                self.form = Some(form);
            }
            Some(Codec::Aac) => {
                let made = Filter::new(c"aac_adtstoasc", &parameters, self.base).and_then(Result::ok);
                let Some(filter) = made else { return (parameters, None) };
                self.filter = Some(filter);
            }
            _ => {}
        }
        (parameters, codec)
    }

    fn unit(&mut self, packet: Packet, index: usize, track: &Track, start: i64) -> Option<Unit> {
        let (pts, dts) = (packet.pts(self.base), packet.dts(self.base));
        let duration = packet.duration(self.base);
        let at = pts.or(dts).unwrap_or(self.next);
        let decode_at = dts.unwrap_or(at);
        self.next = at.saturating_add_unsigned(duration);
        let key = track.kind != MediaKind::Video || packet.is_key();
        if self.awaits_key && !key {
            return None;
        }
        self.awaits_key = false;
        let mut config = packet.new_config();
        let mut data = packet.into_bytes();
        match track.codec {
            Some(codec @ (Codec::H264 | Codec::H265)) => {
                if let Some(form) = config.take().and_then(|config| Form::read(codec, &config)) {
                    config = Some(form.sets.clone());
                    self.form = Some(form);
                }
                let form = self.form.as_ref()?;
                let Some(converted) = form.convert(data) else {
                    tracing::debug!("a unit whose lengths do not add up is left out");
                    return None;
                };
                data = converted;
                // Decoders start at any key frame only if its parameter sets stand there.
                if key && !form.sets.is_empty() && heads::config(codec, &data).is_empty() {
                    data = [&form.sets[..], &data[..]].concat().into();
                }
            }
            // The temporal delimiter (AV1 specification, section 5.6).
            Some(Codec::Av1) if data.starts_with(&[0x12, 0x00]) => data = data.slice(2..),
            _ => {}
        }
        config = config.filter(|config| *config != track.config);
        let since = |time: i64| Duration::from_nanos(u64::try_from(time.saturating_sub(start)).unwrap_or(0));
        let (at, decode_at, duration) = (since(at), since(decode_at), Duration::from_nanos(duration));
        (!data.is_empty()).then_some(Unit { track: index, data, at, decode_at, duration, key, config })
    }
}

/// What is wrong, by the most telling of those who say so.
fn why(cause: Cause, io: Option<std::io::Error>, interrupt: &Interrupt, remote: bool) -> FilmError {
    match (interrupt.ended(), io) {
        (Some(Ended::Stopped), _) => FilmError::Interrupted,
        (Some(Ended::Late), _) => FilmError::Timeout,
        (None, Some(error)) => error.into(),
        (None, None) => explain(cause, remote),
    }
}

fn track(kind: MediaKind, codec: Option<Codec>, parameters: Parameters, frame_rate: Option<(u32, u32)>) -> Track {
    let (width, height) = parameters.size();
    Track {
        kind,
        codec,
        coding: parameters.coding(),
        rate: parameters.rate(),
        channels: parameters.channels(),
        width,
        height,
        frame_rate,
        reordered: parameters.delay() > 0,
        config: Bytes::copy_from_slice(parameters.config()),
        parameters: Arc::new(parameters),
    }
}

fn here(mut source: impl Read + Seek + Send + 'static, extension: String) -> Result<Origin, FilmError> {
    match samples::are_plausible(&mut source)? {
        true => Ok(Origin::Here { source: Channel::Source(Box::new(source)), extension }),
        false => Err(samples::too_many()),
    }
}

fn network(scheme: Scheme, url: String, options: &OpenOptions) -> Origin {
    // A page may lead from one to the other, if both are allowed.
    let web = [Scheme::Http, Scheme::Https];
    let schemes: Vec<Scheme> = match web.contains(&scheme) {
        true => web.into_iter().filter(|scheme| options.schemes.contains(scheme)).collect(),
        false => vec![scheme],
    };
    let mut protocols: Vec<&str> = schemes.iter().map(|scheme| scheme.protocols()).collect();
    if web.contains(&scheme) {
        protocols.push("crypto");
    }
    Origin::Net { url, protocols: protocols.join(","), schemes }
}

/// Which formats may be read, by FFmpeg's names. None that opens what its bytes tell it to, but playlists from servers, which may
/// lead to servers.
fn formats(scheme: Scheme) -> fn(&str) -> bool {
    fn harmless(name: &str) -> bool {
        let leads_elsewhere = [
            "concat",
            "concatf",
            "image2",
            "imf",
            "lavfi",
            "sdp",
            "vobsub",
            "avisynth",
            "vapoursynth",
            "webm_dash_manifest",
            "hls",
            "applehttp",
            "dash",
            "rtsp",
            "rtp",
            "sap",
        ];
        !leads_elsewhere.contains(&name)
    }
    fn web(name: &str) -> bool {
        harmless(name) || matches!(name, "hls" | "applehttp" | "dash")
    }
    fn rtsp(name: &str) -> bool {
        name == "rtsp"
    }
    match scheme {
        Scheme::Http | Scheme::Https => web,
        Scheme::Rtsp | Scheme::Rtsps => rtsp,
        _ => harmless,
    }
}

/// Options for FFmpeg's demuxers and protocols.
fn settings(scheme: Scheme, options: &OpenOptions) -> Vec<(&'static CStr, String)> {
    let mut settings = Vec::new();
    match scheme {
        Scheme::Http | Scheme::Https => settings.push((c"user_agent", "Rivero".to_owned())),
        Scheme::Rtsp | Scheme::Rtsps => {
            settings.push((c"max_delay", options.network_cache.as_micros().min(60_000_000).to_string()));
            match options.rtsp_transport {
                RtspTransport::Any => {}
                RtspTransport::Udp => settings.push((c"rtsp_transport", "udp".to_owned())),
                RtspTransport::Tcp => settings.push((c"rtsp_transport", "tcp".to_owned())),
            }
            if let Some((first, last)) = options.rtsp_ports.filter(|(first, last)| *first > 0 && first <= last) {
                settings.push((c"min_port", first.to_string()));
                settings.push((c"max_port", last.to_string()));
            }
        }
        _ => {}
    }
    if matches!(scheme, Scheme::Https | Scheme::Http | Scheme::Rtsps | Scheme::Rtmps) {
        settings.push((c"tls_verify", u8::from(options.verify_tls).to_string()));
    }
    settings
}
