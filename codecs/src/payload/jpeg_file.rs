//! JPEG files as far as RTP tells of them: baseline, three components, Huffman's tables from the standard's annex K.
//! Enters: a file. Leaves: what RFC 2435 has fields for; and the other way.

use bytes::{BufMut, BytesMut};

/// How often a sample of colour stands for one of brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chroma {
    /// 4:2:2
    Half,
    /// 4:2:0
    Quarter,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture<'a> {
    /// Pixels.
    pub(super) width: u16,
    /// Pixels.
    pub(super) height: u16,
    pub(super) chroma: Chroma,
    /// For brightness and colour, in zigzag order.
    pub(super) tables: [[u8; 64]; 2],
    /// Blocks from one restart marker to the next (MCUs); 0 for none.
    pub(super) restart: u16,
    /// The coded blocks, without the file's end.
    pub(super) scan: &'a [u8],
}

/// Counts of codes of each length, and the values: tables K.3 to K.6 of ITU-T T.81.
struct Huffman {
    /// Class and destination.
    id: u8,
    counts: [u8; 16],
    values: &'static [u8],
}

const HUFFMAN: [Huffman; 4] = [
    Huffman {
        id: 0x00,
        counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        values: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    },
    Huffman {
        id: 0x10,
        counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
        values: &[
            0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
            0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
            0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
            0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
            0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
            0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
            0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
            0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
            0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
        ],
    },
    Huffman {
        id: 0x01,
        counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        values: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    },
    Huffman {
        id: 0x11,
        counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        values: &[
            0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
            0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
            0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
            0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
            0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
            0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
            0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
            0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
            0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
        ],
    },
];

