//! libavfilter: a chain of filters from pictures to pictures.

use super::context::Received;
use super::{Frame, OUT_OF_MEMORY, check, log};
use crate::coder::Cause;
use ffmpeg_next::ffi;
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

/// A graph for pictures of one size.
pub(in crate::coder) struct FilterGraph {
    graph: NonNull<ffi::AVFilterGraph>,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
}

// SAFETY: used by one thread at a time, as only `&mut` reaches it; `source` and `sink` belong to `graph`.
unsafe impl Send for FilterGraph {}

impl FilterGraph {
    /// The text is FFmpeg's description of a chain with one input and one output. Times are in nanoseconds.
    pub(in crate::coder) fn new(text: &str, width: u32, height: u32) -> Result<Self, Cause> {
        log::redirect();
        let refused = Cause(ffi::AVERROR(ffmpeg_next::error::EINVAL));
        let chain = CString::new(format!("{text},format=pix_fmts=yuv420p")).map_err(|_| refused)?;
        let shape = format!("video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/1000000000:pixel_aspect=1/1");
        let shape = CString::new(shape).map_err(|_| refused)?;
        // SAFETY: returns a fresh graph or null.
        let graph = NonNull::new(unsafe { ffi::avfilter_graph_alloc() }).ok_or(OUT_OF_MEMORY)?;
        let mut made = FilterGraph { graph, source: ptr::null_mut(), sink: ptr::null_mut() };
        // SAFETY: the graph is fresh and ours.
        unsafe { (*graph.as_ptr()).nb_threads = 1 };
        made.source = made.add(c"buffer", c"in", Some(&shape))?;
        made.sink = made.add(c"buffersink", c"out", None)?;
        made.join(&chain)?;
        // SAFETY: all filters are linked now, or this says that they are not.
        check(unsafe { ffi::avfilter_graph_config(graph.as_ptr(), ptr::null_mut()) })?;
        Ok(made)
    }

    fn add(&mut self, filter: &CStr, name: &CStr, with: Option<&CStr>) -> Result<*mut ffi::AVFilterContext, Cause> {
        let mut made = ptr::null_mut();
        // SAFETY: C strings; the graph owns what is made. A filter that is not found is null, which this call refuses.
        check(unsafe {
            let filter = ffi::avfilter_get_by_name(filter.as_ptr());
            if filter.is_null() {
                return Err(Cause(ffi::AVERROR_FILTER_NOT_FOUND));
            }
            let with = with.map_or(ptr::null(), CStr::as_ptr);
            ffi::avfilter_graph_create_filter(
                &mut made,
                filter,
                name.as_ptr(),
                with,
                ptr::null_mut(),
                self.graph.as_ptr(),
            )
        })?;
        Ok(made)
    }

    /// Puts the chain between source and sink.
    fn join(&mut self, chain: &CStr) -> Result<(), Cause> {
        // SAFETY: the lists are FFmpeg's own, of names that it allocates and of filters in our graph; whatever of them is left
        // after parsing is freed, also when it fails.
        check(unsafe {
            let (mut outputs, mut inputs) = (ffi::avfilter_inout_alloc(), ffi::avfilter_inout_alloc());
            let mut code = OUT_OF_MEMORY.0;
            if !outputs.is_null() && !inputs.is_null() {
                (*outputs).name = ffi::av_strdup(c"in".as_ptr());
                (*outputs).filter_ctx = self.source;
                (*inputs).name = ffi::av_strdup(c"out".as_ptr());
                (*inputs).filter_ctx = self.sink;
                code = ffi::avfilter_graph_parse_ptr(
                    self.graph.as_ptr(),
                    chain.as_ptr(),
                    &mut inputs,
                    &mut outputs,
                    ptr::null_mut(),
                );
            }
            ffi::avfilter_inout_free(&mut inputs);
            ffi::avfilter_inout_free(&mut outputs);
            code
        })?;
        Ok(())
    }

    pub(in crate::coder) fn send(&mut self, frame: &Frame) -> Result<(), Cause> {
        let keep = ffi::AV_BUFFERSRC_FLAG_KEEP_REF as i32;
        // SAFETY: `source` is our buffer filter; it takes references of its own and leaves the frame as it is.
        check(unsafe { ffi::av_buffersrc_add_frame_flags(self.source, frame.as_ptr().cast_mut(), keep) })?;
        Ok(())
    }

    pub(in crate::coder) fn receive(&mut self) -> Result<Received<Frame>, Cause> {
        let mut frame = Frame::empty()?;
        // SAFETY: `sink` is our sink, and the frame is ours and empty.
        match unsafe { ffi::av_buffersink_get_frame(self.sink, frame.mut_ptr()) } {
            code if code == ffi::AVERROR(ffmpeg_next::error::EAGAIN) || code == ffi::AVERROR_EOF => {
                Ok(Received::Nothing)
            }
            code => check(code).map(|_| Received::One(frame)),
        }
    }
}

impl Drop for FilterGraph {
    fn drop(&mut self) {
        let mut graph = self.graph.as_ptr();
        // SAFETY: ours, with all its filters, and not used any more.
        unsafe { ffi::avfilter_graph_free(&mut graph) };
    }
}
