//! An AVFrame, and its planes as shared bytes.

use super::{OUT_OF_MEMORY, check};
use crate::coder::Cause;
use bytes::Bytes;
use ffmpeg_next::ffi;
use rivero_engine::{MediaTime, Picture, Plane};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes that FFmpeg's vector code may read behind the last sample of a plane.
const OVERREAD: usize = 64;

/// Owns one AVFrame and its references to buffers.
pub(crate) struct Frame(NonNull<ffi::AVFrame>);

// SAFETY: an AVFrame belongs to nobody else; the buffers that it refers to are counted atomically.
unsafe impl Send for Frame {}
// SAFETY: through a shared reference, fields and buffers are only read.
unsafe impl Sync for Frame {}

/// How samples lie in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::coder) enum SampleLayout {
    S16,
    S16Planar,
    FloatPlanar,
}

impl SampleLayout {
    pub(super) fn format(self) -> ffi::AVSampleFormat {
        match self {
            SampleLayout::S16 => ffi::AVSampleFormat::AV_SAMPLE_FMT_S16,
            SampleLayout::S16Planar => ffi::AVSampleFormat::AV_SAMPLE_FMT_S16P,
            SampleLayout::FloatPlanar => ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP,
        }
    }
}

impl Frame {
    pub(super) fn empty() -> Result<Self, Cause> {
        // SAFETY: returns a fresh frame or null.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(Frame).ok_or(OUT_OF_MEMORY)
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::AVFrame {
        self.0.as_ptr()
    }

    pub(super) fn mut_ptr(&mut self) -> *mut ffi::AVFrame {
        self.0.as_ptr()
    }

    fn get(&self) -> &ffi::AVFrame {
        // SAFETY: valid as long as self, and nobody changes it while self is borrowed.
        unsafe { self.0.as_ref() }
    }

    fn get_mut(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { self.0.as_mut() }
    }

    /// A picture with memory of its own, contents undefined until written.
    pub(super) fn blank_picture(format: ffi::AVPixelFormat, width: u32, height: u32) -> Result<Self, Cause> {
        let mut frame = Self::empty()?;
        let f = frame.get_mut();
        f.format = format as i32;
        f.width = i32::try_from(width).map_err(|_| OUT_OF_MEMORY)?;
        f.height = i32::try_from(height).map_err(|_| OUT_OF_MEMORY)?;
        // SAFETY: format and size are set, as this call wants; it checks them.
        check(unsafe { ffi::av_frame_get_buffer(f, 0) })?;
        Ok(frame)
    }

    /// The picture's own bytes under a frame, without a copy. The picture has been checked: each plane holds all of its rows.
    /// Its size may be given smaller than it is: right and bottom are then cut off.
    pub(in crate::coder) fn around(picture: &Picture, width: u32, height: u32) -> Result<Self, Cause> {
        let mut frame = Self::empty()?;
        let f = frame.get_mut();
        f.format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32;
        f.width = i32::try_from(width).map_err(|_| OUT_OF_MEMORY)?;
        f.height = i32::try_from(height).map_err(|_| OUT_OF_MEMORY)?;
        f.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
        for (i, plane) in picture.planes.iter().enumerate() {
            let owner = Box::into_raw(Box::new(plane.data.clone()));
            let data = plane.data.as_ptr().cast_mut();
            f.linesize[i] = i32::try_from(plane.stride).map_err(|_| OUT_OF_MEMORY)?;
            // SAFETY: data and length are those of the Bytes in `owner`, which lives until `release`; marked read-only, so that
            // FFmpeg copies before it would write.
            let buffer = unsafe {
                ffi::av_buffer_create(data, plane.data.len(), Some(release), owner.cast(), ffi::AV_BUFFER_FLAG_READONLY)
            };
            if buffer.is_null() {
                // SAFETY: FFmpeg did not take it: still ours, and of the type that it was made of.
                drop(unsafe { Box::from_raw(owner) });
                return Err(OUT_OF_MEMORY);
            }
            f.data[i] = data;
            f.buf[i] = buffer;
        }
        Ok(frame)
    }

    /// The same for readers that look some bytes past the end: a picture whose memory ends with its last sample is copied.
    pub(in crate::coder) fn around_with_room(picture: &Picture) -> Result<Self, Cause> {
        let roomy = (0..3).all(|i| {
            let ((wide, high), plane) = (picture.plane_size(i), &picture.planes[i]);
            plane.data.len() >= plane.stride * (high as usize - 1) + wide as usize + OVERREAD
        });
        if roomy {
            return Self::around(picture, picture.width, picture.height);
        }
        let mut frame = Self::blank_picture(ffi::AVPixelFormat::AV_PIX_FMT_YUV420P, picture.width, picture.height)?;
        let f = frame.get_mut();
        f.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
        for (i, plane) in picture.planes.iter().enumerate() {
            let (wide, high) = picture.plane_size(i);
            for row in 0..high as usize {
                let from = &plane.data[row * plane.stride..][..wide as usize];
                // SAFETY: fresh memory of our own, of `high` rows `linesize` apart, each at least `wide` bytes long.
                unsafe {
                    let to = f.data[i].offset(f.linesize[i] as isize * row as isize);
                    std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
                }
            }
        }
        Ok(frame)
    }

    /// Sound: `samples` interleaved, laid out as the coder wants them.
    pub(in crate::coder) fn of_samples(
        layout: SampleLayout,
        rate: u32,
        channels: u8,
        samples: &[i16],
    ) -> Result<Self, Cause> {
        let count = samples.len() / usize::from(channels.max(1));
        let mut frame = Self::empty()?;
        let f = frame.get_mut();
        f.format = layout.format() as i32;
        f.nb_samples = i32::try_from(count).map_err(|_| OUT_OF_MEMORY)?;
        f.sample_rate = rate as i32;
        // SAFETY: the layout is part of our frame, empty so far; then all that the second call wants is set, and it checks it.
        check(unsafe {
            ffi::av_channel_layout_default(&mut f.ch_layout, i32::from(channels));
            ffi::av_frame_get_buffer(f, 0)
        })?;
        let wide = usize::from(channels);
        match layout {
            SampleLayout::S16 => {
                // SAFETY: the buffer was just allocated for count x channels samples of 16 bits, aligned, and is ours alone.
                let to = unsafe { std::slice::from_raw_parts_mut(f.data[0].cast::<i16>(), count * wide) };
                to.copy_from_slice(&samples[..count * wide]);
            }
            SampleLayout::S16Planar => {
                for channel in 0..wide.min(f.data.len()) {
                    // SAFETY: one plane a channel, of count samples of 16 bits; at most eight channels, as many as `data` has.
                    let to = unsafe { std::slice::from_raw_parts_mut(f.data[channel].cast::<i16>(), count) };
                    to.iter_mut().zip(samples.iter().skip(channel).step_by(wide)).for_each(|(to, from)| *to = *from);
                }
            }
            SampleLayout::FloatPlanar => {
                for channel in 0..wide.min(f.data.len()) {
                    // SAFETY: as above, with samples of 32 bits.
                    let to = unsafe { std::slice::from_raw_parts_mut(f.data[channel].cast::<f32>(), count) };
                    let from = samples.iter().skip(channel).step_by(wide);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::from(*from) / 32768.0);
                }
            }
        }
        Ok(frame)
    }

