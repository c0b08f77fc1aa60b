//! What we ask of a peer that sends: what was lost on the way to us, key frames, a bitrate that our consumers can take.

use super::WebRtcSession;
use rivero_engine::{MediaKind, MediaTime, Outbox};

impl WebRtcSession {
    /// Asks for what is due.
    pub(super) fn ask_peer(&mut self, transport: usize, now: MediaTime) {
        let transport = &mut self.transports[transport];
        let round_trip = transport.round_trip;
        for at in 0..transport.lines.len() {
            let (lines, voice) = transport.voice(&self.net);
            lines[at].inbound.on_deadline(now, round_trip, &self.limits, voice);
        }
    }

    /// A consumer cannot go on without a key frame.
    pub(super) fn want_key_frame(&mut self, kind: MediaKind, out: &mut Outbox) {
        if kind != MediaKind::Video {
            return;
        }
        // Without the peer's consent nothing may be sent to it (RFC 7675, section 5.1).
        for transport in self.transports.iter_mut().filter(|transport| transport.alive) {
            for at in 0..transport.lines.len() {
                let (lines, voice) = transport.voice(&self.net);
                let line = &mut lines[at];
                if line.plan.kind == kind && line.plan.receives {
                    line.inbound.want_key_frame();
                    line.inbound.heal(out.now(), voice);
                }
            }
        }
    }

    /// What our consumers together can take.
    pub(super) fn note_wish(&mut self, kind: MediaKind, bps: u64, now: MediaTime) {
        let lines = self.transports.iter_mut().flat_map(|transport| &mut transport.lines);
        for line in lines.filter(|line| line.plan.kind == kind && line.plan.receives) {
            line.inbound.wish(bps, now);
        }
    }

    /// A viewer is connected and has said nothing yet.
    pub(super) fn begin_bitrates(&self, transport: usize, out: &mut Outbox) {
        for line in self.transports[transport].lines.iter().filter(|line| line.plan.sends) {
            line.outbound.begin(&self.limits, out);
        }
    }
}
