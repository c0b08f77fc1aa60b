//! What H.264 and H.265 have in common: NAL units in byte-stream format (annex B of both), parameter sets, access units put
//! together from NAL units, and NAL units spread over packets. It knows neither syntax: a judge tells what a unit is.

use super::assembly::Read;
use super::{Frame, Loss, MAX_FRAME, Part, Piece, Unsendable, sane};
use bytes::{BufMut, Bytes, BytesMut};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// No stream needs more parameter sets at once, nor longer ones; bytes.
const MAX_SETS: usize = 64;
const MAX_SET: usize = 4096;

/// What a NAL unit is to an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A parameter set: 0 the most general kind; its number among those of its kind.
    Set {
        kind: u8,
        id: u32,
    },
    /// A slice of a picture: `first` begins the picture, `key` is of a picture where a decoder can start.
    Slice {
        first: bool,
        key: bool,
    },
    /// It stands before all others.
    Delimiter,
    Other,
    /// Not to be passed on.
    Nothing,
}

/// The NAL units of a byte stream.
pub(crate) fn units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(data).map(|(_, after)| &data[after..]);
    std::iter::from_fn(move || {
        let data = rest?;
        let code = start_code(data);
        rest = code.map(|(_, after)| &data[after..]);
        let unit = &data[..code.map_or(data.len(), |(at, _)| at)];
        // Zeros after a unit belong to the byte stream.
        let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..end])
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the next start code is, and what comes after it.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at + 2 < data.len() {
        match data[at + 2] {
            0 => at += 1,
            1 if data[at] == 0 && data[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 3,
        }
    }
    None
}

