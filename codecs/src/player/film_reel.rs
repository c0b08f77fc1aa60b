//! A reel that is a file or a stream of the network. Tracks for which the house has a word leave as they are coded; others are
//! decoded here.
//!
//! Where a place between two key frames is sought, pictures are decoded here from there to the next key frame, and leave as such: nobody
//! sees those before the place, and whoever takes the film as it is coded goes on with it at the key frame.

use super::lane::Lane;
use super::reel::{Frame, Reel, ReelInfo};
use crate::coder::Largest;
use crate::film::{FilmError, Interrupt, OpenOptions, Reader, Unit};
use rivero_engine::MediaKind;
use std::collections::VecDeque;
use std::time::Duration;

/// Units that are looked at before anything leaves: whether pictures are decoded in another order than they are shown in.
const LOOK_AHEAD: usize = 48;

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
        let (mut lanes, mut trouble) = (Vec::new(), None);
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
            match Lane::new(track, described, reordered, unknown, largest) {
                Ok(lane) => lanes.push(lane),
                // The other one may be all right.
                Err(why) => {
                    tracing::warn!(coding = described.coding, "a track of a film cannot be played: {why}");
                    trouble = Some(why);
                }
            }
        }
        for lane in &lanes {
            match lane.kind {
                MediaKind::Video => info.video = lane.caps.clone(),
                _ => info.audio = lane.caps.clone(),
            }
        }
        match trouble {
            Some(why) if lanes.is_empty() => Err(why),
            _ => Ok(FilmReel {
                reader,
                info,
                lanes,
                largest,
                ahead,
                ready: VecDeque::new(),
                drained: false,
                trouble: None,
            }),
        }
    }

    fn take(&mut self, unit: Unit) -> Result<(), FilmError> {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.track == unit.track) else { return Ok(()) };
        if let Err(why) = lane.take(unit, &mut self.ready) {
            tracing::debug!("a frame of a film is not decoded: {why}");
            if !lane.serves && matches!(why, FilmError::TooLarge { .. }) {
                return Err(why);
            }
            self.trouble.get_or_insert(why);
        }
        Ok(())
    }

    /// What decoders still hold when the film is over.
    fn drain(&mut self) {
        for lane in &mut self.lanes {
            if let Err(why) = lane.flush(&mut self.ready) {
                tracing::debug!("the end of a film is not decoded: {why}");
                self.trouble.get_or_insert(why);
            }
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
            lane.seek(to, &self.reader.tracks()[lane.track], self.largest)?;
        }
        Ok(())
    }
}

fn is_reordered<'a>(units: impl Iterator<Item = &'a Unit>) -> bool {
    let mut latest = Duration::ZERO;
    units.into_iter().any(|unit| {
        let back = unit.at < latest;
        latest = latest.max(unit.at);
        back
    })
}
