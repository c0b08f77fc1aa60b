//! What an encoder makes of a tone, a decoder must make the same tone of, at the same time.

mod signal;

use proptest::prelude::*;
use rivero_codecs::coder::{AudioDecoder, AudioEncoder, AudioSettings, CoderError, can_decode, can_encode};
use rivero_engine::{Codec, MediaTime, Sound};
use signal::{amplitude, channel, frequency, tone};
use std::time::Duration;

const ALL: &[Codec] = &[
    Codec::Opus,
    Codec::Pcmu,
    Codec::Pcma,
    Codec::G722,
    Codec::Speex,
    Codec::Gsm,
    #[cfg(feature = "amr")]
    Codec::AmrNb,
    #[cfg(feature = "amr")]
    Codec::AmrWb,
    Codec::Aac,
    Codec::Mp3,
    Codec::Vorbis,
];

fn decoder(codec: Codec, encoder: &AudioEncoder, settings: AudioSettings) -> AudioDecoder {
    AudioDecoder::new(codec, settings.rate, settings.channels, &encoder.config()).expect("every codec has a decoder")
}

/// When the tone begins: what is ahead of it has a time too.
const BEGAN: Duration = Duration::from_secs(1);

#[test]
fn a_tone_survives_every_codec() {
    for &codec in ALL {
        assert!(can_encode(codec) && can_decode(codec), "{codec:?}");
        let settings = AudioSettings::usual(codec);
        let mut encoder = AudioEncoder::new(codec, settings).unwrap();
        let mut decoder = decoder(codec, &encoder, settings);
        let mut frames = Vec::new();
        // A second, in pieces that fit no codec's frame.
        let rate = settings.rate as usize;
        let mut sent = 0;
        while sent < rate {
            let count = 331.min(rate - sent);
            let sound = tone(settings.rate, settings.channels, 440.0, sent, count);
            encoder.encode(&Sound { at: sound.at + BEGAN, ..sound }, &mut frames).unwrap();
            sent += count;
        }
        let (size, ahead) = (encoder.frame_size(), encoder.ahead());
        assert_eq!(ahead > Duration::ZERO, matches!(codec, Codec::Aac | Codec::Mp3), "{codec:?}: {ahead:?}");
        encoder.flush(&mut frames).unwrap();
        let mut sounds = Vec::new();
        for (i, frame) in frames.iter().enumerate() {
            if i < rate / size {
                let due = MediaTime::from_nanos((i * size) as u64 * 1_000_000_000 / rate as u64) + BEGAN - ahead;
                let off = frame.at.since(due).max(due.since(frame.at));
                assert!(off < Duration::from_micros(10), "{codec:?}: frame {i} at {:?}, due {due:?}", frame.at);
            }
            decoder.decode(&frame.data, frame.at, &mut sounds).unwrap();
        }
        decoder.flush(&mut sounds).unwrap();
        for wanted in 0..usize::from(settings.channels) {
            assert!(sounds.iter().all(|s| (s.rate, s.channels) == (settings.rate, settings.channels)), "{codec:?}");
            let heard = channel(&sounds, wanted);
            assert!(heard.len() >= rate * 9 / 10, "{codec:?}: {} samples of {rate}", heard.len());
            let middle = &heard[rate / 4..rate * 3 / 4];
            let (hz, loud) = (frequency(middle, settings.rate), amplitude(middle, settings.rate, 440.0));
            assert!((hz - 440.0).abs() < 2.0, "{codec:?}: {hz} Hz");
            assert!((0.22..0.45).contains(&loud), "{codec:?}: amplitude {loud}");
        }
    }
}

#[test]
fn live_codecs_yield_a_frame_as_soon_as_it_is_full() {
    let delayed = [Codec::Speex, Codec::Aac, Codec::Mp3, Codec::Vorbis];
    for &codec in ALL.iter().filter(|codec| !delayed.contains(codec)) {
        let settings = AudioSettings::usual(codec);
        let mut encoder = AudioEncoder::new(codec, settings).unwrap();
        // As from RTP, without a header: Opus's would have the encoder's own delay cut off.
        let mut decoder = AudioDecoder::new(codec, settings.rate, settings.channels, &[]).unwrap();
        let size = encoder.frame_size();
        assert_eq!(size, settings.rate as usize / 50, "{codec:?}: 20 ms");
        for i in 0..5 {
            let (mut frames, mut sounds) = (Vec::new(), Vec::new());
            let sound = tone(settings.rate, settings.channels, 440.0, i * size, size);
            encoder.encode(&sound, &mut frames).unwrap();
            assert_eq!(frames.len(), 1, "{codec:?}");
            decoder.decode(&frames[0].data, frames[0].at, &mut sounds).unwrap();
            assert_eq!(sounds.iter().map(Sound::frames).sum::<usize>(), size, "{codec:?}");
            assert_eq!(sounds[0].at, sound.at, "{codec:?}");
        }
    }
}

