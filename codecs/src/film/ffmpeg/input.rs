//! A demuxer.

use super::bounds::Bounds;
use super::io::Io;
use super::{Channel, Dictionary, END, OUT_OF_MEMORY, Packet, Parameters, check};
use crate::coder::Cause;
use crate::film::{Interrupt, Scheme, place};
use ffmpeg_next::ffi;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Streams that a file may have; each costs some kilobytes before its first packet.
const MOST_STREAMS: &str = "64";

/// Where a demuxer gets its bytes.
pub(in crate::film) enum Origin {
    /// Here: a [`Channel`] to read from. The demuxer can reach nothing else; the extension (without a dot) helps it to guess the
    /// format.
    Here { source: Channel, extension: String },
    /// From the network, through these protocols of FFmpeg (separated by commas); what it is led to must have one of these schemes.
    Net { url: String, schemes: Vec<Scheme>, protocols: String },
}

/// What FFmpeg's callbacks look at.
struct Watch {
    bounds: Bounds,
    /// While it is being opened; null otherwise.
    opening: AtomicPtr<ffi::AVFormatContext>,
    /// What is read is a playlist.
    list: AtomicBool,
    schemes: Vec<Scheme>,
    open: Option<Opener>,
}

/// As FFmpeg says when it is asked for more memory than it may take.
const BLOATED: Cause = OUT_OF_MEMORY;

type Opener = unsafe extern "C" fn(
    *mut ffi::AVFormatContext,
    *mut *mut ffi::AVIOContext,
    *const c_char,
    i32,
    *mut *mut ffi::AVDictionary,
) -> i32;

/// Owns the demuxer, and what it reads from.
pub(in crate::film) struct Input {
    /// Null only while it is being opened.
    context: *mut ffi::AVFormatContext,
    watch: NonNull<Watch>,
    io: Option<Io>,
}

// SAFETY: a demuxer may be used by any thread, by one at a time, which `&mut self` sees to; what `watch` points to is Sync.
unsafe impl Send for Input {}

impl Input {
    /// Opens and reads the header. `formats` tells by its names in FFmpeg which formats may be used; `options` are the demuxer's.
    pub(in crate::film) fn open(
        origin: Origin,
        interrupt: Interrupt,
        formats: fn(&str) -> bool,
        options: &[(&CStr, String)],
    ) -> Result<Self, Cause> {
        super::set_up();
        let (url, schemes, protocols, io) = match origin {
            Origin::Here { source, extension } => {
                let io = Io::new(source, Some(interrupt.clone()))?;
                (format!("media.{extension}"), Vec::new(), String::new(), Some(io))
            }
            Origin::Net { url, schemes, protocols } => (url, schemes, protocols, None),
        };
        let url = CString::new(url).map_err(|_| Cause(ffi::AVERROR(ffmpeg_next::error::EINVAL)))?;
        let (bounds, opening) = (Bounds::new(interrupt), AtomicPtr::new(ptr::null_mut()));
        let watch =
            Box::into_raw(Box::new(Watch { bounds, opening, list: AtomicBool::new(false), schemes, open: None }));
        let watch = NonNull::new(watch).expect("a box is never null");
        let mut input = Input { context: ptr::null_mut(), watch, io };
        // SAFETY: returns a fresh context or null; `watch` lives until after the context is closed. On failure, avformat_open_input
        // frees the context and nulls the pointer.
        unsafe {
            let context = ffi::avformat_alloc_context();
            let c = context.as_mut().ok_or(OUT_OF_MEMORY)?;
            c.interrupt_callback = ffi::AVIOInterruptCB { callback: Some(ended), opaque: watch.as_ptr().cast() };
            c.opaque = watch.as_ptr().cast();
            (*watch.as_ptr()).open = c.io_open;
            c.io_open = Some(open_nested);
            if let Some(io) = &input.io {
                c.pb = io.as_ptr();
                c.flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            }
            input.context = context;
            let mut dictionary = Dictionary::new();
            dictionary.set(c"protocol_whitelist", &protocols)?;
            dictionary.set(c"format_whitelist", &allowed_formats(formats))?;
            dictionary.set(c"max_streams", MOST_STREAMS)?;
            for (name, value) in options {
                dictionary.set(name, value)?;
            }
            (*watch.as_ptr()).opening.store(context, Ordering::Relaxed);
            (*watch.as_ptr()).bounds.begin_list();
            let opened = ffi::avformat_open_input(&mut input.context, url.as_ptr(), ptr::null(), &mut dictionary.0);
            (*watch.as_ptr()).bounds.end_list();
            (*watch.as_ptr()).opening.store(ptr::null_mut(), Ordering::Relaxed);
            match check(opened) {
                Err(_) if input.is_bloated() => return Err(BLOATED),
                opened => opened?,
            };
        }
        input.watch().list.store(is_list(input.format()), Ordering::Relaxed);
        Ok(input)
    }

