//! Counters: kept as str0m reports them, once a second, and handed over when asked.

use super::{Transport, WebRtcSession};
use crate::webrtc::event::{SessionReport, StreamReport};
use str0m::stats::MediaIngressStats;

impl WebRtcSession {
    pub(super) fn report(&self) -> SessionReport {
        let inbound = self.lines().filter(|line| line.plan.receives && line.inbound.packets > 0);
        let lines = self.transports.iter().flat_map(|transport| transport.lines.iter().zip(&transport.send_lines));
        let outbound = lines.filter(|(line, sent)| line.plan.sends && sent.packets > 0);
        let outbound = outbound.map(|(line, sent)| StreamReport {
            packets: sent.packets,
            bytes: sent.bytes,
            ..line.outbound.clone()
        });
        SessionReport {
            inbound: inbound.map(|line| line.inbound.clone()).collect(),
            outbound: outbound.collect(),
            status: self.status.clone(),
            data: self.data_report(),
        }
    }
}

impl Transport {
    pub(super) fn note_ingress(&mut self, stats: &MediaIngressStats) {
        let Some(line) = self.line_mut(stats.mid) else { return };
        let clock_rate = f64::from(line.plan.payload_types.first().map_or(90_000, |pt| pt.caps.clock_rate()));
        let inbound = &mut line.inbound;
        inbound.fir = stats.firs;
        inbound.pli = stats.plis;
        inbound.jitter = f64::from(stats.jitter) / clock_rate;
        inbound.fraction_lost = stats.loss.map_or(inbound.fraction_lost, f64::from);
    }
}
