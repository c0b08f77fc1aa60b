//! Sound to RTP audio: brought to the encoder's rate and channels, and fitted into the pipeline's clock, so that a source whose clock
//! runs faster or slower neither runs dry nor piles up.

use super::sender::Sender;
use crate::coder::{AudioEncoder, AudioSettings, EncodedFrame, Resampler};
use crate::playout::Drift;
use bytes::{Bytes, BytesMut};
use rivero_engine::{Body, Caps, Codec, Input, MediaTime, Node, Outbox, Packet, Sound};

pub struct AudioEncode {
    to: Caps,
    settings: AudioSettings,
    encoder: AudioEncoder,
    resampler: Option<((u32, u8), Resampler)>,
    drift: Drift,
    sender: Sender,
    frames: Vec<EncodedFrame>,
}

impl AudioEncode {
    pub fn new(to: &Caps) -> Result<Self, String> {
        let settings = settings(to);
        Ok(AudioEncode {
            to: to.clone(),
            settings,
            encoder: AudioEncoder::new(to.codec(), settings).map_err(|why| why.to_string())?,
            resampler: None,
            drift: Drift::new(settings.rate),
            sender: Sender::new(to, 2).ok_or("no payload format")?,
            frames: Vec::new(),
        })
    }

    fn encode(&mut self, sound: &Sound, entered: MediaTime, out: &mut Outbox) {
        let done = self
            .fit(sound)
            .and_then(|fitted| self.encoder.encode(&fitted, &mut self.frames).map_err(|why| why.to_string()));
        if let Err(why) = done {
            tracing::debug!(codec = self.to.codec().name(), "sound is not encoded: {why}");
        }
        for frame in self.frames.drain(..) {
            // Of the sound that completes a frame: what came before it waited for that.
            if let Err(why) = self.sender.send(&frame.data, true, frame.at, entered, out) {
                tracing::debug!(codec = self.to.codec().name(), "a frame cannot be sent: {why}");
            }
        }
    }

    /// The same sound in the encoder's form, on a clock without seams.
    fn fit(&mut self, sound: &Sound) -> Result<Sound, String> {
        let AudioSettings { rate, channels, .. } = self.settings;
        let expected = sound.frames() as u64 * u64::from(rate) / u64::from(sound.rate.max(1));
        let form = (sound.rate, sound.channels);
        // What the resampler keeps is late by its filter, not by its clock: counted as drift, it would be stretched away.
        let kept = self.resampler.as_ref().filter(|(from, _)| *from == form).map(|(_, resampler)| resampler.delay());
        let at = sound.at - kept.unwrap_or_default();
        let plan = self.drift.plan(at, usize::try_from(expected).unwrap_or(usize::MAX));
        if plan.restarted || self.resampler.as_ref().is_none_or(|(from, _)| *from != form) {
            let resampler = Resampler::new(form, (rate, channels)).map_err(|why| why.to_string())?;
            self.resampler = Some((form, resampler));
        }
        let (_, resampler) = self.resampler.as_mut().ok_or("no resampler")?;
        resampler.compensate(plan.ppm);
        let resampled = resampler.resample(sound).map_err(|why| why.to_string())?;
        let at = self.drift.clock();
        let wide = 2 * usize::from(channels);
        let dropped = (plan.drop * wide).min(resampled.samples.len());
        let rest = resampled.samples.slice(dropped..);
        let samples = if plan.insert == 0 { rest } else { after_silence(plan.insert * wide, &rest) };
        let fitted = Sound { rate, channels, samples, at };
        self.drift.wrote(fitted.frames());
        Ok(fitted)
    }
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
            let rate = if to.codec() == Codec::Mp3 { usual.rate } else { to.clock_rate() };
            AudioSettings { rate, channels: to.channels().max(1), ..usual }
        }
        _ => usual,
    }
}

impl Node for AudioEncode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Media { packet: Packet { body: Body::Sound(sound), entered, .. }, .. } = input {
            self.encode(&sound, entered, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_the_resampler_keeps_is_not_stretched_away() {
        let mut encode = AudioEncode::new(&Caps::audio(Codec::Pcmu, 8000, 1)).unwrap();
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