    pub(in crate::coder) fn set_pts(&mut self, pts: i64) {
        self.get_mut().pts = pts;
    }

    /// The encoder is to make a key frame of this picture, or to choose by itself.
    pub(in crate::coder) fn set_key(&mut self, key: bool) {
        use ffi::AVPictureType::{AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE};
        self.get_mut().pict_type = if key { AV_PICTURE_TYPE_I } else { AV_PICTURE_TYPE_NONE };
    }

    pub(in crate::coder) fn pts(&self) -> Option<i64> {
        let pts = self.get().pts;
        (pts != ffi::AV_NOPTS_VALUE).then_some(pts)
    }

    pub(in crate::coder) fn is_key(&self) -> bool {
        self.get().key_frame != 0
    }

    /// Whether the decoder found fault with the data, or painted over what was missing.
    pub(in crate::coder) fn is_damaged(&self) -> bool {
        self.get().flags & ffi::AV_FRAME_FLAG_CORRUPT != 0 || self.get().decode_error_flags != 0
    }

    /// Pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.get().width.max(0) as u32, self.get().height.max(0) as u32)
    }

    pub(super) fn full_range(&self) -> bool {
        self.get().color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG
    }

    pub(super) fn pixel_format(&self) -> ffi::AVPixelFormat {
        // SAFETY: a picture's format is one of the enum's values: the bindings are made from the headers of the library that set it.
        unsafe { std::mem::transmute::<i32, ffi::AVPixelFormat>(self.get().format) }
    }

    pub(super) fn sample_format(&self) -> ffi::AVSampleFormat {
        // SAFETY: as above, for sound.
        unsafe { std::mem::transmute::<i32, ffi::AVSampleFormat>(self.get().format) }
    }

    /// Samples of one channel.
    pub(crate) fn samples(&self) -> usize {
        self.get().nb_samples.max(0) as usize
    }

    /// Hz
    pub(crate) fn rate(&self) -> u32 {
        self.get().sample_rate.max(0) as u32
    }

    pub(crate) fn channels(&self) -> u8 {
        u8::try_from(self.get().ch_layout.nb_channels).unwrap_or(0)
    }

    /// Whether its planes are I420 in the studio's range, top row first: what [`Frame::into_picture`] takes.
    pub(crate) fn is_i420(&self) -> bool {
        let f = self.get();
        f.format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32
            && !self.full_range()
            && f.linesize[..3].iter().all(|&stride| stride > 0)
    }

    /// Shares the planes; the frame lives as long as any of them. None if the frame's buffers do not hold its rows.
    pub(crate) fn into_picture(self, at: MediaTime) -> Option<Picture> {
        let (width, height) = self.size();
        let whole = Arc::new(self);
        let plane = |i: usize| {
            let (wide, high) = if i == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
            let stride = usize::try_from(whole.get().linesize[i]).ok()?;
            let start = whole.get().data[i];
            let room = whole.room_behind(start)?;
            let least = stride * (high as usize).checked_sub(1)? + wide as usize;
            let len = room.min(stride * high as usize + OVERREAD);
            if len < least || stride < wide as usize {
                return None;
            }
            Some(Plane { data: Bytes::from_owner(FramePart { frame: whole.clone(), start, len }), stride })
        };
        Some(Picture { width, height, planes: [plane(0)?, plane(1)?, plane(2)?], at })
    }

    /// Bytes from `start` to the end of the buffer that holds it.
    fn room_behind(&self, start: *const u8) -> Option<usize> {
        self.get().buf.iter().take_while(|buffer| !buffer.is_null()).find_map(|&buffer| {
            // SAFETY: a reference to a buffer that this frame owns.
            let (data, size) = unsafe { ((*buffer).data as usize, (*buffer).size) };
            let offset = (start as usize).checked_sub(data)?;
            size.checked_sub(offset).filter(|&room| room > 0)
        })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::av_frame_free(&mut frame) };
    }
}

/// Part of a frame's memory; keeps the frame.
struct FramePart {
    frame: Arc<Frame>,
    start: *const u8,
    len: usize,
}

// SAFETY: `start` points into a buffer that `frame` holds; it is only read, and the frame itself may cross threads.
unsafe impl Send for FramePart {}

impl AsRef<[u8]> for FramePart {
    fn as_ref(&self) -> &[u8] {
        debug_assert!(Arc::strong_count(&self.frame) > 0);
        // SAFETY: `start` and `len` lie within a buffer that `frame` keeps alive, checked when this was made. Decoders read
        // pictures that they have given away, and never write to them: they take another buffer while a reference exists.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

unsafe extern "C" fn release(owner: *mut c_void, _data: *mut u8) {
    // SAFETY: FFmpeg calls this once, with the box that was handed over at creation.
    drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
}
