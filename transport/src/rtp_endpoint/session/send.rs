//! From the graph: packets are renumbered for the peer, and those that came together leave together.

use super::{Line, RtpSession, port_of};
use crate::rtcp::{self, NtpTime};
use crate::webrtc::session::history::{Numbers, Record};
use crate::webrtc::session::send::is_alike;
use rivero_engine::notice::ErrorKind;
use rivero_engine::{Body, Caps, MediaTime, Outbox, Packet, What};
use std::time::Duration;

/// How soon after the first packet the peer learns how time stamps and clock belong together, and how often then.
const FIRST_REPORT: Duration = Duration::from_millis(100);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl RtpSession {
    pub(super) fn send(&mut self, packet: Packet, more: bool, out: &mut Outbox) {
        let Body::Rtp(rtp) = packet.body else { return };
        let kind = packet.caps.kind();
        let Some(line) = self.lines.iter_mut().find(|line| line.plan.kind == kind && line.plan.sends) else { return };
        let Some(way) = &line.way else { return };
        let send = &mut line.send;
        let payload_type = match &send.chosen {
            Some((known, payload_type)) if *known == packet.caps => *payload_type,
            _ => {
                let types = &line.plan.payload_types;
                let same = types.iter().find(|pt| pt.caps == packet.caps);
                let found = same.or_else(|| types.iter().find(|pt| is_alike(&pt.caps, &packet.caps)));
                let payload_type = found.map(|payload_type| payload_type.number);
                send.chosen = Some((packet.caps.clone(), payload_type));
                payload_type
            }
        };
        let numbers = payload_type.and_then(|payload_type| {
            let (sequence, timestamp) = send.rewriter.rewrite(&rtp, packet.entered, packet.discontinuity)?;
            Some((sequence, Numbers { timestamp, entered: packet.entered, payload_type }))
        });
        if let Some((sequence, numbers)) = numbers {
            send.packets += 1;
            send.bytes += rtp.payload.len() as u64;
            line.outgoing.push(sequence, Record::new(rtp.clone(), numbers), &self.net.scratch);
            out.left(kind, packet.entered);
        }
        if !more && !line.outgoing.is_empty() {
            self.net.fill(|buffer| line.outgoing.transmit(way, send, buffer));
            line.outgoing.give_room_back(&self.net.scratch);
            line.outgoing.report_due.get_or_insert(out.now() + FIRST_REPORT);
        }
        if payload_type.is_none() {
            self.refuse(&packet.caps, out);
        }
    }

    /// When each line tells the peer of what it sends: what sending may move.
    pub(super) fn reports_due(&self) -> [Option<MediaTime>; 2] {
        let mut due = self.lines.iter().map(|line| line.outgoing.report_due);
        [due.next().flatten(), due.next().flatten()]
    }

    /// Says once for each format that the peer does not take it and that nothing here converts it.
    fn refuse(&mut self, caps: &Caps, out: &mut Outbox) {
        if self.refused.as_ref() == Some(caps) {
            return;
        }
        self.refused = Some(caps.clone());
        let kind = caps.kind();
        let description = format!("Formats are not compatible: the peer takes no {caps} at its {kind} input");
        tracing::warn!(endpoint = %self.label, port = port_of(kind), "{description}");
        out.notice(What::Error { kind: ErrorKind::Format, description });
    }

    /// Tells the peer how our time stamps and the clock belong together, once a second while something is sent.
    pub(super) fn report_sent(&mut self, at: usize, now: MediaTime) {
        let ntp = NtpTime::from(self.net.clock.wall(now));
        let Line { outgoing, rtcp_way, send, .. } = &mut self.lines[at];
        if outgoing.report_due.is_none_or(|due| due > now) {
            return;
        }
        outgoing.report_due = None;
        let (Some(way), Some(rtp_timestamp)) = (rtcp_way, send.rewriter.timestamp_at(now)) else { return };
        if send.packets == send.reported {
            // Nothing was sent since the last report: sleep until something is.
            return;
        }
        send.reported = send.packets;
        let (packets, octets) = (send.packets as u32, send.bytes as u32);
        let report = rtcp::SenderInfo { ntp, rtp_timestamp, packets, octets };
        self.net.fill(|buffer| {
            outgoing.send_rtcp(way, buffer, |out| rtcp::write_sender_report(out, send.ssrc, &report, &self.cname));
        });
        outgoing.report_due = Some(now + REPORT_INTERVAL);
    }

    /// The last words of a line (RFC 3550 §6.6).
    pub(super) fn say_goodbye(&mut self, at: usize) {
        let Line { outgoing, rtcp_way: Some(way), plan, .. } = &mut self.lines[at] else { return };
        let ours = plan.local_ssrc;
        self.net.fill(|buffer| {
            outgoing.send_rtcp(way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, &[]);
                rtcp::write_cname(out, ours, &self.cname);
                rtcp::write_bye(out, &[ours]);
            });
        });
    }
}
