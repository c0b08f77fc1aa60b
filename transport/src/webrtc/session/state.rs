//! To the control side: how the states of str0m become Kurento's, each told once.

use super::WebRtcSession;
use crate::sdp::{self, Address, CandidateType};
use crate::webrtc::event::{CandidatePair, DtlsState, IceState, WebRtcEvent};
use rivero_engine::Outbox;
use std::net::SocketAddr;

impl WebRtcSession {
    pub(super) fn tell_ice(&mut self, transport: usize, state: IceState, out: &mut Outbox) {
        let Some(status) = self.status.transports.get_mut(transport) else { return };
        if std::mem::replace(&mut status.ice, state) != state {
            out.tell(WebRtcEvent::IceState { stream: transport + 1, state });
        }
    }

    pub(super) fn tell_dtls(&mut self, transport: usize, state: DtlsState, out: &mut Outbox) {
        let Some(status) = self.status.transports.get_mut(transport) else { return };
        let first = state == DtlsState::New;
        if std::mem::replace(&mut status.dtls, state) != state || first {
            out.tell(WebRtcEvent::DtlsState { stream: transport + 1, state });
        }
    }

    /// What is not STUN goes through the nominated pair: tells a new one, then that ICE is connected and ready.
    pub(super) fn note_pair(&mut self, transport: usize, from: SocketAddr, to: SocketAddr, out: &mut Outbox) {
        if self.transports[transport].pair == Some((from, to)) {
            return;
        }
        self.transports[transport].pair = Some((from, to));
        let local = self.gathered.iter().find(|gathered| gathered.address == from);
        let remotes = &self.transports[transport].remote_candidates;
        let remote = remotes.iter().find(|candidate| is_at(candidate, to));
        let pair = CandidatePair {
            local: local.map_or_else(|| peer_reflexive(from), |gathered| gathered.shown.clone()).to_string(),
            remote: remote.cloned().unwrap_or_else(|| peer_reflexive(to)).to_string(),
        };
        tracing::info!(endpoint = %self.label, %from, %to, "ICE selected a pair");
        if let Some(status) = self.status.transports.get_mut(transport) {
            status.pair = Some(pair.clone());
        }
        out.tell(WebRtcEvent::PairSelected { stream: transport + 1, pair });
        self.tell_ice(transport, IceState::Connected, out);
        if self.transports[transport].ice_ready {
            self.tell_ice(transport, IceState::Ready, out);
        }
    }

    /// The DTLS handshake of a transport is done, and with it its SRTP keys are known.
    pub(super) fn on_connected(&mut self, transport: usize, out: &mut Outbox) {
        let keyed = self.transports[transport].dtls.look().keys.as_ref().map(|(_, profile)| *profile);
        tracing::info!(endpoint = %self.label, profile = ?keyed, "DTLS connected");
        self.tell_dtls(transport, DtlsState::Connected, out);
        self.tell_ice(transport, IceState::Ready, out);
        let all = self.status.transports.iter().all(|status| status.dtls == DtlsState::Connected);
        if all && !std::mem::replace(&mut self.status.connected, true) {
            out.tell(WebRtcEvent::Connection { connected: true });
        }
        // Viewers start at a key frame: what is fed into us may have to make one.
        out.feedback(1, rivero_engine::Feedback::KeyFrame);
    }

    /// The peer's RTCP is seen.
    pub(super) fn note_media(&mut self, out: &mut Outbox) {
        if !std::mem::replace(&mut self.status.media, true) {
            out.tell(WebRtcEvent::Media { connected: true });
        }
    }

    /// Ends a transport that cannot go on.
    pub(super) fn fail(&mut self, transport: usize, why: &str, out: &mut Outbox) {
        tracing::warn!(endpoint = %self.label, "the WebRTC transport failed: {why}");
        self.end(transport, DtlsState::Failed, out);
    }

    /// The peer has left, or is no longer reached.
    pub(super) fn end(&mut self, transport: usize, dtls: DtlsState, out: &mut Outbox) {
        if !std::mem::replace(&mut self.transports[transport].alive, false) {
            return;
        }
        tracing::info!(endpoint = %self.label, state = dtls.name(), "the WebRTC peer is gone");
        self.tell_dtls(transport, dtls, out);
        self.tell_ice(
            transport,
            if dtls == DtlsState::Closed { IceState::Disconnected } else { IceState::Failed },
            out,
        );
        if std::mem::replace(&mut self.status.media, false) {
            out.tell(WebRtcEvent::Media { connected: false });
        }
        if std::mem::replace(&mut self.status.connected, false) {
            out.tell(WebRtcEvent::Connection { connected: false });
        }
    }
}

fn is_at(candidate: &sdp::Candidate, address: SocketAddr) -> bool {
    candidate.port == address.port() && matches!(candidate.address, Address::Ip(ip) if ip == address.ip())
}

/// A candidate that nobody told us of: it was seen (RFC 8445, section 7.3.1.3).
fn peer_reflexive(address: SocketAddr) -> sdp::Candidate {
    sdp::Candidate {
        foundation: "prflx".to_owned(),
        component: 1,
        transport: sdp::Transport::Udp,
        priority: (110 << 24) | (65_535 << 8) | 255,
        address: Address::Ip(address.ip()),
        port: address.port(),
        typ: CandidateType::PeerReflexive,
        related: None,
        tcptype: None,
        extensions: Vec::new(),
    }
}
