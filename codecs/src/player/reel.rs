//! What a player plays: frames with their times, from whatever holds them.

use crate::film::FilmError;
use bytes::Bytes;
use rivero_engine::{Caps, MediaKind, Picture, Sound};
use std::time::Duration;

/// What is known of a reel once it is open.
#[derive(Clone, Debug, Default)]
pub struct ReelInfo {
    /// As frames, or raw where no other room has a word for the coding. Pictures may come raw for a while instead, after a seek.
    pub audio: Option<Caps>,
    pub video: Option<Caps>,
    pub duration: Option<Duration>,
    pub seekable: bool,
    /// It comes when it comes: it is not read ahead, and cannot be held up.
    pub live: bool,
    /// It has no end of its own: if it breaks off, it may come back.
    pub endless: bool,
}

#[derive(Clone, Debug)]
pub enum Content {
    Coded(Bytes),
    Picture(Picture),
    Sound(Sound),
    /// It was only there to decode what follows. Nobody gets it.
    Nothing,
}

impl Content {
    /// Bytes of memory.
    pub fn len(&self) -> usize {
        match self {
            Content::Coded(data) => data.len(),
            Content::Picture(picture) => picture.len(),
            Content::Sound(sound) => sound.samples.len(),
            Content::Nothing => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One frame of a reel, in the order of decoding.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: MediaKind,
    pub content: Content,
    /// When it is shown or heard, since the reel's beginning.
    pub at: Duration,
    /// When it is decoded; not after `at`.
    pub decoded: Duration,
    pub duration: Duration,
    pub key: bool,
}

/// A film being read, on a thread of its own: calls may wait.
pub trait Reel: Send {
    fn info(&self) -> &ReelInfo;

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Nothing more can be read.
    fn next(&mut self) -> Result<Option<Frame>, FilmError>;

    /// Goes on with the picture that is shown at `to`.
    ///
    /// # Errors
    /// It cannot, and stands where it stood.
    fn seek(&mut self, to: Duration) -> Result<(), FilmError>;
}
