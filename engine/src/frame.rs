//! Decoded media, and coded media outside RTP: what crosses links inside the server. Plain memory and its time; who made it
//! and how it is coded is no business of this room. Sharing a frame costs one reference count; nobody may change one.

use crate::MediaTime;
use bytes::Bytes;

/// An access unit as its codec's decoder takes it: a whole frame, without transport framing.
///
/// H.264 and H.265 come in byte-stream format (start codes; parameter sets before each key frame), AV1 as OBUs with sizes (a
/// temporal unit without its delimiter), VP8, VP9 and MJPEG as frames. Audio as one codec frame, or for PCM and G.722 any number of samples.
#[derive(Clone, Debug)]
pub struct Coded {
    pub data: Bytes,
    /// When it is to be shown or heard, on the pipeline's clock.
    pub at: MediaTime,
}

/// One plane of a picture: rows of `stride` bytes.
#[derive(Clone, Debug)]
pub struct Plane {
    pub data: Bytes,
    /// Bytes from one row to the next; at least the row's width.
    pub stride: usize,
}

/// A picture in I420: eight bits a sample; Y in full size, then U and V in half width and half height, rounded up.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    pub planes: [Plane; 3],
    /// When it is to be shown, on the pipeline's clock.
    pub at: MediaTime,
}

/// Sound: interleaved signed samples of 16 bits, in the machine's byte order.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Hz
    pub rate: u32,
    pub channels: u8,
    pub samples: Bytes,
    /// When its first sample is to be heard, on the pipeline's clock.
    pub at: MediaTime,
}

impl Picture {
    /// Width and height of a plane in samples; 0 is Y.
    pub fn plane_size(&self, plane: usize) -> (u32, u32) {
        if plane == 0 { (self.width, self.height) } else { (self.width.div_ceil(2), self.height.div_ceil(2)) }
    }

    /// Bytes of all planes.
    pub fn len(&self) -> usize {
        self.planes.iter().map(|plane| plane.data.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sound {
    /// Samples of one channel.
    pub fn frames(&self) -> usize {
        self.samples.len() / 2 / usize::from(self.channels.max(1))
    }
}
