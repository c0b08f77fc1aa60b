//! Loss in front of a decoder: no damaged picture is ever handed on, none freezes for longer than it must, and sound has no holes.

use crate::look::worst_block;
use crate::network::{JITTER, Network, ROUND_TRIP};
use crate::signal::{channel, picture};
use crate::stage::Stage;
use crate::streams::{Camera, Peer, VIDEO, caps, tone};
use rivero_codecs::coder::VideoDecoder;
use rivero_codecs::convert::raw;
use rivero_engine::{Body, Codec, Feedback, MediaKind, MediaTime, Packet, Picture, Plane};
use std::sync::Arc;
use std::time::Duration;

const WIDE: u32 = 160;
const HIGH: u32 = 128;
const INTERVAL: Duration = Duration::from_nanos(33_333_333);
const PICTURES: u32 = 240;
/// How long `playout` waits at most for a packet on a path that never sends again, and on one that does so twice.
const PATIENCE: Duration = Duration::from_millis(80);
const MORE_PATIENCE: Duration = Duration::from_millis(145);
/// When a decoder asks again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What was seen of one run.
struct Watched {
    /// When it left the decoder, when it is to be shown.
    seen: Vec<(MediaTime, Arc<Picture>)>,
    asked: Vec<MediaTime>,
    /// Key frames: when they were sent, and whether they arrived as a whole.
    keys: Vec<(MediaTime, bool)>,
    lost: u64,
    /// Of how many pictures in a row the end did not arrive: that it is missing shows with the next.
    silent: u32,
    /// What a decoder makes of the frames that were sent.
    whole: Vec<Picture>,
}

/// Sends pictures until the end, and key frames a round trip after they were asked for.
fn watch(codec: Codec, mut network: Network) -> Watched {
    let mut stage = Stage::new(MediaKind::Video);
    let end = stage.sink(&raw(MediaKind::Video).unwrap());
    stage.heard();
    let mut camera = Camera::new(&caps(codec), WIDE, HIGH, 1_000_000);
    // Several packets to a frame, as with larger pictures.
    camera.packer.room = 700;
    let (mut asked, mut keys, mut answered) = (Vec::new(), Vec::new(), 0);
    let mut seen = Vec::new();
    let mut reference = VideoDecoder::new(codec).unwrap();
    let mut whole_pictures = Vec::new();
    let (mut silent, mut row) = (0, 0);
    for at in 0..PICTURES {
        let picture = picture(WIDE, HIGH, at);
        let now = picture.at;
        while let Some((arrives, packet)) = network.next(now) {
            stage.send(arrives, vec![packet]);
        }
        stage.wait_until(now);
        asked.extend(stage.heard().iter().filter(|(_, what)| *what == Feedback::KeyFrame).map(|(at, _)| *at));
        // A request takes half a round trip.
        let arrived = asked.iter().filter(|asked| **asked + ROUND_TRIP / 2 <= now).count();
        let key = arrived > std::mem::replace(&mut answered, arrived);
        let frame = camera.film(&picture, key);
        let mut decoded = Vec::new();
        reference.decode(&frame.data, now, &mut decoded).unwrap();
        whole_pictures.push(decoded.remove(0).picture);
        let (is_key, packets) = (frame.key, camera.packer.pack(&frame));
        // The first has to arrive: without any there is nothing to look at.
        let mut arrive = |packet: Packet| match at {
            0 => {
                stage.send(now, vec![packet]);
                true
            }
            _ => network.send(packet, now),
        };
        let arrived: Vec<bool> = packets.into_iter().map(&mut arrive).collect();
        row = if arrived.ends_with(&[true]) { 0 } else { row + 1 };
        silent = silent.max(row);
        let whole = !arrived.contains(&false);
        if is_key {
            keys.push((now, whole));
        }
        seen.extend(end.take().into_iter().filter_map(|(at, packet)| match packet.body {
            Body::Picture(picture) => Some((at, picture)),
            _ => None,
        }));
    }
    assert_eq!(stage.errors(), [""; 0]);
    Watched { seen, asked, keys, lost: network.lost, silent, whole: whole_pictures }
}

