//! RTP payload formats: frames out of packets, and frames into packets.
//!
//! Enters: the payloads of one RTP stream in the order of their sequence numbers, or frames as [`rivero_engine::Coded`] describes
//! them. Leaves: whole frames, never a damaged one; or payloads that fit a packet. It must never know a socket, a header of
//! RTP, the graph, the time, nor FFmpeg.
//!
//! The (de)packetizers of crate `rtp` 0.17 were judged and left alone: H.264 reads past the end of a STAP-A (a panic) and joins
//! FU-A without a bound or a look at what is missing; H.265 hands out no NAL units; VP8 keeps flags of the packet before; VP9
//! refuses three references and reads reserved bits; AV1 goes one way only; none assembles frames. The rest it has not.
//! Vorbis (RFC 5215) is left out: its decoder tables travel apart from its packets, and no Kurento client sends it.

mod aac;
mod amr;
mod assembly;
mod audio;
mod av1;
mod bits;
mod format;
mod h263;
mod h264;
mod h265;
mod jpeg;
mod jpeg_file;
mod key;
mod mpa;
pub(crate) mod nal;
mod speex;
mod vp8;
mod vp9;

pub use format::setup;
pub(crate) use format::{number, parameter};
pub use key::is_key;

use assembly::{InOrder, Read};
use bytes::Bytes;
use rivero_engine::{Caps, Codec};
use std::fmt;

/// The longest frame that is put together, in bytes; what grows beyond is dropped as lost. A key frame of 4K at high quality has 2 MiB.
pub const MAX_FRAME: usize = 8 << 20;

/// The least payload of a packet in bytes; a smaller wish is taken for this. JPEG with tables of its own needs [`MIN_JPEG`].
pub const MIN_PAYLOAD: usize = 64;

/// The least payload of a packet that carries JPEG's quantisation tables, in bytes; only that packet may exceed a smaller wish.
pub const MIN_JPEG: usize = jpeg::MIN_WITH_TABLES;

/// What one RTP packet brought.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Without header, extensions and padding.
    pub payload: &'a Bytes,
    pub marker: bool,
    /// In units of the caps' clock rate.
    pub timestamp: u32,
    /// Extended: the roll-over count stands above the lower 16 bits.
    pub sequence: u64,
}

/// A whole frame, in the form that [`rivero_engine::Coded`] describes. Nothing of it is missing that a picture or sound is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub data: Bytes,
    /// In units of the caps' clock rate.
    pub timestamp: u32,
    /// A decoder can start here.
    pub key: bool,
}

/// Whether something was lost or could not be read: what comes next may refer to what never came.
#[must_use = "a decoder of video must be told to wait, and the sender be asked for a key frame"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Nothing,
    Something,
}

impl Loss {
    fn when(lost: bool) -> Self {
        if lost { Loss::Something } else { Loss::Nothing }
    }

    fn or(self, other: Loss) -> Self {
        if self == Loss::Something { self } else { other }
    }
}

/// RTP packets to frames, of one stream.
pub trait Depayload: Send {
    /// Takes the packets in the order of `sequence`. A gap is loss: a frame of which something is missing, or might be, is dropped
    /// and reported. A packet from the past is ignored, and of one without payload all but its number. Of a stream that was joined
    /// amidst a frame, the rest counts as lost.
    fn push(&mut self, piece: Piece<'_>, out: &mut Vec<Frame>) -> Loss;
}

/// The payload of one RTP packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub payload: Bytes,
    pub marker: bool,
    /// How much later than the frame its timestamp is, in units of the caps' clock rate: other than 0 only where packets carry
    /// audio frames, or samples, of their own.
    pub ahead: u32,
}

/// Why a frame cannot be sent in this payload format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    #[error("this is no frame of the codec")]
    Malformed,
    #[error("the payload format has no place for {0}")]
    Unsupported(&'static str),
    #[error("the format cannot split a unit of {0} bytes, and a packet has less room")]
    TooBig(usize),
}

/// Frames to RTP packets, of one stream.
pub trait Payload: Send {
    /// Appends to `out` the packets that carry `frame`, each of at most `room` bytes (see [`MIN_PAYLOAD`]).
    ///
    /// # Errors
    /// The frame is not of this codec or cannot be expressed; nothing was appended then.
    fn split(&mut self, frame: &Bytes, room: usize, out: &mut Vec<Part>) -> Result<(), Unsendable>;
}

impl fmt::Debug for dyn Depayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Depayload")
    }
}

impl fmt::Debug for dyn Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload")
    }
}

/// What reads the stream that `caps` tell of: `None` where the codec has no payload format here, or the caps' format asks for a
/// mode that is not supported (interleaving).
pub fn depayload(caps: &Caps) -> Option<Box<dyn Depayload>> {
    fn in_order<R: Read + 'static>(format: R) -> Box<dyn Depayload> {
        Box::new(InOrder::new(format))
    }
    Some(match caps.codec() {
        Codec::Vp8 => in_order(vp8::Reader::default()),
        Codec::Vp9 => in_order(vp9::Reader::default()),
        Codec::Av1 => in_order(av1::Reader::default()),
        Codec::H264 => in_order(h264::reader(caps.format())?),
        Codec::H265 => in_order(h265::reader(caps.format())?),
        Codec::H263 => in_order(h263::Reader::default()),
        Codec::Mjpeg => in_order(jpeg::Reader::default()),
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::G722 => in_order(audio::Reader::whole()),
        Codec::Gsm => in_order(audio::Reader::gsm()),
        Codec::Speex => in_order(speex::Reader::new(caps.clock_rate())),
        Codec::AmrNb | Codec::AmrWb => in_order(amr::Reader::new(caps)?),
        Codec::Aac => in_order(aac::Reader::new(caps)?),
        Codec::Mp3 => in_order(mpa::Reader::default()),
        Codec::Vorbis | Codec::Raw | Codec::Message => return None,
    })
}

/// What writes the stream that `caps` tell of: `None` as for [`depayload`].
pub fn payload(caps: &Caps) -> Option<Box<dyn Payload>> {
    let channels = u32::from(caps.channels().max(1));
    Some(match caps.codec() {
        Codec::Vp8 => Box::new(vp8::Writer::default()),
        Codec::Vp9 => Box::new(vp9::Writer::default()),
        Codec::Av1 => Box::new(av1::Writer),
        Codec::H264 => Box::new(h264::Writer::new(caps.format())?),
        Codec::H265 => Box::new(h265::Writer),
        Codec::H263 => Box::new(h263::Writer),
        Codec::Mjpeg => Box::new(jpeg::Writer),
        // Of G.722, an octet holds two samples at 16 kHz, and the clock says 8 kHz (RFC 3551, 4.5.2).
        Codec::Pcmu | Codec::Pcma | Codec::G722 => Box::new(audio::Writer::samples(channels)),
        Codec::Gsm => Box::new(audio::Writer::gsm()),
        Codec::Opus | Codec::Speex => Box::new(audio::Writer::unit()),
        Codec::AmrNb | Codec::AmrWb => Box::new(amr::Writer::new(caps)?),
        Codec::Aac => Box::new(aac::Writer::new(caps)?),
        Codec::Mp3 => Box::new(mpa::Writer),
        Codec::Vorbis | Codec::Raw | Codec::Message => return None,
    })
}

/// How many bytes a packet carries at most, whatever was wished for; no datagram has more than 64 KiB.
fn sane(room: usize) -> usize {
    room.clamp(MIN_PAYLOAD, 65_000)
}
