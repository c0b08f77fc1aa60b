//! Converters appear where a sink does not take what its source gives, are shared, and go with their last user.

use rivero_engine::graph::{ConverterCount, NodeSpec, Selection};
use rivero_engine::node::PortSpec;
use rivero_engine::notice::ErrorKind;
use rivero_engine::shard::Build;
use rivero_engine::testing::{Bench, BenchParts, Seen, Tell, probe, video};
use rivero_engine::toolbox::{CodingSettings, Step, Toolbox};
use rivero_engine::{
    Caps, Codec, Element, EngineError, Feedback, Form, Input, MediaKind, Node, Outbox, Packet, Takes, What,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Converts video between VP8, H.264 and raw, by giving packets other caps, and notes what its nodes hear.
#[derive(Default)]
struct Painter(Arc<Mutex<Vec<String>>>);

fn raw() -> Caps {
    Caps::video(Codec::Raw, None)
}

fn h264() -> Caps {
    Caps::video(Codec::H264, None)
}

fn vp8() -> Caps {
    Caps::video(Codec::Vp8, None)
}

impl Toolbox for Painter {
    fn steps(&self, from: &Caps, to: &Caps) -> Option<Vec<Step>> {
        if from.kind() != MediaKind::Video || to.codec() == Codec::Vp9 {
            return None;
        }
        let step = |class, to: &Caps| Step {
            class,
            port: PortSpec::new(MediaKind::Video, "default"),
            to: to.clone(),
            transcodes: to.form() != Form::Frames,
            weight: 1,
        };
        if to.form() == Form::Frames {
            return (from.codec() == to.codec()).then(|| vec![step("Unpacker", to)]);
        }
        let mut steps = Vec::new();
        if *from != raw() {
            steps.push(step("Decoder", &raw()));
        }
        if *to != raw() {
            steps.push(step("Encoder", to));
        }
        Some(steps)
    }

    fn build(&self, from: &Caps, to: &Caps, settings: CodingSettings) -> Build {
        let name = format!("{from} to {to}");
        let (to, log) = (to.clone(), self.0.clone());
        log.lock().expect("no test panics with it").push(format!("{name}: made at {}", settings.bitrate));
        Box::new(move |_| Box::new(Brush { name, to, log }))
    }
}

struct Brush {
    name: String,
    to: Caps,
    log: Arc<Mutex<Vec<String>>>,
}

impl Node for Brush {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, .. } => {
                let mut painted = packet.clone();
                painted.caps = self.to.clone();
                out.media(0, painted);
            }
            Input::Feedback { feedback, .. } => self.note(&format!("{feedback:?}")),
            Input::Command(command) => {
                let settings = command.downcast::<CodingSettings>().expect("nothing else is sent");
                self.note(&format!("now {}", settings.bitrate));
            }
            Input::Deadline => {}
        }
    }
}

impl Brush {
    fn note(&self, what: &str) {
        self.log.lock().expect("no test panics with it").push(format!("{}: {what}", self.name));
    }
}

impl Drop for Brush {
    fn drop(&mut self) {
        self.note("gone");
    }
}

/// A sink that takes what it is told to.
struct Picky(Got);

type Got = Arc<Mutex<Vec<Packet>>>;

impl Node for Picky {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, .. } => self.0.lock().expect("no test panics with it").push(packet),
            Input::Command(command) => match command.downcast::<Takes>() {
                Ok(takes) => out.takes(0, *takes),
                Err(command) => out.feedback(0, *command.downcast::<Feedback>().expect("nothing else is sent")),
            },
            _ => {}
        }
    }
}

struct Stage {
    bench: Bench,
    log: Arc<Mutex<Vec<String>>>,
    source: Element,
    source_heard: Seen,
}

impl Stage {
    fn new(coders: usize, most: usize) -> Self {
        let painter = Painter::default();
        let log = painter.0.clone();
        let parts = BenchParts {
            workers: 2,
            coders,
            toolbox: Arc::new(painter),
            converters_per_pipeline: most,
            ..BenchParts::default()
        };
        let mut bench = Bench::with(parts);
        let pipeline = bench.pipeline();
        let (spec, seen) = probe("source");
        let source = bench.run(pipeline.add(spec)).expect("a worker takes it");
        Stage { bench, log, source, source_heard: seen }
    }

    fn sink(&mut self, takes: Takes) -> (Element, Got) {
        let seen = Got::default();
        let inside = seen.clone();
        let port = PortSpec::new(MediaKind::Video, "default");
        let spec = NodeSpec {
            class: "Picky",
            label: "sink".to_owned(),
            inputs: vec![port],
            outputs: vec![port],
            build: Box::new(move |_| Box::new(Picky(inside))),
            worker: None,
        };
        let pipeline = self.source.pipeline();
        let element = self.bench.run(pipeline.add(spec)).expect("a worker takes it");
        self.bench.run(element.tell(takes)).expect("alive");
        (element, seen)
    }

