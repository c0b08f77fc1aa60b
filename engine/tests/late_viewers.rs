//! Whoever comes late gets what has been since the last key frame, in portions, and what comes meanwhile behind it.

use bytes::Bytes;
use rivero_engine::graph::Selection;
use rivero_engine::packet::Rtp;
use rivero_engine::testing::{Bench, Seen, Tell, probe};
use rivero_engine::{Body, Caps, Codec, Element, Feedback, MediaKind, MediaTime, Packet, Pipeline};
use std::sync::Arc;
use std::time::Duration;

/// At most so many packets are handed over at once.
const PORTION: usize = 16;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct House {
    bench: Bench,
    pipeline: Pipeline,
}

/// Sends a packet of 1000 bytes every 10 ms.
struct Camera {
    element: Element,
    west: Seen,
    next: u64,
}

impl House {
    fn new(workers: usize) -> Self {
        Self::with(Bench::new(workers))
    }

    fn with(bench: Bench) -> Self {
        let pipeline = bench.pipeline();
        House { bench, pipeline }
    }

    fn probe(&mut self, label: &str) -> (Element, Seen) {
        let (spec, seen) = probe(label);
        (self.bench.run(self.pipeline.add(spec)).expect("a worker takes it"), seen)
    }

    fn camera(&mut self) -> Camera {
        let (element, west) = self.probe("camera");
        Camera { element, west, next: 0 }
    }

    fn connect(&mut self, from: &Element, to: &Element) {
        self.bench.run(from.connect(to, &Selection::only(MediaKind::Video))).expect("same pipeline");
    }

    /// Emits now.
    fn shoot(&mut self, camera: &mut Camera, key: bool) {
        let rtp = Rtp {
            ssrc: 1,
            sequence: camera.next,
            timestamp: camera.next as u32 * 900,
            marker: true,
            payload: Bytes::from_static(&[0; 1000]),
        };
        let entered = MediaTime::from_millis(camera.next * 10);
        let packet = Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), entered).key(key);
        camera.next += 1;
        self.bench.run(camera.element.tell(Tell::Emit(packet))).expect("the worker lives");
    }

    /// Runs for so many packets, the first of them a key frame if `key`.
    fn film(&mut self, camera: &mut Camera, packets: u64, key: bool) {
        for n in 0..packets {
            self.bench.advance(ms(10));
            self.shoot(camera, key && n == 0);
        }
    }

    /// Films a second, so that there is a group of a hundred packets, and forgets the requests.
    fn filmed(&mut self) -> Camera {
        let mut camera = self.camera();
        self.film(&mut camera, 100, true);
        camera.west.take();
        camera
    }
}

/// The numbers of what was seen, each with whether it follows a gap.
fn numbers(packets: &[Packet]) -> Vec<(u64, bool)> {
    let number = |packet: &Packet| match &packet.body {
        Body::Rtp(rtp) => (rtp.sequence, packet.discontinuity),
        _ => panic!("video only"),
    };
    packets.iter().map(number).collect()
}

/// All packets of a range in order, the first after a gap.
fn all(range: std::ops::Range<u64>) -> Vec<(u64, bool)> {
    let first = range.start;
    range.map(|number| (number, number == first)).collect()
}

#[test]
fn the_group_comes_in_portions_and_live_packets_behind_it() {
    for workers in [1, 2] {
        let mut house = House::new(workers);
        let mut camera = house.filmed();
        let (viewer, seen) = house.probe("viewer");
        let far = viewer.node().worker != camera.element.node().worker;
        assert_eq!(far, workers == 2);
        house.connect(&camera.element, &viewer);
        let mut got = seen.packets();
        assert_eq!(got.len(), PORTION, "the first portion at once");
        // 500,000 bytes a second while 100,000 come: the backlog of 84 packets is gone after some 210 ms.
        let mut caught_up = None;
        for step in 1..=60 {
            house.bench.advance(ms(5));
            if step % 2 == 0 {
                house.shoot(&mut camera, false);
            }
            let portion = seen.packets();
            assert!(portion.len() <= 4, "never faster than the pace: {} packets", portion.len());
            got.extend(portion);
            if caught_up.is_none() && got.len() as u64 == camera.next {
                caught_up = Some(step * 5);
            }
        }
        assert!((190..=230).contains(&caught_up.expect("it catches up")), "{caught_up:?} ms");
        assert_eq!(numbers(&got), all(0..camera.next), "in order, none missing, none twice");
        assert!(got[0].key);
        house.shoot(&mut camera, false);
        assert_eq!(seen.packets().len(), 1, "an ordinary viewer again: at once");
        assert_eq!(camera.west.key_requests(), 0, "the publisher was never asked");
    }
}

#[test]
fn a_fast_stream_is_overtaken_at_four_times_its_pace() {
    let mut house = House::new(1);
    let mut camera = house.camera();
    // 8 Mbps: ten packets every 10 ms.
    let film = |house: &mut House, camera: &mut Camera, ticks: u64, key: bool| {
        for tick in 0..ticks {
            house.bench.advance(ms(10));
            for n in 0..10 {
                let at = MediaTime::from_millis(camera.next);
                let rtp = Rtp {
                    ssrc: 1,
                    sequence: camera.next,
                    timestamp: camera.next as u32,
                    marker: true,
                    payload: Bytes::from_static(&[0; 1000]),
                };
                let packet = Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), at);
                camera.next += 1;
                let packet = packet.key(key && tick == 0 && n == 0);
                house.bench.run(camera.element.tell(Tell::Emit(packet))).expect("the worker lives");
            }
        }
    };
    film(&mut house, &mut camera, 100, true);
    camera.west.take();
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera.element, &viewer);
    film(&mut house, &mut camera, 60, false);
    assert_eq!(numbers(&seen.packets()), all(0..camera.next));
    film(&mut house, &mut camera, 1, false);
    assert_eq!(seen.packets().len(), 10);
    assert_eq!(camera.west.key_requests(), 0);
}

