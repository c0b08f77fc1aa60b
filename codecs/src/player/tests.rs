//! A player with a reel of our own, on a manual clock. The projector is a real thread: time only goes on once the reel has been asked
//! for the frame behind those that a test needs, so that these lie before the player.

mod live;

use super::*;
use crate::convert::REORDERED;
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
        match &self.comes {
            Some(comes) => Ok(comes.recv().ok()),
            None => Ok(self.frames.get(self.next - 1).cloned()),
        }
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        if !self.seeks {
            self.next -= 1;
            return Err(FilmError::Refused("no seeking"));
        }
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

/// What left: when, what is in it, its time, and whether it is shown.
type Gift = (u64, String, u64, bool);

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
            Ok(Box::new(FakeReel { info, frames, next: 0, comes, seeks, asked: asks.clone(), count: counter.clone() }))
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
            (millis(now), text, millis(frame.at), frame.shown)
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

/// The place that a frame of [`film`] says.
fn place(gift: &Gift) -> u64 {
    gift.1[1..].parse().unwrap()
}

#[test]
fn each_frame_leaves_in_its_time_and_the_end_is_told_behind_the_last() {
    let film = film(0, 1000);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    let began = it.now();
    it.advance(999);
    assert_eq!(it.told(), ["Start"]);
    let gifts = it.gifts();
    assert_eq!(gifts.len(), film.len());
    for gift in &gifts {
        assert_eq!((gift.0, gift.2, gift.3), (began + place(gift), began + place(gift), true), "{gift:?}");
    }
    it.advance(1);
    it.until_told("End");
    assert_eq!(it.told(), ["Start", "Stop", "End"]);
}

#[test]
fn times_go_on_behind_a_pause_and_behind_the_end() {
    let film = film(0, 800);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    it.advance(390);
    it.tell(PlayerCommand::Pause);
    let position = it.report().position;
    it.advance(5000);
    assert_eq!(it.report().position, position, "the film stands");
    it.tell(PlayerCommand::Pause);
    it.tell(PlayerCommand::Play);
    it.advance(410);
    it.until_told("End");
    it.play(film.len());
    it.advance(100);
    let gifts = it.gifts();
    let pictures: Vec<&Gift> = gifts.iter().filter(|gift| gift.1.starts_with('v')).collect();
    assert!(pictures.windows(2).all(|pair| pair[0].2 < pair[1].2), "{pictures:?}");
    let places: Vec<u64> = pictures.iter().map(|gift| place(gift)).collect();
    assert_eq!(places, (0..800).step_by(40).chain([0, 40, 80]).collect::<Vec<_>>(), "nothing twice, nothing left out");
    let distance = |a: &str, b: &str| {
        let at = |name: &str| gifts.iter().find(|gift| gift.1 == name).unwrap().2;
        at(b) - at(a)
    };
    assert_eq!((distance("v360", "v400"), distance("a380", "a400"), distance("v400", "a400")), (5040, 5020, 0));
    assert_eq!(it.told(), ["Start", "Pause", "Start", "Stop", "End", "Start"]);
}

#[test]
fn a_seek_shows_the_frame_that_was_sought_first() {
    let film = film(0, 2000);
    let mut it = Cinema::file(film.clone());
    it.tell(PlayerCommand::Play);
    it.read(100);
    it.report();
    it.advance(100);
    it.gifts();
    assert!(!it.seek(2001), "behind the end");
    assert!(it.seek(1290));
    it.read(film.len());
    it.report();
    let now = it.now();
    let gifts = it.gifts();
    let hidden: Vec<u64> = gifts.iter().filter(|gift| !gift.3).map(place).collect();
    assert_eq!(hidden, [1200, 1240], "from the key frame on, without sound: {gifts:?}");
    assert!(gifts.windows(2).all(|pair| pair[0].2 <= pair[1].2));
    it.advance(100);
    let first = |mark: char| {
        let all = gifts.iter().cloned().chain(it.gifts()).filter(|gift| gift.3 && gift.1.starts_with(mark));
        all.into_iter().next().unwrap()
    };
    let (picture, sound) = (first('v'), first('a'));
    assert_eq!((picture.1.as_str(), picture.0, sound.1.as_str()), ("v1280", now, "a1280"));
    assert_eq!(it.report().position, ms(1390));
}

