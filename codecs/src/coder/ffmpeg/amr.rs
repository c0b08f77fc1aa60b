//! AMR by other libraries than FFmpeg: OpenCORE's for narrow band, VisualOn's for wide band. Both are Apache-2.0.
//! Encoders, which FFmpeg lacks here: enters 20 ms of samples, leaves one frame in storage format (RFC 4867, section 5.3), header byte
//! included. A decoder of narrow band, the other way round: FFmpeg's takes up to half of a steady tone away, and conceals nothing.

use rivero_engine::Codec;

/// Whether this build can encode it.
pub(in crate::coder) fn has_amr_encoder(codec: Codec) -> bool {
    cfg!(feature = "amr") && matches!(codec, Codec::AmrNb | Codec::AmrWb)
}

#[cfg(feature = "amr")]
pub(in crate::coder) use linked::{AmrDecoder, AmrEncoder};

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
        fn Decoder_Interface_init() -> *mut c_void;
        fn Decoder_Interface_exit(state: *mut c_void);
        fn Decoder_Interface_Decode(state: *mut c_void, frame: *const u8, out: *mut c_short, bad: c_int);
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

    /// Bytes of speech in each frame type: the modes, then comfort noise.
    const SPEECH: [usize; 9] = [12, 13, 15, 17, 19, 20, 26, 31, 5];
    const SILENCE: u8 = 8;
    /// A frame that holds nothing: it was lost, or silence goes on.
    const NOTHING: u8 = 15;

    /// Of narrow band: 160 samples a frame at 8 kHz, mono.
    pub(in crate::coder) struct AmrDecoder {
        state: NonNull<c_void>,
        silent: bool,
    }

    // SAFETY: as for the encoder.
    unsafe impl Send for AmrDecoder {}

    impl AmrDecoder {
        /// None when there is no memory, or for another form.
        pub(in crate::coder) fn new(codec: Codec, channels: u8) -> Option<Self> {
            if (codec, channels) != (Codec::AmrNb, 1) {
                return None;
            }
            // SAFETY: it takes no memory of ours, and returns a state or null.
            let state = NonNull::new(unsafe { Decoder_Interface_init() })?;
            Some(AmrDecoder { state, silent: false })
        }

        /// One frame; what the sender marked as damaged counts as lost. None for what is no frame.
        pub(in crate::coder) fn decode(&mut self, frame: &[u8]) -> Option<[i16; 160]> {
            let (header, speech) = frame.split_first()?;
            let (kind, whole) = (header >> 3 & 15, header & 4 != 0);
            if kind == NOTHING {
                return Some(self.conceal());
            }
            let speech = speech.get(..*SPEECH.get(usize::from(kind))?)?;
            if !whole {
                return Some(self.conceal());
            }
            self.silent = kind == SILENCE;
            Some(self.run(kind, speech))
        }

        /// Makes up 20 ms from what came before.
        pub(in crate::coder) fn conceal(&mut self) -> [i16; 160] {
            self.run(NOTHING, &[])
        }

        /// The sender has said that it is silent, and sends nothing until that changes (3GPP TS 26.093).
        pub(in crate::coder) fn is_silent(&self) -> bool {
            self.silent
        }

        fn run(&mut self, kind: u8, speech: &[u8]) -> [i16; 160] {
            let mut frame = [0; 32];
            frame[0] = kind << 3 | 4;
            frame[1..=speech.len()].copy_from_slice(speech);
            let mut out = [0; 160];
            // SAFETY: the state is this library's. It reads the header, which is of a known type, and what belongs to that type, 31 bytes
            // at most; it writes 160 samples.
            unsafe { Decoder_Interface_Decode(self.state.as_ptr(), frame.as_ptr(), out.as_mut_ptr(), 0) };
            out
        }
    }

    impl Drop for AmrDecoder {
        fn drop(&mut self) {
            // SAFETY: ours, of this library, and not used any more.
            unsafe { Decoder_Interface_exit(self.state.as_ptr()) }
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
pub(in crate::coder) use absent::{AmrDecoder, AmrEncoder};

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

    /// Cannot be made in this build: FFmpeg decodes.
    pub(in crate::coder) enum AmrDecoder {}

    impl AmrDecoder {
        pub(in crate::coder) fn new(_: rivero_engine::Codec, _: u8) -> Option<Self> {
            None
        }

        pub(in crate::coder) fn decode(&mut self, _: &[u8]) -> Option<[i16; 160]> {
            match *self {}
        }

        pub(in crate::coder) fn conceal(&mut self) -> [i16; 160] {
            match *self {}
        }

        pub(in crate::coder) fn is_silent(&self) -> bool {
            match *self {}
        }
    }
}
