//! How films fared since the start: for whoever watches the server. Enters: what players and recorders told. Leaves: counts. It must
//! never know whose films they were.

use crate::objects::lock;
use rivero_codecs::player::PlayerEvent;
use rivero_codecs::recorder::RecorderEvent;
use std::sync::Mutex;

/// All of them only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilmCounts {
    /// To their end.
    pub played: u64,
    /// That could not be opened, or not be read any further.
    pub not_played: u64,
    /// Times that a camera or a server broke off, and was opened again.
    pub broke_off: u64,
    /// Complete, where they should be.
    pub recorded: u64,
    /// Bytes of those.
    pub recorded_bytes: u64,
    /// That ended early: a full disk, a server that refuses.
    pub not_recorded: u64,
    /// That lack frames, as their place was too slow for them.
    pub too_slow: u64,
}

#[derive(Default)]
pub struct FilmTally(Mutex<FilmCounts>);

impl FilmTally {
    pub fn read(&self) -> FilmCounts {
        *lock(&self.0)
    }

    pub(super) fn player_told(&self, event: &PlayerEvent) {
        let mut counts = lock(&self.0);
        match event {
            PlayerEvent::State(_) => {}
            PlayerEvent::End => counts.played += 1,
            PlayerEvent::Failed { .. } => counts.not_played += 1,
            PlayerEvent::BrokeOff { .. } => counts.broke_off += 1,
        }
    }

    pub(super) fn recorder_told(&self, event: &RecorderEvent) {
        let mut counts = lock(&self.0);
        match event {
            RecorderEvent::State(_) => {}
            RecorderEvent::Written(summary) => {
                counts.recorded += 1;
                counts.recorded_bytes += summary.bytes;
            }
            RecorderEvent::Failed { .. } => counts.not_recorded += 1,
            RecorderEvent::Late => counts.too_slow += 1,
        }
    }
}
