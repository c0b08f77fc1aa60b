//! What sources send and what peers read: coders and payload formats without any graph.

use crate::signal;
use rivero_codecs::coder::{
    AudioDecoder, AudioEncoder, AudioSettings, EncodedFrame, VideoDecoder, VideoEncoder, VideoSettings,
};
use rivero_codecs::payload::{Depayload, Frame, Loss, Part, Payload, Piece, depayload, payload, setup};
use rivero_engine::{Body, Caps, Codec, MediaKind, MediaTime, Packet, Picture, Rtp, Sound};
use std::sync::Arc;

pub const VIDEO: [Codec; 7] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::H263, Codec::Av1, Codec::Mjpeg];
pub const AUDIO: [Codec; 10] = [
    Codec::Opus,
    Codec::Pcmu,
    Codec::Pcma,
    Codec::G722,
    Codec::Speex,
    Codec::Gsm,
    Codec::AmrNb,
    Codec::AmrWb,
    Codec::Aac,
    Codec::Mp3,
];

/// As they are negotiated.
pub fn caps(codec: Codec) -> Caps {
    match codec {
        Codec::H264 => Caps::video(codec, Some("packetization-mode=1")),
        codec if codec.kind() == MediaKind::Video => Caps::video(codec, None),
        Codec::Opus => Caps::audio(codec, 48_000, 2),
        Codec::Aac => Caps::audio(codec, 44_100, 2),
        Codec::AmrWb | Codec::Speex => Caps::audio(codec, 16_000, 1),
        Codec::Mp3 => Caps::audio(codec, 90_000, 1),
        codec => Caps::audio(codec, 8000, 1),
    }
}

/// Numbers and stamps the packets of one stream.
pub struct Packer {
    pub caps: Caps,
    pub ssrc: u32,
    pub sequence: u64,
    /// Added to each timestamp, so that they come around.
    pub shift: u32,
    pub room: usize,
    format: Box<dyn Payload>,
}

impl Packer {
    pub fn new(caps: &Caps) -> Self {
        let format = payload(caps).unwrap();
        Packer { caps: caps.clone(), ssrc: 77, sequence: 65_500, shift: 0xffff_f000, room: 1120, format }
    }

    pub fn pack(&mut self, frame: &EncodedFrame) -> Vec<Packet> {
        let mut parts = Vec::new();
        self.format.split(&frame.data, self.room, &mut parts).unwrap();
        let units = u128::from(frame.at.as_nanos()) * u128::from(self.caps.clock_rate()) + 500_000_000;
        let timestamp = self.shift.wrapping_add((units / 1_000_000_000) as u32);
        let last = parts.len() - 1;
        let number = |(at, part): (usize, Part)| {
            self.sequence += 1;
            let rtp = Rtp {
                ssrc: self.ssrc,
                sequence: self.sequence,
                timestamp: timestamp.wrapping_add(part.ahead),
                marker: part.marker,
                payload: part.payload,
            };
            let key = frame.key && (at == 0 || self.caps.kind() == MediaKind::Audio);
            Packet::new(self.caps.clone(), Body::Rtp(Arc::new(rtp)), frame.at).key(key).frame_end(at == last)
        };
        parts.into_iter().enumerate().map(number).collect()
    }
}

/// Pictures to packets.
pub struct Camera {
    pub packer: Packer,
    pub encoder: VideoEncoder,
}

impl Camera {
    pub fn new(caps: &Caps, width: u32, height: u32, bitrate: u32) -> Self {
        let settings = VideoSettings { bitrate, ..VideoSettings::new(width, height) };
        Camera { packer: Packer::new(caps), encoder: VideoEncoder::new(caps.codec(), settings).unwrap() }
    }

    pub fn shoot(&mut self, picture: &Picture, key: bool) -> Vec<Packet> {
        let frame = self.film(picture, key);
        self.packer.pack(&frame)
    }

    pub fn film(&mut self, picture: &Picture, key: bool) -> EncodedFrame {
        let mut frames = Vec::new();
        self.encoder.encode(picture, key, &mut frames).unwrap();
        assert_eq!(frames.len(), 1);
        frames.remove(0)
    }
}

/// A tone of 440 Hz as packets.
pub fn tone(caps: &Caps, seconds: f64) -> Vec<Packet> {
    let settings = spoken(caps);
    let mut encoder = AudioEncoder::new(caps.codec(), settings).unwrap();
    let mut frames = Vec::new();
    let count = (f64::from(settings.rate) * seconds) as usize;
    // Some encoders put frames before the first sample, and nothing lies before the clock's zero.
    let sound = signal::tone(settings.rate, settings.channels, 440.0, 0, count);
    encoder.encode(&Sound { at: MediaTime::from_millis(1000), ..sound }, &mut frames).unwrap();
    let mut packer = Packer::new(caps);
    frames.iter().flat_map(|frame| packer.pack(frame)).collect()
}

