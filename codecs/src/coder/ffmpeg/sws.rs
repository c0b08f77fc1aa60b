//! swscale: a picture in another size, pixel format or range.

use super::{Frame, OUT_OF_MEMORY, check};
use crate::coder::Cause;
use ffmpeg_next::ffi::{self, AVPixelFormat, AVPixelFormat::*};
use std::ptr::{self, NonNull};

/// Format, width, height, full range.
type Form = (AVPixelFormat, u32, u32, bool);

/// Keeps the tables for the conversion that it did last.
#[derive(Default)]
pub(crate) struct PictureConverter(Option<(Form, Form, Tables)>);

struct Tables(NonNull<ffi::SwsContext>);

// SAFETY: used by one thread at a time, as only `&mut` reaches it.
unsafe impl Send for Tables {}

impl PictureConverter {
    /// To I420 of this size, in the studio's range or the full one.
    pub(crate) fn make_i420(
        &mut self,
        from: &Frame,
        width: u32,
        height: u32,
        full_range: bool,
    ) -> Result<Frame, Cause> {
        let (wide, high) = from.size();
        let (format, full) = plain(from.pixel_format(), from.full_range());
        let source = (format, wide, high, full);
        let target = (AV_PIX_FMT_YUV420P, width, height, full_range);
        if !matches!(&self.0, Some((s, t, _)) if *s == source && *t == target) {
            self.0 = None;
            self.0 = Some((source, target, Tables::new(source, target)?));
        }
        let tables = &self.0.as_ref().expect("just made").2;
        let mut to = Frame::blank_picture(AV_PIX_FMT_YUV420P, width, height)?;
        // SAFETY: the tables are for a source and a target of exactly these formats and sizes; the target's memory is ours alone.
        unsafe {
            let (f, t) = (&*from.as_ptr(), &mut *to.mut_ptr());
            check(ffi::sws_scale(
                tables.0.as_ptr(),
                f.data.as_ptr().cast(),
                f.linesize.as_ptr(),
                0,
                high as i32,
                t.data.as_ptr().cast(),
                t.linesize.as_ptr(),
            ))?;
            t.pts = f.pts;
            t.color_range =
                if full_range { ffi::AVColorRange::AVCOL_RANGE_JPEG } else { ffi::AVColorRange::AVCOL_RANGE_MPEG };
        }
        Ok(to)
    }
}

impl Tables {
    fn new(source: Form, target: Form) -> Result<Self, Cause> {
        // SAFETY: returns a fresh context or null.
        let tables = NonNull::new(unsafe { ffi::sws_alloc_context() }).map(Tables).ok_or(OUT_OF_MEMORY)?;
        let range = |full: bool| i64::from(full);
        // The ranges must be known before the start: without them, equal formats are only copied.
        for (name, value) in [
            (c"srcw", i64::from(source.1)),
            (c"srch", i64::from(source.2)),
            (c"src_format", source.0 as i64),
            (c"src_range", range(source.3)),
            (c"dstw", i64::from(target.1)),
            (c"dsth", i64::from(target.2)),
            (c"dst_format", target.0 as i64),
            (c"dst_range", range(target.3)),
            (c"sws_flags", i64::from(ffi::SWS_BILINEAR)),
        ] {
            // SAFETY: a context that is not initialised yet takes options by name; values are checked.
            check(unsafe { ffi::av_opt_set_int(tables.0.as_ptr().cast(), name.as_ptr(), value, 0) })?;
        }
        // SAFETY: a fresh context with its options set; no filters of our own.
        check(unsafe { ffi::sws_init_context(tables.0.as_ptr(), ptr::null_mut(), ptr::null_mut()) })?;
        Ok(tables)
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { ffi::sws_freeContext(self.0.as_ptr()) };
    }
}

/// The formats whose names imply the full range, by their plain names.
fn plain(format: AVPixelFormat, full_range: bool) -> (AVPixelFormat, bool) {
    match format {
        AV_PIX_FMT_YUVJ420P => (AV_PIX_FMT_YUV420P, true),
        AV_PIX_FMT_YUVJ422P => (AV_PIX_FMT_YUV422P, true),
        AV_PIX_FMT_YUVJ444P => (AV_PIX_FMT_YUV444P, true),
        AV_PIX_FMT_YUVJ440P => (AV_PIX_FMT_YUV440P, true),
        AV_PIX_FMT_YUVJ411P => (AV_PIX_FMT_YUV411P, true),
        other => (other, full_range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::MediaTime;

    /// One colour in 40x30 pixels; samples of more than eight bits have two bytes.
    fn filled(format: AVPixelFormat, values: [u16; 3], wide: bool) -> Frame {
        let mut frame = Frame::blank_picture(format, 40, 30).unwrap();
        for (plane, value) in values.into_iter().enumerate() {
            // SAFETY: fresh memory of our own: each plane that there is has linesize bytes a row, and at least as many rows as I420.
            unsafe {
                let f = &mut *frame.mut_ptr();
                let rows = if plane == 0 || f.linesize[plane] == f.linesize[0] { 30 } else { 15 };
                let bytes = std::slice::from_raw_parts_mut(f.data[plane], f.linesize[plane] as usize * rows);
                for pair in bytes.chunks_exact_mut(2) {
                    let narrow = [value as u8; 2];
                    pair.copy_from_slice(if wide { value.to_le_bytes() } else { narrow }.as_slice());
                }
            }
        }
        frame
    }

    #[test]
    fn other_formats_become_i420_in_the_studio_range() {
        for (format, values, wide, expected) in [
            (AV_PIX_FMT_YUV444P, [100, 90, 200], false, [100, 90, 200]),
            (AV_PIX_FMT_YUV420P10LE, [400, 360, 800], true, [100, 90, 200]),
            (AV_PIX_FMT_YUV444P10LE, [400, 360, 800], true, [100, 90, 200]),
            // 0 to 255 become 16 to 235, or 240 for colour.
            (AV_PIX_FMT_YUVJ420P, [255, 128, 255], false, [235, 128, 240]),
            (AV_PIX_FMT_YUVJ444P, [0, 128, 128], false, [16, 128, 128]),
        ] {
            let frame = filled(format, values, wide);
            assert!(!frame.is_i420(), "{format:?}");
            let made = PictureConverter::default().make_i420(&frame, 40, 30, false).unwrap();
            assert!(made.is_i420(), "{format:?}");
            let picture = made.into_picture(MediaTime::ZERO).unwrap();
            for (plane, expected) in expected.into_iter().enumerate() {
                let is = i32::from(picture.planes[plane].data[picture.planes[plane].stride * 5 + 5]);
                assert!((is - expected).abs() <= 1, "{format:?} {plane}: {is} for {expected}");
            }
        }
    }
}
