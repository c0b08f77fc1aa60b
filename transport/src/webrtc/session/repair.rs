//! What was lost on the way to us: asked for again, and healed by a key frame where that is of no use.

use super::WebRtcSession;
use crate::rtcp;
use rivero_engine::{MediaKind, MediaTime, Outbox};

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

    /// Asks for a key frame where something is lost for good.
    pub(super) fn heal(&mut self, transport: usize, now: MediaTime) {
        for line in &mut self.transports[transport].lines {
            line.key_frame.wanted |= line.missing.is_broken();
        }
        self.request_key_frames(transport, now);
    }

    /// A consumer cannot go on without a key frame.
    pub(super) fn want_key_frame(&mut self, kind: MediaKind, out: &mut Outbox) {
        for transport in 0..self.transports.len() {
            // Without the peer's consent nothing may be sent to it (RFC 7675, section 5.1).
            if !self.transports[transport].alive {
                continue;
            }
            for line in &mut self.transports[transport].lines {
                line.key_frame.wanted |= line.plan.kind == kind && kind == MediaKind::Video && line.plan.receives;
            }
            self.request_key_frames(transport, out.now());
        }
    }

    /// Sends what is wanted and not too soon after the last one: PLI where negotiated (RFC 4585), otherwise FIR (RFC 5104).
    pub(super) fn request_key_frames(&mut self, transport: usize, now: MediaTime) {
        let this = &mut self.transports[transport];
        let (Some(way), Some(outgoing)) = (&this.way, &mut this.outgoing) else { return };
        for line in this.lines.iter_mut().filter(|line| line.key_frame.wanted) {
            let soon = line.key_frame.last.is_some_and(|last| now.since(last) < super::KEY_FRAME_INTERVAL);
            // Before the first packet there is nobody to ask, and a stream begins with a key frame anyway.
            let Some(source) = line.receiving.filter(|_| !soon) else { continue };
            let by_pli = line.plan.payload_types.iter().any(|payload_type| payload_type.pli);
            if !by_pli && !line.plan.payload_types.iter().any(|payload_type| payload_type.fir) {
                continue;
            }
            let count = if by_pli { &mut line.inbound.pli } else { &mut line.inbound.fir };
            *count += 1;
            let (ours, number) = (line.plan.local_ssrc, *count as u8);
            self.net.fill(|buffer| {
                outgoing.send_rtcp(way, buffer, |out| {
                    rtcp::write_receiver_report(out, ours, &[]);
                    if by_pli {
                        rtcp::write_pli(out, ours, source);
                    } else {
                        rtcp::write_fir(out, ours, source, number);
                    }
                });
            });
            line.key_frame.last = Some(now);
            line.key_frame.wanted = false;
        }
    }
}
