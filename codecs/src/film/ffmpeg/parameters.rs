//! AVCodecParameters: what a stream is; and a decoder for whatever that may be.

use super::{NANOS, OUT_OF_MEMORY, check};
use crate::coder::Cause;
use crate::coder::ffmpeg::{CodecContext, Frame, Received};
use crate::film::FilmError;
use ffmpeg_next::ffi::{self, AVCodecID::*, AVMediaType::*, AVPixelFormat::*};
use rivero_engine::{Codec, MediaKind};
use std::ffi::CStr;
use std::ptr::NonNull;

/// Owns a copy.
pub(in crate::film) struct Parameters(NonNull<ffi::AVCodecParameters>);

// SAFETY: plain memory that belongs to nobody else.
unsafe impl Send for Parameters {}
// SAFETY: through a shared reference it is only read.
unsafe impl Sync for Parameters {}

/// FFmpeg's codings that have a word in this house.
const KNOWN: [(ffi::AVCodecID, Codec); 19] = [
    (AV_CODEC_ID_OPUS, Codec::Opus),
    (AV_CODEC_ID_PCM_MULAW, Codec::Pcmu),
    (AV_CODEC_ID_PCM_ALAW, Codec::Pcma),
    (AV_CODEC_ID_ADPCM_G722, Codec::G722),
    (AV_CODEC_ID_VP8, Codec::Vp8),
    (AV_CODEC_ID_VP9, Codec::Vp9),
    (AV_CODEC_ID_AV1, Codec::Av1),
    (AV_CODEC_ID_H264, Codec::H264),
    (AV_CODEC_ID_HEVC, Codec::H265),
    (AV_CODEC_ID_H263, Codec::H263),
    (AV_CODEC_ID_H263P, Codec::H263),
    (AV_CODEC_ID_MJPEG, Codec::Mjpeg),
    (AV_CODEC_ID_SPEEX, Codec::Speex),
    (AV_CODEC_ID_GSM, Codec::Gsm),
    (AV_CODEC_ID_AMR_NB, Codec::AmrNb),
    (AV_CODEC_ID_AMR_WB, Codec::AmrWb),
    (AV_CODEC_ID_AAC, Codec::Aac),
    (AV_CODEC_ID_MP3, Codec::Mp3),
    (AV_CODEC_ID_VORBIS, Codec::Vorbis),
];

impl Parameters {
    pub(super) fn empty() -> Result<Self, Cause> {
        // SAFETY: returns fresh parameters or null.
        NonNull::new(unsafe { ffi::avcodec_parameters_alloc() }).map(Parameters).ok_or(OUT_OF_MEMORY)
    }

    /// # Safety
    /// `from` is valid for reading.
    pub(super) unsafe fn copy(from: *const ffi::AVCodecParameters) -> Result<Self, Cause> {
        let made = Self::empty()?;
        // SAFETY: the target is ours; the source is as the caller says.
        check(unsafe { ffi::avcodec_parameters_copy(made.0.as_ptr(), from) })?;
        Ok(made)
    }

    pub(super) fn as_ptr(&self) -> *const ffi::AVCodecParameters {
        self.0.as_ptr()
    }

    fn get(&self) -> &ffi::AVCodecParameters {
        // SAFETY: valid as long as self.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn get_mut(&mut self) -> &mut ffi::AVCodecParameters {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { self.0.as_mut() }
    }

    /// Of sound and pictures only.
    pub(in crate::film) fn kind(&self) -> Option<MediaKind> {
        match self.get().codec_type {
            AVMEDIA_TYPE_AUDIO => Some(MediaKind::Audio),
            AVMEDIA_TYPE_VIDEO => Some(MediaKind::Video),
            _ => None,
        }
    }

    pub(in crate::film) fn codec(&self) -> Option<Codec> {
        let id = self.get().codec_id;
        KNOWN.iter().find(|(known, _)| *known == id).map(|(_, codec)| *codec)
    }

    /// Whether pictures have eight bits a sample and half the colour in both directions, as far as that is known.
    pub(in crate::film) fn is_plain(&self) -> bool {
        // FFmpeg's `format` is a number of its own where nothing is known.
        let plain = [AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVA420P];
        plain.iter().any(|format| *format as i32 == self.get().format)
    }

