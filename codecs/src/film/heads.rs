//! What a container wants to know of a stream before its first frame, taken from that frame. It looks at headers only.

use super::FilmError;
use crate::coder::{VideoDecoder, VideoEncoder, VideoSettings};
use crate::payload::nal;
use bytes::{BufMut, Bytes};
use rivero_engine::{Codec, MediaTime, Picture, Plane};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Samples at 48 kHz that libopus delays by, which a decoder drops where nobody said otherwise.
const OPUS_DELAY: u16 = 312;

/// A key frame's parameter sets as a byte stream (H.264, H.265), or its sequence header (AV1); nothing of the others.
pub(super) fn config(codec: Codec, key_frame: &[u8]) -> Vec<u8> {
    match codec {
        Codec::H264 => sets(key_frame, |unit| matches!(unit[0] & 0x1f, 7 | 8 | 13)),
        Codec::H265 => sets(key_frame, |unit| matches!(unit[0] >> 1 & 0x3f, 32..=34)),
        Codec::Av1 => sequence_header(key_frame).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    }
}

/// Whether a container has no use for the stream without such a configuration.
pub(super) fn wants_config(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1)
}

fn sets(frame: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in nal::units(frame).filter(|unit| wanted(unit)) {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
    }
    out
}

/// The first OBU of type 1, whole (AV1 specification, section 5.3).
fn sequence_header(mut data: &[u8]) -> Option<&[u8]> {
    loop {
        let first = *data.first()?;
        let (extended, sized) = (first & 4 != 0, first & 2 != 0);
        let head = 1 + usize::from(extended);
        if !sized {
            return None;
        }
        let (mut size, mut length) = (0_usize, 0);
        loop {
            let byte = *data.get(head + length)?;
            size |= usize::from(byte & 0x7f) << (7 * length);
            length += 1;
            match byte & 0x80 {
                0 => break,
                _ if length == 5 => return None,
                _ => {}
            }
        }
        let whole = data.get(..head + length + size)?;
        if first >> 3 & 15 == 1 {
            return Some(whole);
        }
        data = &data[whole.len()..];
    }
}

/// VP9's profile (VP9 specification, section 6.2); 0 of all others.
pub(super) fn profile(codec: Codec, frame: &[u8]) -> i32 {
    match (codec, frame.first()) {
        (Codec::Vp9, Some(first)) => i32::from(first >> 5 & 1 | (first >> 4 & 1) << 1),
        _ => 0,
    }
}

/// Pixels, found by decoding a key frame: no header of seven codings to be read here.
pub(super) fn size(codec: Codec, key_frame: &[u8]) -> Option<(u32, u32)> {
    let mut pictures = Vec::new();
    let mut decoder = VideoDecoder::new(codec).ok()?;
    let _ = decoder.decode(key_frame, MediaTime::ZERO, &mut pictures);
    if pictures.is_empty() {
        let _ = decoder.flush(&mut pictures);
    }
    pictures.first().map(|decoded| (decoded.picture.width, decoded.picture.height))
}

/// A key frame of another stream of this coding: it stands in for one that has not come, until its own headers do.
pub(super) fn stand_in(codec: Codec, width: u32, height: u32) -> Result<Bytes, FilmError> {
    let (width, height) = (width.next_multiple_of(2).clamp(16, 8192), height.next_multiple_of(2).clamp(16, 8192));
    let plane = |divisor: u32| {
        let (wide, high) = (width.div_ceil(divisor) as usize, height.div_ceil(divisor) as usize);
        Plane { data: Bytes::from(vec![128; wide * high]), stride: wide }
    };
    let picture = Picture { width, height, planes: [plane(1), plane(2), plane(2)], at: MediaTime::ZERO };
    let mut frames = Vec::new();
    VideoEncoder::new(codec, VideoSettings::new(width, height))?.encode(&picture, true, &mut frames)?;
    frames.pop().map(|frame| frame.data).ok_or(FilmError::Refused("a codec that yields nothing"))
}

/// An identification header for Opus (RFC 7845, section 5.1): the stream's own, or one for so many channels.
pub(super) fn opus_head(config: &[u8], channels: u8) -> Vec<u8> {
    if config.starts_with(b"OpusHead") && config.len() >= 19 {
        return config.to_vec();
    }
    let mut head = Vec::from(*b"OpusHead");
    head.put_u8(1);
    head.put_u8(channels.clamp(1, 2));
    head.put_u16_le(OPUS_DELAY);
    head.put_u32_le(48_000);
    // No gain, and channels mapped as ever.
    head.put_u16_le(0);
    head.put_u8(0);
    head
}

/// Samples at the beginning that an identification header for Opus says to drop.
pub(super) fn opus_delay(head: &[u8]) -> u16 {
    head.get(10..12).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_sequence_headers_are_found_in_key_frames() {
        for (codec, kinds) in [(Codec::H264, &[7, 8][..]), (Codec::H265, &[32, 33, 34]), (Codec::Av1, &[])] {
            let frame = stand_in(codec, 64, 48).unwrap();
            let config = config(codec, &frame);
            let is: Vec<u8> = nal::units(&config)
                .map(|unit| if codec == Codec::H264 { unit[0] & 31 } else { unit[0] >> 1 & 63 })
                .collect();
            if codec == Codec::Av1 {
                assert_eq!(config[0] >> 3 & 15, 1);
                assert!(config.len() < frame.len() && config.len() > 8);
            } else {
                assert_eq!(is, kinds, "{codec:?}");
            }
            assert_eq!(size(codec, &frame), Some((64, 48)), "{codec:?}");
        }
        assert_eq!(sequence_header(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(sequence_header(&[0x0a, 200]), None);
    }

    #[test]
    fn an_opus_header_is_kept_or_made() {
        let made = opus_head(&[], 2);
        assert_eq!((made.len(), opus_delay(&made)), (19, 312));
        assert_eq!(made[9], 2);
        let mut own = made;
        own[10] = 0;
        own[11] = 15;
        assert_eq!(opus_delay(&opus_head(&own, 1)), 3840);
    }
}
