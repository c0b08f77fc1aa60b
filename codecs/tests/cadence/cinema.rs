//! Plays a file on a manual clock, and keeps what leaves.

use crate::studio::GUARD;
use rivero_codecs::film::{FilmError, OpenOptions};
use rivero_codecs::player::{
    FilmReel, Frame, OpenReel, PlayerCommand, PlayerEvent, PlayerReport, Reel, ReelInfo, player,
};
use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::Bench;
use rivero_engine::time::SystemClock;
use rivero_engine::{Clock, Element, Input, MediaKind, MediaTime, Node, Outbox, Packet, What};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Frames that lie before the player whenever time goes on.
const READY: usize = 40;

#[derive(Clone, Default)]
struct Progress {
    read: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// A film whose reading is watched.
struct Watched(FilmReel, Progress);

impl Reel for Watched {
    fn info(&self) -> &ReelInfo {
        self.0.info()
    }

    fn next(&mut self) -> Result<Option<Frame>, FilmError> {
        let frame = self.0.next()?;
        match frame {
            // Counted when it is asked for the next one: then this one is there.
            Some(_) => self.1.read.fetch_add(1, Ordering::SeqCst),
            None => usize::from(self.1.ended.swap(true, Ordering::SeqCst)),
        };
        Ok(frame)
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        self.0.seek(to)
    }
}

struct Sink(Arc<Mutex<Vec<Packet>>>);

impl Node for Sink {
    fn handle(&mut self, input: Input, _out: &mut Outbox) {
        if let Input::Media { packet, .. } = input {
            self.0.lock().unwrap().push(packet);
        }
    }
}

/// Plays it to its end, with a pause at this place.
pub fn play(path: &Path, pause_at: Duration) -> Vec<Packet> {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let progress = Progress::default();
    let (uri, watched) = (path.to_str().unwrap().to_owned(), progress.clone());
    let open: OpenReel = Arc::new(move |interrupt| {
        let reel = FilmReel::open(&uri, &OpenOptions::default(), interrupt.clone())?;
        Ok(Box::new(Watched(reel, watched.clone())))
    });
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let element = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
    let got = Arc::default();
    let inside = Arc::clone(&got);
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
    bench.advance(Duration::from_secs(1));
    tell(&mut bench, &element, PlayerCommand::Play);
    let (began, mut paused) = (SystemClock::new(), false);
    loop {
        let given: usize = got.lock().unwrap().len();
        while progress.read.load(Ordering::SeqCst) < given + READY && !progress.ended.load(Ordering::SeqCst) {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "the film is stuck");
            std::thread::yield_now();
        }
        bench.advance(Duration::from_millis(20));
        for notice in bench.notices() {
            let What::Other(other) = notice.what else { continue };
            match *other.downcast::<PlayerEvent>().unwrap() {
                PlayerEvent::End => return std::mem::take(&mut *got.lock().unwrap()),
                PlayerEvent::BrokeOff { why } | PlayerEvent::Failed { why, .. } => panic!("{why}"),
                PlayerEvent::State(_) => {}
            }
        }
        if !paused && report(&mut bench, &element).position >= pause_at {
            paused = true;
            tell(&mut bench, &element, PlayerCommand::Pause);
            bench.advance(Duration::from_millis(730));
            tell(&mut bench, &element, PlayerCommand::Play);
        }
        assert!(began.now().since(MediaTime::ZERO) < GUARD, "the film never ends");
    }
}

fn tell(bench: &mut Bench, element: &Element, command: PlayerCommand) {
    bench.run(element.tell(command)).unwrap();
    bench.settle();
}

fn report(bench: &mut Bench, element: &Element) -> PlayerReport {
    let (reply, mut answer) = oneshot::channel();
    tell(bench, element, PlayerCommand::Report { reply });
    answer.try_recv().unwrap()
}
