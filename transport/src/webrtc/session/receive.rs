//! From the network: datagrams go into str0m, packets and events come out.

use super::super::keyframe::starts_key_frame;
use super::super::missing::Missing;
use super::super::rewrite::PaddingGaps;
use super::{PORTS, WebRtcSession};
use crate::net::tcp::TcpLink;
use crate::net::{Datagram, Path};
use crate::webrtc::event::{DtlsState, IceState};
use bytes::Bytes;
use rivero_engine::{Body, MediaKind, MediaTime, Outbox, Packet, Rtp};
use std::net::SocketAddr;
use std::sync::Arc;
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Event, IceConnectionState, Input, Output};

/// How many sources that were not announced a line accepts: whoever sends them has passed ICE and DTLS, but no more.
const ADMITTED: usize = 8;

/// An RTP packet, opened.
pub(super) struct Arrived {
    pub ssrc: u32,
    pub payload_type: u8,
    /// Extended by the count of rollovers.
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// Without padding.
    pub payload: Bytes,
}

impl WebRtcSession {
    /// A datagram that the demultiplexer found to be ours.
    pub fn receive(
        &mut self,
        transport: usize,
        path: &Path,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Outbox,
    ) {
        let Some(this) = self.transports.get_mut(transport).filter(|t| t.alive) else { return };
        let is_stun = crate::net::is_stun(bytes);
        let protocol = match path {
            // Until its peer has proved itself a connection is good for nothing else.
            Path::Tcp(link) if !is_stun && !link.is_trusted() => return,
            Path::Tcp(_) => Protocol::Tcp,
            Path::Udp(_) | Path::Relay(_) => Protocol::Udp,
        };
        let rtcp = is_rtcp(bytes);
        if rtcp && !this.receives() {
            // A viewer's reports are about what we send, which str0m knows nothing of. They come from an address that has
            // passed ICE, and their authentication proves the rest.
            self.receive_rtcp(transport, bytes, out);
            return self.rearm(out);
        }
        let Ok(receive) = Receive::new(protocol, source, destination, bytes) else { return };
        let now = self.net.clock.instant(out.now());
        let input = Input::Receive(now, receive);
        if !this.rtc.accepts(&input) {
            return;
        }
        if is_stun {
            // Accepted means that its integrity was checked against our password.
            match path {
                Path::Udp(port) => self.net.bind(port.number(), source, (self.id, transport)),
                Path::Tcp(link) if !this.tcp.adopt(link) => return link.close(),
                Path::Tcp(_) | Path::Relay(_) => {}
            }
        } else if rtcp {
            self.receive_rtcp(transport, bytes, out);
        } else if let Some(late) = this.open_late(bytes) {
            self.on_rtp(transport, late, out);
            return self.rearm(out);
        } else {
            this.admit(bytes);
        }
        if let Err(why) = self.transports[transport].rtc.handle_input(input) {
            self.fail(transport, &why.to_string(), out);
            return;
        }
        // str0m holds one received packet: fetch it before the next one comes.
        self.drain(transport, out);
        if self.heal(transport, out.now()) {
            self.turn(transport, out);
        }
        self.rearm(out);
    }

    /// Lets str0m act on the time and on what was written, and takes everything that it has to say.
    pub(super) fn turn(&mut self, transport: usize, out: &mut Outbox) {
        let now = self.net.clock.instant(out.now());
        let this = &mut self.transports[transport];
        if !this.alive {
            return;
        }
        if let Err(why) = this.rtc.handle_input(Input::Timeout(now)) {
            self.fail(transport, &why.to_string(), out);
            return;
        }
        self.drain(transport, out);
    }