/// Each picture that left is, to the bit, what a decoder makes of that frame which has got everything. Which frame it must be is known
/// by when it is to be shown.
fn assert_never_damaged(watched: &Watched, what: &str) {
    let mut last = None;
    for (_, picture) in &watched.seen {
        assert!(last.is_none_or(|last| last < picture.at), "{what}: one after another");
        last = Some(picture.at);
        // The path takes half a round trip and its jitter; how much of it there is shows with time only.
        let due = picture.at.as_nanos() as f64 / INTERVAL.as_nanos() as f64;
        let (first, after) = ((due - 2.6).ceil().max(0.0) as usize, (due + 0.6).ceil() as usize);
        let shows = watched.whole[first..after].iter().any(|whole| is_same(whole, picture));
        let worst = || worst_block(picture, due as u32);
        assert!(shows, "{what}: at {due:.1} it shows what was never sent; a block is off by {:.0}", worst());
    }
}

fn is_same(one: &Picture, other: &Picture) -> bool {
    let rows = |picture: &Picture, plane: usize| -> Vec<u8> {
        let (wide, high) = picture.plane_size(plane);
        let Plane { data, stride } = &picture.planes[plane];
        (0..high as usize).flat_map(|y| data[y * stride..][..wide as usize].to_vec()).collect()
    };
    (one.width, one.height) == (other.width, other.height) && (0..3).all(|plane| rows(one, plane) == rows(other, plane))
}

/// No freeze is longer than its reasons: what was waited for, a request and its answer, and as often again as a key frame was lost.
fn assert_short_freezes(watched: &Watched, patience: Duration, what: &str) -> Duration {
    // A picture misses something, which shows with the first that arrives after it; the request is heard by another.
    let once = patience + ROUND_TRIP + INTERVAL * (3 + watched.silent) + JITTER;
    let mut longest = Duration::ZERO;
    for pair in watched.seen.windows(2) {
        let (from, to) = (pair[0].0, pair[1].0);
        let freeze = to.since(from);
        let in_vain = watched.keys.iter().filter(|(at, whole)| !whole && (from..=to).contains(at)).count() as u32;
        let most = once + (once.max(ASK_AGAIN) + INTERVAL) * in_vain;
        assert!(freeze <= most, "{what}: {freeze:?} from {from:?}, though {in_vain} key frames were lost");
        longest = longest.max(freeze);
    }
    let (last, end) = (watched.seen.last().unwrap().0, picture(8, 8, PICTURES).at);
    assert!(end.since(last) < Duration::from_secs(2), "{what}: it goes on to the end");
    longest
}

#[test]
fn no_damaged_picture_is_shown_and_the_next_good_one_comes_soon() {
    // (percent, in a row, sent again)
    let paths =
        [(1, 1, false), (2, 1, false), (5, 1, false), (10, 1, false), (5, 6, false), (10, 1, true), (5, 6, true)];
    for codec in VIDEO {
        for (seed, (loss, burst, again)) in (1..).zip(paths) {
            let what = format!("{} with {loss} % lost, {burst} in a row, {again}", codec.name());
            let watched = watch(codec, Network::new(seed, loss, burst, again));
            assert_never_damaged(&watched, &what);
            let patience = if again { MORE_PATIENCE } else { PATIENCE };
            let longest = assert_short_freezes(&watched, patience, &what);
            let Watched { seen, asked, keys, lost, .. } = watched;
            // No storm: one for each freeze, and each key frame that was lost.
            assert!(codec != Codec::Mjpeg || asked.is_empty(), "each picture stands for itself");
            assert!(asked.len() <= keys.len() + 2, "{what}: {} requests, {} key frames", asked.len(), keys.len());
            let waited = asked.windows(2).filter(|pair| pair[1].since(pair[0]) < ROUND_TRIP / 2).count();
            assert_eq!(waited, 0, "{what}: asked again before any answer could come");
            println!(
                "{what:<50}: {lost:>3} packets never came, {} of {PICTURES} pictures, {} requests, longest freeze {} ms",
                seen.len(),
                asked.len(),
                longest.as_millis(),
            );
            assert!(lost > 0 || again, "{what}: nothing was lost");
        }
    }
}

