//! AV1 in RTP (AOMedia's "RTP Payload Format For AV1", version 1.0.0).

use super::assembly::Read;
use super::bits::Bits;
use super::{Frame, Loss, MAX_FRAME, Part, Payload, Piece, Unsendable, sane};
use bytes::{BufMut, Bytes, BytesMut};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;

/// The value of a leb128 number and its length (AV1 specification, 4.10.5); what exceeds 32 bits is none.
fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (number, byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * number);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok().filter(|_| value <= u64::from(u32::MAX))?, number + 1));
        }
    }
    None
}

fn leb128_length(value: usize) -> usize {
    (usize::BITS - value.leading_zeros()).div_ceil(7).max(1) as usize
}

fn put_leb128(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// An open bitstream unit, without its size.
#[derive(Clone, Copy)]
struct Unit<'a> {
    /// The flag that a size follows is cleared.
    header: u8,
    extension: Option<u8>,
    body: &'a [u8],
}

impl<'a> Unit<'a> {
    /// The first unit of `data`, and what follows it; without a size it takes all.
    fn read(data: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&header, mut rest) = data.split_first()?;
        let mut extension = None;
        if header & 0x04 != 0 {
            let (&byte, after) = rest.split_first()?;
            extension = Some(byte);
            rest = after;
        }
        let mut after: &[u8] = &[];
        if header & 0x02 != 0 {
            let (size, length) = leb128(rest)?;
            (rest, after) = rest[length..].split_at_checked(size)?;
        }
        // The forbidden bit stays clear.
        (header & 0x80 == 0).then_some((Unit { header: header & !0x02, extension, body: rest }, after))
    }

    fn kind(&self) -> u8 {
        self.header >> 3 & 0x0f
    }

    fn head_length(&self) -> usize {
        1 + usize::from(self.extension.is_some())
    }

    fn len(&self) -> usize {
        self.head_length() + self.body.len()
    }

    /// Bytes `from..to` of the unit without size.
    fn put_range(&self, from: usize, to: usize, out: &mut BytesMut) {
        let head = [self.header, self.extension.unwrap_or_default()];
        let length = self.head_length();
        out.put_slice(&head[from.min(length)..to.min(length)]);
        out.put_slice(&self.body[from.max(length) - length..to.max(length) - length]);
    }

    fn put_sized(&self, out: &mut BytesMut) {
        out.put_u8(self.header | 0x02);
        out.extend(self.extension);
        put_leb128(out, self.body.len());
        out.put_slice(self.body);
    }

    /// Neither has a place in RTP (section 5).
    fn travels(&self) -> bool {
        !matches!(self.kind(), TEMPORAL_DELIMITER | TILE_LIST)
    }
}

/// The units of a temporal unit; `None` stands for what is no unit.
fn units(mut data: &[u8]) -> impl Iterator<Item = Option<Unit<'_>>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let read = Unit::read(data);
        data = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(unit, _)| unit))
    })
}

/// A sequence header comes before a first frame that is a key frame and is shown: a new coded video sequence (specification, 7.5).
pub(super) fn is_key(data: &[u8]) -> bool {
    let mut reduced = None;
    for unit in units(data).map_while(|unit| unit) {
        match unit.kind() {
            SEQUENCE_HEADER => reduced = unit.body.first().map(|byte| byte & 0x08 != 0),
            FRAME_HEADER | FRAME => {
                let Some(reduced) = reduced else { return false };
                // show_existing_frame, frame_type, show_frame
                return reduced || Bits::new(unit.body).take(4).is_some_and(|bits| bits & 0b1111 == 0b0001);
            }
            _ => {}
        }
    }
    false
}

/// The first packet of a coded video sequence: its first element continues none (Z), and N says so or it is a sequence header.
fn begins_sequence(payload: &[u8]) -> bool {
    let Some((header, rest)) = payload.split_first() else { return false };
    // Of a single element, no size stands before it.
    let size = if header >> 4 & 3 == 1 { 0 } else { leb128(rest).map_or(0, |(_, length)| length) };
    let is_header = rest.get(size).is_some_and(|unit| unit >> 3 & 0x0f == SEQUENCE_HEADER);
    header & 0x80 == 0 && (header & 0x08 != 0 || is_header)
}

#[derive(Default)]
enum Unity {
    /// What comes next begins a temporal unit, for the one before came to its end.
    Settled,
    Open(u32),
    /// Something of the temporal unit of this moment is missing.
    Broken(u32),
    /// Packets are missing: only a new coded video sequence is known to begin here.
    #[default]
    Lost,
}

#[derive(Default)]
pub(super) struct Reader {
    unity: Unity,
    data: BytesMut,
    /// The begin of a unit that goes on in the next packet.
    fragment: Option<BytesMut>,
}

impl Reader {
    fn spoil(&mut self, unity: Unity) {
        self.unity = unity;
        self.data = BytesMut::new();
        self.fragment = None;
    }

    fn keep(&mut self, unit: &[u8]) -> Option<()> {
        let (unit, rest) = Unit::read(unit)?;
        // A size that leaves something over lies.
        if !rest.is_empty() {
            return None;
        }
        if unit.travels() {
            unit.put_sized(&mut self.data);
        }
        Some(())
    }

