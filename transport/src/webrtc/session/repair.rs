//! What was lost on the way to us: asked for again, taken however late it comes, and healed by a key frame where that is of no
//! use. str0m asks for nothing: it gives up after five requests, sooner than a bad network lets one through, and takes no
//! packet that is more than a hundred behind the newest, which a large key frame is at once.

use super::receive::Arrived;
use super::state::profile_of;
use super::{Transport, WebRtcSession};
use crate::rtcp;
use crate::srtp::RtpOpener;
use bytes::Bytes;
use rivero_engine::MediaTime;

impl WebRtcSession {
    /// Asks the peer for what is missing (RFC 4585, section 6.2.1). Without keys or a way there is nobody to ask.
    pub(super) fn ask_again(&mut self, transport: usize, now: MediaTime) {
        let this = &mut self.transports[transport];
        let (Some(way), Some(outgoing)) = (&this.way, &mut this.outgoing) else { return };
        let mut lost = Vec::new();
        for line in &mut this.lines {
            lost.clear();
            line.missing.ask(now, this.round_trip, &mut lost);
            let Some(source) = line.receiving.filter(|_| !lost.is_empty()) else { continue };
            line.inbound.nack += 1;
            let ours = line.plan.local_ssrc;
            self.net.fill(|buffer| {
                outgoing.send_rtcp(way, buffer, |out| {
                    rtcp::write_receiver_report(out, ours, &[]);
                    rtcp::write_nack(out, ours, source, &lost);
                });
            });
        }
    }

    /// Asks for a key frame where something is lost for good. True when something was written.
    pub(super) fn heal(&mut self, transport: usize, now: MediaTime) -> bool {
        for line in &mut self.transports[transport].lines {
            line.key_frame.wanted |= line.missing.is_broken();
        }
        self.request_key_frames(transport, now)
    }
}

impl Transport {
    /// A packet that is missed and that str0m would take for too old. It opens at most once: then it is missed no longer.
    pub(super) fn open_late(&mut self, packet: &[u8]) -> Option<Arrived> {
        let [first, second, n0, n1, t0, t1, t2, t3, s0, s1, s2, s3, ..] = *packet else { return None };
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        let line = self.lines.iter().find(|line| line.receiving == Some(ssrc))?;
        let sequence = line.missing.late(u16::from_be_bytes([n0, n1]))?;
        if self.late.is_none() {
            let handshake = self.dtls.look();
            let (keys, profile) = handshake.keys.as_ref()?;
            self.late = RtpOpener::new(profile_of(*profile)?, keys, self.client).ok();
        }
        let mut payload = Vec::new();
        self.late.as_ref()?.open(packet, header_length(packet)?, (sequence >> 16) as u32, &mut payload)?;
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            payload.truncate(payload.len().checked_sub(padding)?);
        }
        Some(Arrived {
            ssrc,
            payload_type: second & 0x7f,
            sequence,
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            marker: second & 0x80 != 0,
            payload: Bytes::from(payload),
        })
    }
}

/// The fixed part, contributing sources and extensions (RFC 3550, sections 5.1 and 5.3.1).
fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut length = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let [high, low] = *packet.get(length + 2..)?.first_chunk()?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    Some(length).filter(|length| *length <= packet.len())
}

#[cfg(test)]
mod tests {
    use super::header_length;

    #[test]
    fn a_header_ends_behind_its_sources_and_extensions() {
        let packet = |first: u8, length: usize| {
            let mut packet = vec![0; length];
            packet[0] = first;
            if let Some(words) = packet.get_mut(23) {
                *words = 1;
            }
            packet
        };
        assert_eq!(header_length(&packet(0x80, 12)), Some(12));
        assert_eq!(header_length(&packet(0x82, 30)), Some(20));
        assert_eq!(header_length(&packet(0x92, 30)), Some(28), "two sources, four bytes, one word");
        assert_eq!(header_length(&packet(0x92, 27)), None, "cut");
        assert_eq!(header_length(&packet(0x92, 21)), None);
        assert_eq!(header_length(&[]), None);
    }
}
