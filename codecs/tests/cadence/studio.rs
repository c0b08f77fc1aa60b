//! Sources that flash and beep in the midst of each second of the pipeline's clock, and a recorder of them.

use crate::streams::{Camera, Packer, caps, spoken};
use rivero_codecs::coder::AudioEncoder;
use rivero_codecs::convert::Converters;
use rivero_codecs::film::{Format, Summary, Target, WriterOptions};
use rivero_codecs::recorder::{
    Gaps, Profile, RecorderCommand, RecorderEvent, RecorderReport, recorder, take_what_fits,
};
use rivero_engine::graph::{NodeSpec, Pipeline, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::{Bench, BenchParts};
use rivero_engine::time::SystemClock;
use rivero_engine::{
    Body, Caps, Clock, Codec, Element, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet, Picture, Plane,
    Sound, What,
};
use std::collections::{HashSet, VecDeque};
use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// When a studio opens, in milliseconds: some encoders put frames before the first sample, and nothing lies before the clock's zero.
pub const BEGIN: u64 = 1000;
/// How long flashes and beeps last.
const MARK: u64 = 120;
const HZ: f64 = 1000.0;
/// A thread that is stuck shall not hold up the tests for longer.
pub const GUARD: Duration = Duration::from_secs(60);

/// Packets come as a command.
struct Mouth(Arc<AtomicBool>);

impl Node for Mouth {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Command(command) => {
                for packet in *command.downcast::<Vec<Packet>>().unwrap() {
                    out.media(usize::from(packet.kind() == MediaKind::Video), packet);
                }
            }
            Input::Feedback { feedback: Feedback::KeyFrame | Feedback::Start, .. } => {
                self.0.store(true, Ordering::SeqCst)
            }
            _ => {}
        }
    }
}

/// How the numbers of a stream change in its midst, though its description does not.
#[derive(Clone, Copy, PartialEq)]
pub enum Jump {
    /// Another stream: name, numbers and time stamps.
    Stream,
    /// The same name, other numbers and time stamps.
    Numbers,
    /// Other time stamps only.
    Stamps,
}

struct Source {
    element: Element,
    wants_key: Arc<AtomicBool>,
    camera: Camera,
    microphone: AudioEncoder,
    packer: Packer,
    /// Samples that the microphone has heard, from the time at which it was switched on.
    heard: u64,
    since: u64,
    /// Pixels.
    size: (u32, u32),
    muted: bool,
    /// What it sends does not arrive.
    cut_off: bool,
    /// Milliseconds that pictures take longer than sound, and those that are still under way, each with when it arrives.
    detour: u64,
    under_way: VecDeque<(u64, Packet)>,
    /// What the sound says of that, in milliseconds.
    skew: u16,
    /// How each frame that was sent ends.
    sent: HashSet<Vec<u8>>,
}

impl Source {
    /// What it sends at this time.
    fn packets(&mut self, ms: u64) -> Vec<Packet> {
        let mut packets = Vec::new();
        if ms.is_multiple_of(40) {
            let key = self.wants_key.swap(false, Ordering::SeqCst);
            let frame = self.camera.film(&picture(self.size, ms), key);
            self.sent.insert(ending(&frame.data));
            for mut packet in self.camera.packer.pack(&frame) {
                packet.entered = packet.entered + Duration::from_millis(self.detour);
                self.under_way.push_back((ms + self.detour, packet));
            }
        }
        let arrived = self.under_way.partition_point(|(at, _)| *at <= ms);
        packets.extend(self.under_way.drain(..arrived).map(|(_, packet)| packet));
        let (rate, channels) = (spoken(&self.packer.caps).rate, spoken(&self.packer.caps).channels);
        let mut frames = Vec::new();
        let until = (ms + 20 - self.since) * u64::from(rate) / 1000;
        let samples: Vec<u8> = (self.heard..until)
            .flat_map(|n| {
                let seconds = n as f64 / f64::from(rate) + self.since as f64 / 1000.0;
                let loud = is_marked((seconds * 1000.0 + 0.001) as u64);
                let value = if loud { (f64::sin(TAU * HZ * seconds) * 12_000.0) as i16 } else { 0 };
                std::iter::repeat_n(value.to_ne_bytes(), usize::from(channels)).flatten()
            })
            .collect();
        let at = MediaTime::from_nanos(self.since * 1_000_000 + self.heard * 1_000_000_000 / u64::from(rate));
        self.heard = until;
        self.microphone.encode(&Sound { rate, channels, samples: samples.into(), at }, &mut frames).unwrap();
        for frame in frames.iter().filter(|_| !self.muted) {
            self.sent.insert(ending(&frame.data));
            packets.extend(self.packer.pack(frame).into_iter().map(|packet| packet.skew(self.skew)));
        }
        packets
    }
}

