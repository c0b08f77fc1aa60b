//! Consumers on another worker: the output lands there once, with everything that a consumer can expect at home.

use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::notice::What;
use rivero_engine::testing::{Bench, Seen, Sight, Tell, audio, probe, video};
use rivero_engine::{Element, Feedback, MediaKind, Packet, Pipeline};
use std::time::Duration;

const HOME: u16 = 0;
const FAR: u16 = 1;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct House {
    bench: Bench,
    pipeline: Pipeline,
    source: Element,
    west: Seen,
}

impl House {
    fn new() -> Self {
        Self::with_room(64)
    }

    fn with_room(room: usize) -> Self {
        let mut bench = Bench::with_room(2, room);
        let pipeline = bench.pipeline();
        let (spec, west) = probe("source");
        let source = bench.run(pipeline.add(NodeSpec { worker: Some(HOME), ..spec })).expect("a worker takes it");
        House { bench, pipeline, source, west }
    }

    fn viewer(&mut self, worker: u16) -> (Element, Seen) {
        let (spec, seen) = probe("viewer");
        let spec = NodeSpec { worker: Some(worker), ..spec };
        (self.bench.run(self.pipeline.add(spec)).expect("a worker takes it"), seen)
    }

    fn connected(&mut self, worker: u16) -> (Element, Seen) {
        let (viewer, seen) = self.viewer(worker);
        self.connect(&viewer);
        (viewer, seen)
    }

    fn connect(&mut self, viewer: &Element) {
        self.bench.run(self.source.connect(viewer, &Selection::all())).expect("same pipeline");
    }

    fn disconnect(&mut self, viewer: &Element) {
        self.bench.run(self.source.disconnect(viewer, &Selection::all()));
    }

    fn emit(&mut self, packet: Packet) {
        self.bench.run(self.source.tell(Tell::Emit(packet))).expect("the worker lives");
    }
}

fn times(seen: &Seen) -> Vec<u64> {
    seen.packets().iter().map(|packet| packet.entered.as_nanos() / 1_000_000).collect()
}

#[test]
fn a_landing_lasts_as_long_as_it_has_consumers() {
    let mut house = House::new();
    let (near, _) = house.connected(HOME);
    assert_eq!(house.bench.landings(), 0, "none for consumers at home");
    let (one, seen_one) = house.connected(FAR);
    let (two, seen_two) = house.connected(FAR);
    assert_eq!(house.bench.landings(), 3, "one for audio, video and data each, however many viewers");
    house.disconnect(&one);
    house.emit(video(1, true));
    assert!(times(&seen_one).is_empty());
    assert_eq!(times(&seen_two), [1]);
    assert_eq!(house.bench.landings(), 3);
    house.bench.run(two.release());
    assert_eq!(house.bench.landings(), 0);
    house.connect(&one);
    house.emit(video(2, false));
    assert_eq!(times(&seen_one), [1, 2], "a new landing, with what the home has kept");
    house.bench.run(near.release());
    house.bench.run(house.source.release());
    assert_eq!(house.bench.landings(), 0, "the source has gone");
}

#[test]
fn a_source_that_panicked_leaves_no_landing_behind() {
    let mut house = House::new();
    let (viewer, seen) = house.connected(FAR);
    house.bench.run(house.source.tell(Tell::Panic)).expect("the worker lives");
    assert_eq!(house.bench.landings(), 3, "the connections stand until somebody releases them");
    house.bench.run(viewer.tell(Tell::Say(Feedback::Start))).expect("nobody hears it, and nobody minds");
    house.bench.run(house.source.release());
    assert_eq!(house.bench.landings(), 0);
    assert!(seen.packets().is_empty());
}

#[test]
fn one_wish_for_a_key_frame_goes_home_for_all() {
    let mut house = House::new();
    let viewers: Vec<_> = (0..20).map(|n| house.connected(n % 2)).collect();
    house.west.take();
    house.bench.advance(ms(1000));
    house.emit(video(1000, false));
    let asked = house.west.key_requests();
    assert!((1..=2).contains(&asked), "at most one for each worker: {asked}");
    house.emit(video(1001, true));
    house.emit(video(1002, false));
    assert!(viewers.iter().all(|(_, seen)| times(seen) == [1001, 1002]));
}

#[test]
fn what_one_consumer_says_reaches_the_source() {
    let mut house = House::new();
    let (viewer, seen) = house.connected(FAR);
    house.west.take();
    house.bench.run(viewer.tell(Tell::Say(Feedback::Start))).expect("alive");
    assert_eq!(house.west.key_requests(), 1, "nothing to begin with: the source is asked");
    house.emit(video(1, true));
    seen.take();
    house.bench.run(viewer.tell(Tell::Say(Feedback::Start))).expect("alive");
    assert_eq!(times(&seen), [1], "from the landing's own group");
    assert_eq!(house.west.key_requests(), 0);
    house.bench.run(viewer.tell(Tell::Say(Feedback::KeyFrame))).expect("alive");
    assert_eq!(house.west.key_requests(), 1);
}

