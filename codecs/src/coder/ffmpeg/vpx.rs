//! libvpx itself, for what FFmpeg's wrapper of it leaves out: another bit rate while it runs.

#[cfg(feature = "vpx")]
pub(in crate::coder) use linked::VpxEncoder;

/// Whether this build encodes it by libvpx itself.
pub(in crate::coder) fn has_vpx_encoder(codec: rivero_engine::Codec) -> bool {
    use rivero_engine::Codec;
    cfg!(feature = "vpx") && matches!(codec, Codec::Vp8 | Codec::Vp9)
}

#[cfg(feature = "vpx")]
mod linked {
    use crate::coder::Cause;
    use crate::coder::ffmpeg::{EncodedPacket, OUT_OF_MEMORY, VideoShape};
    use crate::coder::tables::VpxEffort;
    use bytes::Bytes;
    use ffmpeg_next::ffi;
    use rivero_engine::{Codec, Picture};
    use std::ffi::{c_int, c_long, c_ulong};
    use std::ptr;

    #[allow(non_camel_case_types, non_upper_case_globals, dead_code, clippy::all, reason = "made from C")]
    mod vpx {
        include!(concat!(env!("OUT_DIR"), "/vpx.rs"));
    }

    pub(in crate::coder) struct VpxEncoder {
        context: Box<vpx::vpx_codec_ctx_t>,
        config: Box<vpx::vpx_codec_enc_cfg_t>,
        effort: VpxEffort,
        ticks: u32,
    }

    // SAFETY: an encoder may be used by any thread, by one at a time, which `&mut self` sees to.
    unsafe impl Send for VpxEncoder {}

    impl VpxEncoder {
        /// None for a codec that is not libvpx's.
        pub(in crate::coder) fn new(
            codec: Codec,
            shape: &VideoShape,
            bps: u32,
            effort: VpxEffort,
        ) -> Option<Result<Self, Cause>> {
            // SAFETY: both return constant tables.
            let interface = match codec {
                Codec::Vp8 => unsafe { vpx::vpx_codec_vp8_cx() },
                // SAFETY: as above.
                Codec::Vp9 => unsafe { vpx::vpx_codec_vp9_cx() },
                _ => return None,
            };
            Some(Self::open(interface, shape, bps, effort))
        }

        fn open(
            interface: *const vpx::vpx_codec_iface,
            shape: &VideoShape,
            bps: u32,
            effort: VpxEffort,
        ) -> Result<Self, Cause> {
            // SAFETY: both are plain structures of C for which zeroes are valid; the first call fills the configuration.
            let (mut config, context) = unsafe {
                let mut config: Box<vpx::vpx_codec_enc_cfg_t> = Box::new(std::mem::zeroed());
                check(vpx::vpx_codec_enc_config_default(interface, &mut *config, 0))?;
                (config, Box::new(std::mem::zeroed()))
            };
            config.g_w = shape.width;
            config.g_h = shape.height;
            config.g_threads = shape.threads;
            config.g_timebase.num = 1;
            config.g_timebase.den = (shape.frame_rate * shape.ticks) as c_int;
            config.g_lag_in_frames = 0;
            config.rc_end_usage = vpx::VPX_CBR;
            config.rc_target_bitrate = kilobits(bps);
            config.rc_resize_allowed = 1;
            config.kf_max_dist = shape.key_distance.max(0) as u32;
            let mut made = VpxEncoder { context, config, effort, ticks: shape.ticks };
            let version = vpx::VPX_ENCODER_ABI_VERSION as c_int;
            // SAFETY: a zeroed context that stays where it is, in its box; the configuration is copied. The version has libvpx
            // refuse if it was not made from these headers.
            check(unsafe { vpx::vpx_codec_enc_init_ver(&mut *made.context, interface, &*made.config, 0, version) })?;
            let speed: c_int = effort.cpu_used;
            // SAFETY: an open encoder, and the type of argument that this control takes.
            check(unsafe { vpx::vpx_codec_control_(&mut *made.context, vpx::VP8E_SET_CPUUSED as c_int, speed) })?;
            Ok(made)
        }

        /// Bits a second from the next picture on.
        pub(in crate::coder) fn set_rate(&mut self, bps: u32) -> Result<(), Cause> {
            self.config.rc_target_bitrate = kilobits(bps);
            // SAFETY: an open encoder and its own configuration, in which only a number has changed.
            check(unsafe { vpx::vpx_codec_enc_config_set(&mut *self.context, &*self.config) })
        }

