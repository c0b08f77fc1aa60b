//! What it promises, with loss, jitter and clocks that drift.

use super::*;
use proptest::prelude::*;

/// A timeline of video, packets by their media time and arrival in ms.
struct Video {
    timeline: Timeline,
    first: u32,
}

impl Video {
    fn new(first: u32) -> Self {
        Video { timeline: Timeline::new(90_000), first }
    }

    /// (at in microseconds, restarted)
    fn map(&mut self, media: u32, arrival: u64) -> (u64, bool) {
        let timestamp = self.first.wrapping_add(media.wrapping_mul(90));
        let mapped = self.timeline.map(timestamp, MediaTime::from_millis(arrival));
        (mapped.at.as_nanos() / 1000, mapped.restarted)
    }

    /// 30 pictures a second from `from` to `to` ms that arrive `delay` ms later.
    fn run(&mut self, from: u32, to: u32, delay: u64) -> (u64, bool) {
        let mut last = (0, false);
        for media in (from..to).step_by(33) {
            let (at, restarted) = self.map(media, u64::from(media) + delay);
            last = (at, last.1 | restarted);
        }
        last
    }
}

#[test]
fn it_begins_with_the_arrival_and_goes_on_with_the_timestamps() {
    let mut video = Video::new(u32::MAX - 1000);
    assert_eq!(video.map(0, 5000), (5_000_000, false));
    assert_eq!(video.map(33, 5040), (5_033_000, false));
    assert_eq!(video.map(33, 5060), (5_033_000, false), "all packets of a frame have one time");
    assert_eq!(video.map(66, 5066), (5_066_000, false));
    assert_eq!(video.map(33, 5067), (5_033_000, false), "pictures sent in another order than shown");
}

#[test]
fn a_late_first_packet_is_forgiven_within_the_beginning() {
    let mut video = Video::new(0);
    assert_eq!(video.map(0, 150), (150_000, false));
    let mut last = 150_000;
    for media in (33..1000).step_by(33) {
        let (at, restarted) = video.map(media, u64::from(media) + 50);
        assert!(!restarted && at > last, "time never stands still");
        last = at;
    }
    assert_eq!(last, (990 + 50) * 1000);
}

#[test]
fn a_longer_path_is_followed_slowly_and_only_after_the_window() {
    let mut video = Video::new(0);
    video.run(0, 20_000, 50);
    assert_eq!(video.run(20_000, 29_000, 90), (28_976_000 + 50_000, false), "as yet it could be jitter");
    let (at, restarted) = video.run(29_000, 40_000, 90);
    let offset = at - 39_989_000;
    assert!(!restarted && (58_000..62_000).contains(&offset), "a millisecond in a second: {offset}");
}

#[test]
fn steps_of_the_senders_clock_begin_anew() {
    let mut video = Video::new(0);
    video.run(0, 20_000, 1000);
    assert_eq!(video.map(20_000, 20_799), (20_799_000, true), "earlier than it can be");
    let mut video = Video::new(0);
    video.run(0, 20_000, 1000);
    assert!(!video.run(20_000, 29_900, 1300).1, "it could be a queue");
    assert_eq!(video.run(29_900, 31_000, 1300), (30_989_000 + 1_300_000, true), "it lasts");
}

#[test]
fn jumps_of_the_timestamp_begin_anew_at_once() {
    let mut video = Video::new(0);
    video.run(0, 10_000, 50);
    assert_eq!(video.map(13_000, 10_050), (10_050_000, true));
    assert_eq!(video.map(13_033, 10_083), (10_083_000, false));
    assert_eq!(video.map(1_000, 10_116), (10_116_000, true));
    assert_eq!(video.map(40_000_000, 10_149), (10_149_000, true), "nearly half the circle");
    assert_eq!(video.map(39_999_000, 10_150), (9_149_000, false), "one of an earlier picture does not");
}

#[test]
fn a_pause_of_timestamps_and_arrivals_alike_is_no_jump() {
    let mut video = Video::new(0);
    video.run(0, 10_000, 50);
    let (at, restarted) = video.map(70_000, 70_080);
    assert!(!restarted && (70_050_000..=70_051_000).contains(&at), "{at}");
}

#[test]
fn a_network_that_stalls_and_then_delivers_all_changes_nothing() {
    let mut video = Video::new(0);
    video.run(0, 10_000, 50);
    for media in (10_000..13_000).step_by(33) {
        assert_eq!(video.map(media, 13_050), (u64::from(media + 50) * 1000, false));
    }
    assert!(!video.run(13_000, 30_000, 50).1);
}

#[test]
fn a_sender_whose_clock_stood_still_begins_anew_after_a_second() {
    let mut video = Video::new(0);
    video.run(0, 10_000, 50);
    assert!(!video.run(10_000, 10_990, 5050).1);
    assert!(video.run(10_990, 11_100, 5050).1);
}

proptest! {
    #[test]
    fn any_values_give_a_time(
        clock_rate in any::<u32>(),
        packets in prop::collection::vec((any::<u32>(), any::<u64>()), 0..200),
    ) {
        let mut timeline = Timeline::new(clock_rate);
        for (timestamp, arrival) in packets {
            let mapped = timeline.map(timestamp, MediaTime::from_nanos(arrival));
            prop_assert!(!mapped.restarted || mapped.at.as_nanos() == arrival.min(i64::MAX as u64));
        }
    }

    #[test]
    fn times_increase_with_timestamps_and_stay_near_the_arrival(
        clock_rate in prop::sample::select(vec![1, 8_000, 44_100, 48_000, 90_000]),
        packets in prop::collection::vec((1..100_000_u32, 0..4_000_u64), 0..300),
    ) {
        let mut timeline = Timeline::new(clock_rate);
        let (mut timestamp, mut arrival) = (u32::MAX - 100_000, 0);
        let mut last = None;
        for (step, passed) in packets {
            timestamp = timestamp.wrapping_add(step);
            arrival += passed;
            let mapped = timeline.map(timestamp, MediaTime::from_millis(arrival));
            if let Some(last) = last.filter(|_| !mapped.restarted) {
                prop_assert!(mapped.at >= last);
            }
            last = Some(mapped.at);
            prop_assert!(mapped.at.since(MediaTime::from_millis(arrival)) <= std::time::Duration::from_millis(200));
        }
    }
}
