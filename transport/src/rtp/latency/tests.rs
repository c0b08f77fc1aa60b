//! Latencies of streams whose clocks drift, jump and wrap, by reports that are late, wrong or missing.

use super::*;
use crate::rtcp::NtpTime;
use proptest::prelude::*;

/// When the sender's wall clock shows this, in seconds since 1900, our clock shows zero.
const WALL: u64 = 3_900_000_000;

/// A sender of sound and pictures that are made at the same times.
struct Sender {
    streams: [Latency; 2],
    rates: [u32; 2],
    /// The first time stamps.
    first: [u32; 2],
    /// From being made to arriving, in milliseconds.
    paths: [u64; 2],
    /// How far its wall clock was set forwards, in milliseconds.
    set: i64,
    /// How much too fast the clocks of its time stamps are, in ppm.
    fast: [i64; 2],
}

impl Sender {
    fn new(paths: [u64; 2]) -> Self {
        let rates = [48_000, 90_000];
        Sender { streams: Default::default(), rates, first: [7, 90], paths, set: 0, fast: [0, 0] }
    }

    fn stamp(&self, at: usize, ms: u64) -> u32 {
        let ticks = ms as i64 * i64::from(self.rates[at]) / 1000;
        self.first[at].wrapping_add((ticks + ticks * self.fast[at] / 1_000_000) as u32)
    }

    fn packet(&mut self, at: usize, made: u64, late: u64) {
        let arrival = MediaTime::from_millis(made + self.paths[at] + late);
        let stamp = self.stamp(at, made);
        self.streams[at].note(stamp, self.rates[at], arrival);
    }

    fn ntp(&self, ms: u64) -> NtpTime {
        let ms = ms.saturating_add_signed(self.set);
        NtpTime(((WALL + ms / 1000) << 32) | (((ms % 1000) << 32) / 1000))
    }

    fn report(&mut self, at: usize, ms: u64) {
        let info = SenderInfo { ntp: self.ntp(ms), rtp_timestamp: self.stamp(at, ms), ..SenderInfo::default() };
        self.tell(at, &info);
    }

    fn tell(&mut self, at: usize, info: &SenderInfo) {
        note_report(&mut self.streams.iter_mut().collect::<Vec<_>>(), at, info);
    }

    /// Packets each 20 ms from `from` to `to`, reports of both each second.
    fn run(&mut self, from: u64, to: u64) {
        for ms in (from..to).step_by(20) {
            // Each fifth packet comes on time.
            [0, 1].into_iter().for_each(|at| self.packet(at, ms, (ms / 20 % 5) * 7));
            if ms % 1000 == 500 {
                [0, 1].into_iter().for_each(|at| self.report(at, ms));
            }
        }
    }

    fn skews(&self) -> [u16; 2] {
        [0, 1].map(|at| self.streams[at].skew())
    }
}

#[test]
fn the_earlier_stream_says_by_how_much_whatever_the_jitter() {
    let mut sender = Sender::new([30, 110]);
    sender.run(0, 2000);
    assert_eq!(sender.skews(), [0, 0], "it has only begun");
    sender.run(2000, 3000);
    assert_eq!(sender.skews(), [80, 0]);
    let mut sender = Sender::new([90, 40]);
    sender.run(0, 3000);
    assert_eq!(sender.skews(), [0, 50]);
}

#[test]
fn one_stream_alone_is_where_it_is() {
    let mut sender = Sender::new([30, 110]);
    for ms in (0..5000).step_by(20) {
        [0, 1].into_iter().for_each(|at| sender.packet(at, ms, 0));
        if ms % 1000 == 0 {
            sender.report(0, ms);
        }
    }
    assert_eq!(sender.skews(), [0, 0]);
}

#[test]
fn time_stamps_wrap_and_reports_lie_on_either_side_of_that() {
    let mut sender = Sender::new([30, 110]);
    sender.first = [u32::MAX - 10_000, u32::MAX - 100_000];
    sender.run(0, 3000);
    assert_eq!(sender.skews(), [80, 0]);
    let mut sender = Sender::new([30, 110]);
    sender.first = [u32::MAX - 120_000, u32::MAX - 225_000];
    for ms in (0..2500).step_by(20) {
        [0, 1].into_iter().for_each(|at| sender.packet(at, ms, 0));
    }
    [0, 1].into_iter().for_each(|at| sender.report(at, 2900));
    assert_eq!(sender.skews(), [80, 0], "of a moment that is still to come");
}

