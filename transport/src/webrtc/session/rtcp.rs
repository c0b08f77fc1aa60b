//! RTCP: the peer's reports and wishes come in, our sender reports go out. str0m sees none of it.

use super::{Line, Transport, WebRtcSession};
use crate::rtcp::{self, NtpTime, ReportBlock, Rtcp, SenderInfo};
use crate::rtp::inbound::Inbound;
use rivero_engine::{MediaTime, Outbox};

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
                self.note_latency(transport, ssrc, &info);
                self.note_reports(transport, reports, out.now());
            }
            Rtcp::ReceiverReport { reports, .. } => self.note_reports(transport, reports, out.now()),
            Rtcp::Pli { media, .. } => {
                if let Some(line) = self.sender(transport, media) {
                    line.outbound.on_key_frame_request(false, out);
                }
            }
            Rtcp::Fir { entries, .. } => {
                for (media, _) in entries {
                    if let Some(line) = self.sender(transport, media) {
                        line.outbound.on_key_frame_request(true, out);
                    }
                }
            }
            Rtcp::Nack { media, lost, .. } => self.on_nack(transport, media, lost),
            Rtcp::Remb { bps, ssrcs, .. } => {
                // As Kurento: the first source named is the one meant.
                let limits = self.limits;
                if let Some(line) = ssrcs.into_iter().next().and_then(|ssrc| self.sender(transport, ssrc)) {
                    line.outbound.on_remb(bps, &limits, out);
                }
            }
            Rtcp::Bye { ssrcs } => {
                if let Some(reception) = &mut self.transports[transport].reception {
                    ssrcs.into_iter().for_each(|ssrc| reception.dismiss(ssrc));
                }
            }
            Rtcp::Other { .. } => {}
        }
    }

    /// What a report says of how the peer's streams lie to each other, whichever transports they have.
    fn note_latency(&mut self, transport: usize, ssrc: u32, info: &SenderInfo) {
        let before: usize = self.transports[..transport].iter().map(|this| this.lines.len()).sum();
        let here = self.transports[transport].lines.iter().position(|line| line.inbound.source() == Some(ssrc));
        let Some(here) = here else { return };
        let lines = self.transports.iter_mut().flat_map(|this| &mut this.lines);
        let mut lines: Vec<&mut Inbound> = lines.map(|line| &mut line.inbound).collect();
        Inbound::note_sender_report(&mut lines, before + here, ssrc, info);
    }

    fn line_sending(&self, transport: usize, ssrc: u32) -> Option<usize> {
        self.transports[transport].lines.iter().position(|line| line.plan.sends && line.plan.local_ssrc == ssrc)
    }

    /// The line that sends from a source.
    fn sender(&mut self, transport: usize, ssrc: u32) -> Option<&mut Line> {
        let at = self.line_sending(transport, ssrc)?;
        self.transports[transport].lines.get_mut(at)
    }

    fn on_nack(&mut self, transport: usize, ssrc: u32, lost: impl IntoIterator<Item = u16>) {
        let Some(at) = self.line_sending(transport, ssrc) else { return };
        let this = &mut self.transports[transport];
        this.lines[at].outbound.report.nack += 1;
        let (Some(way), Some(outgoing)) = (&this.way, &mut this.outgoing) else { return };
        outgoing.answer(&self.net, way, &mut this.send_lines[at], lost);
    }

    fn note_reports(&mut self, transport: usize, blocks: impl IntoIterator<Item = ReportBlock>, now: MediaTime) {
        let now = NtpTime::from(self.net.clock.wall(now));
        for block in blocks {
            if let Some(line) = self.sender(transport, block.ssrc) {
                line.outbound.note_report(&block, now);
            }
        }
    }

    /// Tells the peer of what we send, where that is due.
    pub(super) fn report_sent(&mut self, transport: usize, now: MediaTime) {
        let Transport { way, outgoing: Some(outgoing), send_lines, cname, .. } = &mut self.transports[transport] else {
            return;
        };
        outgoing.report(&self.net, way.as_ref(), send_lines, cname, now);
    }
}
