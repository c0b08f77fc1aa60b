//! A player with a reel of our own, on a manual clock. The projector is a real thread: time only goes on once the reel has been asked
//! for the frame behind those that a test needs, so that these lie before the player.

mod live;
mod playing;
mod seeking;
mod trouble;

use super::*;
use bytes::Bytes;
use rivero_engine::graph::Selection;
use rivero_engine::testing::Bench;
use rivero_engine::time::SystemClock;
use rivero_engine::{Body, Caps, Codec, Element, Input, MediaTime, Node, Outbox, Packet, What};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A thread that is stuck shall not hold up the tests for longer.
const GUARD: Duration = Duration::from_secs(20);

/// Frames and questions of one test.
const MOST: usize = 10_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn frame(kind: MediaKind, at: u64, decoded: u64, key: bool) -> Frame {
    let (mark, duration) = if kind == MediaKind::Video { (b'v', 40) } else { (b'a', 20) };
    let data = Bytes::from(format!("{}{at}", mark as char));
    Frame { kind, content: Content::Coded(data), at: ms(at), decoded: ms(decoded), duration: ms(duration), key }
}

fn picture(at: u64, key: bool) -> Frame {
    frame(MediaKind::Video, at, at, key)
}

/// Pictures each 40 ms with a key frame each 400 ms, sound each 20 ms.
fn film(from: u64, until: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for at in (from..until).step_by(20) {
        if at % 40 == 0 {
            frames.push(picture(at, at % 400 == 0));
        }
        frames.push(frame(MediaKind::Audio, at, at, true));
    }
    frames
}

fn info(live: bool) -> ReelInfo {
    ReelInfo {
        audio: Some(Caps::audio(Codec::Opus, 48_000, 2).frames()),
        video: Some(Caps::video(Codec::Vp8, None).frames()),
        duration: Some(ms(2000)).filter(|_| !live),
        seekable: !live,
        live,
        endless: live,
    }
}

struct FakeReel {
    info: ReelInfo,
    frames: Vec<Frame>,
    next: usize,
    /// Of what is live.
    comes: Option<Receiver<Frame>>,
    seeks: bool,
    sought: Duration,
    asked: SyncSender<usize>,
    count: Arc<AtomicUsize>,
}

impl Reel for FakeReel {
    fn info(&self) -> &ReelInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>, FilmError> {
        self.count.fetch_add(1, Ordering::SeqCst);
        // The test may be over.
        let _ = self.asked.send(self.next);
        self.next += 1;
        let mut frame = match &self.comes {
            Some(comes) => comes.recv().ok(),
            None => self.frames.get(self.next - 1).cloned(),
        };
        if let Some(frame) = frame.as_mut().filter(|frame| frame.at + frame.duration <= self.sought) {
            frame.content = Content::Nothing;
        }
        Ok(frame)
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        if !self.seeks {
            self.next -= 1;
            return Err(FilmError::Refused("no seeking"));
        }
        self.sought = to;
        let key = |frame: &Frame| frame.kind == MediaKind::Video && frame.key && frame.at <= to;
        self.next = self.frames.iter().rposition(key).unwrap_or(0);
        Ok(())
    }
}

type Shared = Arc<Mutex<Vec<(MediaTime, Packet)>>>;

struct Sink(Shared);

impl Node for Sink {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Media { packet, .. } = input {
            self.0.lock().unwrap().push((out.now(), packet));
        }
    }
}

struct Cinema {
    bench: Bench,
    player: Element,
    got: Shared,
    asked: Receiver<usize>,
    count: Arc<AtomicUsize>,
    live: SyncSender<Frame>,
    told: Vec<String>,
}

/// What left: when, what is in it, and its time.
type Gift = (u64, String, u64);

