//! A recorder that writes into memory, on a manual clock; a disk is slow as long as a test holds it.

use super::*;
use crate::coder::{AudioEncoder, AudioSettings, EncodedFrame, VideoEncoder, VideoSettings};
use crate::film::{Format, Interrupt, Medium, OpenOptions, Reader, Target, Unit};
use bytes::Bytes;
use rivero_engine::graph::Selection;
use rivero_engine::testing::{Bench, Seen, Tell, probe};
use rivero_engine::time::SystemClock;
use rivero_engine::{Body, Caps, Clock, Codec, Coded, MediaTime, Packet, Picture, Plane, Sound, What};
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A thread that is stuck shall not hold up the tests for longer.
const GUARD: Duration = Duration::from_secs(20);

/// A file, and whether it is full.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Cursor<Vec<u8>>>>, Arc<AtomicBool>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap().seek(to)
    }
}

impl Medium for Memory {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().get_mut().truncate(length as usize);
        Ok(())
    }
}

struct Studio {
    bench: Bench,
    source: Element,
    heard: Seen,
    recorder: Element,
    file: Memory,
    camera: VideoEncoder,
    told: Vec<String>,
}

fn vp8() -> Caps {
    Caps::video(Codec::Vp8, None).frames()
}

fn opus() -> Caps {
    Caps::audio(Codec::Opus, 48_000, 2).frames()
}

fn packet(caps: Caps, data: Bytes, at: u64, key: bool) -> Packet {
    let at = MediaTime::from_millis(at);
    Packet::new(caps, Body::Coded(Arc::new(Coded { data, at })), at).key(key).frame_end(true)
}

/// A frame of silence.
fn silence() -> Bytes {
    let settings = AudioSettings::usual(Codec::Opus);
    let samples = vec![0; 960 * 4].into();
    let sound = Sound { rate: settings.rate, channels: settings.channels, samples, at: MediaTime::ZERO };
    let mut frames: Vec<EncodedFrame> = Vec::new();
    AudioEncoder::new(Codec::Opus, settings).unwrap().encode(&sound, &mut frames).unwrap();
    frames.remove(0).data
}

impl Studio {
    fn new(format: Format, open: Option<OpenTarget>) -> Self {
        Self::with(format, open, Gaps::Stay)
    }

    fn with(format: Format, open: Option<OpenTarget>, gaps: Gaps) -> Self {
        let mut bench = Bench::new(1);
        let pipeline = bench.pipeline();
        let profile = Profile { format, audio: true, video: true };
        let file = Memory::default();
        let target = file.clone();
        let memory: OpenTarget = Arc::new(move || Ok(Target::File(Box::new(target.clone())).into()));
        let spec = recorder("recorder".to_owned(), profile, open.unwrap_or(memory), WriterOptions::default(), gaps);
        let recorder = bench.run(pipeline.add(spec)).unwrap();
        take_what_fits(&recorder, profile);
        let (spec, heard) = probe("source");
        let source = bench.run(pipeline.add(spec)).unwrap();
        bench.run(source.connect(&recorder, &Selection::all())).unwrap();
        let camera = VideoEncoder::new(Codec::Vp8, VideoSettings::new(64, 64)).unwrap();
        let mut studio = Studio { bench, source, heard, recorder, file, camera, told: Vec::new() };
        // Nobody hears this one: an encoder begins with a key frame unasked.
        studio.picture(0, true);
        studio
    }

    fn tell(&mut self, command: RecorderCommand) {
        self.bench.run(self.recorder.tell(command)).unwrap();
        self.bench.settle();
    }

    fn report(&mut self) -> RecorderReport {
        let (reply, mut answer) = oneshot::channel();
        self.tell(RecorderCommand::Report { reply });
        answer.try_recv().unwrap()
    }

    fn emit(&mut self, packet: Packet) {
        let now = self.bench.clock.now();
        self.bench.advance(packet.entered.since(now));
        self.bench.run(self.source.tell(Tell::Emit(packet))).unwrap();
        self.bench.settle();
    }

    fn picture(&mut self, at: u64, key: bool) {
        let plane = |side: usize| Plane { data: vec![100; side * side].into(), stride: side };
        let planes = [plane(64), plane(32), plane(32)];
        let picture = Picture { width: 64, height: 64, planes, at: MediaTime::from_millis(at) };
        let mut frames = Vec::new();
        self.camera.encode(&picture, key, &mut frames).unwrap();
        let frame = frames.remove(0);
        assert!(frame.key || !key, "the camera obeys");
        self.emit(packet(vp8(), frame.data, at, frame.key));
    }

    fn sound(&mut self, at: u64) {
        self.emit(packet(opus(), silence(), at, true));
    }