/// The first bytes of a unit as they were before the encoder kept start codes out of them.
pub(super) fn unescape(unit: &[u8], length: usize) -> Vec<u8> {
    let mut plain = Vec::with_capacity(length.min(unit.len()));
    let mut zeros = 0;
    for byte in unit {
        if plain.len() == length {
            break;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unity {
    /// The access unit of this moment is in progress.
    Open(u32),
    /// Something of the access unit of this moment is missing.
    Broken(u32),
    /// Between two access units.
    Between,
}

/// The access unit in progress, and the parameter sets that are known.
pub(super) struct AccessUnits {
    judge: fn(&[u8]) -> Unit,
    unpack: fn(&mut AccessUnits, &[u8]) -> Option<()>,
    /// Of each kind of parameter set, one bit.
    kinds: u8,
    sets: Vec<(u8, u32, Bytes)>,
    /// Parameter sets came within the stream.
    in_band: bool,
    unity: Unity,
    /// Packets are missing before it.
    after_gap: bool,
    data: BytesMut,
    /// A unit that goes on in the next packet begins here.
    fragment: Option<usize>,
    /// The end of the delimiter with which it begins.
    delimiter: usize,
    has_slice: bool,
    key: bool,
    found: u8,
}

impl AccessUnits {
    /// `unpack` adds what a payload holds, or says that it cannot be read. `kinds` of parameter sets does a key frame need; `sets` are
    /// known from the description.
    pub(super) fn new(
        judge: fn(&[u8]) -> Unit,
        unpack: fn(&mut AccessUnits, &[u8]) -> Option<()>,
        kinds: u8,
        sets: Vec<Bytes>,
    ) -> Self {
        let mut units = AccessUnits {
            judge,
            unpack,
            kinds: (1 << kinds) - 1,
            sets: Vec::new(),
            in_band: false,
            unity: Unity::Between,
            after_gap: true,
            data: BytesMut::new(),
            fragment: None,
            delimiter: 0,
            has_slice: false,
            key: false,
            found: 0,
        };
        for set in sets {
            if let Unit::Set { kind, id } = judge(&set) {
                units.remember(kind, id, &set);
            }
        }
        units
    }

    fn open(&mut self, timestamp: u32) {
        self.unity = Unity::Open(timestamp);
        self.data.clear();
        self.fragment = None;
        (self.delimiter, self.found, self.has_slice, self.key) = (0, 0, false, false);
    }

    fn break_off(&mut self, timestamp: u32) {
        self.unity = Unity::Broken(timestamp);
        self.data = BytesMut::new();
        self.fragment = None;
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        // Room for the parameter sets, which may have to come before.
        (self.data.len() + bytes.len() <= MAX_FRAME - MAX_SETS * MAX_SET).then(|| self.data.put_slice(bytes))
    }

    /// Whole units, each behind its length in 16 bits.
    pub(super) fn add_all(&mut self, mut rest: &[u8]) -> Option<()> {
        while let Some((length, after)) = rest.split_first_chunk() {
            let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            self.add(unit)?;
            rest = after;
        }
        rest.is_empty().then_some(())
    }

    /// A whole unit.
    pub(super) fn add(&mut self, unit: &[u8]) -> Option<()> {
        if self.fragment.is_some() {
            return None;
        }
        let at = self.data.len();
        self.put(&START_CODE)?;
        self.put(unit)?;
        self.note(at)
    }

    /// Part of a unit; its header comes with each.
    pub(super) fn add_fragment(&mut self, header: &[u8], body: &[u8], first: bool, last: bool) -> Option<()> {
        // A unit that is all in one fragment is forbidden, but is whole.
        if first != self.fragment.is_none() {
            return None;
        }
        let at = match self.fragment {
            Some(at) => at,
            None => {
                let at = self.data.len();
                self.put(&START_CODE)?;
                self.put(header)?;
                self.fragment = Some(at);
                at
            }
        };
        self.put(body)?;
        if last {
            self.fragment = None;
            return self.note(at);
        }
        Some(())
    }

    /// What came as one unit is complete; its start code is at `at`. Some senders leave start codes within: then there are several.
    fn note(&mut self, at: usize) -> Option<()> {
        let copy = |unit: &[u8]| Bytes::copy_from_slice(&unit[..unit.len().min(MAX_SET + 1)]);
        let judge = |unit| match (self.judge)(unit) {
            set @ Unit::Set { .. } => (set, copy(unit)),
            other => (other, Bytes::new()),
        };
        let found: Vec<(Unit, Bytes)> = units(&self.data[at..]).map(judge).collect();
        if found.iter().all(|(unit, _)| *unit == Unit::Nothing) {
            self.data.truncate(at);
        } else if let [(Unit::Delimiter, _)] = found[..]
            && at == 0
        {
            self.delimiter = self.data.len();
        }
        for (unit, set) in found {
            match unit {
                Unit::Set { kind, id } => {
                    self.found |= 1 << kind;
                    self.in_band = true;
                    self.remember(kind, id, &set);
                }
                Unit::Slice { first, key } => {
                    if !self.has_slice && !first {
                        return None;
                    }
                    self.has_slice = true;
                    self.key |= key;
                }
                Unit::Delimiter | Unit::Other | Unit::Nothing => {}
            }
        }
        Some(())
    }

    fn remember(&mut self, kind: u8, id: u32, set: &Bytes) {
        if set.len() > MAX_SET {
            return;
        }
        match self.sets.iter().position(|(k, i, _)| (*k, *i) >= (kind, id)) {
            Some(at) if (self.sets[at].0, self.sets[at].1) == (kind, id) => self.sets[at].2 = set.clone(),
            _ if self.sets.len() == MAX_SETS => {}
            Some(at) => self.sets.insert(at, (kind, id, set.clone())),
            None => self.sets.push((kind, id, set.clone())),
        }
    }

    fn finish(&mut self, out: &mut Vec<Frame>) -> Loss {
        let Unity::Open(timestamp) = self.unity else { return Loss::Nothing };
        if self.fragment.is_some() {
            self.break_off(timestamp);
            return Loss::Something;
        }
        self.unity = Unity::Between;
        let after_gap = self.after_gap;
        if !self.has_slice {
            return Loss::Nothing;
        }
        self.after_gap = false;
        let mut data = self.data.split();
        if self.key && self.found != self.kinds {
            // The sets may be what the gap took; older ones would do harm.
            if after_gap && self.in_band || !self.knows_all() {
                return Loss::Something;
            }
            data = self.with_sets(&data);
        }
        out.push(Frame { data: data.freeze(), timestamp, key: self.key });
        Loss::Nothing
    }

    fn knows_all(&self) -> bool {
        self.sets.iter().fold(0, |found, (kind, ..)| found | 1 << kind) == self.kinds
    }

    fn with_sets(&self, data: &[u8]) -> BytesMut {
        let length: usize = self.sets.iter().map(|(.., set)| START_CODE.len() + set.len()).sum();
        let (delimiter, rest) = data.split_at(self.delimiter);
        let mut whole = BytesMut::with_capacity(data.len() + length);
        whole.put_slice(delimiter);
        for (.., set) in &self.sets {
            whole.put_slice(&START_CODE);
            whole.put_slice(set);
        }
        whole.put_slice(rest);
        whole
    }
}

impl Read for AccessUnits {
    fn give_up(&mut self) {
        if let Unity::Open(timestamp) = self.unity {
            self.break_off(timestamp);
        }
        self.after_gap = true;
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let mut loss = Loss::Nothing;
        match self.unity {
            Unity::Open(timestamp) if timestamp == piece.timestamp => {}
            Unity::Broken(timestamp) if timestamp == piece.timestamp => return Some(Loss::Nothing),
            // The sender sets no marker, or sets it only now and then.
            Unity::Open(_) => {
                loss = self.finish(out);
                self.open(piece.timestamp);
            }
            Unity::Broken(_) | Unity::Between => self.open(piece.timestamp),
        }
        if (self.unpack)(self, piece.payload).is_none() {
            self.break_off(piece.timestamp);
            loss = Loss::Something;
        } else if piece.marker && self.has_slice {
            // Some senders mark their parameter sets as well.
            loss = loss.or(self.finish(out));
        }
        Some(loss)
    }
}

/// The units of a frame that go over RTP; there is no frame without any.
pub(super) fn travelling(frame: &Bytes, judge: fn(&[u8]) -> Unit) -> Result<Vec<&[u8]>, Unsendable> {
    let travels = |unit: &&[u8]| !matches!(judge(unit), Unit::Delimiter | Unit::Nothing);
    let units: Vec<&[u8]> = units(frame).filter(travels).collect();
    if units.is_empty() { Err(Unsendable::Malformed) } else { Ok(units) }
}

/// How a payload format names what it packs together or spreads.
pub(super) trait Packing {
    /// Bytes of a unit's header.
    const HEADER: usize;
    /// The payload header of a packet with several units.
    fn aggregate(units: &[&[u8]]) -> Vec<u8>;
    /// What stands before each part of a unit: payload header, and the fragment's header without start and end bit.
    fn fragment(unit: &[u8]) -> Vec<u8>;
}

/// Small neighbours share a packet, what is too long is spread, the rest goes as it is.
pub(super) fn pack<P: Packing>(frame: &Bytes, units: &[&[u8]], room: usize, out: &mut Vec<Part>) {
    let room = sane(room);
    let mut rest = units;
    while let Some(unit) = rest.first() {
        let mut total = P::HEADER;
        let fits = |unit: &&&[u8]| {
            total += 2 + unit.len();
            total <= room
        };
        let together = rest.iter().take_while(fits).count();
        if together > 1 {
            let mut payload = BytesMut::with_capacity(room);
            payload.put_slice(&P::aggregate(&rest[..together]));
            for unit in &rest[..together] {
                // It is within `room`, but a caller may say usize::MAX.
                payload.put_u16(unit.len() as u16);
                payload.put_slice(unit);
            }
            out.push(Part { payload: payload.freeze(), marker: false, ahead: 0 });
        } else if unit.len() <= room {
            out.push(Part { payload: frame.slice_ref(unit), marker: false, ahead: 0 });
        } else {
            spread::<P>(unit, room, out);
        }
        rest = &rest[together.max(1)..];
    }
    if let Some(part) = out.last_mut() {
        part.marker = true;
    }
}

fn spread<P: Packing>(unit: &[u8], room: usize, out: &mut Vec<Part>) {
    let header = P::fragment(unit);
    let body = &unit[P::HEADER..];
    let size = room - header.len();
    let last = body.len().div_ceil(size) - 1;
    for (number, body) in body.chunks(size).enumerate() {
        let mut payload = BytesMut::with_capacity(header.len() + body.len());
        payload.put_slice(&header);
        payload[header.len() - 1] |= u8::from(number == 0) << 7 | u8::from(number == last) << 6;
        payload.put_slice(body);
        out.push(Part { payload: payload.freeze(), marker: false, ahead: 0 });
    }
}
