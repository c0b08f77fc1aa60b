//! What an encoder makes of a picture, a decoder must make a picture of: the same, at once, and never of nonsense.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod signal;

use proptest::prelude::*;
use rivero_codecs::coder::{
    CoderError, DecodedPicture, EncodedFrame, Largest, VideoDecoder, VideoEncoder, VideoSettings, can_decode,
    can_encode,
};
use rivero_engine::{Codec, MediaTime, Picture};
use signal::{assert_alike, noise, picture};

const ALL: [Codec; 7] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::H265, Codec::H263, Codec::Mjpeg];

fn settings(width: u32, height: u32, bitrate: u32) -> VideoSettings {
    VideoSettings { bitrate, ..VideoSettings::new(width, height) }
}

fn encode(encoder: &mut VideoEncoder, width: u32, height: u32, number: u32, key: bool) -> EncodedFrame {
    let mut out = Vec::new();
    encoder.encode(&picture(width, height, number), key, &mut out).unwrap();
    assert_eq!(out.len(), 1, "{:?}: one picture in, one frame out", encoder.codec());
    out.remove(0)
}

fn decode(decoder: &mut VideoDecoder, frame: &EncodedFrame) -> DecodedPicture {
    let mut out = Vec::new();
    decoder.decode(&frame.data, frame.at, &mut out).unwrap();
    assert_eq!(out.len(), 1, "{:?}: one frame in, one picture out", decoder.codec());
    out.remove(0)
}

#[test]
fn pictures_survive_every_codec_without_delay() {
    for codec in ALL {
        assert!(can_encode(codec) && can_decode(codec), "{codec:?}");
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_500_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        for number in 0..12 {
            let frame = encode(&mut encoder, 320, 240, number, false);
            assert_eq!(frame.key, number == 0 || codec == Codec::Mjpeg, "{codec:?} {number}");
            assert_eq!(frame.at, picture(320, 240, number).at, "{codec:?} {number}");
            let decoded = decode(&mut decoder, &frame);
            assert!(!decoded.damaged, "{codec:?} {number}");
            assert_eq!(decoded.picture.at, frame.at, "{codec:?} {number}");
            assert_eq!((decoded.picture.width, decoded.picture.height), (320, 240));
            assert_alike(&decoded.picture, number, 4.0);
        }
    }
}

#[test]
fn a_key_frame_that_is_asked_for_is_that_pictures() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_000_000)).unwrap();
        let mut late = VideoDecoder::new(codec).unwrap();
        for number in 0..12 {
            let frame = encode(&mut encoder, 320, 240, number, number == 7);
            assert_eq!(frame.key, number == 0 || number == 7 || codec == Codec::Mjpeg, "{codec:?} {number}");
            // Who joins there needs nothing of what was before.
            if number >= 7 {
                let decoded = decode(&mut late, &frame);
                assert!(!decoded.damaged, "{codec:?} {number}");
                assert_alike(&decoded.picture, number, 4.0);
            }
        }
    }
}

#[test]
fn several_threads_delay_nothing() {
    for codec in ALL {
        let settings = VideoSettings { threads: 2, ..settings(320, 240, 1_000_000) };
        let mut encoder = VideoEncoder::new(codec, settings).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        for number in 0..4 {
            let decoded = decode(&mut decoder, &encode(&mut encoder, 320, 240, number, false));
            assert!(!decoded.damaged, "{codec:?} {number}");
            assert_alike(&decoded.picture, number, 4.0);
        }
    }
}

#[test]
fn another_bitrate_changes_what_leaves() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(240, 176, 2_000_000)).unwrap();
        let mut out = Vec::new();
        let mut sizes = [0; 120];
        for number in 0..120 {
            if number == 60 {
                encoder.set_bitrate(300_000);
            }
            out.clear();
            encoder.encode(&noise(240, 176, number), false, &mut out).unwrap();
            sizes[number as usize] = out.iter().map(|frame| frame.data.len()).sum::<usize>();
        }
        // In bits a second, leaving the encoder a second to find its way. The lowest quality of the last two codecs is what it is.
        let rate = |from: usize, to: usize| sizes[from..to].iter().sum::<usize>() * 8 * 30 / (to - from);
        let (before, after) = (rate(30, 60), rate(90, 120));
        assert!(after * 3 < before * 2, "{codec:?}: {before} bps, then {after}");
        if !matches!(codec, Codec::H263 | Codec::Mjpeg) {
            assert!((1_400_000..2_800_000).contains(&before), "{codec:?}: {before} bps of 2,000,000");
            assert!((150_000..500_000).contains(&after), "{codec:?}: {after} bps of 300,000");
        }
    }
}

#[test]
fn the_bitrate_is_one_of_time_not_of_frames() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::H265] {
        let mut encoder = VideoEncoder::new(codec, settings(240, 176, 600_000)).unwrap();
        let mut sizes = Vec::new();
        for number in 0..90 {
            let mut out = Vec::new();
            let late = Picture { at: MediaTime::from_millis(u64::from(number) * 100), ..noise(240, 176, number) };
            encoder.encode(&late, false, &mut out).unwrap();
            sizes.push(out.iter().map(|frame| frame.data.len()).sum::<usize>());
        }
        // Ten pictures a second, where thirty were announced.
        let rate = sizes[60..].iter().sum::<usize>() * 8 / 3;
        assert!((400_000..900_000).contains(&rate), "{codec:?}: {rate} bps of 600,000");
    }
}

