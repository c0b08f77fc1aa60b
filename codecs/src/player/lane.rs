//! One track of a film on its way out: as it is coded, where the house has a word for that; decoded otherwise, and for a while after a
//! seek. It must never know the other tracks.

use super::reel::{Content, Frame};
use crate::coder::Largest;
use crate::convert::{frames_format, raw};
use crate::film::{Decoded, FilmError, Track, TrackDecoder, Unit};
use rivero_engine::{Caps, Codec, MediaKind};
use std::collections::VecDeque;
use std::time::Duration;

pub struct Lane {
    /// Index into [`Reader::tracks`](crate::film::Reader::tracks).
    pub track: usize,
    pub kind: MediaKind,
    /// What leaves, but for pictures after a seek.
    pub caps: Option<Caps>,
    /// Something of it could be used.
    pub serves: bool,
    reordered: bool,
    way: Way,
    /// Nothing is shown before this place.
    sought: Duration,
    /// Of the latest unit.
    duration: Duration,
}

/// How the units of a track leave.
enum Way {
    /// As they are, but for pictures that are shown before this place though they are decoded later: they rest on what has not left.
    Coded(Duration),
    /// As pictures, up to a key frame behind the place that was sought. `begun`: the one that all rest on has come.
    Bridge {
        decoder: TrackDecoder,
        begun: bool,
    },
    Decoded(TrackDecoder),
}

impl Lane {
    /// `reordered`: its pictures are decoded in another order than they are shown in. `decode`: it is not to leave as it is coded.
    ///
    /// # Errors
    /// Nothing here decodes what would have to be.
    pub fn new(
        index: usize,
        track: &Track,
        reordered: bool,
        decode: bool,
        largest: Largest,
    ) -> Result<Self, FilmError> {
        let (caps, way) = match caps(track, reordered).filter(|_| !decode) {
            Some(caps) => (Some(caps), Way::Coded(Duration::ZERO)),
            None => (raw(track.kind), Way::Decoded(TrackDecoder::new(track, largest)?)),
        };
        let (sought, duration) = (Duration::ZERO, Duration::ZERO);
        Ok(Lane { track: index, kind: track.kind, caps, serves: false, reordered, way, sought, duration })
    }

    /// Appends what of a unit leaves, and what it completes.
    ///
    /// # Errors
    /// It is not decoded; the next one may be.
    pub fn take(&mut self, unit: Unit, out: &mut VecDeque<Frame>) -> Result<(), FilmError> {
        self.duration = unit.duration;
        if let Way::Bridge { begun, .. } = &mut self.way {
            // Where pictures are reordered a decoder needs those behind it to show the first one.
            let too_early = !std::mem::replace(begun, true) && self.reordered;
            if unit.key && !too_early && shows(unit.at, unit.duration, self.sought) {
                if let Err(why) = self.flush(out) {
                    tracing::debug!("pictures before a key frame are not decoded: {why}");
                }
                self.way = Way::Coded(unit.at);
            }
        }
        let (kind, mut decoded) = (self.kind, Vec::new());
        let result = match &mut self.way {
            Way::Coded(_) if kind == MediaKind::Audio && !shows(unit.at, unit.duration, self.sought) => Ok(()),
            Way::Coded(from) if unit.at < *from => Ok(()),
            Way::Coded(_) => {
                self.serves = true;
                let (at, decoded, duration, key) = (unit.at, unit.decode_at, unit.duration, unit.key);
                out.push_back(Frame { kind, content: Content::Coded(unit.data), at, decoded, duration, key });
                Ok(())
            }
            Way::Bridge { decoder, .. } | Way::Decoded(decoder) => decoder.decode(&unit, &mut decoded),
        };
        self.hand_on(decoded, out);
        result
    }

    /// Appends what the decoder still holds.
    ///
    /// # Errors
    /// It cannot give it.
    pub fn flush(&mut self, out: &mut VecDeque<Frame>) -> Result<(), FilmError> {
        let (Way::Bridge { decoder, .. } | Way::Decoded(decoder)) = &mut self.way else { return Ok(()) };
        let mut decoded = Vec::new();
        let result = decoder.flush(&mut decoded);
        self.hand_on(decoded, out);
        result
    }

    /// What comes next is from the key frame at `to` or before it; `track` is its own.
    ///
    /// # Errors
    /// No decoder can be had.
    pub fn seek(&mut self, to: Duration, track: &Track, largest: Largest) -> Result<(), FilmError> {
        self.sought = to;
        self.way = match self.way {
            Way::Coded(_) if self.kind == MediaKind::Audio => Way::Coded(Duration::ZERO),
            Way::Coded(_) | Way::Bridge { .. } => {
                Way::Bridge { decoder: TrackDecoder::new(track, largest)?, begun: false }
            }
            Way::Decoded(_) => Way::Decoded(TrackDecoder::new(track, largest)?),
        };
        Ok(())
    }

    fn hand_on(&mut self, decoded: Vec<Decoded>, out: &mut VecDeque<Frame>) {
        self.serves |= !decoded.is_empty();
        out.extend(decoded.into_iter().map(|one| {
            let (at, content) = match one {
                Decoded::Picture(picture) => (picture.at, Content::Picture(picture)),
                Decoded::Sound(sound) => (sound.at, Content::Sound(sound)),
            };
            let at = Duration::from_nanos(at.as_nanos());
            let content = if shows(at, self.duration, self.sought) { content } else { Content::Nothing };
            Frame { kind: self.kind, content, at, decoded: at, duration: self.duration, key: true }
        }));
    }
}

/// Whether something of it lies at the place that was sought, or behind.
fn shows(at: Duration, duration: Duration, sought: Duration) -> bool {
    at >= sought || at + duration > sought
}

/// What the frames of a track are, in the words that sessions and encoders use; `None` for what has no word.
fn caps(track: &Track, reordered: bool) -> Option<Caps> {
    let codec = track.codec?;
    let caps = match codec {
        Codec::Raw | Codec::Message => return None,
        // What is made of several coded streams has no place in RTP (RFC 7845, section 5.1.1: mapping families other than 0).
        Codec::Opus if track.channels > 2 || track.config.get(18).is_some_and(|family| *family != 0) => return None,
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
        // Its own payload format has a word for what colour it has.
        Codec::Mjpeg => Caps::video(codec, frames_format(reordered, true)),
        _ if codec.kind() == MediaKind::Video => Caps::video(codec, frames_format(reordered, track.plain)),
        _ => Caps::audio(codec, track.rate, track.channels),
    };
    Some(caps.frames())
}