/// What an encoder for these caps is fed with.
pub fn spoken(caps: &Caps) -> AudioSettings {
    let usual = AudioSettings::usual(caps.codec());
    match caps.codec() {
        Codec::Speex | Codec::Aac | Codec::Pcmu | Codec::Pcma => {
            AudioSettings { rate: caps.clock_rate(), channels: caps.channels(), ..usual }
        }
        Codec::Mp3 => AudioSettings { channels: caps.channels(), ..usual },
        _ => usual,
    }
}

/// A peer that reads a stream without any mercy: each number must follow the last, and nothing may be unreadable.
pub struct Peer {
    caps: Caps,
    format: Box<dyn Depayload>,
    next: Option<(u32, u64)>,
    stamped: Option<u32>,
}

impl Peer {
    pub fn new(caps: &Caps) -> Self {
        Peer { caps: caps.clone(), format: depayload(caps).unwrap(), next: None, stamped: None }
    }

    pub fn read(&mut self, packets: &[Packet]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut begun = false;
        for packet in packets {
            let Body::Rtp(rtp) = &packet.body else { panic!("no RTP: {packet:?}") };
            assert!(rtp.payload.len() <= 1120, "{}: {} bytes", self.caps, rtp.payload.len());
            if let Some(next) = self.next.replace((rtp.ssrc, rtp.sequence + 1)) {
                assert_eq!(next, (rtp.ssrc, rtp.sequence), "{}: numbers follow each other", self.caps);
            }
            if let Some(last) = self.stamped.replace(rtp.timestamp) {
                let step = rtp.timestamp.wrapping_sub(last) as i32;
                assert!(step >= 0, "{}: timestamps never go back", self.caps);
                assert!(step > 0 || begun, "{}: frames have timestamps of their own", self.caps);
            }
            begun = !packet.frame_end;
            let piece =
                Piece { payload: &rtp.payload, marker: rtp.marker, timestamp: rtp.timestamp, sequence: rtp.sequence };
            let before = frames.len();
            assert_eq!(self.format.push(piece, &mut frames), Loss::Nothing, "{}", self.caps);
            if self.caps.kind() == MediaKind::Video {
                assert_eq!(packet.frame_end, rtp.marker, "{}: the marker ends a frame", self.caps);
                assert_eq!(packet.frame_end, frames.len() > before, "{}: a frame ends with its last packet", self.caps);
            }
        }
        frames
    }

    /// The pictures, with their timestamps in units of 90 kHz.
    pub fn watch(&mut self, packets: &[Packet]) -> Vec<(u32, Picture)> {
        let keys: Vec<u32> = packets.iter().filter(|packet| packet.key).map(stamp).collect();
        let mut decoder = VideoDecoder::new(self.caps.codec()).unwrap();
        let mut seen = Vec::new();
        let mut key_frames = 0;
        for frame in self.read(packets) {
            assert_eq!(keys.contains(&frame.timestamp), frame.key, "{}: the key flag tells the truth", self.caps);
            let mut pictures = Vec::new();
            decoder.decode(&frame.data, MediaTime::ZERO, &mut pictures).unwrap();
            assert_eq!(pictures.len(), 1, "{}", self.caps);
            assert!(!pictures[0].damaged, "{}", self.caps);
            key_frames += usize::from(frame.key);
            seen.push((frame.timestamp, pictures.remove(0).picture));
        }
        assert_eq!(keys.len(), key_frames, "{}: the first packet of a key frame is marked, and no other", self.caps);
        seen
    }

    /// What is heard, each with its timestamp.
    pub fn listen(&mut self, packets: &[Packet]) -> Vec<(u32, Vec<Sound>)> {
        let config = setup(&self.caps).unwrap_or_default();
        let (rate, channels) = (self.caps.clock_rate(), self.caps.channels());
        let mut decoder = AudioDecoder::new(self.caps.codec(), rate, channels, &config).unwrap();
        let frames = self.read(packets);
        let mut heard = Vec::with_capacity(frames.len());
        for frame in frames {
            let mut sounds = Vec::new();
            decoder.decode(&frame.data, MediaTime::ZERO, &mut sounds).unwrap();
            heard.push((frame.timestamp, sounds));
        }
        heard
    }
}

pub fn stamp(packet: &Packet) -> u32 {
    let Body::Rtp(rtp) = &packet.body else { panic!("no RTP: {packet:?}") };
    rtp.timestamp
}
