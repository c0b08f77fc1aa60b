//! swresample: samples in another rate, number of channels or layout in memory; always to interleaved 16 bits.

use super::{Frame, OUT_OF_MEMORY, check};
use crate::coder::Cause;
use ffmpeg_next::ffi::{self, AVSampleFormat};
use std::ptr::{self, NonNull};

pub(crate) struct SoundConverter {
    context: NonNull<ffi::SwrContext>,
    to_rate: u32,
    to_channels: u8,
}

// SAFETY: used by one thread at a time, as only `&mut` reaches it.
unsafe impl Send for SoundConverter {}

impl SoundConverter {
    /// From sound such as this frame's; rate and channels stay.
    pub(crate) fn like(frame: &Frame) -> Result<Self, Cause> {
        let (rate, channels) = (frame.rate(), frame.channels());
        Self::new((frame.sample_format(), rate, channels), rate, channels, false)
    }

    /// From interleaved 16 bits at (Hz, channels). `elastic` resamples even at equal rates, so that it can be compensated.
    pub(in crate::coder) fn resampler(from: (u32, u8), to: (u32, u8), elastic: bool) -> Result<Self, Cause> {
        Self::new((AVSampleFormat::AV_SAMPLE_FMT_S16, from.0, from.1), to.0, to.1, elastic)
    }

    fn new(from: (AVSampleFormat, u32, u8), to_rate: u32, to_channels: u8, elastic: bool) -> Result<Self, Cause> {
        super::log::redirect();
        let mut context = ptr::null_mut();
        // SAFETY: zeroed layouts are valid (unspecified) and are filled by the calls; default layouts own no memory. The context
        // is returned through the pointer, or null.
        let made = unsafe {
            let (mut source, mut target) = (std::mem::zeroed(), std::mem::zeroed());
            ffi::av_channel_layout_default(&mut source, i32::from(from.2));
            ffi::av_channel_layout_default(&mut target, i32::from(to_channels));
            ffi::swr_alloc_set_opts2(
                &mut context,
                &mut target,
                AVSampleFormat::AV_SAMPLE_FMT_S16,
                to_rate as i32,
                &mut source,
                from.0,
                from.1 as i32,
                0,
                ptr::null_mut(),
            )
        };
        check(made)?;
        let converter = SoundConverter { context: NonNull::new(context).ok_or(OUT_OF_MEMORY)?, to_rate, to_channels };
        // SAFETY: a context that is not initialised yet takes options by name, and a matrix of as many rows as channels leave
        // (eight at most) and as many columns as enter (one).
        unsafe {
            if elastic {
                check(ffi::av_opt_set_int(context.cast(), c"flags".as_ptr(), i64::from(ffi::SWR_FLAG_RESAMPLE), 0))?;
                // Without it, a ratio that is off by some millionths steps from filter phase to filter phase, audibly.
                check(ffi::av_opt_set_int(context.cast(), c"linear_interp".as_ptr(), 1, 0))?;
            }
            if from.2 == 1 {
                // Each channel gets what there is; by itself FFmpeg would take 3 dB away.
                let ones = [1.0; 8];
                check(ffi::swr_set_matrix(context, ones.as_ptr(), 1))?;
            }
            check(ffi::swr_init(context))?;
        }
        Ok(converter)
    }

    /// Over the next `distance` samples that leave, make `delta` more of them (or fewer).
    pub(in crate::coder) fn compensate(&mut self, delta: i32, distance: i32) -> Result<(), Cause> {
        // SAFETY: an initialised context.
        check(unsafe { ffi::swr_set_compensation(self.context.as_ptr(), delta, distance) })?;
        Ok(())
    }

    /// What went in and has not come out yet, in nanoseconds.
    pub(in crate::coder) fn delay(&self) -> u64 {
        // SAFETY: an initialised context, which is only read.
        unsafe { ffi::swr_get_delay(self.context.as_ptr(), 1_000_000_000) }.max(0) as u64
    }

    pub(crate) fn convert_frame(&mut self, frame: &Frame) -> Result<Vec<i16>, Cause> {
        // SAFETY: extended_data holds a pointer for each plane, of nb_samples samples, as long as the frame lives.
        let planes = unsafe { (*frame.as_ptr()).extended_data }.cast::<*const u8>();
        self.convert(planes.cast(), frame.samples())
    }

    /// `count` is of one channel.
    pub(in crate::coder) fn convert_samples(&mut self, bytes: &[u8], count: usize) -> Result<Vec<i16>, Cause> {
        let planes = [bytes.as_ptr()];
        self.convert(planes.as_ptr(), count)
    }

    /// What is left inside, padded by the filter.
    pub(in crate::coder) fn drain(&mut self) -> Result<Vec<i16>, Cause> {
        self.convert(ptr::null(), 0)
    }

    fn convert(&mut self, planes: *const *const u8, count: usize) -> Result<Vec<i16>, Cause> {
        let count = i32::try_from(count).map_err(|_| OUT_OF_MEMORY)?;
        let context = self.context.as_ptr();
        // SAFETY: an initialised context, which is only read.
        let most = check(unsafe { ffi::swr_get_out_samples(context, count) })?;
        let wide = usize::from(self.to_channels);
        let mut to = vec![0_i16; most as usize * wide];
        let mut out = [to.as_mut_ptr().cast::<u8>()];
        // SAFETY: `planes` holds `count` samples for each channel in the format that the context was made for (or is null with
        // none); `to` has room for `most`.
        let got = check(unsafe { ffi::swr_convert(context, out.as_mut_ptr(), most, planes.cast_mut().cast(), count) })?;
        to.truncate(got as usize * wide);
        Ok(to)
    }

    /// Hz, channels
    pub(in crate::coder) fn target(&self) -> (u32, u8) {
        (self.to_rate, self.to_channels)
    }
}

impl Drop for SoundConverter {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::swr_free(&mut context) };
    }
}