#[test]
fn opus_keeps_to_its_bitrate() {
    for bitrate in [24_000, 64_000, 128_000] {
        let settings = AudioSettings { bitrate: Some(bitrate), ..AudioSettings::usual(Codec::Opus) };
        let mut encoder = AudioEncoder::new(Codec::Opus, settings).unwrap();
        let mut frames = Vec::new();
        encoder.encode(&tone(48_000, 2, 440.0, 0, 48_000), &mut frames).unwrap();
        let bits = frames.iter().map(|frame| frame.data.len() * 8).sum::<usize>();
        assert!(bits.abs_diff(bitrate as usize) < bitrate as usize / 20, "{bits} bits in a second of {bitrate}");
    }
}

#[test]
fn a_gap_begins_the_time_line_anew() {
    let mut encoder = AudioEncoder::new(Codec::Opus, AudioSettings::usual(Codec::Opus)).unwrap();
    let mut frames = Vec::new();
    encoder.encode(&tone(48_000, 2, 440.0, 0, 1000), &mut frames).unwrap();
    let late = Sound { at: MediaTime::from_millis(5000), ..tone(48_000, 2, 440.0, 0, 1920) };
    encoder.encode(&late, &mut frames).unwrap();
    let times: Vec<_> = frames.iter().map(|frame| frame.at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [0, 20, 5000, 5020]);
}

#[test]
fn opus_conceals_what_is_lost() {
    let settings = AudioSettings::usual(Codec::Opus);
    let mut encoder = AudioEncoder::new(Codec::Opus, settings).unwrap();
    let mut decoder = AudioDecoder::new(Codec::Opus, 48_000, 2, &[]).unwrap();
    let mut frames = Vec::new();
    encoder.encode(&tone(48_000, 2, 440.0, 0, 48_000), &mut frames).unwrap();
    let mut sounds = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        if i == 25 {
            let mut made_up = Vec::new();
            decoder.conceal(960, frame.at, &mut made_up).unwrap();
            assert_eq!(made_up.iter().map(Sound::frames).sum::<usize>(), 960);
            assert_eq!(made_up[0].at, frame.at);
            let loud = amplitude(&channel(&made_up, 0), 48_000, 440.0);
            assert!(loud > 0.15, "the tone goes on through the loss, at {loud}");
            sounds.append(&mut made_up);
        } else {
            decoder.decode(&frame.data, frame.at, &mut sounds).unwrap();
        }
    }
    assert_eq!(channel(&sounds, 0).len(), 48_000);
}

/// A second of a tone in narrow band, by frames.
#[cfg(feature = "amr")]
fn amr(hz: f64) -> Vec<rivero_codecs::coder::EncodedFrame> {
    let encoder = AudioEncoder::new(Codec::AmrNb, AudioSettings::usual(Codec::AmrNb));
    let mut frames = Vec::new();
    encoder.and_then(|mut encoder| encoder.encode(&tone(8000, 1, hz, 0, 8000), &mut frames)).expect("AMR is encoded");
    frames
}

#[cfg(feature = "amr")]
#[test]
fn amr_keeps_the_level_of_a_steady_tone() {
    for hz in [200.0, 440.0, 1000.0] {
        let mut decoder = AudioDecoder::new(Codec::AmrNb, 8000, 1, &[]).unwrap();
        let mut sounds = Vec::new();
        for frame in amr(hz) {
            decoder.decode(&frame.data, frame.at, &mut sounds).unwrap();
        }
        let loud = amplitude(&channel(&sounds, 0)[4000..], 8000, hz);
        assert!((0.3..0.36).contains(&loud), "{hz} Hz: {loud} of 0.333");
    }
}

#[cfg(feature = "amr")]
#[test]
fn amr_conceals_what_is_lost_or_marked_as_damaged() {
    for damaged in [false, true] {
        let mut decoder = AudioDecoder::new(Codec::AmrNb, 8000, 1, &[]).unwrap();
        let mut sounds = Vec::new();
        for (number, frame) in amr(440.0).iter().enumerate() {
            let before = sounds.len();
            if number == 25 && damaged {
                // The quality bit (RFC 4867, section 5.3), and what a damaged frame may look like.
                let bad: Vec<u8> = [frame.data[0] & !4].into_iter().chain([0xff; 31]).collect();
                decoder.decode(&bad, frame.at, &mut sounds).unwrap();
            } else if number == 25 {
                decoder.conceal(150, frame.at, &mut sounds).unwrap();
            } else {
                decoder.decode(&frame.data, frame.at, &mut sounds).unwrap();
            }
            assert_eq!(sounds[before..].iter().map(Sound::frames).sum::<usize>(), 160);
        }
        let made_up = &channel(&sounds, 0)[25 * 160..26 * 160];
        let level = (2.0 * made_up.iter().map(|s| s * s).sum::<f64>() / 160.0).sqrt();
        assert!((0.15..0.4).contains(&level), "damaged {damaged}: the tone goes on through the loss, at {level}");
    }
}

