//! A worker at its limit leaves out video up to key frames, for everybody alike; audio never.

use bytes::Bytes;
use rivero_engine::graph::Selection;
use rivero_engine::notice::{ElementId, What};
use rivero_engine::packet::Rtp;
use rivero_engine::shard::ALL;
use rivero_engine::testing::{Bench, Seen, Tell, audio, message, probe};
use rivero_engine::{Body, Caps, Codec, Element, MediaKind, MediaTime, Packet, Pipeline, elements};
use std::sync::Arc;
use std::time::Duration;

/// 25 frames a second, three packets each.
const FRAME: u64 = 40;
const PACKETS: u64 = 3;

struct House {
    bench: Bench,
    pipeline: Pipeline,
    cameras: Vec<Camera>,
    ms: u64,
}

struct Camera {
    element: Element,
    west: Seen,
    sequence: u64,
    /// Sends a key frame so often, in ms, beside those that it is asked for.
    every: Option<u64>,
    asked: bool,
    requests: Vec<u64>,
}

impl House {
    fn new() -> Self {
        let bench = Bench::new(1);
        let pipeline = bench.pipeline();
        House { bench, pipeline, cameras: Vec::new(), ms: 0 }
    }

    fn probe(&mut self, label: &str) -> (Element, Seen) {
        let (spec, seen) = probe(label);
        (self.bench.run(self.pipeline.add(spec)).expect("a worker takes it"), seen)
    }

    fn camera(&mut self, every: Option<u64>) -> Element {
        let (element, west) = self.probe("camera");
        self.cameras.push(Camera { element: element.clone(), west, sequence: 0, every, asked: true, requests: vec![] });
        element
    }

    fn connect(&mut self, from: &Element, to: &Element) {
        self.bench.run(from.connect(to, &Selection::all())).expect("same pipeline");
    }

    /// All cameras take a picture and say something.
    fn frame(&mut self) {
        let (ms, bench) = (self.ms, &mut self.bench);
        for camera in &mut self.cameras {
            if camera.west.key_requests() > 0 {
                camera.requests.push(ms);
                camera.asked = true;
            }
            let key = std::mem::take(&mut camera.asked) | camera.every.is_some_and(|every| ms % every == 0);
            let packets: Vec<Packet> = (0..PACKETS).map(|n| video(camera.sequence + n, ms, key && n == 0)).collect();
            camera.sequence += PACKETS;
            for packet in packets.into_iter().chain([audio(ms), message(b"data")]) {
                bench.run(camera.element.tell(Tell::Emit(packet))).expect("alive");
            }
        }
        bench.advance(Duration::from_millis(FRAME));
        self.ms += FRAME;
    }

    /// One second after the other, each with the worker's load.
    fn seconds(&mut self, loads: &[u32]) {
        for load in loads {
            for _ in 0..1000 / FRAME {
                self.frame();
            }
            self.bench.load(0, *load);
        }
    }

    /// The shares that were told since the last call.
    fn told(&mut self) -> Vec<u8> {
        let share = |notice: rivero_engine::Notice| match notice.what {
            What::Overload { worker: 0, share } => {
                assert_eq!(notice.element, ElementId::NONE);
                Some(share)
            }
            _ => None,
        };
        self.bench.notices().into_iter().filter_map(share).collect()
    }

    fn left_out(&mut self, element: &Element) -> u64 {
        let report = self.bench.run(element.report()).expect("alive");
        report.output(MediaKind::Video, None).expect("there is one").left_out
    }
}

fn video(sequence: u64, ms: u64, key: bool) -> Packet {
    let timestamp = ms as u32 * 90;
    let rtp = Rtp { ssrc: 1, sequence, timestamp, marker: false, payload: Bytes::from_static(b"media") };
    Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::from_millis(ms)).key(key)
}

/// What a viewer saw: video as (number, time in ms, key, discontinuity), and how many packets of audio and data.
struct Saw {
    video: Vec<(u64, u64, bool, bool)>,
    audio: usize,
    data: usize,
}

