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
/// Bytes of them: as much as the largest pictures have in such a time.
const WAITING_BYTES: usize = 64 << 20;
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

impl Line {
    fn length(&self) -> usize {
        match self {
            Line::Frame { data, .. } => data.len(),
            Line::Now(_) => 0,
        }
    }
}

/// What the thread has to say, at last.
pub type Outcome = Result<Summary, Failure>;

/// Why a recording ends early.
pub struct Failure {
    /// Whether there was a place to write to.
    pub opened: bool,
    pub why: FilmError,
}

/// What waits for the disk.
#[derive(Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn come(&self, lines: usize, bytes: usize) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.lines.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// A line of so many bytes.
    fn go(&self, length: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

/// The node's end. Dropping it ends the recording as if it were finished.
pub struct Scribe {
    lines: Option<SyncSender<Vec<Line>>>,
    /// Lines that the thread was handed and has not written.
    waiting: Arc<Waiting>,
    /// What the thread is to be handed next, and since when it is gathered.
    gathered: Vec<Line>,
    /// Bytes of it.
    gathered_bytes: usize,
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
        let waiting = Arc::<Waiting>::default();
        let theirs = waiting.clone();
        std::thread::Builder::new().name("scribe".to_owned()).spawn(move || {
            // Whoever asked may have gone: the file is complete all the same.
            let _ = their_outcome.send(write(&open, format, tracks, options, &their_lines, &theirs));
            // What it has not written does not wait any more: there is room to be told that it has ended.
            theirs.clear();
        })?;
        Ok(Scribe { lines: Some(lines), waiting, gathered: Vec::new(), gathered_bytes: 0, since: None, outcome })
    }

    /// Never waits.
    pub fn put(&mut self, line: Line, now: MediaTime) -> Result<(), Refused> {
        let (lines, length) = (self.waiting() + self.gathered.len(), line.length());
        let bytes = self.waiting.bytes.load(Ordering::Relaxed) + self.gathered_bytes;
        if lines >= WAITING || length > WAITING_BYTES.saturating_sub(bytes) {
            return Err(Refused::Full);
        }
        self.gathered.push(line);
        self.gathered_bytes += length;
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
        self.waiting.come(self.gathered.len(), std::mem::take(&mut self.gathered_bytes));
        // There is room for as many as lines may wait: it only fails if nobody is there.
        lines.try_send(std::mem::take(&mut self.gathered)).map_err(|_| Refused::Ended)
    }

    /// Lines that were handed over and are not written yet.
    pub fn waiting(&self) -> usize {
        self.waiting.lines.load(Ordering::Relaxed)
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
            Err(TryRecvError::Disconnected) => {
                let why = FilmError::Refused("the recording's thread broke");
                Some(Err(Failure { opened: true, why }))
            }
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
    waiting: &Waiting,
) -> Outcome {
    let opening = |why| Failure { opened: false, why };
    let writing = |why| Failure { opened: true, why };
    let Shelf { target, complete } = open().map_err(opening)?;
    let mut writer = Writer::create(target, format, tracks, options).map_err(opening)?;
    while let Ok(gathered) = lines.recv() {
        for line in gathered {
            let length = line.length();
            match line {
                Line::Frame { track, data, at, key } => writer.write(track, data, at, key).map_err(writing)?,
                Line::Now(now) => writer.tick(now).map_err(writing)?,
            }
            waiting.go(length);
        }
    }
    let summary = writer.finish().map_err(writing)?;
    complete().map_err(writing)?;
    Ok(summary)
}
