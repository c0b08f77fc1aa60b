//! RTP audio to sound. What is lost is concealed: by what the codec makes up, or by silence.

use super::{piece, raw};
use crate::coder::AudioDecoder;
use crate::payload::{Depayload, Frame, Loss, depayload, setup};
use crate::playout::{Reorder, Step, Timeline};
use rivero_engine::{Body, Caps, Input, MediaKind, MediaTime, Node, Outbox, Packet, Sound};
use std::sync::Arc;
use std::time::Duration;

/// More than this is not made up: it is a pause.
const LONGEST_CONCEALED: Duration = Duration::from_millis(500);

pub struct AudioDecode {
    from: Caps,
    raw: Caps,
    reorder: Reorder,
    timeline: Timeline,
    format: Box<dyn Depayload>,
    decoder: AudioDecoder,
    frames: Vec<Frame>,
    sounds: Vec<Sound>,
    /// When the sound that was decoded last ends.
    end: Option<MediaTime>,
    rate: u32,
    lost: bool,
}

impl AudioDecode {
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(AudioDecode {
            from: from.clone(),
            raw: raw(MediaKind::Audio).ok_or("no raw audio")?,
            reorder: Reorder::new(MediaKind::Audio),
            timeline: Timeline::new(from.clock_rate()),
            format: depayload(from).ok_or("no payload format")?,
            decoder: open(from)?,
            frames: Vec::new(),
            sounds: Vec::new(),
            end: None,
            rate: 0,
            lost: false,
        })
    }

    fn read(&mut self, out: &mut Outbox) {
        let now = out.now();
        while let Some(step) = self.reorder.pop(now) {
            match step {
                Step::Packet(packet) => self.take(&packet, out),
                Step::Lost { .. } => self.lost = true,
                Step::Restart => self.begin_anew(),
            }
        }
        out.wake_at(self.reorder.due());
    }

    fn take(&mut self, packet: &Packet, out: &mut Outbox) {
        let Body::Rtp(rtp) = &packet.body else { return };
        let mapped = self.timeline.map(rtp.timestamp, packet.entered);
        if mapped.restarted {
            self.end = None;
        }
        let mut frames = std::mem::take(&mut self.frames);
        if self.format.push(piece(rtp), &mut frames) == Loss::Something {
            self.lost = true;
        }
        for frame in frames.drain(..) {
            // Several frames in one packet follow each other by their time stamps.
            let behind = frame.timestamp.wrapping_sub(rtp.timestamp) as i32;
            let nanos = i64::from(behind) * 1_000_000_000 / i64::from(self.from.clock_rate().max(1));
            let by = Duration::from_nanos(nanos.unsigned_abs());
            let at = if behind < 0 { mapped.at - by } else { mapped.at + by };
            if std::mem::take(&mut self.lost) {
                self.conceal(at, packet.entered, out);
            }
            if let Err(why) = self.decoder.decode(&frame.data, at, &mut self.sounds) {
                tracing::debug!(codec = self.from.codec().name(), "a frame is not decoded: {why}");
                self.lost = true;
            }
            self.hand_on(packet.entered, out);
        }
        self.frames = frames;
    }

    /// Fills what is missing before `at`.
    fn conceal(&mut self, at: MediaTime, entered: MediaTime, out: &mut Outbox) {
        let Some(end) = self.end.filter(|_| self.rate > 0) else { return };
        let missing = at.since(end);
        if missing.is_zero() || missing > LONGEST_CONCEALED {
            return;
        }
        let samples = missing.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        let samples = u32::try_from(samples).unwrap_or(0);
        if let Err(why) = self.decoder.conceal(samples, end, &mut self.sounds) {
            tracing::debug!(codec = self.from.codec().name(), "a loss is not concealed: {why}");
        }
        self.hand_on(entered, out);
    }

    fn hand_on(&mut self, entered: MediaTime, out: &mut Outbox) {
        for sound in self.sounds.drain(..) {
            self.rate = sound.rate;
            let length = sound.frames() as u64 * 1_000_000_000 / u64::from(sound.rate.max(1));
            self.end = Some(sound.at + Duration::from_nanos(length));
            out.media(0, Packet::new(self.raw.clone(), Body::Sound(Arc::new(sound)), entered));
        }
    }

    fn begin_anew(&mut self) {
        if let Some(format) = depayload(&self.from) {
            self.format = format;
        }
        if let Ok(decoder) = open(&self.from) {
            self.decoder = decoder;
        }
        self.timeline = Timeline::new(self.from.clock_rate());
        (self.end, self.lost) = (None, false);
    }
}

fn open(from: &Caps) -> Result<AudioDecoder, String> {
    let config = setup(from).unwrap_or_default();
    let decoder = AudioDecoder::new(from.codec(), from.clock_rate(), from.channels().max(1), &config);
    decoder.map_err(|why| why.to_string())
}

impl Node for AudioDecode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, more, .. } => {
                // A source that turns to another format is led elsewhere; until then its packets come here.
                if packet.caps == self.from {
                    self.reorder.push(packet, out.now());
                }
                if !more {
                    self.read(out);
                }
            }
            Input::Deadline => self.read(out),
            Input::Feedback { .. } | Input::Command(_) => {}
        }
    }
}
