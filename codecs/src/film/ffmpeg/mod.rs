//! FFmpeg's demuxers and muxers, owned. Enters and leaves: bytes, numbers, packets. What is here knows how to hold FFmpeg's
//! objects safely, and must never decide what may be opened or how a file is laid out: that is for the rooms above.
#![allow(unsafe_code)]

mod bounds;
mod filter;
mod input;
mod io;
mod output;
mod packet;
mod parameters;

pub(super) use filter::Filter;
pub(super) use input::{Input, Origin};
pub(super) use io::Channel;
pub(super) use output::{Output, OutputStream};
pub(super) use packet::Packet;
pub(super) use parameters::{Parameters, StreamDecoder};

use super::FilmError;
use crate::coder::Cause;
use ffmpeg_next::ffi;
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Once;

/// Nanoseconds.
const NANOS: ffi::AVRational = ffi::AVRational { num: 1, den: 1_000_000_000 };

const OUT_OF_MEMORY: Cause = Cause(ffi::AVERROR(ffmpeg_next::error::ENOMEM));
const END: i32 = ffi::AVERROR_EOF;

/// The most that FFmpeg may allocate at once, in bytes. A file's header may claim tables of any length, and demuxers believe it;
/// the largest picture that decoders here make (8192x8192 in I420) takes less than half of it.
const MOST_AT_ONCE: usize = 256 << 20;

/// A zero or positive return value, or why not.
fn check(code: i32) -> Result<i32, Cause> {
    if code < 0 { Err(Cause(code)) } else { Ok(code) }
}

/// Must run before the first file is opened; what runs twice costs nothing.
fn set_up() {
    crate::coder::ffmpeg::redirect_log();
    // FFmpeg has one bound for the process, so that it can only be set for the process.
    static BOUNDED: Once = Once::new();
    // SAFETY: sets a number, which is atomic in FFmpeg since 4.4.
    BOUNDED.call_once(|| unsafe { ffi::av_max_alloc(MOST_AT_ONCE) });
}

/// Says in the house's words what FFmpeg says in numbers. `remote`: whether a network stands between.
pub(super) fn explain(cause: Cause, remote: bool) -> FilmError {
    use ffmpeg_next::error as errno;
    const fn posix(code: i32) -> i32 {
        ffi::AVERROR(code)
    }
    let code = cause.0;
    if [posix(errno::ENOENT), ffi::AVERROR_HTTP_NOT_FOUND, ffi::AVERROR_STREAM_NOT_FOUND].contains(&code) && remote {
        return FilmError::NotFound;
    }
    if [posix(errno::EACCES), posix(errno::EPERM), ffi::AVERROR_HTTP_UNAUTHORIZED, ffi::AVERROR_HTTP_FORBIDDEN]
        .contains(&code)
    {
        return FilmError::Denied;
    }
    if [posix(errno::ENOSPC), posix(errno::EFBIG)].contains(&code) {
        return FilmError::Full;
    }
    if code == posix(errno::ETIMEDOUT) {
        return FilmError::Timeout;
    }
    if code == ffi::AVERROR_EXIT {
        return FilmError::Interrupted;
    }
    if code == posix(errno::ENOMEM) {
        return FilmError::Failed { what: "an allocation", source: cause };
    }
    if code == ffi::AVERROR_PROTOCOL_NOT_FOUND {
        return FilmError::Unsupported("the protocol".to_owned());
    }
    if [ffi::AVERROR_DEMUXER_NOT_FOUND, ffi::AVERROR_DECODER_NOT_FOUND, ffi::AVERROR_PATCHWELCOME].contains(&code) {
        return FilmError::Unsupported(cause.to_string());
    }
    let server = [
        ffi::AVERROR_HTTP_BAD_REQUEST,
        ffi::AVERROR_HTTP_OTHER_4XX,
        ffi::AVERROR_HTTP_SERVER_ERROR,
        posix(errno::EIO),
        posix(errno::ECONNREFUSED),
        posix(errno::ECONNRESET),
        posix(errno::ECONNABORTED),
        posix(errno::ENETUNREACH),
        posix(errno::EHOSTUNREACH),
        posix(errno::EPIPE),
        posix(errno::EADDRNOTAVAIL),
        posix(errno::ENETDOWN),
        posix(errno::ENOTCONN),
    ];
    if remote && server.contains(&code) {
        return FilmError::Connection { source: cause };
    }
    FilmError::Invalid { source: cause }
}

/// Options by name.
struct Dictionary(*mut ffi::AVDictionary);

impl Dictionary {
    fn new() -> Self {
        Dictionary(ptr::null_mut())
    }

    fn set(&mut self, name: &CStr, value: &str) -> Result<(), Cause> {
        let value = CString::new(value).map_err(|_| Cause(ffi::AVERROR(ffmpeg_next::error::EINVAL)))?;
        // SAFETY: C strings, which the dictionary copies; the dictionary is ours or null.
        check(unsafe { ffi::av_dict_set(&mut self.0, name.as_ptr(), value.as_ptr(), 0) })?;
        Ok(())
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // SAFETY: ours; null is allowed.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}

/// Whether the same call may succeed right after.
pub(super) fn is_again(cause: Cause) -> bool {
    cause.0 == ffi::AVERROR(ffmpeg_next::error::EAGAIN)
}
