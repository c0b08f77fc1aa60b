//! Counters: kept as packets and reports come and go, and handed over when asked.

use super::WebRtcSession;
use crate::webrtc::event::{SessionReport, StreamReport};

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
