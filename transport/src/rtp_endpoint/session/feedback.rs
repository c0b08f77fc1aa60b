//! RTCP: the peer's reports and wishes come in; our reports, and our wishes where they are negotiated, go out.

use super::receive::REPORT_INTERVAL;
use super::{KEY_FRAME_INTERVAL, Line, RtpSession, port_of, way_back};
use crate::rtcp::{self, NtpTime, ReportBlock, Rtcp};
use rivero_engine::{Feedback, MediaKind, MediaTime, Outbox, Port};
use std::net::SocketAddr;

/// How many packets one request brings back at most: a peer that has lost more wants a key frame.
const MOST_RESENT: usize = 100;

impl RtpSession {
    pub(super) fn receive_rtcp(
        &mut self,
        at: usize,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Outbox,
    ) {
        let now = out.now();
        let line = &mut self.lines[at];
        // Whoever the media comes from may report on it from wherever he does that.
        let is_holder = line.lock.holder().is_some_and(|holder| holder.ip() == source.ip());
        let strange = line.lock.holder().is_some()
            && !is_holder
            && line.plan.remote_rtcp.is_none_or(|remote| remote.ip() != source.ip());
        if !line.sources.authenticates() && (strange || !line.rtcp_lock.admits(source, now)) {
            return;
        }
        let mut room = Vec::new();
        if line.outgoing.opener.open_rtcp(bytes, &mut room).is_none() || rtcp::parse(&room).next().is_none() {
            return;
        }
        if line.rtcp_lock.note(source, now) && line.plan.comedia {
            line.rtcp_way = Some(way_back(&line.ports.rtcp.port, source, destination));
        }
        for packet in rtcp::parse(&room) {
            self.on_rtcp(at, packet, out);
        }
    }

    fn on_rtcp(&mut self, at: usize, packet: Rtcp<'_>, out: &mut Outbox) {
        let now = out.now();
        match packet {
            Rtcp::SenderReport { ssrc, info, reports } => {
                self.lines[at].sources.note_sender_report(ssrc, info.ntp.middle(), now);
                self.note_presence(at, out);
                self.note_reports(at, reports, now);
            }
            Rtcp::ReceiverReport { reports, .. } => {
                self.note_presence(at, out);
                self.note_reports(at, reports, now);
            }
            Rtcp::Pli { media, .. } => self.on_key_frame_request(at, media, false, out),
            Rtcp::Fir { entries, .. } => {
                entries.into_iter().for_each(|(media, _)| self.on_key_frame_request(at, media, true, out));
            }
            Rtcp::Nack { media, lost, .. } => self.on_nack(at, media, lost),
            Rtcp::Remb { bps, ssrcs, .. } => self.on_remb(at, bps, ssrcs.into_iter().next(), out),
            Rtcp::Bye { ssrcs } => {
                let line = &mut self.lines[at];
                ssrcs.into_iter().for_each(|ssrc| line.sources.dismiss(ssrc));
                line.heard = None;
                self.note_absence(out);
            }
            Rtcp::Other { .. } => {}
        }
    }

    fn note_reports(&mut self, at: usize, blocks: impl IntoIterator<Item = ReportBlock>, now: MediaTime) {
        let ntp = NtpTime::from(self.net.clock.wall(now));
        let line = &mut self.lines[at];
        for block in blocks.into_iter().filter(|block| block.ssrc == line.plan.local_ssrc) {
            line.outbound.lost = block.lost.into();
            line.outbound.fraction_lost = f64::from(block.fraction_lost) / 256.0;
            if let Some(round_trip) = block.round_trip(ntp) {
                line.round_trip = Some(round_trip);
                line.outbound.round_trip = round_trip.as_secs_f64();
            }
        }
    }

    fn on_key_frame_request(&mut self, at: usize, ssrc: u32, full: bool, out: &mut Outbox) {
        let line = &mut self.lines[at];
        if ssrc != line.plan.local_ssrc || !line.plan.sends {
            return;
        }
        let counter = if full { &mut line.outbound.fir } else { &mut line.outbound.pli };
        *counter += 1;
        if line.plan.kind == MediaKind::Video {
            out.feedback(port_of(MediaKind::Video), Feedback::KeyFrame);
        }
    }

    /// Sends again what the peer misses and we still have: on the same source, byte for byte (RFC 4585 §6.2.1).
    fn on_nack(&mut self, at: usize, ssrc: u32, lost: impl IntoIterator<Item = u16>) {
        let Line { way: Some(way), outgoing, send, outbound, plan, .. } = &mut self.lines[at] else { return };
        if ssrc != plan.local_ssrc {
            return;
        }
        outbound.nack += 1;
        for sequence in lost.into_iter().take(MOST_RESENT) {
            self.net.fill(|buffer| outgoing.resend(way, send, sequence, buffer));
        }
    }