#[test]
fn a_seek_that_fails_goes_on_where_the_film_stands() {
    let film = film(0, 2000);
    let mut it = Cinema::new(info(false), film.clone(), Duration::ZERO, false);
    it.tell(PlayerCommand::Play);
    it.read(100);
    it.report();
    it.advance(100);
    it.gifts();
    assert!(it.seek(200));
    it.read(film.len());
    let now = it.now();
    it.report();
    let gifts = it.gifts();
    assert!(!gifts.is_empty() && gifts.iter().all(|gift| gift.3 && gift.0 == now), "no standstill: {gifts:?}");
    assert!(it.report().position > ms(500), "{:?}", it.report().position);
}

#[test]
fn a_film_that_ends_while_it_is_paused_ends_when_it_goes_on() {
    let film = vec![picture(0, true)];
    let mut it = Cinema::file(film);
    it.play(1);
    it.advance(10);
    it.tell(PlayerCommand::Pause);
    it.advance(10_000);
    assert_eq!(it.told(), ["Start", "Pause"]);
    it.tell(PlayerCommand::Play);
    it.until_told("End");
}

#[test]
fn a_seek_back_from_the_end_plays_again() {
    let film = film(0, 800);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    it.advance(790);
    it.gifts();
    assert!(it.seek(400));
    it.read(film.len());
    it.report();
    it.advance(395);
    let places: Vec<u64> = it.gifts().iter().filter(|gift| gift.1.starts_with('v')).map(place).collect();
    assert_eq!(places, (400..800).step_by(40).collect::<Vec<_>>());
    assert_eq!(it.told(), ["Start"]);
    it.advance(5);
    it.until_told("End");
}

#[test]
fn a_pause_before_the_first_frame_and_a_stop_before_the_reel_is_open() {
    let film = film(0, 400);
    let mut it = Cinema::file(film.clone());
    it.tell(PlayerCommand::Pause);
    it.read(film.len());
    it.advance(1000);
    assert!(it.gifts().is_empty());
    assert!(it.report().info.is_some(), "it is open");
    assert!(it.seek(200));
    it.read(film.len());
    it.advance(1000);
    it.tell(PlayerCommand::Play);
    it.advance(1);
    assert_eq!(
        it.gifts().iter().filter(|gift| gift.3).map(|gift| gift.1.clone()).collect::<Vec<_>>(),
        ["v200", "a200"]
    );
    it.tell(PlayerCommand::Stop);
    it.tell(PlayerCommand::Stop);
    it.tell(PlayerCommand::Play);
    it.tell(PlayerCommand::Stop);
    // The reel may have been quick.
    it.gifts();
    it.advance(1000);
    assert!(it.gifts().is_empty());
    assert_eq!(it.told(), ["Pause", "Start", "Stop", "Start", "Stop"]);
    assert_eq!(it.report().position, Duration::ZERO);
}

#[test]
fn pictures_in_another_order_keep_their_times() {
    // I0 P120 B40 B80 ...: a B frame is decoded when it is shown.
    let mut film = vec![frame(MediaKind::Video, 40, 0, true)];
    for at in (40..400).step_by(120) {
        for (shown, decoded) in [(at + 120, at), (at + 40, at + 40), (at + 80, at + 80)] {
            film.push(frame(MediaKind::Video, shown, decoded, false));
        }
    }
    let info = ReelInfo { video: Some(Caps::video(Codec::H264, Some(REORDERED)).frames()), ..info(false) };
    let mut it = Cinema::new(info, film.clone(), Duration::ZERO, true);
    it.play(film.len());
    let began = it.now();
    it.advance(500);
    let gifts = it.gifts();
    assert_eq!(gifts.len(), film.len());
    for gift in gifts {
        assert_eq!(gift.2 - began, place(&gift), "{gift:?}");
    }
}

#[test]
fn a_slow_disk_holds_up_the_film_and_not_more() {
    let mut it = Cinema::new(info(false), Vec::new(), Duration::ZERO, true);
    it.play(0);
    let give = |it: &mut Cinema, frame: Frame, number: usize| {
        it.live.send(frame).unwrap();
        it.read(number);
        it.report();
    };
    give(&mut it, picture(0, true), 1);
    it.advance(1000);
    for number in 1..4 {
        give(&mut it, picture(40 * number, false), number as usize + 1);
    }
    let now = it.now();
    it.advance(80);
    let left: Vec<u64> = it.gifts().iter().map(|gift| gift.0).collect();
    assert_eq!(left, [now - 1000, now, now + 40, now + 80], "no hurry");
}

