//! Numbers the packets of one stream that begins here (RFC 3550, section 5.1). Whoever forwards them to a peer numbers them again.

use crate::payload::{Part, Payload, Unsendable, payload};
use bytes::Bytes;
use rivero_engine::{Body, Caps, Coded, Form, MediaKind, MediaTime, Outbox, Packet, Rtp};
use std::sync::Arc;

/// Bytes of payload in a packet: 1,200 leave WebRTC's usual room once header, extensions and what SRTP adds are on.
pub const ROOM: usize = 1120;

pub struct Sender {
    caps: Caps,
    /// `None` where whole frames leave.
    format: Option<Box<dyn Payload>>,
    ssrc: u32,
    sequence: u64,
    parts: Vec<Part>,
}

impl Sender {
    /// `None` where the codec has no payload format.
    ///
    /// Whoever forwards packets knows a new stream by its `ssrc`: no two senders may have the same one after another.
    pub fn new(caps: &Caps, ssrc: u32) -> Option<Self> {
        let format = payload(caps);
        if format.is_none() && caps.form() != Form::Frames {
            return None;
        }
        let format = format.filter(|_| caps.form() == Form::Packets);
        Some(Sender { caps: caps.clone(), format, ssrc, sequence: 0, parts: Vec::new() })
    }

    /// Leaves numbers out, so that whoever receives the packets sees that something is missing.
    pub fn skip(&mut self, packets: u64) {
        self.sequence = self.sequence.saturating_add(packets);
    }

    /// Another stream begins, whose times have no relation to those before.
    pub fn begin_anew(&mut self) {
        self.ssrc = self.ssrc.wrapping_add(0x9e37_79b9);
        self.sequence = 0;
    }

    /// Writes a frame to output 0. `at`: when it is shown or heard. As far as anybody further on is concerned it entered the
    /// pipeline then: whoever tells a peer what time a timestamp stands for (RFC 3550, section 6.4.1) goes by that, and no jitter of
    /// the path here, nor the length of an encoder's frame, must come between sound and picture.
    ///
    /// # Errors
    /// What the payload format has no place for; nothing was written then.
    pub fn send(&mut self, frame: &Bytes, key: bool, at: MediaTime, out: &mut Outbox) -> Result<(), Unsendable> {
        if self.format.is_none() {
            let body = Body::Coded(Arc::new(Coded { data: frame.clone(), at }));
            out.media(0, Packet::new(self.caps.clone(), body, at).key(key).frame_end(true));
            return Ok(());
        }
        self.send_stamped(frame, key, to_units(at, self.caps.clock_rate()), at, out)
    }

    /// The same for a frame that has its timestamp already, in units of the caps' clock, and entered the pipeline at `entered`.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_stamped(
        &mut self,
        frame: &Bytes,
        key: bool,
        timestamp: u32,
        entered: MediaTime,
        out: &mut Outbox,
    ) -> Result<(), Unsendable> {
        self.parts.clear();
        let Some(format) = &mut self.format else { return Ok(()) };
        format.split(frame, ROOM, &mut self.parts)?;
        let first_only = self.caps.kind() == MediaKind::Video;
        let last = self.parts.len().saturating_sub(1);
        for (index, part) in self.parts.drain(..).enumerate() {
            self.sequence += 1;
            let rtp = Rtp {
                ssrc: self.ssrc,
                sequence: self.sequence,
                timestamp: timestamp.wrapping_add(part.ahead),
                marker: part.marker,
                payload: part.payload,
            };
            let packet = Packet::new(self.caps.clone(), Body::Rtp(Arc::new(rtp)), entered);
            out.media(0, packet.key(key && (index == 0 || !first_only)).frame_end(index == last));
        }
        Ok(())
    }
}

/// A time in units of an RTP clock, rounded to the nearest: times come from counted samples, cut to nanoseconds.
fn to_units(at: MediaTime, clock_rate: u32) -> u32 {
    let units = (u128::from(at.as_nanos()) * u128::from(clock_rate) + 500_000_000) / 1_000_000_000;
    units as u32
}

#[cfg(test)]
mod tests {
    use super::to_units;
    use rivero_engine::MediaTime;

    #[test]
    fn counted_samples_keep_their_distance() {
        let began = 123_456_789_012_345u64;
        let at = |n: u64| MediaTime::from_nanos(began + n * 960 * 1_000_000_000 / 48_000);
        for n in 0..100_000 {
            assert_eq!(to_units(at(n + 1), 48_000).wrapping_sub(to_units(at(n), 48_000)), 960);
        }
    }
}