#[test]
fn what_is_sent_again_in_time_costs_no_picture() {
    let watched = watch(Codec::Vp8, Network::new(4, 3, 1, true));
    assert!(watched.asked.len() <= 1, "{:?}", watched.asked);
    assert!(watched.seen.len() as u32 > PICTURES - 8, "{} pictures", watched.seen.len());
    assert_never_damaged(&watched, "sent again");
}

/// The tone, as it leaves the chain of `from` to PCMU: (rate, samples, how many packets were lost).
fn hear(from: Codec, seconds: f64, mut network: Network) -> (Vec<f64>, u64) {
    let mut stage = Stage::new(MediaKind::Audio);
    let end = stage.sink(&caps(Codec::Pcmu));
    let decoded = stage.sink(&raw(MediaKind::Audio).unwrap());
    let mut packets: Vec<(MediaTime, Packet)> = Vec::new();
    for (number, packet) in tone(&caps(from), seconds).into_iter().enumerate() {
        let sent = packet.entered;
        if number < 3 {
            packets.push((sent + ROUND_TRIP / 2, packet));
        } else {
            network.send(packet, sent);
        }
    }
    while let Some(arrived) = network.next(MediaTime::from_millis(100_000_000)) {
        packets.push(arrived);
    }
    for (at, mut packet) in packets {
        packet.entered = at;
        stage.send(at, vec![packet]);
    }
    assert_apart(&decoded.packets(), from);
    let heard = Peer::new(&caps(Codec::Pcmu)).listen(&end.packets());
    let stamps: Vec<u32> = heard.iter().map(|(stamp, _)| *stamp).collect();
    assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 160), "{from:?}: time goes on evenly");
    let sounds: Vec<_> = heard.into_iter().flat_map(|(_, sounds)| sounds).collect();
    (channel(&sounds, 0), network.lost)
}

/// What is made up for a loss does not reach far into what came after it.
fn assert_apart(packets: &[Packet], from: Codec) {
    let mut end = None;
    for packet in packets {
        let Body::Sound(sound) = &packet.body else { panic!("no sound") };
        let over = end.map_or(Duration::ZERO, |end: MediaTime| end.since(sound.at));
        assert!(over <= Duration::from_millis(11), "{from:?}: {over:?} too much at {:?}", sound.at);
        let length = sound.frames() as u64 * 1_000_000_000 / u64::from(sound.rate);
        end = Some(sound.at + Duration::from_nanos(length));
    }
}

/// The amplitude of a tone that is as loud.
fn level(part: &[f64]) -> f64 {
    (2.0 * part.iter().map(|s| s * s).sum::<f64>() / part.len() as f64).sqrt()
}

/// Seconds of the longest time in which nothing is heard.
fn longest_hole(samples: &[f64]) -> f64 {
    let (mut longest, mut run) = (0, 0);
    for sample in samples {
        run = if sample.abs() < 0.02 { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    f64::from(longest) / 8000.0
}

#[test]
fn sound_that_is_lost_is_concealed() {
    for (seed, (loss, burst)) in (1..).zip([(1, 1), (2, 1), (5, 1), (10, 1), (6, 3)]) {
        let (samples, lost) = hear(Codec::Opus, 20.0, Network::new(seed, loss, burst, false));
        assert!(lost > 0);
        // As long as it was: neither the holes nor what fills them make it longer or shorter.
        let off = (samples.len() as f64 / 8000.0 - 20.0).abs();
        assert!(off < 0.15, "{loss} %: {off} s");
        let quietest = samples[1600..samples.len() - 800].chunks_exact(800).map(level).fold(1.0, f64::min);
        let hole = longest_hole(&samples[1600..samples.len() - 800]);
        println!(
            "opus with {loss} % lost, {burst} in a row: {lost} packets, in 100 ms at least {quietest:.2}, longest hole {hole:.3} s"
        );
        assert!(quietest > 0.12, "{loss} %: {quietest}");
        assert!(hole < 0.02, "{loss} %: silent for {hole} s");
    }
    // Nothing is made up for a codec that cannot: silence takes its place, for as long as what was lost.
    let (samples, _) = hear(Codec::Pcma, 20.0, Network::new(3, 5, 1, false));
    assert!((samples.len() as f64 / 8000.0 - 20.0).abs() < 0.15);
    assert!(longest_hole(&samples[1600..samples.len() - 800]) < 0.085);
}