    /// Reads on until each stream's basics are known. `most_pixels` bounds what it decodes for that.
    pub(in crate::film) fn look(&mut self, most_pixels: i64) -> Result<(), Cause> {
        let mut options = Vec::new();
        for _ in 0..self.get().nb_streams {
            let mut dictionary = Dictionary::new();
            dictionary.set(c"max_pixels", &most_pixels.to_string())?;
            options.push(dictionary);
        }
        let mut pointers: Vec<_> = options.iter_mut().map(|d| std::mem::replace(&mut d.0, ptr::null_mut())).collect();
        // SAFETY: an open demuxer; one dictionary for each of its streams, which FFmpeg may replace.
        let found = unsafe { ffi::avformat_find_stream_info(self.context, pointers.as_mut_ptr()) };
        // Back to where they are freed.
        options.iter_mut().zip(pointers).for_each(|(dictionary, pointer)| dictionary.0 = pointer);
        if self.is_bloated() {
            return Err(BLOATED);
        }
        check(found)?;
        Ok(())
    }

    fn watch(&self) -> &Watch {
        // SAFETY: lives as long as the input; FFmpeg's callbacks only read it as well.
        unsafe { self.watch.as_ref() }
    }

    /// It took more memory than a source may.
    fn is_bloated(&self) -> bool {
        self.watch().bounds.is_bloated()
    }

    fn get(&self) -> &ffi::AVFormatContext {
        debug_assert!(!self.context.is_null());
        // SAFETY: open, as whoever has an Input outside of `open` got it from there; FFmpeg changes it only within calls on
        // `&mut self`.
        unsafe { &*self.context }
    }

    fn stream(&self, index: usize) -> Option<&ffi::AVStream> {
        let c = self.get();
        // SAFETY: nb_streams valid pointers, as long as the context lives.
        (index < c.nb_streams as usize).then(|| unsafe { &**c.streams.add(index) })
    }

    pub(in crate::film) fn streams(&self) -> usize {
        self.get().nb_streams as usize
    }

    pub(in crate::film) fn parameters(&self, stream: usize) -> Result<Parameters, Cause> {
        let stream = self.stream(stream).ok_or(OUT_OF_MEMORY)?;
        // SAFETY: a stream has parameters as long as it lives.
        unsafe { Parameters::copy(stream.codecpar) }
    }

    pub(in crate::film) fn time_base(&self, stream: usize) -> (i32, i32) {
        self.stream(stream).map_or((0, 0), |s| (s.time_base.num, s.time_base.den))
    }

    /// Frames a second, as a ratio; None if unknown.
    pub(in crate::film) fn frame_rate(&self, stream: usize) -> Option<(u32, u32)> {
        let stream = self.stream(stream)?;
        [stream.avg_frame_rate, stream.r_frame_rate]
            .iter()
            .find(|rate| rate.num > 0 && rate.den > 0)
            .map(|rate| (rate.num as u32, rate.den as u32))
    }

    /// Whether it is but a picture beside the sound, such as a record's cover.
    pub(in crate::film) fn is_cover(&self, stream: usize) -> bool {
        self.stream(stream).is_some_and(|s| s.disposition & ffi::AV_DISPOSITION_ATTACHED_PIC != 0)
    }

    /// The demuxer need not yield this one's packets.
    pub(in crate::film) fn set_ignored(&mut self, stream: usize, ignored: bool) {
        use ffi::AVDiscard::{AVDISCARD_ALL, AVDISCARD_DEFAULT};
        if stream < self.streams() {
            // SAFETY: a valid stream of ours, borrowed exclusively.
            unsafe {
                (**(*self.context).streams.add(stream)).discard =
                    if ignored { AVDISCARD_ALL } else { AVDISCARD_DEFAULT }
            };
        }
    }

