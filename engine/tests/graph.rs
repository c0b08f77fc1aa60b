//! The graph as an application drives it: one thread, a manual clock, several workers, nothing left to chance.

use rivero_engine::graph::{Change, Selection};
use rivero_engine::hubs::{Dispatcher, OneToMany};
use rivero_engine::notice::{ErrorKind, What};
use rivero_engine::testing::{Bench, Sight, Tell, audio, message, probe, video};
use rivero_engine::{Element, EngineError, Feedback, MediaKind, Pipeline, elements};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One step of a change as text, with the elements' names.
fn told(changes: &[Change], names: &[(&str, &Element)]) -> String {
    let name = |id| names.iter().find(|(_, e)| e.id() == id).map_or("?", |(name, _)| *name);
    let step = |change: &Change| {
        let c = change.connection();
        let sign = if matches!(change, Change::Connected(_)) { '+' } else { '-' };
        format!("{sign}{}>{} {}", name(c.source), name(c.sink), c.kind)
    };
    changes.iter().map(step).collect::<Vec<_>>().join(", ")
}

fn add_probe(bench: &mut Bench, pipeline: &Pipeline, label: &str) -> (Element, rivero_engine::testing::Seen) {
    let (spec, seen) = probe(label);
    let element = bench.run(pipeline.add(spec)).expect("a worker takes it");
    (element, seen)
}

fn add_pass(bench: &mut Bench, pipeline: &Pipeline) -> Element {
    bench.run(pipeline.add(elements::pass_through("pass"))).expect("a worker takes it")
}

fn emit(bench: &mut Bench, from: &Element, packet: rivero_engine::Packet) {
    bench.run(from.tell(Tell::Emit(packet))).expect("the worker lives");
}

#[test]
fn media_crosses_workers_and_feedback_comes_back() {
    let mut bench = Bench::new(3);
    let pipeline = bench.pipeline();
    let (source, west) = add_probe(&mut bench, &pipeline, "source");
    let pass = add_pass(&mut bench, &pipeline);
    let (sink, east) = add_probe(&mut bench, &pipeline, "sink");
    let workers = [&source, &pass, &sink].map(|e| e.node().worker);
    assert_eq!(workers.iter().collect::<std::collections::HashSet<_>>().len(), 3, "each on a worker of its own");

    bench.run(source.connect(&pass, &Selection::all())).expect("same pipeline");
    bench.run(pass.connect(&sink, &Selection::all())).expect("same pipeline");
    assert!(west.key_requests() >= 1, "a new viewer asks for a key frame, all the way to the source");

    emit(&mut bench, &source, video(1, false));
    assert!(east.packets().is_empty(), "nothing passes before a key frame");
    for (at, key) in [(2, true), (3, false)] {
        emit(&mut bench, &source, video(at, key));
    }
    emit(&mut bench, &source, audio(4));
    let packets = east.packets();
    let seen: Vec<_> = packets.iter().map(|p| (p.kind(), p.key, p.discontinuity, p.hops())).collect();
    let expected =
        [(MediaKind::Video, true, true, 2), (MediaKind::Video, false, false, 2), (MediaKind::Audio, true, true, 2)];
    assert_eq!(seen, expected);
}

