//! An hour of a sender whose clocks are wrong: what is encoded anew has the times of our clock, and sound and picture stay together.

use crate::network::{Dice, Network};
use crate::signal::picture;
use crate::stage::{End, Stage};
use crate::streams::{Packer, Peer, caps, stamp};
use bytes::Bytes;
use rivero_codecs::coder::{EncodedFrame, VideoEncoder, VideoSettings};
use rivero_codecs::convert::raw;
use rivero_engine::{Body, Codec, Element, MediaKind, MediaTime, Packet};
use std::time::Duration;

const HOUR: u64 = 3600;
/// Sound and picture are marked so often on the sender's clock, in seconds.
const MARK: u64 = 10;
/// Packets of 40 ms.
const SAMPLES: u64 = 320;
/// Pictures in a second.
const RATE: u64 = 3;
/// Until then nobody can know how long the path is, in marks.
const SETTLED: usize = 3;

/// When something is sent, of which the sender's clock says `own`, in microseconds.
fn sent(own: u64, ppm: i64) -> MediaTime {
    let off = (own as i64 / 1000 * ppm / 1000) as u64;
    MediaTime::from_nanos(own.wrapping_sub(off) * 1000 + 1_000_000_000)
}

/// All that arrives of the packets, in order, over a path with jitter.
fn arrivals(packets: impl Iterator<Item = (u64, Packet)>, ppm: i64, seed: u64, loss: u64) -> Vec<(MediaTime, Packet)> {
    let mut dice = Dice(seed);
    let mut network = Network::new(seed, loss, 1, false);
    let mut arrivals = Vec::new();
    for (own, packet) in packets {
        let now = sent(own, ppm);
        // Now and then one takes much longer.
        let late = if dice.below(20) == 0 { dice.below(30) } else { 0 };
        network.send(packet, now + Duration::from_millis(late));
        while let Some(arrived) = network.next(now) {
            arrivals.push(arrived);
        }
    }
    arrivals
}

/// Silence, but for one loud packet at each mark.
fn sound() -> impl Iterator<Item = (u64, Packet)> {
    let mut packer = Packer::new(&caps(Codec::Pcmu));
    (0..HOUR * 8000 / SAMPLES).flat_map(move |number| {
        let own = number * SAMPLES * 1_000_000 / 8000;
        let loud = own.is_multiple_of(MARK * 1_000_000);
        // A square of 400 Hz; the greatest values of mu-law, and zero.
        let sample = |at: u64| {
            if !loud {
                0xff
            } else if (at / 10).is_multiple_of(2) {
                0x80
            } else {
                0x00
            }
        };
        let data = Bytes::from((0..SAMPLES).map(sample).collect::<Vec<u8>>());
        let frame = EncodedFrame { data, at: MediaTime::from_nanos(own * 1000), key: true };
        packer.pack(&frame).into_iter().map(move |packet| (own, packet)).collect::<Vec<_>>()
    })
}

/// Small pictures: another one at each mark.
fn pictures() -> impl Iterator<Item = (u64, Packet)> {
    let [usual, marked] = [0, 8].map(|number| {
        let mut encoder = VideoEncoder::new(Codec::H263, VideoSettings::new(64, 48)).unwrap();
        let mut frames = Vec::new();
        encoder.encode(&picture(64, 48, number), true, &mut frames).unwrap();
        frames.remove(0)
    });
    let mut packer = Packer::new(&caps(Codec::H263));
    (0..HOUR * RATE).flat_map(move |number| {
        let own = number * 1_000_000 / RATE;
        let frame = if number.is_multiple_of(MARK * RATE) { &marked } else { &usual };
        let frame = EncodedFrame { at: MediaTime::from_nanos(own * 1000), ..frame.clone() };
        packer.pack(&frame).into_iter().map(move |packet| (own, packet)).collect::<Vec<_>>()
    })
}

/// When each mark is heard, in seconds by the timestamps; every packet follows the last without a seam.
fn heard(packets: &[Packet]) -> Vec<f64> {
    let first = stamp(&packets[0]);
    let stamps: Vec<u32> = packets.iter().map(stamp).collect();
    let seam = stamps.windows(2).position(|pair| pair[1].wrapping_sub(pair[0]) != 160);
    assert_eq!(seam, None, "a jump of {:?}", seam.map(|at| stamps[at + 1].wrapping_sub(stamps[at])));
    let mut marks = Vec::new();
    let mut quiet = 0;
    for (stamp, sounds) in Peer::new(&caps(Codec::Pcma)).listen(packets) {
        let samples = sounds.iter().flat_map(|sound| sound.samples.chunks_exact(2));
        for (at, sample) in samples.enumerate() {
            let sample = i16::from_ne_bytes([sample[0], sample[1]]);
            if sample.unsigned_abs() > 8000 {
                if quiet > 8000 {
                    marks.push(f64::from(stamp.wrapping_sub(first)) / 8000.0 + at as f64 / 8000.0);
                }
                quiet = 0;
            } else {
                quiet += 1;
            }
        }
    }
    let began = f64::from(first) / 8000.0;
    marks.iter().map(|mark| began + mark).collect()
}

