//! AMR encoders, which FFmpeg lacks here: OpenCORE's for narrow band, VisualOn's for wide band. Both are Apache-2.0.
//! Enters: 20 ms of samples. Leaves: one frame in storage format (RFC 4867, section 5.3), header byte included.

use rivero_engine::Codec;

/// Whether this build can encode it.
pub(in crate::coder) fn has_amr_encoder(codec: Codec) -> bool {
    cfg!(feature = "amr") && matches!(codec, Codec::AmrNb | Codec::AmrWb)
}

#[cfg(feature = "amr")]
pub(in crate::coder) use linked::AmrEncoder;

#[cfg(feature = "amr")]
mod linked {
    use rivero_engine::Codec;
    use std::ffi::{c_int, c_short, c_void};
    use std::ptr::NonNull;

    #[link(name = "opencore-amrnb")]
    unsafe extern "C" {
        fn Encoder_Interface_init(dtx: c_int) -> *mut c_void;
        fn Encoder_Interface_exit(state: *mut c_void);
        fn Encoder_Interface_Encode(
            state: *mut c_void,
            mode: c_int,
            speech: *const c_short,
            out: *mut u8,
            force_speech: c_int,
        ) -> c_int;
    }

    #[link(name = "vo-amrwbenc")]
    unsafe extern "C" {
        fn E_IF_init() -> *mut c_void;
        fn E_IF_encode(state: *mut c_void, mode: c_int, speech: *const c_short, out: *mut u8, dtx: c_int) -> c_int;
        fn E_IF_exit(state: *mut c_void);
    }

    /// Bits a second of the modes 0 to 7 (3GPP TS 26.071) and 0 to 8 (TS 26.171).
    const NARROW: [u32; 8] = [4_750, 5_150, 5_900, 6_700, 7_400, 7_950, 10_200, 12_200];
    const WIDE: [u32; 9] = [6_600, 8_850, 12_650, 14_250, 15_850, 18_250, 19_850, 23_050, 23_850];

    /// Frames of 160 samples at 8 kHz, or 320 at 16 kHz; mono.
    pub(in crate::coder) struct AmrEncoder {
        state: NonNull<c_void>,
        wide: bool,
        mode: c_int,
    }

    // SAFETY: the state is a block of memory of its own, used by one thread at a time, as only `&mut` reaches it.
    unsafe impl Send for AmrEncoder {}

    impl AmrEncoder {
        /// The mode with the highest rate within `bps`, or else the lowest. None when there is no memory, or for another codec.
        pub(in crate::coder) fn new(codec: Codec, bps: u32) -> Option<Self> {
            let wide = match codec {
                Codec::AmrNb => false,
                Codec::AmrWb => true,
                _ => return None,
            };
            let rates = if wide { &WIDE[..] } else { &NARROW[..] };
            let mode = rates.iter().rposition(|&rate| rate <= bps).unwrap_or(0) as c_int;
            // SAFETY: both take no memory of ours, and return a state or null.
            let state = NonNull::new(unsafe { if wide { E_IF_init() } else { Encoder_Interface_init(0) } })?;
            Some(AmrEncoder { state, wide, mode })
        }

        /// Samples in a frame.
        pub(in crate::coder) fn frame_size(&self) -> usize {
            if self.wide { 320 } else { 160 }
        }

        /// `samples` is exactly one frame; None when the library refuses it.
        pub(in crate::coder) fn encode(&mut self, samples: &[i16]) -> Option<Vec<u8>> {
            if samples.len() != self.frame_size() {
                return None;
            }
            // The longest frames have 32 and 61 bytes.
            let mut out = vec![0_u8; 128];
            // SAFETY: the state is of the library called; the samples are as many as it reads, the room more than it writes.
            let len = unsafe {
                let (state, from, to) = (self.state.as_ptr(), samples.as_ptr(), out.as_mut_ptr());
                match self.wide {
                    true => E_IF_encode(state, self.mode, from, to, 0),
                    false => Encoder_Interface_Encode(state, self.mode, from, to, 0),
                }
            };
            out.truncate(usize::try_from(len).ok().filter(|&len| len > 0)?);
            Some(out)
        }
    }

    impl Drop for AmrEncoder {
        fn drop(&mut self) {
            // SAFETY: ours, of the library called, and not used any more.
            unsafe {
                match self.wide {
                    true => E_IF_exit(self.state.as_ptr()),
                    false => Encoder_Interface_exit(self.state.as_ptr()),
                }
            }
        }
    }
}

#[cfg(not(feature = "amr"))]
pub(in crate::coder) use absent::AmrEncoder;

#[cfg(not(feature = "amr"))]
mod absent {
    /// Cannot be made in this build.
    pub(in crate::coder) enum AmrEncoder {}

    impl AmrEncoder {
        pub(in crate::coder) fn new(_: rivero_engine::Codec, _: u32) -> Option<Self> {
            None
        }

        pub(in crate::coder) fn frame_size(&self) -> usize {
            match *self {}
        }

        pub(in crate::coder) fn encode(&mut self, _: &[i16]) -> Option<Vec<u8>> {
            match *self {}
        }
    }
}
