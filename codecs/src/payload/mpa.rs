//! MPEG audio, so MP3, in RTP (RFC 2250, section 3.5). Its clock has 90 kHz whatever the samples' rate.

use super::assembly::{Assembly, Cut, Read, cut, sound};
use super::{Frame, Loss, Part, Payload, Piece, Unsendable};
use bytes::Bytes;

/// No frame is longer: layer II at 384 kbit/s and 32 kHz, or MPEG-2.5's layer III at 160 kbit/s and 8 kHz. Bytes.
const LONGEST: usize = 2881;

/// What a frame's header says (ISO/IEC 11172-3, 2.4.2.3; 13818-3; and what is called MPEG-2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Bytes with the header.
    length: usize,
    samples: u32,
    /// Hz
    rate: u32,
}

fn header(data: &[u8]) -> Option<Header> {
    /// kbit/s
    const FIRST: [[u32; 15]; 3] = [
        [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    ];
    const LATER: [[u32; 15]; 2] = [
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let word = u32::from_be_bytes(*data.first_chunk()?);
    let (version, layer) = (word >> 19 & 3, word >> 17 & 3);
    if word >> 21 != 0x7ff || version == 1 || layer == 0 {
        return None;
    }
    let layer = 4 - layer as usize;
    let halves = match version {
        3 => 0,
        2 => 1,
        _ => 2,
    };
    let rate = [44_100, 48_000, 32_000].get((word >> 10 & 3) as usize)? >> halves;
    let table = if halves == 0 { &FIRST[layer - 1] } else { &LATER[usize::from(layer > 1)] };
    // Without a number (free format) its length cannot be told.
    let bits = 1000 * *table.get((word >> 12 & 15) as usize).filter(|bits| **bits > 0)?;
    let padding = word >> 9 & 1;
    let (length, samples) = match layer {
        1 => ((12 * bits / rate + padding) * 4, 384),
        3 if halves > 0 => (72 * bits / rate + padding, 576),
        _ => (144 * bits / rate + padding, 1152),
    };
    Some(Header { length: length as usize, samples, rate })
}

#[derive(Default)]
pub(super) struct Reader {
    /// A frame that is spread over packets, and its length.
    frame: Assembly,
    length: usize,
}

impl Reader {
    fn append(&mut self, body: &[u8], piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<()> {
        if self.frame.data().len() + body.len() > self.length.min(LONGEST) || !self.frame.append(body) {
            return None;
        }
        if self.frame.data().len() == self.length {
            let (data, _) = self.frame.take()?;
            out.push(sound(data, piece, 0));
        }
        Some(())
    }
}

impl Read for Reader {
    fn give_up(&mut self) {
        self.frame.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let (&[_, _, o1, o0], body) = piece.payload.split_first_chunk()?;
        let offset = usize::from(u16::from_be_bytes([o1, o0]));
        if offset > 0 {
            if !self.frame.is_at(piece.timestamp) || offset != self.frame.data().len() {
                return None;
            }
            return self.append(body, piece, out).map(|()| Loss::Nothing);
        }
        let unfinished = self.frame.drop_frame();
        let first = header(body)?;
        if first.length > body.len() {
            self.frame.begin(piece.timestamp);
            self.length = first.length;
            self.append(body, piece, out)?;
            return Some(Loss::when(unfinished));
        }
        let mut rest = body;
        // In units of one sample, so that rounding does not add up.
        let mut samples = 0u64;
        while !rest.is_empty() {
            let header = header(rest)?;
            let (frame, after) = rest.split_at_checked(header.length)?;
            rest = after;
            let ahead = samples * 90_000 / u64::from(header.rate);
            out.push(sound(piece.payload.slice_ref(frame), piece, ahead as u32));
            samples += u64::from(header.samples);
        }
        Some(Loss::when(unfinished))
    }
}

pub(super) struct Writer;

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        if header(frame).is_none_or(|header| header.length != frame.len()) {
            return Err(Unsendable::Malformed);
        }
        let first = out.len();
        // LONGEST bounds it.
        cut(frame, room, out, |Cut { at, .. }| (at as u32).to_be_bytes());
        // A mark is the begin of speech here.
        out[first..].iter_mut().for_each(|part| part.marker = false);
        Ok(())
    }
}