    fn emit(&mut self, packet: Packet) {
        self.bench.run(self.source.tell(Tell::Emit(packet))).expect("alive");
        self.bench.advance(Duration::from_millis(1));
    }

    fn connect(&mut self, sink: &Element) -> Result<(), EngineError> {
        self.bench.run(self.source.connect(sink, &Selection::only(MediaKind::Video))).map(drop)
    }

    fn log(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut *self.log.lock().expect("no test panics with it"));
        log.retain(|line| !line.contains("KeyFrame"));
        log
    }

    fn told(&mut self) -> Vec<What> {
        self.bench.notices().into_iter().map(|notice| notice.what).collect()
    }

    fn transcoding(&mut self) -> Vec<bool> {
        let transcoding = |what| match what {
            What::Transcoding { transcoding, .. } => Some(transcoding),
            _ => None,
        };
        self.told().into_iter().filter_map(transcoding).collect()
    }
}

fn caps(seen: &Got) -> Vec<Caps> {
    seen.lock().expect("no test panics with it").drain(..).map(|packet| packet.caps).collect()
}

#[test]
fn what_a_sink_takes_goes_straight() {
    let mut stage = Stage::new(1, 9);
    let (sink, seen) = stage.sink(Takes::just(vp8()));
    stage.connect(&sink).expect("one pipeline");
    stage.emit(video(1, true));
    assert_eq!(caps(&seen), [vp8()]);
    assert_eq!(stage.transcoding(), [false]);
    assert!(stage.log().is_empty() && !stage.source.is_transcoding(MediaKind::Video));
}

#[test]
fn one_chain_serves_all_sinks_and_goes_with_the_last() {
    for coders in [0, 2] {
        let mut stage = Stage::new(coders, 9);
        let sinks: Vec<_> = (0..3).map(|_| stage.sink(Takes::just(h264()))).collect();
        for (sink, _) in &sinks {
            stage.connect(sink).expect("one pipeline");
        }
        stage.emit(video(1, true));
        stage.emit(video(2, true));
        for (_, seen) in &sinks {
            assert_eq!(caps(seen).last(), Some(&h264()), "{coders} coders");
        }
        assert_eq!(stage.log(), ["VP8/90000 to raw/90000: made at 300000", "raw/90000 to H264/90000: made at 300000"]);
        assert_eq!(stage.transcoding(), [true], "it is told once");
        assert!(stage.source.is_transcoding(MediaKind::Video) && !stage.source.is_transcoding(MediaKind::Audio));
        let dot = stage.bench.run(stage.source.pipeline().dot());
        assert!(dot.contains("Decoder") && dot.contains("Encoder"), "{dot}");

        // One more that wants the decoded picture shares the decoder.
        let (viewer, pictures) = stage.sink(Takes::just(raw()));
        stage.connect(&viewer).expect("one pipeline");
        stage.emit(video(3, true));
        assert_eq!(caps(&pictures).last(), Some(&raw()));
        assert!(stage.log().is_empty(), "nothing new is made");

        stage.bench.run(stage.source.set_coding(CodingSettings { bitrate: 7, ..CodingSettings::default() }));
        stage.bench.settle();
        let mut heard = stage.log();
        heard.sort();
        assert_eq!(heard, ["VP8/90000 to raw/90000: now 7", "raw/90000 to H264/90000: now 7"]);

        for (sink, _) in &sinks[..2] {
            stage.bench.run(stage.source.disconnect(sink, &Selection::only(MediaKind::Video)));
        }
        assert!(stage.log().is_empty());
        stage.bench.run(sinks[2].0.release());
        assert_eq!(stage.log(), ["raw/90000 to H264/90000: gone"]);
        stage.bench.run(stage.source.release());
        assert_eq!(stage.log(), ["VP8/90000 to raw/90000: gone"]);
        assert_eq!(stage.bench.nodes(), 3, "two sinks and the viewer");
        let counts = stage.bench.engine.converters();
        let one = ConverterCount { active: 0, begun: 1 };
        assert_eq!(counts, [((MediaKind::Video, "VP8", "raw"), one), ((MediaKind::Video, "raw", "H264"), one)]);
    }
}

#[test]
fn what_changes_on_either_side_moves_the_link() {
    let mut stage = Stage::new(1, 9);
    let (sink, seen) = stage.sink(Takes::Nothing);
    stage.connect(&sink).expect("one pipeline");
    stage.emit(video(1, true));
    assert!(stage.transcoding().is_empty(), "the sink has not said what it takes");
    caps(&seen);

    stage.bench.run(sink.tell(Takes::just(h264()))).expect("alive");
    stage.bench.settle();
    stage.emit(video(2, true));
    assert!(caps(&seen).iter().all(|caps| *caps == h264()), "renegotiated");
    assert_eq!(stage.transcoding(), [true]);

    let mut other = video(3, true);
    other.caps = h264();
    stage.emit(other.clone());
    stage.emit(other);
    assert_eq!(caps(&seen).last(), Some(&h264()), "the source gives what the sink takes by now");
    assert!(stage.log().iter().filter(|line| line.ends_with("gone")).count() == 2, "no converter is left");
    assert!(stage.transcoding().is_empty(), "that an output was transcoded is not taken back");
}