#[test]
fn connecting_tells_what_was_replaced() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let (a, _) = add_probe(&mut bench, &pipeline, "a");
    let (b, _) = add_probe(&mut bench, &pipeline, "b");
    let (c, seen) = add_probe(&mut bench, &pipeline, "c");
    let names = [("a", &a), ("b", &b), ("c", &c)];

    let changes = bench.run(a.connect(&c, &Selection::all())).expect("same pipeline");
    assert_eq!(told(&changes, &names), "+a>c AUDIO, +a>c VIDEO, +a>c DATA");
    let changes = bench.run(b.connect(&c, &Selection::only(MediaKind::Audio))).expect("same pipeline");
    assert_eq!(told(&changes, &names), "-a>c AUDIO, +b>c AUDIO");

    emit(&mut bench, &a, audio(1));
    assert!(seen.packets().is_empty(), "the first source is out");
    emit(&mut bench, &b, audio(2));
    emit(&mut bench, &a, video(3, true));
    emit(&mut bench, &a, message(b"hello"));
    assert_eq!(seen.packets().len(), 3);

    assert_eq!(c.sources(Some(MediaKind::Audio), None)[0].source, b.id());
    assert_eq!(a.sinks(None, None).len(), 2);
    assert_eq!(a.sinks(Some(MediaKind::Video), Some("default")).len(), 1);
    assert_eq!(a.sinks(Some(MediaKind::Video), Some("nope")).len(), 0);

    let changes = bench.run(a.disconnect(&c, &Selection::all()));
    assert_eq!(
        told(&changes, &names),
        "-a>c AUDIO, -a>c VIDEO, -a>c DATA",
        "audio was b's, and is reported all the same"
    );
    emit(&mut bench, &b, audio(4));
    assert_eq!(seen.packets().len(), 1, "b was not touched");

    let changes = bench.run(c.release());
    assert_eq!(told(&changes, &names), "-b>c AUDIO");
    assert_eq!(bench.run(b.connect(&c, &Selection::all())), Err(EngineError::Released));
}

#[test]
fn pipelines_do_not_mix() {
    let mut bench = Bench::new(1);
    let (one, two) = (bench.pipeline(), bench.pipeline());
    let a = add_pass(&mut bench, &one);
    let b = add_pass(&mut bench, &two);
    assert_eq!(bench.run(a.connect(&b, &Selection::all())), Err(EngineError::NotSamePipeline));
}

#[test]
fn an_element_may_be_its_own_sink() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let (a, seen) = add_probe(&mut bench, &pipeline, "a");
    bench.run(a.connect(&a, &Selection::all())).expect("loopback is ordinary");
    emit(&mut bench, &a, audio(1));
    assert_eq!(seen.packets().len(), 1);
}

#[test]
fn a_ring_that_nobody_feeds_is_quiet() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let ring: Vec<Element> = (0..3).map(|_| add_pass(&mut bench, &pipeline)).collect();
    let (viewer, seen) = add_probe(&mut bench, &pipeline, "viewer");
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        bench.run(ring[from].connect(&ring[to], &Selection::all())).expect("a ring may be made");
    }
    // The viewer's wish for a key frame goes round the ring, and must end.
    bench.run(ring[2].connect(&viewer, &Selection::all())).expect("same pipeline");
    bench.advance(ms(10_000));
    assert!(seen.packets().is_empty());
    assert!(bench.notices().is_empty());
}

/// Two pass-throughs in a ring cannot be fed from outside, since an input has one source: the packet must come from within.
#[test]
fn a_fed_ring_is_cut_after_thirty_two_links() {
    use rivero_engine::graph::NodeSpec;
    use rivero_engine::node::{DEFAULT_PORTS, Input, Node, Outbox};

    /// Passes on what comes in, and can start something itself.
    struct Spring;
    impl Node for Spring {
        fn handle(&mut self, input: Input, out: &mut Outbox) {
            match input {
                Input::Media { port, packet, .. } => out.media(port, packet),
                Input::Command(_) => out.media(0, audio(1)),
                _ => {}
            }
        }
    }
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let spring = NodeSpec {
        class: "Spring",
        label: "spring".into(),
        inputs: DEFAULT_PORTS.to_vec(),
        outputs: DEFAULT_PORTS.to_vec(),
        build: Box::new(|_| Box::new(Spring)),
        worker: None,
    };
    let spring = bench.run(pipeline.add(spring)).expect("a worker takes it");
    let pass = add_pass(&mut bench, &pipeline);
    bench.run(spring.connect(&pass, &Selection::all())).expect("same pipeline");
    bench.run(pass.connect(&spring, &Selection::all())).expect("same pipeline");
    bench.notices();
    bench.run(spring.tell(())).expect("alive");
    let rings = |bench: &mut Bench| {
        let notices = bench.notices();
        notices.iter().filter(|n| matches!(&n.what, What::Error { kind: ErrorKind::Ring, .. })).count()
    };
    assert_eq!(rings(&mut bench), 1);
    bench.run(spring.tell(())).expect("alive");
    assert_eq!(rings(&mut bench), 0, "said once a second at most");
    bench.advance(ms(1000));
    bench.run(spring.tell(())).expect("alive");
    assert_eq!(rings(&mut bench), 1);
}

