//! From the graph: packets go to the peer on every transport that carries their kind.

use super::WebRtcSession;
use crate::rtp::port_of;
use crate::rtp::sending::Taken;
use rivero_engine::{Outbox, Packet};

impl WebRtcSession {
    pub(super) fn send(&mut self, packet: Packet, more: bool, out: &mut Outbox) {
        let kind = packet.caps.kind();
        let mut begins = false;
        for transport in self.transports.iter_mut().filter(|transport| transport.alive) {
            let Some(at) = transport.sending[port_of(kind)] else { continue };
            let (Some(way), Some(outgoing)) = (&transport.way, &mut transport.outgoing) else { continue };
            let line = &mut transport.send_lines[at];
            let lines = &transport.lines;
            match outgoing.take(&packet, line, || &lines[at].plan.payload_types, &self.net.scratch) {
                Taken::Waits => out.left(kind, packet.entered),
                Taken::Late | Taken::Refused => {}
            }
            if !more {
                begins |= outgoing.finish(&self.net, way, line, out.now());
            }
        }
        if begins {
            self.rearm(out);
        }
    }
}