#[test]
fn what_nothing_converts_is_an_error_of_the_sink() {
    let mut stage = Stage::new(1, 9);
    let (sink, _) = stage.sink(Takes::just(Caps::video(Codec::Vp9, None)));
    stage.connect(&sink).expect("one pipeline");
    stage.emit(video(1, true));
    stage.emit(video(2, false));
    let errors = |what: &What| matches!(what, What::Error { kind: ErrorKind::Format, .. });
    assert_eq!(stage.told().iter().filter(|what| errors(what)).count(), 1);
}

#[test]
fn the_second_best_is_taken_where_nothing_leads_to_the_best() {
    let mut stage = Stage::new(1, 9);
    let wanted = vec![Caps::video(Codec::Vp9, None), h264()];
    let (sink, seen) = stage.sink(Takes::only(|caps| caps.codec() == Codec::H264, wanted));
    stage.connect(&sink).expect("one pipeline");
    stage.emit(video(1, true));
    stage.emit(video(2, true));
    assert_eq!(caps(&seen).last(), Some(&h264()));
}

#[test]
fn what_needs_no_coder_goes_before_what_the_sink_likes_best() {
    let mut stage = Stage::new(1, 9);
    let wanted = vec![h264(), Caps::video(Codec::Av1, None).frames(), vp8().frames()];
    let (sink, seen) = stage.sink(Takes::only(|caps| caps.form() == Form::Frames, wanted));
    stage.connect(&sink).expect("one pipeline");
    stage.emit(video(1, true));
    stage.emit(video(2, true));
    assert_eq!(caps(&seen).last(), Some(&vp8().frames()));
    assert!(!stage.source.is_transcoding(MediaKind::Video));
    // Nor does it wait behind those that code: both nodes are where the media is.
    let dot = stage.bench.run(stage.source.pipeline().dot());
    let on = |class: &str| {
        let (_, about) = dot.split_once(&format!("label=\"{class}\\n")).expect("it is drawn");
        about.split_once("worker ").expect("it is told").1.split('\\').next().expect("a number").to_owned()
    };
    assert_eq!(on("Unpacker"), on("Probe"));
}

#[test]
fn a_pipeline_has_no_more_converters_than_it_may() {
    let mut stage = Stage::new(1, 2);
    let (one, _) = stage.sink(Takes::just(h264()));
    let (two, _) = stage.sink(Takes::just(Caps::video(Codec::Av1, None)));
    let (early, _) = stage.sink(Takes::just(Caps::video(Codec::H265, None)));
    stage.connect(&early).expect("nothing is known of the source yet");
    stage.connect(&one).expect("one pipeline");
    stage.emit(video(1, true));
    let format = |what: &What| matches!(what, What::Error { kind: ErrorKind::Format, description } if description.contains("(2)"));
    assert_eq!(stage.told().iter().filter(|what| format(what)).count(), 1, "one of the two got none");
    assert_eq!(stage.connect(&two), Err(EngineError::TooManyConverters(2)));
    assert_eq!(two.sources(None, None), [], "a connection that is refused is not made");
}

#[test]
fn wishes_for_bitrates_end_at_the_encoder() {
    let mut stage = Stage::new(1, 9);
    let [(one, _), (two, _)] = [stage.sink(Takes::just(h264())), stage.sink(Takes::just(h264()))];
    stage.connect(&one).expect("one pipeline");
    stage.connect(&two).expect("one pipeline");
    stage.emit(video(1, true));
    stage.log();
    stage.source_heard.take();
    stage.bench.run(one.tell(Feedback::Bitrate(500_000))).expect("alive");
    stage.bench.run(two.tell(Feedback::Bitrate(400_000))).expect("alive");
    stage.bench.settle();
    let heard = stage.log();
    assert_eq!(heard.last().map(String::as_str), Some("raw/90000 to H264/90000: Bitrate(400000)"), "{heard:?}");
    assert!(stage.source_heard.take().is_empty(), "the publisher need not send less for them");
}

#[test]
fn a_source_that_changes_its_codec_with_every_packet_keeps_nobody_busy() {
    let mut stage = Stage::new(1, 9);
    let (sink, _) = stage.sink(Takes::just(h264()));
    stage.connect(&sink).expect("one pipeline");
    for n in 0..200 {
        let mut packet = video(n, true);
        packet.caps = if n % 2 == 0 { vp8() } else { Caps::video(Codec::Av1, None) };
        stage.emit(packet);
    }
    let made = stage.log().iter().filter(|line| line.contains("made")).count();
    assert!(made <= 2 * 4, "{made} converters were made");
    // It settles on what came last.
    for n in 200..210 {
        stage.emit(video(n, true));
        stage.bench.advance(Duration::from_millis(500));
    }
    assert!(stage.log().iter().any(|line| line.starts_with("VP8") && line.contains("made")));
}
