//! What crosses a link. Cloning a packet costs two reference counts.

use crate::{Caps, Coded, MediaKind, MediaTime, Picture, Sound};
use bytes::Bytes;
use std::sync::Arc;

/// How many links a packet may cross before the engine takes it for lost in a ring.
pub const MAX_HOPS: u8 = 32;

/// An RTP packet as its sender numbered it (RFC 3550); the receiver's session renumbers it for its peer.
#[derive(Debug)]
pub struct Rtp {
    pub ssrc: u32,
    /// Extended sequence number: the roll-over count stands above the lower 16 bits.
    pub sequence: u64,
    /// In units of the caps' clock rate.
    pub timestamp: u32,
    pub marker: bool,
    /// Without header, extensions and padding.
    pub payload: Bytes,
}

/// A message of a data channel (RFC 8831).
#[derive(Debug)]
pub struct Message {
    /// The label of the channel on which it came; empty for what came from none.
    pub channel: Arc<str>,
    pub binary: bool,
    pub bytes: Bytes,
}

#[derive(Clone, Debug)]
pub enum Body {
    Rtp(Arc<Rtp>),
    Coded(Arc<Coded>),
    Picture(Arc<Picture>),
    Sound(Arc<Sound>),
    Data(Arc<Message>),
}

impl Body {
    /// Bytes of payload.
    pub fn len(&self) -> usize {
        match self {
            Body::Rtp(rtp) => rtp.payload.len(),
            Body::Coded(coded) => coded.data.len(),
            Body::Picture(picture) => picture.len(),
            Body::Sound(sound) => sound.samples.len(),
            Body::Data(message) => message.bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Clone, Debug)]
pub struct Packet {
    pub caps: Caps,
    pub body: Body,
    /// When it entered the pipeline.
    pub entered: MediaTime,
    /// A decoder can start here: the first packet of a key frame, or any audio packet.
    pub key: bool,
    /// The last packet of its frame.
    pub frame_end: bool,
    /// Something before it was lost or left out on purpose.
    pub discontinuity: bool,
    pub(crate) hops: u8,
    /// By how much earlier than the latest of its sender's streams this one arrives, in milliseconds: whoever shows or records them
    /// together delays it by so much. 0 where the sender does not tell. Whoever forwards it has no use for it.
    pub skew: u16,
}

// Each link has a queue of them.
const _: () = assert!(size_of::<Packet>() <= 40);

impl Packet {
    pub fn new(caps: Caps, body: Body, entered: MediaTime) -> Self {
        let key = caps.kind() != MediaKind::Video;
        Packet { caps, body, entered, key, frame_end: false, discontinuity: false, hops: 0, skew: 0 }
    }

    pub fn key(mut self, key: bool) -> Self {
        self.key = key;
        self
    }

    pub fn frame_end(mut self, frame_end: bool) -> Self {
        self.frame_end = frame_end;
        self
    }

    /// Milliseconds, see [`Packet::skew`].
    pub fn skew(mut self, skew: u16) -> Self {
        self.skew = skew;
        self
    }

    pub fn kind(&self) -> MediaKind {
        self.caps.kind()
    }

    pub fn hops(&self) -> u8 {
        self.hops
    }
}
