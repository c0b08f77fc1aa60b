//! Media over bad networks, on simulated time: a publisher behind a path that loses, delays and reorders; the real sessions
//! and graph; a viewer with a decoder's eye. Seeds are fixed, so that every run is the same; a minute takes about a second.
//!
//! What is measured is when whole frames that can be decoded reach the viewer: packets are forwarded as they come, those that
//! were lost later and with their own numbers, and the viewer puts them in order.

mod connection;
mod modern;
mod publisher;
mod together;
mod viewer;

use publisher::{Frames, Publisher, SSRC};
use rivero_engine::graph::Selection;
use rivero_engine::{MediaTime, Pipeline};
use rivero_transport::testing::{Quality, Simulation};
use rivero_transport::webrtc::{EndpointOptions, WebRtcConfig, WebRtcEndpoint};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use viewer::Viewer;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// There and back, to the publisher and to the viewer.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// A megabit a second.
const CAMERA: Frames = Frames { inter: 4, key: 20 };

fn link() -> Quality {
    Quality::perfect(ROUND_TRIP / 2)
}

struct Scene {
    simulation: Simulation,
    pipeline: Pipeline,
    publisher: Rc<RefCell<Publisher>>,
    viewer: Rc<RefCell<Viewer>>,
    /// Where they are in the simulation.
    places: [usize; 2],
    endpoints: [WebRtcEndpoint; 2],
    began: MediaTime,
}

impl Scene {
    /// Everyone is connected, and the first picture has reached the viewer, over perfect paths.
    fn open(seed: u64, frames: Frames, viewer_asks: bool, patience: Option<Duration>) -> Self {
        Self::open_as(false, seed, frames, viewer_asks, patience)
    }

    /// `modern`: the peers offer retransmission streams and transport-wide feedback, and the server takes them.
    fn open_as(modern: bool, seed: u64, frames: Frames, viewer_asks: bool, patience: Option<Duration>) -> Self {
        let mut simulation = Simulation::new();
        let pipeline = simulation.engine.pipeline("loss");
        let config = Arc::new(WebRtcConfig {
            certificate: simulation.certificate.clone(),
            audio_codecs: vec![],
            video_codecs: vec!["VP8/90000".parse().expect("a codec")],
            audio_lines: 0,
            video_lines: 1,
            modern: true,
        });
        let server = simulation.server();
        let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 5000 + u16::from(n)));
        let clock = simulation.clock.clone();
        let publisher = Rc::new(RefCell::new(Publisher::new(&clock, address(1), server, frames)));
        let viewer = Rc::new(RefCell::new(Viewer::new(&clock, address(2), patience)));
        let offers = [
            publisher.borrow().connection.offer("sendonly", Some(SSRC)),
            viewer.borrow().connection.offer("recvonly", None),
        ];
        let [(input, first), (output, second)] = offers
            .map(|offer| if modern { modern::additional(&offer) } else { offer })
            .map(|offer| answer(&mut simulation, &pipeline, &config, &offer));
        publisher.borrow_mut().modern = modern;
        publisher.borrow_mut().connection.join(&first, server);
        viewer.borrow_mut().connection.join(&second, server);
        viewer.borrow_mut().expect(&second, viewer_asks);
        let places =
            [simulation.place(publisher.clone(), link(), seed), simulation.place(viewer.clone(), link(), seed + 1)];
        simulation.run(input.element().connect(output.element(), &Selection::all())).expect("one pipeline");
        for _ in 0..100 {
            simulation.advance(50 * MS);
            if publisher.borrow().connection.connected && viewer.borrow().connection.connected {
                break;
            }
        }
        publisher.borrow_mut().start(simulation.now());
        simulation.advance(SECOND);
        assert!(!viewer.borrow().screen.shown.is_empty(), "the picture is there within a second");
        let began = simulation.now();
        Scene { simulation, pipeline, publisher, viewer, places, endpoints: [input, output], began }
    }

    /// The publisher's path, both ways.
    fn publish_over(&mut self, quality: Quality) {
        self.simulation.up(self.places[0]).quality = quality;
        self.simulation.down(self.places[0]).quality = quality;
    }

    fn view_over(&mut self, quality: Quality) {
        self.simulation.up(self.places[1]).quality = quality;
        self.simulation.down(self.places[1]).quality = quality;
    }

    fn advance(&mut self, by: Duration) {
        self.simulation.advance(by);
    }

    fn gap(&self, from: MediaTime) -> Duration {
        self.viewer.borrow().screen.longest_gap(from, self.simulation.now())
    }

    /// For whoever runs the tests with `--nocapture`.
    fn report(&self, name: &str) {
        let (publisher, viewer) = (self.publisher.borrow(), self.viewer.borrow());
        let screen = &viewer.screen;
        println!(
            "{name}: gap {:?}, shown {} of {}, skipped {}, packets {} of {}, late {}, nacked {}, resent {}, PLI {}, keys {}",
            self.gap(self.began),
            screen.shown.len(),
            publisher.frames(),
            screen.skipped,
            screen.packets,
            publisher.packets(),
            screen.late,
            publisher.nacked,
            publisher.resent,
            publisher.plis,
            publisher.key_frames,
        );
    }

    fn close(mut self) {
        self.simulation.run(self.pipeline.release());
        drop(self.endpoints);
    }
}

