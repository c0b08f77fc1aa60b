//! Any bytes into the converters: no panic, no more memory than a stream deserves, and a good stream is understood again afterwards.

use crate::signal::picture;
use crate::stage::Stage;
use crate::streams::{self, AUDIO, Camera, VIDEO, caps, tone};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rivero_codecs::convert::raw;
use rivero_engine::{Body, Caps, Codec, MediaKind, MediaTime, Packet, Rtp};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What is done to a packet of a good stream before it is sent.
#[derive(Clone, Debug)]
enum Harm {
    None,
    /// (where, as a part of 256; by what)
    Flip(Vec<(u8, u8)>),
    Cut(u8),
    Drop,
    Twice,
    Noise(Vec<u8>),
    Marker,
    /// The timestamp jumps by so much.
    Time(u32),
    Number(i16),
    Source(u32),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => Just(Harm::None),
        4 => vec((any::<u8>(), 1u8..), 1..6).prop_map(Harm::Flip),
        2 => any::<u8>().prop_map(Harm::Cut),
        1 => Just(Harm::Drop),
        1 => Just(Harm::Twice),
        2 => vec(any::<u8>(), 0..80).prop_map(Harm::Noise),
        1 => Just(Harm::Marker),
        1 => any::<u32>().prop_map(Harm::Time),
        1 => any::<i16>().prop_map(Harm::Number),
        1 => (1u32..4).prop_map(Harm::Source),
    ]
}

fn harmed(packet: &Packet, harm: &Harm) -> Vec<Packet> {
    let Body::Rtp(rtp) = &packet.body else { return Vec::new() };
    let Rtp { mut ssrc, mut sequence, mut timestamp, mut marker, .. } = **rtp;
    let mut payload = rtp.payload.to_vec();
    let length = payload.len();
    match harm {
        Harm::None | Harm::Twice => {}
        Harm::Flip(flips) => flips.iter().for_each(|(at, by)| payload[usize::from(*at) * length / 256] ^= by),
        Harm::Cut(at) => payload.truncate(usize::from(*at) * length / 256),
        Harm::Drop => return Vec::new(),
        Harm::Noise(noise) => payload = noise.clone(),
        Harm::Marker => marker = !marker,
        Harm::Time(by) => timestamp = timestamp.wrapping_add(*by),
        Harm::Number(by) => sequence = sequence.saturating_add_signed(i64::from(*by)),
        Harm::Source(by) => ssrc = ssrc.wrapping_add(*by),
    }
    let rtp = Rtp { ssrc, sequence, timestamp, marker, payload: Bytes::from(payload) };
    let mut harmed = packet.clone();
    harmed.body = Body::Rtp(Arc::new(rtp));
    vec![harmed; if matches!(harm, Harm::Twice) { 2 } else { 1 }]
}

/// A second or so of good packets, made once for each codec.
fn good(caps: &Caps) -> Vec<Packet> {
    thread_local!(static MADE: RefCell<HashMap<Caps, Vec<Packet>>> = RefCell::default());
    let make = || match caps.kind() {
        MediaKind::Audio => tone(caps, 0.8),
        _ => {
            let mut camera = Camera::new(caps, 64, 48, 300_000);
            camera.packer.room = 200;
            (0..10).flat_map(|number| camera.shoot(&picture(64, 48, number), number % 4 == 0)).collect()
        }
    };
    MADE.with(|made| made.borrow_mut().entry(caps.clone()).or_insert_with(make).clone())
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn survives(caps: &Caps, harms: &[Harm]) {
    let mut stage = Stage::new(caps.kind());
    let end = stage.sink(&raw(caps.kind()).unwrap());
    // What follows a decoder has to bear what that makes of it.
    let [first, second] =
        if caps.kind() == MediaKind::Audio { [Codec::Pcmu, Codec::G722] } else { [Codec::H264, Codec::Vp8] };
    let coded = stage.sink(&streams::caps(if caps.codec() == first { second } else { first }));
    let good = good(caps);
    for (at, (packet, harm)) in good.iter().cycle().zip(harms).enumerate() {
        let now = MediaTime::from_millis(10 * at as u64);
        let mut packets = harmed(packet, harm);
        packets.iter_mut().for_each(|packet| packet.entered = now);
        stage.send(now, packets);
    }
    stage.bench.advance(Duration::from_secs(1));
    let errors = stage.errors();
    assert!(errors.is_empty(), "{caps}: {errors:?}");
    // What came out is no more than what such a stream can be, with what is made up for the gaps.
    let samples = |packet: &Packet| match &packet.body {
        Body::Sound(sound) => sound.frames() as u64 * 1000 / u64::from(sound.rate),
        _ => 0,
    };
    let packets = end.packets();
    let heard: u64 = packets.iter().map(samples).sum();
    assert!(heard <= 2000 + 700 * harms.len() as u64, "{caps}: {heard} ms of sound of {} packets", harms.len());
    assert!(packets.len() <= 64 * (harms.len() + 1), "{caps}: {} packets came out", packets.len());
    if caps.kind() == MediaKind::Video {
        let pixels = packets.iter().filter_map(|packet| match &packet.body {
            Body::Picture(picture) => Some(picture.width * picture.height),
            _ => None,
        });
        assert!(pixels.max().unwrap_or(0) <= 8192 * 8192, "{caps}");
    }

    // Another stream, in order this time, is understood.
    let begin = stage.now() + Duration::from_secs(3);
    for packet in &good {
        let Body::Rtp(rtp) = &packet.body else { continue };
        let Rtp { sequence, timestamp, marker, ref payload, .. } = **rtp;
        let rtp = Rtp { ssrc: 4711, sequence, timestamp, marker, payload: payload.clone() };
        let mut fresh = packet.clone();
        fresh.entered = begin + packet.entered.since(MediaTime::ZERO);
        fresh.body = Body::Rtp(Arc::new(rtp));
        stage.send(fresh.entered, vec![fresh]);
    }
    assert!(end.packets().len() >= 5, "{caps}: what is good is understood again");
    assert!(coded.packets().len() >= 5, "{caps}: and encoded");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_packets_cost_nothing_but_themselves(harms in vec(harm(), 1..60)) {
        let before = resident();
        for codec in VIDEO.into_iter().chain(AUDIO) {
            survives(&caps(codec), &harms);
        }
        let grown = resident().saturating_sub(before);
        prop_assert!(grown < 600 << 20, "{} MiB more", grown >> 20);
    }
}

/// A frame of H.263 without its middle had FFmpeg's decoder doubt all that came after it, key frames and other streams included.
#[test]
fn one_bad_frame_does_not_spoil_the_rest() {
    for codec in VIDEO {
        for bad in [2, 4, 7] {
            let mut stage = Stage::new(MediaKind::Video);
            let end = stage.sink(&raw(MediaKind::Video).unwrap());
            let mut camera = Camera::new(&caps(codec), 64, 48, 300_000);
            camera.packer.room = 200;
            for number in 0..24 {
                let picture = picture(64, 48, number);
                let packets = camera.shoot(&picture, number % 4 == 0);
                // A few bytes of its first packet, and all of the others.
                let harm = |at: usize| if number == bad && at == 0 { Harm::Cut(4) } else { Harm::None };
                let packets = packets.iter().enumerate().flat_map(|(at, packet)| harmed(packet, &harm(at))).collect();
                stage.send(picture.at, packets);
            }
            let seen = end.packets().len();
            assert!(seen >= 19, "{codec:?}: {seen} pictures of 24 after number {bad} was cut off");
        }
    }
}