fn saw(seen: &Seen) -> Saw {
    let mut saw = Saw { video: Vec::new(), audio: 0, data: 0 };
    for packet in seen.packets() {
        match (packet.kind(), &packet.body) {
            (MediaKind::Video, Body::Rtp(rtp)) => {
                let ms = packet.entered.as_nanos() / 1_000_000;
                saw.video.push((rtp.sequence, ms, packet.key, packet.discontinuity));
            }
            (MediaKind::Audio, _) => saw.audio += 1,
            _ => saw.data += 1,
        }
    }
    saw
}

/// Whole frames only; and after whatever is missing comes a key frame that says so.
fn assert_decodable(video: &[(u64, u64, bool, bool)]) {
    assert_eq!(video.len() as u64 % PACKETS, 0, "whole frames");
    for frame in video.chunks(PACKETS as usize) {
        assert!(frame.iter().all(|packet| packet.1 == frame[0].1), "whole frames: {frame:?}");
    }
    for pair in video.windows(2) {
        let gap = pair[1].0 != pair[0].0 + 1;
        assert!(pair[1].0 > pair[0].0, "in order");
        assert_eq!(gap, pair[1].3, "a gap is told, and nothing else is: {pair:?}");
        assert!(!gap || pair[1].2, "a key frame after the gap: {pair:?}");
    }
}

/// Frames of each second.
fn frames(video: &[(u64, u64, bool, bool)], seconds: std::ops::Range<u64>) -> Vec<usize> {
    seconds.map(|s| video.iter().filter(|p| p.1 / 1000 == s).count() / PACKETS as usize).collect()
}

#[test]
fn everybody_gets_the_same_less_and_audio_is_whole() {
    let mut house = House::new();
    let cameras = [house.camera(Some(2000)), house.camera(Some(2000))];
    let pass = house.bench.run(house.pipeline.add(elements::pass_through("pass"))).expect("a worker takes it");
    let viewers: Vec<Seen> = (0..5)
        .map(|n| {
            let (viewer, seen) = house.probe(&format!("viewer {n}"));
            house.connect(&cameras[n % 2], &viewer);
            seen
        })
        .collect();
    let (behind, seen_behind) = house.probe("behind a pass-through");
    house.connect(&cameras[0], &pass);
    house.connect(&pass, &behind);
    house.seconds(&[500, 980, 500, 980]);
    assert_eq!(house.told(), [], "one second is nothing");
    house.seconds(&[980; 4]);
    assert_eq!(house.told(), [7, 6, 5, 4]);
    // Four eighths of two seconds, from 8 s on.
    house.seconds(&[900; 6]);
    assert_eq!(house.told(), [], "neither better nor worse");
    let saw_first = saw(&viewers[0]);
    assert_decodable(&saw_first.video);
    assert_eq!(frames(&saw_first.video, 0..5), [25; 5]);
    assert_eq!(frames(&saw_first.video, 8..14), [25, 0, 25, 0, 25, 0]);
    assert_eq!((saw_first.audio, saw_first.data), (14 * 25, 14 * 25));
    for seen in viewers[1..].iter() {
        let other = saw(seen);
        assert_eq!(other.video, saw_first.video, "even");
        assert_eq!((other.audio, other.data), (14 * 25, 14 * 25));
    }
    assert_eq!(saw(&seen_behind).video, saw_first.video, "through another element too");
    assert!(
        house.cameras.iter().all(|camera| camera.requests.iter().all(|at| *at < 1000)),
        "who sends them unasked is not asked"
    );
    let missing = 14 * 25 - saw_first.video.len() as u64 / PACKETS;
    assert_eq!(house.left_out(&cameras[0]), missing);
    assert_eq!(house.left_out(&cameras[1]), missing);
}