    /// Sound each 20 ms and pictures each 40, the first a key frame.
    fn both(&mut self, from: u64, until: u64) {
        for at in (from..until).step_by(20) {
            self.sound(at);
            if (at - from).is_multiple_of(40) {
                self.picture(at, at == from);
            }
            self.wait_for_disk();
        }
    }

    fn wait_for_disk(&mut self) {
        let began = SystemClock::new();
        while self.report().waiting > 0 {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "the recording is stuck");
            std::thread::yield_now();
        }
    }

    /// Lets the recorder look until the word is told.
    fn until_told(&mut self, word: &str) {
        let began = SystemClock::new();
        while !self.told().iter().any(|told| told == word) {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "{word} is never told: {:?}", self.told);
            std::thread::yield_now();
            self.bench.advance(Duration::from_millis(10));
        }
    }

    fn told(&mut self) -> Vec<String> {
        for notice in self.bench.notices() {
            let What::Other(other) = notice.what else { continue };
            // The source tells what it hears.
            let Ok(event) = other.downcast::<RecorderEvent>() else { continue };
            self.told.push(match *event {
                RecorderEvent::State(state) => format!("{state:?}"),
                RecorderEvent::Written(_) => "Written".to_owned(),
                RecorderEvent::Failed { opened, .. } => if opened { "Failed" } else { "NotOpened" }.to_owned(),
                RecorderEvent::Late => "Late".to_owned(),
            });
        }
        self.told.clone()
    }

    /// Stops, and reads what was written: milliseconds of the units of sound, and of pictures with whether they are key frames.
    fn stop(&mut self) -> (Vec<u64>, Vec<(u64, bool)>) {
        self.tell(RecorderCommand::Stop { reply: None });
        self.until_told("Written");
        let bytes = self.file.0.lock().unwrap().get_ref().clone();
        self.units(&bytes)
    }

    fn units(&self, bytes: &[u8]) -> (Vec<u64>, Vec<(u64, bool)>) {
        let uri = format!("data:video/webm;base64,{}", data_encoding::BASE64.encode(bytes));
        let clock: Arc<dyn Clock> = self.bench.clock.clone();
        let mut reader = Reader::open(&uri, &OpenOptions::default(), Interrupt::new(clock)).unwrap();
        let (audio, video) = (reader.best(MediaKind::Audio), reader.best(MediaKind::Video));
        let mut units: Vec<Unit> = Vec::new();
        while let Some(unit) = reader.read().unwrap() {
            units.push(unit);
        }
        let of = |track| units.iter().filter(move |unit| Some(unit.track) == track);
        let ms = |unit: &Unit| unit.at.as_millis() as u64;
        // Opus begins as much before its time as its decoders are late, and a reader's zero is where the first track begins.
        let zero = of(video).next().map(ms).filter(|at| *at < 10).unwrap_or(0);
        let video = of(video).map(|unit| (ms(unit) - zero, unit.key)).collect();
        (of(audio).map(ms).collect(), video)
    }
}

fn every(step: usize, until: u64) -> Vec<u64> {
    (0..until).step_by(step).collect()
}

#[test]
fn what_comes_is_there_at_its_time() {
    let mut it = Studio::new(Format::WebM, None);
    it.sound(0);
    it.tell(RecorderCommand::Record);
    it.tell(RecorderCommand::Record);
    assert!(it.heard.key_requests() > 0, "a key frame is asked for");
    it.picture(500, false);
    it.both(1000, 2000);
    assert_eq!(it.told(), ["Start"]);
    let (audio, video) = it.stop();
    assert!(audio.iter().zip(every(20, 1000)).all(|(is, was)| is.abs_diff(was) <= 7), "{audio:?}");
    assert_eq!(video.iter().map(|(at, _)| *at).collect::<Vec<_>>(), every(40, 1000));
    assert_eq!(it.told(), ["Start", "Stop", "Written"]);
    it.tell(RecorderCommand::Stop { reply: None });
    it.tell(RecorderCommand::Record);
    it.tell(RecorderCommand::Pause);
    it.bench.advance(Duration::from_secs(1));
    assert_eq!(it.told(), ["Start", "Stop", "Written"], "a recorder is there for one recording");
}

#[test]
fn a_pause_before_the_recording_and_in_its_midst() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Pause);
    it.tell(RecorderCommand::Pause);
    it.both(0, 100);
    it.tell(RecorderCommand::Record);
    it.both(5000, 6000);
    it.tell(RecorderCommand::Pause);
    it.both(6000, 8000);
    it.tell(RecorderCommand::Record);
    // Not before a key frame, and sound with it.
    it.sound(8000);
    it.picture(8010, false);
    it.both(8040, 9040);
    assert_eq!(it.told(), ["Pause", "Start", "Pause", "Start"]);
    let (audio, video) = it.stop();
    let pictures: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
    assert_eq!(pictures.len(), 50, "{pictures:?}");
    let steps = |times: &[u64]| times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(steps(&pictures) <= 80 && steps(&audio) <= 67, "{pictures:?} {audio:?}");
    let begins = |times: &[u64]| *times.iter().find(|at| **at > 990).unwrap();
    assert!(begins(&audio).abs_diff(begins(&pictures)) <= 27, "{pictures:?} {audio:?}");
    assert!(*audio.last().unwrap() < 2080);
}

