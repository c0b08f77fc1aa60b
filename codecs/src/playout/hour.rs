//! An hour of a sender whose clock is wrong, over a network that delays, reorders and loses: the rooms of `playout` together.

use super::{Drift, Reorder, Step, Timeline};
use bytes::Bytes;
use rivero_engine::{Body, Caps, Codec, MediaTime, Packet, Rtp};
use std::sync::Arc;
use std::time::Duration;

const MILLISECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * 1000 * MILLISECOND;
/// The path without jitter.
const PATH: i64 = 30 * MILLISECOND;
/// Until then nobody can know how long the path is.
const SETTLED: i64 = 2000 * MILLISECOND;

/// The same chances in each run (splitmix64, by Steele, Lea and Flood).
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// What is sent: in its own clock every `every` nanoseconds, which runs fast by `ppm`.
#[derive(Clone)]
struct Sender {
    caps: Caps,
    every: i64,
    ppm: i64,
    /// Nanoseconds, uniform from zero.
    jitter: u64,
    /// Percent.
    loss: u64,
    seed: u64,
}

impl Sender {
    fn audio(ppm: i64, seed: u64) -> Self {
        let caps = Caps::audio(Codec::Opus, 48_000, 2);
        Sender { caps, every: 20 * MILLISECOND, ppm, jitter: 40 * MILLISECOND as u64, loss: 5, seed }
    }

    fn video(ppm: i64, seed: u64) -> Self {
        let every = 1_000_000_000 / 30;
        Sender { caps: Caps::video(Codec::Vp8, None), every, ..Self::audio(ppm, seed) }
    }

    /// When a packet is sent, on the pipeline's clock.
    fn sent(&self, number: i64) -> i64 {
        let own = number * self.every;
        own - own / 1000 * self.ppm / 1000
    }

    /// All that arrives, in the order of arrival.
    fn arrivals(&self) -> Vec<(i64, i64)> {
        let mut dice = Dice(self.seed);
        let mut arrivals = Vec::new();
        for number in 0..HOUR / self.every {
            let lost = dice.below(100) < self.loss;
            let arrival = self.sent(number) + PATH + dice.below(self.jitter) as i64;
            if !lost {
                arrivals.push((arrival, number));
            }
        }
        arrivals.sort_unstable();
        arrivals
    }

    fn packet(&self, arrival: i64, number: i64) -> Packet {
        let units = i128::from(number * self.every) * i128::from(self.caps.clock_rate()) / 1_000_000_000;
        // Near the end of its 32 bits, so that it comes around.
        let timestamp = 0xffff_0000_u32.wrapping_add(units as u32);
        let sequence = 65_000 + number as u64;
        let rtp = Rtp { ssrc: 7, sequence, timestamp, marker: false, payload: Bytes::from_static(b"x") };
        Packet::new(self.caps.clone(), Body::Rtp(Arc::new(rtp)), MediaTime::from_nanos(arrival as u64))
    }

    /// Through `Reorder` and `Timeline`: (number, at) in the order in which they leave.
    fn play(&self) -> Vec<(i64, i64)> {
        let mut reorder = Reorder::new(self.caps.kind());
        let mut timeline = Timeline::new(self.caps.clock_rate());
        let mut played = Vec::new();
        let mut lost = 0;
        for (arrival, number) in self.arrivals() {
            let now = MediaTime::from_nanos(arrival as u64);
            reorder.push(self.packet(arrival, number), now);
            while let Some(step) = reorder.pop(now) {
                match step {
                    Step::Packet(packet) => {
                        let Body::Rtp(rtp) = &packet.body else { unreachable!() };
                        let mapped = timeline.map(rtp.timestamp, packet.entered);
                        assert!(!mapped.restarted, "nothing here is a step");
                        played.push((rtp.sequence as i64 - 65_000, mapped.at.as_nanos() as i64));
                    }
                    Step::Lost { count, .. } => lost += count as i64,
                    Step::Restart => panic!("nothing here is another stream"),
                }
            }
        }
        let all = HOUR / self.every;
        assert!(played.len() as i64 + lost > all - 10, "each is played or said to be lost");
        assert!(lost <= all * (self.loss as i64 + 1) / 100, "{lost} lost of {all}");
        played
    }
}

/// How much later a packet is played than it was sent.
fn delays(sender: &Sender) -> Vec<(i64, i64)> {
    sender.play().into_iter().map(|(number, at)| (sender.sent(number), at - sender.sent(number))).collect()
}

fn audio_and_video_stay_together(ppm: i64) {
    for seed in [1, 248] {
        stay_together(&delays(&Sender::audio(ppm, seed)), &delays(&Sender::video(ppm, seed + 1)));
    }
}

fn stay_together(audio: &[(i64, i64)], video: &[(i64, i64)]) {
    let mut sounds = audio.iter().peekable();
    let mut worst = 0;
    let mut seen = 0;
    for (sent, delay) in video {
        let mut heard = None;
        while let Some(sound) = sounds.next_if(|(at, _)| at <= sent) {
            heard = Some(sound.1);
        }
        if let Some(heard) = heard.filter(|_| *sent > SETTLED) {
            worst = worst.max((heard - delay).abs());
            seen += 1;
        }
    }
    assert!(seen > 90_000);
    assert!(worst < 20 * MILLISECOND, "{worst} ns apart");
    // And neither is far from the path as it is: at most what the window hides of the drift, and some jitter that never was zero.
    let settled = |delays: &[(i64, i64)]| {
        let after = delays.iter().filter(|(sent, _)| *sent > 30 * SETTLED).map(|(_, delay)| delay - PATH);
        (after.clone().min().unwrap(), after.max().unwrap())
    };
    for (least, most) in [settled(audio), settled(video)] {
        assert!(least > -6 * MILLISECOND && most < 6 * MILLISECOND, "{least} to {most} ns");
    }
}

