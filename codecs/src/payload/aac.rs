//! AAC in RTP (RFC 3640, modes AAC-hbr and AAC-lbr, and generic with such headers). Interleaved units are undecodable here.

use super::assembly::{Assembly, Read, cut, sound};
use super::bits::Bits;
use super::{Frame, Loss, Part, Payload, Piece, Unsendable, format};
use bytes::Bytes;
use rivero_engine::Caps;

/// How the header of an access unit is laid out, in bits (4.1).
struct Layout {
    size: usize,
    index: usize,
    index_delta: usize,
    cts_delta: usize,
    dts_delta: usize,
    random_access: usize,
    stream_state: usize,
    /// Of the auxiliary section's length.
    auxiliary: usize,
    /// Of one unit, in ticks.
    duration: u32,
}

impl Layout {
    fn new(caps: &Caps) -> Option<Self> {
        let number = |name| format::number(caps.format(), name).unwrap_or_default() as usize;
        let low_rate =
            format::parameter(caps.format(), "mode").is_some_and(|mode| mode.eq_ignore_ascii_case("AAC-lbr"));
        let (size, index) = if low_rate { (6, 2) } else { (13, 3) };
        let or = |name, otherwise| format::number(caps.format(), name).map_or(otherwise, |bits| bits as usize);
        let layout = Layout {
            size: or("sizelength", size),
            index: or("indexlength", index),
            index_delta: or("indexdeltalength", index),
            cts_delta: number("ctsdeltalength"),
            dts_delta: number("dtsdeltalength"),
            random_access: number("randomaccessindication").min(1),
            stream_state: number("streamstateindication"),
            auxiliary: number("auxiliarydatasizelength"),
            duration: format::number(caps.format(), "constantduration").filter(|ticks| *ticks > 0).unwrap_or_else(
                || {
                    // The third bit from the end of AAC-LC's configuration: frames of 960 samples.
                    let short = format::setup(caps).is_some_and(|config| config[0] >> 3 == 2 && config[1] & 4 != 0);
                    if short { 960 } else { 1024 }
                },
            ),
        };
        let lengths = [
            layout.size,
            layout.index,
            layout.index_delta,
            layout.cts_delta,
            layout.dts_delta,
            layout.stream_state,
            layout.auxiliary,
        ];
        (layout.size > 0 && lengths.iter().all(|bits| *bits <= 32)).then_some(layout)
    }

    /// Sizes of the units, and where their data begins.
    fn read(&self, payload: &[u8]) -> Option<(Vec<usize>, usize)> {
        let headers = usize::from(u16::from_be_bytes(*payload.first_chunk()?));
        let mut bits = Bits::new(payload.get(2..2 + headers.div_ceil(8))?);
        let mut sizes = Vec::new();
        while bits.at() < headers {
            sizes.push(bits.take(self.size)? as usize);
            let delta = bits.take(if sizes.len() == 1 { self.index } else { self.index_delta })?;
            // The first may bear a serial number; each other must follow at once.
            if sizes.len() > 1 && delta != 0 {
                return None;
            }
            for length in [self.cts_delta, self.dts_delta] {
                if length > 0 && bits.flag()? {
                    bits.skip(length)?;
                }
            }
            bits.skip(self.random_access + self.stream_state)?;
        }
        let mut data = 2 + headers.div_ceil(8);
        if self.auxiliary > 0 {
            let mut bits = Bits::new(payload.get(data..)?);
            let length = bits.take(self.auxiliary)? as usize;
            data = data.checked_add((self.auxiliary + length).div_ceil(8))?;
        }
        (bits.at() == headers && !sizes.is_empty()).then_some((sizes, data))
    }
}

pub(super) struct Reader {
    layout: Layout,
    /// A unit that is spread over packets, and its size.
    unit: Assembly,
    size: usize,
}

impl Reader {
    pub(super) fn new(caps: &Caps) -> Option<Self> {
        let layout = Layout::new(caps)?;
        Some(Reader { layout, unit: Assembly::default(), size: 0 })
    }

    /// Part of a unit of `size` bytes.
    fn push_fragment(&mut self, body: &[u8], size: usize, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<()> {
        if !self.unit.is_open() {
            self.unit.begin(piece.timestamp);
            self.size = size;
        }
        if !self.unit.is_at(piece.timestamp) || size != self.size || !self.unit.append(body) {
            return None;
        }
        if self.unit.data().len() < size {
            // The marker stands at the last fragment.
            return (!piece.marker).then_some(());
        }
        let (data, _) = self.unit.take().filter(|(data, _)| data.len() == size)?;
        out.push(sound(data, piece, 0));
        Some(())
    }
}

impl Read for Reader {
    /// What goes on in the next packet began in one that is missing: its size betrays it, for it does not fit.
    fn give_up(&mut self) {
        self.unit.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let (sizes, data) = self.layout.read(piece.payload)?;
        let body = piece.payload.get(data..)?;
        if let [size] = sizes[..]
            && (size > body.len() || self.unit.is_open())
        {
            return self.push_fragment(body, size, piece, out).map(|()| Loss::Nothing);
        }
        let mut rest = body;
        for (number, size) in (0u32..).zip(sizes) {
            let (unit, after) = rest.split_at_checked(size)?;
            rest = after;
            if !unit.is_empty() {
                let ahead = self.layout.duration.wrapping_mul(number);
                out.push(sound(piece.payload.slice_ref(unit), piece, ahead));
            }
        }
        // What was spread before this packet never came to its end.
        Some(Loss::when(self.unit.drop_frame()))
    }
}

/// AAC-hbr, one unit a packet, or one over several.
pub(super) struct Writer;

impl Writer {
    /// Only the layout that everybody has is written.
    pub(super) fn new(caps: &Caps) -> Option<Self> {
        let layout = Layout::new(caps)?;
        let extras =
            layout.cts_delta + layout.dts_delta + layout.random_access + layout.stream_state + layout.auxiliary;
        (layout.size == 13 && layout.index == 3 && extras == 0).then_some(Writer)
    }
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        if frame.is_empty() {
            return Err(Unsendable::Malformed);
        }
        if frame.len() >= 1 << 13 {
            return Err(Unsendable::TooBig(frame.len()));
        }
        let [high, low] = ((frame.len() as u16) << 3).to_be_bytes();
        cut(frame, room, out, |_| [0, 16, high, low]);
        Ok(())
    }
}