/// An endpoint that answers an offer and has gathered.
fn answer(
    simulation: &mut Simulation,
    pipeline: &Pipeline,
    config: &Arc<WebRtcConfig>,
    offer: &str,
) -> (WebRtcEndpoint, String) {
    let options = EndpointOptions { network_interfaces: vec!["lo".into()], ..EndpointOptions::default() };
    let made = WebRtcEndpoint::create(pipeline, "endpoint".into(), options, config.clone());
    let endpoint = simulation.run(made).expect("a worker takes it");
    let answer = simulation.run(endpoint.process_offer(offer)).expect("an answer");
    simulation.run(endpoint.gather_candidates()).expect("there is a loopback interface");
    (endpoint, answer)
}

/// The gap that a loss of 5 % may cause, there and back and there again for one that is lost twice.
const STEADY: Duration = Duration::from_millis(2 * 50 + 200);

/// A minute over a bad path to the publisher, then five seconds over a good one.
fn minute(name: &str, seed: u64, frames: Frames, quality: Quality) -> Outcome {
    let mut scene = Scene::open(seed, frames, false, None);
    scene.publish_over(quality);
    scene.advance(60 * SECOND);
    scene.report(name);
    let gap = scene.gap(scene.began);
    let outcome = scene.recover(gap);
    scene.close();
    outcome
}

struct Outcome {
    gap: Duration,
    skipped: u32,
    /// From the end of the loss until every frame comes on time again.
    recovery: Duration,
    plis: u32,
    nacked: u64,
    /// Datagrams of any kind, from the publisher.
    lost: u64,
}

impl Scene {
    fn recover(&mut self, gap: Duration) -> Outcome {
        let lost = self.simulation.up(self.places[0]).counts.lost;
        let skipped = self.viewer.borrow().screen.skipped;
        self.publish_over(link());
        let ended = self.simulation.now();
        self.advance(5 * SECOND);
        let publisher = self.publisher.borrow();
        let recovery = self.viewer.borrow().screen.steady_since(ended, publisher.frames()).since(ended);
        Outcome { gap, skipped, recovery, plis: publisher.plis, nacked: publisher.nacked, lost }
    }
}

#[test]
fn a_publisher_that_loses_packets_is_repaired_in_time() {
    for (percent, bound) in [(1.0, STEADY), (5.0, STEADY), (10.0, STEADY + 100 * MS)] {
        for seed in [1, 2, 3] {
            let outcome = minute(&format!("{percent} %"), seed, CAMERA, link().losing(percent / 100.0));
            assert!(outcome.gap <= bound, "{percent} %: {:?}", outcome.gap);
            assert!(outcome.recovery <= SECOND);
            assert_eq!(
                (outcome.skipped, outcome.plis),
                (0, 1),
                "nothing is given up; the one request was the viewer's start"
            );
            // Each lost packet, original or answer, is one request that arrives; a few lost ones are not media, and what was
            // asked for twice is asked for again before the answer can come.
            let Outcome { lost, nacked, .. } = outcome;
            assert!(lost >= 30 && nacked * 10 <= lost * 13 && nacked * 10 >= lost * 9, "{nacked} for {lost}");
        }
    }
}

#[test]
fn media_recovers_within_a_second_after_a_loss_of_twenty_percent() {
    for seed in [1, 2, 3] {
        for frames in [CAMERA, HD] {
            let outcome = minute("20 %", seed, frames, link().losing(0.2));
            assert!(outcome.recovery <= SECOND, "{:?}", outcome.recovery);
            assert!(outcome.gap <= 2 * SECOND, "and goes on meanwhile: {:?}", outcome.gap);
        }
    }
}

/// Four megabits a second. Its key frames are longer than what str0m remembers.
const HD: Frames = Frames { inter: 16, key: 120 };

#[test]
fn large_frames_are_repaired_as_well() {
    for seed in [1, 2, 3] {
        let outcome = minute("HD, 5 %", seed, HD, link().losing(0.05));
        assert!(outcome.gap <= STEADY, "{:?}", outcome.gap);
        assert_eq!((outcome.skipped, outcome.plis), (0, 1));
    }
}

