//! Sound to coded audio.

use super::ffmpeg::{AmrEncoder, CodecContext, Frame, Received};
use super::resampler::check_form;
use super::tables::{self, AudioCoding};
use super::{CoderError, EncodedFrame};
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind, MediaTime, Sound};
use std::collections::VecDeque;
use std::time::Duration;

/// A gap or an overlap of more than this in what comes in begins the time line anew.
const JUMP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSettings {
    /// Hz; of what comes in.
    pub rate: u32,
    pub channels: u8,
    /// Bits a second, or the codec's own.
    pub bitrate: Option<u32>,
}

impl AudioSettings {
    /// What a codec is usually sent with: Opus at 48 kHz in stereo with 64 kbps, telephony in mono at its own rate.
    pub fn usual(codec: Codec) -> Self {
        let coding = tables::audio_coding(codec);
        let rate = coding.rate.unwrap_or(match codec {
            Codec::Pcmu | Codec::Pcma => 8000,
            Codec::Speex => 16_000,
            _ => 48_000,
        });
        let channels = if matches!(codec, Codec::Pcmu | Codec::Pcma) { 1 } else { coding.most_channels.min(2) };
        AudioSettings { rate, channels, bitrate: None }
    }
}

enum Engine {
    FFmpeg(CodecContext),
    Amr(AmrEncoder),
}

/// Encodes one stream. Takes any number of samples at a time and cuts its own frames: as the codec wants them, or of 20 ms.
pub struct AudioEncoder {
    codec: Codec,
    settings: AudioSettings,
    coding: AudioCoding,
    engine: Engine,
    /// Samples of one channel.
    frame_size: usize,
    /// Interleaved, less than a frame.
    rest: Vec<i16>,
    rest_at: MediaTime,
    pts: i64,
    /// The times of the frames that went in and have not come out.
    inside: VecDeque<MediaTime>,
}

