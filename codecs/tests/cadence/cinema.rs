//! Plays a file on a manual clock, and keeps what leaves.

use crate::studio::GUARD;
use rivero_codecs::convert::Converters;
use rivero_codecs::film::{FilmError, OpenOptions};
use rivero_codecs::player::{
    FilmReel, Frame, OpenReel, PlayerCommand, PlayerEvent, PlayerReport, Reel, ReelInfo, player,
};
use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::{Bench, BenchParts};
use rivero_engine::{Caps, Clock, Element, Input, MediaKind, Node, Outbox, Packet, Takes, What};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// So much of the film lies before the player whenever time goes on. What is read ahead at least is longer, even where a file holds half a
/// second of sound behind half a second of pictures.
const READY: Duration = Duration::from_millis(150);

/// Fewer frames than a player takes in five milliseconds where it is in haste.
const TAKEN: usize = 50;

/// How far the reading has come.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    /// Up to this place of the film.
    place: Duration,
    ended: bool,
    /// Frames since it was sought last.
    frames: usize,
    seeks: usize,
}

#[derive(Clone, Default)]
struct Progress(Arc<(Mutex<Read>, Condvar)>);

impl Progress {
    fn change(&self, change: impl FnOnce(&mut Read)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Waits until it is so.
    fn until(&self, mut is: impl FnMut(&Read) -> bool) -> Read {
        let read = self.0.0.lock().unwrap();
        let (read, guard) = self.0.1.wait_timeout_while(read, GUARD, |read| !is(read)).unwrap();
        assert!(!guard.timed_out(), "the film is stuck: {read:?}");
        *read
    }
}

/// A film whose reading is watched.
struct Watched {
    film: FilmReel,
    progress: Progress,
    last: Duration,
}

impl Reel for Watched {
    fn info(&self) -> &ReelInfo {
        self.film.info()
    }

    fn next(&mut self) -> Result<Option<Frame>, FilmError> {
        let frame = self.film.next()?;
        self.progress.change(|read| {
            // When it is asked for the next one, then the last one is there. A file may hold some sound behind pictures that are later.
            (read.place, read.ended) = (read.place.max(self.last), frame.is_none());
            read.frames += 1;
        });
        self.last = frame.as_ref().map_or(self.last, |frame| frame.decoded);
        Ok(frame)
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        self.film.seek(to)?;
        self.last = Duration::ZERO;
        self.progress.change(|read| *read = Read { seeks: read.seeks + 1, ..Read::default() });
        Ok(())
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

/// What a visitor does when the film has come to a place.
#[derive(Clone, Copy)]
pub enum Order {
    /// For so long.
    Pause(Duration),
    Seek(Duration),
}

pub struct Cinema {
    bench: Bench,
    player: Element,
    got: Arc<Mutex<Vec<Packet>>>,
    progress: Progress,
    /// After a seek: from so many frames on the player has to take some.
    taken: Option<usize>,
}

impl Cinema {
    /// What the sink takes, of sound and pictures: as it comes, or as these say.
    pub fn open(path: &Path, takes: Option<[Caps; 2]>) -> Self {
        let parts = BenchParts { coders: 2, toolbox: Arc::new(Converters), ..BenchParts::default() };
        let mut bench = Bench::with(parts);
        let pipeline = bench.pipeline();
        let progress = Progress::default();
        let (uri, watched) = (path.to_str().unwrap().to_owned(), progress.clone());
        let open: OpenReel = Arc::new(move |interrupt| {
            let film = FilmReel::open(&uri, &OpenOptions::default(), interrupt.clone())?;
            Ok(Box::new(Watched { film, progress: watched.clone(), last: Duration::ZERO }))
        });
        let clock: Arc<dyn Clock> = bench.clock.clone();
        let player = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
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
        for (port, caps) in takes.into_iter().flatten().enumerate() {
            sink.take(port, Takes::just(caps));
        }
        bench.run(player.connect(&sink, &Selection::all())).unwrap();
        bench.advance(Duration::from_secs(1));
        Cinema { bench, player, got, progress, taken: None }
    }

    /// Plays it to its end, so much at a time. Each order is given when the film has come to its place, after the one before. What is shown goes to `see`.
    pub fn play(&mut self, step: Duration, orders: &[(Duration, Order)], mut see: impl FnMut(Packet)) {
        let mut orders = orders.iter().peekable();
        self.tell(PlayerCommand::Play);
        loop {
            self.wait_for_disk();
            self.bench.advance(step);
            std::mem::take(&mut *self.got.lock().unwrap()).into_iter().for_each(&mut see);
            for notice in self.bench.notices() {
                let What::Other(other) = notice.what else { continue };
                match *other.downcast::<PlayerEvent>().unwrap() {
                    PlayerEvent::End => {
                        assert!(orders.next().is_none(), "all was done that was to be done");
                        return;
                    }
                    PlayerEvent::BrokeOff { why } | PlayerEvent::Failed { why, .. } => panic!("{why}"),
                    PlayerEvent::State(_) => {}
                }
            }
            let position = self.report().position;
            if let Some((_, order)) = orders.next_if(|(at, _)| position >= *at) {
                self.obey(*order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Pause(long) => {
                self.tell(PlayerCommand::Pause);
                self.bench.advance(long);
                self.tell(PlayerCommand::Play);
            }
            Order::Seek(to) => {
                self.taken = Some(TAKEN);
                let before = self.progress.until(|_| true).seeks;
                let (reply, mut answer) = oneshot::channel();
                self.tell(PlayerCommand::Seek { to, reply });
                assert!(answer.try_recv().unwrap(), "a file can be sought");
                self.progress.until(|read| read.seeks > before);
            }
        }
    }

    /// A slow disk is no part of this: time only goes on for the player to take what comes before the place that was sought, of which
    /// more may be read than is read ahead.
    fn wait_for_disk(&mut self) {
        let needed = self.report().position + READY;
        let is_there = |read: &Read| read.place >= needed || read.ended;
        while let Some(taken) = self.taken {
            if is_there(&self.progress.until(|read| is_there(read) || read.frames >= taken)) {
                self.taken = None;
                return;
            }
            self.taken = Some(taken + TAKEN);
            self.bench.advance(Duration::from_millis(5));
        }
        self.progress.until(is_there);
    }

    pub fn report(&mut self) -> PlayerReport {
        let (reply, mut answer) = oneshot::channel();
        self.tell(PlayerCommand::Report { reply });
        answer.try_recv().unwrap()
    }

    fn tell(&mut self, command: PlayerCommand) {
        self.bench.run(self.player.tell(command)).unwrap();
        self.bench.settle();
    }
}