#[test]
fn audio_and_video_of_a_fast_sender_stay_together_for_an_hour() {
    audio_and_video_stay_together(200);
}

#[test]
fn audio_and_video_of_a_slow_sender_stay_together_for_an_hour() {
    audio_and_video_stay_together(-200);
}

/// An hour through all three rooms and a resampler that can only write whole samples.
fn sound_stays_on_its_times(sender: &Sender) {
    let block = (sender.every * 48 / MILLISECOND) as usize;
    // The first packet is late by all of the jitter at worst; what the path is like is known soon after, and then the sound that was
    // written too late already is caught up with, by two milliseconds in a second.
    let jitter = sender.jitter as i64 / MILLISECOND;
    let settled = (10 + jitter / 2) * 1000 * MILLISECOND;
    let mut drift = Drift::new(48_000);
    let mut fraction = 0;
    let played = sender.play();
    let first = played[0].0;
    let (mut rate, mut next) = (0, first);
    for (number, at) in played {
        let plan = drift.plan(MediaTime::from_nanos(at as u64), block);
        let missing = (number - next) * sender.every;
        next = number + 1;
        assert!((plan.ppm - rate).abs() <= 10, "the rate glides: {rate} to {}", plan.ppm);
        rate = plan.ppm;
        assert_eq!(plan.restarted, number == first);
        assert_eq!(plan.drop, 0);
        // What is put in is as long as what is missing, give or take a correction.
        let inserted = plan.insert as i64 * MILLISECOND / 48;
        let correction = if missing == 0 { 0 } else { (jitter + 5) * MILLISECOND };
        assert!((inserted - missing).abs() <= correction, "{number}: {inserted} for {missing}");
        drift.wrote(plan.insert);
        let off = drift.clock().as_nanos() as i64 - at;
        let bound = if number * sender.every < settled { jitter + 5 } else { 10 };
        assert!(off.abs() <= bound * MILLISECOND, "{number}: {off} ns off");
        fraction += block as i64 * (1_000_000 + i64::from(plan.ppm));
        drift.wrote((fraction / 1_000_000) as usize);
        fraction %= 1_000_000;
    }
}

#[test]
fn sound_of_wrong_clocks_stays_on_its_times_for_an_hour() {
    for ppm in [-200, 200] {
        // Among the seeds are some that begin badly.
        for seed in [3, 101, 105, 108, 128] {
            sound_stays_on_its_times(&Sender::audio(ppm, seed));
            let shaky = Sender { loss: 0, jitter: 100 * MILLISECOND as u64, ..Sender::audio(ppm, seed) };
            sound_stays_on_its_times(&shaky);
        }
    }
}

#[test]
fn jitter_does_not_shake_the_times() {
    for ppm in [-200, 0, 200] {
        let sender = Sender { jitter: 100 * MILLISECOND as u64, ..Sender::audio(ppm, 5) };
        let played = sender.play();
        for pair in played.windows(2) {
            let (own, moved) = ((pair[1].0 - pair[0].0) * sender.every, pair[1].1 - pair[0].1);
            assert!(moved > 0, "monotone");
            if pair[0].0 * sender.every > SETTLED {
                assert!((moved - own).abs() <= own / 1000 + 1, "{ppm} ppm: {moved} for {own}");
            }
        }
    }
}

#[test]
fn nothing_waits_longer_than_is_permitted() {
    let sender = Sender { jitter: 300 * MILLISECOND as u64, ..Sender::video(0, 6) };
    let mut reorder = Reorder::new(sender.caps.kind());
    let most = Duration::from_millis(400);
    for (arrival, number) in sender.arrivals().into_iter().take(30_000) {
        let now = MediaTime::from_nanos(arrival as u64);
        while let Some(due) = reorder.due().filter(|due| *due <= now) {
            assert!(now.since(due) < most);
            while let Some(step) = reorder.pop(due.max(now - most)) {
                if let Step::Packet(packet) = step {
                    assert!(due.since(packet.entered) <= most, "{:?} at {due:?}", packet.entered);
                }
            }
        }
        reorder.push(sender.packet(arrival, number), now);
    }
}

#[test]
fn retransmissions_are_waited_for_once_it_is_known_how_late_they_come() {
    let sender = Sender { jitter: 10 * MILLISECOND as u64, loss: 0, ..Sender::video(0, 8) };
    let mut dice = Dice(9);
    let mut arrivals = sender.arrivals();
    arrivals.truncate(30_000);
    for (arrival, _) in &mut arrivals {
        if dice.below(100) < 5 {
            *arrival += (150 + dice.below(40) as i64) * MILLISECOND;
        }
    }
    arrivals.sort_unstable();
    let mut reorder = Reorder::new(sender.caps.kind());
    let (mut early, mut late) = (0, 0);
    for (arrival, number) in arrivals {
        let now = MediaTime::from_nanos(arrival as u64);
        while let Some(due) = reorder.due().filter(|due| *due <= now) {
            while let Some(step) = reorder.pop(due) {
                if let Step::Lost { count, .. } = step {
                    *(if number < 300 { &mut early } else { &mut late }) += count;
                }
            }
        }
        reorder.push(sender.packet(arrival, number), now);
        while let Some(step) = reorder.pop(now) {
            assert!(matches!(step, Step::Packet(_)));
        }
    }
    assert!(early > 0, "80 ms are too short, as it must learn");
    assert!(late * 1000 < 30_000, "{late} were given up although they came");
}
