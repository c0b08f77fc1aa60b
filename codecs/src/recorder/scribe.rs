//! The thread that writes a recording.

use crate::film::{FilmError, Format, Summary, Target, Writer, WriterOptions, WriterTrack};
use bytes::Bytes;
use rivero_engine::MediaTime;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

/// Makes the place that is written to; called on the scribe's thread.
pub type OpenTarget = Arc<dyn Fn() -> Result<Shelf, FilmError> + Send + Sync>;

/// The place of a recording.
pub struct Shelf {
    pub target: Target,
    /// What is left to do once the recording is complete and the target closed. May wait.
    pub complete: Box<dyn FnOnce() -> Result<(), FilmError> + Send>,
}

impl From<Target> for Shelf {
    fn from(target: Target) -> Self {
        Shelf { target, complete: Box::new(|| Ok(())) }
    }
}

/// Frames that wait for the disk: two seconds of sound and pictures, and some.
const WAITING: usize = 256;

pub enum Line {
    Frame {
        track: usize,
        data: Bytes,
        at: MediaTime,
        key: bool,
    },
    /// So late is it, though nothing came.
    Now(MediaTime),
}

/// What the thread has to say, at last.
pub type Outcome = Result<Summary, FilmError>;

/// The node's end. Dropping it ends the recording as if it were finished.
pub struct Scribe {
    lines: Option<SyncSender<Line>>,
    waiting: Arc<AtomicUsize>,
    outcome: Receiver<Outcome>,
}

/// The line was not taken.
pub enum Refused {
    /// The disk is behind.
    Full,
    /// The recording has failed; [`Scribe::outcome`] says why.
    Ended,
}

impl Scribe {
    /// Errors: no thread can be started.
    pub fn start(
        open: OpenTarget,
        format: Format,
        tracks: Vec<WriterTrack>,
        options: WriterOptions,
    ) -> io::Result<Self> {
        let (lines, their_lines) = sync_channel(WAITING);
        let (their_outcome, outcome) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let theirs = waiting.clone();
        std::thread::Builder::new().name("scribe".to_owned()).spawn(move || {
            // Whoever asked may have gone: the file is complete all the same.
            let _ = their_outcome.send(write(&open, format, tracks, options, &their_lines, &theirs));
        })?;
        Ok(Scribe { lines: Some(lines), waiting, outcome })
    }

    /// Never waits.
    pub fn put(&self, line: Line) -> Result<(), Refused> {
        let lines = self.lines.as_ref().ok_or(Refused::Ended)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        lines.try_send(line).map_err(|why| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match why {
                TrySendError::Full(_) => Refused::Full,
                TrySendError::Disconnected(_) => Refused::Ended,
            }
        })
    }

    /// Lines that are not written yet.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nothing more will come: the file is to be completed.
    pub fn finish(&mut self) {
        self.lines = None;
    }

    /// `None` while it is being written.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(FilmError::Refused("the recording's thread broke"))),
        }
    }
}

fn write(
    open: &OpenTarget,
    format: Format,
    tracks: Vec<WriterTrack>,
    options: WriterOptions,
    lines: &Receiver<Line>,
    waiting: &AtomicUsize,
) -> Outcome {
    let Shelf { target, complete } = open()?;
    let mut writer = Writer::create(target, format, tracks, options)?;
    while let Ok(line) = lines.recv() {
        match line {
            Line::Frame { track, data, at, key } => writer.write(track, data, at, key)?,
            Line::Now(now) => writer.tick(now)?,
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
    let summary = writer.finish()?;
    complete()?;
    Ok(summary)
}
