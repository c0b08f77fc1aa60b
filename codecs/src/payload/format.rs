//! The caps' format text, which is the value of an `fmtp` line: `name=value` pairs between semicolons (RFC 4855, section 3).

use super::bits::BitsOut;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use rivero_engine::{Caps, Codec};

/// More than any honest list of parameter sets.
const MAX_SETS: usize = 16;
/// Bytes.
const MAX_SET: usize = 4096;

/// The value of a parameter; names are case-insensitive.
pub(crate) fn parameter<'a>(format: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = format.unwrap_or_default().split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|pair| pair.1)
}

/// A number, if the parameter is there and is one.
pub(crate) fn number(format: Option<&str>, name: &str) -> Option<u32> {
    parameter(format, name)?.parse().ok()
}

/// NAL units in base64 between commas, as `sprop-parameter-sets` has them (RFC 6184, 8.1). What is none is left out.
pub(super) fn sets(format: Option<&str>, name: &str) -> Vec<Bytes> {
    let list = parameter(format, name)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|text| text.len() <= MAX_SET * 4 / 3);
    let decode = |text: &str| BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok();
    list.take(MAX_SETS).filter_map(decode).filter(|set| !set.is_empty()).map(Bytes::from).collect()
}

/// What a decoder must be told before the first frame, in the form of FFmpeg's `extradata`: AAC's AudioSpecificConfig, from the
/// caps' format or else made for AAC-LC of the caps' rate and channels. No other codec here needs any: what H.264 and H.265
/// need stands before their key frames.
pub fn setup(caps: &Caps) -> Option<Bytes> {
    (caps.codec() == Codec::Aac).then(|| {
        let config = parameter(caps.format(), "config").filter(|text| text.len() <= MAX_SET);
        let config = config.and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok());
        config.filter(|config| config.len() >= 2).map_or_else(|| low_complexity(caps), Bytes::from)
    })
}

/// ISO/IEC 14496-3, 1.6.2.1: object type 2 with the rate's index, or the rate itself.
fn low_complexity(caps: &Caps) -> Bytes {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
    let mut config = BitsOut::default();
    config.put(2, 5);
    match (0u32..).zip(RATES).find(|(_, rate)| *rate == caps.clock_rate()) {
        Some((index, _)) => config.put(index, 4),
        None => {
            config.put(15, 4);
            config.put(caps.clock_rate(), 24);
        }
    }
    config.put(u32::from(caps.channels().clamp(1, 7)), 4);
    config.put(0, 3);
    Bytes::from(config.into_bytes())
}