    /// FFmpeg's name of the coding.
    pub(in crate::film) fn coding(&self) -> &'static str {
        // SAFETY: answers with constant text, whatever it is asked.
        unsafe { CStr::from_ptr(ffi::avcodec_get_name(self.get().codec_id)) }.to_str().unwrap_or("unknown")
    }

    pub(in crate::film) fn config(&self) -> &[u8] {
        let p = self.get();
        match usize::try_from(p.extradata_size) {
            // SAFETY: so many bytes belong to the parameters.
            Ok(size) if size > 0 && !p.extradata.is_null() => unsafe { std::slice::from_raw_parts(p.extradata, size) },
            _ => &[],
        }
    }

    /// At most 1 MiB.
    pub(in crate::film) fn set_config(&mut self, config: &[u8]) -> Result<(), Cause> {
        let size = i32::try_from(config.len()).ok().filter(|&n| n <= 1 << 20).ok_or(OUT_OF_MEMORY)?;
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        let p = self.get_mut();
        // SAFETY: what is there is ours or null; what takes its place is fresh, zeroed, with the padding that FFmpeg asks for, and
        // freed by FFmpeg with the parameters.
        unsafe {
            ffi::av_freep((&raw mut p.extradata).cast());
            p.extradata_size = 0;
            let memory = ffi::av_mallocz(config.len() + padding).cast::<u8>();
            if memory.is_null() {
                return Err(OUT_OF_MEMORY);
            }
            std::ptr::copy_nonoverlapping(config.as_ptr(), memory, config.len());
            p.extradata = memory;
            p.extradata_size = size;
        }
        Ok(())
    }

    /// Pixels.
    pub(in crate::film) fn size(&self) -> (u32, u32) {
        (self.get().width.max(0) as u32, self.get().height.max(0) as u32)
    }

    /// Frames by which decoding goes ahead of showing, where the stream says so.
    pub(in crate::film) fn delay(&self) -> u32 {
        self.get().video_delay.max(0) as u32
    }

    /// Hz
    pub(in crate::film) fn rate(&self) -> u32 {
        self.get().sample_rate.max(0) as u32
    }

    pub(in crate::film) fn channels(&self) -> u8 {
        u8::try_from(self.get().ch_layout.nb_channels).unwrap_or(0)
    }

    /// What a coding of its own says: fills in the basics for a muxer.
    pub(super) fn describe(&mut self, codec: Codec) {
        let p = self.get_mut();
        p.codec_type = match codec.kind() {
            MediaKind::Audio => AVMEDIA_TYPE_AUDIO,
            _ => AVMEDIA_TYPE_VIDEO,
        };
        p.codec_id = KNOWN.iter().find(|(_, known)| *known == codec).map_or(AV_CODEC_ID_NONE, |(id, _)| *id);
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        let mut parameters = self.0.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::avcodec_parameters_free(&mut parameters) };
    }
}

/// FFmpeg's own decoder for a stream, whatever its coding.
pub(in crate::film) struct StreamDecoder(CodecContext);

impl StreamDecoder {
    /// For pictures of at most so many pixels.
    pub(in crate::film) fn new(parameters: &Parameters, most_pixels: i64) -> Result<Self, FilmError> {
        let missing = || FilmError::Unsupported(parameters.coding().to_owned());
        // SAFETY: the result is constant or null, and its name is constant text.
        let name = unsafe {
            let codec = ffi::avcodec_find_decoder(parameters.get().codec_id);
            CStr::from_ptr(codec.as_ref().ok_or_else(missing)?.name)
        };
        let failed = |source| FilmError::Failed { what: "opening a decoder", source };
        let mut context = CodecContext::decoder(name).ok_or_else(missing)?.map_err(failed)?;
        // SAFETY: a fresh context that is not open yet, and parameters of ours, which are only read.
        unsafe {
            let c = context.as_mut_ptr();
            check(ffi::avcodec_parameters_to_context(c, parameters.as_ptr())).map_err(failed)?;
            (*c).pkt_timebase = NANOS;
            (*c).max_pixels = most_pixels;
        }
        context.open(&[]).map_err(|source| FilmError::Invalid { source })?;
        Ok(StreamDecoder(context))
    }

    /// Both times in nanoseconds; `key`: it rests on nothing before it.
    pub(in crate::film) fn send(&mut self, data: &[u8], pts: Option<i64>, dts: i64, key: bool) -> Result<(), Cause> {
        self.0.send_stamped(data, (pts.unwrap_or(ffi::AV_NOPTS_VALUE), dts), key)
    }

    pub(in crate::film) fn send_end(&mut self) -> Result<(), Cause> {
        self.0.send_end(false)
    }

    pub(in crate::film) fn reset(&mut self) {
        self.0.reset();
    }

    /// The next frame, and when FFmpeg thinks that it is to be shown, in nanoseconds.
    pub(in crate::film) fn receive(&mut self) -> Result<Option<(Frame, Option<i64>)>, Cause> {
        let Received::One(frame) = self.0.receive_frame()? else { return Ok(None) };
        // SAFETY: a frame of ours, which is only read.
        let time = unsafe { (*frame.as_ptr()).best_effort_timestamp };
        Ok(Some((frame, (time != ffi::AV_NOPTS_VALUE).then_some(time))))
    }
}
