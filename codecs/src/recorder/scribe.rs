//! The thread that writes a recording. Enters: frames and the time. Leaves: a file, and what became of it.
//!
//! It is handed what a moment brought, not each frame: waking a thread costs more than writing the frame does.

use crate::film::{FilmError, Format, Summary, Target, Writer, WriterOptions, WriterTrack};
use bytes::Bytes;
use rivero_engine::MediaTime;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

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
/// What comes within this time goes to the thread together. The writer's own delays and this make less than a second, which is what a
/// crash may cost.
const MOMENT: Duration = Duration::from_millis(100);

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
    lines: Option<SyncSender<Vec<Line>>>,
    /// Lines that the thread was handed and has not written.
    waiting: Arc<AtomicUsize>,
    /// What the thread is to be handed next, and since when it is gathered.
    gathered: Vec<Line>,
    since: Option<MediaTime>,
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
            // What it has not written does not wait any more: there is room to be told that it has ended.
            theirs.store(0, Ordering::Relaxed);
        })?;
        Ok(Scribe { lines: Some(lines), waiting, gathered: Vec::new(), since: None, outcome })
    }

    /// Never waits.
    pub fn put(&mut self, line: Line, now: MediaTime) -> Result<(), Refused> {
        if self.waiting() + self.gathered.len() >= WAITING {
            return Err(Refused::Full);
        }
        self.gathered.push(line);
        match now.since(*self.since.get_or_insert(now)) >= MOMENT {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    /// Hands over what was gathered. Never waits.
    pub fn hand_over(&mut self) -> Result<(), Refused> {
        let lines = self.lines.as_ref().ok_or(Refused::Ended)?;
        self.since = None;
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.waiting.fetch_add(self.gathered.len(), Ordering::Relaxed);
        // There is room for as many as lines may wait: it only fails if nobody is there.
        lines.try_send(std::mem::take(&mut self.gathered)).map_err(|_| Refused::Ended)
    }

    /// Lines that were handed over and are not written yet.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nothing more will come: the file is to be completed.
    pub fn finish(&mut self) {
        // One that has ended already says why in its outcome.
        let _ = self.hand_over();
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

impl Drop for Scribe {
    fn drop(&mut self) {
        self.finish();
    }
}

fn write(
    open: &OpenTarget,
    format: Format,
    tracks: Vec<WriterTrack>,
    options: WriterOptions,
    lines: &Receiver<Vec<Line>>,
    waiting: &AtomicUsize,
) -> Outcome {
    let Shelf { target, complete } = open()?;
    let mut writer = Writer::create(target, format, tracks, options)?;
    while let Ok(gathered) = lines.recv() {
        for line in gathered {
            match line {
                Line::Frame { track, data, at, key } => writer.write(track, data, at, key)?,
                Line::Now(now) => writer.tick(now)?,
            }
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let summary = writer.finish()?;
    complete()?;
    Ok(summary)
}
