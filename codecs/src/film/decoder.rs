//! A track's units to pictures or sound, whatever the coding.

use super::ffmpeg::StreamDecoder;
use super::{FilmError, Track, Unit};
use crate::coder::ffmpeg::{Frame, PictureConverter, SoundConverter};
use crate::coder::resampler::{check_form, to_bytes};
use crate::coder::{Cause, Largest};
use rivero_engine::{MediaKind, MediaTime, Picture, Sound};
use std::time::Duration;

/// Frames that a single unit may turn into; more than any codec holds back.
const MOST_AT_ONCE: usize = 256;

/// What a unit turned into.
#[derive(Clone, Debug)]
pub enum Decoded {
    Picture(Picture),
    Sound(Sound),
}

/// Decodes one track of a [`Reader`](super::Reader), in the order of its units. Pictures leave in the order in which they are to
/// be shown: where a coding orders them otherwise (B-frames), some units later than they came, which [`coder`](crate::coder)'s
/// decoders are not made for.
pub struct TrackDecoder {
    decoder: StreamDecoder,
    kind: MediaKind,
    largest: Largest,
    pictures: PictureConverter,
    /// (format's Hz, channels, converter)
    sound: Option<((u32, u8), SoundConverter)>,
    /// Where the sound that left last ended, or the picture that did, if it is shown as long as the one before it.
    until: MediaTime,
    /// When the last picture is shown.
    shown: Option<MediaTime>,
}

impl TrackDecoder {
    /// Fails with [`FilmError::Unsupported`] where FFmpeg knows the coding by name only.
    pub fn new(track: &Track, largest: Largest) -> Result<Self, FilmError> {
        let decoder = StreamDecoder::new(&track.parameters, most_pixels(largest))?;
        let (pictures, until) = (PictureConverter::default(), MediaTime::ZERO);
        Ok(TrackDecoder { decoder, kind: track.kind, largest, pictures, sound: None, until, shown: None })
    }

    /// Decodes one unit and appends what it completes. After an error the decoder goes on with the next one.
    pub fn decode(&mut self, unit: &Unit, out: &mut Vec<Decoded>) -> Result<(), FilmError> {
        if unit.data.is_empty() {
            return Err(FilmError::Refused("an empty unit"));
        }
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        // Where it is not said when a picture is shown, its decoder finds out from the times of those around it.
        let pts = unit.timed.then(|| nanos(unit.at));
        let sent = self.decoder.send(&unit.data, pts, nanos(unit.decode_at), unit.key).map_err(invalid);
        sent.and(self.receive(MediaTime::ZERO + unit.at, out))
    }

    /// Appends what the decoder still holds, and forgets the stream: at its end, or before units from elsewhere in it.
    pub fn flush(&mut self, out: &mut Vec<Decoded>) -> Result<(), FilmError> {
        let ended = self.decoder.send_end().map_err(invalid);
        let received = ended.and_then(|()| self.receive(self.until, out));
        self.decoder.reset();
        received
    }

    fn receive(&mut self, at: MediaTime, out: &mut Vec<Decoded>) -> Result<(), FilmError> {
        let mut result = Ok(());
        let mut next = at;
        for _ in 0..MOST_AT_ONCE {
            match self.decoder.receive() {
                Ok(Some((frame, time))) => {
                    let at = time.and_then(|t| u64::try_from(t).ok()).map_or(next, MediaTime::from_nanos);
                    match self.finish(frame, at) {
                        Ok(Some(decoded)) => {
                            self.until = self.end(&decoded);
                            next = self.until;
                            out.push(decoded);
                        }
                        Ok(None) => {}
                        Err(error) => result = Err(error),
                    }
                }
                Ok(None) => break,
                Err(cause) => result = Err(invalid(cause)),
            }
        }
        result
    }

    fn end(&mut self, decoded: &Decoded) -> MediaTime {
        match decoded {
            Decoded::Sound(sound) => {
                let nanos = sound.frames() as u64 * 1_000_000_000 / u64::from(sound.rate);
                sound.at + Duration::from_nanos(nanos)
            }
            Decoded::Picture(picture) => {
                let step = self.shown.map_or(Duration::ZERO, |before| picture.at.since(before));
                self.shown = Some(picture.at);
                picture.at + step
            }
        }
    }

    fn finish(&mut self, frame: Frame, at: MediaTime) -> Result<Option<Decoded>, FilmError> {
        match self.kind {
            MediaKind::Video => self.picture(frame, at).map(|picture| Some(Decoded::Picture(picture))),
            _ if frame.samples() == 0 => Ok(None),
            _ => self.sound(&frame, at).map(|sound| Some(Decoded::Sound(sound))),
        }
    }

    fn picture(&mut self, frame: Frame, at: MediaTime) -> Result<Picture, FilmError> {
        let (width, height) = frame.size();
        if width > self.largest.width || height > self.largest.height {
            return Err(FilmError::TooLarge { width, height });
        }
        let failed = |source| FilmError::Failed { what: "converting a picture", source };
        let frame = match frame.is_i420() {
            true => frame,
            false => self.pictures.make_i420(&frame, width, height, false).map_err(failed)?,
        };
        frame.into_picture(at).ok_or(FilmError::Refused("a picture without its planes"))
    }

    fn sound(&mut self, frame: &Frame, at: MediaTime) -> Result<Sound, FilmError> {
        let (rate, channels) = (frame.rate(), frame.channels());
        check_form((rate, channels))?;
        let failed = |source| FilmError::Failed { what: "converting samples", source };
        if !matches!(&self.sound, Some((form, _)) if *form == (rate, channels)) {
            self.sound = Some(((rate, channels), SoundConverter::like(frame).map_err(failed)?));
        }
        let converter = &mut self.sound.as_mut().expect("just made").1;
        let samples = converter.convert_frame(frame).map_err(failed)?;
        Ok(Sound { rate, channels, samples: to_bytes(&samples), at })
    }
}

/// What FFmpeg may allocate for such pictures: whole blocks and margins.
pub(super) fn most_pixels(largest: Largest) -> i64 {
    let blocks = |pixels: u32| (i64::from(pixels.div_ceil(128)) + 1) * 128;
    blocks(largest.width) * blocks(largest.height)
}

fn invalid(source: Cause) -> FilmError {
    FilmError::Invalid { source }
}