#[test]
fn flow_is_reported_with_the_first_packet_and_two_to_four_seconds_after_the_last() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let (source, _) = add_probe(&mut bench, &pipeline, "source");
    let (sink, _) = add_probe(&mut bench, &pipeline, "sink");
    bench.run(source.connect(&sink, &Selection::all())).expect("same pipeline");
    let flows = |bench: &mut Bench| -> Vec<String> {
        let text = |n: rivero_engine::Notice| match n.what {
            What::FlowIn { kind, pad, flowing } => Some(format!("{} in {kind} {pad} {flowing}", n.element.0)),
            What::FlowOut { kind, pad, flowing } => Some(format!("{} out {kind} {pad} {flowing}", n.element.0)),
            _ => None,
        };
        bench.notices().into_iter().filter_map(text).collect()
    };
    let (s, k) = (source.id().0, sink.id().0);
    emit(&mut bench, &source, audio(0));
    emit(&mut bench, &source, message(b"data never tells"));
    assert_eq!(flows(&mut bench), [format!("{s} out AUDIO default true"), format!("{k} in AUDIO default true")]);
    let report = bench.run(sink.report()).expect("alive");
    assert!(report.input(MediaKind::Audio, None).expect("there is one").flowing);
    assert!(!report.input(MediaKind::Video, None).expect("there is one").flowing);

    for _ in 0..5 {
        bench.advance(ms(1000));
        emit(&mut bench, &source, audio(0));
    }
    assert_eq!(flows(&mut bench), Vec::<String>::new(), "it flows on: nothing to say");
    bench.advance(ms(1999));
    assert_eq!(flows(&mut bench), Vec::<String>::new());
    bench.advance(ms(2001));
    let mut stopped = flows(&mut bench);
    stopped.sort();
    assert_eq!(stopped, [format!("{s} out AUDIO default false"), format!("{k} in AUDIO default false")]);
}

#[test]
fn a_node_that_panics_is_unlinked_and_its_neighbours_go_on() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let (source, _) = add_probe(&mut bench, &pipeline, "source");
    let (victim, _) = add_probe(&mut bench, &pipeline, "victim");
    let (other, seen) = add_probe(&mut bench, &pipeline, "other");
    bench.run(source.connect(&victim, &Selection::all())).expect("same pipeline");
    bench.run(source.connect(&other, &Selection::all())).expect("same pipeline");
    bench.notices();
    bench.run(victim.tell(Tell::Panic)).expect("the worker lives");
    let errors: Vec<_> = bench.notices().into_iter().filter(|n| matches!(n.what, What::Error { .. })).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].element, victim.id());
    assert!(
        matches!(&errors[0].what, What::Error { kind: ErrorKind::Panic, description } if description.contains("told to"))
    );

    emit(&mut bench, &source, audio(1));
    assert_eq!(seen.packets().len(), 1, "the neighbour plays on");
    assert!(bench.run(victim.report()).is_none());
    let nodes = bench.nodes();
    bench.run(victim.release());
    assert_eq!(bench.nodes(), nodes, "it was gone already");
    bench.run(pipeline.release());
    assert_eq!(bench.nodes(), 0, "nothing is kept");
}