impl AudioEncoder {
    /// Refuses a rate or a number of channels that the codec does not have: to resample is the caller's business.
    pub fn new(codec: Codec, settings: AudioSettings) -> Result<Self, CoderError> {
        check_form((settings.rate, settings.channels))?;
        let what = "audio encoder";
        if codec.kind() != MediaKind::Audio {
            return Err(CoderError::Missing { codec, what });
        }
        let coding = tables::audio_coding(codec);
        if coding.rate.is_some_and(|rate| rate != settings.rate) || settings.channels > coding.most_channels {
            return Err(CoderError::Refused("a sampling rate or a number of channels that the codec does not have"));
        }
        let bitrate = settings.bitrate.or(coding.bitrate);
        let (engine, frame_size) = match tables::encoder(codec) {
            Some(name) => {
                let context = open(codec, name, &settings, &coding, bitrate)?;
                let own = context.frame_size();
                let size = if own == 0 { settings.rate as usize / 50 } else { own };
                (Engine::FFmpeg(context), size)
            }
            None => {
                let amr = AmrEncoder::new(codec, bitrate.unwrap_or(0)).ok_or(CoderError::Missing { codec, what })?;
                let size = amr.frame_size();
                (Engine::Amr(amr), size)
            }
        };
        let (rest, inside) = (Vec::new(), VecDeque::new());
        let frame_size = frame_size.max(1);
        let rest_at = MediaTime::ZERO;
        Ok(AudioEncoder { codec, settings, coding, engine, frame_size, rest, rest_at, pts: 0, inside })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Samples of one channel in a frame.
    pub fn frame_size(&self) -> usize {
        self.frame_size
    }

    /// What a decoder or a container wants to be known before the first frame (AAC's AudioSpecificConfig, Vorbis's headers, an
    /// OpusHead); empty for most.
    pub fn config(&self) -> Bytes {
        match &self.engine {
            Engine::FFmpeg(context) => Bytes::copy_from_slice(context.extradata()),
            Engine::Amr(_) => Bytes::new(),
        }
    }

    /// Takes the samples and appends the frames that they complete. A frame's time is that of the first sample that went into it. What
    /// the codec delays the sound by is not counted, some milliseconds for most; AAC's and MP3's, which is more than ears
    /// forgive beside pictures, is taken off: there a frame's time is that of the first sample that a decoder gives for it.
    pub fn encode(&mut self, sound: &Sound, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        if (sound.rate, sound.channels) != (self.settings.rate, self.settings.channels) {
            return Err(CoderError::Refused("sound of another form than the encoder is for"));
        }
        self.follow(sound.at, out)?;
        let wide = usize::from(self.settings.channels);
        let whole = sound.frames() * wide;
        self.rest.extend(sound.samples.chunks_exact(2).take(whole).map(|pair| i16::from_ne_bytes([pair[0], pair[1]])));
        let len = self.frame_size * wide;
        let mut used = 0;
        let mut result = Ok(());
        while result.is_ok() && self.rest.len() - used >= len {
            let frame = self.rest[used..used + len].to_vec();
            used += len;
            let at = self.rest_at;
            self.rest_at = at + self.duration(self.frame_size);
            result = self.encode_frame(&frame, at, out);
        }
        self.rest.drain(..used);
        result
    }

    /// Pads what is left with silence, appends all that the encoder still holds, and ends the stream: an encoder is done then.
    pub fn flush(mut self, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        self.pad(out)?;
        if let Engine::FFmpeg(context) = &mut self.engine {
            context.send_end(true).map_err(|source| CoderError::Failed { what: "encoding", source })?;
        }
        self.receive(out)
    }

    /// Keeps the time line, or begins it anew where the samples do not follow the last ones.
    fn follow(&mut self, at: MediaTime, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        let expected = self.rest_at + self.duration(self.rest.len() / usize::from(self.settings.channels));
        if self.rest.is_empty() {
            // Rounding must not creep into the times, nor a source's jitter.
            if at.since(expected).max(expected.since(at)) > Duration::from_millis(1) {
                self.rest_at = at;
            }
        } else if at.since(expected).max(expected.since(at)) > JUMP {
            self.pad(out)?;
            self.rest_at = at;
        }
        Ok(())
    }

    fn pad(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let mut last = std::mem::take(&mut self.rest);
        last.resize(self.frame_size * usize::from(self.settings.channels), 0);
        self.encode_frame(&last, self.rest_at, out)
    }

    fn encode_frame(&mut self, samples: &[i16], at: MediaTime, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        let failed = |source| CoderError::Failed { what: "encoding", source };
        match &mut self.engine {
            Engine::Amr(amr) => {
                let data = amr.encode(samples).ok_or(CoderError::Refused("samples that the AMR encoder rejects"))?;
                out.push(EncodedFrame { data: data.into(), at, key: true });
                Ok(())
            }
            Engine::FFmpeg(context) => {
                let (rate, channels) = (self.settings.rate, self.settings.channels);
                let mut frame = Frame::of_samples(self.coding.layout, rate, channels, samples).map_err(failed)?;
                frame.set_pts(self.pts);
                self.pts += self.frame_size as i64;
                context.send_frame(&frame).map_err(failed)?;
                self.inside.push_back(at);
                self.receive(out)
            }
        }
    }

    fn receive(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), CoderError> {
        let ahead = self.ahead();
        let Engine::FFmpeg(context) = &mut self.engine else { return Ok(()) };
        loop {
            match context.receive_packet() {
                Ok(Received::One(packet)) => {
                    // Frames leave in order, one for each that went in; what a codec appends at the end follows the last.
                    let at = self.inside.pop_front().unwrap_or(self.rest_at);
                    out.push(EncodedFrame { data: packet.data, at: at - ahead, key: true });
                }
                Ok(Received::Nothing) => return Ok(()),
                Err(source) => return Err(CoderError::Failed { what: "encoding", source }),
            }
        }
    }

    /// By this much a frame's time lies before the first sample that went into it.
    pub fn ahead(&self) -> Duration {
        match &self.engine {
            Engine::FFmpeg(context) if matches!(self.codec, Codec::Aac | Codec::Mp3) => {
                self.duration(context.padding())
            }
            _ => Duration::ZERO,
        }
    }

    fn duration(&self, samples: usize) -> Duration {
        Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(self.settings.rate))
    }
}

fn open(
    codec: Codec,
    name: &std::ffi::CStr,
    settings: &AudioSettings,
    coding: &AudioCoding,
    bitrate: Option<u32>,
) -> Result<CodecContext, CoderError> {
    let what = "audio encoder";
    let failed = |source| CoderError::Open { codec, what, source };
    let mut context = CodecContext::encoder(name).ok_or(CoderError::Missing { codec, what })?.map_err(failed)?;
    context.set_up_audio(settings.rate, settings.channels);
    context.set_up_audio_encoder(coding.layout, bitrate, coding.header_apart);
    context.open(&coding.settings).map_err(failed)?;
    Ok(context)
}
