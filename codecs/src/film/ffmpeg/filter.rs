//! A bitstream filter: packets in another form of the same coding.

use super::{OUT_OF_MEMORY, Packet, Parameters, check};
use crate::coder::Cause;
use ffmpeg_next::ffi;
use std::ffi::CStr;
use std::ptr::{self, NonNull};

pub(in crate::film) struct Filter(NonNull<ffi::AVBSFContext>);

// SAFETY: used by one thread at a time, as only `&mut` reaches what can change.
unsafe impl Send for Filter {}

impl Filter {
    /// None if FFmpeg has no such filter.
    pub(in crate::film) fn new(name: &CStr, parameters: &Parameters, base: (i32, i32)) -> Option<Result<Self, Cause>> {
        // SAFETY: the name is a C string; the result is constant or null.
        let filter = unsafe { ffi::av_bsf_get_by_name(name.as_ptr()) };
        (!filter.is_null()).then(|| Self::open(filter, parameters, base))
    }

    fn open(filter: *const ffi::AVBitStreamFilter, parameters: &Parameters, base: (i32, i32)) -> Result<Self, Cause> {
        let mut context = ptr::null_mut();
        // SAFETY: a filter of FFmpeg's own list; the context is returned through the pointer.
        check(unsafe { ffi::av_bsf_alloc(filter, &mut context) })?;
        let mut made = Filter(NonNull::new(context).ok_or(OUT_OF_MEMORY)?);
        // SAFETY: a fresh context with parameters of its own to be filled; then all that initialising wants is set.
        unsafe {
            let c = made.0.as_mut();
            check(ffi::avcodec_parameters_copy(c.par_in, parameters.as_ptr()))?;
            c.time_base_in = ffi::AVRational { num: base.0, den: base.1 };
            check(ffi::av_bsf_init(c))?;
        }
        Ok(made)
    }

    /// Appends what the packet turns into. After an error the filter takes the next one.
    pub(in crate::film) fn pass(&mut self, packet: Packet, out: &mut Vec<Packet>) -> Result<(), Cause> {
        // SAFETY: an initialised filter, and a packet of ours whose contents it takes over.
        check(unsafe { ffi::av_bsf_send_packet(self.0.as_ptr(), packet.as_ptr()) })?;
        loop {
            let next = Packet::empty()?;
            // SAFETY: as above; the packet is empty.
            match unsafe { ffi::av_bsf_receive_packet(self.0.as_ptr(), next.as_ptr()) } {
                code if code == ffi::AVERROR(ffmpeg_next::error::EAGAIN) || code == ffi::AVERROR_EOF => return Ok(()),
                code => check(code)?,
            };
            out.push(next);
        }
    }

    /// Forgets what it held, as after a seek.
    pub(in crate::film) fn reset(&mut self) {
        // SAFETY: an initialised filter.
        unsafe { ffi::av_bsf_flush(self.0.as_ptr()) };
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::av_bsf_free(&mut context) };
    }
}
