//! What consumers can take reaches the producer as one value: through pass-throughs, across workers, and forgotten in time.

use rivero_engine::elements::pass_through;
use rivero_engine::graph::Selection;
use rivero_engine::testing::{Bench, Seen, Sight, Tell, probe};
use rivero_engine::{Element, Feedback, Pipeline};
use std::time::Duration;

const NO_LIMIT: u64 = u64::MAX;

struct House {
    bench: Bench,
    pipeline: Pipeline,
}

impl House {
    fn new() -> Self {
        let bench = Bench::new(2);
        let pipeline = bench.pipeline();
        House { bench, pipeline }
    }

    fn probe(&mut self, label: &str) -> (Element, Seen) {
        let (spec, seen) = probe(label);
        (self.bench.run(self.pipeline.add(spec)).expect("a worker takes it"), seen)
    }

    fn connect(&mut self, from: &Element, to: &Element) {
        self.bench.run(from.connect(to, &Selection::all())).expect("one pipeline");
    }

    fn disconnect(&mut self, from: &Element, to: &Element) {
        self.bench.run(from.disconnect(to, &Selection::all()));
    }

    fn wish(&mut self, who: &Element, bps: u64) {
        self.bench.run(who.tell(Tell::Say(Feedback::Bitrate(bps)))).expect("the worker lives");
    }
}

/// The bitrates among what was heard.
fn bitrates(seen: &Seen) -> Vec<u64> {
    let bitrate = |sight| match sight {
        Sight::Feedback(Feedback::Bitrate(bps)) => Some(bps),
        _ => None,
    };
    seen.take().into_iter().filter_map(bitrate).collect()
}

#[test]
fn the_slowest_of_all_is_heard_through_a_pass_through() {
    let mut house = House::new();
    let (source, heard) = house.probe("source");
    let through = house.bench.run(house.pipeline.add(pass_through("through"))).expect("a worker takes it");
    let (near, _) = house.probe("near");
    let (far, _) = house.probe("far");
    let (beside, _) = house.probe("beside");
    house.connect(&source, &through);
    house.connect(&source, &beside);
    house.connect(&through, &near);
    house.connect(&through, &far);
    house.wish(&near, 900_000);
    house.wish(&beside, 700_000);
    house.wish(&far, 300_000);
    assert_eq!(bitrates(&heard), [900_000, 700_000, 300_000]);
    house.wish(&beside, 800_000);
    assert_eq!(bitrates(&heard), [], "not the slowest");
    house.disconnect(&through, &far);
    assert_eq!(bitrates(&heard), [800_000], "the slowest has left");
    house.disconnect(&source, &beside);
    assert_eq!(bitrates(&heard), [900_000]);
    house.disconnect(&source, &through);
    assert_eq!(bitrates(&heard), [NO_LIMIT]);
}

#[test]
fn who_falls_silent_is_forgotten_after_ten_seconds() {
    let mut house = House::new();
    let (source, heard) = house.probe("source");
    let (silent, _) = house.probe("silent");
    let (steady, _) = house.probe("steady");
    house.connect(&source, &silent);
    house.connect(&source, &steady);
    house.wish(&silent, 300_000);
    for _ in 0..9 {
        house.bench.advance(Duration::from_secs(1));
        house.wish(&steady, 900_000);
    }
    assert_eq!(bitrates(&heard), [300_000; 10], "again every second, lest it be forgotten further west");
    house.bench.advance(Duration::from_secs(1));
    house.wish(&steady, 900_000);
    assert_eq!(bitrates(&heard), [900_000]);
}

#[test]
fn who_has_left_is_not_heard_any_more() {
    let mut house = House::new();
    let (source, heard) = house.probe("source");
    let (viewer, _) = house.probe("viewer");
    let (gone, _) = house.probe("gone");
    house.connect(&source, &viewer);
    house.connect(&source, &gone);
    house.wish(&gone, 300_000);
    house.disconnect(&source, &gone);
    house.wish(&gone, 300_000);
    house.wish(&viewer, 900_000);
    assert_eq!(bitrates(&heard), [300_000, NO_LIMIT, 900_000]);
}