    /// One element; `goes_on` in the next packet, or `continues` from the one before.
    fn take_element(&mut self, element: &[u8], continues: bool, goes_on: bool) -> Option<()> {
        let pending = self.fragment.as_ref().map_or(0, BytesMut::len);
        // 8 for a size of its own
        if self.data.len() + pending + element.len() + 8 > MAX_FRAME || continues != self.fragment.is_some() {
            return None;
        }
        let mut unit = match self.fragment.take() {
            Some(fragment) => fragment,
            None if !goes_on && element.is_empty() => return Some(()),
            None if !goes_on => return self.keep(element),
            None => BytesMut::new(),
        };
        unit.extend_from_slice(element);
        if goes_on {
            self.fragment = Some(unit);
            return Some(());
        }
        self.keep(&unit)
    }

    fn take_elements(&mut self, payload: &[u8]) -> Option<()> {
        let (&header, mut rest) = payload.split_first()?;
        let (continues, goes_on, count) = (header & 0x80 != 0, header & 0x40 != 0, usize::from(header >> 4 & 3));
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let element;
            if number == count {
                (element, rest) = (rest, &[]);
            } else {
                let (size, length) = leb128(rest)?;
                (element, rest) = rest[length..].split_at_checked(size)?;
            }
            self.take_element(element, continues && number == 1, goes_on && rest.is_empty())?;
        }
        (number > 0 && (count == 0 || number == count)).then_some(())
    }
}

impl Read for Reader {
    fn give_up(&mut self) {
        self.spoil(Unity::Lost);
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let mut loss = Loss::Nothing;
        let begins = begins_sequence(piece.payload);
        match self.unity {
            Unity::Open(timestamp) if timestamp == piece.timestamp => {}
            Unity::Broken(timestamp) if timestamp == piece.timestamp && !begins => {
                if piece.marker {
                    self.unity = Unity::Settled;
                }
                return Some(Loss::Nothing);
            }
            Unity::Lost if !begins => {
                let broken = if piece.marker { Unity::Settled } else { Unity::Broken(piece.timestamp) };
                self.spoil(broken);
                return Some(Loss::Something);
            }
            Unity::Settled | Unity::Lost | Unity::Broken(_) => self.unity = Unity::Open(piece.timestamp),
            Unity::Open(_) => {
                self.spoil(Unity::Open(piece.timestamp));
                loss = Loss::Something;
            }
        }
        if self.take_elements(piece.payload).is_none() || (piece.marker && self.fragment.is_some()) {
            let broken = if piece.marker { Unity::Settled } else { Unity::Broken(piece.timestamp) };
            self.spoil(broken);
            return Some(Loss::Something);
        }
        if piece.marker {
            self.unity = Unity::Settled;
            let data = self.data.split().freeze();
            if !data.is_empty() {
                let key = is_key(&data);
                out.push(Frame { data, timestamp: piece.timestamp, key });
            }
        }
        Some(loss)
    }
}

pub(super) struct Writer;

/// At most so many elements go into one packet: their number then says that the last has no size.
const MAX_ELEMENTS: usize = 3;

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        let units: Option<Vec<Unit<'_>>> = units(frame).filter(|unit| unit.is_none_or(|unit| unit.travels())).collect();
        let units = units.filter(|units| !units.is_empty()).ok_or(Unsendable::Malformed)?;
        let room = sane(room) - 1;
        let first = out.len();
        // Which unit, and from which of its bytes on.
        let (mut unit, mut from) = (0, 0);
        while unit < units.len() {
            let continues = from > 0;
            let mut elements: Vec<(usize, usize, usize)> = Vec::with_capacity(MAX_ELEMENTS);
            let mut left = room;
            while unit < units.len() && elements.len() < MAX_ELEMENTS {
                // The element before is no longer the last, so that its size is to be said.
                let size = elements.last().map_or(0, |(_, from, to)| leb128_length(to - from));
                if left < size + 2 {
                    break;
                }
                left -= size;
                let to = units[unit].len().min(from + left);
                left -= to - from;
                elements.push((unit, from, to));
                (unit, from) = if to == units[unit].len() { (unit + 1, 0) } else { (unit, to) };
            }
            let mut payload = BytesMut::with_capacity(1 + room - left);
            let goes_on = from > 0;
            payload.put_u8(u8::from(continues) << 7 | u8::from(goes_on) << 6 | (elements.len() as u8) << 4);
            for (number, (unit, from, to)) in elements.iter().enumerate() {
                if number + 1 < elements.len() {
                    put_leb128(&mut payload, to - from);
                }
                units[*unit].put_range(*from, *to, &mut payload);
            }
            out.push(Part { payload: payload.freeze(), marker: unit == units.len(), ahead: 0 });
        }
        if is_key(frame)
            && let Some(part) = out.get_mut(first)
        {
            let mut payload = BytesMut::from(&part.payload[..]);
            payload[0] |= 0x08;
            part.payload = payload.freeze();
        }
        Ok(())
    }
}
