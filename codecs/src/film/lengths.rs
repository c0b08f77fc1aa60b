//! H.264 and H.265 as files have them, each NAL unit behind its length (ISO/IEC 14496-15), to the byte stream of the house.

use bytes::Bytes;
use rivero_engine::Codec;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// How a track's NAL units are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Bytes of a length; None where the file has a byte stream itself.
    length: Option<usize>,
    /// The parameter sets as a byte stream.
    pub sets: Bytes,
}

impl Form {
    /// By the configuration that the file has for the track; None if it is broken.
    pub(super) fn read(codec: Codec, config: &[u8]) -> Option<Self> {
        if config.is_empty() || config.starts_with(&[0, 0, 1]) || config.starts_with(&START_CODE) {
            return Some(Form { length: None, sets: Bytes::copy_from_slice(config) });
        }
        let mut sets = Vec::new();
        let length = match codec {
            Codec::H264 => read_avcc(config, &mut sets)?,
            _ => read_hvcc(config, &mut sets)?,
        };
        Some(Form { length: Some(length), sets: sets.into() })
    }

    /// An access unit as a byte stream; None if its lengths do not add up.
    pub(super) fn convert(&self, data: Bytes) -> Option<Bytes> {
        let Some(length) = self.length else { return Some(data) };
        let mut out = Vec::with_capacity(data.len() + 16);
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (size, after) = rest.split_at_checked(length)?;
            let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
            let (unit, after) = after.split_at_checked(size)?;
            if !unit.is_empty() {
                out.extend_from_slice(&START_CODE);
                out.extend_from_slice(unit);
            }
            rest = after;
        }
        Some(out.into())
    }
}

/// AVCDecoderConfigurationRecord (5.3.3.1)
fn read_avcc(config: &[u8], sets: &mut Vec<u8>) -> Option<usize> {
    let length = usize::from(config.get(4)? & 3) + 1;
    let mut rest = &config[5..];
    for mask in [31, 255] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            rest = read_set(rest, sets)?;
        }
    }
    Some(length)
}

/// HEVCDecoderConfigurationRecord (8.3.3.1)
fn read_hvcc(config: &[u8], sets: &mut Vec<u8>) -> Option<usize> {
    let length = usize::from(config.get(21)? & 3) + 1;
    let (arrays, mut rest) = config.get(22..)?.split_first()?;
    for _ in 0..*arrays {
        let (head, after) = rest.split_at_checked(3)?;
        rest = after;
        for _ in 0..u16::from_be_bytes([head[1], head[2]]) {
            rest = read_set(rest, sets)?;
        }
    }
    Some(length)
}

/// One set behind its length of two bytes; what follows it.
fn read_set<'a>(data: &'a [u8], sets: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (size, after) = data.split_at_checked(2)?;
    let (set, after) = after.split_at_checked(usize::from(u16::from_be_bytes([size[0], size[1]])))?;
    sets.extend_from_slice(&START_CODE);
    sets.extend_from_slice(set);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVCC: &[u8] = &[1, 66, 0, 30, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 9];

    #[test]
    fn lengths_become_start_codes() {
        let form = Form::read(Codec::H264, AVCC).unwrap();
        assert_eq!(form.sets[..], [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 9]);
        let data = Bytes::from_static(&[0, 0, 0, 2, 0x65, 7, 0, 0, 0, 0, 0, 0, 0, 1, 6]);
        assert_eq!(form.convert(data).unwrap()[..], [0, 0, 0, 1, 0x65, 7, 0, 0, 0, 1, 6]);
        let mut hvcc = vec![1; 21];
        hvcc.extend([0xfd, 1, 0x20, 0, 1, 0, 2, 0x40, 5]);
        let form = Form::read(Codec::H265, &hvcc).unwrap();
        assert_eq!((form.length, &form.sets[..]), (Some(2), &[0, 0, 0, 1, 0x40, 5][..]));
    }

    #[test]
    fn a_byte_stream_stays_one() {
        let sets = [0, 0, 0, 1, 0x67, 1];
        let form = Form::read(Codec::H264, &sets).unwrap();
        assert_eq!(form.sets[..], sets);
        let data = Bytes::from_static(&[0, 0, 1, 0x65]);
        assert_eq!(form.convert(data.clone()), Some(data));
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        for cut in 0..AVCC.len() {
            let read = Form::read(Codec::H264, &AVCC[..cut]);
            assert!(read.is_none() || cut == 0, "{cut}");
            assert!(Form::read(Codec::H265, &AVCC[..cut]).is_none() || cut == 0, "{cut}");
        }
        let form = Form::read(Codec::H264, AVCC).unwrap();
        for data in [&[0, 0, 0][..], &[0, 0, 0, 2, 1], &[255, 255, 255, 255, 1]] {
            assert_eq!(form.convert(Bytes::copy_from_slice(data)), None, "{data:?}");
        }
    }
}