#[test]
fn clocks_that_drift_do_not_add_up() {
    let mut sender = Sender::new([30, 110]);
    sender.fast = [100, -100];
    sender.run(0, 3_600_000);
    let [sound, pictures] = sender.skews();
    assert!(sound.abs_diff(80) <= STEADY && pictures == 0, "{sound}");
}

#[test]
fn a_path_that_changes_is_followed_and_a_little_is_not() {
    let mut sender = Sender::new([30, 110]);
    sender.run(0, 20_000);
    sender.paths = [30, 113];
    sender.run(20_000, 40_000);
    assert_eq!(sender.skews(), [80, 0]);
    sender.paths = [30, 60];
    sender.run(40_000, 42_000);
    assert_eq!(sender.skews(), [30, 0], "a shorter one at once");
    sender.paths = [30, 150];
    sender.run(42_000, 60_000);
    assert_eq!(sender.skews(), [120, 0]);
    sender.paths = [150, 150];
    sender.run(60_000, 80_000);
    assert_eq!(sender.skews(), [0, 0]);
}

#[test]
fn reports_that_cannot_be_are_not_believed() {
    let mut sender = Sender::new([30, 110]);
    for ms in (0..2500).step_by(20) {
        [0, 1].into_iter().for_each(|at| sender.packet(at, ms, 0));
    }
    for at in [0, 1] {
        let rtp_timestamp = sender.stamp(at, 2500 + 500 * at as u64);
        sender.tell(at, &SenderInfo { rtp_timestamp, ..SenderInfo::default() });
    }
    assert_eq!(sender.skews(), [0, 0], "a sender without a wall clock");
    // Streams of different machines.
    sender.report(0, 2500);
    sender.set = 5000;
    sender.report(1, 2500);
    assert_eq!(sender.skews(), [0, 0]);
}

#[test]
fn one_wrong_report_and_a_clock_that_is_set_change_nothing() {
    let mut sender = Sender::new([30, 110]);
    sender.run(0, 10_000);
    sender.set = 700;
    sender.report(1, 10_000);
    assert_eq!(sender.skews(), [80, 0]);
    sender.set = 0;
    sender.run(10_000, 20_000);
    assert_eq!(sender.skews(), [80, 0]);
    sender.set = -900;
    for ms in (20_000..30_000).step_by(20) {
        [0, 1].into_iter().for_each(|at| sender.packet(at, ms, 0));
        if ms % 1000 == 0 {
            sender.report(ms as usize / 1000 % 2, ms);
            assert_eq!(sender.skews(), [80, 0], "at {ms}");
        }
    }
    sender.paths = [30, 60];
    sender.run(30_000, 42_000);
    assert_eq!(sender.skews(), [30, 0], "the new clock is believed");
}

#[test]
fn time_stamps_that_step_are_another_stream() {
    for step in [450_000, -450_000] {
        let mut sender = Sender::new([30, 110]);
        sender.run(0, 10_000);
        sender.first[1] = sender.first[1].wrapping_add_signed(step);
        sender.run(10_000, 24_000);
        assert_eq!(sender.skews(), [80, 0], "{step}");
        sender.paths = [30, 60];
        sender.run(24_000, 40_000);
        assert_eq!(sender.skews(), [30, 0], "{step}");
    }
}

#[test]
fn another_stream_in_its_place_keeps_the_skew_until_it_reports() {
    let mut sender = Sender::new([30, 110]);
    sender.run(0, 3000);
    sender.streams[0].begin();
    sender.first[0] = 0x1234_5678;
    sender.run(3000, 3400);
    assert_eq!(sender.skews(), [80, 0]);
    sender.paths = [50, 110];
    sender.streams[0].begin();
    sender.run(3400, 6000);
    assert_eq!(sender.skews(), [60, 0]);
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_it_panic_or_go_beyond(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u32>(), any::<u64>(), 0u32..4), 0..300),
    ) {
        let mut streams: [Latency; 2] = Default::default();
        for (second, report, stamp, time, rate) in steps {
            let at = usize::from(second);
            if report {
                let info = SenderInfo { ntp: NtpTime(time), rtp_timestamp: stamp, ..SenderInfo::default() };
                note_report(&mut streams.iter_mut().collect::<Vec<_>>(), at, &info);
            } else {
                streams[at].note(stamp, [0, 8000, 90_000, u32::MAX][rate as usize], MediaTime::from_nanos(time));
            }
            prop_assert!(streams.iter().all(|stream| stream.skew() <= 2000));
        }
    }
}