/// The end of a frame, by which it is known again: some containers change how a frame begins.
pub fn ending(frame: &[u8]) -> Vec<u8> {
    frame[frame.len().saturating_sub(12)..].to_vec()
}

/// As sources describe what they send.
pub fn described(codec: Codec) -> Caps {
    match codec {
        // As files have it: at another rate it would be converted.
        Codec::Aac => Caps::audio(codec, 48_000, 2),
        _ => caps(codec),
    }
}

/// In the midst of each second.
fn is_marked(ms: u64) -> bool {
    (520..520 + MARK).contains(&(ms % 1000))
}

fn picture((width, height): (u32, u32), ms: u64) -> Picture {
    let plane = |by: u32, value| {
        let (wide, high) = ((width / by) as usize, (height / by) as usize);
        Plane { data: vec![value; wide * high].into(), stride: wide }
    };
    let planes = [plane(1, if is_marked(ms) { 220 } else { 30 }), plane(2, 128), plane(2, 128)];
    Picture { width, height, planes, at: MediaTime::from_millis(ms) }
}

pub struct Studio {
    bench: Bench,
    pipeline: Pipeline,
    recorder: Element,
    sources: Vec<Source>,
    ms: u64,
}

impl Studio {
    pub fn new(format: Format, path: PathBuf, gaps: Gaps) -> Self {
        let parts = BenchParts { coders: 2, toolbox: Arc::new(Converters), ..BenchParts::default() };
        let mut bench = Bench::with(parts);
        let pipeline = bench.pipeline();
        let profile = Profile { format, audio: true, video: true };
        let open = Arc::new(move || Ok(Target::Path(path.clone()).into()));
        let spec = recorder("recorder".to_owned(), profile, open, WriterOptions::default(), gaps);
        let recorder = bench.run(pipeline.add(spec)).unwrap();
        take_what_fits(&recorder, profile);
        Studio { bench, pipeline, recorder, sources: Vec::new(), ms: BEGIN }
    }

    /// Something that sends what [`send`](Self::send) gives it.
    pub fn mouth(&mut self) -> (Element, Arc<AtomicBool>) {
        let wants_key = Arc::new(AtomicBool::new(false));
        let inside = wants_key.clone();
        let ports = [MediaKind::Audio, MediaKind::Video].map(|kind| PortSpec::new(kind, DEFAULT));
        let spec = NodeSpec {
            class: "Test",
            label: "source".to_owned(),
            inputs: Vec::new(),
            outputs: ports.to_vec(),
            build: Box::new(move |_| Box::new(Mouth(inside))),
            worker: None,
        };
        (self.bench.run(self.pipeline.add(spec)).unwrap(), wants_key)
    }

