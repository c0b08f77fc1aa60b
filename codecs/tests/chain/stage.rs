//! A graph with one source and any number of sinks, each of which says what it takes.

use rivero_codecs::convert::Converters;
use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::{Bench, BenchParts};
use rivero_engine::{
    Caps, CodingSettings, Element, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet, Takes, What,
};
use std::sync::{Arc, Mutex};

type Shared<T> = Arc<Mutex<Vec<T>>>;

/// Packets for its output come as a command; what it hears is noted with the time.
struct Source(Shared<(MediaTime, Feedback)>);

impl Node for Source {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Command(command) => {
                let packets = command.downcast::<Vec<Packet>>().unwrap();
                packets.into_iter().for_each(|packet| out.media(0, packet));
            }
            Input::Feedback { feedback, .. } => self.0.lock().unwrap().push((out.now(), feedback)),
            _ => {}
        }
    }
}

/// Says what it takes, or something of its input, when it is told to; notes what comes, with the time.
struct Sink(Shared<(MediaTime, Packet)>);

impl Node for Sink {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, .. } => self.0.lock().unwrap().push((out.now(), packet)),
            Input::Command(command) => match command.downcast::<Takes>() {
                Ok(takes) => out.takes(0, *takes),
                Err(command) => out.feedback(0, *command.downcast::<Feedback>().unwrap()),
            },
            _ => {}
        }
    }
}

pub struct Stage {
    pub bench: Bench,
    pub source: Element,
    heard: Shared<(MediaTime, Feedback)>,
    kind: MediaKind,
}

/// One sink.
pub struct End {
    pub element: Element,
    caps: Caps,
    got: Shared<(MediaTime, Packet)>,
}

impl End {
    /// Takes what came in the format that it asked for, with the time at which it came.
    pub fn take(&self) -> Vec<(MediaTime, Packet)> {
        let mut all = std::mem::take(&mut *self.got.lock().unwrap());
        // Until the source's format is known, its packets come here straight.
        all.retain(|(_, packet)| packet.caps == self.caps);
        all
    }

    pub fn packets(&self) -> Vec<Packet> {
        self.take().into_iter().map(|(_, packet)| packet).collect()
    }
}

impl Stage {
    pub fn new(kind: MediaKind) -> Self {
        let parts = BenchParts { coders: 2, toolbox: Arc::new(Converters), ..BenchParts::default() };
        let mut bench = Bench::with(parts);
        let pipeline = bench.pipeline();
        let (source, heard) = add_source(&mut bench, &pipeline, kind);
        Stage { bench, source, heard, kind }
    }

    /// Another source in the same pipeline; the stage is about that one from now on. Answers the one before.
    pub fn another_source(&mut self, kind: MediaKind) -> Element {
        let pipeline = self.source.pipeline();
        let (source, heard) = add_source(&mut self.bench, &pipeline, kind);
        (self.heard, self.kind) = (heard, kind);
        std::mem::replace(&mut self.source, source)
    }

    /// A sink of the source that takes packets with these caps.
    pub fn sink(&mut self, to: &Caps) -> End {
        // An encoder leaves out what does not change its packets; a peer knows what is meant.
        let caps =
            match rivero_engine::Toolbox::steps(&Converters, &rivero_codecs::convert::raw(self.kind).unwrap(), to) {
                Some(steps) => steps.last().unwrap().to.clone(),
                None => to.clone(),
            };
        let got = Shared::default();
        let inside = got.clone();
        let spec = spec(self.kind, "sink", move || Box::new(Sink(inside)));
        let element = self.bench.run(self.source.pipeline().add(spec)).unwrap();
        self.bench.run(element.tell(Takes::just(to.clone()))).unwrap();
        self.bench.run(self.source.connect(&element, &Selection::only(self.kind))).unwrap();
        End { element, caps, got }
    }

    /// Lets the time come, and the source write these.
    pub fn send(&mut self, at: MediaTime, packets: Vec<Packet>) {
        self.wait_until(at);
        let source = self.source.clone();
        self.send_from(&source, packets);
    }

    pub fn send_from(&mut self, source: &Element, packets: Vec<Packet>) {
        self.bench.run(source.tell(packets)).unwrap();
        self.bench.settle();
    }

    pub fn wait_until(&mut self, at: MediaTime) {
        let now = self.now();
        self.bench.advance(at.since(now));
    }

    pub fn now(&self) -> MediaTime {
        rivero_engine::Clock::now(&*self.bench.clock)
    }

    /// What the source has heard since the last call.
    pub fn heard(&self) -> Vec<(MediaTime, Feedback)> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    pub fn key_requests(&self) -> usize {
        self.heard().into_iter().filter(|(_, feedback)| *feedback == Feedback::KeyFrame).count()
    }

    pub fn say(&mut self, end: &End, feedback: Feedback) {
        self.bench.run(end.element.tell(feedback)).unwrap();
        self.bench.settle();
    }

    pub fn set(&mut self, settings: CodingSettings) {
        self.bench.run(self.source.set_coding(settings));
        self.bench.settle();
    }

    /// What was complained about since the last call.
    pub fn errors(&mut self) -> Vec<String> {
        let error = |what| match what {
            What::Error { description, .. } => Some(description),
            _ => None,
        };
        self.bench.notices().into_iter().filter_map(|notice| error(notice.what)).collect()
    }
}

fn add_source(
    bench: &mut Bench,
    pipeline: &rivero_engine::Pipeline,
    kind: MediaKind,
) -> (Element, Shared<(MediaTime, Feedback)>) {
    let heard = Shared::default();
    let inside = heard.clone();
    let source = spec(kind, "source", move || Box::new(Source(inside)));
    (bench.run(pipeline.add(source)).unwrap(), heard)
}

fn spec(kind: MediaKind, label: &str, make: impl FnOnce() -> Box<dyn Node> + Send + 'static) -> NodeSpec {
    let port = PortSpec::new(kind, DEFAULT);
    NodeSpec {
        class: "Test",
        label: label.to_owned(),
        inputs: vec![port],
        outputs: vec![port],
        build: Box::new(move |_| make()),
        worker: None,
    }
}
