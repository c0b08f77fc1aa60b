//! From the network: datagrams at the ports of a line.

use super::{RtpSession, port_of, way_back, way_to};
use crate::rtp_endpoint::plan::RtpEvent;
use crate::webrtc::keyframe::starts_key_frame;
use crate::webrtc::missing::Missing;
use crate::webrtc::rewrite::PaddingGaps;
use rivero_engine::{Body, MediaKind, Outbox, Packet, Rtp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Between two receiver reports.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The end of a key is told when this part of its life is left.
const SOFT_PART: u64 = 16;

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
        line.key_use += 1;
        let kind = line.plan.kind;
        if !line.key_told && line.key_use >= line.key_life - line.key_life / SOFT_PART {
            line.key_told = true;
            out.tell(RtpEvent::KeySoftLimit { kind });
        }
        if line.receiving.replace((arrived.stream, arrived.ssrc)).is_none_or(|(stream, _)| stream != arrived.stream) {
            line.padding = PaddingGaps::default();
            line.missing = Missing::default();
            tracing::debug!(endpoint = %self.label, %kind, ssrc = arrived.ssrc, "another source of RTP");
        }
        if let Some(bitrates) = &mut line.bitrates {
            bitrates.arrived(arrived.ssrc, arrived.sequence, arrived.payload.len(), now);
        }
        let key = kind != MediaKind::Video || starts_key_frame(caps.codec(), &arrived.payload);
        if line.asks_again() {
            line.missing.note(arrived.sequence, key, now);
        }
        line.inbound.ssrc = arrived.ssrc;
        line.inbound.packets += 1;
        line.inbound.bytes += arrived.payload.len() as u64;
        if arrived.payload.is_empty() && line.padding.leave_out(arrived.sequence) {
            return;
        }
        if key && kind == MediaKind::Video {
            line.key_frame_wanted = false;
        }
        let rtp = Rtp {
            ssrc: arrived.stream,
            sequence: line.padding.close_up(arrived.sequence),
            timestamp: arrived.timestamp,
            marker: arrived.marker,
            payload: arrived.payload,
        };
        let packet = Packet::new(caps, Body::Rtp(Arc::new(rtp)), now).key(key).frame_end(arrived.marker);
        out.media(port_of(kind), packet);
        self.heal(at, now);
    }
}
