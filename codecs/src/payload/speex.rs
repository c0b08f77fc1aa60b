//! Speex out of RTP (RFC 5574). A packet holds one frame or several, packed by the bit; each leaves alone, since a decoder that
//! was not told their number takes but the first.

use super::assembly::{Read, sound};
use super::bits::{Bits, BitsOut};
use super::{Frame, Loss, Piece};
use bytes::Bytes;

/// Bits of a frame in narrow band for each mode (Speex manual, table 9.2), with the five that name it. 0: reserved.
const NARROW: [usize; 16] = [5, 43, 119, 160, 220, 300, 364, 492, 79, 0, 0, 0, 0, 0, 0, 0];
/// Bits of a higher band for each mode (table 10.1), with the four that name it.
const HIGHER: [usize; 8] = [4, 36, 112, 192, 352, 0, 0, 0];

/// One second; no packet of a conversation holds more.
const MAX_FRAMES: usize = 50;

pub(super) struct Reader {
    /// Of one frame: 20 ms.
    ticks: u32,
}

impl Reader {
    /// `rate` in Hz.
    pub(super) fn new(rate: u32) -> Self {
        Reader { ticks: rate / 50 }
    }
}

/// Where each frame begins and ends, in bits; `None` if that cannot be told.
fn frames(payload: &[u8]) -> Option<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut bits = Bits::new(payload);
    let mut from = 0;
    while bits.left() >= 5 {
        let at = bits.at();
        match bits.take(5)? {
            // The end; what follows is padding.
            15 => break,
            // A message within the band belongs to the frame that follows: its length goes by its number.
            14 => {
                let length = match bits.take(4)? {
                    0..2 => 1,
                    2..8 => 4,
                    8..10 => 8,
                    10..12 => 16,
                    12..14 => 32,
                    _ => 64,
                };
                bits.skip(length)?;
            }
            // One of the application: octets.
            13 => {
                let octets = bits.take(5)? as usize;
                bits.skip(octets * 8)?;
            }
            mode @ 0..16 => {
                let length = NARROW[mode as usize];
                bits.skip(length.checked_sub(5)?)?;
                skip_higher(payload, &mut bits)?;
                if found.len() == MAX_FRAMES {
                    return None;
                }
                found.push((from, bits.at()));
                from = bits.at();
                continue;
            }
            _ => return None,
        }
        debug_assert!(bits.at() > at);
    }
    Some(found)
}

/// At most two higher bands follow, each marked by a 1.
fn skip_higher(payload: &[u8], bits: &mut Bits<'_>) -> Option<()> {
    for _ in 0..2 {
        let mut ahead = Bits::new(payload);
        ahead.skip(bits.at())?;
        if ahead.left() < 4 || !ahead.flag()? {
            break;
        }
        let length = HIGHER[ahead.take(3)? as usize];
        if length == 0 {
            return None;
        }
        bits.skip(length)?;
    }
    Some(())
}

/// The frame alone, filled up as a packet is: a 0 and then 1s.
fn alone(payload: &[u8], from: usize, to: usize) -> Option<Bytes> {
    let mut bits = Bits::new(payload);
    bits.skip(from)?;
    let mut frame = BitsOut::default();
    frame.copy(&mut bits, to - from);
    let room = frame.room();
    if room > 0 {
        frame.put((1 << (room - 1)) - 1, room);
    }
    Some(Bytes::from(frame.into_bytes()))
}

impl Read for Reader {
    fn give_up(&mut self) {}

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let frames = frames(piece.payload)?;
        if frames.len() == 1 {
            out.push(sound(piece.payload.clone(), piece, 0));
        } else {
            let frames = frames.into_iter().filter_map(|(from, to)| alone(piece.payload, from, to));
            out.extend((0..).zip(frames).map(|(number, frame)| sound(frame, piece, self.ticks.wrapping_mul(number))));
        }
        Some(Loss::Nothing)
    }
}
