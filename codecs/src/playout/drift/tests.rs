//! What it promises, with loss, jitter and clocks that drift.

use super::*;
use proptest::prelude::*;

const BLOCK: usize = 960;

fn ms(millis: i64) -> MediaTime {
    MediaTime::from_nanos((millis * MILLISECOND) as u64)
}

/// A stream of blocks of 20 ms at 48 kHz, and a resampler that does as it is told.
struct Sound {
    drift: Drift,
    fraction: i64,
}

impl Sound {
    fn new() -> Self {
        Sound { drift: Drift::new(48_000), fraction: 0 }
    }

    fn block(&mut self, at: MediaTime) -> Plan {
        let plan = self.drift.plan(at, BLOCK);
        self.fraction += (BLOCK - plan.drop) as i64 * (1_000_000 + i64::from(plan.ppm));
        self.drift.wrote(plan.insert + (self.fraction / 1_000_000) as usize);
        self.fraction %= 1_000_000;
        plan
    }

    /// Blocks from `from` to `to` ms: what was put in and left out, in ms.
    fn run(&mut self, from: i64, to: i64, later: i64) -> (i64, i64) {
        let (mut insert, mut drop) = (0, 0);
        for at in (from..to).step_by(20) {
            let plan = self.block(ms(at + later));
            assert!(!plan.restarted);
            (insert, drop) = (insert + plan.insert, drop + plan.drop);
        }
        (insert as i64 / 48, drop as i64 / 48)
    }

    /// Microseconds by which the output's clock is ahead of a time in ms.
    fn ahead(&self, of: i64) -> i64 {
        (self.drift.clock().as_nanos() as i64 - of * MILLISECOND) / MICROSECOND
    }
}

#[test]
fn what_is_on_time_is_left_alone() {
    let mut sound = Sound::new();
    assert_eq!(sound.block(ms(1000)), Plan { restarted: true, ..Plan::default() });
    for at in (1020..10_000).step_by(20) {
        assert_eq!(sound.block(ms(at)), Plan::default());
    }
    assert_eq!(sound.drift.clock(), ms(10_000));
}

#[test]
fn a_hole_is_filled() {
    let mut sound = Sound::new();
    sound.block(ms(0));
    assert_eq!(sound.block(ms(60)).insert, 2 * BLOCK);
    assert_eq!(sound.ahead(80), 0);
    assert_eq!(sound.block(ms(80)), Plan::default());
    assert_eq!(sound.block(ms(1000)).insert, 45 * BLOCK);
    assert_eq!(sound.ahead(1020), 0);
}

#[test]
fn a_hole_is_no_longer_than_what_is_written_already_needs() {
    let mut sound = Sound::new();
    sound.block(ms(0));
    // Twenty blocks a millisecond too early each: 20 ms ahead, and no hole.
    for block in 1..=20 {
        assert_eq!(sound.block(ms(block * 19)).insert, 0);
    }
    let ahead = sound.ahead(400 - 1);
    assert!(ahead > 15_000, "{ahead}");
    let plan = sound.block(ms(399 + 40));
    assert_eq!(plan.insert as i64 / 48, (40_000 - ahead) / 1000);
    assert!(sound.ahead(459).abs() < 50);
}

#[test]
fn small_errors_are_stretched_away() {
    let mut sound = Sound::new();
    sound.block(ms(0));
    assert_eq!(sound.run(20, 20_000, 0), (0, 0));
    assert_eq!(sound.run(20_000, 100_000, -100), (0, 0), "100 ms too early: nothing is left out");
    assert!(sound.ahead(100_000 - 100).abs() < 1000, "{}", sound.ahead(100_000 - 100));
}

#[test]
fn great_errors_are_cut_away_at_once() {
    let mut sound = Sound::new();
    sound.block(ms(0));
    sound.run(20, 2000, 0);
    let (insert, drop) = sound.run(2000, 4000, -300);
    assert!(insert == 0 && (299..=301).contains(&drop), "{insert} {drop}");
    assert!(sound.ahead(4000 - 300).abs() < 2000, "{}", sound.ahead(4000 - 300));
}

#[test]
fn leaving_out_ends_with_a_hole() {
    let mut sound = Sound::new();
    sound.block(ms(0));
    sound.run(20, 2000, 0);
    assert_eq!(sound.block(ms(1700)).drop, BLOCK);
    assert_eq!(sound.block(ms(2010)), Plan { insert: 480, ..Plan::default() });
    assert_eq!(sound.block(ms(2030)), Plan::default());
}

#[test]
fn beyond_a_second_the_output_begins_anew() {
    for at in [10, 3100] {
        let mut sound = Sound::new();
        sound.block(ms(0));
        sound.run(20, 2000, 0);
        let plan = sound.block(ms(at));
        assert!(plan.restarted && plan.insert == 0 && plan.drop == 0);
        assert_eq!(sound.drift.clock(), ms(at + 20));
    }
}

proptest! {
    #[test]
    fn any_values_keep_the_bounds(
        rate in any::<u32>(),
        blocks in prop::collection::vec((any::<u64>(), any::<usize>(), any::<usize>()), 0..100),
        near in prop::collection::vec((0..3_000_u64, 0..5_000_usize, 0..5_000_usize), 0..200),
    ) {
        let mut drift = Drift::new(rate);
        let mut last = 0;
        let near = near.into_iter().map(|(at, samples, wrote)| (at * 1_000_000, samples, wrote));
        for (at, samples, wrote) in blocks.into_iter().chain(near) {
            let plan = drift.plan(MediaTime::from_nanos(at), samples);
            prop_assert!(plan.drop <= samples && plan.insert <= rate.max(1) as usize);
            prop_assert!(i64::from(plan.ppm.abs()) <= MOST_PPM && (plan.ppm - last).abs() <= 500);
            prop_assert!(!plan.restarted || (plan.drop, plan.insert) == (0, 0));
            prop_assert!(plan.drop == 0 || plan.insert == 0);
            last = plan.ppm;
            drift.wrote(wrote);
            drift.clock();
        }
    }
}