        /// The picture has been checked, and is of the size that the encoder was opened for.
        pub(in crate::coder) fn encode(
            &mut self,
            picture: &Picture,
            pts: i64,
            key: bool,
            out: &mut Vec<EncodedPacket>,
        ) -> Result<(), Cause> {
            // SAFETY: zeroes are a valid image, which the call fills for a buffer of the caller's; it does not read the buffer.
            let mut image: vpx::vpx_image_t = unsafe {
                let mut image = std::mem::zeroed();
                let first = picture.planes[0].data.as_ptr().cast_mut();
                let (wide, high) = (self.config.g_w, self.config.g_h);
                if vpx::vpx_img_wrap(&mut image, vpx::VPX_IMG_FMT_I420, wide, high, 1, first).is_null() {
                    return Err(OUT_OF_MEMORY);
                }
                image
            };
            for (i, plane) in picture.planes.iter().enumerate() {
                image.planes[i] = plane.data.as_ptr().cast_mut();
                image.stride[i] = plane.stride as c_int;
            }
            let flags = if key { c_long::from(vpx::VPX_EFLAG_FORCE_KF as c_int) } else { 0 };
            let (ticks, deadline) = (c_ulong::from(self.ticks), c_ulong::from(self.effort.deadline));
            // SAFETY: an open encoder; planes and strides are those of the picture, which holds all of its rows and outlives the
            // call; the encoder copies what it keeps, and never writes to an image.
            check(unsafe { vpx::vpx_codec_encode(&mut *self.context, &image, pts, ticks, flags, deadline) })?;
            let mut place = ptr::null();
            // SAFETY: an open encoder; what it returns is valid up to the next call to it, and is copied here.
            while let Some(packet) = unsafe { vpx::vpx_codec_get_cx_data(&mut *self.context, &mut place).as_ref() } {
                if packet.kind == vpx::VPX_CODEC_CX_FRAME_PKT {
                    // SAFETY: a packet of this kind has this part filled.
                    let (frame, data) = unsafe {
                        let frame = &packet.data.frame;
                        (frame, Bytes::copy_from_slice(std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz)))
                    };
                    out.push(EncodedPacket { data, pts: frame.pts, key: frame.flags & vpx::VPX_FRAME_IS_KEY != 0 });
                }
            }
            Ok(())
        }
    }

    impl Drop for VpxEncoder {
        fn drop(&mut self) {
            // SAFETY: ours, and not used any more; a context that was never opened is refused.
            unsafe { vpx::vpx_codec_destroy(&mut *self.context) };
        }
    }

    /// libvpx counts in thousands, and takes none for no limit.
    fn kilobits(bps: u32) -> u32 {
        (bps / 1000).max(1)
    }

    /// libvpx's few errors, by FFmpeg's numbers: what it rejects, or anything else.
    fn check(code: vpx::vpx_codec_err_t) -> Result<(), Cause> {
        match code {
            vpx::VPX_CODEC_OK => Ok(()),
            vpx::VPX_CODEC_MEM_ERROR => Err(OUT_OF_MEMORY),
            vpx::VPX_CODEC_INVALID_PARAM => Err(Cause(ffi::AVERROR(ffmpeg_next::error::EINVAL))),
            _ => Err(Cause(ffi::AVERROR_EXTERNAL)),
        }
    }
}

#[cfg(not(feature = "vpx"))]
pub(in crate::coder) use absent::VpxEncoder;

#[cfg(not(feature = "vpx"))]
mod absent {
    use crate::coder::Cause;
    use crate::coder::ffmpeg::{EncodedPacket, VideoShape};
    use crate::coder::tables::VpxEffort;
    use rivero_engine::{Codec, Picture};

    /// Cannot be made in this build.
    pub(in crate::coder) enum VpxEncoder {}

    impl VpxEncoder {
        pub(in crate::coder) fn new(_: Codec, _: &VideoShape, _: u32, _: VpxEffort) -> Option<Result<Self, Cause>> {
            None
        }

        pub(in crate::coder) fn set_rate(&mut self, _: u32) -> Result<(), Cause> {
            match *self {}
        }

        pub(in crate::coder) fn encode(
            &mut self,
            _: &Picture,
            _: i64,
            _: bool,
            _: &mut Vec<EncodedPacket>,
        ) -> Result<(), Cause> {
            match *self {}
        }
    }
}
