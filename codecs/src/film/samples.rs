//! How many samples an MP4 or QuickTime file claims to have. FFmpeg allocates for each before it has seen any, so that two
//! kilobytes could ask for gigabytes.

use super::FilmError;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Boxes of a file that are looked at, at most.
const MOST_BOXES: u32 = 4_000_000;

/// Samples of sound a byte, at most, where all are said to have the same size: QuickTime counts what is heard, not what is stored, and
/// its codings make up to six of a byte (MACE 6:1; GSM, ADPCM).
const DENSEST: u64 = 8;

/// Whether it can be a whole of samples of a byte each at least; other formats always can. Leaves the source at its beginning.
pub(super) fn are_plausible(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = source.seek(SeekFrom::End(0))?;
    are_at_most(source, length)
}

/// Whether what there is of it claims no more samples than that.
pub(super) fn are_at_most(source: &mut (impl Read + Seek), most: u64) -> io::Result<bool> {
    let length = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut walk = Walk { source: BufReader::with_capacity(4096, &mut *source), at: 0, samples: 0, boxes: 0 };
    let known = walk.begins_like_mp4()?;
    let plausible = !known || walk.pass(length, 0)? && walk.samples <= most;
    source.seek(SeekFrom::Start(0))?;
    Ok(plausible)
}

pub(super) fn too_many() -> FilmError {
    FilmError::Unsupported("a file that claims more than it can hold".to_owned())
}

struct Walk<R> {
    source: BufReader<R>,
    at: u64,
    samples: u64,
    boxes: u32,
}

impl<R: Read + Seek> Walk<R> {
    fn begins_like_mp4(&mut self) -> io::Result<bool> {
        let kind = self.read::<8>()?.map(|head| [head[4], head[5], head[6], head[7]]);
        self.go_to(0)?;
        let firsts =
            [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp", b"moof", b"pnot", b"sidx", b"uuid"];
        Ok(kind.is_some_and(|kind| firsts.contains(&&kind)))
    }

    /// Goes through the boxes up to `end` (ISO/IEC 14496-12, section 4.2); false if they hide what counts.
    fn pass(&mut self, end: u64, depth: u32) -> io::Result<bool> {
        while self.at + 8 <= end {
            self.boxes += 1;
            let begin = self.at;
            let Some(head) = self.read::<8>()? else { return Ok(true) };
            let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
                0 => end - begin,
                1 => match self.read::<8>()? {
                    Some(size) => u64::from_be_bytes(size),
                    None => return Ok(true),
                },
                size => u64::from(size),
            };
            // What is broken there, FFmpeg sees as well.
            let after = begin.saturating_add(size).min(end).max(self.at);
            let seen = match &head[4..] {
                // Compressed: what it claims is not to be seen.
                b"cmov" => false,
                b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"moof" | b"traf" => {
                    depth < 8 && self.pass(after, depth + 1)?
                }
                // Version and flags, size of all; then the number of samples.
                b"stsz" => self.count(2, DENSEST)?,
                b"stz2" => self.count(2, 1)?,
                b"trun" => self.count(1, 1)?,
                _ => true,
            };
            if !seen || self.boxes > MOST_BOXES {
                return Ok(false);
            }
            self.go_to(after)?;
        }
        Ok(true)
    }

    /// Adds the number that stands behind so many others. If the last of those is not zero, so many samples may share a byte.
    fn count(&mut self, words: u32, to_a_byte: u64) -> io::Result<bool> {
        let mut same_size = false;
        for _ in 0..words {
            same_size = self.read::<4>()?.is_some_and(|word| word != [0; 4]);
        }
        let samples = self.read::<4>()?.map_or(0, |word| u64::from(u32::from_be_bytes(word)));
        self.samples += if same_size { samples.div_ceil(to_a_byte) } else { samples };
        Ok(true)
    }

    fn read<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => {
                self.at += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn go_to(&mut self, to: u64) -> io::Result<()> {
        self.source.seek_relative(to as i64 - self.at as i64)?;
        self.at = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat()
    }

    fn file(samples: u32, table: &[u8; 4]) -> Vec<u8> {
        with_head(samples, table, if table == b"stsz" { &[0; 8] } else { &[0; 4] })
    }

    fn with_head(samples: u32, table: &[u8; 4], head: &[u8]) -> Vec<u8> {
        let body = boxed(table, &[head, &samples.to_be_bytes()].concat());
        let path: &[&[u8; 4]] =
            if table == b"stsz" { &[b"stbl", b"minf", b"mdia", b"trak", b"moov"] } else { &[b"traf", b"moof"] };
        let nested = path.iter().fold(body, |body, kind| boxed(kind, &body));
        [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 1000]), nested].concat()
    }

    #[test]
    fn more_samples_than_bytes_are_not_believed() {
        for table in [b"stsz", b"trun"] {
            for (samples, plausible) in [(0, true), (900, true), (2000, false), (u32::MAX, false)] {
                let mut source = Cursor::new(file(samples, table));
                assert_eq!(are_plausible(&mut source).unwrap(), plausible, "{samples}");
                assert_eq!(source.position(), 0);
            }
        }
    }

    #[test]
    fn sound_has_several_samples_in_a_byte() {
        for (samples, plausible) in [(8000, true), (10_000, false), (u32::MAX, false)] {
            let mut source = Cursor::new(with_head(samples, b"stsz", &[0, 0, 0, 0, 0, 0, 0, 1]));
            assert_eq!(are_plausible(&mut source).unwrap(), plausible, "{samples}");
        }
    }

    #[test]
    fn what_is_broken_or_something_else_is_left_to_others() {
        let whole = file(2000, b"stsz");
        for cut in 0..whole.len() - 4 {
            assert!(are_plausible(&mut Cursor::new(&whole[..cut])).unwrap(), "{cut}");
        }
        assert!(are_plausible(&mut Cursor::new(b"RIFF and so on, not boxes")).unwrap());
        let deep = (0..50).fold(Vec::new(), |body, _| boxed(b"moov", &body));
        assert!(!are_plausible(&mut Cursor::new(deep)).unwrap());
        assert!(!are_plausible(&mut Cursor::new(boxed(b"moov", &boxed(b"cmov", &[])))).unwrap());
    }
}