#[test]
fn many_late_viewers_at_once_each_get_everything() {
    let mut house = House::new(3);
    let mut camera = house.filmed();
    let mut viewers = Vec::new();
    for n in 0..30 {
        let (viewer, seen) = house.probe(&format!("viewer {n}"));
        house.connect(&camera.element, &viewer);
        viewers.push(seen);
        if n % 7 == 0 {
            house.film(&mut camera, 2, false);
        }
    }
    house.film(&mut camera, 60, false);
    for seen in &viewers {
        assert_eq!(numbers(&seen.packets()), all(0..camera.next));
    }
    assert_eq!(camera.west.key_requests(), 0);
}

#[test]
fn one_who_leaves_or_comes_back_while_catching_up_disturbs_nobody() {
    let mut house = House::new(2);
    let mut camera = house.filmed();
    let [leaves, stays, returns] = ["leaves", "stays", "returns"].map(|label| house.probe(label));
    for (viewer, _) in [&leaves, &stays, &returns] {
        house.connect(&camera.element, viewer);
    }
    house.film(&mut camera, 2, false);
    house.bench.run(leaves.0.release());
    house.bench.run(camera.element.disconnect(&returns.0, &Selection::all()));
    assert!(returns.1.packets().len() < 60, "it was behind");
    house.film(&mut camera, 2, false);
    assert!(returns.1.packets().is_empty());
    house.connect(&camera.element, &returns.0);
    house.film(&mut camera, 60, false);
    assert!(leaves.1.packets().len() < 60);
    assert_eq!(numbers(&stays.1.packets()), all(0..camera.next));
    assert_eq!(numbers(&returns.1.packets()), all(0..camera.next), "from the beginning again");

    // The publisher leaves while somebody is behind.
    let (last, seen) = house.probe("last");
    house.connect(&camera.element, &last);
    house.bench.run(camera.element.release());
    house.bench.advance(ms(1000));
    assert!(seen.packets().len() <= PORTION + 4);
}

#[test]
fn a_key_frame_while_catching_up_ends_the_wait() {
    for workers in [1, 2] {
        let mut house = House::new(workers);
        let mut camera = house.filmed();
        let (viewer, seen) = house.probe("viewer");
        house.connect(&camera.element, &viewer);
        house.film(&mut camera, 2, false);
        house.bench.advance(ms(10));
        let before = seen.packets();
        assert!((PORTION..40).contains(&before.len()));
        let at = camera.next;
        house.shoot(&mut camera, true);
        house.film(&mut camera, 30, false);
        assert_eq!(numbers(&seen.packets()), all(at..camera.next), "the rest of the old group is left out");
        let report = house.bench.run(camera.element.report()).expect("alive");
        let link = &report.output(MediaKind::Video, None).expect("there is one").links[0];
        assert_eq!(link.dropped + link.packets, camera.next, "and counted");
        assert_eq!(camera.west.key_requests(), 0);
    }
}

#[test]
fn another_source_while_catching_up() {
    let mut house = House::new(2);
    let mut first = house.filmed();
    let mut second = house.camera();
    house.film(&mut second, 50, true);
    let (viewer, seen) = house.probe("viewer");
    house.connect(&first.element, &viewer);
    house.film(&mut first, 2, false);
    assert!((PORTION..40).contains(&seen.packets().len()));
    house.connect(&second.element, &viewer);
    house.film(&mut first, 10, false);
    house.film(&mut second, 20, false);
    assert_eq!(numbers(&seen.packets()), all(0..second.next), "of the second only");
}

#[test]
fn one_who_is_ready_only_now_begins_again() {
    let mut house = House::new(2);
    let mut camera = house.filmed();
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera.element, &viewer);
    house.film(&mut camera, 2, false);
    seen.take();
    house.bench.run(viewer.tell(Tell::Say(Feedback::Start))).expect("alive");
    house.film(&mut camera, 60, false);
    assert_eq!(numbers(&seen.packets()), all(0..camera.next));
    assert_eq!(camera.west.key_requests(), 0);
}

#[test]
fn a_far_worker_that_is_a_little_behind_is_waited_for() {
    let mut house = House::with(Bench::with_room(2, 1));
    let mut camera = house.filmed();
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera.element, &viewer);
    let far = usize::from(viewer.node().worker);
    house.bench.stall(far, true);
    house.film(&mut camera, 20, false);
    house.bench.stall(far, false);
    house.film(&mut camera, 60, false);
    assert_eq!(numbers(&seen.packets()), all(0..camera.next), "late, but whole");
    assert_eq!(camera.west.key_requests(), 0);
}

#[test]
fn a_far_worker_that_is_far_behind_costs_a_key_frame() {
    let mut house = House::with(Bench::with_room(2, 1));
    let mut camera = house.filmed();
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera.element, &viewer);
    let far = usize::from(viewer.node().worker);
    house.bench.stall(far, true);
    house.film(&mut camera, 150, false);
    assert_eq!(camera.west.key_requests(), 2, "asked for, and once more after a second");
    house.bench.stall(far, false);
    house.film(&mut camera, 60, false);
    let before = numbers(&seen.packets());
    assert_eq!(before, all(0..before.len() as u64), "what had arrived, whole");
    assert!((100..110).contains(&before.len()));
    camera.west.take();
    let at = camera.next;
    house.film(&mut camera, 10, true);
    assert_eq!(numbers(&seen.packets()), all(at..camera.next));
}
