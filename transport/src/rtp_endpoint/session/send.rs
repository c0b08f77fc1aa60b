//! From the graph: packets go to the peer on the line of their kind.

use super::{Line, RtpSession};
use crate::rtcp;
use crate::rtp::sending::Taken;
use rivero_engine::{Outbox, Packet};

impl RtpSession {
    pub(super) fn send(&mut self, packet: Packet, more: bool, out: &mut Outbox) {
        let kind = packet.caps.kind();
        let Some(line) = self.lines.iter_mut().find(|line| line.plan.kind == kind && line.plan.sends) else { return };
        let Line { way: Some(way), outgoing, send, plan, .. } = line else { return };
        match outgoing.take(&packet, send, || &plan.payload_types, &self.net.scratch) {
            Taken::Waits => out.left(kind, packet.entered),
            Taken::Late | Taken::Refused => {}
        }
        if !more && outgoing.finish(&self.net, way, send, out.now()) {
            self.rearm(out);
        }
    }

    /// Tells the peer of what we send, where that is due, and the west what of it the peer wants.
    pub(super) fn report_sent(&mut self, at: usize, out: &mut Outbox) {
        let Line { outgoing, rtcp_way, send, outbound, .. } = &mut self.lines[at];
        if outgoing.report(&self.net, rtcp_way.as_ref(), std::slice::from_mut(send), &self.cname, out.now()) {
            outbound.repeat(out);
        }
        self.note_keys(at, out);
    }

    /// The last words of a line (RFC 3550 §6.6).
    pub(super) fn say_goodbye(&mut self, at: usize) {
        let ours = self.lines[at].plan.local_ssrc;
        if let (_, Some(mut voice)) = self.lines[at].voice(&self.net, &self.cname) {
            voice.say(ours, &[], |out| rtcp::write_bye(out, &[ours]));
        }
    }
}