#[test]
fn jitter_overtaking_and_duplicates_cost_nothing_but_requests() {
    let rough = link().jittering(10 * MS).reordering(0.1, 20 * MS).duplicating(0.05);
    let outcome = minute("rough", 1, CAMERA, rough);
    assert!(outcome.gap <= 100 * MS, "{:?}", outcome.gap);
    assert_eq!((outcome.skipped, outcome.plis), (0, 1));
    let outcome = minute("rough, 5 %", 1, CAMERA, rough.losing(0.05));
    assert!(outcome.gap <= STEADY + 2 * 2 * 10 * MS, "a round trip is 20 ms longer: {:?}", outcome.gap);
    assert_eq!((outcome.skipped, outcome.plis), (0, 1));
    let outcome = minute("overtaken at once", 1, CAMERA, link().reordering(0.1, 4 * MS));
    assert_eq!(outcome.nacked, 0, "what comes within 5 ms is not asked for");
}

#[test]
fn padding_that_is_overtaken_never_shares_a_number() {
    let mut scene = Scene::open(1, CAMERA, false, None);
    scene.publisher.borrow_mut().pads = true;
    scene.viewer.borrow_mut().screen.pads = true;
    scene.publish_over(link().reordering(0.2, 40 * MS));
    scene.advance(20 * SECOND);
    scene.report("padding");
    let screen = &scene.viewer.borrow().screen;
    assert!(screen.empty > 0, "some came too late to be left out: {}", screen.empty);
    assert_eq!(screen.skipped, 0);
    assert!(scene.gap(scene.began) <= 100 * MS);
}

#[test]
fn an_outage_ends_with_a_key_frame() {
    let mut scene = Scene::open(1, CAMERA, false, None);
    scene.publish_over(link().losing(1.0));
    scene.advance(3 * SECOND);
    let outcome = scene.recover(Duration::ZERO);
    scene.report("outage");
    assert!(outcome.recovery <= 200 * MS, "{:?}", outcome.recovery);
    assert_eq!((outcome.plis, outcome.nacked), (2, 0), "three seconds are not asked for packet by packet");
}

#[test]
fn what_the_publisher_cannot_send_again_is_healed_by_a_key_frame() {
    let mut scene = Scene::open(1, CAMERA, false, None);
    scene.publisher.borrow_mut().forgets = true;
    scene.publish_over(link().losing(0.01));
    scene.advance(20 * SECOND);
    scene.report("no answer to NACK");
    // Ten requests, then a key frame, of which something may be lost again.
    assert!(scene.gap(scene.began) <= 3 * SECOND);
    assert!(scene.publisher.borrow().plis > 5, "nobody but the server asks");
    assert!(scene.recover(Duration::ZERO).recovery <= SECOND + 200 * MS);
}

#[test]
fn a_viewer_that_loses_packets_gets_them_again_and_the_publisher_hears_nothing() {
    // The viewer's stack asks 33 ms late and again every 105 to 138 ms; the bounds are what its second, fourth and fifth
    // request make.
    for (percent, bound) in [(1.0, 300 * MS), (5.0, 600 * MS), (10.0, 750 * MS)] {
        let mut scene = Scene::open(1, CAMERA, true, None);
        scene.view_over(link().losing(percent / 100.0));
        scene.advance(60 * SECOND);
        scene.report(&format!("viewer {percent} %"));
        let gap = scene.gap(scene.began);
        assert!(gap <= bound, "{percent} %: {gap:?}");
        let [_, output] = &scene.endpoints;
        let report = scene.simulation.run(output.report()).expect("alive");
        let [sent] = &report.outbound[..] else { panic!("it sends video") };
        assert!(sent.nack > 0, "it asked");
        assert_eq!(scene.viewer.borrow().screen.skipped, 0);
        assert_eq!((scene.publisher.borrow().nacked, scene.publisher.borrow().plis), (0, 1));
        scene.close();
    }
}

#[test]
fn a_viewer_that_lost_the_picture_asks_and_gets_a_key_frame() {
    let mut scene = Scene::open(1, CAMERA, false, Some(300 * MS));
    scene.view_over(link().losing(0.02));
    scene.advance(20 * SECOND);
    scene.report("viewer without NACK");
    assert!(scene.viewer.borrow().asks > 5);
    // Patience, a request that may be lost, at most one key frame each half second, and one that may be lost as well.
    assert!(scene.gap(scene.began) <= 3 * SECOND, "{:?}", scene.gap(scene.began));
    let publisher = scene.publisher.borrow();
    assert!(publisher.plis <= scene.viewer.borrow().asks + 1);
    assert_eq!(publisher.nacked, 0, "nothing is lost on the way from the publisher");
}

#[test]
fn the_same_seed_is_the_same_minute() {
    let shown = || {
        let mut scene = Scene::open(7, CAMERA, false, None);
        scene.publish_over(link().losing(0.1).jittering(5 * MS).reordering(0.05, 10 * MS));
        scene.advance(10 * SECOND);
        let began = scene.began;
        let screen = &scene.viewer.borrow().screen;
        screen.shown.iter().filter(|shown| shown.at > began).copied().collect::<Vec<_>>()
    };
    assert_eq!(shown(), shown());
}
