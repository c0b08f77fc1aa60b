//! How converters behave: when the source begins anew, pauses or turns to another format, when viewers wish for something, when
//! there is too much to do.

use crate::look::worst_block;
use crate::signal::{amplitude, channel, noise, picture};
use crate::stage::{End, Stage};
use crate::streams::{Camera, Packer, Peer, caps, stamp, tone};
use bytes::Bytes;
use rivero_codecs::coder::EncodedFrame;
use rivero_codecs::convert::raw;
use rivero_engine::{Body, Caps, Codec, CodingSettings, Feedback, MediaKind, MediaTime, Packet, Picture};
use std::sync::Arc;
use std::time::Duration;

const WIDE: u32 = 160;
const HIGH: u32 = 128;

fn stage(to: Codec) -> (Stage, End) {
    let mut stage = Stage::new(MediaKind::Video);
    stage.set(CodingSettings { bitrate: 1_000_000, ..CodingSettings::default() });
    let end = stage.sink(&caps(to));
    stage.heard();
    (stage, end)
}

fn camera(codec: Codec) -> Camera {
    Camera::new(&caps(codec), WIDE, HIGH, 1_000_000)
}

fn shoot(stage: &mut Stage, camera: &mut Camera, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let picture = picture(WIDE, HIGH, number);
        stage.send(picture.at, camera.shoot(&picture, false));
    }
}

fn ssrcs(packets: &[Packet]) -> Vec<u32> {
    let ssrc = |packet: &Packet| match &packet.body {
        Body::Rtp(rtp) => rtp.ssrc,
        _ => panic!("no RTP"),
    };
    let mut all: Vec<u32> = packets.iter().map(ssrc).collect();
    all.dedup();
    all
}

fn pictures(end: &End) -> Vec<Arc<Picture>> {
    let picture = |packet: Packet| match packet.body {
        Body::Picture(picture) => picture,
        _ => panic!("no picture"),
    };
    end.packets().into_iter().map(picture).collect()
}

#[test]
fn a_source_that_begins_anew_is_followed() {
    let (mut stage, end) = stage(Codec::H264);
    let mut camera = camera(Codec::Vp8);
    shoot(&mut stage, &mut camera, 0..10);
    // Another source, another numbering, another clock; it begins with a key frame.
    let mut other = self::camera(Codec::Vp8);
    (other.packer.ssrc, other.packer.sequence, other.packer.shift) = (5, 10, 123_456);
    shoot(&mut stage, &mut other, 10..20);
    assert_eq!(stage.key_requests(), 0, "a key frame came by itself");
    // And one that does not.
    let mut third = self::camera(Codec::Vp8);
    third.shoot(&picture(WIDE, HIGH, 19), true);
    (third.packer.ssrc, third.packer.sequence) = (6, 100);
    shoot(&mut stage, &mut third, 20..24);
    assert_eq!(stage.key_requests(), 1, "one is asked for at once");
    let next = picture(WIDE, HIGH, 24);
    stage.send(next.at, third.shoot(&next, true));
    let seen = Peer::new(&caps(Codec::H264)).watch(&end.packets());
    let shown: Vec<u32> = seen.iter().map(|(stamp, _)| (f64::from(*stamp) / 3000.0).round() as u32).collect();
    assert_eq!(shown, (1..20).chain([24]).collect::<Vec<_>>());
    seen.iter().zip(shown).for_each(|((_, picture), shown)| assert!(worst_block(picture, shown) < 24.0));
    assert_eq!(stage.errors(), [""; 0]);
}

#[test]
fn a_source_that_turns_to_another_codec_is_converted_anew() {
    let (mut stage, end) = stage(Codec::Vp9);
    shoot(&mut stage, &mut camera(Codec::Vp8), 0..8);
    let before = end.packets();
    let mut other = camera(Codec::H264);
    other.packer.ssrc = 78;
    shoot(&mut stage, &mut other, 8..16);
    let after = end.packets();
    assert_eq!(stage.key_requests(), 0, "nobody takes the new codec for the old");
    assert_ne!(ssrcs(&before), ssrcs(&after), "whoever forwards the packets must know that this is another stream");
    assert_eq!((ssrcs(&before).len(), ssrcs(&after).len()), (1, 1));
    assert!(Peer::new(&caps(Codec::Vp9)).watch(&before).len() >= 7);
    assert!(Peer::new(&caps(Codec::Vp9)).watch(&after).len() >= 7);
    assert_eq!(stage.errors(), [""; 0]);
}

