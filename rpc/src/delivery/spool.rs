//! A file that one side writes and another reads from its beginning, as often as it must. Enters and leaves: bytes. Bounded by the
//! room that it was given: what outgrows it lets go of what has been read, and can then be read to its end but not once more.

use crate::objects::lock;
use rivero_codecs::film::{Claim, SpoolRoom};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes of the parts in which a file system lets go of a file.
const BLOCK: u64 = 4096;

pub struct Spool {
    file: File,
    state: Mutex<State>,
    /// More has been written, or no more will be.
    news: Condvar,
}

struct State {
    claim: Claim,
    length: u64,
    /// Up to where it is read, this time.
    read: u64,
    /// Up to where it has been let go of.
    gone: u64,
    ended: bool,
    /// Why nobody wants it any more.
    refused: Option<String>,
}

impl Spool {
    pub fn new(room: &SpoolRoom) -> io::Result<Self> {
        let state = State { claim: room.claim(), length: 0, read: 0, gone: 0, ended: false, refused: None };
        let file = tempfile::tempfile()?;
        Ok(Spool { file, state: Mutex::new(state), news: Condvar::new() })
    }

    /// To be called by one side only.
    ///
    /// # Errors
    /// `StorageFull` if it has no room for more and nothing to let go of: nobody reads it now, or not as fast as it is written.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let length = {
            let mut state = lock(&self.state);
            if let Some(why) = &state.refused {
                return Err(io::Error::other(format!("the server does not take the recording: {why}")));
            }
            let more = bytes.len() as u64;
            if state.claim.grow(more).is_err() {
                self.let_go(&mut state)?;
                state.claim.grow(more).map_err(|_| io::ErrorKind::StorageFull)?;
            }
            state.length
        };
        if let Err(why) = self.file.write_all_at(bytes, length) {
            if why.kind() != io::ErrorKind::StorageFull {
                return Err(why);
            }
            self.let_go(&mut lock(&self.state))?;
            self.file.write_all_at(bytes, length)?;
        }
        lock(&self.state).length += bytes.len() as u64;
        self.news.notify_all();
        Ok(())
    }

    /// Gives back what has been read.
    fn let_go(&self, state: &mut State) -> io::Result<()> {
        let read = state.read / BLOCK * BLOCK;
        if read <= state.gone {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, hole, state.gone, read - state.gone).map_err(|_| io::ErrorKind::StorageFull)?;
        if state.gone == 0 {
            tracing::warn!(
                bytes = state.length,
                "a recording that is sent outgrows its temporary file: from now on it cannot be sent once more"
            );
        }
        state.claim.shrink(read - state.gone);
        state.gone = read;
        Ok(())
    }

    /// Whether it can still be read from its beginning.
    pub fn is_whole(&self) -> bool {
        lock(&self.state).gone == 0
    }

    pub fn end(&self) {
        lock(&self.state).ended = true;
        self.news.notify_all();
    }

    pub fn has_ended(&self) -> bool {
        lock(&self.state).ended
    }

    /// Nobody wants it any more: what is appended from now on fails.
    pub fn refuse(&self, why: String) {
        lock(&self.state).refused = Some(why);
    }
}

/// From the beginning to the end; waits for what has not been written yet.
pub struct Reading {
    spool: Arc<Spool>,
    at: u64,
}

impl Reading {
    pub fn new(spool: &Arc<Spool>) -> Self {
        lock(&spool.state).read = 0;
        Reading { spool: spool.clone(), at: 0 }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let known = {
            let mut state = lock(&self.spool.state);
            if self.at < state.gone {
                return Err(io::Error::other("the beginning of the recording is kept no longer"));
            }
            state.read = self.at;
            let waits = |state: &mut State| state.length == self.at && !state.ended;
            self.spool.news.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner).length
        };
        let some = usize::try_from(known - self.at).map_or(buffer.len(), |there| there.min(buffer.len()));
        let got = self.spool.file.read_at(&mut buffer[..some], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
