//! RTCP: the peer's reports and wishes come in; our reports, and our wishes where they are negotiated, go out.

use super::receive::REPORT_INTERVAL;
use super::{Line, RtpSession, way_back};
use crate::rtcp::{self, NtpTime, ReportBlock, Rtcp};
use crate::rtp::inbound::Inbound;
use crate::rtp::port_of;
use rivero_engine::{MediaKind, MediaTime, Outbox, Port};
use std::net::SocketAddr;

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
        let net = self.net.clone();
        let mut room = net.scratch.opened.take();
        let plain = line.outgoing.opener.open_rtcp(bytes, &mut room);
        if let Some(plain) = plain.filter(|plain| rtcp::parse(plain).next().is_some()) {
            if line.rtcp_lock.note(source, now) && line.plan.comedia {
                line.rtcp_way = Some(way_back(&line.ports.rtcp.port, source, destination));
            }
            line.rtcp_count += 1;
            for packet in rtcp::parse(plain) {
                self.on_rtcp(at, packet, out);
            }
            self.note_keys(at, out);
        }
        net.scratch.opened.set(room);
    }

    fn on_rtcp(&mut self, at: usize, packet: Rtcp<'_>, out: &mut Outbox) {
        let now = out.now();
        match packet {
            Rtcp::SenderReport { ssrc, info, reports } => {
                self.lines[at].sources.note_sender_report(ssrc, info.ntp.middle(), now);
                let mut lines: Vec<&mut Inbound> = self.lines.iter_mut().map(|line| &mut line.inbound).collect();
                Inbound::note_sender_report(&mut lines, at, ssrc, &info);
                self.note_presence(at, out);
                self.note_reports(at, reports, now);
            }
            Rtcp::ReceiverReport { reports, .. } => {
                self.note_presence(at, out);
                self.note_reports(at, reports, now);
            }
            Rtcp::Pli { media, .. } => {
                if let Some(line) = self.sender(at, media) {
                    line.outbound.on_key_frame_request(false, out);
                }
            }
            Rtcp::Fir { entries, .. } => {
                for (media, _) in entries {
                    if let Some(line) = self.sender(at, media) {
                        line.outbound.on_key_frame_request(true, out);
                    }
                }
            }
            Rtcp::Nack { media, lost, .. } => {
                let net = self.net.clone();
                if let Some(line) = self.sender(at, media) {
                    line.outbound.report.nack += 1;
                    if let Some(way) = &line.way {
                        line.outgoing.answer(&net, way, &mut line.send, lost);
                    }
                }
            }
            Rtcp::Remb { bps, ssrcs, .. } => {
                // As Kurento: the first source named is the one meant.
                let limits = self.limits;
                if let Some(line) = ssrcs.into_iter().next().and_then(|ssrc| self.sender(at, ssrc)) {
                    line.outbound.on_remb(bps, &limits, out);
                }
            }
            Rtcp::Bye { ssrcs } => {
                let line = &mut self.lines[at];
                ssrcs.into_iter().for_each(|ssrc| line.sources.dismiss(ssrc));
                line.heard = None;
                self.note_absence(out);
            }
            Rtcp::Other { .. } => {}
        }
    }

    /// The line, if it sends from this source.
    fn sender(&mut self, at: usize, ssrc: u32) -> Option<&mut Line> {
        self.lines.get_mut(at).filter(|line| line.plan.sends && line.plan.local_ssrc == ssrc)
    }

    fn note_reports(&mut self, at: usize, blocks: impl IntoIterator<Item = ReportBlock>, now: MediaTime) {
        let ntp = NtpTime::from(self.net.clock.wall(now));
        let line = &mut self.lines[at];
        for block in blocks.into_iter().filter(|block| block.ssrc == line.plan.local_ssrc) {
            line.round_trip = line.outbound.note_report(&block, ntp).or(line.round_trip);
        }
    }

    /// A consumer cannot go on without a key frame.
    pub(super) fn want_key_frame(&mut self, port: Port, out: &mut Outbox) {
        let wanted = |line: &&mut Line| line.plan.kind == MediaKind::Video && line.plan.receives;
        for line in self.lines.iter_mut().filter(wanted).filter(|line| port_of(line.plan.kind) == port) {
            let (inbound, voice) = line.voice(&self.net, &self.cname);
            inbound.want_key_frame();
            inbound.heal(out.now(), voice);
        }
    }

    pub(super) fn note_wish(&mut self, port: Port, bps: u64, now: MediaTime) {
        for line in self.lines.iter_mut().filter(|line| port_of(line.plan.kind) == port && line.plan.receives) {
            line.inbound.wish(bps, now);
        }
    }

    /// Asks for what is due.
    pub(super) fn ask_peer(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        let round_trip = line.round_trip;
        let (inbound, voice) = line.voice(&self.net, &self.cname);
        inbound.on_deadline(now, round_trip, &self.limits, voice);
    }

    /// Tells the peer how its packets arrive, once a second while some do (RFC 3550 §6.4.2).
    pub(super) fn report_received(&mut self, at: usize, now: MediaTime) {
        let line = &mut self.lines[at];
        if line.report_due.is_none_or(|due| due > now) {
            return;
        }
        let reports = line.sources.report(now);
        line.report_due = (!reports.is_empty()).then(|| now + REPORT_INTERVAL);
        reports.iter().for_each(|(block, jitter)| line.inbound.note_report(block, *jitter));
        let blocks: Vec<ReportBlock> = reports.into_iter().map(|(block, _)| block).collect();
        let ours = line.plan.local_ssrc;
        if let (_, Some(mut voice)) = line.voice(&self.net, &self.cname)
            && !blocks.is_empty()
        {
            voice.say(ours, &blocks, |_| {});
        }
    }
}
