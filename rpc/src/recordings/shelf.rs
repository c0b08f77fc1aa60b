//! One directory. Enters: names, as strangers write them. Leaves: what lies there under them, and nothing else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Entries that are looked at. In a fuller directory, which of them those are is the file system's choice.
const MOST_SEEN: usize = 10_000;
/// Recordings that are listed: the latest.
const MOST_LISTED: usize = 100;
/// Bytes of a name, as Linux bounds it.
const LONGEST_NAME: usize = 255;

/// What the formats of recordings are called, and what HTTP calls them.
const KINDS: [(&str, &str); 4] =
    [("webm", "video/webm"), ("mp4", "video/mp4"), ("mkv", "video/x-matroska"), ("flv", "video/x-flv")];

/// What may stand as it is in the path of a URI (RFC 3986, section 3.3), and slashes.
const IN_PATHS: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A recording that is listed.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
    pub modified: SystemTime,
}

pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Shelf { folder: std::path::absolute(folder)? })
    }

    /// Makes the directory where there is none, for this user alone.
    pub fn prepare(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Under which URI a recorder writes into the directory, with a slash at its end.
    pub fn uri(&self) -> String {
        format!("file://{}/", percent_encode(self.folder.as_os_str().as_bytes(), &IN_PATHS))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The latest first.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.folder)?.take(MOST_SEEN) {
            let found = found?;
            let Some(name) = found.file_name().to_str().filter(|name| kind(name).is_some()).map(str::to_owned) else {
                continue;
            };
            // What has gone since, or cannot be looked at, is left out.
            let Ok(about) = found.metadata() else { continue };
            if about.is_file() {
                let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                entries.push(Entry { name, bytes: about.len(), modified });
            }
        }
        entries.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.name.cmp(&b.name)));
        entries.truncate(MOST_LISTED);
        Ok(entries)
    }

    /// A recording and its length in bytes.
    ///
    /// # Errors
    /// `NotFound` for whatever is no plain file with a name that [`kind`] knows; others as the system has them.
    pub fn open(&self, name: &str) -> io::Result<(File, u64)> {
        let not_here = || io::Error::from(io::ErrorKind::NotFound);
        kind(name).ok_or_else(not_here)?;
        // A link is not followed (ELOOP), and a pipe is opened without waiting for one who writes. That it is a plain file is asked
        // of what was opened: the name may lead elsewhere a moment later.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.path(name))
            .map_err(|error| if error.raw_os_error() == Some(libc::ELOOP) { not_here() } else { error })?;
        let about = file.metadata()?;
        if about.is_file() { Ok((file, about.len())) } else { Err(not_here()) }
    }
}

/// The media type of a recording by its name; `None` for a name that none has: empty, hidden, with a slash or a zero in it, too
/// long, or of another kind.
pub fn kind(name: &str) -> Option<&'static str> {
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) || name.len() > LONGEST_NAME {
        return None;
    }
    KINDS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}
