//! A reel that is a file or a stream of the network. Tracks for which the house has a word leave as they are coded; others are
//! decoded here.

use super::reel::{Content, Frame, Reel, ReelInfo};
use crate::coder::Largest;
use crate::convert::{REORDERED, raw};
use crate::film::{Decoded, FilmError, Interrupt, OpenOptions, Reader, Track, TrackDecoder, Unit};
use rivero_engine::{Caps, Codec, MediaKind, MediaTime};
use std::collections::VecDeque;
use std::time::Duration;

/// Units that are looked at before anything leaves: whether pictures are decoded in another order than they are shown in.
const LOOK_AHEAD: usize = 48;

/// One track that is played.
struct Lane {
    track: usize,
    kind: MediaKind,
    decoder: Option<TrackDecoder>,
    /// Something of it could be used.
    serves: bool,
}

/// See [`Reel`].
pub struct FilmReel {
    reader: Reader,
    info: ReelInfo,
    lanes: Vec<Lane>,
    largest: Largest,
    ahead: VecDeque<Unit>,
    ready: VecDeque<Frame>,
    /// Decoders have given what they held back at the end.
    drained: bool,
    /// Why something could not be decoded, at first.
    trouble: Option<FilmError>,
}

impl FilmReel {
    /// Opens it, which may take as long as the options allow.
    ///
    /// # Errors
    /// It cannot be opened, or holds neither sound nor pictures.
    pub fn open(uri: &str, options: &OpenOptions, interrupt: Interrupt) -> Result<Self, FilmError> {
        Self::of(Reader::open(uri, options, interrupt)?, options.largest)
    }

    /// The reel of what is open already. Reads some of it.
    ///
    /// # Errors
    /// It cannot be read, holds neither sound nor pictures, or pictures larger than `largest`.
    pub fn of(mut reader: Reader, largest: Largest) -> Result<Self, FilmError> {
        let chosen: Vec<usize> =
            [MediaKind::Audio, MediaKind::Video].into_iter().filter_map(|kind| reader.best(kind)).collect();
        if chosen.is_empty() {
            return Err(FilmError::Unsupported("neither sound nor pictures".to_owned()));
        }
        reader.keep(&chosen);
        let (duration, seekable, live) = (reader.duration(), reader.is_seekable(), reader.is_live());
        let endless = reader.is_endless();
        let mut info = ReelInfo { duration, seekable, live, endless, ..ReelInfo::default() };
        let mut ahead = VecDeque::new();
        // A live stream is not held up for that: what it sends is not reordered.
        while !live && ahead.len() < LOOK_AHEAD {
            match reader.read() {
                Ok(Some(unit)) => ahead.push_back(unit),
                Ok(None) => break,
                // What there is of a film that was cut off is played; the same error ends it.
                Err(_) if !ahead.is_empty() => break,
                Err(why) => return Err(why),
            }
        }
        let mut lanes = Vec::new();
        for track in chosen {
            let described = &reader.tracks()[track];
            let (width, height) = (described.width, described.height);
            if u64::from(width) * u64::from(height) > u64::from(largest.width) * u64::from(largest.height) {
                return Err(FilmError::TooLarge { width, height });
            }
            let kind = described.kind;
            // What a live stream says of itself is a guess as long as its pictures come in order.
            let reordered =
                !live && (described.reordered || is_reordered(ahead.iter().filter(|unit| unit.track == track)));
            // Pictures of which not even the size was found may be none: then that is found out here.
            let unknown = !live && kind == MediaKind::Video && width == 0;
            let caps = caps(described, reordered).filter(|_| !unknown);
            let decoder = if caps.is_none() { Some(TrackDecoder::new(described, largest)?) } else { None };
            let caps = caps.or_else(|| raw(kind));
            if kind == MediaKind::Video {
                info.video = caps
            } else {
                info.audio = caps
            }
            lanes.push(Lane { track, kind, decoder, serves: false });
        }
        Ok(FilmReel { reader, info, lanes, largest, ahead, ready: VecDeque::new(), drained: false, trouble: None })
    }

