//! Pictures to coded video.

use super::ffmpeg::{EncodedPacket, VideoShape};
use super::tables::{self, VideoCoding};
use super::video_engine::Engine;
use super::{CoderError, EncodedFrame};
use bytes::Bytes;
use rivero_engine::{Codec, MediaTime, Picture};
use std::collections::VecDeque;
use std::time::Duration;

/// Bits a second that all encoders here take.
const LOWEST: u32 = 1_000;
const HIGHEST: u32 = 200_000_000;

/// Pictures that an encoder may have swallowed before the first is given up.
const MOST_INSIDE: usize = 64;

/// An encoder that must be opened anew for another rate costs a key frame each time. So it follows at once only when a key frame
/// is due anyhow, and else when the rate has changed by an eighth, at most this often; a lower rate is the more urgent.
const REOPEN_LOWER: Duration = Duration::from_millis(500);
const REOPEN_HIGHER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum H264Profile {
    /// What WebRTC peers agree upon first (profile-level-id 42e0xx, RFC 6184).
    #[default]
    Baseline,
    Main,
    High,
}

impl H264Profile {
    pub(super) fn name(self) -> &'static str {
        match self {
            H264Profile::Baseline => "baseline",
            H264Profile::Main => "main",
            H264Profile::High => "high",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// Pixels. Pictures of another size are taken too: they begin a new stream.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits a second; brought within what encoders take.
    pub bitrate: u32,
    /// Frames a second that are to be expected.
    pub frame_rate: u32,
    pub threads: u32,
    /// Of H.264 only.
    pub profile: H264Profile,
    /// Of H.264 only: no slice has more bytes, where packets cannot carry parts of one (RFC 6184, packetization mode 0).
    pub longest_slice: Option<u32>,
}

impl VideoSettings {
    /// Kurento's: 300 kbps, one thread; 30 frames a second.
    pub fn new(width: u32, height: u32) -> Self {
        let profile = H264Profile::default();
        VideoSettings { width, height, bitrate: 300_000, frame_rate: 30, threads: 1, profile, longest_slice: None }
    }
}

/// Encodes one stream, without delay: one picture in, one frame out (rarely none, where a codec may drop a picture).
///
/// The frames are cut down to an even width and height for H.264 and H.265, and to a multiple of four for H.263.
pub struct VideoEncoder {
    codec: Codec,
    settings: VideoSettings,
    coding: VideoCoding,
    open: Option<Opened>,
    pace: Pace,
}

/// How fast the pictures really come.
struct Pace {
    last: Option<MediaTime>,
    /// Nanoseconds from one picture to the next, on average.
    interval: u64,
    nominal: u64,
}

/// An encoder for one size.
struct Opened {
    engine: Engine,
    /// As it was asked for.
    size: (u32, u32),
    /// What is left of it after cutting.
    cut: (u32, u32),
    /// Bits a second that it was told, and what they were made from.
    bitrate: u32,
    asked: u32,
    at: Option<MediaTime>,
    last_pts: Option<i64>,
    /// What went in and has not come out.
    inside: VecDeque<(i64, MediaTime)>,
}

impl VideoEncoder {
    pub fn new(codec: Codec, settings: VideoSettings) -> Result<Self, CoderError> {
        let what = "video encoder";
        if !tables::is_video(codec) {
            return Err(CoderError::Missing { codec, what });
        }
        let settings = VideoSettings {
            bitrate: settings.bitrate.clamp(LOWEST, HIGHEST),
            frame_rate: settings.frame_rate.clamp(1, 240),
            threads: settings.threads.clamp(1, 16),
            ..settings
        };
        let mut coding = tables::video_coding(codec, settings.profile);
        if let Some(bytes) = settings.longest_slice.filter(|_| codec == Codec::H264) {
            coding.limit_slices(bytes);
        }
        let nominal = 1_000_000_000 / u64::from(settings.frame_rate);
        let pace = Pace { last: None, interval: nominal, nominal };
        let mut encoder = VideoEncoder { codec, settings, coding, open: None, pace };
        encoder.open = Some(encoder.opened(settings.width, settings.height)?);
        Ok(encoder)
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bits a second that it aims at.
    pub fn bitrate(&self) -> u32 {
        self.settings.bitrate
    }

    /// Bits a second from the next picture on, or as soon as the encoder can follow; brought within what encoders take.
    pub fn set_bitrate(&mut self, bps: u32) {
        self.settings.bitrate = bps.clamp(LOWEST, HIGHEST);
    }

    /// Encodes a picture and appends what leaves. `key` asks for a key frame, which then is this picture's.
    pub fn encode(&mut self, picture: &Picture, key: bool, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        check_picture(picture)?;
        self.pace.note(picture.at);
        self.follow(picture, key)?;
        let ticks = i64::from(self.coding.ticks);
        let now = (u128::from(picture.at.as_nanos()) * ticks as u128 / u128::from(self.pace.nominal)) as i64;
        let open = self.open.as_mut().expect("follow has opened it");
        let pts = match (open.last_pts, ticks) {
            (None, 1) => 0,
            (None, _) => now,
            // An encoder that counts frames would take a gap for pictures that it should have got.
            (Some(last), 1) => last + 1,
            (Some(last), _) => now.max(last + 1),
        };
        open.last_pts = Some(pts);
        open.inside.push_back((pts, picture.at));
        if open.inside.len() > MOST_INSIDE {
            open.inside.pop_front();
        }
        let mut packets = Vec::new();
        let shape = (open.cut, self.coding.full_range);
        let encoded = open.engine.encode(picture, shape, (pts, key), &mut packets);
        self.hand_out(packets, out);
        encoded.map_err(|source| CoderError::Failed { what: "encoding", source })
    }

    /// Appends what the encoder still holds, and ends the stream: the next picture begins another.
    pub fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut packets = Vec::new();
        let finished = open.engine.finish(&mut packets);
        self.hand_out(packets, out);
        self.open = None;
        finished.map_err(|source| CoderError::Failed { what: "encoding", source })
    }

