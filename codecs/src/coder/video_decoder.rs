//! Coded video to pictures.

use super::ffmpeg::{CodecContext, Frame, PictureConverter, Received};
use super::{Cause, CoderError, tables};
use rivero_engine::{Codec, MediaTime, Picture};

/// Pictures that a single access unit may turn into; more than any codec holds back.
const MOST_AT_ONCE: usize = 64;

/// The largest picture that a decoder makes, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Largest {
    pub width: u32,
    pub height: u32,
}

impl Default for Largest {
    fn default() -> Self {
        Largest { width: 8192, height: 8192 }
    }
}

/// What a decoder made of its data.
#[derive(Clone, Debug)]
pub struct DecodedPicture {
    pub picture: Picture,
    /// It shows what was never coded: its data was incomplete, or it rests on a picture that was. To be dropped, and a key frame
    /// to be asked for.
    pub damaged: bool,
}

/// Decodes one stream, whose pictures may change in size. Without delay: a picture leaves with its own data, unless the stream orders
/// its pictures otherwise than it codes them. Pictures share the decoder's memory; keeping some is no harm to it.
pub struct VideoDecoder {
    codec: Codec,
    context: CodecContext,
    converter: PictureConverter,
    largest: Largest,
    /// Whether all that the next picture may rest on has been decoded.
    sound: bool,
}

impl VideoDecoder {
    pub fn new(codec: Codec) -> Result<Self, CoderError> {
        Self::with_largest(codec, Largest::default())
    }

    pub fn with_largest(codec: Codec, largest: Largest) -> Result<Self, CoderError> {
        let what = "video decoder";
        let name = tables::decoder(codec).filter(|_| tables::is_video(codec));
        let context = name.and_then(CodecContext::decoder).ok_or(CoderError::Missing { codec, what })?;
        let open = |source| CoderError::Open { codec, what, source };
        let mut context = context.map_err(open)?;
        // FFmpeg compares what it allocates, whole blocks and margins, before it decodes; `finish` goes by the picture itself.
        let blocks = |pixels: u32| (i64::from(pixels.div_ceil(128)) + 1) * 128;
        let most_pixels = blocks(largest.width) * blocks(largest.height);
        context.set_up_video_decoder(most_pixels, codec == Codec::Mjpeg);
        context.open(&[]).map_err(open)?;
        Ok(VideoDecoder { codec, context, converter: PictureConverter::default(), largest, sound: false })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decodes one access unit and appends what it completes. After an error the decoder goes on; what follows is damaged up to
    /// the next key frame.
    pub fn decode(&mut self, data: &[u8], at: MediaTime, out: &mut Vec<DecodedPicture>) -> Result<(), CoderError> {
        let pts = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        let sent = match data {
            // FFmpeg takes nothing for the end of the stream.
            [] => Err(CoderError::Refused("an empty access unit")),
            _ => self.context.send_data(data, pts).map_err(|source| self.fail(source)),
        };
        sent.and(self.receive(at, out))
    }

    /// Says that part of the stream never arrived: what follows counts as damaged up to the next key frame. No decoder can tell
    /// that a frame is missing, and those of VP9 and H.265 hardly that the end of one is.
    pub fn note_loss(&mut self) {
        self.sound = false;
    }

    /// Appends the pictures that the decoder still holds, and forgets the stream: the next one begins with a key frame.
    pub fn flush(&mut self, out: &mut Vec<DecodedPicture>) -> Result<(), CoderError> {
        let ended = self.context.send_end(false).map_err(|source| self.fail(source));
        let received = ended.and_then(|()| self.receive(MediaTime::ZERO, out));
        self.context.reset();
        self.sound = false;
        received
    }

    fn receive(&mut self, at: MediaTime, out: &mut Vec<DecodedPicture>) -> Result<(), CoderError> {
        let mut result = Ok(());
        for _ in 0..MOST_AT_ONCE {
            match self.context.receive_frame() {
                Ok(Received::One(frame)) => match self.finish(frame, at) {
                    Ok(picture) => out.push(picture),
                    Err(error) => result = Err(error),
                },
                Ok(Received::Nothing) => break,
                Err(source) => result = Err(self.fail(source)),
            }
        }
        result
    }

    fn finish(&mut self, frame: Frame, at: MediaTime) -> Result<DecodedPicture, CoderError> {
        let (width, height) = frame.size();
        if width > self.largest.width || height > self.largest.height {
            self.sound = false;
            return Err(CoderError::TooLarge { width, height });
        }
        let damaged = frame.is_damaged() || self.context.take_fault();
        self.sound = !damaged && (self.sound || frame.is_key());
        let at = frame.pts().and_then(|pts| u64::try_from(pts).ok()).map_or(at, MediaTime::from_nanos);
        let frame = match frame.is_i420() {
            true => frame,
            false => self
                .converter
                .make_i420(&frame, width, height, false)
                .map_err(|source| CoderError::Failed { what: "converting a picture", source })?,
        };
        let picture = frame.into_picture(at).ok_or(CoderError::Refused("a picture without its planes"))?;
        Ok(DecodedPicture { picture, damaged: !self.sound })
    }

    fn fail(&mut self, source: Cause) -> CoderError {
        self.sound = false;
        CoderError::Undecodable { source }
    }
}