#[test]
fn a_stop_that_waits_for_the_first_frame() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    let (reply, mut done) = oneshot::channel();
    it.tell(RecorderCommand::Stop { reply: Some(reply) });
    assert!(done.try_recv().is_ok(), "there is nothing to wait for");
    it.both(1000, 1100);
    assert!(it.told().is_empty() && it.file.0.lock().unwrap().get_ref().is_empty());
}

#[test]
fn a_recording_that_is_stopped_before_all_tracks_have_begun() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    for at in every(20, 1000) {
        it.sound(at);
    }
    let (audio, video) = it.stop();
    assert_eq!((audio.len(), video.len()), (50, 0), "what was heard is there");
    assert_eq!(it.told(), ["Start", "Stop", "Written"]);
}

#[test]
fn a_track_that_begins_late_or_never_goes_on() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    for at in every(20, 3000) {
        it.sound(at);
        it.wait_for_disk();
    }
    assert_eq!(it.told(), ["Start"], "it does not wait for ever");
    it.both(3000, 4000);
    it.tell(RecorderCommand::Pause);
    it.tell(RecorderCommand::Record);
    // From now on no more pictures come.
    for at in every(20, 4000) {
        it.sound(4000 + at);
        it.wait_for_disk();
    }
    let (audio, video) = it.stop();
    assert_eq!((video.len(), video[0].1), (25, true));
    assert!((2980..3010).contains(&video[0].0), "{video:?}");
    assert!(audio.len() > 200 + 90, "sound waits for pictures only so long: {}", audio.len());
}

#[test]
fn another_source_begins_at_a_key_frame_and_not_before_what_is_there() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.both(0, 1000);
    let pipeline = it.source.pipeline();
    let (spec, heard) = probe("another");
    let another = it.bench.run(pipeline.add(spec)).unwrap();
    it.bench.run(another.connect(&it.recorder, &Selection::all())).unwrap();
    it.source = another;
    // What it sent lately, and what cannot be decoded.
    it.picture(600, true);
    it.picture(640, false);
    it.sound(980);
    it.picture(1000, false);
    assert!(heard.key_requests() > 0);
    it.both(1100, 1500);
    let (audio, video) = it.stop();
    let times: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
    let expected: Vec<u64> = (0..1000).step_by(40).chain((1100..1500).step_by(40)).collect();
    assert_eq!(times, expected);
    assert!(video.contains(&(1100, true)));
    assert!(audio.windows(2).all(|pair| pair[1] - pair[0] >= 19), "{audio:?}");
}

#[test]
fn another_coding_waits_outside_until_it_is_converted() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.picture(0, true);
    // Before the file has begun the last word counts, from then on the first.
    let vp9 = |at| packet(Caps::video(Codec::Vp9, None).frames(), Bytes::from_static(&[0x82, 0x49]), at, true);
    it.emit(vp9(20));
    it.picture(40, true);
    it.both(60, 500);
    it.emit(vp9(500));
    it.picture(540, true);
    let (_, video) = it.stop();
    let times: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0].into_iter().chain((20..460).step_by(40)).chain([500]).collect::<Vec<_>>());
}

#[test]
fn what_the_format_does_not_hold_never_reaches_the_file() {
    let mut it = Studio::new(Format::Mp4, None);
    it.tell(RecorderCommand::Record);
    // A player's frames come at once, their converter a moment later.
    for at in (20..4000).step_by(20) {
        it.sound(at);
        it.picture(at, true);
    }
    assert_eq!(it.told(), [] as [&str; 0]);
    it.tell(RecorderCommand::Stop { reply: None });
    assert_eq!((it.told(), it.file.0.lock().unwrap().get_ref().len()), (Vec::new(), 0));
}

#[test]
fn a_slow_disk_is_told_once_and_what_follows_begins_at_a_key_frame() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.both(0, 400);
    let disk = it.file.clone();
    let held = disk.0.lock().unwrap();
    it.heard.take();
    for at in (400..12_000).step_by(40) {
        it.picture(at, false);
    }
    assert!(it.report().left_out > 0);
    assert!(it.heard.key_requests() > 2, "and asked for again");
    drop(held);
    it.wait_for_disk();
    it.picture(12_000, false);
    it.both(12_040, 13_000);
    assert_eq!(it.told(), ["Start", "Late"]);
    let (_, video) = it.stop();
    let gap = video.windows(2).find(|pair| pair[1].0 - pair[0].0 > 40).unwrap();
    assert_eq!(gap[1], (12_040, true), "{gap:?}");
}

