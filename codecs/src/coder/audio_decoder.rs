//! Coded audio to sound.

use super::ffmpeg::{AmrDecoder, CodecContext, Frame, Received, SoundConverter};
use super::resampler::{check_form, to_bytes};
use super::{Cause, CoderError, tables};
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind, MediaTime, Sound};
use std::time::Duration;

/// Frames that a single packet may turn into.
const MOST_AT_ONCE: usize = 64;

/// What `conceal` makes up at most at a time.
const MOST_CONCEALED: Duration = Duration::from_secs(1);

enum Engine {
    FFmpeg(CodecContext),
    Amr(AmrDecoder),
}

/// Decodes one stream. Rate and channels of what leaves are the stream's own.
pub struct AudioDecoder {
    codec: Codec,
    engine: Engine,
    /// (format's Hz, channels, converter), for samples that are not interleaved 16 bits.
    converter: Option<((u32, u8), SoundConverter)>,
    /// Form of what left last, or what was announced.
    form: (u32, u8),
    /// Where something can be made up: the first byte of the last packet. Of Opus it says what a frame is (RFC 6716, section 3.1).
    head: Option<u8>,
}

impl AudioDecoder {
    /// `rate` (Hz) and `channels` as announced: codecs that say so in their data go by that, those that have one rate only by
    /// theirs (G.722 is announced with half of it, RFC 3551, section 4.5.2), the others need it. `config` is what
    /// the codec wants to be known beforehand (AAC's AudioSpecificConfig, Vorbis's headers), or nothing.
    pub fn new(codec: Codec, rate: u32, channels: u8, config: &[u8]) -> Result<Self, CoderError> {
        check_form((rate, channels))?;
        let what = "audio decoder";
        let rate = tables::audio_coding(codec).rate.unwrap_or(rate);
        let engine = match AmrDecoder::new(codec, channels) {
            Some(amr) => Engine::Amr(amr),
            None => {
                let name = tables::decoder(codec).filter(|_| codec.kind() == MediaKind::Audio);
                let context = name.and_then(CodecContext::decoder).ok_or(CoderError::Missing { codec, what })?;
                let open = |source| CoderError::Open { codec, what, source };
                let mut context = context.map_err(open)?;
                context.set_up_audio(rate, channels);
                context.set_extradata(config).map_err(open)?;
                context.open(&[]).map_err(open)?;
                Engine::FFmpeg(context)
            }
        };
        Ok(AudioDecoder { codec, engine, converter: None, form: (rate, channels), head: None })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decodes one packet and appends what it holds. After an error the decoder goes on with the next one.
    pub fn decode(&mut self, data: &[u8], at: MediaTime, out: &mut Vec<Sound>) -> Result<(), CoderError> {
        let Some(&first) = data.first() else {
            return Err(CoderError::Refused("an empty audio frame"));
        };
        if let Engine::Amr(amr) = &mut self.engine {
            let samples = amr.decode(data).ok_or(CoderError::Refused("what is no frame of AMR"))?;
            out.push(self.sound(&samples, at));
            self.head = Some(first);
            return Ok(());
        }
        let sent = self.send(data, at);
        let result = sent.and(self.receive(at, out));
        if result.is_ok() && self.codec == Codec::Opus {
            self.head = Some(first);
        }
        result
    }

    /// Whether the sender has said that silence goes on until it sends something else: then what [`conceal`](Self::conceal) makes up is
    /// what belongs there.
    pub fn is_silent(&self) -> bool {
        matches!(&self.engine, Engine::Amr(amr) if amr.is_silent())
    }

    /// Appends sound for `frames` samples (of one channel, at the rate of what left last) that were lost; at most one second. Of
    /// Opus and AMR it is the nearest number of frames, at least one: half a frame too much would put off all that follows.
    /// These make them up from what they heard, for the rest it is silence. The redundancy that Opus may have put into the next packet
    /// is not used: FFmpeg's wrapper does not reach it.
    pub fn conceal(&mut self, frames: u32, at: MediaTime, out: &mut Vec<Sound>) -> Result<(), CoderError> {
        let (rate, channels) = self.form;
        let most = (MOST_CONCEALED.as_secs() as u32) * rate;
        let mut left = frames.min(most) as usize;
        let mut at = at;
        let Some(head) = self.head else {
            let samples = Bytes::from(vec![0; left * 2 * usize::from(channels)]);
            out.push(Sound { rate, channels, samples, at });
            return Ok(());
        };
        let mut least = 0;
        while left > least {
            let before = out.len();
            match &mut self.engine {
                Engine::Amr(amr) => {
                    let samples = amr.conceal();
                    out.push(self.sound(&samples, at));
                }
                Engine::FFmpeg(_) => {
                    // A packet that consists of one empty frame: lost or left out (RFC 6716, section 3.2.1).
                    self.send(&[head & 0xFC], at)?;
                    self.receive(at, out)?;
                }
            }
            let made: usize = out[before..].iter().map(Sound::frames).sum();
            if made == 0 {
                break;
            }
            left = left.saturating_sub(made);
            least = made / 2;
            at = at + Duration::from_nanos(made as u64 * 1_000_000_000 / u64::from(rate));
        }
        Ok(())
    }

    /// Appends what the decoder still holds, and forgets the stream.
    pub fn flush(&mut self, out: &mut Vec<Sound>) -> Result<(), CoderError> {
        self.head = None;
        match &mut self.engine {
            Engine::Amr(amr) => {
                // It holds nothing. Without memory for another it goes on as it is.
                if let Some(other) = AmrDecoder::new(self.codec, 1) {
                    *amr = other;
                }
                Ok(())
            }
            Engine::FFmpeg(context) => {
                let ended = context.send_end(false).map_err(|source| CoderError::Undecodable { source });
                let received = ended.and_then(|()| self.receive(MediaTime::ZERO, out));
                if let Engine::FFmpeg(context) = &mut self.engine {
                    context.reset();
                }
                received
            }
        }
    }

    fn sound(&self, samples: &[i16], at: MediaTime) -> Sound {
        let (rate, channels) = self.form;
        Sound { rate, channels, samples: to_bytes(samples), at }
    }

    fn send(&mut self, data: &[u8], at: MediaTime) -> Result<(), CoderError> {
        let Engine::FFmpeg(context) = &mut self.engine else { return Ok(()) };
        let pts = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        context.send_data(data, pts).map_err(|source| CoderError::Undecodable { source })
    }

    fn receive(&mut self, at: MediaTime, out: &mut Vec<Sound>) -> Result<(), CoderError> {
        let mut result = Ok(());
        let mut at = at;
        for _ in 0..MOST_AT_ONCE {
            let Engine::FFmpeg(context) = &mut self.engine else { break };
            match context.receive_frame() {
                Ok(Received::One(frame)) => match self.finish(&frame, at) {
                    Ok(Some(sound)) => {
                        at = at + Duration::from_nanos(sound.frames() as u64 * 1_000_000_000 / u64::from(sound.rate));
                        out.push(sound);
                    }
                    Ok(None) => {}
                    Err(error) => result = Err(error),
                },
                Ok(Received::Nothing) => break,
                Err(source) => result = Err(CoderError::Undecodable { source }),
            }
        }
        result
    }

    fn finish(&mut self, frame: &Frame, at: MediaTime) -> Result<Option<Sound>, CoderError> {
        // FFmpeg marks a frame of MP3 with the rate of the one before: the first with what was announced, a clock's 90 kHz.
        let rate = match &self.engine {
            Engine::FFmpeg(context) if self.codec == Codec::Mp3 => context.rate(),
            _ => frame.rate(),
        };
        let channels = frame.channels();
        if frame.samples() == 0 {
            return Ok(None);
        }
        check_form((rate, channels))?;
        let failed = |source: Cause| CoderError::Failed { what: "converting samples", source };
        if !matches!(&self.converter, Some((form, _)) if *form == (rate, channels)) {
            self.converter = Some(((rate, channels), SoundConverter::like(frame).map_err(failed)?));
        }
        let converter = &mut self.converter.as_mut().expect("just made").1;
        let samples = converter.convert_frame(frame).map_err(failed)?;
        self.form = (rate, channels);
        Ok(Some(Sound { rate, channels, samples: to_bytes(&samples), at }))
    }
}
