//! VP9 in RTP (RFC 9628). A picture with spatial layers leaves as one superframe with all its layers.

use super::assembly::{Assembly, Cut, Read, cut};
use super::bits::Bits;
use super::{Frame, Loss, Part, Payload, Piece, Unsendable};
use bytes::{BufMut, Bytes, BytesMut};

/// As many frames as a superframe's index can tell of (VP9 bitstream specification, annex B).
const MAX_LAYERS: usize = 8;

/// The payload descriptor (4.2).
struct Descriptor {
    /// The first packet of a layer's frame.
    begins: bool,
    ends: bool,
    /// The lowest layer, as far as is known.
    base: bool,
    length: usize,
}

fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let first = *payload.first()?;
    let has = |bit: u8| first & bit != 0;
    let (picture_id, inter, layers, flexible, structure) = (has(0x80), has(0x40), has(0x20), has(0x10), has(0x02));
    let mut length = 1;
    if picture_id {
        length += if payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
    }
    let mut base = true;
    if layers {
        base = payload.get(length)? >> 1 & 7 == 0;
        length += if flexible { 1 } else { 2 };
    }
    if flexible && inter {
        // At most three references, each but the last with N set.
        for number in 0.. {
            let more = payload.get(length)? & 1 != 0;
            length += 1;
            match (more, number) {
                (false, _) => break,
                (true, 2..) => return None,
                (true, _) => {}
            }
        }
    }
    if structure {
        length = scalability_structure(payload, length)?;
    }
    (payload.len() > length).then_some(Descriptor { begins: has(0x08), ends: has(0x04), base, length })
}

/// Where it ends (4.2.1).
fn scalability_structure(payload: &[u8], mut at: usize) -> Option<usize> {
    let first = *payload.get(at)?;
    at += 1;
    if first & 0x10 != 0 {
        at += 4 * (usize::from(first >> 5) + 1);
    }
    if first & 0x08 != 0 {
        let pictures = *payload.get(at)?;
        at += 1;
        for _ in 0..pictures {
            at += 1 + usize::from(payload.get(at)? >> 2 & 3);
        }
    }
    Some(at)
}

#[derive(Default)]
pub(super) struct Reader {
    picture: Assembly,
    /// Where each layer's frame begins.
    layers: Vec<usize>,
    /// The last layer's frame has seen its end.
    ended: bool,
    /// The picture before came to its end, and nothing is missing since: what comes next begins a picture.
    settled: bool,
}

impl Reader {
    fn finish(&mut self, out: &mut Vec<Frame>) {
        let Some((data, timestamp)) = self.picture.take() else { return };
        self.settled = true;
        let key = is_key(&data);
        out.push(Frame { data: superframe(data, &self.layers), timestamp, key });
    }

    /// `None` if the packet neither belongs to what is in progress nor begins something.
    fn place(&mut self, piece: &Piece<'_>, descriptor: &Descriptor) -> Option<()> {
        if !self.picture.is_at(piece.timestamp) {
            // After loss, a higher layer may be what is left of a picture.
            if !descriptor.begins || !(descriptor.base || self.settled) {
                return None;
            }
            self.picture.begin(piece.timestamp);
            self.layers.clear();
            self.ended = true;
        }
        if descriptor.begins != self.ended || (descriptor.begins && self.layers.len() == MAX_LAYERS) {
            return None;
        }
        if descriptor.begins {
            self.layers.push(self.picture.data().len());
        }
        self.ended = descriptor.ends;
        Some(())
    }
}

impl Read for Reader {
    fn give_up(&mut self) {
        self.settled = false;
        self.picture.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let descriptor = descriptor(piece.payload)?;
        let mut unfinished = false;
        if self.picture.is_open() && !self.picture.is_at(piece.timestamp) {
            // Who leaves out higher layers on the way may leave out the marker with them.
            unfinished = !self.ended;
            if unfinished {
                self.give_up();
            } else {
                self.finish(out);
            }
        }
        self.place(piece, &descriptor)?;
        let fits = self.picture.append(&piece.payload[descriptor.length..]) && (self.ended || !piece.marker);
        if fits && piece.marker {
            self.finish(out);
        }
        fits.then_some(Loss::when(unfinished))
    }
}

/// Several frames get the index that tells a decoder where each begins (annex B), unless one of them brought its own.
fn superframe(data: Bytes, starts: &[usize]) -> Bytes {
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let frames: Vec<&[u8]> = starts.iter().zip(ends).map(|(start, end)| &data[*start..end]).collect();
    if frames.len() < 2 || frames.iter().any(|frame| has_index(frame)) {
        return data;
    }
    // Four bytes for each size; the count of frames less one.
    let marker = 0xc0 | 3 << 3 | (frames.len() - 1) as u8;
    let mut whole = BytesMut::with_capacity(data.len() + 2 + 4 * frames.len());
    whole.put_slice(&data);
    whole.put_u8(marker);
    for frame in &frames {
        whole.put_u32_le(frame.len() as u32);
    }
    whole.put_u8(marker);
    whole.freeze()
}

/// A marker at the end, and the same where the index it tells of begins.
fn has_index(frame: &[u8]) -> bool {
    let Some(marker) = frame.last().filter(|byte| **byte & 0xe0 == 0xc0) else { return false };
    let length = 2 + usize::from((marker & 7) + 1) * usize::from((marker >> 3 & 3) + 1);
    frame.len() >= length && frame[frame.len() - length] == *marker
}

/// The first bits of the uncompressed header (bitstream specification, 6.2).
pub(super) fn is_key(frame: &[u8]) -> bool {
    let mut bits = Bits::new(frame);
    let mut intra = || {
        let marker = bits.take(2)?;
        let profile = bits.take(1)? | bits.take(1)? << 1;
        if profile == 3 {
            bits.skip(1)?;
        }
        let shows_existing = bits.flag()?;
        Some(marker == 2 && !shows_existing && !bits.flag()?)
    };
    intra().unwrap_or(false)
}

/// Non-flexible mode without layers; numbers pictures in 15 bits.
#[derive(Default)]
pub(super) struct Writer {
    picture: u16,
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        if frame.is_empty() {
            return Err(Unsendable::Malformed);
        }
        let inter = if is_key(frame) { 0 } else { 0x40 };
        let [high, low] = (0x8000 | self.picture).to_be_bytes();
        cut(frame, room, out, |Cut { at, last }| {
            let (begins, ends) = (if at == 0 { 0x08 } else { 0 }, if last { 0x04 } else { 0 });
            [0x80 | inter | begins | ends, high, low]
        });
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        Ok(())
    }
}