    fn take(&mut self, unit: Unit) -> Result<(), FilmError> {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.track == unit.track) else { return Ok(()) };
        let (kind, key, duration) = (lane.kind, unit.key, unit.duration);
        let Some(decoder) = &mut lane.decoder else {
            lane.serves = true;
            let content = Content::Coded(unit.data);
            self.ready.push_back(Frame { kind, content, at: unit.at, decoded: unit.decode_at, duration, key });
            return Ok(());
        };
        let mut decoded = Vec::new();
        if let Err(why) = decoder.decode(&unit.data, on_clock(unit.at), &mut decoded) {
            tracing::debug!("a frame of a film is not decoded: {why}");
            if !lane.serves && matches!(why, FilmError::TooLarge { .. }) {
                return Err(why);
            }
            self.trouble.get_or_insert(why);
        }
        lane.serves |= !decoded.is_empty();
        self.ready.extend(decoded.into_iter().map(|one| frame(kind, one, duration)));
        Ok(())
    }

    /// What decoders still hold when the film is over.
    fn drain(&mut self) {
        for lane in &mut self.lanes {
            let Some(decoder) = &mut lane.decoder else { continue };
            let mut decoded = Vec::new();
            if let Err(why) = decoder.flush(&mut decoded) {
                tracing::debug!("the end of a film is not decoded: {why}");
                self.trouble.get_or_insert(why);
            }
            lane.serves |= !decoded.is_empty();
            self.ready.extend(decoded.into_iter().map(|one| frame(lane.kind, one, Duration::ZERO)));
        }
    }
}

impl Reel for FilmReel {
    fn info(&self) -> &ReelInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, FilmError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let unit = match self.ahead.pop_front() {
                Some(unit) => Some(unit),
                None => self.reader.read()?,
            };
            match unit {
                Some(unit) => self.take(unit)?,
                None if std::mem::replace(&mut self.drained, true) => {
                    // What nothing could be shown of was no film.
                    let served = self.lanes.iter().any(|lane| lane.serves);
                    return self.trouble.take().filter(|_| !served).map_or(Ok(None), Err);
                }
                None => self.drain(),
            }
        }
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        self.reader.seek(to)?;
        self.ahead.clear();
        self.ready.clear();
        self.drained = false;
        for lane in &mut self.lanes {
            if lane.decoder.is_some() {
                lane.decoder = Some(TrackDecoder::new(&self.reader.tracks()[lane.track], self.largest)?);
            }
        }
        Ok(())
    }
}

fn frame(kind: MediaKind, decoded: Decoded, duration: Duration) -> Frame {
    let (at, content) = match decoded {
        Decoded::Picture(picture) => (picture.at, Content::Picture(picture)),
        Decoded::Sound(sound) => (sound.at, Content::Sound(sound)),
    };
    let at = Duration::from_nanos(at.as_nanos());
    Frame { kind, content, at, decoded: at, duration, key: true }
}

/// A place in a film as a time, for decoders that know no other.
fn on_clock(at: Duration) -> MediaTime {
    MediaTime::ZERO + at
}

fn is_reordered<'a>(units: impl Iterator<Item = &'a Unit>) -> bool {
    let mut latest = Duration::ZERO;
    units.into_iter().any(|unit| {
        let back = unit.at < latest;
        latest = latest.max(unit.at);
        back
    })
}

/// What the frames of a track are, in the words that sessions and encoders use; `None` for what has no word.
fn caps(track: &Track, reordered: bool) -> Option<Caps> {
    let codec = track.codec?;
    let caps = match codec {
        Codec::Raw | Codec::Message => return None,
        // Its time stamps count 48 kHz and its description says stereo, whatever is inside (RFC 7587, section 7).
        Codec::Opus => Caps::audio(codec, 48_000, 2),
        Codec::G722 => Caps::audio(codec, 8_000, 1),
        Codec::Mp3 => Caps::audio(codec, 90_000, 1),
        // Its headers have no place in caps.
        Codec::Vorbis => return None,
        Codec::Aac => {
            let config: String = track.config.iter().map(|byte| format!("{byte:02x}")).collect();
            Caps::audio(codec, track.rate, track.channels).with_format(Some(&format!("config={config}")))
        }
        _ if codec.kind() == MediaKind::Video => Caps::video(codec, reordered.then_some(REORDERED)),
        _ => Caps::audio(codec, track.rate, track.channels),
    };
    Some(caps.frames())
}
