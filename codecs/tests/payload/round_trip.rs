//! What goes in comes out, whatever the size of packets.

use crate::{audio, make, receive, send, video};
use bytes::Bytes;
use proptest::prelude::*;
use rivero_codecs::payload::{Loss, MIN_JPEG, Unsendable, is_key, payload};
use rivero_engine::{Caps, Codec};

const ROOMS: [usize; 3] = [100, 1200, usize::MAX];

fn there_and_back(caps: &Caps, frames: &[Bytes], rooms: &[usize]) {
    for room in rooms {
        let sent = send(caps, frames, *room);
        assert!(sent.iter().all(|packet| packet.payload.len() <= *room), "every packet keeps to {room} bytes");
        let (received, loss) = receive(caps, &sent);
        assert_eq!((loss, received.len()), (Loss::Nothing, frames.len()));
        for ((number, sent), frame) in (0u32..).zip(frames).zip(&received) {
            assert!(frame.data == sent, "{} bytes of {}", frame.data.len(), sent.len());
            assert_eq!(frame.timestamp, number * 3000);
            assert_eq!(frame.key, is_key(caps.codec(), sent));
        }
    }
}

#[test]
fn video_comes_out_as_it_went_in() {
    make::of_each(make::VIDEO, |codec, frames| {
        assert!(is_key(codec, &frames[0]));
        assert!(codec == Codec::Mjpeg || !is_key(codec, &frames[1]));
        there_and_back(&video(codec), frames, &ROOMS);
        for room in ROOMS {
            let ends = send(&video(codec), frames, room).iter().filter(|packet| packet.marker).count();
            assert_eq!(ends, frames.len(), "each frame ends with one marker");
        }
    });
}

#[test]
fn audio_comes_out_as_it_went_in() {
    make::of_each(make::AUDIO, |codec, frames| {
        there_and_back(&audio(codec), frames, &ROOMS);
        if matches!(codec, Codec::AmrNb | Codec::AmrWb) {
            there_and_back(&audio(codec).with_format(Some("octet-align=1")), frames, &ROOMS);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_travel_with_the_picture(frame in make::picture_with_tables()) {
        there_and_back(&video(Codec::Mjpeg), &[frame], &[MIN_JPEG, 1200]);
    }

    #[test]
    fn frames_that_share_a_packet_come_out_one_by_one(
        (codec, frames) in prop::sample::select(vec![Codec::AmrNb, Codec::AmrWb, Codec::Gsm])
            .prop_flat_map(|codec| (Just(codec), make::clip(codec))),
        aligned: bool,
    ) {
        let caps = audio(codec).with_format(aligned.then_some("octet-align=1"));
        let sent = send(&caps, &[Bytes::from(frames.concat())], 100);
        prop_assert!(sent.iter().all(|packet| packet.payload.len() <= 100));
        let (received, loss) = receive(&caps, &sent);
        prop_assert_eq!(loss, Loss::Nothing);
        let ticks = if codec == Codec::AmrWb { 320 } else { 160 };
        for ((number, sent), frame) in (0u32..).zip(&frames).zip(&received) {
            prop_assert_eq!(&frame.data, sent);
            prop_assert_eq!(frame.timestamp, number * ticks);
        }
        prop_assert_eq!(received.len(), frames.len());
    }

    #[test]
    fn samples_may_be_cut_anywhere(samples in prop::collection::vec(any::<u8>(), 1..3000)) {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
            let sent = send(&audio(codec), &[samples.clone().into()], 100);
            prop_assert!(sent.iter().all(|packet| packet.payload.len() <= 100));
            let (received, _) = receive(&audio(codec), &sent);
            let mut at = 0;
            for frame in &received {
                // Of G.722 too: 8000 octets and ticks a second.
                prop_assert_eq!(frame.timestamp as usize, at);
                at += frame.data.len();
            }
            prop_assert_eq!(received.iter().flat_map(|frame| frame.data.clone()).collect::<Vec<u8>>(), samples.clone());
        }
    }
}

#[test]
fn what_cannot_be_split_is_refused() {
    let long = Bytes::from(vec![1; 500]);
    let refuse = |caps: Caps, frame: &Bytes| {
        let mut out = Vec::new();
        let error = payload(&caps).unwrap().split(frame, 100, &mut out).unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert_eq!(refuse(audio(Codec::Opus), &long), Unsendable::TooBig(500));
    let nal = Bytes::from([&[0, 0, 1, 0x65, 0x88][..], &long].concat());
    assert_eq!(refuse(Caps::video(Codec::H264, None), &nal), Unsendable::TooBig(502), "mode 0 knows no fragments");
    for codec in [Codec::H264, Codec::H265, Codec::H263, Codec::Mjpeg, Codec::Av1] {
        assert_eq!(refuse(video(codec), &Bytes::from_static(&[0xff, 1, 2])), Unsendable::Malformed, "{codec:?}");
    }
    assert_eq!(refuse(audio(Codec::Mp3), &long), Unsendable::Malformed);
}
