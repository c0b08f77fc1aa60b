//! An AVCodecContext: one decoder or encoder.

use super::{Frame, OUT_OF_MEMORY, SampleLayout, check, log};
use crate::coder::Cause;
use bytes::Bytes;
use ffmpeg_next::ffi;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// Owns a coder. Set up first, then opened; a coder that is dropped forgets what it still held.
pub(crate) struct CodecContext {
    context: NonNull<ffi::AVCodecContext>,
    codec: *const ffi::AVCodec,
    packet: Packet,
    /// Set when a part of a decoder's work failed that FFmpeg itself does not ask about. The context points to it.
    fault: Box<AtomicBool>,
}

// SAFETY: a codec context may be used by any thread, by one at a time, which `&mut self` sees to. `codec` is constant.
unsafe impl Send for CodecContext {}

/// What a video encoder is told before it opens.
#[derive(Clone, Copy, Debug)]
pub(in crate::coder) struct VideoShape {
    pub width: u32,
    pub height: u32,
    /// Frames a second.
    pub frame_rate: u32,
    /// Ticks of the time base in one frame; the time base is 1 / (frame rate x this).
    pub ticks: u32,
    /// Frames from one key frame to the next, at most.
    pub key_distance: i32,
    pub threads: u32,
    /// Whether samples use all 256 values.
    pub full_range: bool,
}

/// What a coder yielded.
pub(crate) enum Received<T> {
    One(T),
    /// Nothing until it gets more, or for good.
    Nothing,
}

pub(in crate::coder) struct EncodedPacket {
    pub data: Bytes,
    pub pts: i64,
    pub key: bool,
}

struct Packet(NonNull<ffi::AVPacket>);

impl Packet {
    fn new() -> Result<Self, Cause> {
        // SAFETY: returns a fresh packet or null.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(Packet).ok_or(OUT_OF_MEMORY)
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::av_packet_free(&mut packet) };
    }
}

impl CodecContext {
    /// A decoder of this name, not yet open; None if FFmpeg has none.
    pub(crate) fn decoder(name: &CStr) -> Option<Result<Self, Cause>> {
        log::redirect();
        // SAFETY: the name is a C string; the result is constant or null.
        let codec = unsafe { ffi::avcodec_find_decoder_by_name(name.as_ptr()) };
        (!codec.is_null()).then(|| Self::allocate(codec))
    }

    /// An encoder of this name, not yet open; None if FFmpeg has none.
    pub(in crate::coder) fn encoder(name: &CStr) -> Option<Result<Self, Cause>> {
        log::redirect();
        // SAFETY: as above.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) };
        (!codec.is_null()).then(|| Self::allocate(codec))
    }

    fn allocate(codec: *const ffi::AVCodec) -> Result<Self, Cause> {
        let packet = Packet::new()?;
        // SAFETY: a codec of FFmpeg's own list; returns a fresh context or null.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) }).ok_or(OUT_OF_MEMORY)?;
        let mut made = CodecContext { context, codec, packet, fault: Box::default() };
        made.get_mut().thread_count = 1;
        Ok(made)
    }

