//! What a video encoder runs on: FFmpeg, or libvpx itself.

use super::ffmpeg::{CodecContext, EncodedPacket, Frame, PictureConverter, Received, VideoShape, VpxEncoder};
use super::tables::{self, VideoCoding};
use super::{Cause, CoderError};
use rivero_engine::{Codec, Picture};

pub(super) enum Engine {
    FFmpeg(CodecContext, PictureConverter),
    Vpx(VpxEncoder),
}

impl Engine {
    pub(super) fn open(codec: Codec, coding: &VideoCoding, shape: &VideoShape, bps: u32) -> Result<Self, CoderError> {
        let what = "video encoder";
        let failed = |source| CoderError::Open { codec, what, source };
        if let Some(opened) = coding.vpx.and_then(|effort| VpxEncoder::new(codec, shape, bps, effort)) {
            return opened.map(Engine::Vpx).map_err(failed);
        }
        let context = tables::encoder(codec).and_then(CodecContext::encoder);
        let mut context = context.ok_or(CoderError::Missing { codec, what })?.map_err(failed)?;
        context.set_up_video_encoder(shape);
        context.set_rates(bps, coding.constant, coding.buffer_ms);
        context.open(&coding.settings).map_err(failed)?;
        Ok(Engine::FFmpeg(context, PictureConverter::default()))
    }

    /// Bits a second from the next picture on, for encoders that heed it while they run.
    pub(super) fn set_rate(&mut self, coding: &VideoCoding, bps: u32) -> Result<(), Cause> {
        match self {
            Engine::FFmpeg(context, _) => {
                context.set_rates(bps, coding.constant, coding.buffer_ms);
                Ok(())
            }
            Engine::Vpx(encoder) => encoder.set_rate(bps),
        }
    }

    /// Encodes a picture, or the part of it up to `size`, and appends what leaves.
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        (size, full_range): ((u32, u32), bool),
        (pts, key): (i64, bool),
        out: &mut Vec<EncodedPacket>,
    ) -> Result<(), Cause> {
        match self {
            Engine::FFmpeg(context, converter) => {
                let mut frame = match full_range {
                    true => converter.make_i420(&Frame::around_with_room(picture)?, size.0, size.1, true)?,
                    false => Frame::around(picture, size.0, size.1)?,
                };
                frame.set_pts(pts);
                frame.set_key(key);
                context.send_frame(&frame)?;
                receive(context, out)
            }
            Engine::Vpx(encoder) => encoder.encode(picture, pts, key, out),
        }
    }

    /// Appends what is still held; there is nothing after that.
    pub(super) fn finish(&mut self, out: &mut Vec<EncodedPacket>) -> Result<(), Cause> {
        match self {
            Engine::FFmpeg(context, _) => {
                context.send_end(true)?;
                receive(context, out)
            }
            // It was told not to look ahead, so that it holds nothing.
            Engine::Vpx(_) => Ok(()),
        }
    }
}

fn receive(context: &mut CodecContext, out: &mut Vec<EncodedPacket>) -> Result<(), Cause> {
    while let Received::One(packet) = context.receive_packet()? {
        out.push(packet);
    }
    Ok(())
}