    fn drain(&mut self, transport: usize, out: &mut Outbox) {
        loop {
            match self.transports[transport].rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    let wait = at.saturating_duration_since(self.net.clock.instant(out.now()));
                    self.transports[transport].due = out.now() + wait;
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let bytes: Vec<u8> = transmit.contents.into();
                    let (from, to) = (transmit.source, transmit.destination);
                    let Some(path) = self.path(transport, transmit.proto, from, to) else { continue };
                    if bytes.first().is_some_and(|first| *first > 3) {
                        self.note_pair(transport, path.clone(), from, to, out);
                    }
                    self.net.send(Datagram { path, from, to, bytes }, (self.id, transport));
                }
                Ok(Output::Event(event)) => self.on_event(transport, event, out),
                Err(why) => {
                    self.fail(transport, &why.to_string(), out);
                    break;
                }
            }
        }
        if self.transports[transport].alive && !self.transports[transport].rtc.is_alive() {
            self.end(transport, DtlsState::Closed, out);
        }
    }

    /// The path between two addresses, as ICE knows them. The first packet over TCP to where the peer listens opens a connection.
    pub(super) fn path(
        &mut self,
        transport: usize,
        protocol: Protocol,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<Path> {
        match protocol {
            Protocol::Udp => Some(Path::Udp(self.udp_port().clone())),
            Protocol::Tcp => {
                let connect = || TcpLink::connect(from, to, (self.id, transport), self.net.clone());
                self.transports[transport].tcp.reach(from, to, connect).map(Path::Tcp)
            }
            Protocol::SslTcp | Protocol::Tls => None,
        }
    }

    /// Takes the last words of a session that is being dropped; nobody listens to its events any more.
    pub(super) fn say_goodbye(&mut self, transport: usize) {
        while let Ok(output) = self.transports[transport].rtc.poll_output() {
            match output {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => {
                    let bytes = transmit.contents.into();
                    let (from, to) = (transmit.source, transmit.destination);
                    if let Some(path) = self.path(transport, transmit.proto, from, to) {
                        self.net.send(Datagram { path, from, to, bytes }, (self.id, transport));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn on_event(&mut self, transport: usize, event: Event, out: &mut Outbox) {
        match event {
            Event::RtpPacket(packet) => self.on_rtp(transport, packet.into(), out),
            Event::SenderFeedback(_) => self.note_media(out),
            Event::IceConnectionStateChange(state) => self.on_ice(transport, state, out),
            Event::Connected => self.on_connected(transport, out),
            Event::MediaIngressStats(stats) => self.transports[transport].note_ingress(&stats),
            Event::PeerStats(stats) => self.note_peer(transport, &stats, out),
            Event::ChannelOpen(id, _) => self.on_channel_open(transport, id, out),
            Event::ChannelData(data) => self.on_channel_data(transport, data, out),
            Event::ChannelClose(id) => self.on_channel_close(transport, id, out),
            Event::Closed => self.end(transport, DtlsState::Closed, out),
            _ => {}
        }
    }

    fn on_ice(&mut self, transport: usize, state: IceConnectionState, out: &mut Outbox) {
        match state {
            IceConnectionState::New => {}
            IceConnectionState::Checking => {
                self.transports[transport].checking = true;
                // Checks begin with the first remote candidate, but applications expect to hear of them after gathering.
                if !self.gathered.is_empty() {
                    self.tell_ice(transport, IceState::Connecting, out);
                }
            }
            // The pair is known with the first datagram that is not STUN, and told before CONNECTED.
            IceConnectionState::Connected | IceConnectionState::Completed => {
                self.transports[transport].ice_ready = true;
                self.tell_dtls(transport, DtlsState::Connecting, out);
            }
            IceConnectionState::Disconnected => self.end(transport, DtlsState::Failed, out),
        }
    }

    fn on_rtp(&mut self, transport: usize, arrived: Arrived, out: &mut Outbox) {
        let this = &mut self.transports[transport];
        let (ssrc, number) = (arrived.ssrc, arrived.payload_type);
        let found = this.lines.iter_mut().find_map(|line| {
            let caps = line.plan.payload_types.iter().find(|pt| pt.number == number).map(|pt| pt.caps.clone())?;
            Some((line, caps))
        });
        let Some((line, caps)) = found else { return };
        if !line.plan.receives {
            return;
        }
        if line.receiving.replace(ssrc) != Some(ssrc) {
            line.padding = PaddingGaps::default();
            line.missing = Missing::default();
        }
        if let Some(bitrates) = &mut line.bitrates {
            bitrates.arrived(ssrc, arrived.sequence, arrived.payload.len(), out.now());
        }
        let kind = line.plan.kind;
        let key = kind != MediaKind::Video || starts_key_frame(caps.codec(), &arrived.payload);
        if super::command::nack(&line.plan) {
            line.missing.note(arrived.sequence, key, out.now());
        }
        if arrived.payload.is_empty() && line.padding.leave_out(arrived.sequence) {
            return;
        }
        line.inbound.ssrc = ssrc;
        line.inbound.packets += 1;
        line.inbound.bytes += arrived.payload.len() as u64;
        if key && kind == MediaKind::Video {
            line.key_frame.wanted = false;
        }
        let rtp = Rtp {
            ssrc,
            sequence: line.padding.close_up(arrived.sequence),
            timestamp: arrived.timestamp,
            marker: arrived.marker,
            payload: arrived.payload,
        };
        let marker = rtp.marker;
        let packet = Packet::new(caps, Body::Rtp(Arc::new(rtp)), out.now()).key(key).frame_end(marker);
        out.media(port_of(kind), packet);
    }

    /// A consumer cannot go on without a key frame.
    pub(super) fn want_key_frame(&mut self, kind: MediaKind, out: &mut Outbox) {
        let now = out.now();
        for transport in 0..self.transports.len() {
            for line in &mut self.transports[transport].lines {
                line.key_frame.wanted |= line.plan.kind == kind && kind == MediaKind::Video && line.plan.receives;
            }
            if self.request_key_frames(transport, now) {
                self.turn(transport, out);
            }
        }
    }

    /// Sends what is wanted and not too soon after the last one. True when something was written.
    pub(super) fn request_key_frames(&mut self, transport: usize, now: MediaTime) -> bool {
        let this = &mut self.transports[transport];
        let mut written = false;
        for line in this.lines.iter_mut().filter(|line| line.key_frame.wanted) {
            let soon = line.key_frame.last.is_some_and(|last| now.since(last) < super::KEY_FRAME_INTERVAL);
            // Before the first packet there is nobody to ask, and a stream begins with a key frame anyway.
            let Some(ssrc) = line.receiving.filter(|_| !soon) else { continue };
            let Some(kind) = line.request_kind() else { continue };
            let mut api = this.rtc.direct_api();
            let Some(stream) = api.stream_rx(&ssrc.into()) else { continue };
            stream.request_keyframe(kind);
            line.key_frame.last = Some(now);
            line.key_frame.wanted = false;
            written = true;
        }
        if written {
            this.due = now;
        }
        written
    }
}

impl super::Transport {
    /// Whether the peer may send us media.
    fn receives(&self) -> bool {
        self.lines.iter().any(|line| line.plan.receives && line.plan.kind != MediaKind::Data)
    }

    pub(super) fn line_mut(&mut self, mid: str0m::media::Mid) -> Option<&mut super::Line> {
        self.lines.iter_mut().find(|line| line.mid == mid)
    }

    /// Expects a source that no description announced: its payload type tells the line (RFC 9143, section 9.2).
    fn admit(&mut self, datagram: &[u8]) {
        let [_, second, _, _, _, _, _, _, s0, s1, s2, s3, ..] = datagram else { return };
        if datagram[0] >> 6 != 2 || !self.rtc.is_connected() {
            return;
        }
        let ssrc = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
        let number = second & 0x7f;
        let mut api = self.rtc.direct_api();
        if api.stream_rx(&ssrc.into()).is_some() {
            return;
        }
        let takes = |line: &&mut super::Line| {
            line.plan.receives && line.plan.payload_types.iter().any(|payload_type| payload_type.number == number)
        };
        let Some(line) = self.lines.iter_mut().find(takes) else { return };
        if line.admitted < ADMITTED {
            line.admitted += 1;
            api.expect_stream_rx(ssrc.into(), None, line.mid, None).suppress_nack(true);
        }
    }
}

impl From<RtpPacket> for Arrived {
    fn from(packet: RtpPacket) -> Self {
        let header = &packet.header;
        Arrived {
            ssrc: *header.ssrc,
            payload_type: *header.payload_type,
            sequence: *packet.seq_no,
            timestamp: header.timestamp,
            marker: header.marker,
            payload: Bytes::from_owner(packet.payload),
        }
    }
}

/// RTCP shares its transport with RTP, and is told by its packet type (RFC 5761, section 4).
fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// The port of the node for a kind.
pub(super) fn port_of(kind: MediaKind) -> usize {
    PORTS.iter().position(|port| *port == kind).unwrap_or(2)
}