#[cfg(feature = "amr")]
#[test]
fn amr_goes_on_with_the_noise_of_a_silence() {
    let mut decoder = AudioDecoder::new(Codec::AmrNb, 8000, 1, &[]).unwrap();
    let mut sounds = Vec::new();
    // OpenCORE's encoder made it of noise.
    let silence = [0x44, 0x26, 0xd1, 0xf3, 0x6c, 0x7e];
    for second in 0..4 {
        decoder.decode(&silence, MediaTime::from_millis(second * 160), &mut sounds).unwrap();
        assert!(decoder.is_silent());
        decoder.conceal(7 * 160, MediaTime::from_millis(second * 160 + 20), &mut sounds).unwrap();
    }
    let noise = channel(&sounds, 0);
    assert_eq!(noise.len(), 4 * 8 * 160);
    for part in noise[1280..].chunks_exact(160) {
        let level = (part.iter().map(|s| s * s).sum::<f64>() / 160.0).sqrt();
        assert!((0.0005..0.02).contains(&level), "{level}");
    }
    decoder.decode(&amr(440.0)[0].data, MediaTime::from_millis(700), &mut sounds).unwrap();
    assert!(!decoder.is_silent());
    assert!(decoder.decode(&silence[..5], MediaTime::ZERO, &mut sounds).is_err(), "too short");
    assert!(decoder.decode(&[9 << 3 | 4; 40], MediaTime::ZERO, &mut sounds).is_err(), "of another system");
}

#[test]
fn other_codecs_conceal_with_silence() {
    let mut decoder = AudioDecoder::new(Codec::Pcmu, 8000, 1, &[]).unwrap();
    let mut sounds = Vec::new();
    decoder.conceal(160, MediaTime::ZERO, &mut sounds).unwrap();
    assert!(channel(&sounds, 0).iter().all(|&sample| sample == 0.0));
    assert_eq!(sounds[0].frames(), 160);
    sounds.clear();
    decoder.conceal(u32::MAX, MediaTime::ZERO, &mut sounds).unwrap();
    assert_eq!(sounds[0].frames(), 8000, "a second at most");
}

#[test]
fn forms_that_a_codec_does_not_have_are_refused() {
    let odd = AudioSettings { rate: 44_100, channels: 2, bitrate: None };
    assert!(matches!(AudioEncoder::new(Codec::Opus, odd), Err(CoderError::Refused(_))));
    let stereo = AudioSettings { rate: 8000, channels: 2, bitrate: None };
    assert!(matches!(AudioEncoder::new(Codec::Gsm, stereo), Err(CoderError::Refused(_))));
    assert!(matches!(AudioEncoder::new(Codec::Vp8, stereo), Err(CoderError::Missing { .. })));
    let mut encoder = AudioEncoder::new(Codec::Pcmu, AudioSettings::usual(Codec::Pcmu)).unwrap();
    assert!(encoder.encode(&tone(48_000, 2, 440.0, 0, 960), &mut Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_never_panics(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..5),
        which in 0..ALL.len(),
        config in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let codec = ALL[which];
        let settings = AudioSettings::usual(codec);
        for config in [&[][..], &config] {
            let Ok(mut decoder) = AudioDecoder::new(codec, settings.rate, settings.channels, config) else { continue };
            let mut out = Vec::new();
            for packet in &packets {
                let _ = decoder.decode(packet, MediaTime::ZERO, &mut out);
                let _ = decoder.conceal(960, MediaTime::ZERO, &mut out);
            }
            let _ = decoder.flush(&mut out);
        }
    }
}

#[test]
fn opus_makes_up_the_nearest_number_of_its_frames() {
    let mut encoder = AudioEncoder::new(Codec::Opus, AudioSettings::usual(Codec::Opus)).unwrap();
    let mut decoder = AudioDecoder::new(Codec::Opus, 48_000, 2, &[]).unwrap();
    let (mut frames, mut sounds) = (Vec::new(), Vec::new());
    encoder.encode(&tone(48_000, 2, 440.0, 0, 960), &mut frames).unwrap();
    decoder.decode(&frames[0].data, frames[0].at, &mut sounds).unwrap();
    for (wanted, made) in [(100, 960), (960, 960), (1000, 960), (1500, 1920), (2900, 2880)] {
        let mut made_up = Vec::new();
        decoder.conceal(wanted, MediaTime::ZERO, &mut made_up).unwrap();
        assert_eq!(made_up.iter().map(Sound::frames).sum::<usize>(), made, "for {wanted}");
    }
}
