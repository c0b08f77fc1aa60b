//! Audio whose packets are frames, or rows of frames, or samples, and nothing else: Opus (RFC 7587), PCMU, PCMA, G.722 and GSM
//! (RFC 3551).

use super::assembly::{Read, sound};
use super::{Frame, Loss, Part, Payload, Piece, Unsendable, sane};
use bytes::Bytes;

/// Bytes of a GSM frame, and samples.
const GSM: (usize, u32) = (33, 160);

/// Cuts payloads into frames of so many bytes, each so many ticks long; or leaves them whole.
pub(super) struct Reader(Option<(usize, u32)>);

impl Reader {
    pub(super) fn whole() -> Self {
        Reader(None)
    }

    pub(super) fn gsm() -> Self {
        Reader(Some(GSM))
    }
}

impl Read for Reader {
    fn give_up(&mut self) {}

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let payload = piece.payload;
        let Some((length, ticks)) = self.0 else {
            out.push(sound(payload.clone(), piece, 0));
            return Some(Loss::Nothing);
        };
        let whole = payload.chunks_exact(length).map(|frame| payload.slice_ref(frame));
        out.extend((0u32..).zip(whole).map(|(number, frame)| sound(frame, piece, number * ticks)));
        Some(Loss::when(!payload.len().is_multiple_of(length)))
    }
}

/// What may be cut, and how long that is.
pub(super) struct Writer {
    /// Bytes that stay together, and their ticks; with none, all stays together.
    step: Option<(usize, u32)>,
}

impl Writer {
    /// A frame is a packet.
    pub(super) fn unit() -> Self {
        Writer { step: None }
    }

    /// An octet a tick and channel.
    pub(super) fn samples(channels: u32) -> Self {
        Writer { step: Some((channels as usize, 1)) }
    }

    pub(super) fn gsm() -> Self {
        Writer { step: Some(GSM) }
    }
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        let room = sane(room);
        let (step, ticks) = self.step.unwrap_or((frame.len(), 0));
        if frame.is_empty() || !frame.len().is_multiple_of(step) {
            return Err(Unsendable::Malformed);
        }
        if step > room {
            return Err(Unsendable::TooBig(step));
        }
        let steps = room / step;
        let packet = |(number, body): (usize, &[u8])| Part {
            payload: frame.slice_ref(body),
            marker: false,
            ahead: ((number * steps) as u32).wrapping_mul(ticks),
        };
        out.extend(frame.chunks(steps * step).enumerate().map(packet));
        Ok(())
    }
}
