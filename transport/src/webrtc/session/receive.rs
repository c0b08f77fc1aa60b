//! From the network: media goes to `reception`, what is left into str0m, whose events come out.

use super::hold::Held;
use super::{Line, WebRtcSession};
use crate::net::tcp::TcpLink;
use crate::net::{Datagram, Path};
use crate::rtp::header::Arrived;
pub(super) use crate::rtp::port_of;
use crate::webrtc::event::{DtlsState, IceState};
use rivero_engine::Outbox;
use std::net::SocketAddr;
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output};

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
        if !is_stun {
            this.received += bytes.len() as u64;
        }
        if is_media(bytes) {
            // It comes from an address that has passed ICE; its authentication proves the rest.
            let mut authentic = false;
            if is_rtcp(bytes) {
                authentic = self.receive_rtcp(transport, bytes, out);
            } else if let Some(reception) = &mut this.reception
                && let Some((line, arrived)) = reception.open(&mut this.lines, bytes, out.now())
            {
                authentic = true;
                self.on_rtp(transport, line, arrived, out);
            }
            let lost = self.transports[transport].way.is_none();
            if authentic && (lost || matches!(path, Path::Udp(_))) {
                // The pair that the peer uses. It may have changed: a telephone that leaves the house is followed at once.
                self.note_pair(transport, path.clone(), destination, source, out);
            }
            return self.rearm(out);
        }
        let Ok(receive) = Receive::new(protocol, source, destination, bytes) else { return };
        let now = self.net.clock.instant(out.now());
        let input = Input::Receive(now, receive);
        if !this.rtc.accepts(&input) {
            return;
        }
        if is_stun {
            // Accepted means that its integrity was checked against our password, but for what comes from where we send to.
            let admitted = this.admit_source(source);
            match path {
                Path::Tcp(link) if !admitted || !this.tcp.adopt(link) => return link.close(),
                _ if !admitted => return,
                Path::Udp(port) => self.net.bind(port.number(), source, bytes, (self.id, transport)),
                Path::Tcp(link) => link.mark(self.mark),
                Path::Relay(_) => self.gathering.bind(source, transport),
            }
        }
        let held = || Held { protocol, source, destination, bytes: bytes.to_vec() };
        if !is_stun && self.hold_back(transport, held, out.now()) {
            return self.rearm(out);
        }
        if let Err(why) = self.transports[transport].rtc.handle_input(input) {
            self.fail(transport, &why.to_string(), out);
            return;
        }
        self.drain(transport, out);
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

    pub(super) fn drain(&mut self, transport: usize, out: &mut Outbox) {
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
                        self.transports[transport].sent += bytes.len() as u64;
                        self.note_pair(transport, path.clone(), from, to, out);
                    }
                    self.net.send(Datagram { path, from, to, mark: self.mark, bytes }, (self.id, transport));
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
            Protocol::Udp => {
                if self.gathering.is_lost(from) {
                    return None;
                }
                let relay = self.gathering.relay_path(from, to, transport);
                relay.or_else(|| Some(Path::Udp(self.udp_port().clone())))
            }
            Protocol::Tcp => {
                let connect = || {
                    let link = TcpLink::connect(from, to, (self.id, transport), self.net.clone());
                    link.mark(self.mark);
                    link
                };
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
                        self.net.send(Datagram { path, from, to, mark: self.mark, bytes }, (self.id, transport));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn on_event(&mut self, transport: usize, event: Event, out: &mut Outbox) {
        match event {
            Event::IceConnectionStateChange(state) => self.on_ice(transport, state, out),
            Event::Connected => self.on_connected(transport, out),
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
                self.transports[transport].dtls.look().waits = false;
                // ICE may go on, from one of these states to the other, when the handshake is long done.
                if self.status.transports.get(transport).is_some_and(|status| status.dtls == DtlsState::New) {
                    self.tell_dtls(transport, DtlsState::Connecting, out);
                }
            }
            IceConnectionState::Disconnected => self.end(transport, DtlsState::Failed, out),
        }
    }

    fn on_rtp(&mut self, transport: usize, line: usize, arrived: Arrived, out: &mut Outbox) {
        let (lines, voice) = self.transports[transport].voice(&self.net);
        let Line { plan, inbound, .. } = &mut lines[line];
        let known = plan.payload_types.iter().find(|known| known.number == arrived.payload_type);
        let Some(caps) = known.map(|known| known.caps.clone()) else { return };
        if let Some(packet) = inbound.take(caps, arrived, out.now()) {
            out.media(port_of(plan.kind), packet);
        }
        inbound.heal(out.now(), voice);
    }
}

/// RTP and RTCP begin with a byte from 128 to 191 (RFC 7983, section 7).
fn is_media(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first >> 6 == 2)
}

/// RTCP shares its transport with RTP, and is told by its packet type (RFC 5761, section 4).
fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}