    /// For settings that only a stream's own parameters know, before it is opened.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut ffi::AVCodecContext {
        self.context.as_ptr()
    }

    fn get(&self) -> &ffi::AVCodecContext {
        // SAFETY: valid as long as self; FFmpeg changes it only within calls that take `&mut self`.
        unsafe { self.context.as_ref() }
    }

    fn get_mut(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { self.context.as_mut() }
    }

    /// For a video decoder: no delay for reordering, times in nanoseconds, pictures of at most so many pixels. `strict` has
    /// it refuse what does not conform, where that is how it notices missing data.
    pub(in crate::coder) fn set_up_video_decoder(&mut self, most_pixels: i64, strict: bool) {
        let c = self.get_mut();
        c.flags |= ffi::AV_CODEC_FLAG_LOW_DELAY as i32;
        c.pkt_timebase = ffi::AVRational { num: 1, den: 1_000_000_000 };
        c.max_pixels = most_pixels;
        if strict {
            c.err_recognition |= ffi::AV_EF_EXPLODE;
        }
        self.watch_jobs();
    }

    /// Has FFmpeg's work done by `run_jobs`, from opening on.
    fn watch_jobs(&mut self) {
        let fault: *const AtomicBool = &*self.fault;
        let c = self.get_mut();
        c.opaque = fault.cast_mut().cast();
        c.execute2 = Some(run_jobs);
    }

    /// Whether part of the data turned out to be faulty since this was last asked.
    pub(in crate::coder) fn take_fault(&mut self) -> bool {
        self.fault.swap(false, Ordering::Relaxed)
    }

    pub(in crate::coder) fn set_up_video_encoder(&mut self, shape: &VideoShape) {
        use ffi::{AVColorRange::*, AVPixelFormat::*};
        let c = self.get_mut();
        c.width = shape.width as i32;
        c.height = shape.height as i32;
        (c.pix_fmt, c.color_range) = match shape.full_range {
            true => (AV_PIX_FMT_YUVJ420P, AVCOL_RANGE_JPEG),
            false => (AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG),
        };
        c.framerate = ffi::AVRational { num: shape.frame_rate as i32, den: 1 };
        c.time_base = ffi::AVRational { num: 1, den: (shape.frame_rate * shape.ticks) as i32 };
        c.ticks_per_frame = shape.ticks as i32;
        c.gop_size = shape.key_distance;
        c.max_b_frames = 0;
        c.thread_count = shape.threads as i32;
        // Threads that share a picture, not such as each have one of their own: those would hold pictures back.
        c.thread_type = ffi::FF_THREAD_SLICE;
    }

    /// Rates in bits a second; `buffer_ms` is the decoder's buffer that a constant rate is measured against, if it is to be kept
    /// that strictly; `constant` asks for a constant rate in the first place. May be called again while it runs, where the encoder heeds it.
    pub(in crate::coder) fn set_rates(&mut self, bps: u32, constant: bool, buffer_ms: Option<u32>) {
        let c = self.get_mut();
        c.bit_rate = i64::from(bps);
        c.bit_rate_tolerance = i32::try_from(bps).unwrap_or(i32::MAX);
        if constant {
            c.rc_max_rate = i64::from(bps);
            c.rc_min_rate = i64::from(bps);
        }
        if let Some(ms) = buffer_ms {
            c.rc_max_rate = i64::from(bps);
            c.rc_buffer_size = i32::try_from(u64::from(bps) * u64::from(ms) / 1000).unwrap_or(i32::MAX).max(1);
        }
    }

    pub(in crate::coder) fn set_up_audio(&mut self, rate: u32, channels: u8) {
        let c = self.get_mut();
        c.sample_rate = rate as i32;
        c.time_base = ffi::AVRational { num: 1, den: rate as i32 };
        c.pkt_timebase = ffi::AVRational { num: 1, den: 1_000_000_000 };
        // SAFETY: the layout is part of our context and has not been set before.
        unsafe { ffi::av_channel_layout_default(&mut c.ch_layout, i32::from(channels)) };
    }

    pub(in crate::coder) fn set_up_audio_encoder(
        &mut self,
        layout: SampleLayout,
        bps: Option<u32>,
        header_apart: bool,
    ) {
        let c = self.get_mut();
        c.sample_fmt = layout.format();
        if let Some(bps) = bps {
            c.bit_rate = i64::from(bps);
        }
        if header_apart {
            c.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        }
    }

    /// What the decoder must know before the first packet. At most 1 MiB.
    pub(in crate::coder) fn set_extradata(&mut self, data: &[u8]) -> Result<(), Cause> {
        if data.is_empty() {
            return Ok(());
        }
        let size = i32::try_from(data.len()).ok().filter(|&n| n <= 1 << 20).ok_or(OUT_OF_MEMORY)?;
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: allocated by FFmpeg, as it will free it, zeroed and with the padding that it asks for.
        let memory = unsafe { ffi::av_mallocz(data.len() + padding) }.cast::<u8>();
        if memory.is_null() {
            return Err(OUT_OF_MEMORY);
        }
        // SAFETY: as long as `data` at least, and fresh: no overlap.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), memory, data.len()) };
        let c = self.get_mut();
        c.extradata = memory;
        c.extradata_size = size;
        Ok(())
    }

    pub(crate) fn open(&mut self, options: &[(&CStr, CString)]) -> Result<(), Cause> {
        let mut dictionary = ptr::null_mut();
        for (name, value) in options {
            // SAFETY: C strings, which the dictionary copies.
            check(unsafe { ffi::av_dict_set(&mut dictionary, name.as_ptr(), value.as_ptr(), 0) })?;
        }
        // SAFETY: context and codec belong together; the dictionary is ours before and after.
        let opened = unsafe { ffi::avcodec_open2(self.context.as_ptr(), self.codec, &mut dictionary) };
        // SAFETY: ours; null is allowed.
        let (unknown, ()) = unsafe { (ffi::av_dict_count(dictionary), ffi::av_dict_free(&mut dictionary)) };
        check(opened)?;
        debug_assert_eq!(unknown, 0, "an option that the coder does not have");
        Ok(())
    }

    /// Samples of one channel that an encoder takes at a time; zero if any number will do.
    pub(in crate::coder) fn frame_size(&self) -> usize {
        self.get().frame_size.max(0) as usize
    }

    /// Samples of one channel by which a decoder gives the sound later than it went into this encoder.
    pub(in crate::coder) fn padding(&self) -> usize {
        self.get().initial_padding.max(0) as usize
    }

    /// Hz, of what was decoded last.
    pub(in crate::coder) fn rate(&self) -> u32 {
        self.get().sample_rate.max(0) as u32
    }

    /// What an encoder wants to be known before its first frame.
    pub(in crate::coder) fn extradata(&self) -> &[u8] {
        let c = self.get();
        if c.extradata.is_null() || c.extradata_size <= 0 {
            return &[];
        }
        // SAFETY: FFmpeg keeps so many bytes there as long as the context lives, and changes them only while opening.
        unsafe { std::slice::from_raw_parts(c.extradata, c.extradata_size as usize) }
    }

    /// Gives a decoder one frame; the bytes are copied, with the padding that FFmpeg reads past the end.
    pub(in crate::coder) fn send_data(&mut self, data: &[u8], pts: i64) -> Result<(), Cause> {
        self.send_stamped(data, (pts, pts), false)
    }

    /// The same, with the time at which it is decoded; and `key`: what the source says. A decoder of PNG adds what is no key frame to
    /// the picture before it.
    pub(crate) fn send_stamped(&mut self, data: &[u8], (pts, dts): (i64, i64), key: bool) -> Result<(), Cause> {
        let size = i32::try_from(data.len()).map_err(|_| OUT_OF_MEMORY)?;
        let packet = self.packet.0.as_ptr();
        // SAFETY: our packet, empty; FFmpeg allocates `size` bytes and the padding, or says that it cannot; fresh memory does not overlap.
        unsafe {
            check(ffi::av_new_packet(packet, size))?;
            ptr::copy_nonoverlapping(data.as_ptr(), (*packet).data, data.len());
            (*packet).pts = pts;
            (*packet).dts = dts;
            (*packet).flags |= if key { ffi::AV_PKT_FLAG_KEY } else { 0 };
            let sent = ffi::avcodec_send_packet(self.context.as_ptr(), packet);
            ffi::av_packet_unref(packet);
            check(sent)?;
        }
        Ok(())
    }

    /// Says that nothing more will come: what a coder still holds can then be received.
    pub(crate) fn send_end(&mut self, encoder: bool) -> Result<(), Cause> {
        // SAFETY: an open coder; null means the end to both.
        check(unsafe {
            match encoder {
                true => ffi::avcodec_send_frame(self.context.as_ptr(), ptr::null()),
                false => ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()),
            }
        })?;
        Ok(())
    }

    /// Forgets all that went in, so that a decoder can start anew.
    pub(crate) fn reset(&mut self) {
        // SAFETY: an open decoder.
        unsafe { ffi::avcodec_flush_buffers(self.context.as_ptr()) };
    }

    pub(in crate::coder) fn send_frame(&mut self, frame: &Frame) -> Result<(), Cause> {
        // SAFETY: an open encoder, and a frame that it takes its own references of.
        check(unsafe { ffi::avcodec_send_frame(self.context.as_ptr(), frame.as_ptr()) })?;
        Ok(())
    }

    pub(crate) fn receive_frame(&mut self) -> Result<Received<Frame>, Cause> {
        let mut frame = Frame::empty()?;
        // SAFETY: an open decoder, and an empty frame of ours.
        match unsafe { ffi::avcodec_receive_frame(self.context.as_ptr(), frame.mut_ptr()) } {
            code if nothing_yet(code) => Ok(Received::Nothing),
            code => check(code).map(|_| Received::One(frame)),
        }
    }

    pub(in crate::coder) fn receive_packet(&mut self) -> Result<Received<EncodedPacket>, Cause> {
        let packet = self.packet.0.as_ptr();
        // SAFETY: an open encoder, and an empty packet of ours.
        match unsafe { ffi::avcodec_receive_packet(self.context.as_ptr(), packet) } {
            code if nothing_yet(code) => return Ok(Received::Nothing),
            code => check(code)?,
        };
        // SAFETY: a packet that was received holds `size` bytes; they are copied before it is emptied.
        let (data, pts, key) = unsafe {
            let p = &*packet;
            let data = match usize::try_from(p.size) {
                Ok(size) if size > 0 => Bytes::copy_from_slice(std::slice::from_raw_parts(p.data, size)),
                _ => Bytes::new(),
            };
            (data, p.pts, p.flags & ffi::AV_PKT_FLAG_KEY != 0)
        };
        // SAFETY: our packet.
        unsafe { ffi::av_packet_unref(packet) };
        Ok(Received::One(EncodedPacket { data, pts, key }))
    }
}

