//! RTCP: the peer's reports and wishes come in, our sender reports go out. str0m sees none of it.

use super::WebRtcSession;
use super::receive::port_of;
use crate::rtcp::{self, NtpTime, ReportBlock, Rtcp};
use rivero_engine::{Feedback, MediaKind, MediaTime, Outbox};
use std::time::Duration;

/// How many packets one request brings back at most: a peer that has lost more wants a key frame.
const MOST_RESENT: usize = 100;
/// Between two sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl WebRtcSession {
    /// A compound packet as it came from the network. False when it is forged, or came before.
    pub(super) fn receive_rtcp(&mut self, transport: usize, bytes: &[u8], out: &mut Outbox) -> bool {
        let Some(outgoing) = &mut self.transports[transport].outgoing else { return false };
        let net = self.net.clone();
        let mut room = net.scratch.opened.take();
        let plain = outgoing.opener.open_rtcp(bytes, &mut room);
        let authentic = plain.is_some();
        if let Some(plain) = plain {
            self.note_media(out);
            for packet in rtcp::parse(plain) {
                self.on_rtcp(transport, packet, out);
            }
        }
        net.scratch.opened.set(room);
        authentic
    }

    fn on_rtcp(&mut self, transport: usize, packet: Rtcp<'_>, out: &mut Outbox) {
        match packet {
            Rtcp::SenderReport { ssrc, info, reports } => {
                if let Some(reception) = &mut self.transports[transport].reception {
                    reception.note_sender_report(ssrc, info.ntp.middle(), out.now());
                }
                self.note_reports(transport, reports, out.now());
            }
            Rtcp::ReceiverReport { reports, .. } => self.note_reports(transport, reports, out.now()),
            Rtcp::Pli { media, .. } => self.on_key_frame_request(transport, media, false, out),
            Rtcp::Fir { entries, .. } => {
                for (media, _) in entries {
                    self.on_key_frame_request(transport, media, true, out);
                }
            }
            Rtcp::Nack { media, lost, .. } => self.on_nack(transport, media, lost),
            Rtcp::Remb { bps, ssrcs, .. } => {
                // As Kurento: the first source named is the one meant.
                let Some(line) = ssrcs.into_iter().next().and_then(|ssrc| self.line_sending(transport, ssrc)) else {
                    return;
                };
                self.on_remb(transport, line, bps, out);
            }
            Rtcp::Bye { ssrcs } => {
                if let Some(reception) = &mut self.transports[transport].reception {
                    ssrcs.into_iter().for_each(|ssrc| reception.dismiss(ssrc));
                }
            }
            Rtcp::Other { .. } => {}
        }
    }

    fn line_sending(&self, transport: usize, ssrc: u32) -> Option<usize> {
        self.transports[transport].lines.iter().position(|line| line.plan.sends && line.plan.local_ssrc == ssrc)
    }

    fn on_key_frame_request(&mut self, transport: usize, ssrc: u32, full: bool, out: &mut Outbox) {
        let Some(at) = self.line_sending(transport, ssrc) else { return };
        let line = &mut self.transports[transport].lines[at];
        let counter = if full { &mut line.outbound.fir } else { &mut line.outbound.pli };
        *counter += 1;
        if line.plan.kind == MediaKind::Video {
            out.feedback(port_of(MediaKind::Video), Feedback::KeyFrame);
        }
    }

    /// Sends again what the peer misses and we still have: on the same source, byte for byte (RFC 4585, section 6.2.1).
    fn on_nack(&mut self, transport: usize, ssrc: u32, lost: impl IntoIterator<Item = u16>) {
        let Some(at) = self.line_sending(transport, ssrc) else { return };
        let this = &mut self.transports[transport];
        this.lines[at].outbound.nack += 1;
        let (Some(way), Some(outgoing)) = (&this.way, &mut this.outgoing) else { return };
        for sequence in lost.into_iter().take(MOST_RESENT) {
            self.net.fill(|buffer| outgoing.resend(way, &mut this.send_lines[at], sequence, buffer));
        }
    }

    fn note_reports(&mut self, transport: usize, blocks: impl IntoIterator<Item = ReportBlock>, now: MediaTime) {
        let now = self.ntp_now(now);
        blocks.into_iter().for_each(|block| self.note_report(transport, &block, now));
    }

    fn note_report(&mut self, transport: usize, block: &ReportBlock, now: NtpTime) {
        let Some(at) = self.line_sending(transport, block.ssrc) else { return };
        let line = &mut self.transports[transport].lines[at];
        let outbound = &mut line.outbound;
        outbound.lost = block.lost.into();
        outbound.fraction_lost = f64::from(block.fraction_lost) / 256.0;
        if let Some(round_trip) = block.round_trip(now) {
            outbound.round_trip = round_trip.as_secs_f64();
        }
    }

    /// Tells the peer how our time stamps and the clock belong together, once a second while something is sent.
    pub(super) fn report_sent(&mut self, transport: usize, now: MediaTime) {
        let ntp = self.ntp_now(now);
        let this = &mut self.transports[transport];
        let (Some(way), Some(outgoing)) = (&this.way, &mut this.outgoing) else { return };
        if outgoing.report_due.is_none_or(|due| due > now) {
            return;
        }
        let (lines, cname) = (&mut this.send_lines, &this.cname);
        let mut sent = false;
        self.net.fill(|buffer| {
            outgoing.send_rtcp(way, buffer, |out| {
                for line in lines.iter_mut().filter(|line| line.packets != line.reported) {
                    let Some(rtp_timestamp) = line.rewriter.timestamp_at(now) else { continue };
                    line.reported = line.packets;
                    let (packets, octets) = (line.packets as u32, line.bytes as u32);
                    let report = rtcp::SenderInfo { ntp, rtp_timestamp, packets, octets };
                    rtcp::write_sender_report(out, line.ssrc, &report, cname);
                    sent = true;
                }
            });
        });
        // Nothing was sent since the last report: sleep until something is.
        outgoing.report_due = sent.then(|| now + REPORT_INTERVAL);
    }

    fn ntp_now(&self, now: MediaTime) -> NtpTime {
        NtpTime::from(self.net.clock.wall(now))
    }
}
