//! Runs a whole graph in one thread with a manual clock: any number of workers, nothing left to chance.
//!
//! A [`Bench`] polls one future of the control side and all shards in turn until the future is done. Tests of the floors
//! above use it too, which is why it is not hidden behind `cfg(test)`.

use crate::graph::{Engine, EngineParts, NodeSpec, Pipeline, Placement, WorkerHandle};
use crate::node::{DEFAULT_PORTS, Feedback, Input, Node, Outbox};
use crate::notice::NoticeSink;
use crate::packet::{Message, Rtp};
use crate::shard::{Batch, Command, Shard};
use crate::time::{Clock, ManualClock};
use crate::toolbox::{EmptyToolbox, Toolbox};
use crate::{Body, Caps, Codec, MediaTime, Notice, Packet};
use bytes::Bytes;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;

struct Worker {
    shard: Shard,
    commands: mpsc::Receiver<Command>,
    arrivals: mpsc::Receiver<Batch>,
    /// Does nothing: a worker that is stuck.
    stalled: bool,
}

pub struct Bench {
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    workers: Vec<Worker>,
    planner: Pin<Box<dyn Future<Output = ()>>>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

/// What a [`Bench`] is made of.
pub struct BenchParts {
    /// Elements are spread over these in turn.
    pub workers: usize,
    /// Workers for converters, beside those.
    pub coders: usize,
    /// Batches that fit between two workers.
    pub room: usize,
    pub toolbox: Arc<dyn Toolbox>,
    pub converters_per_pipeline: usize,
}

impl Default for BenchParts {
    fn default() -> Self {
        let toolbox = Arc::new(EmptyToolbox);
        BenchParts { workers: 1, coders: 0, room: 64, toolbox, converters_per_pipeline: 64 }
    }
}

impl Bench {
    /// Elements are spread over `workers` in turn.
    pub fn new(workers: usize) -> Self {
        Self::with(BenchParts { workers, ..BenchParts::default() })
    }

    /// `room` batches fit between two workers.
    pub fn with_room(workers: usize, room: usize) -> Self {
        Self::with(BenchParts { workers, room, ..BenchParts::default() })
    }

    pub fn with(parts: BenchParts) -> Self {
        let BenchParts { workers, coders, room, toolbox, converters_per_pipeline } = parts;
        let clock = Arc::new(ManualClock::new());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let (roads, arrivals): (Vec<_>, Vec<_>) = (0..workers + coders).map(|_| mpsc::channel::<Batch>(room)).unzip();
        let mut handles = Vec::new();
        let mut benches = Vec::new();
        let sink = notices.clone();
        let post: NoticeSink = Arc::new(move |notice| sink.lock().unwrap_or_else(|p| p.into_inner()).push(notice));
        for (worker, arrivals) in arrivals.into_iter().enumerate() {
            let (commands, receiver) = mpsc::channel(64);
            let shard = Shard::new(worker as u16, clock.clone(), post.clone(), roads.clone(), Rc::new(()));
            handles.push(WorkerHandle { commands, busy: Arc::default() });
            benches.push(Worker { shard, commands: receiver, arrivals, stalled: false });
        }
        let engine = Engine::new(EngineParts {
            workers: handles,
            coders,
            clock: clock.clone(),
            placement: Placement::Spread,
            toolbox,
            converters_per_pipeline,
            notices: post,
        });
        let planner = Box::pin(engine.clone().plan_forever());
        Bench { clock, engine, workers: benches, planner, notices }
    }