/// When each mark is seen, in seconds by the timestamps of what is encoded anew.
fn seen(pictures: &[Packet], encoded: &[Packet]) -> Vec<f64> {
    let stamps: Vec<u32> = encoded.iter().map(stamp).collect();
    assert!(stamps.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0), "no picture before the last");
    let mut marks = Vec::new();
    for packet in pictures {
        let Body::Picture(picture) = &packet.body else { panic!("no picture") };
        // Where the bar stands in marked pictures, others are dark.
        let line = &picture.planes[0].data[picture.planes[0].stride * 40..];
        if line[34] > line[4] && line[36].abs_diff(200) < 40 && line[20].abs_diff(60) < 40 {
            let stamp = (picture.at.as_nanos() * 9 + 50_000) / 100_000;
            assert!(stamps.contains(&(stamp as u32)), "what is encoded has the time of its picture");
            marks.push(stamp as f64 / 90_000.0);
        }
    }
    marks
}

struct Playing {
    stage: Stage,
    sound: (Element, End),
    pictures: (Element, End, End),
}

impl Playing {
    fn new() -> Self {
        let mut stage = Stage::new(MediaKind::Audio);
        let heard = stage.sink(&caps(Codec::Pcma));
        let audio = stage.another_source(MediaKind::Video);
        let seen = stage.sink(&raw(MediaKind::Video).unwrap());
        let encoded = stage.sink(&caps(Codec::Mjpeg));
        let video = stage.source.clone();
        Playing { stage, sound: (audio, heard), pictures: (video, seen, encoded) }
    }
}

fn stays_together(audio_ppm: i64, video_ppm: i64, seed: u64) {
    let mut playing = Playing::new();
    let mut all: Vec<(MediaTime, bool, Packet)> = Vec::new();
    all.extend(arrivals(sound(), audio_ppm, seed, 2).into_iter().map(|(at, packet)| (at, true, packet)));
    all.extend(arrivals(pictures(), video_ppm, seed + 1, 2).into_iter().map(|(at, packet)| (at, false, packet)));
    all.sort_by_key(|(at, ..)| *at);
    let (mut sounds, mut pictures, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    for (at, is_sound, packet) in all {
        playing.stage.wait_until(at);
        let source = if is_sound { playing.sound.0.clone() } else { playing.pictures.0.clone() };
        playing.stage.send_from(&source, vec![packet]);
        sounds.extend(playing.sound.1.packets());
        pictures.extend(playing.pictures.1.packets());
        encoded.extend(playing.pictures.2.packets().into_iter().filter(|packet| packet.frame_end));
    }
    assert_eq!(playing.stage.errors(), [""; 0]);
    let (heard, seen) = (heard(&sounds), seen(&pictures, &encoded));
    let (mut worst, mut together) = (0.0_f64, 0);
    let real = |mark: u64, ppm: i64| sent(mark * MARK * 1_000_000, ppm).as_nanos() as f64 / 1e9;
    let find = |marks: &[f64], due: f64| marks.iter().copied().find(|mark| (mark - due).abs() < 1.0);
    for mark in SETTLED as u64..HOUR / MARK {
        let (due, shown) = (real(mark, audio_ppm), real(mark, video_ppm));
        // A mark may be lost on the way.
        let (Some(heard), Some(seen)) = (find(&heard, due), find(&seen, shown)) else { continue };
        let apart = (heard - due) - (seen - shown);
        assert!(apart.abs() < 0.020, "mark {mark}: sound {:.4} s late, picture {:.4} s", heard - due, seen - shown);
        worst = worst.max(apart.abs());
        together += 1;
    }
    println!("{audio_ppm} and {video_ppm} ppm: {together} marks, {:.1} ms apart at worst", worst * 1000.0);
    assert!(together > 300, "{together} marks of {}", HOUR / MARK);
}

#[test]
fn both_clocks_run_fast() {
    stays_together(200, 200, 1);
}

#[test]
fn both_clocks_run_slow() {
    stays_together(-200, -200, 3);
}

#[test]
fn each_runs_its_own_way() {
    stays_together(200, -200, 5);
}