#[test]
fn a_picture_of_another_size_begins_at_a_key_frame() {
    for codec in [Codec::Vp8, Codec::H264, Codec::H263] {
        let (mut stage, end) = stage(codec);
        let mut camera = camera(Codec::Vp9);
        shoot(&mut stage, &mut camera, 0..8);
        for number in 8..16 {
            let picture = picture(98, 66, number);
            stage.send(picture.at, camera.shoot(&picture, false));
        }
        let seen = Peer::new(&caps(codec)).watch(&end.packets());
        assert!(seen.len() >= 15, "{codec:?}");
        assert_eq!(seen.iter().filter(|(_, picture)| picture.width < 100).count(), 8, "{codec:?}");
        assert_eq!(stage.errors(), [""; 0]);
    }
}

#[test]
fn a_viewer_gets_his_key_frame_and_the_publisher_is_not_asked() {
    let (mut stage, end) = stage(Codec::Vp8);
    let mut camera = camera(Codec::H264);
    shoot(&mut stage, &mut camera, 0..12);
    end.packets();
    // All at once, and again before the answer could arrive.
    (0..5).for_each(|_| stage.say(&end, Feedback::KeyFrame));
    shoot(&mut stage, &mut camera, 12..13);
    let first = end.packets();
    assert!(first[0].key, "the very next picture");
    stage.say(&end, Feedback::KeyFrame);
    shoot(&mut stage, &mut camera, 13..21);
    assert!(end.packets().iter().all(|packet| !packet.key), "not at once again");
    shoot(&mut stage, &mut camera, 21..40);
    let keys = end.packets().iter().filter(|packet| packet.key).count();
    assert_eq!(keys, 1, "the second request is heard a little later, and once");
    assert_eq!(stage.key_requests(), 0);
}

#[test]
fn a_key_frame_that_does_not_come_is_asked_for_again_but_not_in_a_storm() {
    let (mut stage, _end) = stage(Codec::Vp8);
    let mut camera = camera(Codec::H264);
    shoot(&mut stage, &mut camera, 0..5);
    camera.packer.sequence += 3;
    // Nobody listens for two seconds.
    shoot(&mut stage, &mut camera, 5..65);
    let asked: Vec<MediaTime> = stage.heard().into_iter().map(|(at, _)| at).collect();
    assert!((8..=11).contains(&asked.len()), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(200)), "{asked:?}");
}

#[test]
fn a_key_frame_that_comes_spoilt_is_asked_for_at_once_and_a_whole_one_waits_for_nothing() {
    let mut stage = Stage::new(MediaKind::Video);
    let end = stage.sink(&raw(MediaKind::Video).unwrap());
    stage.heard();
    let mut camera = camera(Codec::H264);
    camera.packer.room = 400;
    shoot(&mut stage, &mut camera, 0..5);
    camera.packer.sequence += 3;
    shoot(&mut stage, &mut camera, 5..9);
    let asked = stage.heard();
    assert_eq!(asked.len(), 1);
    end.packets();
    let spoilt = picture(WIDE, HIGH, 9);
    let mut packets = camera.shoot(&spoilt, true);
    packets.remove(1);
    stage.send(spoilt.at, packets);
    shoot(&mut stage, &mut camera, 10..15);
    let again = stage.heard();
    assert_eq!(again.len(), 1);
    let between = again[0].0.since(asked[0].0);
    assert!(between < Duration::from_millis(190), "{between:?}");
    assert!(end.packets().is_empty());
    // The packets just before the next one are missing too; it is whole itself.
    camera.packer.sequence += 2;
    let good = picture(WIDE, HIGH, 15);
    stage.send(good.at, camera.shoot(&good, true));
    assert_eq!(pictures(&end).len(), 1, "nothing before it is of any use");
}

