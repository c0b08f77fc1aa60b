//! Counters: kept as packets and reports come and go, and handed over when asked.

use super::WebRtcSession;
use crate::sdp::Candidate;
use crate::webrtc::event::{CertificateReport, DtlsState, SessionReport, StreamReport, TransportReport};
use rivero_engine::MediaKind;

impl WebRtcSession {
    /// What came is told of from its first packet on, what is sent as soon as it can be.
    pub(super) fn report(&self) -> SessionReport {
        let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
        for (n, transport) in self.transports.iter().enumerate() {
            for (line, sent) in transport.lines.iter().zip(&transport.send_lines) {
                if line.plan.receives && line.inbound.report.packets > 0 {
                    inbound.push(StreamReport { transport: n + 1, ..line.inbound.report.clone() });
                }
                if line.plan.sends && line.plan.kind != MediaKind::Data && transport.outgoing.is_some() {
                    let (packets, bytes) = (sent.packets, sent.bytes);
                    outbound.push(StreamReport { transport: n + 1, packets, bytes, ..line.outbound.report.clone() });
                }
            }
        }
        SessionReport {
            transports: (0..self.transports.len()).filter_map(|n| self.transport_report(n)).collect(),
            inbound,
            outbound,
            status: self.status.clone(),
            data: self.data_report(),
        }
    }

    fn transport_report(&self, n: usize) -> Option<TransportReport> {
        let transport = &self.transports[n];
        self.status.transports.get(n).filter(|status| status.dtls == DtlsState::Connected)?;
        let pair = self.selected(n);
        let mut local: Vec<Candidate> = self.gathered.iter().map(|gathered| gathered.shown.clone()).collect();
        let mut remote = transport.remote_candidates.clone();
        if let Some((ours, theirs)) = &pair {
            // One that nobody told of, but which was seen.
            if !local.contains(ours) {
                local.push(ours.clone());
            }
            if !remote.contains(theirs) {
                remote.push(theirs.clone());
            }
        }
        let peer = transport.dtls.look().peer.clone();
        Some(TransportReport {
            stream: n + 1,
            sent: transport.sent + transport.outgoing.as_ref().map_or(0, |outgoing| outgoing.sent),
            received: transport.received,
            pair_priority: pair.as_ref().map_or(0, |(ours, theirs)| {
                if transport.controlling { pair_priority(ours, theirs) } else { pair_priority(theirs, ours) }
            }),
            pair,
            local,
            remote,
            round_trip: transport.round_trip.map(|time| time.as_secs_f64()),
            local_certificate: CertificateReport::new(self.net.certificate.cert.certificate.clone()),
            remote_certificate: peer.map(CertificateReport::new),
        })
    }
}

/// RFC 8445, section 6.1.2.3.
fn pair_priority(controlling: &Candidate, controlled: &Candidate) -> u64 {
    let (ours, theirs) = (u64::from(controlling.priority), u64::from(controlled.priority));
    (ours.min(theirs) << 32) + 2 * ours.max(theirs) + u64::from(ours > theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_of_a_pair_tells_its_sides_apart() {
        let candidate = |priority: u32| -> Candidate {
            format!("candidate:1 1 UDP {priority} 127.0.0.1 9 typ host").parse().expect("a candidate")
        };
        let (high, low) = (candidate(7), candidate(5));
        assert_eq!(pair_priority(&high, &low), (5 << 32) + 15);
        assert_eq!(pair_priority(&low, &high), (5 << 32) + 14);
    }
}