#[test]
fn coming_back_to_a_worker_that_was_stuck_brings_nothing_twice() {
    let mut house = House::with_room(1);
    let (viewer, seen) = house.connected(FAR);
    house.emit(video(0, true));
    seen.take();
    house.bench.stall(usize::from(FAR), true);
    for at in [20, 40, 60] {
        house.bench.clock.advance(ms(20));
        house.emit(video(at, false));
    }
    let (source, selection) = (house.source.clone(), Selection::only(MediaKind::Video));
    let again = async {
        source.disconnect(&viewer, &selection).await;
        source.connect(&viewer, &selection).await
    };
    house.bench.stall(usize::from(FAR), false);
    house.bench.run(again).expect("same pipeline");
    house.bench.advance(ms(50));
    house.emit(video(80, false));
    let seen = times(&seen);
    let again = seen.iter().rposition(|at| *at == 0).expect("it begins again at the key frame");
    assert_eq!(seen[again..], [0, 20, 40, 60, 80]);
}

#[test]
fn a_report_knows_the_links_on_all_workers() {
    let mut house = House::new();
    let viewers: Vec<_> = (0..4).map(|n| house.connected(n % 2)).collect();
    house.emit(video(1, false));
    house.emit(video(2, true));
    house.emit(audio(3));
    let report = house.bench.run(house.source.report()).expect("alive");
    for (viewer, _) in &viewers {
        for (kind, packets, dropped) in [(MediaKind::Video, 1, 1), (MediaKind::Audio, 1, 0)] {
            let output = report.output(kind, None).expect("there is one");
            let links: Vec<_> = output.links.iter().filter(|link| link.to == viewer.node()).collect();
            assert_eq!(links.len(), 1);
            assert_eq!((links[0].packets, links[0].dropped, links[0].gated), (packets, dropped, false));
        }
    }
}

#[test]
fn a_worker_at_its_limit_leaves_out_for_its_own_consumers() {
    let mut house = House::new();
    let (_, near) = house.connected(HOME);
    let far: Vec<_> = (0..3).map(|_| house.connected(FAR).1).collect();
    let mut at = 0;
    let mut film = |house: &mut House, seconds: u64, load: u32| {
        for _ in 0..seconds {
            for _ in 0..50 {
                house.emit(video(at, at % 2000 == 0));
                house.emit(audio(at));
                house.bench.advance(ms(20));
                at += 20;
            }
            house.bench.load(usize::from(FAR), load);
        }
    };
    film(&mut house, 6, 1000);
    let shares: Vec<_> = house.bench.notices().into_iter().filter_map(|n| share(&n.what)).collect();
    assert_eq!(shares, [(FAR, 7), (FAR, 6), (FAR, 5), (FAR, 4), (FAR, 3)]);
    film(&mut house, 4, 900);
    let count = |seen: &Seen| {
        let packets = seen.packets();
        let of = |kind| packets.iter().filter(|packet| packet.kind() == kind).count();
        (of(MediaKind::Video), of(MediaKind::Audio))
    };
    assert_eq!(count(&near), (500, 500), "at home nothing is missing");
    let counts: Vec<_> = far.iter().map(count).collect();
    assert!(counts.iter().all(|count| *count == counts[0]), "even: {counts:?}");
    // Three eighths of two seconds, twice; before that less and less.
    assert!((200..450).contains(&counts[0].0), "{counts:?}");
    assert_eq!(counts[0].1, 500, "audio is whole");
    assert_eq!(house.west.key_requests(), 4, "one for each that connected; never for what was left out");
}

fn share(what: &What) -> Option<(u16, u8)> {
    match what {
        What::Overload { worker, share } => Some((*worker, *share)),
        _ => None,
    }
}

#[test]
fn a_consumer_of_data_that_is_alone_on_another_worker_may_hold_up_the_producer() {
    let wait = |house: &mut House, who: &Element| {
        house.bench.run(who.tell(Tell::Say(Feedback::Wait(ms(500))))).expect("alive");
        let heard = house.west.take().into_iter().filter_map(|sight| match sight {
            Sight::Feedback(Feedback::Wait(time)) => Some(time),
            _ => None,
        });
        heard.collect::<Vec<_>>()
    };
    let mut house = House::new();
    let (alone, _) = house.connected(FAR);
    assert_eq!(wait(&mut house, &alone), [ms(500)]);
    house.connected(FAR);
    assert_eq!(wait(&mut house, &alone), [ms(100)], "another waits there too");
}

#[test]
fn a_batch_that_found_no_room_is_let_go_up_to_its_key_frame() {
    let mut house = House::with_room(1);
    let (_, seen) = house.connected(FAR);
    house.emit(video(0, true));
    house.bench.stall(usize::from(FAR), true);
    house.emit(video(20, false));
    house.west.take();
    // All in one pass, more than a door holds, and the only place on the way is taken.
    let source = house.source.clone();
    house.bench.run(async {
        for at in (40..=400).step_by(20) {
            source.tell(Tell::Emit(video(at, at == 360))).await.expect("the worker lives");
        }
    });
    assert_eq!(house.west.key_requests(), 1);
    house.bench.stall(usize::from(FAR), false);
    house.bench.advance(ms(50));
    let packets = seen.packets();
    let seen: Vec<_> = packets.iter().map(|p| (p.entered.as_nanos() / 1_000_000, p.discontinuity)).collect();
    assert_eq!(seen, [(0, true), (20, false), (360, true), (380, false), (400, false)]);
    let report = house.bench.run(house.source.report()).expect("alive");
    let output = report.output(MediaKind::Video, None).expect("there is one");
    assert_eq!(output.links[0].dropped + packets.len() as u64, output.packets, "every packet is accounted for");
}
