//! Payload formats: hand-written packets, there and back, loss, and FFmpeg at the other end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ffmpeg;
mod hostile;
mod loss;
mod make;
mod round_trip;
mod vectors;

use bytes::Bytes;
use rivero_codecs::payload::{Depayload, Frame, Loss, Part, Piece, depayload, payload};
use rivero_engine::{Caps, Codec};

/// A packet as it crosses the network, but for its header.
#[derive(Clone, Debug)]
pub struct Sent {
    pub payload: Bytes,
    pub marker: bool,
    pub timestamp: u32,
    pub sequence: u64,
}

/// Frames into packets; frame number n has the timestamp n × 3000.
pub fn send(caps: &Caps, frames: &[Bytes], room: usize) -> Vec<Sent> {
    let mut writer = payload(caps).unwrap();
    let mut sent = Vec::new();
    for (number, frame) in (0u32..).zip(frames) {
        let mut parts = Vec::new();
        writer.split(frame, room, &mut parts).unwrap();
        for Part { payload, marker, ahead } in parts {
            let sequence = 65_530 + sent.len() as u64;
            sent.push(Sent { payload, marker, timestamp: number * 3000 + ahead, sequence });
        }
    }
    sent
}

pub fn give(reader: &mut dyn Depayload, sent: &[Sent]) -> (Vec<Frame>, Loss) {
    let mut out = Vec::new();
    let mut loss = Loss::Nothing;
    for Sent { payload, marker, timestamp, sequence } in sent {
        let piece = Piece { payload, marker: *marker, timestamp: *timestamp, sequence: *sequence };
        if reader.push(piece, &mut out) == Loss::Something {
            loss = Loss::Something;
        }
    }
    (out, loss)
}

pub fn receive(caps: &Caps, sent: &[Sent]) -> (Vec<Frame>, Loss) {
    give(&mut *depayload(caps).unwrap(), sent)
}

pub fn video(codec: Codec) -> Caps {
    Caps::video(codec, (codec == Codec::H264).then_some("packetization-mode=1"))
}

pub fn audio(codec: Codec) -> Caps {
    let (rate, channels) = match codec {
        Codec::Opus => (48_000, 2),
        Codec::Aac => (44_100, 2),
        Codec::AmrWb | Codec::Speex => (16_000, 1),
        Codec::Mp3 => (90_000, 1),
        _ => (8000, 1),
    };
    Caps::audio(codec, rate, channels)
}
