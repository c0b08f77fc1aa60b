//! What can go wrong in a coder, and what the caller can do about it.

use rivero_engine::Codec;
use std::fmt;

#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// Neither this build nor the FFmpeg beneath it has such a coder.
    #[error("no {what} for {}", codec.name())]
    Missing { codec: Codec, what: &'static str },
    /// The coder did not start with these settings.
    #[error("the {what} for {} does not open", codec.name())]
    Open { codec: Codec, what: &'static str, source: Cause },
    /// What came in cannot be decoded. The decoder lives on; video needs a key frame now.
    #[error("undecodable data")]
    Undecodable { source: Cause },
    /// A picture exceeds the decoder's bound (in pixels). The decoder lives on.
    #[error("a picture of {width}x{height} is too large")]
    TooLarge { width: u32, height: u32 },
    /// What the caller handed in contradicts itself or the settings.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// FFmpeg failed at something that does not depend on the stream, such as an allocation.
    #[error("{what} failed")]
    Failed { what: &'static str, source: Cause },
}

/// FFmpeg's word for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cause(pub(crate) i32);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::ffmpeg::describe(self.0))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}

impl std::error::Error for Cause {}
