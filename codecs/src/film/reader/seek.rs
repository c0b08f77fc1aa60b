//! Going to another place of the media.
//!
//! Enters: a time. Leaves: the reader at a place from which that time can be shown. This room must never know how units are made.

use super::lane::Lane;
use super::{Reader, Unit};
use crate::film::FilmError;
use rivero_engine::MediaKind;
use std::time::Duration;

/// Frames by which a picture may be shown later than it is decoded, where the source only says the latter.
const MOST_REORDERED: u32 = 8;

impl Reader {
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
            if let Some((landed, _)) = landed.filter(|(_, latest)| latest.as_nanos() <= to as u128) {
                return Ok(landed);
            }
            if goal == 0 {
                return self.land_at_start(landed.map(|(at, _)| at), to);
            }
            // It led to a place after which there was no key frame in time.
            back = (back * 4).max(1_000_000_000);
        }
    }

    /// The last resort: the first key frame of all, by what finds it earliest. Where the pictures begin later than that there may be
    /// sound.
    fn land_at_start(&mut self, landed: Option<Duration>, to: i64) -> Result<Duration, FilmError> {
        let late = |landed: Option<Duration>| {
            landed.is_none_or(|at| at > Duration::from_millis(100) && at.as_nanos() > to as u128)
        };
        let mut landed = landed;
        if late(landed) && self.input.rewind().is_ok() {
            landed = self.land()?.map(|(at, _)| at);
        }
        if late(landed)
            && let Some(sound) = self.lanes.iter().position(|lane| self.is_kept(lane, MediaKind::Audio))
            && self.lanes.iter().any(|lane| self.is_kept(lane, MediaKind::Video))
            && self.input.seek_in(sound, self.start.saturating_add(to)).is_ok()
        {
            landed = self.land_at(MediaKind::Audio)?.map(|(at, _)| at);
        }
        if landed.is_none() {
            // No key frame far and wide: then the decoder must see what it can make of it.
            self.lanes.iter_mut().for_each(|lane| lane.awaits_key = false);
        }
        Ok(landed.or(self.ahead.front().map(|unit| unit.at)).unwrap_or_default())
    }

    fn is_kept(&self, lane: &Lane, kind: MediaKind) -> bool {
        !lane.ignored && lane.track.is_some_and(|track| self.tracks[track].kind == kind)
    }

    /// Reads up to the first unit that is of use after a seek: its time, and the latest that this may really be; None if there is none.
    fn land(&mut self) -> Result<Option<(Duration, Duration)>, FilmError> {
        let video = self.lanes.iter().any(|lane| self.is_kept(lane, MediaKind::Video));
        self.land_at(if video { MediaKind::Video } else { MediaKind::Audio })
    }

    /// The same, up to the first unit of this kind.
    fn land_at(&mut self, kind: MediaKind) -> Result<Option<(Duration, Duration)>, FilmError> {
        self.ahead.clear();
        self.bytes_ahead = 0;
        for lane in &mut self.lanes {
            if let Some(track) = lane.track.filter(|_| !lane.ignored) {
                lane.begin_anew(self.tracks[track].kind);
            }
        }
        let useful = |reader: &Reader| {
            reader.ahead.iter().find(|unit| reader.tracks[unit.track].kind == kind).map(|unit| (unit.at, latest(unit)))
        };
        while self.has_room_ahead() {
            if let Some(landed) = useful(self) {
                return Ok(Some(landed));
            }
            if !self.fetch()? {
                break;
            }
        }
        Ok(useful(self))
    }
}

fn latest(unit: &Unit) -> Duration {
    if unit.timed { unit.at } else { unit.at + unit.duration * MOST_REORDERED }
}