#[test]
fn what_waits_for_a_disk_that_hangs_is_bounded_in_bytes_and_nobody_waits_for_it() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.both(0, 400);
    let disk = it.file.clone();
    let held = disk.0.lock().unwrap();
    let large = Bytes::from(vec![0x9d; 4 << 20]);
    for at in (400..1400).step_by(40) {
        it.emit(packet(vp8(), large.clone(), at, true));
    }
    let report = it.report();
    assert!(report.left_out >= 25 - 16 - 2 && report.waiting < 64, "{report:?}");
    assert_eq!(it.told(), ["Start", "Late"]);
    // It can be told to end, and is gone: the thread that hangs is nobody's.
    it.tell(RecorderCommand::Stop { reply: None });
    it.bench.run(it.recorder.release());
    it.bench.advance(Duration::from_secs(1));
    drop(held);
}

#[test]
fn a_disk_that_is_full_ends_the_recording_and_says_so_first() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.both(0, 1000);
    it.file.1.store(true, Ordering::Relaxed);
    it.both(1000, 2000);
    it.until_told("Failed");
    assert_eq!(it.told(), ["Start", "Failed", "Stop"]);
    let bytes = it.file.0.lock().unwrap().get_ref().clone();
    let (audio, video) = it.units(&bytes);
    assert!(audio.len() > 20 && video.len() > 10, "what was written is there: {} {}", audio.len(), video.len());
}

#[test]
fn a_place_that_cannot_be_opened_ends_the_recording() {
    let open: OpenTarget = Arc::new(|| Err(FilmError::Refused("no such place")));
    let mut it = Studio::new(Format::WebM, Some(open));
    it.tell(RecorderCommand::Record);
    for at in every(20, 100) {
        it.sound(at);
        it.picture(at + 1, at == 0);
    }
    it.until_told("NotOpened");
    let (reply, mut done) = oneshot::channel();
    it.tell(RecorderCommand::Stop { reply: Some(reply) });
    assert!(done.try_recv().is_ok());
    assert_eq!(it.told(), ["Start", "NotOpened", "Stop"]);
}

#[test]
fn gaps_are_closed_if_that_is_wished() {
    for (gaps, begins) in [(Gaps::Stay, 3000), (Gaps::Close, 1000)] {
        let mut it = Studio::with(Format::WebM, None, gaps);
        it.tell(RecorderCommand::Record);
        it.both(0, 1000);
        // Nothing comes for two seconds; then sound first.
        it.both(3000, 4000);
        let (audio, video) = it.stop();
        let goes_on = |times: &[u64]| times[times.len() / 2];
        let pictures: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
        assert_eq!((audio.len(), pictures.len()), (100, 50), "{gaps:?}");
        assert!(goes_on(&audio).abs_diff(begins) <= 10, "{gaps:?}: {audio:?}");
        assert!(goes_on(&pictures).abs_diff(begins) <= 10, "{gaps:?}: {pictures:?}");
    }
}

#[test]
fn a_gap_that_pictures_end_is_closed_before_the_sound_comes() {
    let mut it = Studio::with(Format::WebM, None, Gaps::Close);
    it.tell(RecorderCommand::Record);
    it.both(0, 1000);
    it.picture(3000, true);
    // Late, from within the gap.
    it.sound(2900);
    it.sound(3020);
    it.both(3040, 4040);
    let (audio, video) = it.stop();
    let pictures: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
    assert_eq!((audio.len(), pictures.len()), (101, 51));
    assert!(pictures[25].abs_diff(1000) <= 10 && audio[50].abs_diff(1020) <= 10, "{pictures:?} {audio:?}");
}

#[test]
fn sound_goes_on_while_pictures_wait_for_a_key_frame() {
    let mut it = Studio::new(Format::WebM, None);
    it.tell(RecorderCommand::Record);
    it.both(0, 1000);
    // As a source does that is connected once more: it begins with what is there already.
    it.picture(600, true);
    for at in (1000..1400).step_by(20) {
        it.sound(at);
        it.picture(at + 1, false);
    }
    it.both(1400, 2000);
    let (audio, video) = it.stop();
    let times: Vec<u64> = video.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..1000).step_by(40).chain((1400..2000).step_by(40)).collect::<Vec<_>>());
    assert!(audio.len() == 100 && audio.windows(2).all(|pair| pair[1] - pair[0] <= 21), "{audio:?}");
}
