//! When it flashes and when it beeps.

use rivero_codecs::coder::{AudioDecoder, VideoDecoder};
use rivero_codecs::payload::setup;
use rivero_engine::{Body, Coded, MediaKind, MediaTime, Packet, Picture};
use std::time::Duration;

/// Flash and beep belong together if they are no further apart.
const NEAR: Duration = Duration::from_millis(200);
/// A beep begins anew after so much silence.
const SILENCE: Duration = Duration::from_millis(300);

/// Looks at what a player gives, and listens.
#[derive(Default)]
pub struct Watch {
    /// When the first picture of each flash is shown.
    pub flashes: Vec<MediaTime>,
    /// When each beep begins.
    pub beeps: Vec<MediaTime>,
    eyes: Option<VideoDecoder>,
    ears: Option<AudioDecoder>,
    bright: bool,
    loud: Option<MediaTime>,
}

impl Watch {
    pub fn all(packets: &[Packet]) -> Self {
        let mut watch = Watch::default();
        packets.iter().for_each(|packet| watch.note(packet));
        watch
    }

    /// The next frame of its track.
    pub fn note(&mut self, packet: &Packet) {
        match &packet.body {
            Body::Coded(frame) if packet.kind() == MediaKind::Video => self.see(packet, frame),
            Body::Coded(frame) => self.hear(packet, frame),
            // Up to the key frame that follows a place that was sought.
            Body::Picture(picture) => self.look_at(picture),
            _ => panic!("neither frames nor pictures"),
        }
    }

    fn look_at(&mut self, picture: &Picture) {
        let plane = &picture.planes[0];
        let middle = plane.stride * (picture.height as usize / 2) + picture.width as usize / 2;
        let is = plane.data[middle] > 125;
        if is && !std::mem::replace(&mut self.bright, is) {
            self.flashes.push(picture.at);
        }
        self.bright = is;
    }

    fn see(&mut self, packet: &Packet, frame: &Coded) {
        let eyes = self.eyes.get_or_insert_with(|| VideoDecoder::new(packet.caps.codec()).unwrap());
        let mut pictures = Vec::new();
        eyes.decode(&frame.data, frame.at, &mut pictures).unwrap();
        // What only serves to decode what follows is nothing to look at.
        for decoded in pictures {
            assert!(!decoded.damaged, "{packet:?}");
            self.look_at(&decoded.picture);
        }
    }

    fn hear(&mut self, packet: &Packet, frame: &Coded) {
        let caps = &packet.caps;
        let ears = self.ears.get_or_insert_with(|| {
            let config = setup(caps).unwrap_or_default();
            AudioDecoder::new(caps.codec(), caps.clock_rate(), caps.channels().max(1), &config).unwrap()
        });
        let mut sounds = Vec::new();
        ears.decode(&frame.data, frame.at, &mut sounds).unwrap();
        for sound in sounds {
            let wide = 2 * usize::from(sound.channels);
            for (n, sample) in sound.samples.chunks_exact(wide).enumerate() {
                if i16::from_ne_bytes([sample[0], sample[1]]).unsigned_abs() < 4000 {
                    continue;
                }
                let at = sound.at + Duration::from_nanos(n as u64 * 1_000_000_000 / u64::from(sound.rate));
                if self.loud.is_none_or(|last| at.since(last) > SILENCE) {
                    self.beeps.push(at);
                }
                self.loud = Some(at);
            }
        }
    }

    /// Each flash with its beep.
    pub fn pairs(&self) -> Vec<(MediaTime, MediaTime)> {
        let apart = |one: MediaTime, other: MediaTime| one.as_nanos().abs_diff(other.as_nanos());
        let near = |flash: MediaTime| {
            let nearest = self.beeps.iter().copied().min_by_key(|beep| apart(flash, *beep))?;
            (u128::from(apart(flash, nearest)) < NEAR.as_nanos()).then_some((flash, nearest))
        };
        self.flashes.iter().filter_map(|flash| near(*flash)).collect()
    }

    /// How far the beep that is furthest from its flash begins behind it, in milliseconds.
    pub fn worst(&self) -> f64 {
        let behind = |(flash, beep): (MediaTime, MediaTime)| (beep.as_nanos() as f64 - flash.as_nanos() as f64) / 1e6;
        self.pairs()
            .into_iter()
            .map(behind)
            .fold(0.0, |worst: f64, one| if one.abs() > worst.abs() { one } else { worst })
    }
}
