//! Pictures to RTP video. One encoder serves all who want the codec; it goes by the slowest of them, as in Kurento.
//!
//! An encoder that cannot keep up leaves out pictures that are already late, so that delay does not grow.

use super::sender::Sender;
use crate::coder::{EncodedFrame, VideoEncoder, VideoSettings};
use rivero_engine::bitrate::NO_LIMIT;
use rivero_engine::{Body, Caps, CodingSettings, Feedback, Input, MediaTime, Node, Outbox, Packet, Picture};
use std::collections::VecDeque;
use std::time::Duration;

/// A picture that entered the pipeline longer ago is left out ...
const LATE: Duration = Duration::from_millis(250);
/// ... unless nothing was encoded for so long.
const SHOW_SOMETHING: Duration = Duration::from_millis(500);
/// Key frames that are asked for come no closer together than this.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);
/// Pictures inside an encoder whose times of entry are remembered; ours hold none.
const INSIDE: usize = 64;

pub struct VideoEncode {
    to: Caps,
    settings: CodingSettings,
    /// What the slowest viewer takes, in bps.
    limit: Option<u64>,
    encoder: Option<VideoEncoder>,
    sender: Sender,
    frames: Vec<EncodedFrame>,
    /// (when it is shown, when it entered).
    inside: VecDeque<(MediaTime, MediaTime)>,
    wants_key: bool,
    last_key: Option<MediaTime>,
    last: Option<MediaTime>,
    /// Of the last picture that was encoded: when it is shown.
    shown: Option<MediaTime>,
    skipped: u64,
    broken: bool,
}

impl VideoEncode {
    pub fn new(to: &Caps, settings: CodingSettings) -> Result<Self, String> {
        Ok(VideoEncode {
            to: to.clone(),
            settings,
            limit: None,
            encoder: None,
            sender: Sender::new(to, 1).ok_or("no payload format")?,
            frames: Vec::new(),
            inside: VecDeque::new(),
            wants_key: true,
            last_key: None,
            last: None,
            shown: None,
            skipped: 0,
            broken: false,
        })
    }

    /// Kurento's rule: what is asked for, within the bounds; without a wish the encoder keeps what it began with.
    fn bitrate(&self) -> u32 {
        let CodingSettings { bitrate, min, max } = self.settings;
        let wanted = self.limit.map_or(bitrate, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
        wanted.min(max).max(min)
    }

    fn steer(&mut self) {
        let bps = self.bitrate();
        // The encoder is touched only where whole kbps change.
        if let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.bitrate() / 1000 != bps / 1000) {
            encoder.set_bitrate(bps);
        }
    }

    fn encode(&mut self, picture: &Picture, entered: MediaTime, out: &mut Outbox) {
        let now = out.now();
        let rests = self.last.is_some_and(|last| now.since(last) < SHOW_SOMETHING);
        // An encoder wants times that increase.
        let repeats = self.shown.is_some_and(|shown| picture.at <= shown);
        if self.broken || repeats || (now.since(entered) > LATE && rests) {
            self.skipped += 1;
            return;
        }
        if self.encoder.is_none() && !self.open(picture, out) {
            return;
        }
        let Some(encoder) = &mut self.encoder else { return };
        let due = self.last_key.is_none_or(|last| now.since(last) >= BETWEEN_KEYS);
        let key = self.wants_key && due;
        self.inside.push_back((picture.at, entered));
        if self.inside.len() > INSIDE {
            self.inside.pop_front();
        }
        self.last = Some(now);
        self.shown = Some(picture.at);
        if let Err(why) = encoder.encode(picture, key, &mut self.frames) {
            out.error(format!("A picture cannot be encoded as {}: {why}", self.to.codec().name()));
            self.encoder = None;
            self.wants_key = true;
            return;
        }
        self.send(now, out);
    }

    fn open(&mut self, picture: &Picture, out: &mut Outbox) -> bool {
        let settings = VideoSettings { bitrate: self.bitrate(), ..VideoSettings::new(picture.width, picture.height) };
        match VideoEncoder::new(self.to.codec(), settings) {
            Ok(encoder) => self.encoder = Some(encoder),
            Err(why) => {
                self.broken = true;
                out.error(why.to_string());
            }
        }
        !self.broken
    }

    fn send(&mut self, now: MediaTime, out: &mut Outbox) {
        for frame in self.frames.drain(..) {
            let known = self.inside.iter().position(|(at, _)| *at == frame.at);
            let entered = known.map_or(frame.at, |known| self.inside[known].1);
            self.inside.drain(..known.map_or(0, |known| known + 1));
            if frame.key {
                self.last_key = Some(now);
                self.wants_key = false;
            }
            if let Err(why) = self.sender.send(&frame.data, frame.key, frame.at, entered, out) {
                tracing::debug!(codec = self.to.codec().name(), "a frame cannot be sent: {why}");
                self.wants_key = true;
            }
        }
    }
}

impl Node for VideoEncode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet: Packet { body: Body::Picture(picture), entered, .. }, .. } => {
                self.encode(&picture, entered, out);
            }
            Input::Media { .. } | Input::Deadline => {}
            Input::Feedback { feedback, .. } => match feedback {
                Feedback::KeyFrame | Feedback::Start => self.wants_key = true,
                Feedback::Bitrate(bps) => {
                    self.limit = (bps != NO_LIMIT).then_some(bps);
                    self.steer();
                }
                Feedback::Wait(_) => {}
            },
            Input::Command(command) => {
                if let Ok(settings) = command.downcast::<CodingSettings>() {
                    self.settings = *settings;
                    self.steer();
                }
            }
        }
    }
}

impl Drop for VideoEncode {
    fn drop(&mut self) {
        if self.skipped > 0 {
            tracing::info!(
                codec = self.to.codec().name(),
                skipped = self.skipped,
                "pictures were too late to be encoded"
            );
        }
    }
}
