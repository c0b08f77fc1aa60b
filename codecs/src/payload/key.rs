//! Can a decoder start at this frame. Enters: one whole frame. It looks at the first bits of headers and nowhere else.

use super::{av1, h263, h264, h265, nal, vp9};
use rivero_engine::Codec;

/// Whether a decoder can start at this access unit: of H.264 an IDR picture, of H.265 an IRAP picture, of AV1 a sequence header
/// and a shown key frame, of VP8, VP9 and H.263 an intra picture. Every JPEG and all audio is.
pub fn is_key(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => frame.first().is_some_and(|byte| byte & 1 == 0),
        Codec::Vp9 => vp9::is_key(frame),
        Codec::Av1 => av1::is_key(frame),
        Codec::H264 => nal::units(frame).any(|unit| matches!(h264::judge(unit), nal::Unit::Slice { key: true, .. })),
        Codec::H265 => nal::units(frame).any(|unit| matches!(h265::judge(unit), nal::Unit::Slice { key: true, .. })),
        Codec::H263 => h263::is_key(frame),
        _ => true,
    }
}
