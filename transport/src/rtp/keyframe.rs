//! Where a key frame begins, told from the first bytes of an RTP payload. Nothing else of a codec is ever looked at.
//!
//! Reads outside bytes: every function takes any slice and answers `false` when in doubt.

use rivero_engine::{Codec, MediaKind};

/// Whether a decoder can start with this packet.
pub fn starts_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => vp8(payload).unwrap_or(false),
        Codec::Vp9 => vp9(payload).unwrap_or(false),
        Codec::H264 => h264(payload),
        Codec::H265 => h265(payload),
        Codec::Av1 => payload.first().is_some_and(|header| header & 0x08 != 0),
        // A frame of H.263 does not say in its first packet whether it begins a key frame: every one is taken for one.
        Codec::H263 | Codec::Mjpeg => true,
        codec if codec.kind() != MediaKind::Video => true,
        // Not carried in RTP.
        _ => false,
    }
}

/// RFC 7741, section 4.2: the first packet (S) of the first partition (PID 0), then the frame's inverted key bit (P).
fn vp8(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extended = *payload.get(1)?;
        at += 1;
        if extended & 0x80 != 0 {
            let long = payload.get(at)? & 0x80 != 0;
            at += if long { 2 } else { 1 };
        }
        if extended & 0x40 != 0 {
            at += 1;
        }
        if extended & 0x30 != 0 {
            at += 1;
        }
    }
    let starts = first & 0x10 != 0 && first & 0x07 == 0;
    Some(starts && payload.get(at)? & 0x01 == 0)
}

/// RFC 9628, section 4.2: the beginning (B) of a frame that is not predicted from earlier ones (not P), and with layers
/// only the lowest spatial one.
fn vp9(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let (picture_id, predicted, layers, begins) = (first & 0x80, first & 0x40, first & 0x20, first & 0x08);
    if begins == 0 || predicted != 0 {
        return Some(false);
    }
    if layers == 0 {
        return Some(true);
    }
    let mut at = 1;
    if picture_id != 0 {
        at += if payload.get(1)? & 0x80 != 0 { 2 } else { 1 };
    }
    let spatial = payload.get(at)? >> 1 & 0x07;
    Some(spatial == 0)
}

/// RFC 6184, section 5: an IDR slice or a sequence parameter set, alone (1 to 23), aggregated (24) or as the first fragment
/// (28).
fn h264(payload: &[u8]) -> bool {
    let starts = |header: u8| matches!(header & 0x1f, 5 | 7);
    match payload {
        [24, units @ ..] => aggregated(units).any(|unit| unit.first().is_some_and(|header| starts(*header))),
        [header, rest @ ..] if header & 0x1f == 24 => {
            aggregated(rest).any(|unit| unit.first().is_some_and(|header| starts(*header)))
        }
        [header, fragment, ..] if header & 0x1f == 28 => fragment & 0x80 != 0 && starts(*fragment),
        [header, ..] => starts(*header),
        [] => false,
    }
}

/// RFC 7798, section 4.4: an intra random access picture (16 to 21) or a parameter set (32 to 34), alone, aggregated (48)
/// or as the first fragment (49).
fn h265(payload: &[u8]) -> bool {
    let starts = |kind: u8| matches!(kind, 16..=21 | 32..=34);
    match payload {
        [header, _, rest @ ..] => match header >> 1 & 0x3f {
            48 => aggregated(rest).any(|unit| unit.first().is_some_and(|header| starts(header >> 1 & 0x3f))),
            49 => rest.first().is_some_and(|fragment| fragment & 0x80 != 0 && starts(fragment & 0x3f)),
            kind => starts(kind),
        },
        _ => false,
    }
}

/// The units of an aggregation packet, each behind its length in 16 bits.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vp8_key_frames() {
        let key = |payload: &[u8]| starts_key_frame(Codec::Vp8, payload);
        assert!(key(&[0x10, 0x00]), "no extension");
        assert!(key(&[0x90, 0x80, 0x81, 0x23, 0x50]), "a picture id of 15 bits");
        assert!(key(&[0x90, 0xe0, 0x11, 0x01, 0x00, 0x10]), "a short picture id, TL0PICIDX and TID");
        assert!(!key(&[0x10, 0x01]), "an inter frame");
        assert!(!key(&[0x00, 0x00]), "not the first packet");
        assert!(!key(&[0x11, 0x00]), "not the first partition");
        assert!(!key(&[0x90, 0x80]), "cut short");
    }

    #[test]
    fn vp9_key_frames() {
        let key = |payload: &[u8]| starts_key_frame(Codec::Vp9, payload);
        assert!(key(&[0x08]));
        assert!(key(&[0xa8, 0x81, 0x22, 0x00]), "the lowest spatial layer");
        assert!(!key(&[0xa8, 0x81, 0x22, 0x02]), "a higher spatial layer");
        assert!(!key(&[0x48]), "predicted");
        assert!(!key(&[0x00]), "not the beginning");
    }

    #[test]
    fn h264_and_h265_key_frames() {
        let key = |payload: &[u8]| starts_key_frame(Codec::H264, payload);
        assert!(key(&[0x65, 0x88]), "an IDR slice");
        assert!(key(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]), "SPS and PPS together");
        assert!(key(&[0x7c, 0x85]), "the first fragment of an IDR slice");
        assert!(!key(&[0x7c, 0x05]), "a later fragment");
        assert!(!key(&[0x61, 0x00]), "an inter slice");
        assert!(!key(&[0x78, 0, 200, 0x67]), "a length that lies");
        let key = |payload: &[u8]| starts_key_frame(Codec::H265, payload);
        assert!(key(&[19 << 1, 1]) && key(&[32 << 1, 1]));
        assert!(key(&[49 << 1, 1, 0x80 | 19]) && !key(&[49 << 1, 1, 19]));
        assert!(!key(&[1 << 1, 1]));
    }

    #[test]
    fn av1_and_audio() {
        assert!(starts_key_frame(Codec::Av1, &[0x08]) && !starts_key_frame(Codec::Av1, &[0x10]));
        assert!(starts_key_frame(Codec::Opus, &[]));
    }

    proptest! {
        #[test]
        fn nothing_panics(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
                starts_key_frame(codec, &payload);
            }
        }
    }
}
