//! H.265 in RTP (RFC 7798): single NAL units, aggregation packets, fragmentation units, PACI. Units that are sent out of their
//! decoding order (`sprop-max-don-diff`) are refused.

use super::bits::Bits;
use super::nal::{self, AccessUnits, Packing, Unit};
use super::{Part, Payload, Unsendable, format};
use bytes::Bytes;

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const PACI: u8 = 50;

fn kind(unit: &[u8]) -> Option<u8> {
    (unit.len() >= 2).then(|| unit[0] >> 1 & 0x3f)
}

/// Table 7-1 of H.265.
pub(super) fn judge(unit: &[u8]) -> Unit {
    let first = unit.get(2).is_some_and(|byte| byte & 0x80 != 0);
    match kind(unit) {
        // Filler data; what only a payload format has.
        None | Some(38 | 48..) => Unit::Nothing,
        Some(kind @ 0..=31) => Unit::Slice { first, key: matches!(kind, 16..=23) },
        Some(32) => Unit::Set { kind: 0, id: u32::from(unit.get(2).map_or(0, |byte| byte >> 4)) },
        Some(33) => Unit::Set { kind: 1, id: sequence_set(unit).unwrap_or_default() },
        Some(34) => Unit::Set { kind: 2, id: Bits::new(&unit[2..]).golomb().unwrap_or_default() },
        Some(35) => Unit::Delimiter,
        Some(_) => Unit::Other,
    }
}

/// The number of a sequence parameter set stands behind profile, tier and level (7.3.2.2, 7.3.3).
fn sequence_set(unit: &[u8]) -> Option<u32> {
    let plain = nal::unescape(unit, 128);
    let mut bits = Bits::new(plain.get(2..)?);
    bits.skip(4)?;
    let layers = bits.take(3)? as usize;
    bits.skip(1 + 88 + 8)?;
    let mut flags = Vec::new();
    for _ in 0..layers {
        flags.push((bits.flag()?, bits.flag()?));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers))?;
    }
    for (profile, level) in flags {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    bits.golomb()
}

pub(super) fn reader(format: Option<&str>) -> Option<AccessUnits> {
    if format::number(format, "sprop-max-don-diff").is_some_and(|difference| difference > 0) {
        return None;
    }
    let sets = ["sprop-vps", "sprop-sps", "sprop-pps"].into_iter().flat_map(|name| format::sets(format, name));
    Some(AccessUnits::new(judge, unpack, 3, sets.collect()))
}

fn unpack(units: &mut AccessUnits, payload: &[u8]) -> Option<()> {
    match kind(payload)? {
        AGGREGATION => units.add_all(&payload[2..]),
        FRAGMENTATION => {
            let fragment = payload.get(2)?;
            let header = [payload[0] & 0x81 | (fragment & 0x3f) << 1, payload[1]];
            units.add_fragment(&header, &payload[3..], fragment & 0x80 != 0, fragment & 0x40 != 0)
        }
        PACI => {
            // The header of what is inside (4.4.4), with an extension that no decoder needs.
            let fields = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
            let inner = payload.get(4 + usize::from(fields >> 4 & 0x1f)..)?;
            let kind = (fields >> 9 & 0x3f) as u8;
            let header = [(fields >> 8 & 0x80) as u8 | kind << 1 | payload[0] & 1, payload[1]];
            // One within another is forbidden.
            if kind == PACI { None } else { unpack(units, &[&header, inner].concat()) }
        }
        51.. => None,
        _ => units.add(payload),
    }
}

struct Format;

impl Packing for Format {
    const HEADER: usize = 2;

    /// The lowest layer and temporal number of all (4.4.2).
    fn aggregate(units: &[&[u8]]) -> Vec<u8> {
        let forbidden = units.iter().fold(0, |bit, unit| bit | unit[0] & 0x80);
        let layer = |unit: &&[u8]| (u16::from(unit[0] & 1) << 8 | u16::from(unit[1])) >> 3;
        let layer = units.iter().map(layer).min().unwrap_or_default();
        let temporal = units.iter().map(|unit| unit[1] & 7).min().unwrap_or_default();
        vec![forbidden | AGGREGATION << 1 | (layer >> 5) as u8, (layer << 3) as u8 | temporal]
    }

    fn fragment(unit: &[u8]) -> Vec<u8> {
        vec![unit[0] & 0x81 | FRAGMENTATION << 1, unit[1], unit[0] >> 1 & 0x3f]
    }
}

pub(super) struct Writer;

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        nal::pack::<Format>(frame, &nal::travelling(frame, judge)?, room, out);
        Ok(())
    }
}
