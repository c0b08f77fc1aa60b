//! What a recording holds: a format, and which tracks.

use crate::film::{Format, WriterTrack};
use crate::payload::setup;
use rivero_engine::{Caps, Codec, Form, MediaKind, Takes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    pub format: Format,
    pub audio: bool,
    pub video: bool,
}

impl Profile {
    pub fn has(self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
            MediaKind::Data => false,
        }
    }

    /// What goes into the file as it is, what Kurento would make of everything first.
    fn codecs(self, kind: MediaKind) -> &'static [Codec] {
        use Codec::*;
        match (self.format, kind) {
            (Format::WebM, MediaKind::Video) => &[Vp8, Vp9, Av1],
            (Format::WebM, _) => &[Opus],
            (Format::Mp4, MediaKind::Video) => &[H264, H265],
            (Format::Mp4 | Format::Flv, _) if kind == MediaKind::Audio => &[Aac],
            (Format::Flv, _) => &[H264],
            (Format::Matroska, MediaKind::Video) => &[H264, Vp8, Vp9, Av1, H265],
            (Format::Matroska, _) => &[Aac, Opus],
            _ => &[Mjpeg],
        }
    }

    pub fn takes(self, kind: MediaKind) -> Takes {
        if !self.has(kind) {
            return Takes::Nothing;
        }
        let usual = self.codecs(kind).iter().map(|codec| usual(*codec)).collect();
        Takes::only(move |caps: &Caps| self.accepts(caps), usual)
    }

    /// Whether such frames go into the file as they are.
    pub fn accepts(self, caps: &Caps) -> bool {
        self.has(caps.kind()) && caps.form() == Form::Frames && self.codecs(caps.kind()).contains(&caps.codec())
    }

    /// Once a file has begun its tracks stay what they are: what comes in another coding is converted.
    pub fn takes_only(self, caps: &Caps) -> Takes {
        let track = caps.clone();
        let wanted = if caps.kind() == MediaKind::Video { usual(caps.codec()) } else { caps.clone() };
        Takes::only(move |caps: &Caps| fits(&track, caps), vec![wanted])
    }

    /// What a track holds of which nothing has come yet.
    pub fn expected(self, kind: MediaKind) -> Caps {
        usual(self.codecs(kind)[0])
    }
}

/// The frames of a codec as encoders here make them.
fn usual(codec: Codec) -> Caps {
    match codec {
        Codec::Aac | Codec::Opus => Caps::audio(codec, 48_000, 2),
        _ => Caps::video(codec, None),
    }
    .frames()
}

/// Whether frames go into a track that holds such ones. Pictures say of themselves what they are; sound is what the track says.
pub fn fits(track: &Caps, caps: &Caps) -> bool {
    let coding = |caps: &Caps| (caps.form(), caps.codec());
    let form = |caps: &Caps| (caps.clock_rate(), caps.channels(), setup(caps));
    coding(track) == coding(caps) && (caps.kind() == MediaKind::Video || form(track) == form(caps))
}

/// What a file says of a track with these frames.
pub fn track(caps: &Caps) -> WriterTrack {
    if caps.kind() == MediaKind::Video {
        return WriterTrack::video(caps.codec());
    }
    let config = setup(caps).unwrap_or_default();
    WriterTrack { config, ..WriterTrack::audio(caps.codec(), caps.clock_rate(), caps.channels().max(1)) }
}