    /// Runs the future to its end, and the shards until they are quiet.
    pub fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let poll = future.as_mut().poll(&mut context);
            self.settle();
            if let Poll::Ready(value) = poll {
                return value;
            }
        }
        panic!("the future never ends");
    }

    /// Turns all workers until none has anything left to do at this time.
    pub fn settle(&mut self) {
        loop {
            let mut busy = false;
            let now = self.clock.now();
            let _ = self.planner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            for worker in self.workers.iter_mut().filter(|worker| !worker.stalled) {
                while let Ok(command) = worker.commands.try_recv() {
                    worker.shard.apply(command);
                    busy = true;
                }
                while let Ok(batch) = worker.arrivals.try_recv() {
                    worker.shard.accept(batch);
                    busy = true;
                }
                busy |= worker.shard.next_deadline().is_some_and(|at| at <= now);
                worker.shard.run();
            }
            if !busy {
                break;
            }
        }
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub fn advance(&mut self, by: Duration) {
        let end = self.clock.now() + by;
        self.settle();
        while let Some(at) = self.workers.iter().filter(|w| !w.stalled).filter_map(|w| w.shard.next_deadline()).min() {
            if at > end {
                break;
            }
            self.clock.advance_to(at);
            self.settle();
        }
        self.clock.advance_to(end);
        self.settle();
    }

    /// Stops or resumes a worker.
    pub fn stall(&mut self, worker: usize, stalled: bool) {
        self.workers[worker].stalled = stalled;
    }

    /// Tells a worker how busy it is, in thousandths of a core.
    pub fn load(&mut self, worker: usize, busy: u32) {
        self.workers[worker].shard.note_load(busy);
        self.settle();
    }

    pub fn nodes(&self) -> usize {
        self.workers.iter().map(|worker| worker.shard.nodes()).sum()
    }

    /// How many outputs have consumers on another worker, each counted once for each such worker.
    pub fn landings(&self) -> usize {
        self.workers.iter().map(|worker| worker.shard.landings()).sum()
    }

    /// Takes what was said since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(|p| p.into_inner()))
    }

    pub fn pipeline(&self) -> Pipeline {
        self.engine.pipeline("test")
    }
}

/// What a [`probe`] saw, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Sight>>>);

#[derive(Clone, Debug)]
pub enum Sight {
    Media(Packet),
    Feedback(Feedback),
}

impl Seen {
    pub fn take(&self) -> Vec<Sight> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(|p| p.into_inner()))
    }

    /// Takes the packets and leaves out the rest.
    pub fn packets(&self) -> Vec<Packet> {
        let packet = |sight| match sight {
            Sight::Media(packet) => Some(packet),
            Sight::Feedback(_) => None,
        };
        self.take().into_iter().filter_map(packet).collect()
    }

    /// How many key frames were asked for.
    pub fn key_requests(&self) -> usize {
        self.take().iter().filter(|sight| matches!(sight, Sight::Feedback(Feedback::KeyFrame))).count()
    }

    fn note(&self, sight: Sight) {
        self.0.lock().unwrap_or_else(|p| p.into_inner()).push(sight);
    }
}

/// Tells a probe to emit a packet from the output of its kind, or to panic.
pub enum Tell {
    Emit(Packet),
    /// To say this of its video input.
    Say(Feedback),
    Panic,
}

struct Probe(Seen);

impl Node for Probe {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, .. } => self.0.note(Sight::Media(packet)),
            Input::Feedback { feedback, .. } => {
                self.0.note(Sight::Feedback(feedback));
                out.tell(feedback);
            }
            Input::Command(command) => match command.downcast::<Tell>().map(|tell| *tell) {
                Ok(Tell::Emit(packet)) => {
                    let port = DEFAULT_PORTS.iter().position(|port| port.kind == packet.kind());
                    out.media(port.expect("there is a port of each kind"), packet);
                }
                Ok(Tell::Say(feedback)) => out.feedback(1, feedback),
                Ok(Tell::Panic) => panic!("told to"),
                Err(_) => panic!("a probe is told to emit or to panic"),
            },
            Input::Deadline => {}
        }
    }
}

/// A source and sink of all kinds for tests. What it hears from the west it also tells as a notice, for tests that wait.
pub fn probe(label: &str) -> (NodeSpec, Seen) {
    let seen = Seen::default();
    let inside = seen.clone();
    let spec = NodeSpec {
        class: "Probe",
        label: label.to_owned(),
        inputs: DEFAULT_PORTS.to_vec(),
        outputs: DEFAULT_PORTS.to_vec(),
        build: Box::new(move |_| Box::new(Probe(inside))),
        worker: None,
    };
    (spec, seen)
}

fn rtp(caps: Caps, ms: u64) -> Packet {
    let rtp = Rtp { ssrc: 1, sequence: ms, timestamp: ms as u32, marker: false, payload: Bytes::from_static(b"media") };
    Packet::new(caps, Body::Rtp(Arc::new(rtp)), MediaTime::from_millis(ms))
}

/// A VP8 packet that enters at `ms`.
pub fn video(ms: u64, key: bool) -> Packet {
    rtp(Caps::video(Codec::Vp8, None), ms).key(key)
}

/// An Opus packet that enters at `ms`.
pub fn audio(ms: u64) -> Packet {
    rtp(Caps::audio(Codec::Opus, 48_000, 2), ms)
}

pub fn message(bytes: &'static [u8]) -> Packet {
    let message = Message { channel: "".into(), binary: true, bytes: Bytes::from_static(bytes) };
    Packet::new(Caps::message(), Body::Data(Arc::new(message)), MediaTime::ZERO)
}
