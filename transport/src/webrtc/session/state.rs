//! To the control side: how the states of str0m become Kurento's, each told once.

use super::reception::Reception;
use super::{Gathered, Transport, WebRtcSession};
use crate::net::{Path, Way};
use crate::rtp::outgoing::Outgoing;
use crate::sdp::{self, Address, CandidateType, TcpType};
use crate::srtp::{Opener, Profile, RtpOpener, Sealer};
use crate::webrtc::event::{CandidatePair, DtlsState, IceState, WebRtcEvent};
use rivero_engine::{Feedback, MediaKind, Outbox};
use std::net::SocketAddr;
use str0m::crypto::dtls::SrtpProfile;
use str0m::stats::PeerStats;

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
    pub(super) fn note_pair(
        &mut self,
        transport: usize,
        path: Path,
        from: SocketAddr,
        to: SocketAddr,
        out: &mut Outbox,
    ) {
        // What ICE has still to say of a transport that has ended changes nothing.
        if !self.transports[transport].alive {
            return;
        }
        let known = self.transports[transport].way.as_ref();
        if known.is_some_and(|way| (way.from, way.to) == (from, to) && way.path.is(&path)) {
            return;
        }
        let mark = if let Path::Udp(_) = path { self.mark.between(from.ip(), to) } else { self.mark };
        self.transports[transport].way = Some(Way { path, from, to, mark });
        let Some((local, remote)) = self.selected(transport) else { return };
        let pair = CandidatePair { local: local.to_string(), remote: remote.to_string() };
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

    /// The candidates of the way that media takes: ours and the peer's.
    pub(super) fn selected(&self, transport: usize) -> Option<(sdp::Candidate, sdp::Candidate)> {
        let Way { path, from, to, .. } = self.transports[transport].way.as_ref()?;
        let tcp = tcp_role(path);
        let is_ours = |gathered: &&Gathered| gathered.address == *from && gathered.shown.tcptype == tcp;
        let local = self.gathered.iter().find(is_ours);
        let remotes = &self.transports[transport].remote_candidates;
        let remote = remotes.iter().find(|candidate| is_at(candidate, *to, tcp.is_some()));
        let seen = |address: &SocketAddr| peer_reflexive(*address, tcp.is_some());
        Some((
            local.map_or_else(|| seen(from), |gathered| gathered.shown.clone()),
            remote.cloned().unwrap_or_else(|| seen(to)),
        ))
    }

    /// Once a second str0m tells the selected pair, which may have changed without a datagram of its own.
    pub(super) fn note_peer(&mut self, transport: usize, stats: &PeerStats, out: &mut Outbox) {
        if let Some(pair) = &stats.selected_candidate_pair {
            let measured = pair.current_round_trip_time;
            let known = &mut self.transports[transport].round_trip;
            *known = measured.or(*known);
            let (from, to) = (pair.local.addr, pair.remote.addr);
            if let Some(path) = self.path(transport, pair.protocol, from, to) {
                self.note_pair(transport, path, from, to, out);
            }
        }
    }

    /// The DTLS handshake of a transport is done, and with it its SRTP keys are known.
    pub(super) fn on_connected(&mut self, transport: usize, out: &mut Outbox) {
        let is_media = |line: &super::Line| line.plan.kind != MediaKind::Data;
        match self.transports[transport].halves() {
            Ok((outgoing, reception, profile)) => {
                tracing::info!(endpoint = %self.label, ?profile, "DTLS connected");
                self.transports[transport].outgoing = Some(outgoing);
                self.transports[transport].reception = Some(reception);
            }
            // A peer that only wants data channels need not ask for SRTP.
            Err(why) if !self.transports[transport].lines.iter().any(is_media) => {
                tracing::info!(endpoint = %self.label, "DTLS connected, for data channels only: {why}");
            }
            Err(why) => return self.fail(transport, &why, out),
        }
        self.tell_dtls(transport, DtlsState::Connected, out);
        self.tell_ice(transport, IceState::Ready, out);
        let all = self.status.transports.iter().all(|status| status.dtls == DtlsState::Connected);
        if all && !std::mem::replace(&mut self.status.connected, true) {
            out.tell(WebRtcEvent::Connection { connected: true });
        }
        // Whatever came before could not be sent: begin again, at a key frame.
        out.feedback(1, Feedback::Start);
        self.begin_bitrates(transport, out);
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
        self.transports[transport].tcp.close();
        self.end_channels(transport, out);
        if self.transports.iter().all(|transport| !transport.alive) {
            self.gathering.close_relay();
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

impl Transport {
    /// The sending and the receiving half, from the keys of the handshake.
    fn halves(&self) -> Result<(Outgoing, Reception, Profile), String> {
        let handshake = self.dtls.look();
        let (keys, profile) = handshake.keys.as_ref().ok_or("the handshake gave no keys")?;
        let profile = profile_of(*profile).ok_or_else(|| format!("the SRTP profile {profile:?} is not known here"))?;
        let sealer = Sealer::new(profile, keys, self.client).map_err(|why| why.to_string())?;
        let opener = Opener::new(profile, keys, self.client).map_err(|why| why.to_string())?;
        let rtp = RtpOpener::new(profile, keys, self.client).map_err(|why| why.to_string())?;
        Ok((Outgoing::new(sealer, opener), Reception::new(rtp), profile))
    }
}

/// Our part in a TCP connection; `None` for what is not one.
fn tcp_role(path: &Path) -> Option<TcpType> {
    match path {
        Path::Tcp(link) => Some(if link.is_active() { TcpType::Active } else { TcpType::Passive }),
        Path::Udp(_) | Path::Relay(_) => None,
    }
}

/// Ours of the handshake's.
fn profile_of(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        _ => None,
    }
}

fn is_at(candidate: &sdp::Candidate, address: SocketAddr, tcp: bool) -> bool {
    (candidate.transport == sdp::Transport::Tcp) == tcp
        && candidate.port == address.port()
        && matches!(candidate.address, Address::Ip(ip) if ip == address.ip())
}

/// A candidate that nobody told us of: it was seen (RFC 8445, section 7.3.1.3).
fn peer_reflexive(address: SocketAddr, tcp: bool) -> sdp::Candidate {
    sdp::Candidate {
        foundation: "prflx".to_owned(),
        component: 1,
        transport: if tcp { sdp::Transport::Tcp } else { sdp::Transport::Udp },
        priority: (110 << 24) | (65_535 << 8) | 255,
        address: Address::Ip(address.ip()),
        port: address.port(),
        typ: CandidateType::PeerReflexive,
        related: None,
        tcptype: None,
        extensions: Vec::new(),
    }
}
