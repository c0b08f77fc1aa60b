//! RTP audio to sound. What is lost is concealed: by what the codec makes up, or by silence.

use super::inlet::{Arrival, Arrived, Inlet};
use super::raw;
use crate::coder::AudioDecoder;
use crate::payload::setup;
use rivero_engine::{Body, Caps, Input, MediaKind, MediaTime, Node, Outbox, Packet, Sound};
use std::sync::Arc;
use std::time::Duration;

/// More than this is not made up: it is a pause.
const LONGEST_CONCEALED: Duration = Duration::from_millis(500);

pub struct AudioDecode {
    raw: Caps,
    inlet: Inlet,
    decoder: AudioDecoder,
    sounds: Vec<Sound>,
    /// When the sound that was decoded last ends.
    end: Option<MediaTime>,
    rate: u32,
    lost: bool,
}

impl AudioDecode {
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(AudioDecode {
            raw: raw(MediaKind::Audio).ok_or("no raw audio")?,
            inlet: Inlet::new(from)?,
            decoder: open(from)?,
            sounds: Vec::new(),
            end: None,
            rate: 0,
            lost: false,
        })
    }

    fn decode(&mut self, Arrived { frame, at, entered }: &Arrived, out: &mut Outbox) {
        if std::mem::take(&mut self.lost) {
            self.conceal(*at, *entered, out);
        }
        if let Err(why) = self.decoder.decode(&frame.data, *at, &mut self.sounds) {
            tracing::debug!(codec = self.decoder.codec().name(), "a frame is not decoded: {why}");
            self.lost = true;
        }
        // Who is silent sends less; what belongs between is made up as if it were lost.
        self.lost |= self.decoder.is_silent();
        self.hand_on(*entered, out);
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
            tracing::debug!(codec = self.decoder.codec().name(), "a loss is not concealed: {why}");
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
        if let Ok(decoder) = open(self.inlet.from()) {
            self.decoder = decoder;
        }
        (self.end, self.lost) = (None, false);
    }
}

/// A decoder for what the caps describe.
pub fn open(from: &Caps) -> Result<AudioDecoder, String> {
    let config = setup(from).unwrap_or_default();
    let decoder = AudioDecoder::new(from.codec(), from.clock_rate(), from.channels().max(1), &config);
    decoder.map_err(|why| why.to_string())
}

impl Node for AudioDecode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if !self.inlet.push(input, out.now()) {
            return;
        }
        while let Some(arrival) = self.inlet.pop(out) {
            match arrival {
                Arrival::Frame(arrived) => self.decode(&arrived, out),
                Arrival::Lost { .. } => self.lost = true,
                Arrival::Jump => self.end = None,
                Arrival::Restart => self.begin_anew(),
            }
        }
    }
}
