//! VP8 in RTP (RFC 7741).

use super::assembly::{Assembly, Cut, Read, cut};
use super::{Frame, Loss, Part, Payload, Piece, Unsendable, is_key};
use bytes::Bytes;
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
pub(super) struct Reader(Assembly);

impl Read for Reader {
    fn give_up(&mut self) {
        self.0.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let Descriptor { begins, length } = descriptor(piece.payload)?;
        // What was open never saw its marker.
        let unfinished = begins && self.0.drop_frame();
        if begins {
            self.0.begin(piece.timestamp);
        }
        let fits = self.0.is_at(piece.timestamp) && self.0.append(&piece.payload[length..]);
        if fits
            && piece.marker
            && let Some((data, timestamp)) = self.0.take()
        {
            let key = is_key(Codec::Vp8, &data);
            out.push(Frame { data, timestamp, key });
        }
        fits.then_some(Loss::when(unfinished))
    }
}

/// Numbers pictures in 15 bits.
#[derive(Default)]
pub(super) struct Writer {
    picture: u16,
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        if frame.is_empty() {
            return Err(Unsendable::Malformed);
        }
        let [high, low] = (0x8000 | self.picture).to_be_bytes();
        // X, and S in the first; I; M and the picture's number.
        cut(frame, room, out, |Cut { at, .. }| [if at == 0 { 0x90 } else { 0x80 }, 0x80, high, low]);
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        Ok(())
    }
}
