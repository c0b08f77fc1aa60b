//! Cuts a stream into the messages of TURN, and frames channel data (RFC 8656, sections 12.4 and 12.5).
//!
//! Enters: bytes as they come. Leaves: whole messages. It must never know what they say.

/// The numbers that channels may have; higher ones are reserved.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// Bytes 4 to 7 of every STUN message (RFC 8489, section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Stun(&'a [u8]),
    Channel { number: u16, data: &'a [u8] },
}

/// Neither STUN nor channel data: on a stream, nothing after it can be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct NoFrame;

/// The frame at the beginning, with the bytes that it takes in a stream; `None` when more must come.
pub fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, NoFrame> {
    let [b0, b1, b2, b3, ..] = bytes else { return Ok(None) };
    let (first, length) = (u16::from_be_bytes([*b0, *b1]), usize::from(u16::from_be_bytes([*b2, *b3])));
    match first >> 14 {
        0 if bytes.get(4..8).is_some_and(|cookie| cookie != COOKIE) => Err(NoFrame),
        0 => {
            let size = 20 + length;
            Ok(bytes.get(..size).map(|message| (Frame::Stun(message), size)))
        }
        1 if CHANNELS.contains(&first) => {
            // In a datagram the padding may be left out.
            let size = (4 + length).next_multiple_of(4);
            let data = bytes.get(4..4 + length);
            Ok(data.map(|data| (Frame::Channel { number: first, data }, size)))
        }
        _ => Err(NoFrame),
    }
}

/// Channel data to send; on streams it is padded.
pub fn channel_data(number: u16, data: &[u8], stream: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len() + 8);
    bytes.extend(number.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    if stream {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// What came over a stream and is not yet used up: at most one frame, of 64 KiB and a header.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// Hands over every frame that is complete.
    ///
    /// Errors: the stream has lost its rhythm and is of no use any longer.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), NoFrame> {
        self.bytes.extend(bytes);
        let mut used = 0;
        while let Some((frame, size)) = parse(&self.bytes[used..])? {
            if self.bytes.len() - used < size {
                break;
            }
            each(frame);
            used += size;
        }
        self.bytes.drain(..used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, NoFrame> {
        let mut found = Vec::new();
        frames.push(bytes, |frame| match frame {
            Frame::Stun(message) => found.push((0, message.to_vec())),
            Frame::Channel { number, data } => found.push((number, data.to_vec())),
        })?;
        Ok(found)
    }

    #[test]
    fn the_end_of_a_stream_is_noticed() {
        for bad in [[0x80, 0, 0, 0, 0, 0, 0, 0], [0x50, 0, 0, 0, 0, 0, 0, 0], [0xff; 8], [0, 1, 0, 0, 9, 9, 9, 9]] {
            assert_eq!(collect(&mut Frames::default(), &bad), Err(NoFrame));
        }
        assert_eq!(parse(&[0x40]), Ok(None));
        // A datagram without its padding.
        assert_eq!(parse(&[0x40, 1, 0, 1, 9]), Ok(Some((Frame::Channel { number: 0x4001, data: &[9] }, 8))));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            payloads in prop::collection::vec((prop::option::of(CHANNELS), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (channel, payload) in &payloads {
                match channel {
                    Some(number) => {
                        stream.extend(channel_data(*number, payload, true));
                        expected.push((*number, payload.clone()));
                    }
                    None => {
                        let mut message = vec![0, 1, 0, payload.len() as u8];
                        message.extend(COOKIE);
                        message.extend([7; 12]);
                        message.extend(payload);
                        stream.extend(&message);
                        expected.push((0, message));
                    }
                }
            }
            let (mut frames, mut found, mut rest) = (Frames::default(), Vec::new(), stream.as_slice());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                found.extend(collect(&mut frames, now).expect("all is well"));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
            prop_assert!(frames.bytes.is_empty());
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = collect(&mut Frames::default(), &bytes);
        }
    }
}
