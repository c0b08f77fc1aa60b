//! Plays a film by the element on a manual clock, whatever becomes of it.

use rivero_codecs::coder::Largest;
use rivero_codecs::film::{FilmError, OpenOptions, Reader, SpoolRoom};
use rivero_codecs::player::{FilmReel, OpenReel, PlayerCommand, PlayerEvent, player};
use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::Bench;
use rivero_engine::time::SystemClock;
use rivero_engine::{Clock, Input, MediaKind, MediaTime, Node, Outbox, What};
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// None takes longer to open and to read.
const GUARD: Duration = Duration::from_secs(20);
/// Nothing here is to be waited for: the clock goes on as fast as it can.
const PATIENCE: Duration = Duration::from_secs(1_000_000_000);
/// The largest picture that is decoded.
const LARGEST: Largest = Largest { width: 2048, height: 2048 };

struct Sink(Arc<AtomicUsize>);

impl Node for Sink {
    fn handle(&mut self, input: Input, _: &mut Outbox) {
        if let Input::Media { .. } = input {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How it ended, and how many frames had left.
#[derive(Debug)]
pub struct Show {
    pub end: Result<(), FilmError>,
    pub opened: bool,
    pub frames: usize,
}

impl Show {
    /// It ended as the interface says that films end.
    #[track_caller]
    pub fn is_documented(&self, name: &str) {
        use FilmError::*;
        let media = match &self.end {
            Ok(()) => self.opened,
            Err(why) => matches!(why, Invalid { .. } | Unsupported(_) | TooLarge { .. }),
        };
        assert!(media, "{name}: {self:?}");
    }

    #[track_caller]
    pub fn is_refused(&self, name: &str) {
        self.is_documented(name);
        assert!(self.end.is_err() && self.frames == 0, "{name}: {self:?}");
    }
}

pub fn options() -> OpenOptions {
    OpenOptions { open_patience: PATIENCE, read_patience: PATIENCE, largest: LARGEST, ..OpenOptions::default() }
}

pub fn play(uri: &str) -> Show {
    let uri = uri.to_owned();
    show(Arc::new(move |interrupt| Ok(Box::new(FilmReel::open(&uri, &options(), interrupt.clone())?))))
}

/// As `HttpPostEndpoint` plays what is posted.
pub fn play_posted(body: &[u8]) -> Show {
    let body: Arc<[u8]> = body.into();
    show(Arc::new(move |interrupt| {
        let (source, room) = (Box::new(Cursor::new(body.clone())), SpoolRoom::new(64 << 20, 64 << 20));
        let reader = Reader::from_stream(source, &room, &options(), interrupt.clone())?;
        Ok(Box::new(FilmReel::of(reader, LARGEST)?))
    }))
}

fn show(open: OpenReel) -> Show {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let element = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
    let frames = Arc::new(AtomicUsize::new(0));
    let inside = frames.clone();
    let ports = [MediaKind::Audio, MediaKind::Video].map(|kind| PortSpec::new(kind, DEFAULT));
    let spec = NodeSpec {
        class: "Test",
        label: "sink".to_owned(),
        inputs: ports.to_vec(),
        outputs: Vec::new(),
        build: Box::new(move |_| Box::new(Sink(inside))),
        worker: None,
    };
    let sink = bench.run(pipeline.add(spec)).unwrap();
    bench.run(element.connect(&sink, &Selection::all())).unwrap();
    bench.run(element.tell(PlayerCommand::Play)).unwrap();
    let began = SystemClock::new();
    loop {
        bench.advance(Duration::from_millis(200));
        for notice in bench.notices() {
            let What::Other(other) = notice.what else { continue };
            let (end, opened) = match *other.downcast::<PlayerEvent>().unwrap() {
                PlayerEvent::State(_) => continue,
                PlayerEvent::End => (Ok(()), true),
                PlayerEvent::Failed { why, opened } => (Err(why), opened),
                PlayerEvent::BrokeOff { why } => panic!("a film is no camera: {why}"),
            };
            return Show { end, opened, frames: frames.load(Ordering::Relaxed) };
        }
        assert!(began.now().since(MediaTime::ZERO) < GUARD, "it never ends");
        std::thread::yield_now();
    }
}

/// The most that this process has ever held, in bytes.
pub fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Threads that read films, and open files.
fn held() -> (usize, usize) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let is_projector = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "projector")
    };
    let projectors = threads.flatten().filter(|thread| is_projector(thread.path())).count();
    (projectors, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Runs it, after which there are as many threads and files as before, and at no time was there a gigabyte.
pub fn within_bounds<T>(work: impl FnOnce() -> T) -> T {
    let before = held();
    let result = work();
    let began = SystemClock::new();
    // The last thread may just be leaving.
    while held() != before {
        assert!(began.now().since(MediaTime::ZERO) < GUARD, "{before:?} before, {:?} now", held());
        std::thread::yield_now();
    }
    assert!(most_memory() < 1 << 30, "{}", most_memory());
    result
}
