//! Frames that are right on their surface, and noise inside.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rivero_engine::Codec;

pub const VIDEO: [Codec; 7] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::H265, Codec::H263, Codec::Mjpeg];
/// Those whose frames come out as they went in, and not cut.
pub const AUDIO: [Codec; 7] =
    [Codec::Opus, Codec::Speex, Codec::Gsm, Codec::AmrNb, Codec::AmrWb, Codec::Aac, Codec::Mp3];

/// No zeros, so that nothing looks like a start code, nor like the end of a JPEG.
fn noise(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(1u8..=0xfe, length)
}

fn joined(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

fn nal(out: &mut BytesMut, header: &[u8], body: &[u8]) {
    out.put_slice(&[0, 0, 0, 1]);
    out.put_slice(header);
    out.put_slice(body);
}

fn obu(out: &mut BytesMut, header: &[u8], body: &[u8]) {
    out.put_slice(header);
    let mut size = body.len();
    while size >= 0x80 {
        out.put_u8(size as u8 | 0x80);
        size >>= 7;
    }
    out.put_u8(size as u8);
    out.put_slice(body);
}

/// A file with the tables of RFC 2435's Q, as a receiver writes it.
fn jpeg(q: u8, kind: u8, scan: &[u8]) -> Bytes {
    let mut payload = vec![0, 0, 0, 0, kind, q, 40, 30];
    if kind >= 64 {
        payload.extend([0, 4, 0xff, 0xff]);
    }
    if q >= 128 {
        payload.extend([0, 0, 0, 128]);
        payload.extend(1..=128);
    }
    payload.extend(scan);
    let sent = crate::Sent { payload: payload.into(), marker: true, timestamp: 0, sequence: 0 };
    crate::receive(&crate::video(Codec::Mjpeg), &[sent]).0.remove(0).data
}

pub fn picture(codec: Codec, key: bool) -> BoxedStrategy<Bytes> {
    let inter = u8::from(!key);
    match codec {
        Codec::Vp8 => noise(1..3000).prop_map(move |body| joined(&[&[0x10 | inter], &body])).boxed(),
        Codec::Vp9 => noise(1..3000).prop_map(move |body| joined(&[&[0x80 | inter << 2], &body])).boxed(),
        Codec::H263 => {
            // TR 0, PTYPE: 352x288, then the coding type.
            let header = [0, 0, 0x80, 0x02, 0x0c | inter << 1];
            noise(1..3000).prop_map(move |body| joined(&[&header, &body])).boxed()
        }
        Codec::Av1 => (noise(9..12), vec(noise(1..900), 1..5), noise(1..40))
            .prop_map(move |(sequence, tiles, metadata)| {
                let mut frame = BytesMut::new();
                if key {
                    obu(&mut frame, &[0x0a], &[&[0x00], &sequence[..]].concat());
                }
                obu(&mut frame, &[0x2e, 0x00], &metadata);
                obu(&mut frame, &[0x1a], &[if key { 0x10 } else { 0x30 }, 0x80]);
                tiles.iter().for_each(|tile| obu(&mut frame, &[0x22], tile));
                frame.freeze()
            })
            .boxed(),
        Codec::H264 => (noise(4..40), noise(1..20), noise(1..200), vec(noise(1..1500), 1..4))
            .prop_map(move |(sps, pps, sei, slices)| {
                let mut frame = BytesMut::new();
                if key {
                    nal(&mut frame, &[0x67], &sps);
                    nal(&mut frame, &[0x68], &pps);
                }
                nal(&mut frame, &[0x06], &sei);
                for (number, slice) in slices.iter().enumerate() {
                    let first = if number == 0 { 0x88 } else { 0x44 };
                    nal(&mut frame, &[if key { 0x65 } else { 0x41 }, first], slice);
                }
                frame.freeze()
            })
            .boxed(),
        Codec::H265 => (noise(4..40), noise(30..40), noise(1..20), vec(noise(1..1500), 1..4))
            .prop_map(move |(vps, sps, pps, slices)| {
                let mut frame = BytesMut::new();
                if key {
                    nal(&mut frame, &[0x40, 0x01], &vps);
                    nal(&mut frame, &[0x42, 0x01], &sps);
                    nal(&mut frame, &[0x44, 0x01], &pps);
                }
                for (number, slice) in slices.iter().enumerate() {
                    let first = if number == 0 { 0x88 } else { 0x44 };
                    nal(&mut frame, &[if key { 0x26 } else { 0x02 }, 0x01, first], slice);
                }
                frame.freeze()
            })
            .boxed(),
        Codec::Mjpeg => (1u8..100, prop::sample::select(vec![0u8, 1, 64, 65]), noise(1..3000))
            .prop_map(|(q, kind, scan)| jpeg(q, kind, &scan))
            .boxed(),
        _ => unreachable!("video only"),
    }
}

/// With tables that are no one's, which go along.
pub fn picture_with_tables() -> BoxedStrategy<Bytes> {
    (prop::sample::select(vec![0u8, 1, 64, 65]), noise(1..3000)).prop_map(|(kind, scan)| jpeg(255, kind, &scan)).boxed()
}

pub fn sound(codec: Codec) -> BoxedStrategy<Bytes> {
    match codec {
        Codec::Opus => noise(1..60).prop_map(Bytes::from).boxed(),
        Codec::Gsm => noise(33).prop_map(Bytes::from).boxed(),
        // Narrow band at 15 kbit/s: a 0, mode 5, 295 bits, padding of 0111; the higher band's flag is that padding's 0.
        Codec::Speex => noise(38)
            .prop_map(|mut body| {
                body[0] = 0x28 | body[0] & 0x07;
                body[37] = body[37] & 0xf0 | 0b0111;
                Bytes::from(body)
            })
            .boxed(),
        Codec::AmrNb => amr(&[95, 103, 118, 134, 148, 159, 204, 244, 39]),
        Codec::AmrWb => amr(&[132, 177, 253, 285, 317, 365, 397, 461, 477, 40]),
        Codec::Aac => noise(1..2000).prop_map(Bytes::from).boxed(),
        // MPEG-1, layer III, 128 kbit/s at 44,100 Hz: 417 bytes.
        Codec::Mp3 => noise(413).prop_map(|body| joined(&[&[0xff, 0xfb, 0x90, 0x00], &body])).boxed(),
        _ => unreachable!("audio that is cut, or video"),
    }
}

fn amr(sizes: &'static [usize]) -> BoxedStrategy<Bytes> {
    (0..sizes.len(), noise(60), any::<bool>())
        .prop_map(move |(kind, mut speech, good)| {
            speech.truncate(sizes[kind].div_ceil(8));
            let unused = speech.len() * 8 - sizes[kind];
            *speech.last_mut().unwrap() &= 0xff << unused;
            joined(&[&[(kind as u8) << 3 | u8::from(good) << 2], &speech])
        })
        .boxed()
}

/// Two key frames and those that follow each.
pub fn clip(codec: Codec) -> BoxedStrategy<Vec<Bytes>> {
    if VIDEO.contains(&codec) {
        let group = || (picture(codec, true), vec(picture(codec, false), 1..3));
        return (group(), group())
            .prop_map(|((first, rest), (second, end))| [vec![first], rest, vec![second], end].concat())
            .boxed();
    }
    vec(sound(codec), 2..5).boxed()
}

/// Some clips of each codec.
pub fn of_each(codecs: impl IntoIterator<Item = Codec>, test: impl Fn(Codec, &[Bytes])) {
    for codec in codecs {
        let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
        let checked = TestRunner::new(config).run(&clip(codec), |frames| {
            test(codec, &frames);
            Ok(())
        });
        assert!(checked.is_ok(), "{codec:?}");
    }
}