#[test]
fn h264_follows_its_bitrate_without_a_key_frame() {
    let mut encoder = VideoEncoder::new(Codec::H264, settings(320, 240, 2_000_000)).unwrap();
    for number in 0..30 {
        encoder.set_bitrate(2_000_000 - number * 50_000);
        assert_eq!(encode(&mut encoder, 320, 240, number, false).key, number == 0, "{number}");
    }
}

#[test]
#[cfg(feature = "vpx")]
fn vp8_and_vp9_follow_their_bitrate_without_a_key_frame() {
    for codec in [Codec::Vp8, Codec::Vp9] {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 2_000_000)).unwrap();
        for number in 0..60 {
            encoder.set_bitrate(if number < 20 { 2_000_000 } else { 200_000 });
            assert_eq!(encode(&mut encoder, 320, 240, number, false).key, number == 0, "{codec:?} {number}");
        }
    }
}

#[test]
fn encoders_that_must_reopen_do_so_seldom() {
    let mut encoder = VideoEncoder::new(Codec::Av1, settings(176, 144, 1_000_000)).unwrap();
    let mut keys = 0;
    for number in 0..90 {
        // Up and down by a tenth, as a bandwidth estimate does.
        encoder.set_bitrate(1_000_000 + number % 2 * 100_000);
        keys += u32::from(encode(&mut encoder, 176, 144, number, false).key);
    }
    assert_eq!(keys, 1, "small steps cost no key frame");
    encoder.set_bitrate(200_000);
    assert!(encode(&mut encoder, 176, 144, 90, false).key, "a real drop is followed at once");
    encoder.set_bitrate(1_000_000);
    assert!(!encode(&mut encoder, 176, 144, 91, false).key, "a rise can wait");
}

#[test]
fn the_size_may_change_in_mid_stream() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_500_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        for number in 0..9 {
            let (width, height) = [(320, 240), (176, 144), (640, 360)][number as usize / 3];
            let frame = encode(&mut encoder, width, height, number, false);
            assert_eq!(frame.key, number % 3 == 0 || codec == Codec::Mjpeg, "{codec:?} {number}");
            let mut out = Vec::new();
            decoder.decode(&frame.data, frame.at, &mut out).unwrap();
            let decoded = out.pop().unwrap_or_else(|| panic!("{codec:?} {number}: nothing came out"));
            assert!(!decoded.damaged, "{codec:?} {number}");
            assert_eq!((decoded.picture.width, decoded.picture.height), (width, height), "{codec:?} {number}");
            assert_alike(&decoded.picture, number, 6.0);
        }
    }
}

#[test]
fn odd_sizes_are_coded_or_cut() {
    for (codec, size) in [
        (Codec::Vp8, (161, 121)),
        (Codec::Vp9, (161, 121)),
        (Codec::Av1, (161, 121)),
        (Codec::H264, (160, 120)),
        (Codec::H265, (160, 120)),
        (Codec::H263, (160, 120)),
        (Codec::Mjpeg, (161, 121)),
    ] {
        let mut encoder = VideoEncoder::new(codec, settings(161, 121, 500_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        let decoded = decode(&mut decoder, &encode(&mut encoder, 161, 121, 0, false));
        assert_eq!((decoded.picture.width, decoded.picture.height), size, "{codec:?}");
        assert!(!decoded.damaged);
    }
}

#[test]
fn any_bitrate_is_brought_within_bounds() {
    for codec in ALL {
        for bitrate in [0, 1, u32::MAX] {
            let mut encoder = VideoEncoder::new(codec, settings(176, 144, bitrate)).unwrap();
            let mut out = Vec::new();
            for number in 0..3 {
                encoder.encode(&picture(176, 144, number), false, &mut out).unwrap();
            }
            assert!(!out.is_empty(), "{codec:?} at {bitrate}");
        }
    }
}

#[test]
fn what_rests_on_a_lost_frame_is_damaged_up_to_the_next_key_frame() {
    for codec in ALL.into_iter().filter(|&codec| codec != Codec::Mjpeg) {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_000_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        for number in 0..10 {
            let frame = encode(&mut encoder, 320, 240, number, number == 6);
            if number == 3 {
                decoder.note_loss();
                continue;
            }
            let mut out = Vec::new();
            let _ = decoder.decode(&frame.data, frame.at, &mut out);
            let good = out.iter().filter(|decoded| !decoded.damaged).count();
            assert_eq!(good, usize::from(!(4..6).contains(&number)), "{codec:?} {number}");
        }
    }
}

#[test]
fn a_stream_that_begins_without_a_key_frame_shows_nothing_good() {
    for codec in ALL.into_iter().filter(|&codec| codec != Codec::Mjpeg) {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_000_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        for number in 0..5 {
            let frame = encode(&mut encoder, 320, 240, number, false);
            let mut out = Vec::new();
            if number > 0 {
                let _ = decoder.decode(&frame.data, frame.at, &mut out);
            }
            assert!(out.iter().all(|decoded| decoded.damaged), "{codec:?} {number}");
        }
    }
}

#[test]
fn truncated_frames_are_not_passed_on_as_good() {
    // A VP9 tile or an H.265 slice says neither how long it is nor where it ends: whoever lost a part must say so.
    for codec in ALL.into_iter().filter(|codec| !matches!(codec, Codec::Vp9 | Codec::H265)) {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 3_000_000)).unwrap();
        let mut frames = Vec::new();
        for number in 0..2 {
            encoder.encode(&noise(320, 240, number), false, &mut frames).unwrap();
        }
        for eighths in 1..8 {
            let mut decoder = VideoDecoder::new(codec).unwrap();
            let mut out = Vec::new();
            decoder.decode(&frames[0].data, frames[0].at, &mut out).unwrap();
            assert!(out.drain(..).all(|decoded| !decoded.damaged));
            let part = &frames[1].data[..frames[1].data.len() * eighths / 8];
            let told = decoder.decode(part, frames[1].at, &mut out);
            let good = out.iter().filter(|decoded| !decoded.damaged).count();
            assert_eq!(good, 0, "{codec:?}: a picture from {eighths}/8 of its data, {told:?}");
        }
    }
}

