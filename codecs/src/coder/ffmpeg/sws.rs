//! swscale: a picture in another size, pixel format or range.

use super::{Frame, OUT_OF_MEMORY, check};
use crate::coder::Cause;
use ffmpeg_next::ffi::{self, AVPixelFormat, AVPixelFormat::*};
use std::ptr::{self, NonNull};

/// Format, width, height, full range.
type Form = (AVPixelFormat, u32, u32, bool);

/// Keeps the tables for the conversion that it did last.
#[derive(Default)]
pub(in crate::coder) struct PictureConverter(Option<(Form, Form, Tables)>);

struct Tables(NonNull<ffi::SwsContext>);

// SAFETY: used by one thread at a time, as only `&mut` reaches it.
unsafe impl Send for Tables {}

impl PictureConverter {
    /// To I420 of this size, in the studio's range or the full one.
    pub(in crate::coder) fn to_i420(
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
            let (f, t) = (&*from.ptr(), &mut *to.mut_ptr());
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
        let flags = ffi::SWS_BILINEAR as i32;
        // SAFETY: formats and sizes are checked by FFmpeg; no filters, no parameters.
        let made = unsafe {
            ffi::sws_getContext(
                source.1 as i32,
                source.2 as i32,
                source.0,
                target.1 as i32,
                target.2 as i32,
                target.0,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        let tables = NonNull::new(made).map(Tables).ok_or(OUT_OF_MEMORY)?;
        // SAFETY: a fresh context, and constant tables of coefficients: BT.601 on both sides, so that colours stay as they are coded.
        // It answers -1 where a conversion knows no range (from RGB, say), which then is the default one: no failure.
        unsafe {
            let colours = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT as i32);
            let (one, none) = (1 << 16, 0);
            let (from, to) = (i32::from(source.3), i32::from(target.3));
            ffi::sws_setColorspaceDetails(tables.0.as_ptr(), colours, from, colours, to, none, one, one);
        }
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
