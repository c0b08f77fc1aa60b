//! What no honest peer sends: nothing panics, and nothing grows beyond its bound.

use crate::{audio, make, video};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rivero_codecs::payload::{MAX_FRAME, MIN_JPEG, Piece, depayload, is_key, payload, setup};
use rivero_engine::{Caps, Codec};

fn every_caps() -> Vec<Caps> {
    let samples = [Codec::Pcmu, Codec::Pcma, Codec::G722].map(audio);
    let variants = [
        audio(Codec::AmrNb).with_format(Some("octet-align=1;crc=1")),
        audio(Codec::AmrWb).with_format(Some("octet-align=1")),
        audio(Codec::Aac)
            .with_format(Some("mode=AAC-lbr;ctsdeltalength=22;dtsdeltalength=22;randomaccessindication=1")),
        audio(Codec::Aac).with_format(Some("sizelength=1;indexlength=0;indexdeltalength=0;auxiliarydatasizelength=32")),
        Caps::video(Codec::H264, Some("sprop-parameter-sets=Z0LAHtk=,aM48gA==,%,")),
    ];
    [&make::VIDEO.map(video)[..], &make::AUDIO.map(audio)[..], &samples, &variants].concat()
}

/// A header that leads on more often than noise does.
fn likely_start() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        vec![0x90, 0x80, 0x81, 0x11],
        vec![0x9c, 0x81, 0x11],
        vec![0x68, 2, 0x08, 0x00, 0x30],
        vec![0x7c, 0x85, 0x88],
        vec![0x7c, 0x45],
        vec![0x78, 0, 2, 0x67, 1, 0, 1],
        vec![0x62, 0x01, 0x93, 0xaf],
        vec![0x64, 0x01, 0x26, 0x38],
        vec![0x60, 0x01, 0, 3, 0x42, 0x01, 0x0e],
        vec![0x04, 0x00, 0x80],
        vec![0, 0, 0, 0, 65, 255, 9, 9, 0, 1, 0xff, 0xff, 0, 0, 0, 128],
        vec![0, 16, 0, 24],
        vec![0, 0, 0, 0, 0xff, 0xfb, 0x90, 0],
        vec![],
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_packets_in_any_order(
        pieces in vec((likely_start(), vec(any::<u8>(), 0..40), any::<bool>(), 0u32..3, 0u64..3), 1..40)
    ) {
        for caps in every_caps() {
            let mut reader = depayload(&caps).unwrap();
            let (mut out, mut sequence) = (Vec::new(), 0);
            for (start, rest, marker, timestamp, step) in &pieces {
                sequence += step;
                let payload = Bytes::from([&start[..], rest].concat());
                let piece = Piece { payload: &payload, marker: *marker, timestamp: *timestamp, sequence };
                let _ = reader.push(piece, &mut out);
            }
            for frame in out {
                prop_assert!(!frame.data.is_empty() && frame.data.len() <= MAX_FRAME);
                prop_assert_eq!(frame.key, is_key(caps.codec(), &frame.data), "{}", caps);
            }
        }
    }

    #[test]
    fn any_bytes_for_a_frame(start in likely_start(), rest in vec(any::<u8>(), 0..400), room in 0usize..300) {
        let frame = Bytes::from([&[0, 0, 0, 1][..], &start, &rest].concat());
        for caps in every_caps() {
            let Some(mut writer) = payload(&caps) else { continue };
            for frame in [&frame, &frame.slice(2..), &frame.slice(4..)] {
                let mut out = Vec::new();
                let result = writer.split(frame, room, &mut out);
                prop_assert_eq!(result.is_err(), out.is_empty());
                prop_assert!(out.iter().all(|part| !part.payload.is_empty() && part.payload.len() <= room.max(MIN_JPEG)));
                let _ = is_key(caps.codec(), frame);
            }
        }
    }

    #[test]
    fn any_description(format in "[a-z=;, %0-9A-Z-]{0,80}") {
        for caps in every_caps() {
            let caps = caps.with_format(Some(&format));
            let _ = (depayload(&caps).is_some(), payload(&caps).is_some(), setup(&caps));
        }
    }
}
