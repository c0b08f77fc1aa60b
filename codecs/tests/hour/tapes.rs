//! A source whose clocks are wrong. It flashes and beeps at the same moments, once in each second of its camera; what it sends is coded
//! beforehand.

use crate::network::{Dice, Network};
use crate::streams::{Packer, spoken};
use crate::studio::described;
use bytes::Bytes;
use rivero_codecs::coder::{AudioEncoder, AudioSettings, EncodedFrame, VideoEncoder, VideoSettings};
use rivero_engine::{Codec, MediaTime, Packet, Picture, Plane, Sound};
use std::collections::{BTreeMap, VecDeque};
use std::f64::consts::TAU;
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
/// When it is switched on.
pub const BEGIN: MediaTime = MediaTime::from_millis(1000);
/// Between two pictures, on the camera's clock; ten make a group.
const PICTURE: u64 = 100 * MILLISECOND;
const GROUP: u64 = 10;
/// That one of a group is bright.
const BRIGHT: u64 = 3;
/// How long a beep lasts.
const BEEP: u64 = 120 * MILLISECOND;
/// Frames of a beep's clip before the one in which it begins, and in all.
const LEAD: u64 = 2;
const CLIP: usize = 16;

/// What lies between the camera's clock or the microphone's, and the pipeline's: it runs fast by so many ppm.
#[derive(Clone, Copy)]
struct Quartz(i64);

impl Quartz {
    /// When it is `own` nanoseconds since it was switched on, on the pipeline's clock.
    fn real(self, own: u64) -> MediaTime {
        let off = i128::from(own) * i128::from(self.0) / (1_000_000 + i128::from(self.0));
        BEGIN + Duration::from_nanos((i128::from(own) - off) as u64)
    }

    fn own(self, real: MediaTime) -> u64 {
        let since = i128::from(real.since(BEGIN).as_nanos() as u64);
        (since + since * i128::from(self.0) / 1_000_000) as u64
    }
}

/// When the flash and the beep of this number begin, on the pipeline's clock.
fn mark(camera: Quartz, number: u64) -> MediaTime {
    camera.real((number * GROUP + BRIGHT) * PICTURE)
}

/// Frames of sound, each made when it is due.
enum Voice {
    /// Silence, and beeps that begin each a millisecond later in their frame.
    Clips { silence: Bytes, beeps: Vec<Vec<Bytes>>, ahead: BTreeMap<u64, Bytes> },
    /// mu-law
    Plain,
}

struct Microphone {
    quartz: Quartz,
    packer: Packer,
    /// Of a frame, and the samples of a second.
    samples: u64,
    rate: u64,
    voice: Voice,
    next: u64,
    /// The next beep.
    mark: u64,
}

impl Microphone {
    fn new(codec: Codec, quartz: Quartz) -> Self {
        let caps = described(codec);
        let settings = spoken(&caps);
        let (voice, samples) = match codec {
            Codec::Pcmu => (Voice::Plain, 160),
            _ => {
                let samples = AudioEncoder::new(codec, settings).unwrap().frame_size() as u64;
                let offsets = samples * 1000 / u64::from(settings.rate) + 1;
                let silence = clip(codec, settings, samples, None)[CLIP - 1].clone();
                let beeps = (0..offsets).map(|ms| clip(codec, settings, samples, Some(ms))).collect();
                (Voice::Clips { silence, beeps, ahead: BTreeMap::new() }, samples)
            }
        };
        let mut packer = Packer::new(&caps);
        packer.ssrc = 1;
        Microphone { quartz, packer, samples, rate: u64::from(settings.rate), voice, next: 0, mark: 0 }
    }

    /// Nanoseconds of its own clock.
    fn at(&self, frame: u64) -> u64 {
        frame * self.samples * SECOND / self.rate
    }

    fn due(&self) -> MediaTime {
        self.quartz.real(self.at(self.next))
    }

    fn speak(&mut self, camera: Quartz) -> Vec<Packet> {
        let at = self.at(self.next);
        // Beeps are known before they begin.
        let mut begins = self.quartz.own(mark(camera, self.mark));
        let data = match &mut self.voice {
            Voice::Plain => {
                if at >= begins + BEEP {
                    self.mark += 1;
                    begins = self.quartz.own(mark(camera, self.mark));
                }
                let sample = |n: u64| {
                    let own = at + n * SECOND / self.rate;
                    let up = (own / (MILLISECOND / 2)).is_multiple_of(2);
                    // A square of 1 kHz: the greatest values of mu-law, and zero.
                    if !(begins..begins + BEEP).contains(&own) {
                        0xff
                    } else if up {
                        0x80
                    } else {
                        0x00
                    }
                };
                (0..self.samples).map(sample).collect::<Vec<u8>>().into()
            }
            Voice::Clips { silence, beeps, ahead } => {
                let first = begins * self.rate / SECOND / self.samples;
                if self.next + LEAD >= first {
                    let offset = begins - first * self.samples * SECOND / self.rate;
                    let beep = &beeps[(((offset + MILLISECOND / 2) / MILLISECOND) as usize).min(beeps.len() - 1)];
                    ahead.extend((first.saturating_sub(LEAD)..).zip(beep.iter().cloned()));
                    self.mark += 1;
                }
                ahead.remove(&self.next).unwrap_or_else(|| silence.clone())
            }
        };
        self.next += 1;
        self.packer.pack(&EncodedFrame { data, at: MediaTime::from_nanos(at), key: true })
    }
}

