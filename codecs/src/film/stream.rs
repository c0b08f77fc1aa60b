//! Media that comes once, from its beginning to its end. Enters: a reader that cannot go back. Leaves: the same, or the whole of
//! it in a temporary file, where the format cannot be read otherwise: an MP4 whose index (`moov`) stands behind the media.

use super::interrupt::Ended;
use super::{FilmError, Interrupt, samples};
use bytes::BytesMut;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What stands before the index or the media of an MP4 is small; more than this is not looked through.
const MOST_HEAD: usize = 256 << 10;
/// An index that is larger is written to the disk with what follows, and then is held to the length of the file.
const MOST_INDEX: usize = 16 << 20;
/// Samples that an index may claim where the length of the film is not known yet: more than half a day.
const MOST_SAMPLES: u64 = 4_000_000;
const PIECE: usize = 64 << 10;

/// Room on the disk for temporary files, shared by all who clone it.
#[derive(Clone)]
pub struct SpoolRoom {
    /// Bytes that are free.
    free: Arc<AtomicU64>,
    /// Bytes that one file may have, and all together.
    most: u64,
    all: u64,
}

impl SpoolRoom {
    /// Both in bytes: of one file, and of all at the same time.
    pub fn new(most: u64, all: u64) -> Self {
        SpoolRoom { free: Arc::new(AtomicU64::new(all)), most, all }
    }

    /// For one file, which has nothing yet.
    pub fn claim(&self) -> Claim {
        Claim { room: self.clone(), length: 0 }
    }

    /// Bytes that are taken by all together.
    pub fn taken(&self) -> u64 {
        self.all - self.free.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }
}

/// What one file has taken of the room; dropping it gives it back.
pub struct Claim {
    room: SpoolRoom,
    length: u64,
}

impl Claim {
    /// By so many bytes.
    ///
    /// # Errors
    /// [`FilmError::Full`]
    pub fn grow(&mut self, more: u64) -> Result<(), FilmError> {
        if self.length + more > self.room.most || !self.room.take(more) {
            return Err(FilmError::Full);
        }
        self.length += more;
        Ok(())
    }

    /// By so many bytes, of those that it has.
    pub fn shrink(&mut self, less: u64) {
        debug_assert!(less <= self.length, "no more can be given back than was taken");
        self.length -= less;
        self.room.free.fetch_add(less, Ordering::Relaxed);
    }
}

/// A file without a name.
pub(super) struct Spool {
    file: File,
    claim: Claim,
}

