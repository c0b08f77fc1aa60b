//! Every codec to every other: what went in is recognised at the far end, and nothing of it is missing.

use crate::look::{cycle, number, worst_block};
use crate::signal::{amplitude, channel, frequency, picture};
use crate::stage::Stage;
use crate::streams::{AUDIO, Camera, Peer, VIDEO, caps, spoken, tone};
use rivero_engine::{Codec, CodingSettings, MediaKind, MediaTime, Packet, Picture, Sound};

const WIDE: u32 = 160;
const HIGH: u32 = 128;
const PICTURES: u32 = 24;

#[test]
fn every_video_to_every_video() {
    for from in VIDEO {
        let mut stage = Stage::new(MediaKind::Video);
        stage.bench.run(stage.source.set_coding(CodingSettings { bitrate: 1_500_000, ..CodingSettings::default() }));
        let ends: Vec<_> = VIDEO.iter().map(|to| (*to, stage.sink(&caps(*to)))).collect();
        let mut camera = Camera::new(&caps(from), WIDE, HIGH, 1_500_000);
        // Whoever joins asks.
        stage.heard();
        for at in 0..PICTURES {
            let picture = picture(WIDE, HIGH, at);
            stage.send(picture.at, camera.shoot(&picture, false));
        }
        assert_eq!(stage.errors(), [""; 0], "{from:?}");
        let asked = stage.key_requests();
        assert!(asked <= 1, "{from:?}: {asked} key frames were asked for");
        for (to, end) in &ends {
            let seen = Peer::new(&caps(*to)).watch(&end.packets());
            // What needs no conversion keeps its timestamps.
            let shift = if from == *to { camera.packer.shift } else { 0 };
            let worst = assert_shown(&seen, shift, &format!("{from:?} to {to:?}"));
            println!("{:>6} to {:<6} {} pictures, worst block off by {worst:.0}", name(from), name(*to), seen.len());
        }
    }
}

/// Each picture is there, at its own time, and looks as it should. Answers by how much the worst block differs.
fn assert_shown(seen: &[(u32, Picture)], shift: u32, what: &str) -> f64 {
    assert!(seen.len() as u32 >= PICTURES - 2, "{what}: {} pictures of {PICTURES}", seen.len());
    let mut worst = 0.0_f64;
    for (stamp, picture) in seen {
        // The path takes no time here.
        let shown = (f64::from(stamp.wrapping_sub(shift)) / 3000.0).round() as u32;
        let looks = number(picture);
        assert!((looks - f64::from(shown % cycle(WIDE))).abs() <= 0.5, "{what}: at {shown} it looks like {looks}");
        worst = worst.max(worst_block(picture, shown));
    }
    assert!(worst < 40.0, "{what}: a block is off by {worst}");
    worst
}

#[test]
fn every_audio_to_every_audio() {
    for from in AUDIO {
        let mut stage = Stage::new(MediaKind::Audio);
        let ends: Vec<_> = AUDIO.iter().map(|to| (*to, stage.sink(&caps(*to)))).collect();
        for packet in tone(&caps(from), 2.0) {
            stage.send(packet.entered, vec![packet]);
        }
        assert_eq!(stage.errors(), [""; 0], "{from:?}");
        for (to, end) in &ends {
            let packets = end.packets();
            let heard = Peer::new(&caps(*to)).listen(&packets);
            assert_even(&packets, *to, &format!("{from:?} to {to:?}"));
            let (hz, loud, quiet) = assert_heard(&heard, (from, *to), &format!("{from:?} to {to:?}"));
            println!("{:>13} to {:<13} {hz:.1} Hz, amplitude {quiet:.3} to {loud:.3}", name(from), name(*to));
        }
    }
}

/// Time goes on by what each packet holds: nothing is put in or left out.
fn assert_even(packets: &[Packet], to: Codec, what: &str) {
    let stamps: Vec<u32> = packets.iter().map(crate::streams::stamp).collect();
    let ticks = match to {
        Codec::Opus => 960,
        Codec::Aac => 1024,
        Codec::AmrWb | Codec::Speex => 320,
        Codec::Mp3 => 2160,
        _ => 160,
    };
    let steps = stamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    for (at, step) in steps.enumerate() {
        assert!(step.abs_diff(ticks) <= 1, "{what}: {step} ticks after packet {at} of {}", stamps.len());
    }
}