/// Frames of silence and a beep that begins so many milliseconds after the beginning of the frame with the number `LEAD`.
fn clip(codec: Codec, settings: AudioSettings, samples: u64, beep: Option<u64>) -> Vec<Bytes> {
    let AudioSettings { rate, channels, .. } = settings;
    let rate = u64::from(rate);
    // Long enough for an encoder to become quiet, and for what it holds back.
    let (quiet, all) = (30, 30 + CLIP as u64 + 10);
    let begins = beep.map(|ms| (quiet + LEAD) * samples + ms * rate / 1000);
    let sample = |n: u64| {
        let loud = begins.is_some_and(|begins| (begins..begins + BEEP * rate / SECOND).contains(&n));
        let value = if loud { (f64::sin(TAU * 1000.0 * n as f64 / rate as f64) * 12_000.0) as i16 } else { 0 };
        std::iter::repeat_n(value.to_ne_bytes(), usize::from(channels)).flatten()
    };
    let samples_in: Vec<u8> = (0..all * samples).flat_map(sample).collect();
    let mut frames = Vec::new();
    let sound = Sound { rate: rate as u32, channels, samples: samples_in.into(), at: BEGIN };
    AudioEncoder::new(codec, settings).unwrap().encode(&sound, &mut frames).unwrap();
    let number = |frame: &EncodedFrame| {
        let units = (frame.at.as_nanos() + SECOND - BEGIN.as_nanos()) * rate / SECOND;
        (units + samples / 2).saturating_sub(rate) / samples
    };
    let from = frames.iter().position(|frame| number(frame) == quiet).unwrap();
    frames[from..from + CLIP].iter().map(|frame| frame.data.clone()).collect()
}

struct Camera {
    quartz: Quartz,
    packer: Packer,
    group: Vec<EncodedFrame>,
    next: u64,
}

impl Camera {
    fn new(codec: Codec, quartz: Quartz) -> Self {
        let mut encoder = VideoEncoder::new(codec, VideoSettings::new(64, 48)).unwrap();
        let mut frames = Vec::new();
        let plane = |by: usize, value| Plane { data: vec![value; 64 / by * 48 / by].into(), stride: 64 / by };
        for number in 0..=GROUP {
            let planes = [plane(1, if number == 1 { 220 } else { 30 }), plane(2, 128), plane(2, 128)];
            let at = BEGIN + Duration::from_nanos(number * PICTURE);
            encoder.encode(&Picture { width: 64, height: 48, planes, at }, number <= 2, &mut frames).unwrap();
        }
        // The bright one and the first dark one after it are key frames; each group goes on from there.
        let mut group = frames.split_off(1);
        assert!(group[0].key && group[1].key && group.len() == GROUP as usize);
        group.rotate_right(BRIGHT as usize);
        let mut packer = Packer::new(&described(codec));
        packer.ssrc = 2;
        Camera { quartz, packer, group, next: 0 }
    }

    fn due(&self) -> MediaTime {
        self.quartz.real(self.next * PICTURE)
    }

    fn shoot(&mut self) -> Vec<Packet> {
        let frame = &self.group[(self.next % GROUP) as usize];
        let at = MediaTime::from_nanos(self.next * PICTURE);
        self.next += 1;
        self.packer.pack(&EncodedFrame { at, ..frame.clone() })
    }
}

/// All that such a source sends, as it arrives over a path with jitter.
pub struct Tapes {
    microphone: Microphone,
    camera: Camera,
    /// Of sound, and of pictures.
    paths: [Network; 2],
    dice: Dice,
    arrived: VecDeque<(MediaTime, Packet)>,
}

impl Tapes {
    /// By how many ppm the microphone's clock is fast, and the camera's.
    pub fn new(video: Codec, audio: Codec, (audio_ppm, video_ppm): (i64, i64), seed: u64) -> Self {
        let (microphone, camera) = (Microphone::new(audio, Quartz(audio_ppm)), Camera::new(video, Quartz(video_ppm)));
        let paths = [seed, seed + 1].map(|seed| Network::new(seed, 0, 1, false));
        Tapes { microphone, camera, paths, dice: Dice(seed + 2), arrived: VecDeque::new() }
    }

    /// When the flash and the beep of this number begin, on the pipeline's clock.
    pub fn mark(&self, number: u64) -> MediaTime {
        mark(self.camera.quartz, number)
    }

    /// Everything that arrives until then, in order.
    pub fn arrivals(&mut self, until: MediaTime) -> Vec<(MediaTime, Packet)> {
        loop {
            let (sound, picture) = (self.microphone.due(), self.camera.due());
            let due = sound.min(picture);
            if due > until {
                break;
            }
            let (path, packets) = if sound <= picture {
                (0, self.microphone.speak(self.camera.quartz))
            } else {
                (1, self.camera.shoot())
            };
            // Now and then one takes much longer.
            let late = if self.dice.below(20) == 0 { self.dice.below(30) } else { 0 };
            for packet in packets {
                self.paths[path].send(packet, due + Duration::from_millis(late));
            }
        }
        for path in &mut self.paths {
            while let Some(arrived) = path.next(until) {
                self.arrived.push_back(arrived);
            }
        }
        self.arrived.make_contiguous().sort_by_key(|(at, _)| *at);
        self.arrived.drain(..).collect()
    }
}
