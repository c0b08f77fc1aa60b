//! A muxer.

use super::io::Io;
use super::{Channel, Dictionary, OUT_OF_MEMORY, Packet, Parameters, check};
use crate::coder::Cause;
use ffmpeg_next::ffi;
use rivero_engine::Codec;
use std::ffi::CStr;
use std::io;
use std::ptr::{self, NonNull};

/// What a muxer is told of a stream.
pub(in crate::film) struct OutputStream<'a> {
    pub codec: Codec,
    /// Parameter sets in byte-stream format for H.264 and H.265, a sequence header for AV1, else as the decoder wants it.
    pub config: &'a [u8],
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Hz
    pub rate: u32,
    pub channels: u8,
    /// Samples at the beginning that are not to be heard.
    pub padding: u32,
    /// Samples in a packet, where that is always the same.
    pub frame_size: u32,
    /// The codec's own number for it.
    pub profile: i32,
}

/// Owns the muxer and what it writes to.
pub(in crate::film) struct Output {
    context: NonNull<ffi::AVFormatContext>,
    io: Io,
    begun: bool,
}

// SAFETY: a muxer may be used by any thread, by one at a time, which `&mut self` sees to.
unsafe impl Send for Output {}

impl Output {
    /// Writes the header, and hands it to the channel.
    pub(in crate::film) fn begin(
        format: &CStr,
        channel: Channel,
        streams: &[OutputStream<'_>],
        options: &[(&CStr, &str)],
    ) -> Result<Self, (Cause, Option<io::Error>)> {
        super::set_up();
        let plain = |cause| (cause, None);
        let io = Io::new(channel, None).map_err(plain)?;
        let mut context = ptr::null_mut();
        // SAFETY: the name is a C string; the context is returned through the pointer.
        check(unsafe { ffi::avformat_alloc_output_context2(&mut context, ptr::null(), format.as_ptr(), ptr::null()) })
            .map_err(plain)?;
        let context = NonNull::new(context).ok_or(plain(OUT_OF_MEMORY))?;
        let mut output = Output { context, io, begun: false };
        // SAFETY: ours, and nobody else uses it; the IO context outlives it.
        unsafe {
            let c = output.context.as_mut();
            c.pb = output.io.as_ptr();
            c.flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        for stream in streams {
            output.add(stream).map_err(plain)?;
        }
        let mut dictionary = Dictionary::new();
        for (name, value) in options {
            dictionary.set(name, value).map_err(plain)?;
        }
        // SAFETY: all that the muxer wants is set; it checks it. The dictionary is ours before and after.
        let begun = check(unsafe { ffi::avformat_write_header(output.context.as_ptr(), &mut dictionary.0) });
        // SAFETY: ours; null is allowed.
        debug_assert_eq!(unsafe { ffi::av_dict_count(dictionary.0) }, 0, "an option that the muxer does not have");
        match begun {
            Ok(_) => output.begun = true,
            Err(cause) => return Err((cause, output.io.take_error())),
        }
        // By itself, so that what is written next begins with a fragment's head where the format has fragments.
        match output.io.flush() {
            Ok(()) => Ok(output),
            Err(cause) => Err((cause, output.io.take_error())),
        }
    }

    fn add(&mut self, described: &OutputStream<'_>) -> Result<(), Cause> {
        let mut parameters = Parameters::empty()?;
        parameters.describe(described.codec);
        parameters.set_config(described.config)?;
        let p = parameters.get_mut();
        p.profile = described.profile;
        p.width = i32::try_from(described.width).map_err(|_| OUT_OF_MEMORY)?;
        p.height = i32::try_from(described.height).map_err(|_| OUT_OF_MEMORY)?;
        p.sample_rate = i32::try_from(described.rate).map_err(|_| OUT_OF_MEMORY)?;
        p.initial_padding = described.padding as i32;
        p.frame_size = described.frame_size as i32;
        if described.width > 0 {
            p.format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32;
        }
        // SAFETY: the layout is part of our parameters and has not been set before; then a fresh stream of our muxer takes a copy.
        unsafe {
            if described.channels > 0 {
                ffi::av_channel_layout_default(&mut p.ch_layout, i32::from(described.channels));
            }
            let stream = ffi::avformat_new_stream(self.context.as_ptr(), ptr::null()).as_mut().ok_or(OUT_OF_MEMORY)?;
            check(ffi::avcodec_parameters_copy(stream.codecpar, parameters.as_ptr()))?;
            stream.time_base = match described.rate {
                0 => ffi::AVRational { num: 1, den: 90_000 },
                rate => ffi::AVRational { num: 1, den: rate as i32 },
            };
        }
        Ok(())
    }

    /// The time base that the muxer chose, as a ratio of seconds.
    pub(in crate::film) fn time_base(&self, stream: usize) -> (i32, i32) {
        // SAFETY: valid as long as self; the index is checked.
        unsafe {
            let c = self.context.as_ref();
            match stream < c.nb_streams as usize {
                true => ((**c.streams.add(stream)).time_base.num, (**c.streams.add(stream)).time_base.den),
                false => (1, 1000),
            }
        }
    }

    /// Times in the stream's time base; decoding times strictly increase within a stream.
    pub(in crate::film) fn write(
        &mut self,
        stream: usize,
        data: &[u8],
        (pts, dts, duration): (i64, i64, i64),
        key: bool,
        new_config: Option<&[u8]>,
    ) -> Result<(), Cause> {
        let mut packet = Packet::of(data)?;
        if let Some(config) = new_config {
            packet.set_new_config(config)?;
        }
        let p = packet.get_mut();
        p.stream_index = stream as i32;
        (p.pts, p.dts, p.duration) = (pts, dts, duration);
        if key {
            p.flags |= ffi::AV_PKT_FLAG_KEY;
        }
        // SAFETY: a muxer that has begun, and a packet with memory of its own.
        check(unsafe { ffi::av_write_frame(self.context.as_ptr(), packet.as_ptr()) })?;
        Ok(())
    }

    /// Closes what the muxer has open (a cluster, a fragment), and hands it all to the channel.
    pub(in crate::film) fn flush(&mut self) -> Result<(), Cause> {
        // SAFETY: a muxer that has begun; null means this.
        check(unsafe { ffi::av_write_frame(self.context.as_ptr(), ptr::null_mut()) })?;
        self.io.flush()
    }

    /// Changes an option of the muxer itself while it runs.
    pub(in crate::film) fn set(&mut self, name: &CStr, value: &CStr) -> Result<(), Cause> {
        // SAFETY: a muxer that has begun has its own options behind priv_data; names and values are C strings, and checked.
        check(unsafe { ffi::av_opt_set(self.context.as_ref().priv_data, name.as_ptr(), value.as_ptr(), 0) })?;
        Ok(())
    }

    /// Writes what a format has at its end, and what is known only now at its beginning. To be called once.
    pub(in crate::film) fn end(&mut self) -> Result<(), Cause> {
        self.begun = false;
        // SAFETY: a muxer that has begun and has not ended.
        let ended = check(unsafe { ffi::av_write_trailer(self.context.as_ptr()) }).map(|_| ());
        let flushed = self.io.flush();
        ended.and(flushed)
    }

    pub(in crate::film) fn take_error(&mut self) -> Option<io::Error> {
        self.io.take_error()
    }

    /// Bytes.
    pub(in crate::film) fn written(&self) -> u64 {
        self.io.written()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: ours. A muxer that has begun and is not ended keeps memory that only its deinit frees, which this calls; the IO
        // context is not the muxer's, and is dropped after this.
        unsafe { ffi::avformat_free_context(self.context.as_ptr()) };
    }
}