#[test]
fn a_worker_that_is_behind_costs_drops_up_to_a_key_frame_and_audio_last() {
    let mut bench = Bench::with_room(2, 2);
    let pipeline = bench.pipeline();
    let (source, west) = add_probe(&mut bench, &pipeline, "source");
    let (sink, seen) = add_probe(&mut bench, &pipeline, "sink");
    bench.run(source.connect(&sink, &Selection::all())).expect("same pipeline");
    emit(&mut bench, &source, video(0, true));
    seen.take();
    west.take();

    bench.stall(usize::from(sink.node().worker), true);
    for at in (10..2000).step_by(20) {
        bench.clock.advance(ms(20));
        emit(&mut bench, &source, video(at, false));
        emit(&mut bench, &source, audio(at));
    }
    let asked = west.key_requests();
    assert!((1..=3).contains(&asked), "the key frame is asked for, at most once a second: {asked}");
    bench.stall(usize::from(sink.node().worker), false);
    bench.advance(ms(50));
    emit(&mut bench, &source, video(2000, true));
    emit(&mut bench, &source, audio(2000));
    bench.advance(ms(50));
    let packets = seen.packets();
    let audio: Vec<u64> =
        packets.iter().filter(|p| p.kind() == MediaKind::Audio).map(|p| p.entered.as_nanos() / 1_000_000).collect();
    assert!(audio.len() <= 16, "200 ms and what was on the road: {audio:?}");
    assert!(audio.windows(2).all(|pair| pair[0] < pair[1]), "in order: {audio:?}");
    assert_eq!(audio.last(), Some(&2000));
    let after_gap = packets.iter().rfind(|p| p.kind() == MediaKind::Video).expect("video came back");
    assert!(after_gap.key && after_gap.discontinuity, "with a key frame, and it says that something is missing");
    let report = bench.run(source.report()).expect("alive");
    let dropped: u64 = report.outputs.iter().flat_map(|o| &o.links).map(|link| link.dropped).sum();
    let sent: u64 = report.outputs.iter().map(|o| o.packets).sum();
    assert_eq!(dropped + packets.len() as u64 + 1, sent, "every packet is accounted for");
}

#[test]
fn latency_is_measured_when_asked() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let (source, _) = add_probe(&mut bench, &pipeline, "source");
    let (sink, _) = add_probe(&mut bench, &pipeline, "sink");
    bench.run(source.connect(&sink, &Selection::all())).expect("same pipeline");
    bench.clock.advance(ms(7));
    emit(&mut bench, &source, audio(0));
    let latency = |bench: &mut Bench, e: &Element| {
        bench.run(e.report()).expect("alive").input(MediaKind::Audio, None).and_then(|port| port.latency)
    };
    assert_eq!(latency(&mut bench, &sink), None);
    bench.run(pipeline.set_latency_stats(true)).expect("alive");
    emit(&mut bench, &source, audio(0));
    assert_eq!(latency(&mut bench, &sink), Some(7e6));
    let (late, _) = add_probe(&mut bench, &pipeline, "late");
    bench.run(source.connect(&late, &Selection::all())).expect("same pipeline");
    emit(&mut bench, &source, audio(2));
    assert_eq!(latency(&mut bench, &late), Some(5e6), "an element that comes later measures too");
    bench.run(pipeline.set_latency_stats(false)).expect("alive");
    assert_eq!(latency(&mut bench, &sink), None);
}

