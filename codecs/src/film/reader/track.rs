//! What a reader tells of a stream, and the frames that it hands over.
//!
//! Enters: FFmpeg's parameters of a stream. Leaves: a description in the words of the house. This room must never know files.

use crate::film::ffmpeg::Parameters;
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind};
use std::sync::Arc;
use std::time::Duration;

/// One stream of sound or pictures.
#[derive(Clone)]
pub struct Track {
    pub kind: MediaKind,
    /// None if the house has no word for it: then only a [`TrackDecoder`](crate::film::TrackDecoder) can use it.
    pub codec: Option<Codec>,
    /// FFmpeg's name of the coding.
    pub coding: &'static str,
    /// Hz; 0 if unknown, or of pictures.
    pub rate: u32,
    pub channels: u8,
    /// Pixels; 0 if unknown, or of sound.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second as a ratio, where the source says so.
    pub frame_rate: Option<(u32, u32)>,
    /// The source says that pictures are decoded in another order than they are shown in.
    pub reordered: bool,
    /// Pictures have eight bits a sample, in 4:2:0, as everybody's decoders know; or it is not known what they have.
    pub plain: bool,
    /// What the codec wants to be known beforehand (AAC's AudioSpecificConfig, Vorbis's headers, an OpusHead); of H.264 and
    /// H.265 the parameter sets as a byte stream, which stand before each key frame as well.
    pub config: Bytes,
    pub(in crate::film) parameters: Arc<Parameters>,
}

/// A coded frame, in the form that [`Coded`](rivero_engine::Coded) describes.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Index into [`Reader::tracks`](super::Reader::tracks).
    pub track: usize,
    pub data: Bytes,
    /// When it is to be shown or heard, from the beginning of the media.
    pub at: Duration,
    /// Whether the source says so. Otherwise that is when it is decoded, which for some pictures is too early.
    pub timed: bool,
    /// When it is to be decoded; units leave in this order within a track.
    pub decode_at: Duration,
    /// Zero if unknown.
    pub duration: Duration,
    /// Whether decoding can begin here; always so for sound.
    pub key: bool,
    /// The track's configuration from this unit on, where it changes.
    pub config: Option<Bytes>,
}

impl Track {
    pub(super) fn new(
        kind: MediaKind,
        codec: Option<Codec>,
        parameters: Parameters,
        frame_rate: Option<(u32, u32)>,
    ) -> Track {
        let (width, height) = parameters.size();
        Track {
            kind,
            codec,
            coding: parameters.coding(),
            rate: parameters.rate(),
            channels: parameters.channels(),
            width,
            height,
            frame_rate,
            reordered: parameters.delay() > 0,
            plain: kind == MediaKind::Audio || parameters.is_plain(),
            config: Bytes::copy_from_slice(parameters.config()),
            parameters: Arc::new(parameters),
        }
    }
}
