//! Sound at another rate, or in another number of channels.

use super::CoderError;
use super::ffmpeg::SoundConverter;
use bytes::Bytes;
use rivero_engine::{MediaTime, Sound};
use std::time::Duration;

/// Over so many samples a correction is spread: one sample in them is a millionth.
const MILLION: i32 = 1_000_000;

/// What a correction may be, in millionths: more would be heard as a change of pitch.
const MOST_PPM: i32 = 5_000;

pub struct Resampler {
    from: (u32, u8),
    converter: SoundConverter,
    ppm: i32,
    /// Where what came in ended.
    until: MediaTime,
}

impl Resampler {
    /// Both as (Hz, channels); 1 Hz to 384 kHz, one to eight channels.
    pub fn new(from: (u32, u8), to: (u32, u8)) -> Result<Self, CoderError> {
        check_form(from)?;
        check_form(to)?;
        let failed = |source| CoderError::Failed { what: "starting the resampler", source };
        let converter = SoundConverter::resampler(from, to, true).map_err(failed)?;
        Ok(Resampler { from, converter, ppm: 0, until: MediaTime::ZERO })
    }

    /// From now on, make so many millionths more samples than the rates say (or fewer), without a seam: for a source whose
    /// clock runs slower than ours. Half a percent at most.
    pub fn compensate(&mut self, ppm: i32) {
        self.ppm = ppm.clamp(-MOST_PPM, MOST_PPM);
    }

    /// How much of what entered has not left yet: what leaves next begins so much earlier than what enters next.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.converter.delay())
    }

    /// What leaves may be less than what entered: the filter keeps some samples until more come.
    pub fn resample(&mut self, sound: &Sound) -> Result<Sound, CoderError> {
        if (sound.rate, sound.channels) != self.from {
            return Err(CoderError::Refused("sound of another form than the resampler is for"));
        }
        let failed = |source| CoderError::Failed { what: "resampling", source };
        // It holds for a while only, and asking again only sets the pace.
        let distance = if self.ppm == 0 { 0 } else { MILLION };
        self.converter.compensate(self.ppm, distance).map_err(failed)?;
        let at = sound.at - self.delay();
        let samples = self.converter.convert_samples(&sound.samples, sound.frames()).map_err(failed)?;
        let nanos = sound.frames() as u64 * 1_000_000_000 / u64::from(sound.rate);
        self.until = sound.at + Duration::from_nanos(nanos);
        let (rate, channels) = self.converter.target();
        Ok(Sound { rate, channels, samples: to_bytes(&samples), at })
    }

    /// What the filter still keeps, at the end of a stream.
    pub fn flush(&mut self) -> Result<Sound, CoderError> {
        let failed = |source| CoderError::Failed { what: "resampling", source };
        let at = self.until - self.delay();
        let samples = self.converter.drain().map_err(failed)?;
        let (rate, channels) = self.converter.target();
        Ok(Sound { rate, channels, samples: to_bytes(&samples), at })
    }
}

pub(crate) fn check_form((rate, channels): (u32, u8)) -> Result<(), CoderError> {
    match (1..=384_000).contains(&rate) && (1..=8).contains(&channels) {
        true => Ok(()),
        false => Err(CoderError::Refused("a sampling rate or a number of channels that makes no sense")),
    }
}

pub(crate) fn to_bytes(samples: &[i16]) -> Bytes {
    samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect()
}