#[test]
fn it_comes_back_step_by_step() {
    let mut house = House::new();
    let camera = house.camera(Some(1000));
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera, &viewer);
    house.seconds(&[1000; 10]);
    assert_eq!(house.told(), [7, 6, 5, 4, 3, 2, 1, 0]);
    house.seconds(&[990; 3]);
    assert_eq!(house.told(), [], "nothing is left to leave out");
    let at_worst = saw(&seen);
    assert_decodable(&at_worst.video);
    assert_eq!(frames(&at_worst.video, 10..13), [1; 3], "key frames alone");
    house.seconds(&[400; 30]);
    assert_eq!(house.told(), (1..=ALL).collect::<Vec<u8>>());
    let after = saw(&seen);
    assert_decodable(&after.video);
    assert_eq!(frames(&after.video, 41..43), [25; 2]);
    assert_eq!(after.audio, 30 * 25);
    let steps = frames(&after.video, 13..40);
    assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "never back: {steps:?}");
    let before = house.left_out(&camera);
    house.seconds(&[400; 2]);
    assert_eq!(house.left_out(&camera), before, "nothing is left out any more");
}

#[test]
fn a_publisher_that_sends_key_frames_only_when_asked_is_asked_once_a_group() {
    let mut house = House::new();
    let camera = house.camera(None);
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera, &viewer);
    let (other, seen_other) = house.probe("other");
    house.connect(&camera, &other);
    house.seconds(&[1000; 5]);
    assert_eq!(house.told(), [7, 6, 5, 4]);
    house.cameras[0].requests.clear();
    house.seconds(&[900; 20]);
    let requests = house.cameras[0].requests.clone();
    assert!((8..=10).contains(&requests.len()), "every two seconds: {requests:?}");
    assert!(requests.windows(2).all(|pair| pair[1] - pair[0] >= 2000), "{requests:?}");
    let (saw, saw_other) = (saw(&seen), saw(&seen_other));
    assert_decodable(&saw.video);
    assert_eq!(saw.video, saw_other.video);
    let forwarded: usize = frames(&saw.video, 5..25).iter().sum();
    assert!((240..=270).contains(&forwarded), "about the half of 500 frames: {forwarded}");
}

#[test]
fn one_who_does_not_answer_is_asked_once_a_second() {
    let mut house = House::new();
    let camera = house.camera(None);
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera, &viewer);
    house.seconds(&[1000; 4]);
    seen.take();
    // From here on it hears the requests and sends no key frame.
    let (mut asked, west) = (0, house.cameras[0].west.clone());
    let mut sequence = house.cameras[0].sequence;
    for frame in 0..10_000 / FRAME {
        for n in 0..PACKETS {
            let packet = video(sequence + n, house.ms + frame * FRAME, false);
            house.bench.run(camera.tell(Tell::Emit(packet))).expect("alive");
        }
        sequence += PACKETS;
        house.bench.advance(Duration::from_millis(FRAME));
        asked += west.key_requests();
    }
    assert!((8..=10).contains(&asked), "{asked} requests in ten seconds");
    // Then it does: everything goes on with it.
    let at = house.ms + 10_000;
    seen.take();
    for n in 0..PACKETS {
        house.bench.run(camera.tell(Tell::Emit(video(sequence + n, at, n == 0)))).expect("alive");
    }
    let saw = saw(&seen);
    assert_eq!(saw.video.len() as u64, PACKETS);
    assert!(saw.video[0].2 && saw.video[0].3);
}

#[test]
fn a_late_viewer_of_a_worker_at_its_limit_gets_what_the_others_got() {
    let mut house = House::new();
    let camera = house.camera(Some(2000));
    let (viewer, seen) = house.probe("viewer");
    house.connect(&camera, &viewer);
    house.seconds(&[1000, 1000, 1000, 1000, 1000, 900, 900]);
    seen.take();
    // The second half of a group is left out now.
    let (late, seen_late) = house.probe("late");
    house.connect(&camera, &late);
    let begins = house.cameras[0].requests.len();
    house.seconds(&[900; 4]);
    assert_eq!(house.cameras[0].requests.len(), begins, "nobody had to ask");
    let (saw, saw_late) = (saw(&seen), saw(&seen_late));
    assert_decodable(&saw_late.video);
    assert_eq!(frames(&saw_late.video, 6..7), [25], "the group so far");
    let since: Vec<_> = saw_late.video.iter().filter(|packet| packet.1 >= 7000).copied().collect();
    assert_eq!(since, saw.video);
}
