//! When it flashes and when it beeps.

use rivero_codecs::coder::{AudioDecoder, VideoDecoder};
use rivero_codecs::payload::setup;
use rivero_engine::{Body, MediaKind, MediaTime, Packet};
use std::time::Duration;

/// Flash and beep belong together if they are no further apart.
const NEAR: Duration = Duration::from_millis(200);

fn of(packets: &[Packet], kind: MediaKind) -> impl Iterator<Item = &Packet> {
    packets.iter().filter(move |packet| packet.kind() == kind)
}

/// When the first picture of each flash is shown.
pub fn flashes(packets: &[Packet]) -> Vec<MediaTime> {
    let mut decoder: Option<VideoDecoder> = None;
    let (mut flashes, mut bright) = (Vec::new(), false);
    for packet in of(packets, MediaKind::Video) {
        let Body::Coded(frame) = &packet.body else { panic!("{packet:?}") };
        let decoder = decoder.get_or_insert_with(|| VideoDecoder::new(packet.caps.codec()).unwrap());
        let mut pictures = Vec::new();
        decoder.decode(&frame.data, frame.at, &mut pictures).unwrap();
        for decoded in pictures {
            assert!(!decoded.damaged, "{packet:?}");
            let is = decoded.picture.planes[0].data[64 * 8 + 32] > 125;
            if is && !std::mem::replace(&mut bright, is) {
                flashes.push(decoded.picture.at);
            }
            bright = is;
        }
    }
    flashes
}

/// When each beep begins.
pub fn beeps(packets: &[Packet]) -> Vec<MediaTime> {
    let mut decoder: Option<AudioDecoder> = None;
    let (mut beeps, mut loud): (_, Option<MediaTime>) = (Vec::new(), None);
    for packet in of(packets, MediaKind::Audio) {
        let Body::Coded(frame) = &packet.body else { panic!("{packet:?}") };
        let caps = &packet.caps;
        let decoder = decoder.get_or_insert_with(|| {
            let config = setup(caps).unwrap_or_default();
            AudioDecoder::new(caps.codec(), caps.clock_rate(), caps.channels().max(1), &config).unwrap()
        });
        let mut sounds = Vec::new();
        decoder.decode(&frame.data, frame.at, &mut sounds).unwrap();
        for sound in sounds {
            let wide = 2 * usize::from(sound.channels);
            for (n, sample) in sound.samples.chunks_exact(wide).enumerate() {
                if i16::from_ne_bytes([sample[0], sample[1]]).unsigned_abs() < 4000 {
                    continue;
                }
                let at = sound.at + Duration::from_nanos(n as u64 * 1_000_000_000 / u64::from(sound.rate));
                // A new one after half a second of silence.
                if loud.is_none_or(|last| at.since(last) > Duration::from_millis(300)) {
                    beeps.push(at);
                }
                loud = Some(at);
            }
        }
    }
    beeps
}

/// Each flash with its beep.
pub fn pairs(flashes: &[MediaTime], beeps: &[MediaTime]) -> Vec<(MediaTime, MediaTime)> {
    let near =
        |flash: MediaTime| move |beep: &&MediaTime| flash.as_nanos().abs_diff(beep.as_nanos()) < NEAR.as_nanos() as u64;
    flashes.iter().filter_map(|flash| Some((*flash, *beeps.iter().find(near(*flash))?))).collect()
}
