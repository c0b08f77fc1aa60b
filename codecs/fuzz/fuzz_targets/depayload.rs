//! RTP payloads from a hostile peer, of every codec: nothing panics, frames stay within their bound, and what came out can be
//! put into packets again, from which it comes as it was.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rivero_codecs::payload::{Frame, Loss, MAX_FRAME, MIN_JPEG, Piece, depayload, is_key, payload};
use rivero_engine::{Caps, Codec};

const FORMATS: [Option<&str>; 5] = [
    None,
    Some("packetization-mode=1;sprop-parameter-sets=Z0LAHtk=,aM48gA=="),
    Some("octet-align=1;mode=AAC-lbr"),
    Some("octet-align=1;crc=1;sizelength=13;indexlength=3;indexdeltalength=3;ctsdeltalength=9;dtsdeltalength=9"),
    Some("sizelength=8;indexlength=0;indexdeltalength=0;auxiliarydatasizelength=8;randomaccessindication=1"),
];

fn caps(codec: u8, format: u8) -> Caps {
    use Codec::*;
    const CODECS: [Codec; 17] =
        [Vp8, Vp9, Av1, H264, H265, H263, Mjpeg, Opus, Pcmu, Pcma, G722, Gsm, Speex, AmrNb, AmrWb, Aac, Mp3];
    let format = FORMATS[usize::from(format) % FORMATS.len()];
    match CODECS[usize::from(codec) % CODECS.len()] {
        codec @ (Vp8 | Vp9 | Av1 | H264 | H265 | H263 | Mjpeg) => Caps::video(codec, format),
        codec => Caps::audio(codec, 16_000, 1).with_format(format),
    }
}

fuzz_target!(|input: (u8, u8, Vec<(u8, u8, Vec<u8>)>)| {
    let (codec, format, pieces) = input;
    let caps = caps(codec, format);
    let Some(mut reader) = depayload(&caps) else { return };
    let (mut frames, mut sequence, mut timestamp) = (Vec::new(), 7, 0u32);
    for (flags, step, bytes) in pieces {
        // Mostly the next packet; now and then one is missing, comes again, or all starts anew.
        sequence = match step {
            0..230 => sequence + 1,
            230..240 => sequence,
            240..250 => sequence + 2,
            250..255 => sequence - 1,
            255 => 1 << 40,
        };
        timestamp = timestamp.wrapping_add(u32::from(flags >> 1 & 1));
        let payload = Bytes::from(bytes);
        let piece = Piece { payload: &payload, marker: flags & 1 == 1, timestamp, sequence: sequence.max(1) };
        sequence = sequence.max(1);
        let _ = reader.push(piece, &mut frames);
    }
    for frame in &frames {
        assert!(!frame.data.is_empty() && frame.data.len() <= MAX_FRAME);
        assert_eq!(frame.key, is_key(caps.codec(), &frame.data), "{caps}: {:02x?}", frame.data);
        again(&caps, frame);
    }
});

/// There and back, for the codecs whose frames have but one form.
fn again(caps: &Caps, frame: &Frame) {
    let Some(mut writer) = payload(caps) else { return };
    let (mut parts, mut out) = (Vec::new(), Vec::new());
    if writer.split(&frame.data, 200, &mut parts).is_err() {
        return;
    }
    assert!(parts.iter().all(|part| part.payload.len() <= 200.max(MIN_JPEG)));
    let Some(mut reader) = depayload(caps) else { return };
    let mut loss = Loss::Nothing;
    for (sequence, part) in (0..).zip(&parts) {
        let piece = Piece { payload: &part.payload, marker: part.marker, timestamp: part.ahead, sequence };
        if reader.push(piece, &mut out) == Loss::Something {
            loss = Loss::Something;
        }
    }
    if matches!(
        caps.codec(),
        Codec::Vp8 | Codec::Vp9 | Codec::H263 | Codec::Mjpeg | Codec::Aac | Codec::Mp3 | Codec::Opus
    ) {
        assert_eq!((loss, out.len()), (Loss::Nothing, 1));
        assert_eq!(out[0].data, frame.data);
    }
}