impl Spool {
    fn append(&mut self, bytes: &[u8]) -> Result<(), FilmError> {
        self.claim.grow(bytes.len() as u64)?;
        Ok(self.file.write_all(bytes)?)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.length, Ordering::Relaxed);
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How it is to be read.
pub(super) enum Posted {
    Stream(Box<dyn Read + Send>),
    Whole(Spool),
}

pub(super) fn examine(
    mut source: Box<dyn Read + Send>,
    room: &SpoolRoom,
    interrupt: &Interrupt,
) -> Result<Posted, FilmError> {
    let mut head = BytesMut::new();
    let to_disk = loop {
        match order(&head) {
            Order::Other => break false,
            Order::MediaFirst => break true,
            Order::IndexFirst { end } if end > MOST_INDEX => break true,
            Order::IndexFirst { end } => {
                read_to(&mut source, &mut head, end)?;
                if !samples::are_at_most(&mut Cursor::new(&head), MOST_SAMPLES)? {
                    return Err(samples::too_many());
                }
                break false;
            }
            Order::Reads(end) if end > MOST_HEAD || !read_to(&mut source, &mut head, end)? => break false,
            Order::Reads(_) => {}
        }
    };
    let mut whole = Cursor::new(head.freeze()).chain(source);
    if !to_disk {
        return Ok(Posted::Stream(Box::new(whole)));
    }
    let mut spool = Spool { file: tempfile::tempfile()?, claim: room.claim() };
    let mut piece = vec![0; PIECE];
    loop {
        if interrupt.ended() == Some(Ended::Stopped) {
            return Err(FilmError::Interrupted);
        }
        let got = fill(&mut whole, &mut piece)?;
        if got == 0 {
            break;
        }
        spool.append(&piece[..got])?;
    }
    spool.file.rewind()?;
    Ok(Posted::Whole(spool))
}

/// Reads on until so many bytes are known; false if the end comes first.
fn read_to(source: &mut impl Read, head: &mut BytesMut, end: usize) -> io::Result<bool> {
    let known = head.len();
    head.resize(end.max(known), 0);
    let got = fill(source, &mut head[known..])?;
    head.truncate(known + got);
    Ok(head.len() >= end)
}

/// Fills the buffer, unless the end comes first.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What the beginning of a film says of where its index is.
enum Order {
    /// It takes so many bytes to know.
    Reads(usize),
    MediaFirst,
    /// Where the index ends.
    IndexFirst {
        end: usize,
    },
    /// No such film, or one in fragments.
    Other,
}

/// Walks over the boxes (ISO/IEC 14496-12, section 4.2) up to the index, a fragment or the media.
fn order(head: &[u8]) -> Order {
    let mut at = 0_usize;
    loop {
        let Some(&[a, b, c, d, ref name @ ..]) = head.get(at..at + 8) else {
            return Order::Reads(at + 8);
        };
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        match name {
            b"mdat" => return Order::MediaFirst,
            // A film begins with these; each is skipped by its size.
            b"ftyp" | b"free" | b"skip" | b"wide" | b"pnot" | b"uuid" if size >= 8 => at += size,
            b"moov" if size >= 8 => return Order::IndexFirst { end: at + size },
            _ => return Order::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::time::ManualClock;

    fn film(boxes: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let mut film = Vec::new();
        for (name, length) in boxes {
            film.extend_from_slice(&(*length as u32 + 8).to_be_bytes());
            film.extend_from_slice(*name);
            film.resize(film.len() + length, 7);
        }
        film
    }

    /// Gives a byte or two at a time.
    struct Drops(Cursor<Vec<u8>>);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let some = buffer.len().min(2);
            self.0.read(&mut buffer[..some])
        }
    }

    fn examined(film: &[u8], room: &SpoolRoom) -> Result<Posted, FilmError> {
        let interrupt = Interrupt::new(Arc::new(ManualClock::new()));
        examine(Box::new(Drops(Cursor::new(film.to_vec()))), room, &interrupt)
    }

    #[test]
    fn only_what_has_its_index_last_is_written_to_the_disk() {
        let room = SpoolRoom::new(2000, 2000);
        for (film, whole) in [
            (film(&[(b"ftyp", 20), (b"moov", 100), (b"mdat", 500)]), false),
            (film(&[(b"ftyp", 20), (b"free", 8), (b"mdat", 500), (b"moov", 100)]), true),
            (film(&[(b"ftyp", 20), (b"moof", 100), (b"mdat", 500)]), false),
            (b"\x1a\x45\xdf\xa3 what else there is".to_vec(), false),
            (b"short".to_vec(), false),
            (Vec::new(), false),
        ] {
            let mut read = Vec::new();
            match examined(&film, &room).unwrap() {
                Posted::Stream(mut stream) => {
                    assert!(!whole);
                    stream.read_to_end(&mut read).unwrap();
                }
                Posted::Whole(mut spool) => {
                    assert!(whole);
                    spool.read_to_end(&mut read).unwrap();
                    assert_eq!(room.free.load(Ordering::Relaxed), 2000 - film.len() as u64);
                }
            }
            assert_eq!(read, film, "nothing is lost of it");
        }
        assert_eq!(room.free.load(Ordering::Relaxed), 2000, "room is given back");
    }

    #[test]
    fn an_index_that_claims_too_much_is_refused() {
        let mut claims = film(&[(b"ftyp", 20), (b"moov", 20)]);
        // A table of sizes that are all the same, for four thousand million samples.
        claims[36..56].copy_from_slice(b"\0\0\0\x14stsz\0\0\0\0\0\0\0\x01\xff\xff\xff\xff");
        assert!(matches!(examined(&claims, &SpoolRoom::new(0, 0)), Err(FilmError::Unsupported(_))));
    }

    #[test]
    fn room_is_bounded_for_one_and_for_all() {
        let large = film(&[(b"ftyp", 20), (b"mdat", 900), (b"moov", 100)]);
        assert!(matches!(examined(&large, &SpoolRoom::new(1000, 9000)), Err(FilmError::Full)));
        let room = SpoolRoom::new(9000, 1500);
        let first = examined(&large, &room).unwrap();
        assert!(matches!(examined(&large, &room), Err(FilmError::Full)));
        drop(first);
        assert!(examined(&large, &room).is_ok());
    }
}