    /// FFmpeg's names of the format, separated by commas.
    pub(in crate::film) fn format(&self) -> &str {
        // SAFETY: an open demuxer has a format, whose name is constant text.
        unsafe { CStr::from_ptr((*self.get().iformat).name) }.to_str().unwrap_or_default()
    }

    /// Nanoseconds; None if unknown.
    pub(in crate::film) fn duration(&self) -> Option<u64> {
        let duration = self.get().duration;
        u64::try_from(duration).ok().filter(|&n| n > 0).map(|micros| micros.saturating_mul(1000))
    }

    /// Nanoseconds: the time that its first unit has.
    pub(in crate::film) fn start(&self) -> i64 {
        match self.get().start_time {
            ffi::AV_NOPTS_VALUE => 0,
            micros => micros.saturating_mul(1000),
        }
    }

    /// Whether bytes can be read in any order, or None if the demuxer does the reading itself.
    pub(in crate::film) fn seeks_bytes(&self) -> Option<bool> {
        let c = self.get();
        // SAFETY: null, or valid as long as the demuxer is open.
        unsafe { c.pb.as_ref() }.map(|pb| pb.seekable & ffi::AVIO_SEEKABLE_NORMAL != 0)
    }

    /// Whether the demuxer itself knows that it cannot seek.
    pub(in crate::film) fn is_unseekable(&self) -> bool {
        self.get().ctx_flags & ffi::AVFMTCTX_UNSEEKABLE != 0
    }

    /// The next packet; None at the end.
    pub(in crate::film) fn read(&mut self) -> Result<Option<Packet>, Cause> {
        let packet = Packet::empty()?;
        // A live playlist is read again and again.
        let list = self.watch().list.load(Ordering::Relaxed);
        if list {
            self.watch().bounds.begin_list();
        }
        // SAFETY: an open demuxer, and an empty packet of ours.
        let code = unsafe { ffi::av_read_frame(self.context, packet.as_ptr()) };
        self.watch().bounds.end_list();
        if self.is_bloated() {
            return Err(BLOATED);
        }
        let read = match code {
            END => self.read_error().map_or(Ok(None), Err),
            code => check(code).map(|_| Some(packet)),
        };
        match read {
            Err(cause) if self.may_end_like_this(cause) => Ok(None),
            read => read,
        }
    }

    /// Where a server does not say how long its answer is, FFmpeg takes the end for a failure.
    fn may_end_like_this(&self, cause: Cause) -> bool {
        let pb = self.get().pb;
        // SAFETY: valid as long as the demuxer is open; asking for a size moves nothing.
        self.io.is_none()
            && cause.0 == ffi::AVERROR(ffmpeg_next::error::EIO)
            && !pb.is_null()
            && unsafe { ffi::avio_size(pb) } < 0
    }

    /// Why reading ended: many demuxers take any failure for the end.
    fn read_error(&self) -> Option<Cause> {
        // SAFETY: as in `seeks_bytes`.
        let code = unsafe { self.get().pb.as_ref() }.map_or(0, |pb| pb.error);
        (code < 0 && code != END).then_some(Cause(code))
    }

    /// To the key frame at this time (nanoseconds, in the media's own time) or before.
    pub(in crate::film) fn seek(&mut self, to: i64) -> Result<(), Cause> {
        // SAFETY: an open demuxer; -1 stands for the stream that it thinks the best, and for microseconds.
        check(unsafe { ffi::av_seek_frame(self.context, -1, to.div_euclid(1000), ffi::AVSEEK_FLAG_BACKWARD) })?;
        Ok(())
    }

    /// The same by the frames of one stream, whatever the others have there.
    pub(in crate::film) fn seek_in(&mut self, stream: usize, to: i64) -> Result<(), Cause> {
        let (num, den) = self.time_base(stream);
        let units = i128::from(to) * i128::from(den.max(1)) / (i128::from(num.max(1)) * 1_000_000_000);
        let (index, units) = (i32::try_from(stream).unwrap_or(-1), i64::try_from(units).unwrap_or(i64::MAX));
        // SAFETY: an open demuxer, which refuses a stream that it does not have.
        check(unsafe { ffi::av_seek_frame(self.context, index, units, ffi::AVSEEK_FLAG_BACKWARD) })?;
        Ok(())
    }

