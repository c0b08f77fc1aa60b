//! RTP video to pictures. A picture that rests on something that was lost is never handed on: viewers see the last good one until
//! the key frame that is asked for arrives.

use super::inlet::{Arrival, Arrived, Inlet};
use super::{LARGEST, raw};
use crate::coder::{CoderError, DecodedPicture, VideoDecoder};
use rivero_engine::{Body, Caps, Input, MediaKind, MediaTime, Node, Outbox, Packet};
use std::collections::VecDeque;
use std::sync::Arc;

/// More frames than a decoder holds back.
const INSIDE: usize = 64;

pub struct VideoDecode {
    raw: Caps,
    inlet: Inlet,
    decoder: VideoDecoder,
    pictures: Vec<DecodedPicture>,
    /// Of what the decoder was given last: when it is shown, when it entered.
    inside: VecDeque<(MediaTime, MediaTime)>,
}

impl VideoDecode {
    pub fn new(from: &Caps) -> Result<Self, String> {
        Ok(VideoDecode {
            raw: raw(MediaKind::Video).ok_or("no raw video")?,
            inlet: Inlet::new(from)?,
            decoder: VideoDecoder::with_largest(from.codec(), LARGEST).map_err(|why| why.to_string())?,
            pictures: Vec::new(),
            inside: VecDeque::new(),
        })
    }

    fn decode(&mut self, Arrived { frame, at, entered }: &Arrived, out: &mut Outbox) {
        if self.inside.len() == INSIDE {
            self.inside.pop_front();
        }
        self.inside.push_back((*at, *entered));
        let mut pictures = std::mem::take(&mut self.pictures);
        let mut decoded = self.decoder.decode(&frame.data, *at, &mut pictures);
        if frame.key && (decoded.is_err() || pictures.iter().any(|decoded| decoded.damaged)) {
            // What went before can leave a decoder in a state that outlives key frames (FFmpeg's of H.263 then takes every
            // stream for that of an encoder with a certain bug): a new one tells whether it is that or the frame.
            pictures.clear();
            decoded = self.open().and_then(|()| self.decoder.decode(&frame.data, *at, &mut pictures));
        }
        if let Err(why) = decoded {
            tracing::debug!(codec = self.decoder.codec().name(), "a frame is not decoded: {why}");
            self.inlet.want_key(out);
        }
        for decoded in pictures.drain(..) {
            if decoded.damaged {
                self.inlet.want_key(out);
                continue;
            }
            self.inlet.settle();
            // Not all pictures leave in the order in which they came.
            let own = self.inside.iter().rev().find(|(at, _)| *at == decoded.picture.at);
            let entered = own.map_or(*entered, |(_, entered)| *entered);
            let picture = Packet::new(self.raw.clone(), Body::Picture(Arc::new(decoded.picture)), entered);
            out.media(0, picture.key(true).frame_end(true));
        }
        self.pictures = pictures;
        // Some decoders make nothing of what they cannot use, and say nothing either.
        if self.inlet.wish().was_asked() {
            self.inlet.want_key(out);
        }
    }

    fn begin_anew(&mut self) {
        self.inside.clear();
        // What it still holds is of the stream that nobody watches any more.
        if let Err(why) = self.open() {
            tracing::debug!(codec = self.decoder.codec().name(), "a decoder cannot begin anew: {why}");
            self.decoder.note_loss();
        }
    }

    fn open(&mut self) -> Result<(), CoderError> {
        self.decoder = VideoDecoder::with_largest(self.decoder.codec(), LARGEST)?;
        Ok(())
    }
}

impl Node for VideoDecode {
    /// Feedback ends here: pictures can be had at any time.
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if !self.inlet.push(input, out.now()) {
            return;
        }
        while let Some(arrival) = self.inlet.pop(out) {
            match arrival {
                Arrival::Frame(arrived) => self.decode(&arrived, out),
                Arrival::Lost { .. } => self.decoder.note_loss(),
                Arrival::Jump => {}
                Arrival::Restart => self.begin_anew(),
            }
        }
    }
}
