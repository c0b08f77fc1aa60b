//! An AVIOContext over a reader or writer of ours.

use super::{END, OUT_OF_MEMORY};
use crate::coder::Cause;
use crate::film::Interrupt;
use crate::film::sheet::Sheet;
use ffmpeg_next::ffi;
use std::ffi::c_void;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// Bytes that FFmpeg reads or writes at a time.
const BUFFER: usize = 64 << 10;

pub(in crate::film) trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Bytes that are gathered at most before they are written.
const GATHERED: usize = 4 << 20;

/// What the bytes come from or go to.
pub(in crate::film) enum Channel {
    Source(Box<dyn ReadSeek>),
    /// Can be read once, from its beginning to its end.
    Stream(Box<dyn Read + Send>),
    /// Can be written again where it was written before.
    File(Sheet),
    Pipe(Box<dyn Write + Send>),
}

struct State {
    channel: Channel,
    interrupt: Option<Interrupt>,
    /// What went wrong first, in the system's words.
    error: Option<io::Error>,
    /// Bytes that went out, rewritten ones included.
    written: u64,
    /// Where a reader puts what it reads. FFmpeg's own buffer must stay as it is at the end of a file, and may be uninitialised.
    scratch: Vec<u8>,
    /// What FFmpeg wrote since the last flush: it leaves in one call, so that a process that is killed leaves it whole or not at all.
    gathered: Vec<u8>,
}

impl State {
    fn write_out(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        match &mut self.channel {
            Channel::File(sheet) => sheet.write(&mut self.gathered)?,
            Channel::Pipe(pipe) => pipe.write_all(&self.gathered)?,
            Channel::Source(_) | Channel::Stream(_) => {}
        }
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

/// Owns the context, its buffer and the channel behind it.
pub(super) struct Io {
    context: NonNull<ffi::AVIOContext>,
    state: NonNull<State>,
}

// SAFETY: the state is Send, and context and state are used by one thread at a time, the one that drives the demuxer or muxer.
unsafe impl Send for Io {}

type WriteCall = unsafe extern "C" fn(*mut c_void, *mut u8, i32) -> i32;

impl Io {
    pub(super) fn new(channel: Channel, interrupt: Option<Interrupt>) -> Result<Self, Cause> {
        let (writes, seeks) = match channel {
            Channel::Source(_) => (false, true),
            Channel::Stream(_) => (false, false),
            Channel::File(_) => (true, true),
            Channel::Pipe(_) => (true, false),
        };
        // SAFETY: returns fresh memory or null.
        let buffer = NonNull::new(unsafe { ffi::av_malloc(BUFFER) }).ok_or(OUT_OF_MEMORY)?;
        let state = Box::into_raw(Box::new(State {
            channel,
            interrupt,
            error: None,
            written: 0,
            scratch: Vec::new(),
            gathered: Vec::new(),
        }));
        // FFmpeg 7 made the bytes to write constant: the same call to a machine, another type to a compiler.
        #[allow(
            clippy::missing_transmute_annotations,
            clippy::useless_transmute,
            reason = "depends on FFmpeg's version"
        )]
        // SAFETY: two function pointers that differ in the constness of a pointer only. The state lives until the context is freed.
        let context = unsafe {
            let write_call = if writes { Some(std::mem::transmute(write as WriteCall)) } else { None };
            ffi::avio_alloc_context(
                buffer.as_ptr().cast(),
                BUFFER as i32,
                i32::from(writes),
                state.cast(),
                if writes { None } else { Some(read) },
                write_call,
                if seeks { Some(seek) } else { None },
            )
        };
        let Some(context) = NonNull::new(context) else {
            // SAFETY: nobody took them.
            unsafe {
                ffi::av_free(buffer.as_ptr());
                drop(Box::from_raw(state));
            }
            return Err(OUT_OF_MEMORY);
        };
        let state = NonNull::new(state).expect("a box is never null");
        Ok(Io { context, state })
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::AVIOContext {
        self.context.as_ptr()
    }

    /// What the system said when reading or writing failed.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        // SAFETY: ours, and FFmpeg is not inside a callback while we hold `&mut self`.
        unsafe { self.state.as_mut() }.error.take()
    }

