//! H.263 in RTP, the format of 1998 (RFC 4629).

use super::assembly::{Assembly, Cut, Read, cut};
use super::bits::Bits;
use super::{Frame, Loss, Part, Payload, Piece, Unsendable};
use bytes::Bytes;

#[derive(Default)]
pub(super) struct Reader(Assembly);

/// The payload header (5.1): whether two zero bytes of a start code were left out, and where the bit stream begins.
fn header(payload: &[u8]) -> Option<(bool, usize)> {
    let fields = u16::from_be_bytes(*payload.first_chunk()?);
    let redundancy = usize::from(fields & 0x0200 != 0);
    let length = 2 + redundancy + usize::from(fields >> 3 & 0x3f);
    (payload.len() > length).then_some((fields & 0x0400 != 0, length))
}

impl Read for Reader {
    fn give_up(&mut self) {
        self.0.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let (start_code, length) = header(piece.payload)?;
        let body = &piece.payload[length..];
        // A picture's start code goes on with 100000 in bits (H.263, 5.1.1); that of a group or slice with its number.
        let begins = start_code && body[0] & 0xfc == 0x80;
        let unfinished = begins && self.0.drop_frame();
        if begins {
            self.0.begin(piece.timestamp);
        }
        let zeros: &[u8] = if start_code { &[0, 0] } else { &[] };
        let fits = self.0.is_at(piece.timestamp) && self.0.append(zeros) && self.0.append(body);
        if fits
            && piece.marker
            && let Some((data, timestamp)) = self.0.take()
        {
            let key = is_key(&data);
            out.push(Frame { data, timestamp, key });
        }
        fits.then_some(Loss::when(unfinished))
    }
}

/// The picture header's coding type (H.263, 5.1.3 and 5.1.4).
pub(super) fn is_key(frame: &[u8]) -> bool {
    let mut bits = Bits::new(frame);
    let mut intra = || {
        let start = bits.take(22)?;
        // Temporal reference, two fixed bits, split screen, document camera, freeze release.
        bits.skip(8 + 2 + 3)?;
        let inter = match bits.take(3)? {
            7 => {
                // With 1, the long type field comes first.
                if bits.take(3)? == 1 {
                    bits.skip(18)?;
                }
                bits.take(3)? != 0
            }
            _ => bits.flag()?,
        };
        Some(start == 0x20 && !inter)
    };
    intra().unwrap_or(false)
}

pub(super) struct Writer;

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        // The header takes the place of the zeros with which the frame begins.
        let [0, 0, rest @ ..] = &frame[..] else { return Err(Unsendable::Malformed) };
        if rest.first().is_none_or(|byte| byte & 0xfc != 0x80) {
            return Err(Unsendable::Malformed);
        }
        cut(rest, room, out, |Cut { at, .. }| if at == 0 { [4, 0] } else { [0, 0] });
        Ok(())
    }
}