/// Hz, and the greatest and least amplitude in 50 ms.
fn assert_heard(heard: &[(u32, Vec<Sound>)], (from, to): (Codec, Codec), what: &str) -> (f64, f64, f64) {
    let sounds: Vec<Sound> = heard.iter().flat_map(|(_, sounds)| sounds.clone()).collect();
    let (rate, channels) = (sounds[0].rate, sounds[0].channels);
    assert_eq!(channels, spoken(&caps(to)).channels, "{what}");
    // What those for telephones add to it is no little.
    let rough = |codec| matches!(codec, Codec::Gsm | Codec::AmrNb | Codec::AmrWb | Codec::Speex);
    let noise = if rough(from) || rough(to) { 0.12 } else { 0.04 };
    let (mut loudest, mut quietest, mut hz) = (0.0_f64, 1.0_f64, 0.0);
    for wanted in 0..usize::from(channels) {
        let samples = channel(&sounds, wanted);
        assert!(samples.len() as f64 > 1.7 * f64::from(rate), "{what}: {} samples at {rate}", samples.len());
        // What coders begin and end with is theirs: one for speech that joins amidst a tone takes its time to find it.
        let window = rate as usize / 20;
        let middle = &samples[rate as usize * 3 / 5..samples.len() - window * 2];
        hz = frequency(middle, rate);
        assert!((hz - 440.0).abs() < 1.0, "{what}: {hz} Hz");
        for part in middle.chunks_exact(window) {
            let loud = amplitude(part, rate, 440.0);
            (loudest, quietest) = (loudest.max(loud), quietest.min(loud));
            // A click, or a piece that is missing, is all that is not the tone.
            let rest = part.iter().map(|s| s * s).sum::<f64>() / part.len() as f64 - loud * loud / 2.0;
            assert!(rest.max(0.0).sqrt() < noise, "{what}: {:.3} beside the tone", rest.max(0.0).sqrt());
        }
    }
    // FFmpeg's decoder of AMR-WB takes a third of a steady tone, of speech nothing that is heard.
    let least = match (from == Codec::AmrWb || to == Codec::AmrWb, rough(from) || rough(to)) {
        (true, _) => 0.18,
        (false, true) => 0.24,
        (false, false) => 0.3,
    };
    assert!(quietest > least && loudest < 0.43, "{what}: amplitude {quietest:.3} to {loudest:.3}");
    (hz, loudest, quietest)
}

fn name(codec: Codec) -> &'static str {
    codec.name()
}

#[test]
fn nothing_is_coded_where_it_need_not_be() {
    let mut stage = Stage::new(MediaKind::Audio);
    let from = caps(Codec::AmrNb);
    let aligned = from.with_format(Some("octet-align=1"));
    let end = stage.sink(&aligned);
    // It would rather have something else, which would have to be coded.
    let takes = rivero_engine::Takes::only(
        |caps| caps.format() == Some("octet-align=1"),
        vec![caps(Codec::Pcmu), aligned.clone()],
    );
    stage.bench.run(end.element.tell(takes)).unwrap();
    let sent = tone(&from, 1.0);
    for packet in &sent {
        stage.send(packet.entered, vec![packet.clone()]);
    }
    let before = Peer::new(&from).read(&sent);
    let after = Peer::new(&aligned).read(&end.packets());
    assert!(after.len() + 2 >= before.len(), "{} frames of {}", after.len(), before.len());
    assert_eq!(after[..], before[before.len() - after.len()..], "the same frames at the same times");
    assert!(!stage.source.is_transcoding(MediaKind::Audio));

    // What stands for itself in its packet may go where packets may also hold parts.
    let mut stage = Stage::new(MediaKind::Video);
    let (zero, one) = (rivero_engine::Caps::video(Codec::H264, Some("packetization-mode=0")), caps(Codec::H264));
    let end = stage.sink(&one);
    let packet = |ms: u64| {
        let rtp = rivero_engine::Rtp {
            ssrc: 1,
            sequence: ms,
            timestamp: ms as u32 * 90,
            marker: true,
            payload: bytes::Bytes::from_static(b"\x65\x88\x80"),
        };
        Packet::new(zero.clone(), rivero_engine::Body::Rtp(rtp.into()), MediaTime::from_millis(ms)).key(true)
    };
    for ms in 1..20 {
        stage.send(MediaTime::from_millis(ms), vec![packet(ms)]);
    }
    assert!(end.packets().len() >= 17);
    assert!(!stage.source.is_transcoding(MediaKind::Video));
    stage.heard();
    stage.say(&end, rivero_engine::Feedback::KeyFrame);
    stage.say(&end, rivero_engine::Feedback::Bitrate(200_000));
    let heard: Vec<_> = stage.heard().into_iter().map(|(_, feedback)| feedback).collect();
    assert_eq!(heard, [rivero_engine::Feedback::KeyFrame, rivero_engine::Feedback::Bitrate(200_000)]);
}

/// Where packets carry no parts of slices, the encoder makes short ones.
#[test]
fn h264_for_peers_that_take_whole_slices_only() {
    let mut stage = Stage::new(MediaKind::Video);
    let zero = rivero_engine::Caps::video(Codec::H264, Some("packetization-mode=0"));
    stage.bench.run(stage.source.set_coding(CodingSettings { bitrate: 4_000_000, ..CodingSettings::default() }));
    let end = stage.sink(&zero);
    let mut camera = Camera::new(&caps(Codec::H264), 320, 240, 4_000_000);
    for at in 0..12 {
        let picture = crate::signal::noise(320, 240, at);
        stage.send(picture.at, camera.shoot(&picture, false));
    }
    let packets = end.packets();
    assert!(packets.len() > 40, "{} packets: slices that one packet could not hold", packets.len());
    for packet in &packets {
        let rivero_engine::Body::Rtp(rtp) = &packet.body else { panic!("no RTP") };
        assert!((1..=23).contains(&(rtp.payload[0] & 0x1f)), "a single NAL unit");
    }
    assert!(Peer::new(&zero).watch(&packets).len() >= 10);
    assert_eq!(stage.errors(), [""; 0]);
}
