//! What an endpoint brings to its media lines of RTP, whatever carries them.
//!
//! What enters: what is configured and set. What leaves: which lines are offered, and with which codecs. It must not know transports.

use super::codecs::{LocalCodec, first_video_pt, number_codecs};
use super::{Kind, OfferOptions};

/// What an endpoint brings to the lines of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalLines {
    /// The codecs that may be negotiated, in the order of our offers. Empty: no such line.
    pub codecs: Vec<LocalCodec>,
    /// How many lines are taken, 0 or 1.
    pub most: usize,
    /// The `b=AS` limit of an offered line in kbps; 0 for none.
    pub max_recv_kbps: u32,
}

impl LocalLines {
    /// At most one line, without a limit.
    pub fn of(codecs: Vec<LocalCodec>) -> Self {
        Self { codecs, most: 1, max_recv_kbps: 0 }
    }
}

/// What an endpoint brings to its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AudioVideo {
    /// To those of sound.
    pub audio: LocalLines,
    /// To those of pictures.
    pub video: LocalLines,
}

impl AudioVideo {
    /// What is brought to a kind; `None` unless it is carried by RTP.
    pub(super) fn of(&self, kind: Kind) -> Option<&LocalLines> {
        match kind {
            Kind::Audio => Some(&self.audio),
            Kind::Video => Some(&self.video),
            Kind::Application | Kind::Other => None,
        }
    }

    pub(super) fn codecs(&self, kind: Kind) -> &[LocalCodec] {
        self.of(kind).map_or(&[], |lines| &lines.codecs)
    }

    pub(super) fn max_recv_kbps(&self, kind: Kind) -> u32 {
        self.of(kind).map_or(0, |lines| lines.max_recv_kbps)
    }

    /// The lines that are wanted and can be served, with the payload types of their codecs.
    pub(super) fn offered(&self, options: OfferOptions) -> Vec<(Kind, Vec<(u8, &LocalCodec)>)> {
        let is_served = |lines: &LocalLines| lines.most > 0 && !lines.codecs.is_empty();
        let (audio, video) = (options.audio && is_served(&self.audio), options.video && is_served(&self.video));
        let first_video = first_video_pt(&self.audio.codecs, &self.video.codecs, audio);
        let audio = audio.then(|| (Kind::Audio, number_codecs(&self.audio.codecs, 96)));
        let video = video.then(|| (Kind::Video, number_codecs(&self.video.codecs, first_video)));
        audio.into_iter().chain(video).collect()
    }
}
