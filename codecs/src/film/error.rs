//! What can go wrong with a source or a recording, in the words that a caller acts upon.

use crate::coder::{Cause, CoderError};
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum FilmError {
    /// The text is no URI that this server could mean.
    #[error("not a usable URI: {0}")]
    BadUri(&'static str),
    /// The scheme is not among the allowed ones, or the FFmpeg beneath does not speak it.
    #[error("URIs of scheme {0:?} are not allowed")]
    Scheme(String),
    /// The path leads out of the directories that files must lie in.
    #[error("the path lies outside of the allowed directories")]
    Outside,
    #[error("not found")]
    NotFound,
    /// The file system or the server refuses access, or the credentials are wrong.
    #[error("no permission")]
    Denied,
    /// Nobody answers there, or the connection broke.
    #[error("the connection failed")]
    Connection { source: Cause },
    /// A camera stopped sending: what it sends has no end of its own.
    #[error("the server ended the stream")]
    Gone,
    /// Nothing came within the deadline.
    #[error("nothing came in time")]
    Timeout,
    /// Stopped by the [`Interrupt`](super::Interrupt).
    #[error("interrupted")]
    Interrupted,
    /// Not media, or damaged beyond use.
    #[error("no valid media")]
    Invalid { source: Cause },
    /// Media that nothing here can read or write.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A picture exceeds the decoder's bound (in pixels).
    #[error("a picture of {width}x{height} is too large")]
    TooLarge { width: u32, height: u32 },
    /// No room is left where a recording goes (or its quota is used up).
    #[error("no room left")]
    Full,
    #[error("reading or writing failed")]
    Io { source: io::Error },
    /// What the caller handed in contradicts itself.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// FFmpeg failed at something that does not depend on the media, such as an allocation.
    #[error("{what} failed")]
    Failed { what: &'static str, source: Cause },
}

impl From<io::Error> for FilmError {
    fn from(source: io::Error) -> Self {
        use io::ErrorKind::*;
        match source.kind() {
            NotFound => FilmError::NotFound,
            PermissionDenied => FilmError::Denied,
            StorageFull | QuotaExceeded | FileTooLarge => FilmError::Full,
            _ => FilmError::Io { source },
        }
    }
}

impl From<CoderError> for FilmError {
    fn from(error: CoderError) -> Self {
        match error {
            CoderError::Missing { .. } => FilmError::Unsupported(error.to_string()),
            CoderError::Open { source, .. } => FilmError::Failed { what: "opening a decoder", source },
            CoderError::Undecodable { source } => FilmError::Invalid { source },
            CoderError::TooLarge { width, height } => FilmError::TooLarge { width, height },
            CoderError::Refused(what) => FilmError::Refused(what),
            CoderError::Failed { what, source } => FilmError::Failed { what, source },
        }
    }
}
