//! What a recording is written on, so that it is whole at every moment, whenever the writing breaks off.
//!
//! Enters: pieces of a file, each to be there whole or not at all. Leaves: the same, on a [`Medium`]. A fragment of an MP4 goes out
//! as a box that players skip, and becomes what it is when all of it is there: FFmpeg opens no file that ends within a fragment's
//! head. What the medium takes only in part is taken back. This room must never know what is recorded.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// The head of a fragment and a box that means nothing (ISO/IEC 14496-12, sections 8.8.4 and 8.1.2).
const FRAGMENT: &[u8; 4] = b"moof";
const NOTHING: &[u8; 4] = b"free";
/// Where a box's name stands.
const NAME: usize = 4;

/// What can be written to and rewritten.
pub trait Medium: Write + Seek + Send {
    /// Brings all that was written to where it survives a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self) -> io::Result<()>;

    /// Takes back all but the first `length` bytes.
    ///
    /// # Errors
    /// The system's.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

pub(super) struct Sheet {
    medium: Box<dyn Medium>,
    /// Whether each piece is synced.
    sync: bool,
    /// Bytes: where the next piece goes, and how much there is.
    at: u64,
    length: u64,
}

impl Sheet {
    /// Of a medium that has nothing yet.
    pub(super) fn new(medium: Box<dyn Medium>, sync: bool) -> Self {
        Sheet { medium, sync, at: 0, length: 0 }
    }

    /// Writes a piece. What stands in `piece` afterwards means nothing.
    ///
    /// # Errors
    /// The medium's. A piece that was to be appended is not there then, unless the medium does not give back what it took.
    pub(super) fn write(&mut self, piece: &mut [u8]) -> io::Result<()> {
        let begin = self.at;
        let appended = begin == self.length;
        let veiled = appended && piece.get(NAME..NAME + 4) == Some(FRAGMENT);
        if veiled {
            piece[NAME..NAME + 4].copy_from_slice(NOTHING);
        }
        if let Err(why) = self.medium.write_all(piece).and_then(|()| self.keep()) {
            if appended && let Err(error) = self.medium.cut(begin) {
                tracing::debug!(%error, "what a full disk took of a recording stays there");
            }
            return Err(why);
        }
        self.at += piece.len() as u64;
        self.length = self.length.max(self.at);
        if veiled {
            self.medium.seek(SeekFrom::Start(begin + NAME as u64))?;
            self.medium.write_all(FRAGMENT)?;
            self.medium.seek(SeekFrom::Start(self.at))?;
            self.keep()?;
        }
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        if self.sync { self.medium.sync() } else { Ok(()) }
    }
}

impl Seek for Sheet {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.medium.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Tape {
        content: Vec<u8>,
        at: usize,
        room: usize,
        /// The content at each sync.
        synced: Vec<Vec<u8>>,
    }

    /// Takes as much as it has room for.
    #[derive(Clone, Default)]
    struct Small(Arc<Mutex<Tape>>);

    impl Write for Small {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let mut tape = self.0.lock().unwrap();
            let some = data.len().min(tape.room - tape.at);
            if some == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let (at, end) = (tape.at, tape.at + some);
            let length = tape.content.len().max(end);
            tape.content.resize(length, 0);
            tape.content[at..end].copy_from_slice(&data[..some]);
            tape.at = end;
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let SeekFrom::Start(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
            self.0.lock().unwrap().at = to as usize;
            Ok(to)
        }
    }

    impl Medium for Small {
        fn sync(&mut self) -> io::Result<()> {
            let mut tape = self.0.lock().unwrap();
            let now = tape.content.clone();
            tape.synced.push(now);
            Ok(())
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.0.lock().unwrap().content.truncate(length as usize);
            Ok(())
        }
    }

    fn sheet(room: usize, sync: bool) -> (Sheet, Small) {
        let small = Small::default();
        small.0.lock().unwrap().room = room;
        (Sheet::new(Box::new(small.clone()), sync), small)
    }

    #[test]
    fn what_does_not_fit_is_taken_back_and_what_is_there_stays() {
        let (mut sheet, small) = sheet(10, false);
        sheet.write(&mut b"header".to_vec()).unwrap();
        assert_eq!(sheet.write(&mut b"piece".to_vec()).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(small.0.lock().unwrap().content, b"header");
        let (mut sheet, small) = self::sheet(10, false);
        sheet.write(&mut b"headerpart".to_vec()).unwrap();
        sheet.seek(SeekFrom::Start(8)).unwrap();
        sheet.write(&mut b"PART".to_vec()).unwrap_err();
        assert_eq!(small.0.lock().unwrap().content, b"headerpaPA", "what is rewritten was there before");
    }

    #[test]
    fn a_fragment_reaches_the_disk_before_its_name_does() {
        let (mut sheet, small) = sheet(100, true);
        sheet.write(&mut b"0000ftyp".to_vec()).unwrap();
        sheet.write(&mut b"0009moofX0009mdatY".to_vec()).unwrap();
        sheet.write(&mut b"end".to_vec()).unwrap();
        assert_eq!(
            small.0.lock().unwrap().synced,
            [
                &b"0000ftyp"[..],
                b"0000ftyp0009freeX0009mdatY",
                b"0000ftyp0009moofX0009mdatY",
                b"0000ftyp0009moofX0009mdatYend",
            ]
        );
    }
}