#[test]
fn a_dispatcher_sends_each_port_one_source() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let hub = Dispatcher::new(pipeline.clone());
    let mut around = Vec::new();
    for label in ["a", "b", "c"] {
        let (element, seen) = add_probe(&mut bench, &pipeline, label);
        let port = bench.run(hub.add_port(label.into())).expect("a worker takes it");
        bench.run(element.connect(&port, &Selection::all())).expect("same pipeline");
        bench.run(port.connect(&element, &Selection::all())).expect("same pipeline");
        around.push((element, port, seen));
    }
    let [(a, port_a, seen_a), (b, port_b, _), (_, port_c, seen_c)] = around.try_into().ok().expect("three");
    emit(&mut bench, &a, audio(1));
    assert!(seen_c.packets().is_empty(), "nothing is routed yet");
    bench.run(hub.connect(&port_a, &port_c)).expect("its own ports");
    bench.run(hub.connect(&port_a, &port_a)).expect("back to itself");
    emit(&mut bench, &a, audio(2));
    emit(&mut bench, &a, message(b"data is not dispatched"));
    assert_eq!((seen_a.packets().len(), seen_c.packets().len()), (1, 1));
    bench.run(hub.connect(&port_b, &port_c)).expect("its own ports");
    emit(&mut bench, &a, audio(3));
    emit(&mut bench, &b, video(4, true));
    let kinds: Vec<_> = seen_c.packets().iter().map(|p| p.kind()).collect();
    assert_eq!(kinds, [MediaKind::Video], "b replaced a");
    assert_eq!(port_c.sources(None, None).len(), 3, "the application's own connections only");

    let other = Dispatcher::new(pipeline.clone());
    let foreign = bench.run(other.add_port("x".into())).expect("a worker takes it");
    assert_eq!(bench.run(hub.connect(&foreign, &port_c)), Err(EngineError::NotOfThisHub));
}

#[test]
fn one_to_many_reaches_every_port_and_late_comers() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let hub = OneToMany::new(pipeline.clone());
    let (source, seen_source) = add_probe(&mut bench, &pipeline, "source");
    let port = bench.run(hub.add_port("source".into())).expect("a worker takes it");
    bench.run(source.connect(&port, &Selection::all())).expect("same pipeline");
    bench.run(port.connect(&source, &Selection::all())).expect("same pipeline");
    let (early, seen_early) = add_probe(&mut bench, &pipeline, "early");
    let early_port = bench.run(hub.add_port("early".into())).expect("a worker takes it");
    bench.run(early_port.connect(&early, &Selection::all())).expect("same pipeline");
    bench.run(hub.set_source(&port)).expect("its own port");
    let (late, seen_late) = add_probe(&mut bench, &pipeline, "late");
    let late_port = bench.run(hub.add_port("late".into())).expect("a worker takes it");
    bench.run(late_port.connect(&late, &Selection::all())).expect("same pipeline");

    emit(&mut bench, &source, audio(1));
    let counts = [&seen_source, &seen_early, &seen_late].map(|seen| seen.packets().len());
    assert_eq!(counts, [1, 1, 1], "the source's own port included");
    bench.run(hub.remove_source());
    emit(&mut bench, &source, audio(2));
    let counts = [&seen_source, &seen_early, &seen_late].map(|seen| seen.packets().len());
    assert_eq!(counts, [0, 0, 0]);
}

#[test]
fn the_drawing_shows_what_flows() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let (source, _) = add_probe(&mut bench, &pipeline, "cam\"era");
    let (sink, _) = add_probe(&mut bench, &pipeline, "screen");
    bench.run(source.connect(&sink, &Selection::only(MediaKind::Video))).expect("same pipeline");
    emit(&mut bench, &source, video(1, true));
    emit(&mut bench, &source, video(2, false));
    let dot = bench.run(pipeline.dot());
    let expected = r#"digraph "test" {
  rankdir=LR;
  node [shape=box, style=rounded, fontname="sans-serif"];
  edge [fontname="sans-serif", fontsize=10];
  "e1" [label="Probe\ncam\"era\nworker 0\nVIDEO VP8/90000 out 2"];
  "e2" [label="Probe\nscreen\nworker 0"];
  "e1" -> "e2" [label="VIDEO VP8/90000\n2 packets, 0 dropped", style=solid];
}
"#;
    assert_eq!(dot, expected);
}