/// Padding that came too late to be left out of the numbering.
#[test]
fn a_packet_that_only_fills_the_path_costs_nothing() {
    for codec in [Codec::Vp8, Codec::H264] {
        let mut stage = Stage::new(MediaKind::Video);
        let end = stage.sink(&raw(MediaKind::Video).unwrap());
        let mut camera = camera(codec);
        shoot(&mut stage, &mut camera, 0..2);
        stage.heard();
        for number in 2..12 {
            let picture = picture(WIDE, HIGH, number);
            let mut packets = camera.shoot(&picture, false);
            camera.packer.sequence += 1;
            let mut empty = packets[0].clone().key(false);
            let (ssrc, timestamp) = (camera.packer.ssrc, stamp(&empty));
            let (sequence, payload) = (camera.packer.sequence, Bytes::new());
            empty.body = Body::Rtp(Arc::new(rivero_engine::Rtp { ssrc, sequence, timestamp, marker: false, payload }));
            packets.push(empty);
            stage.send(picture.at, packets);
        }
        assert_eq!(stage.key_requests(), 0, "{codec:?}");
        assert!(pictures(&end).len() >= 11, "{codec:?}");
    }
}

/// What waited for a packet that was sent again is late by no fault of the encoder.
#[test]
fn pictures_that_a_network_held_up_are_encoded() {
    let (mut stage, end) = stage(Codec::Vp8);
    let mut camera = camera(Codec::H264);
    for number in 0..30 {
        let picture = picture(WIDE, HIGH, number);
        stage.send(picture.at + Duration::from_millis(450), camera.shoot(&picture, false));
    }
    assert!(Peer::new(&caps(Codec::Vp8)).watch(&end.packets()).len() >= 29);
}

#[test]
fn bit_rates_go_by_viewers_and_bounds() {
    let rate = |settings: CodingSettings, wishes: &[u64]| {
        let (mut stage, end) = stage(Codec::H264);
        stage.set(settings);
        let mut camera = Camera::new(&caps(Codec::Mjpeg), WIDE, HIGH, 4_000_000);
        let mut bytes = 0;
        for number in 0..90 {
            if number == 2 {
                wishes.iter().for_each(|bps| stage.say(&end, Feedback::Bitrate(*bps)));
            }
            let picture = noise(WIDE, HIGH, number);
            stage.send(picture.at, camera.shoot(&picture, false));
            let packets = end.packets();
            bytes += if number >= 30 { packets.iter().map(|packet| packet.body.len()).sum() } else { 0 };
        }
        bytes * 8 / 2
    };
    let near =
        |is: usize, wanted: usize| assert!((wanted * 6 / 10..wanted * 15 / 10).contains(&is), "{is} for {wanted}");
    let set = |bitrate, min, max| CodingSettings { bitrate, min, max };
    near(rate(set(300_000, 0, u32::MAX), &[]), 300_000);
    near(rate(set(300_000, 0, u32::MAX), &[900_000]), 900_000);
    near(rate(set(300_000, 0, 500_000), &[900_000]), 500_000);
    near(rate(set(300_000, 250_000, u32::MAX), &[100_000]), 250_000);
    near(rate(set(600_000, 0, u32::MAX), &[200_000, rivero_engine::bitrate::NO_LIMIT]), 600_000);
}

#[test]
fn an_encoder_that_fails_says_so_once_and_is_tried_with_another_size() {
    let (mut stage, end) = stage(Codec::H263);
    let mut camera = Camera::new(&caps(Codec::Vp8), 24, 2, 1_000_000);
    // Nothing of two pixels is left for H.263, which goes by four.
    for number in 0..75 {
        let small = Picture { height: 2, ..picture(24, 24, number) };
        stage.send(small.at, camera.shoot(&small, false));
    }
    assert_eq!(stage.errors().len(), 1);
    assert!(end.packets().is_empty());
    for number in 75..85 {
        let picture = picture(WIDE, HIGH, number);
        stage.send(picture.at, camera.shoot(&picture, false));
    }
    assert!(Peer::new(&caps(Codec::H263)).watch(&end.packets()).len() >= 9);
    assert_eq!(stage.errors(), [""; 0]);
}

