//! From the graph: packets are renumbered for the peer, and those that came together leave together.

use super::history::{Numbers, Record};
use super::receive::port_of;
use super::{Line, WebRtcSession};
use rivero_engine::{Body, Caps, MediaKind, Outbox, Packet, What};
use std::time::Duration;

/// How soon after the first packet the peer learns how time stamps and clock belong together.
const FIRST_REPORT: Duration = Duration::from_millis(100);

impl WebRtcSession {
    pub(super) fn send(&mut self, packet: Packet, more: bool, out: &mut Outbox) {
        let Body::Rtp(rtp) = packet.body else { return };
        let kind = packet.caps.kind();
        let (mut refused, mut begins) = (false, false);
        for transport in self.transports.iter_mut().filter(|transport| transport.alive) {
            let Some(at) = transport.sending[port_of(kind)] else { continue };
            let (Some(way), Some(outgoing)) = (&transport.way, &mut transport.outgoing) else { continue };
            let line = &mut transport.send_lines[at];
            let payload_type = match &line.chosen {
                Some((known, payload_type)) if *known == packet.caps => *payload_type,
                _ => {
                    let payload_type = transport.lines[at].payload_type_for(&packet.caps);
                    line.chosen = Some((packet.caps.clone(), payload_type));
                    payload_type
                }
            };
            refused |= payload_type.is_none();
            let numbers = payload_type.and_then(|payload_type| {
                let (sequence, timestamp) = line.rewriter.rewrite(&rtp, packet.entered, packet.discontinuity)?;
                Some((sequence, Numbers { timestamp, entered: packet.entered, payload_type }))
            });
            if let Some((sequence, numbers)) = numbers {
                line.packets += 1;
                line.bytes += rtp.payload.len() as u64;
                outgoing.push(sequence, Record::new(rtp.clone(), numbers), &self.net.scratch);
                out.left(kind, packet.entered);
            }
            if !more && !outgoing.is_empty() {
                self.net.fill(|buffer| outgoing.transmit(way, line, buffer));
                outgoing.give_room_back(&self.net.scratch);
                if outgoing.report_due.is_none() {
                    outgoing.report_due = Some(out.now() + FIRST_REPORT);
                    begins = true;
                }
            }
        }
        if refused {
            self.refuse(&packet.caps, kind, out);
        }
        if begins {
            self.rearm(out);
        }
    }

    /// Says once for each format that the peer does not take it and that nothing here converts it.
    fn refuse(&mut self, caps: &Caps, kind: MediaKind, out: &mut Outbox) {
        if self.refused.as_ref() == Some(caps) {
            return;
        }
        self.refused = Some(caps.clone());
        let description = format!("Formats are not compatible: the peer takes no {caps} at its {kind} input");
        tracing::warn!(endpoint = %self.label, port = port_of(kind), "{description}");
        out.notice(What::Error { kind: rivero_engine::notice::ErrorKind::Format, description });
    }
}

impl Line {
    /// The negotiated payload type for a format: the same format if there is one, otherwise the same codec in a way of
    /// packing that the peer understands.
    fn payload_type_for(&self, caps: &Caps) -> Option<u8> {
        let same = self.plan.payload_types.iter().find(|pt| pt.caps == *caps);
        let alike = || self.plan.payload_types.iter().find(|pt| is_alike(&pt.caps, caps));
        same.or_else(alike).map(|payload_type| payload_type.number)
    }
}

/// Whether packets of one format can be sent as the other: the same codec, clock and channels, and for H.264 the same
/// packetization mode (RFC 6184, section 8.1), for VP9 the same profile (RFC 9628, section 6).
pub(crate) fn is_alike(ours: &Caps, theirs: &Caps) -> bool {
    let parameter = |caps: &Caps, name: &str, default: &str| {
        let pairs = caps.format().unwrap_or_default().split(';').map(str::trim).filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        value.unwrap_or(default).to_owned()
    };
    let same = |name, default| parameter(ours, name, default) == parameter(theirs, name, default);
    ours.codec() == theirs.codec()
        && ours.clock_rate() == theirs.clock_rate()
        && match ours.codec() {
            rivero_engine::Codec::H264 => same("packetization-mode", "0"),
            rivero_engine::Codec::Vp9 => same("profile-id", "0"),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::is_alike;
    use rivero_engine::{Caps, Codec};

    #[test]
    fn formats_that_can_be_sent_as_each_other() {
        let h264 = |format| Caps::video(Codec::H264, Some(format));
        assert!(is_alike(
            &h264("profile-level-id=42e01f;packetization-mode=1"),
            &h264("level-asymmetry-allowed=1; packetization-mode=1;profile-level-id=42001f")
        ));
        assert!(!is_alike(&h264("packetization-mode=1"), &h264("profile-level-id=42e01f")));
        assert!(is_alike(&Caps::video(Codec::Vp9, None), &Caps::video(Codec::Vp9, Some("profile-id=0"))));
        assert!(!is_alike(&Caps::video(Codec::Vp9, Some("profile-id=2")), &Caps::video(Codec::Vp9, None)));
        assert!(!is_alike(&Caps::video(Codec::Vp8, None), &Caps::video(Codec::Vp9, None)));
        assert!(is_alike(&Caps::audio(Codec::Opus, 48_000, 2), &Caps::audio(Codec::Opus, 48_000, 2)));
    }
}