impl Cinema {
    fn new(info: ReelInfo, frames: Vec<Frame>, delay: Duration, seeks: bool) -> Self {
        let mut bench = Bench::new(1);
        let (asks, asked) = sync_channel(MOST);
        let (live, comes) = sync_channel(MOST);
        let comes = Mutex::new(Some(comes));
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let open: OpenReel = Arc::new(move |_| {
            let comes = if frames.is_empty() { comes.lock().unwrap().take() } else { None };
            let (info, frames) = (info.clone(), frames.clone());
            let (asked, count, sought) = (asks.clone(), counter.clone(), Duration::ZERO);
            Ok(Box::new(FakeReel { info, frames, next: 0, comes, seeks, sought, asked, count }))
        });
        let pipeline = bench.pipeline();
        let clock: Arc<dyn Clock> = bench.clock.clone();
        let player = bench.run(pipeline.add(player("player".to_owned(), clock, open, delay))).unwrap();
        let got = Shared::default();
        let inside = got.clone();
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
        bench.run(player.connect(&sink, &Selection::all())).unwrap();
        bench.advance(ms(100));
        Cinema { bench, player, got, asked, count, live, told: Vec::new() }
    }

    fn file(frames: Vec<Frame>) -> Self {
        Self::new(info(false), frames, Duration::ZERO, true)
    }

    fn tell(&mut self, command: PlayerCommand) {
        self.bench.run(self.player.tell(command)).unwrap();
        self.bench.settle();
    }

    /// Until the reel has been asked for this frame: those before it are there then.
    fn read(&mut self, number: usize) {
        while self.asked.recv_timeout(GUARD).expect("the reel is read") != number {}
    }

    /// Until all frames of the reel and its end are there. The clock stands.
    fn play(&mut self, number: usize) {
        self.tell(PlayerCommand::Play);
        self.read(number);
        self.report();
    }

    fn report(&mut self) -> PlayerReport {
        let (reply, mut answer) = oneshot::channel();
        self.tell(PlayerCommand::Report { reply });
        answer.try_recv().unwrap()
    }

    fn seek(&mut self, to: u64) -> bool {
        let (reply, mut answer) = oneshot::channel();
        self.tell(PlayerCommand::Seek { to: ms(to), reply });
        answer.try_recv().unwrap()
    }

    fn advance(&mut self, by: u64) {
        self.bench.advance(ms(by));
    }

    fn now(&self) -> u64 {
        millis(self.bench.clock.now())
    }

    /// What left since the last call; times are from the film's beginning where that was shown now.
    fn gifts(&self) -> Vec<Gift> {
        let gift = |(now, packet): (MediaTime, Packet)| {
            let Body::Coded(frame) = &packet.body else { panic!("{packet:?}") };
            let text = String::from_utf8(frame.data.to_vec()).unwrap();
            (millis(now), text, millis(frame.at))
        };
        std::mem::take(&mut *self.got.lock().unwrap()).into_iter().map(gift).collect()
    }

    /// What was told so far.
    fn told(&mut self) -> Vec<String> {
        for notice in self.bench.notices() {
            let What::Other(other) = notice.what else { continue };
            self.told.push(match *other.downcast::<PlayerEvent>().unwrap() {
                PlayerEvent::State(state) => format!("{state:?}"),
                PlayerEvent::End => "End".to_owned(),
                PlayerEvent::BrokeOff { .. } => "BrokeOff".to_owned(),
                PlayerEvent::Failed { opened, .. } => format!("Failed opened={opened}"),
            });
        }
        self.told.clone()
    }

    /// Until it is told, with the clock standing.
    fn until_told(&mut self, word: &str) {
        let began = SystemClock::new();
        while !self.told().iter().any(|told| told == word) {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "{word} is never told: {:?}", self.told);
            std::thread::yield_now();
            self.report();
        }
    }
}

fn millis(at: MediaTime) -> u64 {
    (at.as_nanos() + 500_000) / 1_000_000
}

fn names(gifts: &[Gift]) -> Vec<&str> {
    gifts.iter().map(|gift| gift.1.as_str()).collect()
}

/// The place that a frame of [`film`] says.
fn place(gift: &Gift) -> u64 {
    gift.1[1..].parse().unwrap()
}