fn nothing_yet(code: i32) -> bool {
    code == ffi::AVERROR(ffmpeg_next::error::EAGAIN) || code == ffi::AVERROR_EOF
}

type Job = unsafe extern "C" fn(*mut ffi::AVCodecContext, *mut c_void, i32, i32) -> i32;

/// What FFmpeg does by default on one thread, but notes when a job fails: the VP8 decoder says so only there when its data has
/// come to an end too early.
unsafe extern "C" fn run_jobs(
    context: *mut ffi::AVCodecContext,
    job: Option<Job>,
    argument: *mut c_void,
    results: *mut i32,
    count: i32,
) -> i32 {
    let Some(job) = job else { return 0 };
    for i in 0..count {
        // SAFETY: FFmpeg's own function with FFmpeg's own arguments, which has it called for 0 to count; `results`, if any, has room
        // for as many; `opaque` points to the flag of the CodecContext that owns this context, and outlives it.
        unsafe {
            let result = job(context, argument, i, 0);
            if !results.is_null() {
                *results.add(i as usize) = result;
            }
            if result < 0 {
                (*(*context).opaque.cast::<AtomicBool>()).store(true, Ordering::Relaxed);
            }
        }
    }
    0
}

impl Drop for CodecContext {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::avcodec_free_context(&mut context) };
    }
}