    /// To the first byte; of no use for formats that need their index.
    pub(in crate::film) fn rewind(&mut self) -> Result<(), Cause> {
        // SAFETY: an open demuxer.
        check(unsafe { ffi::av_seek_frame(self.context, -1, 0, ffi::AVSEEK_FLAG_BYTE) })?;
        Ok(())
    }

    /// Of those streams, the one that FFmpeg thinks the best.
    pub(in crate::film) fn best(&self, video: bool) -> Option<usize> {
        use ffi::AVMediaType::{AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO};
        let kind = if video { AVMEDIA_TYPE_VIDEO } else { AVMEDIA_TYPE_AUDIO };
        // SAFETY: an open demuxer, which is only read.
        let found = unsafe { ffi::av_find_best_stream(self.context, kind, -1, -1, ptr::null_mut(), 0) };
        usize::try_from(found).ok()
    }

    /// What the system said when reading failed.
    pub(in crate::film) fn take_error(&mut self) -> Option<io::Error> {
        self.io.as_mut().and_then(Io::take_error)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: open or null. `watch` is used by the context only, which is closed then; `io` is dropped after this.
        unsafe {
            ffi::avformat_close_input(&mut self.context);
            drop(Box::from_raw(self.watch.as_ptr()));
        }
    }
}

/// A format that names others.
fn is_list(format: &str) -> bool {
    format.split(',').any(|name| matches!(name, "hls" | "dash"))
}

/// FFmpeg's names of all formats that `allowed` lets pass.
fn allowed_formats(allowed: fn(&str) -> bool) -> String {
    let mut names = BTreeSet::new();
    let mut place = ptr::null_mut();
    loop {
        // SAFETY: the place starts as null and is moved on by FFmpeg; formats are constant, with constant names.
        let name = unsafe {
            match ffi::av_demuxer_iterate(&mut place).as_ref() {
                None => break,
                Some(format) => CStr::from_ptr(format.name),
            }
        };
        if let Ok(name) = name.to_str()
            && name.split(',').all(allowed)
        {
            names.insert(name);
        }
    }
    names.into_iter().collect::<Vec<_>>().join(",")
}

unsafe extern "C" fn ended(opaque: *mut c_void) -> i32 {
    // SAFETY: the `Watch` of the input that FFmpeg works for, which outlives it; it is only read.
    let watch = unsafe { &*opaque.cast::<Watch>() };
    let opening = watch.opening.load(Ordering::Relaxed);
    // SAFETY: null, or the context that FFmpeg is opening in this very call; a format is constant, and has a name.
    let opens_list = || unsafe {
        opening
            .as_ref()
            .and_then(|c| c.iformat.as_ref())
            .is_some_and(|f| CStr::from_ptr(f.name).to_str().is_ok_and(is_list))
    };
    i32::from(watch.bounds.ended(watch.list.load(Ordering::Relaxed) || opens_list()))
}

/// All that a demuxer opens besides what it was given, and what it was given if that is on the network.
unsafe extern "C" fn open_nested(
    context: *mut ffi::AVFormatContext,
    io: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    flags: i32,
    options: *mut *mut ffi::AVDictionary,
) -> i32 {
    // SAFETY: FFmpeg's own context, whose opaque pointer is the `Watch` that was set when it was made; the URL is a C string.
    let (watch, text) = unsafe { (&*(*context).opaque.cast::<Watch>(), CStr::from_ptr(url)) };
    let text = text.to_str().unwrap_or_default();
    // How HLS names a segment that is to be decrypted.
    let bare = text.strip_prefix("crypto+").or_else(|| text.strip_prefix("crypto:")).unwrap_or(text);
    let scheme = place::scheme_of(bare).and_then(Scheme::parse);
    let allowed = scheme.is_some_and(|scheme| watch.schemes.contains(&scheme)) && flags & ffi::AVIO_FLAG_WRITE == 0;
    match watch.open {
        // SAFETY: FFmpeg's own function with FFmpeg's own arguments.
        Some(open) if allowed => unsafe { open(context, io, url, flags, options) },
        _ => ffi::AVERROR(ffmpeg_next::error::EACCES),
    }
}