#[test]
fn pictures_over_the_bound_are_refused() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_000_000)).unwrap();
        let frame = encode(&mut encoder, 320, 240, 0, false);
        for largest in [Largest { width: 319, height: 240 }, Largest { width: 400, height: 100 }] {
            let mut decoder = VideoDecoder::with_largest(codec, largest).unwrap();
            let mut out = Vec::new();
            let told = decoder.decode(&frame.data, frame.at, &mut out);
            assert!(out.is_empty(), "{codec:?} {largest:?}: {told:?}");
        }
        let mut decoder = VideoDecoder::with_largest(codec, Largest { width: 320, height: 240 }).unwrap();
        assert!(!decode(&mut decoder, &frame).damaged, "{codec:?}");
    }
}

#[test]
fn a_picture_that_contradicts_itself_is_refused() {
    let mut encoder = VideoEncoder::new(Codec::Vp8, settings(320, 240, 1_000_000)).unwrap();
    let mut short = picture(320, 240, 0);
    short.planes[2].data = short.planes[2].data.slice(..100);
    assert!(matches!(encoder.encode(&short, false, &mut Vec::new()), Err(CoderError::Refused(_))));
    let mut narrow = picture(320, 240, 0);
    narrow.planes[0].stride = 100;
    assert!(matches!(encoder.encode(&narrow, false, &mut Vec::new()), Err(CoderError::Refused(_))));
}

#[test]
fn pictures_outlive_their_decoder_and_stay_as_they_are() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_500_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        let kept: Vec<_> = (0..10).map(|n| decode(&mut decoder, &encode(&mut encoder, 320, 240, n, false))).collect();
        drop(decoder);
        for (number, decoded) in kept.iter().enumerate() {
            assert_alike(&decoded.picture, number as u32, 4.0);
        }
    }
}

#[test]
fn a_flushed_decoder_takes_the_next_stream() {
    for codec in ALL {
        let mut encoder = VideoEncoder::new(codec, settings(320, 240, 1_000_000)).unwrap();
        let mut decoder = VideoDecoder::new(codec).unwrap();
        decode(&mut decoder, &encode(&mut encoder, 320, 240, 0, false));
        let mut held = Vec::new();
        decoder.flush(&mut held).unwrap();
        assert!(held.is_empty(), "{codec:?} held a picture back");
        let decoded = decode(&mut decoder, &encode(&mut encoder, 320, 240, 1, true));
        assert!(!decoded.damaged, "{codec:?}");
        assert_alike(&decoded.picture, 1, 4.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_yields_nothing_good(data in proptest::collection::vec(any::<u8>(), 0..600), which in 0..ALL.len()) {
        let mut decoder = VideoDecoder::with_largest(ALL[which], Largest { width: 1024, height: 1024 }).unwrap();
        let mut out = Vec::new();
        let _ = decoder.decode(&data, MediaTime::ZERO, &mut out);
        let _ = decoder.flush(&mut out);
        prop_assert!(out.iter().all(|decoded| decoded.damaged));
    }

    #[test]
    fn flipped_bytes_never_panic(at in 0_usize..4000, value in any::<u8>(), which in 0..ALL.len()) {
        let mut encoder = VideoEncoder::new(ALL[which], settings(176, 144, 500_000)).unwrap();
        let mut decoder = VideoDecoder::new(ALL[which]).unwrap();
        let mut out = Vec::new();
        for number in 0..3 {
            let frame = encode(&mut encoder, 176, 144, number, false);
            let mut data = frame.data.to_vec();
            let place = at % data.len();
            data[place] ^= value;
            let _ = decoder.decode(&data, frame.at, &mut out);
        }
        let _ = decoder.flush(&mut out);
    }
}
