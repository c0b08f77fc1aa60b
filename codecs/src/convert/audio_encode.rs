//! Sound to RTP audio: brought to the encoder's rate and channels, and fitted into the pipeline's clock, so that a source whose clock
//! runs faster or slower neither runs dry nor piles up.

use super::sender::Sender;
use crate::coder::{AudioEncoder, AudioSettings, CoderError, EncodedFrame, Resampler};
use crate::payload::parameter;
use crate::playout::Drift;
use bytes::{Bytes, BytesMut};
use rivero_engine::{Body, Caps, Codec, Input, Node, Outbox, Packet, Sound};

pub struct AudioEncode {
    to: Caps,
    settings: AudioSettings,
    encoder: AudioEncoder,
    /// With what it is from: Hz, channels.
    resampler: Option<((u32, u8), Resampler)>,
    drift: Drift,
    sender: Sender,
    frames: Vec<EncodedFrame>,
}

impl AudioEncode {
    /// `ssrc` is of what leaves.
    ///
    /// # Errors
    /// The codec has no payload format, or no encoder for what the caps say.
    pub fn new(to: &Caps, ssrc: u32) -> Result<Self, String> {
        let settings = settings(to);
        Ok(AudioEncode {
            to: to.clone(),
            settings,
            encoder: AudioEncoder::new(to.codec(), settings).map_err(|why| why.to_string())?,
            resampler: None,
            drift: Drift::new(settings.rate),
            sender: Sender::new(to, ssrc).ok_or("no payload format")?,
            frames: Vec::new(),
        })
    }

    fn encode(&mut self, sound: &Sound, out: &mut Outbox) {
        let done = self.fit(sound).and_then(|fitted| self.encoder.encode(&fitted, &mut self.frames));
        if let Err(why) = done {
            tracing::debug!(codec = self.to.codec().name(), "sound is not encoded: {why}");
        }
        for frame in self.frames.drain(..) {
            if let Err(why) = self.sender.send(&frame.data, true, frame.at, out) {
                tracing::debug!(codec = self.to.codec().name(), "a frame cannot be sent: {why}");
            }
        }
    }

    /// The same sound in the encoder's form, on a clock without seams.
    fn fit(&mut self, sound: &Sound) -> Result<Sound, CoderError> {
        let AudioSettings { rate, channels, .. } = self.settings;
        let form = (sound.rate, sound.channels);
        // What the resampler keeps is late by its filter, not by its clock: counted as drift, it would be stretched away.
        let kept = self.resampler.as_ref().filter(|(from, _)| *from == form).map(|(_, resampler)| resampler.delay());
        let at = sound.at - kept.unwrap_or_default();
        let plan = self.drift.plan(at, scale(sound.frames(), sound.rate, rate));
        if plan.restarted {
            // What the encoder and the filter still hold is of the time before a pause, which may have lasted for minutes.
            self.encoder = AudioEncoder::new(self.to.codec(), self.settings)?;
            self.resampler = None;
        }
        let resampler = match &mut self.resampler {
            Some((from, resampler)) if *from == form => resampler,
            other => &mut other.insert((form, Resampler::new(form, (rate, channels))?)).1,
        };
        resampler.compensate(plan.ppm);
        // Before the filter, which holds the end of what came last: that must not come behind the silence.
        let (insert, drop) = (scale(plan.insert, rate, sound.rate), scale(plan.drop, rate, sound.rate));
        let at = self.drift.clock();
        let fitted = Sound { at, ..resampler.resample(&with_silence(sound, insert, drop))? };
        self.drift.wrote(fitted.frames());
        Ok(fitted)
    }
}

/// As many samples at another rate, to the nearest.
fn scale(samples: usize, from: u32, to: u32) -> usize {
    let from = u64::from(from.max(1));
    usize::try_from((samples as u64 * u64::from(to) + from / 2) / from).unwrap_or(usize::MAX)
}

/// The sound with so many samples of silence before it, and without its first `drop`.
fn with_silence(sound: &Sound, insert: usize, drop: usize) -> Sound {
    let wide = 2 * usize::from(sound.channels);
    let rest = sound.samples.slice((drop * wide).min(sound.samples.len())..);
    let samples = if insert == 0 { rest } else { after_silence(insert * wide, &rest) };
    Sound { samples, ..sound.clone() }
}

fn after_silence(bytes: usize, rest: &[u8]) -> Bytes {
    let mut samples = BytesMut::zeroed(bytes);
    samples.extend_from_slice(rest);
    samples.freeze()
}

/// What the caps say where the codec leaves a choice.
fn settings(to: &Caps) -> AudioSettings {
    let usual = AudioSettings::usual(to.codec());
    match to.codec() {
        Codec::Speex => AudioSettings { rate: to.clock_rate(), channels: 1, ..usual },
        Codec::Pcmu | Codec::Pcma | Codec::Aac | Codec::Mp3 | Codec::Vorbis => {
            // The clock of MP3 says nothing of its sampling rate.
            let rate = if to.codec() == Codec::Mp3 { usual.rate } else { to.clock_rate() };
            AudioSettings { rate, channels: to.channels().max(1), ..usual }
        }
        Codec::AmrNb => AudioSettings { bitrate: best_mode(to, &NARROW), ..usual },
        Codec::AmrWb => AudioSettings { bitrate: best_mode(to, &WIDE), ..usual },
        _ => usual,
    }
}

/// Bits a second of AMR's and AMR-WB's modes (RFC 4867, section 3).
const NARROW: [u32; 8] = [4_750, 5_150, 5_900, 6_700, 7_400, 7_950, 10_200, 12_200];
const WIDE: [u32; 9] = [6_600, 8_850, 12_650, 14_250, 15_850, 18_250, 19_850, 23_050, 23_850];

/// The best of the modes to which the peer restricts the session, in bits a second; `None` if it takes them all.
fn best_mode(to: &Caps, rates: &[u32]) -> Option<u32> {
    let modes = parameter(to.format(), "mode-set")?.split(',').filter_map(|mode| mode.trim().parse::<usize>().ok());
    modes.filter_map(|mode| rates.get(mode).copied()).max()
}

impl Node for AudioEncode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Media { packet: Packet { body: Body::Sound(sound), .. }, .. } = input {
            self.encode(&sound, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::MediaTime;
    use std::time::Duration;

    #[test]
    fn what_the_resampler_keeps_is_not_stretched_away() {
        let mut encode = AudioEncode::new(&Caps::audio(Codec::Pcmu, 8000, 1), 1).unwrap();
        let samples = Bytes::from(vec![0; 960 * 2 * 2]);
        let mut at = MediaTime::from_millis(1000);
        let (mut entered, mut left) = (0, 0);
        let mut kept = Vec::new();
        for block in 0..1000 {
            left += encode.fit(&Sound { rate: 48_000, channels: 2, samples: samples.clone(), at }).unwrap().frames();
            entered += 160;
            at = at + Duration::from_millis(20);
            if block % 250 == 10 {
                kept.push(entered - left);
            }
        }
        assert!(kept[0] > 0 && kept.iter().all(|other| *other == kept[0]), "{kept:?}");
    }
}