/// A coder that stands still for a while goes on with good pictures, and without the delay.
#[test]
fn a_coder_that_is_behind_catches_up() {
    // The first worker of coders has the decoder, the second the encoder.
    for worker in [1, 2] {
        let (mut stage, end) = stage(Codec::Vp8);
        let pictures_end = stage.sink(&raw(MediaKind::Video).unwrap());
        let mut camera = camera(Codec::H264);
        shoot(&mut stage, &mut camera, 0..10);
        assert!(end.packets().len() >= 9 && pictures(&pictures_end).len() >= 9);
        stage.bench.stall(worker, true);
        shoot(&mut stage, &mut camera, 10..130);
        stage.bench.stall(worker, false);
        stage.heard();
        // It gets the key frame that it asks for, or that the door asked for.
        for number in 130..160 {
            let key = number == 135;
            let picture = picture(WIDE, HIGH, number);
            stage.send(picture.at, camera.shoot(&picture, key));
        }
        let came = end.take();
        let late = came.iter().filter(|(at, packet)| at.since(packet.entered) > Duration::from_millis(650));
        assert!(late.count() <= 14, "worker {worker}: what is late is left out, but for one picture in half a second");
        let recent = came.iter().filter(|(at, packet)| at.since(packet.entered) < Duration::from_millis(100));
        assert!(recent.count() >= 24, "worker {worker}: it is on time again");
        for picture in pictures(&pictures_end) {
            let number = (picture.at.as_nanos() as f64 * 30.0 / 1e9).round() as u32;
            assert!(worst_block(&picture, number) < 24.0, "worker {worker}: {number}");
        }
        assert_eq!(stage.errors(), [""; 0]);
    }
}

fn speak(stage: &mut Stage, packets: &[Packet], after: Duration) {
    for packet in packets {
        let mut packet = packet.clone();
        packet.entered = packet.entered + after;
        stage.send(packet.entered, vec![packet]);
    }
}

/// The same packets later: the timestamps go on as time does, the numbers as if nothing had been between.
fn later(packets: &[Packet], caps: &Caps, by: Duration) -> Vec<Packet> {
    let count = packets.len() as u64;
    let ticks = (by.as_nanos() * u128::from(caps.clock_rate()) / 1_000_000_000) as u32;
    let shift = |packet: &Packet| {
        let Body::Rtp(rtp) = &packet.body else { panic!("no RTP") };
        let rtp = rivero_engine::Rtp {
            sequence: rtp.sequence + count,
            timestamp: rtp.timestamp.wrapping_add(ticks),
            ssrc: rtp.ssrc,
            marker: rtp.marker,
            payload: rtp.payload.clone(),
        };
        let mut packet = packet.clone();
        packet.body = Body::Rtp(Arc::new(rtp));
        packet
    };
    packets.iter().map(shift).collect()
}

#[test]
fn a_pause_is_a_pause() {
    for (from, to) in
        [(Codec::Opus, Codec::Pcmu), (Codec::Pcmu, Codec::Opus), (Codec::Pcma, Codec::Mp3), (Codec::Gsm, Codec::Aac)]
    {
        let mut stage = Stage::new(MediaKind::Audio);
        let end = stage.sink(&caps(to));
        // Not a whole number of frames: something is left in the encoder.
        let spoken = tone(&caps(from), 1.0);
        speak(&mut stage, &spoken, Duration::ZERO);
        let before = end.packets();
        let pause = Duration::from_secs(301);
        stage.bench.advance(pause - Duration::from_secs(1));
        assert!(end.packets().is_empty(), "{from:?} to {to:?}: nothing is made up");
        speak(&mut stage, &later(&spoken, &caps(from), pause), pause);
        let after = end.take();
        let clock = f64::from(caps(to).clock_rate());
        let (last, first) = (stamp(before.last().unwrap()), stamp(&after[0].1));
        let jump = f64::from(first.wrapping_sub(last)) / clock;
        assert!((299.9..300.2).contains(&jump), "{from:?} to {to:?}: {jump} s");
        for (at, packet) in &after {
            let old = at.since(packet.entered);
            assert!(old < Duration::from_millis(200), "{from:?} to {to:?}: a packet from {old:?} ago");
        }
        assert!(after.len() * 10 >= before.len() * 9, "{from:?} to {to:?}: it goes on");
        Peer::new(&caps(to)).listen(&after.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>());
    }
}