/// Tables K.1 and K.2 of ITU-T T.81 in zigzag order, from which Q of 1 to 99 is reckoned (RFC 2435, 4.2).
const QUANTISATION: [[u8; 64]; 2] = [
    [
        16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51,
        61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77,
        113, 121, 112, 100, 120, 92, 101, 103, 99,
    ],
    [
        17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The tables of a Q from 1 to 99 (RFC 2435, 4.2).
pub(super) fn standard_tables(q: u8) -> [[u8; 64]; 2] {
    let q = u32::from(q.clamp(1, 99));
    let scale = if q < 50 { 5000 / q } else { 200 - q * 2 };
    QUANTISATION.map(|table| table.map(|value| ((u32::from(value) * scale + 50) / 100).clamp(1, 255) as u8))
}

impl Picture<'_> {
    pub(super) fn write(&self) -> BytesMut {
        let mut file = BytesMut::with_capacity(self.scan.len() + 640);
        file.put_slice(&[0xff, 0xd8, 0xff, 0xdb, 0, 132]);
        for (id, table) in (0u8..).zip(&self.tables) {
            file.put_u8(id);
            file.put_slice(table);
        }
        file.put_slice(&[0xff, 0xc0, 0, 17, 8]);
        file.put_u16(self.height);
        file.put_u16(self.width);
        let sampling = if self.chroma == Chroma::Half { 0x21 } else { 0x22 };
        file.put_slice(&[3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1]);
        for table in &HUFFMAN {
            file.put_slice(&[0xff, 0xc4]);
            file.put_u16(19 + table.values.len() as u16);
            file.put_u8(table.id);
            file.put_slice(&table.counts);
            file.put_slice(table.values);
        }
        if self.restart > 0 {
            file.put_slice(&[0xff, 0xdd, 0, 4]);
            file.put_u16(self.restart);
        }
        file.put_slice(&[0xff, 0xda, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        file.put_slice(self.scan);
        if !self.scan.ends_with(&[0xff, 0xd9]) {
            file.put_slice(&[0xff, 0xd9]);
        }
        file
    }
}

/// Why a file cannot go over RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Malformed,
    Unsupported(&'static str),
}

/// What the segments before the scan told.
#[derive(Default)]
struct Segments {
    quantisation: [Option<[u8; 64]>; 4],
    size: Option<(u16, u16, Chroma)>,
    /// Which table each of the three components uses.
    uses: [u8; 3],
    restart: u16,
}

/// # Errors
/// It is no JPEG file, or not of the kind that RFC 2435 has words for.
pub(super) fn parse(file: &[u8]) -> Result<Picture<'_>, Unfit> {
    let mut rest = file.strip_prefix(&[0xff, 0xd8]).ok_or(Unfit::Malformed)?;
    let mut segments = Segments::default();
    loop {
        let (&[fill, marker], after) = rest.split_first_chunk().ok_or(Unfit::Malformed)?;
        if fill != 0xff {
            return Err(Unfit::Malformed);
        }
        if marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let (length, _) = after.split_first_chunk().ok_or(Unfit::Malformed)?;
        let (segment, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(Unfit::Malformed)?;
        let body = segment.get(2..).ok_or(Unfit::Malformed)?;
        rest = after;
        match marker {
            0xdb => segments.read_quantisation(body)?,
            0xc0 => segments.read_frame(body)?,
            0xc4 => check_huffman(body)?,
            0xdd => segments.restart = u16::from_be_bytes(*body.first_chunk().ok_or(Unfit::Malformed)?),
            0xda => return segments.picture(rest),
            0xc1..=0xcf => return Err(Unfit::Unsupported("JPEG that is not baseline")),
            _ => {}
        }
    }
}

impl Segments {
    fn read_quantisation(&mut self, mut body: &[u8]) -> Result<(), Unfit> {
        while let Some((id, after)) = body.split_first() {
            if id >> 4 != 0 {
                return Err(Unfit::Unsupported("quantisation tables of 16 bits"));
            }
            let (table, after) = after.split_first_chunk().ok_or(Unfit::Malformed)?;
            *self.quantisation.get_mut(usize::from(*id)).ok_or(Unfit::Malformed)? = Some(*table);
            body = after;
        }
        Ok(())
    }

    fn read_frame(&mut self, body: &[u8]) -> Result<(), Unfit> {
        let [precision, h1, h0, w1, w0, 3, _, first, t0, _, 0x11, t1, _, 0x11, t2] = *body else {
            return Err(Unfit::Unsupported("components other than in 4:2:0 or 4:2:2"));
        };
        let chroma = match first {
            0x21 => Chroma::Half,
            0x22 => Chroma::Quarter,
            _ => return Err(Unfit::Unsupported("components other than in 4:2:0 or 4:2:2")),
        };
        if precision != 8 || t1 != t2 {
            return Err(Unfit::Unsupported("samples of more than 8 bits, or colours of different quantisation"));
        }
        self.size = Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]), chroma));
        self.uses = [t0, t1, t2];
        Ok(())
    }

    fn picture<'a>(&self, scan: &'a [u8]) -> Result<Picture<'a>, Unfit> {
        let (width, height, chroma) = self.size.ok_or(Unfit::Malformed)?;
        let table = |component: usize| self.quantisation.get(usize::from(self.uses[component])).copied().flatten();
        let (Some(luma), Some(colour)) = (table(0), table(1)) else { return Err(Unfit::Malformed) };
        let end = scan.windows(2).rposition(|pair| pair == [0xff, 0xd9]).unwrap_or(scan.len());
        let scan = &scan[..end];
        if scan.is_empty() {
            return Err(Unfit::Malformed);
        }
        Ok(Picture { width, height, chroma, tables: [luma, colour], restart: self.restart, scan })
    }
}

/// A receiver of RTP has the tables of annex K and no others.
fn check_huffman(mut body: &[u8]) -> Result<(), Unfit> {
    while let Some((id, after)) = body.split_first() {
        let (counts, after) = after.split_first_chunk::<16>().ok_or(Unfit::Malformed)?;
        let length = counts.iter().map(|count| usize::from(*count)).sum();
        let (values, after) = after.split_at_checked(length).ok_or(Unfit::Malformed)?;
        if !HUFFMAN.iter().any(|table| table.id == *id && table.counts == *counts && table.values == values) {
            return Err(Unfit::Unsupported("Huffman tables of its own"));
        }
        body = after;
    }
    Ok(())
}