#[test]
fn what_is_live_is_played_later_by_the_delay_and_passes_while_it_is_paused() {
    let mut it = Cinema::new(info(true), Vec::new(), ms(2000), true);
    it.play(0);
    let mut number = 0;
    let mut give = |it: &mut Cinema, frames: Vec<Frame>| {
        for frame in frames {
            it.live.send(frame).unwrap();
            number += 1;
        }
        it.read(number);
    };
    // It is joined in its midst.
    give(&mut it, film(7000, 7800));
    it.report();
    let began = it.now();
    // What came in one go is as old as it says: the last of it is shown when the delay is over.
    it.advance(1199);
    assert!(it.gifts().is_empty());
    it.advance(201);
    let gifts = it.gifts();
    assert_eq!((gifts[0].0, place(&gifts[0]), gifts.last().map(place)), (began + 1200, 7000, Some(7200)));
    it.tell(PlayerCommand::Pause);
    give(&mut it, film(7800, 20_000));
    it.advance(5000);
    it.tell(PlayerCommand::Play);
    give(&mut it, film(20_020, 22_000));
    it.report();
    let now = it.now();
    it.advance(3000);
    let gifts = it.gifts();
    let first = |mark| gifts.iter().find(|gift| gift.1.starts_with(mark)).unwrap().clone();
    assert_eq!(first('a').1, "a20020", "what was missed is missed");
    assert_eq!((first('v').1.as_str(), first('a').0), ("v20400", now + 20), "at a key frame");
    assert_eq!(first('v').2 - first('a').2, 380, "and together");
    it.tell(PlayerCommand::Stop);
}

#[test]
fn a_live_stream_whose_clock_jumps_or_runs_goes_on() {
    let mut it = Cinema::new(info(true), Vec::new(), ms(500), true);
    it.play(0);
    let mut number = 0;
    let mut give = |it: &mut Cinema, frames: Vec<Frame>| {
        for frame in frames {
            it.live.send(frame).unwrap();
            number += 1;
        }
        it.read(number);
        it.report();
    };
    give(&mut it, film(0, 400));
    it.advance(1000);
    give(&mut it, film(4_000_000, 4_000_400));
    it.advance(1000);
    let last = it.gifts().last().cloned().unwrap();
    assert!(last.1 == "a4000380" && it.now() - last.0 < 600, "{last:?}");
    // Ten times as fast as it should be: what waits does not grow without end.
    for second in 0..20 {
        let from = 4_000_400 + second * 1000;
        give(&mut it, film(from, from + 1000));
        it.advance(950);
    }
    let last = it.gifts().last().cloned().unwrap();
    assert!(4_020_400 - place(&last) <= 500 + 500 + 1000, "{last:?}");
    it.tell(PlayerCommand::Stop);
}

#[test]
fn only_so_much_is_read_ahead() {
    let big = |at| Frame { content: Content::Coded(Bytes::from(vec![0; 4 << 20])), ..picture(at, true) };
    let mut it = Cinema::file((0..40).map(|number| big(number * 40)).collect());
    it.tell(PlayerCommand::Play);
    it.read(4);
    it.tell(PlayerCommand::Pause);
    for _ in 0..10 {
        it.report();
        assert!(it.count.load(Ordering::SeqCst) <= 7, "{:?}", it.count);
    }
    it.tell(PlayerCommand::Stop);
}

#[test]
fn a_reel_that_cannot_be_opened_or_read_is_told() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let open: OpenReel = Arc::new(|_| Err(FilmError::Refused("no film")));
    let element = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
    let (live, asked) = (sync_channel(MOST).0, sync_channel(MOST).1);
    let mut it =
        Cinema { bench, player: element, got: Shared::default(), asked, count: Arc::default(), live, told: Vec::new() };
    for round in 1..3 {
        it.tell(PlayerCommand::Play);
        let words = 3 * round;
        while it.told().len() < words {
            it.report();
            std::thread::yield_now();
        }
    }
    assert_eq!(it.told(), ["Start", "Failed opened=false", "Stop"].repeat(2));
}
