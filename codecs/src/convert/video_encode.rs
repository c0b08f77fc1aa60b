//! Pictures to RTP video. One encoder serves all who want the codec; it goes by the slowest of them, as in Kurento.
//!
//! An encoder that cannot keep up leaves out pictures that are already late, so that delay does not grow.

use super::sender::{ROOM, Sender};
use crate::coder::{CoderError, EncodedFrame, VideoEncoder, VideoSettings};
use crate::payload::number;
use rivero_engine::bitrate::NO_LIMIT;
use rivero_engine::{Body, Caps, Codec, CodingSettings, Feedback, Input, MediaTime, Node, Outbox, Packet, Picture};
use std::time::Duration;

/// A picture that entered the pipeline longer ago is left out ... It is what Kurento's queue before an encoder holds. A decoder may
/// have waited 400 ms of it for a packet that was sent again: that is no fault of the encoder, and no reason to show less.
const LATE: Duration = Duration::from_millis(600);
/// ... unless nothing was encoded for so long.
const SHOW_SOMETHING: Duration = Duration::from_millis(500);
/// Key frames that are asked for come no closer together than this.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);
/// An encoder that failed is tried again after this, or with pictures of another size.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub struct VideoEncode {
    to: Caps,
    settings: CodingSettings,
    /// What the slowest viewer takes, in bps.
    limit: Option<u64>,
    encoder: Option<VideoEncoder>,
    sender: Sender,
    frames: Vec<EncodedFrame>,
    wants_key: bool,
    last_key: Option<MediaTime>,
    /// When a picture was encoded last.
    last: Option<MediaTime>,
    /// Of the last picture that was encoded: when it is shown.
    shown: Option<MediaTime>,
    skipped: u64,
    failed: Option<Failure>,
    /// It was said that encoding fails, and it has not succeeded since.
    complained: bool,
}

/// When an encoder failed, and with pictures of which size.
struct Failure {
    at: MediaTime,
    size: (u32, u32),
}

impl VideoEncode {
    /// `ssrc` is of what leaves.
    ///
    /// # Errors
    /// The codec has no payload format.
    pub fn new(to: &Caps, ssrc: u32, settings: CodingSettings) -> Result<Self, String> {
        Ok(VideoEncode {
            to: to.clone(),
            settings,
            limit: None,
            encoder: None,
            sender: Sender::new(to, ssrc).ok_or("no payload format")?,
            frames: Vec::new(),
            wants_key: true,
            last_key: None,
            last: None,
            shown: None,
            skipped: 0,
            failed: None,
            complained: false,
        })
    }

    fn steer(&mut self) {
        let bps = bitrate(self.settings, self.limit);
        // The encoder is touched only where whole kbps change.
        if let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.bitrate() / 1000 != bps / 1000) {
            encoder.set_bitrate(bps);
        }
    }

    fn encode(&mut self, picture: &Picture, entered: MediaTime, out: &mut Outbox) {
        let now = out.now();
        let size = (picture.width, picture.height);
        let rests = self.last.is_some_and(|last| now.since(last) < SHOW_SOMETHING);
        // An encoder wants times that increase.
        let repeats = self.shown.is_some_and(|shown| picture.at <= shown);
        let waits = |failed: &Failure| failed.size == size && now.since(failed.at) < TRY_AGAIN;
        if repeats || (now.since(entered) > LATE && rests) || self.failed.as_ref().is_some_and(waits) {
            self.skipped += 1;
            return;
        }
        let due = self.last_key.is_none_or(|last| now.since(last) >= BETWEEN_KEYS);
        let key = self.wants_key && due;
        self.last = Some(now);
        self.shown = Some(picture.at);
        if let Err(why) = self.try_to_encode(picture, key) {
            self.encoder = None;
            self.wants_key = true;
            self.failed = Some(Failure { at: now, size });
            if !std::mem::replace(&mut self.complained, true) {
                out.error(format!("A picture cannot be encoded as {}: {why}", self.to.codec().name()));
            }
        }
        self.send(now, out);
    }

    fn try_to_encode(&mut self, picture: &Picture, key: bool) -> Result<(), CoderError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            closed => {
                let usual = VideoSettings::new(picture.width, picture.height);
                let (bitrate, longest_slice) = (bitrate(self.settings, self.limit), longest_slice(&self.to));
                let settings = VideoSettings { bitrate, longest_slice, ..usual };
                closed.insert(VideoEncoder::new(self.to.codec(), settings)?)
            }
        };
        encoder.encode(picture, key, &mut self.frames)
    }

    fn send(&mut self, now: MediaTime, out: &mut Outbox) {
        for frame in self.frames.drain(..) {
            if frame.key {
                self.last_key = Some(now);
                self.wants_key = false;
            }
            (self.failed, self.complained) = (None, false);
            if let Err(why) = self.sender.send(&frame.data, frame.key, frame.at, out) {
                tracing::debug!(codec = self.to.codec().name(), "a frame cannot be sent: {why}");
                // What follows rests on it.
                self.wants_key = true;
            }
        }
    }
}

/// Kurento's rule, in bps: what viewers can take, within the bounds. Nobody's wish is known at the beginning, and not again after
/// the last who had one is gone: then it is what the element was set to. (Kurento stays where the last wish left it.)
fn bitrate(CodingSettings { bitrate, min, max }: CodingSettings, limit: Option<u64>) -> u32 {
    let wanted = limit.map_or(bitrate, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
    wanted.min(max).max(min)
}

/// In bytes: where packets carry no parts of slices (RFC 6184, packetization mode 0), each must fit one.
fn longest_slice(to: &Caps) -> Option<u32> {
    let whole = to.codec() == Codec::H264 && number(to.format(), "packetization-mode").unwrap_or(0) == 0;
    whole.then_some(ROOM as u32)
}

impl Node for VideoEncode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet: Packet { body: Body::Picture(picture), entered, discontinuity, .. }, .. } => {
                // Another scene: what is left of the one before would be seen in it for a while.
                self.wants_key |= discontinuity;
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
            let codec = self.to.codec().name();
            tracing::info!(
                codec,
                skipped = self.skipped,
                "pictures were left out: late, out of order, or not encodable"
            );
        }
    }
}
