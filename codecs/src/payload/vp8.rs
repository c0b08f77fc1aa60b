//! VP8 in RTP (RFC 7741).

use super::assembly::{Assembly, Order, Sequence};
use super::{Depayload, Frame, Loss, Part, Payload, Piece, Unsendable, is_key, sane};
use bytes::{BufMut, Bytes, BytesMut};
use rivero_engine::Codec;

/// What the payload descriptor (4.2) says, and where it ends.
struct Descriptor {
    /// The first packet of a frame: the start of its first partition.
    begins: bool,
    length: usize,
}

fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let first = *payload.first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let mut length = 1;
    if first & 0x80 != 0 {
        let extension = *payload.get(length)?;
        length += 1;
        if extension & 0x80 != 0 {
            length += if payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
        }
        length += usize::from(extension & 0x40 != 0) + usize::from(extension & 0x30 != 0);
    }
    (payload.len() > length).then_some(Descriptor { begins, length })
}

#[derive(Default)]
pub(super) struct Reader {
    sequence: Sequence,
    frame: Assembly,
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
        let Some(descriptor) = descriptor(piece.payload) else {
            self.frame.drop_frame();
            return Loss::Something;
        };
        if descriptor.begins {
            // What was open never saw its marker.
            lost |= self.frame.drop_frame();
            self.frame.begin(piece.timestamp);
        } else if !self.frame.is_at(piece.timestamp) {
            self.frame.drop_frame();
            return Loss::Something;
        }
        lost |= !self.frame.append(&piece.payload[descriptor.length..]);
        if piece.marker
            && let Some((data, timestamp)) = self.frame.take()
        {
            let key = is_key(Codec::Vp8, &data);
            out.push(Frame { data, timestamp, key });
        }
        Loss::when(lost)
    }
}

/// Numbers pictures in 15 bits.
#[derive(Default)]
pub(super) struct Writer {
    picture: u16,
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        const DESCRIPTOR: usize = 4;
        if frame.is_empty() {
            return Err(Unsendable::Malformed);
        }
        let last = frame.len().div_ceil(sane(room) - DESCRIPTOR) - 1;
        for (number, body) in frame.chunks(sane(room) - DESCRIPTOR).enumerate() {
            let mut payload = BytesMut::with_capacity(DESCRIPTOR + body.len());
            // X, and S in the first; I; M and the picture's number.
            payload.put_u8(if number == 0 { 0x90 } else { 0x80 });
            payload.put_u8(0x80);
            payload.put_u16(0x8000 | self.picture);
            payload.put_slice(body);
            out.push(Part { payload: payload.freeze(), marker: number == last, ahead: 0 });
        }
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        Ok(())
    }
}
