//! AMR and AMR-WB in RTP (RFC 4867), octet-aligned and bandwidth-efficient. Interleaving, robust sorting and several channels
//! are refused. A frame is as in a file: one octet that tells its type and quality, then its bits (5.3).

use super::assembly::{Read, sound};
use super::bits::{Bits, BitsOut};
use super::{Frame, Loss, Part, Payload, Piece, Unsendable, format, sane};
use bytes::{BufMut, Bytes, BytesMut};
use rivero_engine::{Caps, Codec};

/// Bits of speech for each frame type (3GPP TS 26.101, 26.201): the modes, then comfort noise.
const NARROW: [usize; 9] = [95, 103, 118, 134, 148, 159, 204, 244, 39];
const WIDE: [usize; 10] = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40];
/// No mode is asked for (4.3.1).
const NO_REQUEST: u32 = 15;

#[derive(Clone, Copy)]
struct Mode {
    sizes: &'static [usize],
    /// Of one frame: 20 ms.
    ticks: u32,
    aligned: bool,
    checked: bool,
}

impl Mode {
    fn new(caps: &Caps) -> Option<Self> {
        let is = |name| format::number(caps.format(), name).is_some_and(|value| value != 0);
        let interleaves = format::parameter(caps.format(), "interleaving").is_some();
        if interleaves || is("robust-sorting") || caps.channels() > 1 {
            return None;
        }
        let (sizes, ticks): (&[usize], u32) = if caps.codec() == Codec::AmrWb { (&WIDE, 320) } else { (&NARROW, 160) };
        let checked = is("crc");
        Some(Mode { sizes, ticks, aligned: is("octet-align") || checked, checked })
    }

    /// Bits of speech: of the types that carry none, 0 (AMR-WB's 14, a lost frame, and 15, nothing to send).
    fn bits(&self, kind: u8) -> Option<usize> {
        match kind {
            15 => Some(0),
            14 if self.sizes.len() == WIDE.len() => Some(0),
            _ => self.sizes.get(usize::from(kind)).copied(),
        }
    }

    /// The frames of a payload as in a file, each with its number; those without speech are left out.
    fn read(&self, payload: &Bytes) -> Option<Vec<(u32, Bytes)>> {
        let mut bits = Bits::new(payload);
        // The mode that the peer wishes for is for the encoder, which here knows no modes.
        bits.skip(if self.aligned { 8 } else { 4 })?;
        let mut table = Vec::new();
        loop {
            let entry = bits.take(6)?;
            if self.aligned {
                bits.skip(2)?;
            }
            table.push(((entry >> 1 & 15) as u8, entry & 1));
            if entry & 0x20 == 0 {
                break;
            }
        }
        if self.checked {
            let spoken = table.iter().filter(|(kind, _)| self.bits(*kind).is_some_and(|bits| bits > 0)).count();
            bits.skip(8 * spoken)?;
        }
        let mut frames = Vec::new();
        for (number, (kind, quality)) in (0..).zip(table) {
            let count = self.bits(kind)?;
            let mut frame = BitsOut::default();
            frame.put(u32::from(kind) << 3 | quality << 2, 8);
            if bits.left() < count {
                return None;
            }
            frame.copy(&mut bits, count);
            if self.aligned {
                bits.align();
            }
            if count > 0 {
                frames.push((number, Bytes::from(frame.into_bytes())));
            }
        }
        Some(frames)
    }

    /// The payload of some frames, each of type, quality and speech.
    fn write(&self, frames: &[(u8, u8, &[u8])]) -> Bytes {
        let mut out = BitsOut::default();
        out.put(NO_REQUEST, 4);
        if self.aligned {
            out.put(0, 4);
        }
        for (number, (kind, quality, _)) in frames.iter().enumerate() {
            let more = u32::from(number + 1 < frames.len());
            out.put(more << 5 | u32::from(*kind) << 1 | u32::from(*quality), 6);
            if self.aligned {
                out.put(0, 2);
            }
        }
        if self.aligned {
            let mut payload = BytesMut::from(&out.into_bytes()[..]);
            frames.iter().for_each(|(.., speech)| payload.put_slice(speech));
            return payload.freeze();
        }
        for (kind, _, speech) in frames {
            out.copy(&mut Bits::new(speech), self.bits(*kind).unwrap_or_default());
        }
        Bytes::from(out.into_bytes())
    }
}

pub(super) struct Reader(Mode);

impl Reader {
    pub(super) fn new(caps: &Caps) -> Option<Self> {
        Mode::new(caps).map(Reader)
    }
}

impl Read for Reader {
    fn give_up(&mut self) {}

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let frames = self.0.read(piece.payload)?;
        out.extend(frames.into_iter().map(|(number, frame)| sound(frame, piece, self.0.ticks.wrapping_mul(number))));
        Some(Loss::Nothing)
    }
}

/// Takes one frame, or several after one another.
pub(super) struct Writer {
    mode: Mode,
}

impl Writer {
    /// Checksums are never written.
    pub(super) fn new(caps: &Caps) -> Option<Self> {
        Mode::new(caps).filter(|mode| !mode.checked).map(|mode| Writer { mode })
    }
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        let mut frames = Vec::new();
        let mut rest = &frame[..];
        while let Some((header, after)) = rest.split_first() {
            let kind = header >> 3 & 15;
            let bits = self.mode.bits(kind).ok_or(Unsendable::Malformed)?;
            let (speech, after) = after.split_at_checked(bits.div_ceil(8)).ok_or(Unsendable::Malformed)?;
            frames.push((kind, header >> 2 & 1, speech));
            rest = after;
        }
        if frames.is_empty() {
            return Err(Unsendable::Malformed);
        }
        let (mut from, mut size) = (0, 1);
        let part = |from: usize, to: usize| Part {
            payload: self.mode.write(&frames[from..to]),
            marker: false,
            ahead: (from as u32).wrapping_mul(self.mode.ticks),
        };
        for (number, (.., speech)) in frames.iter().enumerate() {
            // The longest has 61 bytes with its entry, so that one always fits.
            if size + 1 + speech.len() > sane(room) {
                out.push(part(from, number));
                (from, size) = (number, 1);
            }
            size += 1 + speech.len();
        }
        out.push(part(from, frames.len()));
        Ok(())
    }
}