    fn on_remb(&mut self, at: usize, bps: u64, ssrc: Option<u32>, out: &mut Outbox) {
        let line = &mut self.lines[at];
        if ssrc != Some(line.plan.local_ssrc) {
            return;
        }
        line.outbound.remb = bps;
        if let Some(bitrates) = &mut line.bitrates {
            out.feedback(port_of(line.plan.kind), Feedback::Bitrate(bitrates.viewer.take(bps, &self.limits)));
        }
    }

    /// A consumer cannot go on without a key frame.
    pub(super) fn want_key_frame(&mut self, port: Port, out: &mut Outbox) {
        for at in 0..self.lines.len() {
            let plan = &self.lines[at].plan;
            if plan.kind == MediaKind::Video && port_of(plan.kind) == port && plan.receives {
                self.lines[at].key_frame_wanted = true;
                self.request_key_frame(at, out.now());
            }
        }
    }

    pub(super) fn note_wish(&mut self, port: Port, bps: u64, now: MediaTime) {
        for line in self.lines.iter_mut().filter(|line| port_of(line.plan.kind) == port && line.plan.receives) {
            if let Some(bitrates) = &mut line.bitrates {
                bitrates.wish(bps, now);
            }
        }
    }

    /// Asks the peer for what is missing (RFC 4585 §6.2.1).
    pub(super) fn ask_again(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        if !line.asks_again() {
            return;
        }
        let mut lost = Vec::new();
        line.missing.ask(now, line.round_trip, &mut lost);
        let (Some(way), Some((_, source))) = (&line.rtcp_way, line.receiving) else { return };
        if lost.is_empty() {
            return;
        }
        line.inbound.nack += 1;
        let ours = line.plan.local_ssrc;
        self.net.fill(|buffer| {
            line.outgoing.send_rtcp(way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, &[]);
                rtcp::write_cname(out, ours, &self.cname);
                rtcp::write_nack(out, ours, source, &lost);
            });
        });
    }

    /// Asks for a key frame where something is lost for good, and where one is still wanted.
    pub(super) fn heal(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        line.key_frame_wanted |= line.asks_again() && line.missing.is_broken();
        self.request_key_frame(at, now);
    }

    /// By PLI where negotiated (RFC 4585), otherwise by FIR (RFC 5104), and not too soon after the last one.
    fn request_key_frame(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        let soon = line.key_frame_asked.is_some_and(|asked| now.since(asked) < KEY_FRAME_INTERVAL);
        if !line.key_frame_wanted || soon {
            return;
        }
        // Before the first packet there is nobody to ask, and a stream begins with a key frame anyway.
        let (Some(way), Some((_, source))) = (&line.rtcp_way, line.receiving) else { return };
        line.key_frame_wanted = false;
        let by_pli = line.plan.payload_types.iter().any(|payload_type| payload_type.pli);
        if !by_pli && !line.plan.payload_types.iter().any(|payload_type| payload_type.fir) {
            return;
        }
        line.key_frame_asked = Some(now);
        let count = if by_pli { &mut line.inbound.pli } else { &mut line.inbound.fir };
        *count += 1;
        let (ours, number) = (line.plan.local_ssrc, *count as u8);
        self.net.fill(|buffer| {
            line.outgoing.send_rtcp(way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, &[]);
                rtcp::write_cname(out, ours, &self.cname);
                if by_pli {
                    rtcp::write_pli(out, ours, source);
                } else {
                    rtcp::write_fir(out, ours, source, number);
                }
            });
        });
    }

    /// Tells the publisher what it may send, where that is due.
    pub(super) fn tell_bitrates(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        let Some(bps) = line.bitrates.as_mut().and_then(|bitrates| bitrates.next(&self.limits, now)) else { return };
        let (Some(way), Some((_, source))) = (&line.rtcp_way, line.receiving) else { return };
        line.inbound.remb = u64::from(bps);
        let ours = line.plan.local_ssrc;
        self.net.fill(|buffer| {
            line.outgoing.send_rtcp(way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, &[]);
                rtcp::write_cname(out, ours, &self.cname);
                rtcp::write_remb(out, ours, u64::from(bps), &[source]);
            });
        });
    }

    /// Tells the peer how its packets arrive, once a second while some do (RFC 3550 §6.4.2).
    pub(super) fn report_received(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        if line.report_due.is_none_or(|due| due > now) {
            return;
        }
        let reports = line.sources.report(now);
        line.report_due = (!reports.is_empty()).then(|| now + REPORT_INTERVAL);
        let mut blocks = Vec::new();
        for (block, jitter) in reports {
            if line.receiving.is_some_and(|(_, ssrc)| ssrc == block.ssrc) {
                line.inbound.jitter = jitter;
                line.inbound.lost = block.lost.into();
                line.inbound.fraction_lost = f64::from(block.fraction_lost) / 256.0;
            }
            blocks.push(block);
        }
        let Some(way) = line.rtcp_way.as_ref().filter(|_| !blocks.is_empty()) else { return };
        let ours = line.plan.local_ssrc;
        self.net.fill(|buffer| {
            line.outgoing.send_rtcp(way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, &blocks);
                rtcp::write_cname(out, ours, &self.cname);
            });
        });
    }
}
