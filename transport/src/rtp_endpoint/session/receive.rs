//! From the network: datagrams at the ports of a line.

use super::{RtpSession, way_back, way_to};
use crate::rtp::port_of;
use rivero_engine::Outbox;
use std::net::SocketAddr;
use std::time::Duration;

/// Between two receiver reports.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl RtpSession {
    /// A datagram at a port of the line.
    pub fn receive(
        &mut self,
        place: usize,
        is_rtcp: bool,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Outbox,
    ) {
        let Some(at) = self.lines.iter().position(|line| line.plan.place == place) else { return };
        if bytes.first().is_none_or(|first| first >> 6 != 2) {
            return;
        }
        // Some peers send RTCP to the port of RTP although nobody agreed to that (RFC 5761 §4).
        if is_rtcp || bytes.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
            self.receive_rtcp(at, source, destination, bytes, out);
        } else {
            self.receive_rtp(at, source, destination, bytes, out);
        }
        self.rearm(out);
    }

    fn receive_rtp(&mut self, at: usize, source: SocketAddr, destination: SocketAddr, bytes: &[u8], out: &mut Outbox) {
        let now = out.now();
        let line = &mut self.lines[at];
        let number = bytes.get(1).map_or(0, |second| second & 0x7f);
        let Some(known) = line.plan.payload_types.iter().find(|known| known.number == number) else { return };
        let caps = known.caps.clone();
        if !line.plan.receives || !(line.sources.authenticates() || line.lock.admits(source, now)) {
            return;
        }
        let Some(arrived) = line.sources.open(bytes, caps.clock_rate(), now) else { return };
        if line.lock.note(source, now) && line.plan.comedia {
            line.way = Some(way_back(&line.ports.rtp.port, source, destination));
            if line.rtcp_lock.holder().is_none_or(|holder| holder.ip() != source.ip()) {
                let beside = SocketAddr::new(source.ip(), source.port().saturating_add(1));
                line.rtcp_way = Some(way_to(&line.ports.rtcp.port, beside));
            }
            tracing::info!(endpoint = %self.label, kind = %line.plan.kind, %source, "the RTP peer sends from here");
        }
        line.report_due.get_or_insert(now + REPORT_INTERVAL);
        if line.heard.is_some() {
            line.heard = Some(now);
        }
        let kind = line.plan.kind;
        if !line.inbound.follows(arrived.stream) {
            tracing::debug!(endpoint = %self.label, %kind, ssrc = arrived.ssrc, "another source of RTP");
        }
        line.inbound.count(arrived.payload.len());
        if let Some(packet) = line.inbound.take(caps, arrived, now) {
            out.media(port_of(kind), packet);
        }
        let (inbound, voice) = line.voice(&self.net, &self.cname);
        inbound.heal(now, voice);
        self.note_keys(at, out);
    }
}
