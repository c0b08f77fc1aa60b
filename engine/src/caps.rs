//! What a packet is. Equality of [`Caps`] decides whether two ports understand each other without conversion.

use std::fmt;
use std::sync::Arc;

/// Kurento's `MediaType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    Audio,
    Video,
    Data,
}

impl MediaKind {
    pub const ALL: [MediaKind; 3] = [MediaKind::Audio, MediaKind::Video, MediaKind::Data];

    /// `AUDIO`, `VIDEO`, `DATA`
    pub fn name(self) -> &'static str {
        match self {
            MediaKind::Audio => "AUDIO",
            MediaKind::Video => "VIDEO",
            MediaKind::Data => "DATA",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A coding, by name only: the engine never looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Opus,
    Pcmu,
    Pcma,
    G722,
    Vp8,
    Vp9,
    Av1,
    H264,
    H265,
    H263,
    Mjpeg,
    Speex,
    Gsm,
    AmrNb,
    AmrWb,
    Aac,
    Mp3,
    Vorbis,
    /// Pictures in I420 ([`Picture`](crate::Picture)), or samples ([`Sound`](crate::Sound)).
    Raw,
    /// Messages of a data channel.
    Message,
}

impl Codec {
    /// The encoding name of the codec's RTP payload format (IANA media subtype), in Kurento's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Av1 => "AV1",
            Codec::H264 => "H264",
            Codec::H265 => "H265",
            Codec::H263 => "H263-1998",
            Codec::Mjpeg => "JPEG",
            Codec::Speex => "speex",
            Codec::Gsm => "GSM",
            Codec::AmrNb => "AMR",
            Codec::AmrWb => "AMR-WB",
            Codec::Aac => "MPEG4-GENERIC",
            Codec::Mp3 => "MPA",
            Codec::Vorbis => "vorbis",
            Codec::Raw => "raw",
            Codec::Message => "message",
        }
    }

    /// What a coding of its own carries; raw media exists of both kinds and counts as video here.
    pub fn kind(self) -> MediaKind {
        use Codec::*;
        match self {
            Vp8 | Vp9 | Av1 | H264 | H265 | H263 | Mjpeg | Raw => MediaKind::Video,
            Opus | Pcmu | Pcma | G722 | Speex | Gsm | AmrNb | AmrWb | Aac | Mp3 | Vorbis => MediaKind::Audio,
            Message => MediaKind::Data,
        }
    }

    /// Encoding names are case-insensitive (RFC 4855, section 3).
    pub fn parse(name: &str) -> Option<Self> {
        use Codec::*;
        const NAMED: [Codec; 18] = [
            Opus, Pcmu, Pcma, G722, Vp8, Vp9, Av1, H264, H265, H263, Mjpeg, Speex, Gsm, AmrNb, AmrWb, Aac, Mp3, Vorbis,
        ];
        NAMED.into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
    }
}

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// In RTP packets ([`Rtp`](crate::Rtp)).
    Packets,
    /// As whole frames ([`Coded`](crate::Coded)): from a file or into one.
    Frames,
    /// Decoded ([`Picture`](crate::Picture), [`Sound`](crate::Sound)).
    Raw,
    /// Messages of a data channel.
    Messages,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fields {
    form: Form,
    kind: MediaKind,
    codec: Codec,
    clock_rate: u32,
    channels: u8,
    format: Option<Box<str>>,
}

/// A format, shared by all packets that have it; cloning is free.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Caps(Arc<Fields>);

impl Caps {
    pub fn audio(codec: Codec, clock_rate: u32, channels: u8) -> Self {
        let (kind, form) = (MediaKind::Audio, form(codec));
        Caps(Arc::new(Fields { form, kind, codec, clock_rate, channels, format: None }))
    }

    /// `format` is what tells two streams of one codec apart for a receiver (an `fmtp` text), if anything does.
    pub fn video(codec: Codec, format: Option<&str>) -> Self {
        let format = format.map(Box::from);
        let (kind, form) = (MediaKind::Video, form(codec));
        Caps(Arc::new(Fields { form, kind, codec, clock_rate: 90_000, channels: 0, format }))
    }

    /// The same with another `format`; of audio, only what the payload format depends on belongs there (AAC's, AMR's).
    pub fn with_format(&self, format: Option<&str>) -> Self {
        Caps(Arc::new(Fields { format: format.map(Box::from), ..(*self.0).clone() }))
    }

    pub fn message() -> Self {
        let codec = Codec::Message;
        let (kind, form) = (MediaKind::Data, Form::Messages);
        Caps(Arc::new(Fields { form, kind, codec, clock_rate: 0, channels: 0, format: None }))
    }

    /// The same coding as whole frames.
    pub fn frames(&self) -> Self {
        Caps(Arc::new(Fields { form: Form::Frames, ..(*self.0).clone() }))
    }

    /// The same coding in RTP packets.
    pub fn packets(&self) -> Self {
        Caps(Arc::new(Fields { form: Form::Packets, ..(*self.0).clone() }))
    }

    pub fn form(&self) -> Form {
        self.0.form
    }

    /// The same in memory of its own: two cores that count references in one place wait for each other.
    pub(crate) fn apart(&self) -> Self {
        Caps(Arc::new((*self.0).clone()))
    }

    pub fn kind(&self) -> MediaKind {
        self.0.kind
    }

    pub fn codec(&self) -> Codec {
        self.0.codec
    }

    /// Hz
    pub fn clock_rate(&self) -> u32 {
        self.0.clock_rate
    }

    pub fn channels(&self) -> u8 {
        self.0.channels
    }

    pub fn format(&self) -> Option<&str> {
        self.0.format.as_deref()
    }
}

/// What [`Caps::audio`] and [`Caps::video`] stand for.
fn form(codec: Codec) -> Form {
    if codec == Codec::Raw { Form::Raw } else { Form::Packets }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.form() == Form::Frames {
            f.write_str("frames of ")?;
        }
        match self.0.kind {
            MediaKind::Data => f.write_str(self.codec().name()),
            MediaKind::Video => write!(f, "{}/{}", self.codec().name(), self.clock_rate()),
            MediaKind::Audio if self.channels() > 1 => {
                write!(f, "{}/{}/{}", self.codec().name(), self.clock_rate(), self.channels())
            }
            MediaKind::Audio => write!(f, "{}/{}", self.codec().name(), self.clock_rate()),
        }
    }
}

impl fmt::Debug for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