    /// Makes the encoder fit the picture and the rate.
    fn follow(&mut self, picture: &Picture, key: bool) -> Result<(), CoderError> {
        let wanted = self.rate_to_set();
        let size = (picture.width, picture.height);
        match &mut self.open {
            Some(open) if open.size == size => {
                let begun = *open.at.get_or_insert(picture.at);
                // A pace that wavers a little is no reason; what was asked for is.
                if open.asked == self.settings.bitrate && open.bitrate.abs_diff(wanted) <= open.bitrate / 16 {
                    return Ok(());
                }
                if self.coding.rate_while_running {
                    let set = open.engine.set_rate(&self.coding, wanted);
                    set.map_err(|source| CoderError::Failed { what: "changing the bit rate", source })?;
                    (open.bitrate, open.asked) = (wanted, self.settings.bitrate);
                    return Ok(());
                }
                let due = key || self.coding.key_distance == 1;
                if !due && !worth_reopening(open.bitrate, wanted, picture.at.since(begun)) {
                    return Ok(());
                }
            }
            _ => {}
        }
        self.open = None;
        let opened = self.opened(picture.width, picture.height)?;
        self.open.insert(opened).at = Some(picture.at);
        Ok(())
    }

    fn opened(&self, width: u32, height: u32) -> Result<Opened, CoderError> {
        let coding = &self.coding;
        let cut = (width - width % coding.multiple, height - height % coding.multiple);
        if cut.0 == 0 || cut.1 == 0 || width > 16384 || height > 16384 {
            return Err(CoderError::Refused("a picture too small or too large to encode"));
        }
        let shape = VideoShape {
            width: cut.0,
            height: cut.1,
            frame_rate: self.settings.frame_rate,
            ticks: coding.ticks,
            key_distance: coding.key_distance,
            threads: self.settings.threads,
            full_range: coding.full_range,
        };
        let (bitrate, asked, size) = (self.rate_to_set(), self.settings.bitrate, (width, height));
        let engine = Engine::open(self.codec, coding, &shape, bitrate)?;
        Ok(Opened { engine, size, cut, bitrate, asked, at: None, last_pts: None, inside: VecDeque::new() })
    }

    /// Bits a second to tell the encoder, so that those that were asked for come of it.
    fn rate_to_set(&self) -> u32 {
        if self.coding.keeps_time {
            return self.settings.bitrate;
        }
        let told = u128::from(self.settings.bitrate) * u128::from(self.pace.interval) / u128::from(self.pace.nominal);
        u32::try_from(told).unwrap_or(HIGHEST).clamp(LOWEST, HIGHEST)
    }

    /// Gives each packet the time of its picture.
    fn hand_out(&mut self, packets: Vec<EncodedPacket>, out: &mut Vec<EncodedFrame>) {
        let Some(open) = &mut self.open else { return };
        for EncodedPacket { data, pts, key } in packets {
            // Whatever is older was dropped by the encoder: none of ours reorders.
            while open.inside.front().is_some_and(|&(earlier, _)| earlier < pts) {
                open.inside.pop_front();
            }
            let Some((_, at)) = open.inside.pop_front() else { continue };
            let data = if self.codec == Codec::Av1 { without_delimiter(data) } else { data };
            out.push(EncodedFrame { data, at, key });
        }
    }
}

impl Pace {
    fn note(&mut self, at: MediaTime) {
        if let Some(last) = self.last.replace(at) {
            // A pause is no pace.
            let interval = at.since(last).as_nanos().clamp(1_000_000, 1_000_000_000) as u64;
            self.interval = (self.interval * 31 + interval) / 32;
        }
    }
}

fn worth_reopening(now: u32, wanted: u32, since: Duration) -> bool {
    let wait = if wanted < now { REOPEN_LOWER } else { REOPEN_HIGHER };
    now.abs_diff(wanted) >= now / 8 && since >= wait
}

/// AV1 without the temporal delimiter that an encoder begins each temporal unit with (AV1 specification, section 5.6).
fn without_delimiter(data: Bytes) -> Bytes {
    match data.strip_prefix(&[0x12, 0x00]) {
        Some(rest) => data.slice_ref(rest),
        None => data,
    }
}

/// FFmpeg reads what width, height and strides say: they must be true.
pub(super) fn check_picture(picture: &Picture) -> Result<(), CoderError> {
    if picture.width == 0 || picture.height == 0 || picture.width > 16384 || picture.height > 16384 {
        return Err(CoderError::Refused("a picture of no size, or of too large a size"));
    }
    for (i, plane) in picture.planes.iter().enumerate() {
        let (wide, high) = picture.plane_size(i);
        let (wide, high) = (wide as usize, high as usize);
        let whole = plane.stride.checked_mul(high - 1).and_then(|rows| rows.checked_add(wide));
        if plane.stride < wide || i32::try_from(plane.stride).is_err() || whole.is_none_or(|n| plane.data.len() < n) {
            return Err(CoderError::Refused("a plane that is smaller than its picture"));
        }
    }
    Ok(())
}