    /// One that sends from now on, though nobody is connected.
    pub fn source(&mut self, video: Codec, audio: Codec) -> usize {
        let (element, wants_key) = self.mouth();
        let size = (64, 64);
        let camera = Camera::new(&described(video), size.0, size.1, 200_000);
        let microphone = AudioEncoder::new(audio, spoken(&described(audio))).unwrap();
        let mut packer = Packer::new(&described(audio));
        packer.ssrc = 1000 + self.sources.len() as u32;
        // Each source has clocks of its own.
        packer.shift = packer.shift.wrapping_mul(3 + packer.ssrc);
        let (heard, muted, cut_off, sent) = (0, false, false, HashSet::new());
        let mut source = Source {
            element,
            wants_key,
            camera,
            microphone,
            packer,
            heard,
            since: self.ms,
            size,
            muted,
            cut_off,
            detour: 0,
            under_way: VecDeque::new(),
            skew: 0,
            sent,
        };
        source.camera.packer.ssrc = 2000 + self.sources.len() as u32;
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// Lets the time come, and these be sent by something else than its sources.
    pub fn send(&mut self, element: &Element, at: MediaTime, packets: Vec<Packet>) {
        let now = self.bench.clock.now();
        self.bench.advance(at.since(now));
        self.bench.run(element.tell(packets)).unwrap();
    }

    pub fn connect(&mut self, source: usize, only: Option<MediaKind>) {
        let selection = only.map_or_else(Selection::all, Selection::only);
        let element = self.sources[source].element.clone();
        self.connect_to(&element, &selection);
    }

    /// From now on it sends no sound.
    pub fn mute(&mut self, source: usize) {
        self.sources[source].muted = true;
    }

    /// Whether what it sends is lost on the way from now on.
    pub fn cut_off(&mut self, source: usize, is: bool) {
        self.sources[source].cut_off = is;
    }

    /// From now on its pictures take so much longer than its sound, in milliseconds.
    pub fn detour(&mut self, source: usize, ms: u64) {
        self.sources[source].detour = ms;
    }

    /// From now on its sound says that it comes so much earlier than its pictures, in milliseconds.
    pub fn skew(&mut self, source: usize, ms: u16) {
        self.sources[source].skew = ms;
    }

    /// From now on its pictures are of this size.
    pub fn resize(&mut self, source: usize, width: u32, height: u32) {
        let source = &mut self.sources[source];
        source.size = (width, height);
        let camera = Camera::new(&source.camera.packer.caps, width, height, 200_000);
        source.camera.encoder = camera.encoder;
    }

    /// Its next picture is a key frame, with which whoever comes then begins.
    pub fn key_frame(&mut self, source: usize) {
        self.sources[source].wants_key.store(true, Ordering::SeqCst);
    }

    pub fn jump(&mut self, source: usize, jump: Jump) {
        let source = &mut self.sources[source];
        for packer in [&mut source.packer, &mut source.camera.packer] {
            packer.shift = packer.shift.wrapping_add(0x1234_5678);
            if jump != Jump::Stamps {
                packer.sequence += 30_000;
            }
            if jump == Jump::Stream {
                packer.ssrc += 500;
            }
        }
    }

    /// How many of these frames are as the source sent them.
    pub fn count_as_sent<'a>(&self, source: usize, mut frames: impl Iterator<Item = &'a Packet>) -> usize {
        let sent = &self.sources[source].sent;
        frames
            .by_ref()
            .filter(|packet| matches!(&packet.body, Body::Coded(frame) if sent.contains(&ending(&frame.data))))
            .count()
    }

    pub fn connect_to(&mut self, element: &Element, selection: &Selection) {
        self.bench.run(element.connect(&self.recorder, selection)).unwrap();
    }

    pub fn record(&mut self) {
        self.bench.run(self.recorder.tell(RecorderCommand::Record)).unwrap();
    }

    pub fn pause(&mut self) {
        self.bench.run(self.recorder.tell(RecorderCommand::Pause)).unwrap();
    }

    /// Everything is sent that is due until then.
    pub fn run_until(&mut self, ms: u64) {
        while self.ms < ms {
            for number in 0..self.sources.len() {
                let source = &mut self.sources[number];
                let mut packets = source.packets(self.ms);
                packets.retain(|_| !source.cut_off);
                let element = source.element.clone();
                self.send(&element, MediaTime::from_millis(self.ms), packets);
            }
            self.ms += 20;
            self.wait_for_disk();
        }
    }

    /// A slow disk is no part of this: time only goes on when all is written.
    pub fn wait_for_disk(&mut self) {
        let began = SystemClock::new();
        while self.report().waiting > 0 {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "the recording is stuck");
            std::thread::yield_now();
        }
    }

    fn report(&mut self) -> RecorderReport {
        let (reply, mut answer) = oneshot::channel();
        self.bench.run(self.recorder.tell(RecorderCommand::Report { reply })).unwrap();
        self.bench.settle();
        answer.try_recv().unwrap()
    }

    pub fn stop(&mut self) -> Summary {
        let (reply, mut done) = oneshot::channel();
        self.bench.run(self.recorder.tell(RecorderCommand::Stop { reply: Some(reply) })).unwrap();
        let began = SystemClock::new();
        while done.try_recv().is_err() {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "the recording is never complete");
            std::thread::yield_now();
            self.bench.advance(Duration::from_millis(10));
        }
        let mut summary = None;
        for notice in self.bench.notices() {
            match notice.what {
                What::Error { description, .. } => panic!("{description}"),
                What::Other(other) => match *other.downcast::<RecorderEvent>().unwrap() {
                    RecorderEvent::Written(written) => summary = Some(written),
                    RecorderEvent::State(_) => {}
                    other => panic!("{other:?}"),
                },
                _ => {}
            }
        }
        summary.unwrap()
    }
}
