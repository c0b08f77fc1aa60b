//! H.264 in RTP (RFC 6184), packetization modes 0 and 1: single NAL units, STAP-A, FU-A. Interleaving (mode 2) is refused.

use super::bits::Bits;
use super::nal::{self, AccessUnits, Packing, Unit};
use super::{Part, Payload, Unsendable, format, sane};
use bytes::Bytes;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Table 7-1 of H.264.
pub(super) fn judge(unit: &[u8]) -> Unit {
    let Some(header) = unit.first() else { return Unit::Nothing };
    // A slice begins a picture if its first macroblock is number 0, which is a single 1 in Exp-Golomb.
    let first = unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
    match header & 0x1f {
        1 | 2 => Unit::Slice { first, key: false },
        5 => Unit::Slice { first, key: true },
        7 => Unit::Set { kind: 0, id: Bits::new(unit.get(4..).unwrap_or_default()).golomb().unwrap_or_default() },
        8 => Unit::Set { kind: 1, id: Bits::new(&unit[1..]).golomb().unwrap_or_default() },
        9 => Unit::Delimiter,
        // Filler data; what only a payload format has.
        12 | 0 | 24.. => Unit::Nothing,
        _ => Unit::Other,
    }
}

/// Whether NAL units may be split and put together (mode 1), or stand alone (mode 0, which is meant where none is named);
/// `None` for others.
fn splits(format: Option<&str>) -> Option<bool> {
    match format::parameter(format, "packetization-mode") {
        None | Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) => None,
    }
}

pub(super) fn reader(format: Option<&str>) -> Option<AccessUnits> {
    splits(format)?;
    Some(AccessUnits::new(judge, unpack, 2, format::sets(format, "sprop-parameter-sets")))
}

fn unpack(units: &mut AccessUnits, payload: &[u8]) -> Option<()> {
    let header = payload.first()?;
    match header & 0x1f {
        1..=23 => units.add(payload),
        STAP_A => units.add_all(&payload[1..]),
        FU_A => {
            let fragment = payload.get(1)?;
            let header = header & 0xe0 | fragment & 0x1f;
            units.add_fragment(&[header], &payload[2..], fragment & 0x80 != 0, fragment & 0x40 != 0)
        }
        _ => None,
    }
}

struct Format;

impl Packing for Format {
    const HEADER: usize = 1;

    fn aggregate(units: &[&[u8]]) -> Vec<u8> {
        let forbidden = units.iter().fold(0, |bit, unit| bit | unit[0] & 0x80);
        let importance = units.iter().map(|unit| unit[0] & 0x60).max().unwrap_or_default();
        vec![forbidden | importance | STAP_A]
    }

    fn fragment(unit: &[u8]) -> Vec<u8> {
        vec![unit[0] & 0xe0 | FU_A, unit[0] & 0x1f]
    }
}

/// In mode 0 a NAL unit cannot be split: the encoder has to keep its slices short.
pub(super) struct Writer {
    splits: bool,
}

impl Writer {
    pub(super) fn new(format: Option<&str>) -> Option<Self> {
        splits(format).map(|splits| Writer { splits })
    }
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        let units = nal::travelling(frame, judge)?;
        if self.splits {
            nal::pack::<Format>(frame, &units, room, out);
            return Ok(());
        }
        if let Some(long) = units.iter().find(|unit| unit.len() > sane(room)) {
            return Err(Unsendable::TooBig(long.len()));
        }
        let last = units.len() - 1;
        let single =
            |(number, unit): (usize, &&[u8])| Part { payload: frame.slice_ref(unit), marker: number == last, ahead: 0 };
        out.extend(units.iter().enumerate().map(single));
        Ok(())
    }
}
