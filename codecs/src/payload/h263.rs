//! H.263 in RTP, the format of 1998 (RFC 4629).

use super::assembly::{Assembly, Order, Sequence};
use super::bits::Bits;
use super::{Depayload, Frame, Loss, Part, Payload, Piece, Unsendable, sane};
use bytes::{BufMut, Bytes, BytesMut};

#[derive(Default)]
pub(super) struct Reader {
    sequence: Sequence,
    frame: Assembly,
}

/// The payload header (5.1): whether two zero bytes of a start code were left out, and where the bit stream begins.
fn header(payload: &[u8]) -> Option<(bool, usize)> {
    let fields = u16::from_be_bytes(*payload.first_chunk()?);
    let redundancy = usize::from(fields & 0x0200 != 0);
    let length = 2 + redundancy + usize::from(fields >> 3 & 0x3f);
    (payload.len() > length).then_some((fields & 0x0400 != 0, length))
}

impl Depayload for Reader {
    fn push(&mut self, piece: Piece<'_>, out: &mut Vec<Frame>) -> Loss {
        let mut lost = match self.sequence.judge(piece.sequence) {
            Order::Stale => return Loss::Nothing,
            Order::Next => false,
            Order::Gap => {
                self.frame.drop_frame();
                true
            }
        };
        let Some((start_code, length)) = header(piece.payload) else {
            self.frame.drop_frame();
            return Loss::Something;
        };
        let body = &piece.payload[length..];
        // A picture's start code goes on with 100000 in bits (H.263, 5.1.1); that of a group or slice with its number.
        if start_code && body[0] & 0xfc == 0x80 {
            lost |= self.frame.drop_frame();
            self.frame.begin(piece.timestamp);
        } else if !self.frame.is_at(piece.timestamp) {
            self.frame.drop_frame();
            return Loss::Something;
        }
        lost |= !((!start_code || self.frame.append(&[0, 0])) && self.frame.append(body));
        if piece.marker
            && let Some((data, timestamp)) = self.frame.take()
        {
            let key = is_key(&data);
            out.push(Frame { data, timestamp, key });
        }
        Loss::when(lost)
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
        let size = sane(room) - 2;
        let last = rest.len().div_ceil(size) - 1;
        for (number, body) in rest.chunks(size).enumerate() {
            let mut payload = BytesMut::with_capacity(2 + body.len());
            payload.put_u16(if number == 0 { 0x0400 } else { 0 });
            payload.put_slice(body);
            out.push(Part { payload: payload.freeze(), marker: number == last, ahead: 0 });
        }
        Ok(())
    }
}
