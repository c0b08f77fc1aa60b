//! JPEG in RTP (RFC 2435): types 0 and 1, with restart markers too, progressive scan.

use super::assembly::{Assembly, Read};
use super::jpeg_file::{self, Chroma, Picture, Unfit, standard_tables};
use super::{Frame, Loss, Part, Payload, Piece, Unsendable, sane};
use bytes::{BufMut, Bytes, BytesMut};

/// Main header, restart header, table header, two tables, and some of the picture.
pub(super) const MIN_WITH_TABLES: usize = 8 + 4 + 4 + 128 + 32;

/// The main header (3.1) and those that follow it.
struct Header {
    offset: usize,
    kind: u8,
    q: u8,
    width: u16,
    height: u16,
    restart: u16,
    /// Of the first packet, if its Q says that tables follow: none if they are as before.
    tables: Option<Option<[[u8; 64]; 2]>>,
    length: usize,
}

fn header(payload: &[u8]) -> Option<Header> {
    let [specific, o2, o1, o0, kind, q, width, height] = *payload.first_chunk()?;
    let mut rest = &payload[8..];
    let offset = u32::from_be_bytes([0, o2, o1, o0]) as usize;
    // Fields of interlaced pictures, types of the future, and sizes that the header cannot tell are refused.
    if specific != 0
        || !matches!(kind, 0 | 1 | 64 | 65)
        || width == 0
        || height == 0
        || q == 0
        || (100..128).contains(&q)
    {
        return None;
    }
    let mut restart = 0;
    if kind >= 64 {
        restart = u16::from_be_bytes(*rest.first_chunk()?);
        rest = rest.get(4..)?;
    }
    let mut tables = None;
    if q >= 128 && offset == 0 {
        let [_, precision, l1, l0] = *rest.first_chunk()?;
        rest = &rest[4..];
        tables = Some(match u16::from_be_bytes([l1, l0]) {
            // With 255 they come each time.
            0 if q < 255 => None,
            // One for all, as FFmpeg sends them.
            64 if precision & 1 == 0 => {
                let (both, after) = rest.split_first_chunk()?;
                rest = after;
                Some([*both, *both])
            }
            128 if precision & 3 == 0 => {
                let (first, after) = rest.split_first_chunk()?;
                let (second, after) = after.split_first_chunk()?;
                rest = after;
                Some([*first, *second])
            }
            _ => return None,
        });
    }
    let (width, height) = (u16::from(width) * 8, u16::from(height) * 8);
    let length = payload.len() - rest.len();
    (!rest.is_empty()).then_some(Header { offset, kind, q, width, height, restart, tables, length })
}

#[derive(Default)]
pub(super) struct Reader {
    scan: Assembly,
    /// Of the picture in progress.
    first: Option<Header>,
    /// The tables that came last, and their Q.
    tables: Option<(u8, [[u8; 64]; 2])>,
}

impl Reader {
    fn begin(&mut self, header: Header, timestamp: u32) -> Option<()> {
        if let Some(Some(tables)) = header.tables {
            self.tables = Some((header.q, tables));
        }
        if header.q >= 128 && self.tables.is_none_or(|(q, _)| q != header.q) {
            return None;
        }
        self.scan.begin(timestamp);
        self.first = Some(header);
        Some(())
    }

    fn finish(&mut self, out: &mut Vec<Frame>) {
        let (Some((scan, timestamp)), Some(first)) = (self.scan.take(), &self.first) else { return };
        let tables = match self.tables {
            Some((_, tables)) if first.q >= 128 => tables,
            _ => standard_tables(first.q),
        };
        let chroma = if first.kind & 1 == 0 { Chroma::Half } else { Chroma::Quarter };
        let (width, height, restart) = (first.width, first.height, first.restart);
        let picture = Picture { width, height, chroma, tables, restart, scan: &scan };
        out.push(Frame { data: picture.write().freeze(), timestamp, key: true });
    }
}

impl Read for Reader {
    fn give_up(&mut self) {
        self.scan.drop_frame();
    }

    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss> {
        let header = header(piece.payload)?;
        let (offset, body) = (header.offset, &piece.payload[header.length..]);
        let unfinished = offset == 0 && self.scan.drop_frame();
        if offset == 0 {
            self.begin(header, piece.timestamp)?;
        }
        let fits = self.scan.is_at(piece.timestamp) && offset == self.scan.data().len() && self.scan.append(body);
        if fits && piece.marker {
            self.finish(out);
        }
        fits.then_some(Loss::when(unfinished))
    }
}

pub(super) struct Writer;

/// The Q that stands for these tables, if the standard's scale has them; 255 says that they are sent along.
fn quality(tables: &[[u8; 64]; 2]) -> u8 {
    (1..100).find(|q| standard_tables(*q) == *tables).unwrap_or(255)
}

impl Payload for Writer {
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable> {
        let picture = jpeg_file::parse(frame).map_err(|unfit| match unfit {
            Unfit::Malformed => Unsendable::Malformed,
            Unfit::Unsupported(what) => Unsendable::Unsupported(what),
        })?;
        let (width, height) = (picture.width.div_ceil(8), picture.height.div_ceil(8));
        let (1..=255, 1..=255) = (width, height) else {
            return Err(Unsendable::Unsupported("pictures of more than 2040 pixels a side"));
        };
        if picture.scan.len() >= 1 << 24 {
            return Err(Unsendable::TooBig(picture.scan.len()));
        }
        let q = quality(&picture.tables);
        let kind = u8::from(picture.chroma == Chroma::Quarter) + if picture.restart > 0 { 64 } else { 0 };
        let mut offset = 0;
        while offset < picture.scan.len() {
            let mut payload = BytesMut::new();
            payload.put_u32(offset as u32);
            payload.put_slice(&[kind, q, width as u8, height as u8]);
            if picture.restart > 0 {
                payload.put_u16(picture.restart);
                // The packets do not keep to restart intervals: only the whole picture is to be decoded (3.1.7).
                payload.put_u16(0xffff);
            }
            let mut limit = sane(room);
            if q == 255 && offset == 0 {
                limit = limit.max(MIN_WITH_TABLES);
                payload.put_slice(&[0, 0, 0, 128]);
                payload.put_slice(picture.tables.as_flattened());
            }
            let size = (limit - payload.len()).min(picture.scan.len() - offset);
            payload.put_slice(&picture.scan[offset..offset + size]);
            offset += size;
            out.push(Part { payload: payload.freeze(), marker: offset == picture.scan.len(), ahead: 0 });
        }
        Ok(())
    }
}
