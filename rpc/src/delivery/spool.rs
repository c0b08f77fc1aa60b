//! A file that one side writes and another reads from its beginning, as often as it must. Enters and leaves: bytes. Bounded by the
//! room that it was given.

use crate::objects::lock;
use rivero_codecs::film::{Claim, SpoolRoom};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

pub struct Spool {
    file: File,
    state: Mutex<State>,
    /// More has been written, or no more will be.
    news: Condvar,
}

struct State {
    claim: Claim,
    length: u64,
    ended: bool,
    /// Why nobody wants it any more.
    refused: Option<String>,
}

impl Spool {
    pub fn new(room: &SpoolRoom) -> io::Result<Self> {
        let state = State { claim: room.claim(), length: 0, ended: false, refused: None };
        let file = tempfile::tempfile()?;
        Ok(Spool { file, state: Mutex::new(state), news: Condvar::new() })
    }

    /// To be called by one side only.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let length = {
            let mut state = lock(&self.state);
            if let Some(why) = &state.refused {
                return Err(io::Error::other(format!("the server does not take the recording: {why}")));
            }
            state.claim.grow(bytes.len() as u64).map_err(|_| io::ErrorKind::StorageFull)?;
            state.length
        };
        self.file.write_all_at(bytes, length)?;
        lock(&self.state).length += bytes.len() as u64;
        self.news.notify_all();
        Ok(())
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
        Reading { spool: spool.clone(), at: 0 }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let known = {
            let state = lock(&self.spool.state);
            let waits = |state: &mut State| state.length == self.at && !state.ended;
            self.spool.news.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner).length
        };
        let some = usize::try_from(known - self.at).map_or(buffer.len(), |there| there.min(buffer.len()));
        let got = self.spool.file.read_at(&mut buffer[..some], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