#[test]
fn a_late_viewer_is_served_from_the_group_of_pictures_and_the_publisher_hears_nothing() {
    let mut bench = Bench::new(3);
    let pipeline = bench.pipeline();
    let (source, west) = add_probe(&mut bench, &pipeline, "source");
    let (early, seen_early) = add_probe(&mut bench, &pipeline, "early");
    bench.run(source.connect(&early, &Selection::all())).expect("same pipeline");
    for at in (0..500).step_by(40) {
        emit(&mut bench, &source, video(at, at == 80));
    }
    assert_eq!(seen_early.packets().len(), 11, "from the key frame on");
    west.take();
    let late: Vec<_> = (0..100).map(|n| add_probe(&mut bench, &pipeline, &format!("late {n}"))).collect();
    for (element, seen) in &late {
        bench.run(source.connect(element, &Selection::all())).expect("same pipeline");
        let packets = seen.packets();
        assert_eq!(packets.len(), 11, "at once, without waiting for anything");
        assert!(packets[0].key && packets[0].discontinuity && !packets[1].discontinuity);
    }
    emit(&mut bench, &source, video(520, false));
    assert!(late.iter().all(|(_, seen)| seen.packets().len() == 1), "and then what everybody gets");

    // One that could not use what it got begins again, through an element in between too.
    let pass = add_pass(&mut bench, &pipeline);
    let (viewer, seen) = add_probe(&mut bench, &pipeline, "viewer");
    bench.run(source.connect(&pass, &Selection::all())).expect("same pipeline");
    bench.run(pass.connect(&viewer, &Selection::all())).expect("same pipeline");
    assert_eq!(seen.packets().len(), 12);
    bench.run(viewer.tell(Tell::Say(rivero_engine::Feedback::Start))).expect("alive");
    assert_eq!(seen.packets().len(), 12);
    assert_eq!(west.key_requests(), 0, "the publisher was never asked");

    // Without a group it is asked once.
    let (idle, idle_west) = add_probe(&mut bench, &pipeline, "idle");
    bench.run(idle.connect(&viewer, &Selection::all())).expect("same pipeline");
    assert_eq!(idle_west.key_requests(), 1);
}

#[test]
fn what_comes_with_the_group_of_pictures_comes_after_it() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let (source, _) = add_probe(&mut bench, &pipeline, "source");
    let (viewer, seen) = add_probe(&mut bench, &pipeline, "viewer");
    bench.run(source.connect(&viewer, &Selection::all())).expect("same pipeline");
    for at in [0, 40, 80] {
        emit(&mut bench, &source, video(at, at == 0));
    }
    seen.take();
    // In one pass: the viewer begins again, and the next packet is on its way already.
    bench.run(async {
        viewer.tell(Tell::Say(rivero_engine::Feedback::Start)).await.expect("alive");
        source.tell(Tell::Emit(video(120, false))).await.expect("alive");
    });
    let times: Vec<_> = seen.packets().iter().map(|p| (p.entered.as_nanos() / 1_000_000, p.discontinuity)).collect();
    assert_eq!(times, [(0, true), (40, false), (80, false), (120, false)]);
}

#[test]
fn a_full_consumer_of_data_holds_up_its_producer_but_hardly_those_beside_it() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let (source, heard) = add_probe(&mut bench, &pipeline, "source");
    let (slow, _) = add_probe(&mut bench, &pipeline, "slow");
    let (other, _) = add_probe(&mut bench, &pipeline, "other");
    let ask = |bench: &mut Bench| {
        heard.take();
        bench.run(slow.tell(Tell::Say(Feedback::Wait(ms(3000))))).expect("the worker lives");
        let waits = heard.take().into_iter().filter_map(|sight| match sight {
            Sight::Feedback(Feedback::Wait(time)) => Some(time),
            _ => None,
        });
        waits.collect::<Vec<_>>()
    };
    assert_eq!(ask(&mut bench), [], "nobody feeds it");
    bench.run(source.connect(&slow, &Selection::all())).expect("same pipeline");
    assert_eq!(ask(&mut bench), [ms(3000)]);
    bench.run(source.connect(&other, &Selection::all())).expect("same pipeline");
    assert_eq!(ask(&mut bench), [ms(100)]);
    bench.run(source.disconnect(&other, &Selection::all()));
    assert_eq!(ask(&mut bench), [ms(3000)]);
}