#[test]
fn a_short_silence_is_filled() {
    let mut stage = Stage::new(MediaKind::Audio);
    let end = stage.sink(&caps(Codec::Pcmu));
    let spoken = tone(&caps(Codec::Opus), 0.4);
    let pause = Duration::from_millis(800);
    speak(&mut stage, &spoken, Duration::ZERO);
    speak(&mut stage, &later(&spoken, &caps(Codec::Opus), pause), pause);
    let packets = end.packets();
    let stamps: Vec<u32> = packets.iter().map(stamp).collect();
    assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 160), "time goes on evenly");
    let heard: Vec<_> =
        Peer::new(&caps(Codec::Pcmu)).listen(&packets).into_iter().flat_map(|(_, sounds)| sounds).collect();
    let samples = channel(&heard, 0);
    assert!((samples.len() as f64 / 8000.0 - 1.17).abs() < 0.04, "{} samples", samples.len());
    let part = |from: usize, to: usize| amplitude(&samples[from * 8..to * 8], 8000, 440.0);
    assert!(part(100, 340) > 0.3 && part(420, 740) < 0.01 && part(860, 1100) > 0.3);
}

#[test]
fn channels_are_mixed_and_doubled_at_the_same_loudness() {
    for (channels, wanted) in [(1, 2), (2, 1)] {
        let of = |channels| Caps::audio(Codec::Pcmu, 16_000, channels);
        let mut stage = Stage::new(MediaKind::Audio);
        let end = stage.sink(&of(wanted));
        speak(&mut stage, &tone(&of(channels), 1.0), Duration::ZERO);
        let heard: Vec<_> = Peer::new(&of(wanted)).listen(&end.packets()).into_iter().flat_map(|(_, s)| s).collect();
        for at in 0..usize::from(wanted) {
            let samples = channel(&heard, at);
            let loud = amplitude(&samples[1600..samples.len() - 1600], 16_000, 440.0);
            assert!((loud - 0.333).abs() < 0.02, "{channels} to {wanted}: {loud}");
        }
    }
}

#[test]
fn viewers_who_say_the_same_in_other_words_share_an_encoder() {
    let (mut stage, _one) = stage(Codec::H264);
    let other =
        Caps::video(Codec::H264, Some("profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1"));
    let two = stage.sink(&other);
    let zero = stage.sink(&Caps::video(Codec::H264, None));
    shoot(&mut stage, &mut camera(Codec::Vp8), 0..5);
    assert!(two.packets().len() >= 4 && zero.packets().len() >= 4);
    let dot = stage.bench.run(stage.source.pipeline().dot());
    assert_eq!(dot.matches("Encoder").count(), 2, "one for each way of packing: {dot}");
}

/// AMR's senders say that they are silent every 160 ms, and nothing between (3GPP TS 26.093).
#[test]
fn a_silence_that_is_announced_keeps_its_noise() {
    let from = caps(Codec::AmrNb);
    let mut stage = Stage::new(MediaKind::Audio);
    let end = stage.sink(&caps(Codec::Pcmu));
    let mut packer = Packer::new(&from);
    let mut at = MediaTime::from_millis(1000);
    for _ in 0..20 {
        let data = Bytes::from_static(&[0x44, 0x26, 0xd1, 0xf3, 0x6c, 0x7e]);
        let packets = packer.pack(&EncodedFrame { data, at, key: true });
        stage.send(at, packets);
        at = at + Duration::from_millis(160);
    }
    let heard: Vec<_> =
        Peer::new(&caps(Codec::Pcmu)).listen(&end.packets()).into_iter().flat_map(|(_, sounds)| sounds).collect();
    let samples = channel(&heard, 0);
    assert!(samples.len() > 8000 * 28 / 10, "{} samples", samples.len());
    for (number, part) in samples[1600..].chunks_exact(160).enumerate() {
        let level = (part.iter().map(|s| s * s).sum::<f64>() / 160.0).sqrt();
        assert!(level > 0.0003, "after {} ms: {level}", 200 + number * 20);
    }
}
