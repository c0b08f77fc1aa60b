//! Decoders, encoders, resamplers and scalers, by FFmpeg.
//!
//! Enters: frames as [`Coded`](rivero_engine::Coded) describes them, pictures, sound. Leaves: the same in another form. Everything
//! here is a plain object that its caller drives on its own thread: nothing sleeps, reads a clock or starts a thread (asked for
//! several, an encoder starts its own). This room must never know RTP, a file, or why something is coded.
//!
//! `ffmpeg` holds all that touches FFmpeg's memory; outside of it stands no `unsafe`. Its log goes to `tracing` at debug.

mod audio_decoder;
mod audio_encoder;
mod error;
pub(crate) mod ffmpeg;
mod filter_chain;
pub(crate) mod resampler;
mod scaler;
mod tables;
mod video_decoder;
mod video_encoder;
mod video_engine;

pub use audio_decoder::AudioDecoder;
pub use audio_encoder::{AudioEncoder, AudioSettings};
pub use error::{Cause, CoderError};
pub use filter_chain::FilterChain;
pub use resampler::Resampler;
pub use scaler::Scaler;
pub use video_decoder::{DecodedPicture, Largest, VideoDecoder};
pub use video_encoder::{H264Profile, VideoEncoder, VideoSettings};

use bytes::Bytes;
use rivero_engine::{Codec, MediaTime};

/// A frame that left an encoder, as [`Coded`](rivero_engine::Coded) describes it.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    pub data: Bytes,
    /// The time of the picture, or of the first sample that went in.
    pub at: MediaTime,
    /// Whether decoding can begin here; always so for sound.
    pub key: bool,
}

/// Whether the FFmpeg that this process runs with can decode it.
pub fn can_decode(codec: Codec) -> bool {
    tables::decoder(codec).is_some_and(ffmpeg::has_decoder)
}

/// Whether the FFmpeg that this process runs with (or this build without it) can encode it.
pub fn can_encode(codec: Codec) -> bool {
    ffmpeg::has_amr_encoder(codec)
        || ffmpeg::has_vpx_encoder(codec)
        || tables::encoder(codec).is_some_and(ffmpeg::has_encoder)
}