    pub(super) fn written(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.state.as_ref() }.written
    }

    /// Hands what FFmpeg has written to the channel.
    pub(super) fn flush(&mut self) -> Result<(), Cause> {
        // SAFETY: ours and open; then, no callback runs any more that uses the state.
        let code = unsafe {
            ffi::avio_flush(self.context.as_ptr());
            match (*self.context.as_ptr()).error {
                0 => with(self.state.as_ptr().cast(), |state| state.write_out().map(|()| 0)) as i32,
                code => code,
            }
        };
        super::check(code)?;
        Ok(())
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: ours; FFmpeg may have replaced the buffer by another of its own, which the context knows. The demuxer or muxer
        // that used the context has been closed before.
        unsafe {
            ffi::av_freep((&raw mut (*context).buffer).cast());
            ffi::avio_context_free(&mut context);
            drop(Box::from_raw(self.state.as_ptr()));
        }
    }
}

/// Runs `work` on the state behind `opaque`; an error is kept, and a panic of the caller's writer becomes one.
///
/// # Safety
/// `opaque` is the state of a living `Io`, and nobody else uses it now.
unsafe fn with(opaque: *mut c_void, work: impl FnOnce(&mut State) -> io::Result<i64>) -> i64 {
    // SAFETY: as the caller says.
    let state = unsafe { &mut *opaque.cast::<State>() };
    if state.interrupt.as_ref().is_some_and(|interrupt| interrupt.ended().is_some()) {
        return i64::from(ffi::AVERROR_EXIT);
    }
    let result = catch_unwind(AssertUnwindSafe(|| work(state)));
    match result.unwrap_or_else(|_| Err(io::Error::other("the channel panicked"))) {
        Ok(value) => value,
        Err(error) => {
            let code = error.raw_os_error().unwrap_or(ffmpeg_next::error::EIO);
            state.error.get_or_insert(error);
            i64::from(ffi::AVERROR(code))
        }
    }
}

unsafe extern "C" fn read(opaque: *mut c_void, buffer: *mut u8, size: i32) -> i32 {
    if buffer.is_null() || size <= 0 {
        return ffi::AVERROR(ffmpeg_next::error::EINVAL);
    }
    let work = |state: &mut State| {
        let source: &mut dyn Read = match &mut state.channel {
            Channel::Source(source) => source,
            Channel::Stream(stream) => stream,
            Channel::File(_) | Channel::Pipe(_) => return Ok(i64::from(END)),
        };
        loop {
            state.scratch.resize(size as usize, 0);
            match source.read(&mut state.scratch) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Ok(i64::from(END)),
                other => {
                    let got = state.scratch.get(..other?).ok_or(io::ErrorKind::InvalidData)?;
                    // SAFETY: FFmpeg gives room for `size` bytes, which got is no longer than; it does not overlap with ours.
                    unsafe { std::ptr::copy_nonoverlapping(got.as_ptr(), buffer, got.len()) };
                    return Ok(got.len() as i64);
                }
            }
        }
    };
    // SAFETY: FFmpeg passes on what the context was made with.
    unsafe { with(opaque, work) as i32 }
}

unsafe extern "C" fn write(opaque: *mut c_void, buffer: *mut u8, size: i32) -> i32 {
    if buffer.is_null() || size <= 0 {
        return 0;
    }
    // SAFETY: FFmpeg gives `size` bytes, which are only read.
    let buffer = unsafe { std::slice::from_raw_parts(buffer.cast_const(), size as usize) };
    let work = |state: &mut State| {
        state.gathered.extend_from_slice(buffer);
        if state.gathered.len() >= GATHERED {
            state.write_out()?;
        }
        Ok(i64::from(size))
    };
    // SAFETY: as above.
    unsafe { with(opaque, work) as i32 }
}

unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: i32) -> i64 {
    let work = |state: &mut State| {
        state.write_out()?;
        let seekable: &mut dyn Seek = match &mut state.channel {
            Channel::Source(source) => source,
            Channel::File(sheet) => sheet,
            Channel::Stream(_) | Channel::Pipe(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let at = match whence & !ffi::AVSEEK_FORCE {
            ffi::AVSEEK_SIZE => {
                let here = seekable.stream_position()?;
                let end = seekable.seek(SeekFrom::End(0))?;
                seekable.seek(SeekFrom::Start(here))?;
                return Ok(i64::try_from(end).unwrap_or(i64::MAX));
            }
            0 => match u64::try_from(offset) {
                Ok(offset) => SeekFrom::Start(offset),
                Err(_) => return Ok(i64::from(ffi::AVERROR(ffmpeg_next::error::EINVAL))),
            },
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        match seekable.seek(at) {
            Ok(at) => Ok(i64::try_from(at).unwrap_or(i64::MAX)),
            // A place that the media names and no file has: that is nothing that the system has to say.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Ok(i64::from(ffi::AVERROR(ffmpeg_next::error::EINVAL)))
            }
            Err(error) => Err(error),
        }
    };
    // SAFETY: as above.
    unsafe { with(opaque, work) }
}
