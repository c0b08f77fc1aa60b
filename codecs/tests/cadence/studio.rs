//! Sources that flash and beep in the midst of each second of the pipeline's clock, and a recorder of them.

use crate::streams::{Camera, Packer, caps, spoken};
use rivero_codecs::coder::AudioEncoder;
use rivero_codecs::convert::Converters;
use rivero_codecs::film::{Format, Summary, Target, WriterOptions};
use rivero_codecs::recorder::{Profile, RecorderCommand, RecorderEvent, RecorderReport, recorder, take_what_fits};
use rivero_engine::graph::{NodeSpec, Pipeline, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::{Bench, BenchParts};
use rivero_engine::time::SystemClock;
use rivero_engine::{
    Clock, Codec, Element, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet, Picture, Plane, Sound, What,
};
use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

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

struct Source {
    element: Element,
    wants_key: Arc<AtomicBool>,
    camera: Camera,
    microphone: AudioEncoder,
    packer: Packer,
    /// Samples that the microphone has heard, from the time at which it was switched on.
    heard: u64,
    since: u64,
}

impl Source {
    /// What it sends at this time.
    fn packets(&mut self, ms: u64) -> Vec<Packet> {
        let mut packets = Vec::new();
        if ms.is_multiple_of(40) {
            let key = self.wants_key.swap(false, Ordering::SeqCst);
            packets.extend(self.camera.shoot(&picture(ms), key));
        }
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
        for frame in &frames {
            packets.extend(self.packer.pack(frame));
        }
        packets
    }
}

/// In the midst of each second.
fn is_marked(ms: u64) -> bool {
    (520..520 + MARK).contains(&(ms % 1000))
}

fn picture(ms: u64) -> Picture {
    let bright = is_marked(ms);
    let plane = |side: usize, value| Plane { data: vec![value; side * side].into(), stride: side };
    let planes = [plane(64, if bright { 220 } else { 30 }), plane(32, 128), plane(32, 128)];
    Picture { width: 64, height: 64, planes, at: MediaTime::from_millis(ms) }
}

pub struct Studio {
    bench: Bench,
    pipeline: Pipeline,
    recorder: Element,
    sources: Vec<Source>,
    ms: u64,
}

impl Studio {
    pub fn new(format: Format, path: PathBuf) -> Self {
        let parts = BenchParts { coders: 2, toolbox: Arc::new(Converters), ..BenchParts::default() };
        let mut bench = Bench::with(parts);
        let pipeline = bench.pipeline();
        let profile = Profile { format, audio: true, video: true };
        let open = Arc::new(move || Ok(Target::Path(path.clone()).into()));
        let spec = recorder("recorder".to_owned(), profile, open, WriterOptions::default());
        let recorder = bench.run(pipeline.add(spec)).unwrap();
        take_what_fits(&recorder, profile);
        Studio { bench, pipeline, recorder, sources: Vec::new(), ms: 0 }
    }

    /// One that sends from now on, though nobody is connected.
    pub fn source(&mut self, video: Codec, audio: Codec) -> usize {
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
        let element = self.bench.run(self.pipeline.add(spec)).unwrap();
        let camera = Camera::new(&caps(video), 64, 64, 200_000);
        let microphone = AudioEncoder::new(audio, spoken(&caps(audio))).unwrap();
        let mut packer = Packer::new(&caps(audio));
        packer.ssrc = 1000 + self.sources.len() as u32;
        let mut source = Source { element, wants_key, camera, microphone, packer, heard: 0, since: self.ms };
        source.camera.packer.ssrc = 2000 + self.sources.len() as u32;
        self.sources.push(source);
        self.sources.len() - 1
    }

    pub fn connect(&mut self, source: usize, only: Option<MediaKind>) {
        let selection = only.map_or_else(Selection::all, Selection::only);
        self.bench.run(self.sources[source].element.connect(&self.recorder, &selection)).unwrap();
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
            let now = self.bench.clock.now();
            self.bench.advance(MediaTime::from_millis(self.ms).since(now));
            for source in &mut self.sources {
                let packets = source.packets(self.ms);
                self.bench.run(source.element.tell(packets)).unwrap();
            }
            self.ms += 20;
            self.wait_for_disk();
        }
    }

    /// A slow disk is no part of this: time only goes on when all is written.
    fn wait_for_disk(&mut self) {
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
