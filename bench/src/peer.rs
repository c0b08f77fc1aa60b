//! One client: its socket, its connection and what it has counted.
//!
//! A publisher and a *sampled* viewer are str0m peers in full. A *counting* viewer is one until it is connected, and stays one for
//! ICE consent and DTLS; media it only counts by headers, unopened, and it sends no receiver reports. A *bare* client has no
//! connection but a key: it belongs to the bare loop.

use crate::clock::Clock;
use crate::count::Count;
use crate::crypto::{Agreed, Crypto, locked};
use crate::payload::{OPUS, VP8};
use crate::publish::{Outgoing, Publisher};
use crate::sample::{Opened, Sampler};
use crate::sdp::{Local, Remote};
use crate::socket::BatchSocket;
use crate::srtp::{self, HEADER, Key, TAG};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig, RtcError};

/// How long a viewer waits between two requests for a key frame, in ns.
const PATIENCE: u64 = 200_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Publisher,
    Sampled,
    Counting,
}

/// A stream as counted, and as it was when the window opened.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub ssrc: u32,
    pub count: Count,
    pub before: Count,
}

enum Link {
    Waiting,
    Rtc(Box<Rtc>),
    /// The key, and whom a publisher sends to.
    Bare(Box<Key>, SocketAddr),
    Broken,
}

pub struct Peer {
    pub socket: Rc<BatchSocket>,
    pub role: Role,
    /// Which published stream it sends or sees.
    pub group: usize,
    pub local: Local,
    link: Link,
    /// ns at which str0m wants to be called.
    pub due: u64,
    pub streams: Vec<Stream>,
    /// What its group's publisher had sent when its first packet came.
    pub entered_at: Option<u64>,
    pub created_ns: u64,
    pub connected_ns: Option<u64>,
    pub sampler: Sampler,
    pub publisher: Option<Publisher>,
    pub trouble: Option<String>,
    agreed: Agreed,
    /// Audio and video.
    payload_types: [u8; 2],
    asked_ns: u64,
    /// Reception time of the datagram that is being handled.
    at_ns: u64,
}

impl Peer {
    pub fn new(socket: BatchSocket, role: Role, group: usize, local: Local, now: u64) -> Self {
        Peer {
            socket: Rc::new(socket),
            role,
            group,
            local,
            link: Link::Waiting,
            due: u64::MAX,
            streams: Vec::new(),
            entered_at: None,
            created_ns: now,
            connected_ns: None,
            sampler: Sampler::default(),
            publisher: None,
            trouble: None,
            agreed: Agreed::default(),
            payload_types: [OPUS, VP8],
            asked_ns: 0,
            at_ns: 0,
        }
    }

    /// The SRTP profile that was agreed on.
    pub fn suite(&self) -> Option<String> {
        locked(&self.agreed).map(|profile| format!("{profile:?}"))
    }

    /// Packets counted since the beginning.
    pub fn received(&self) -> u64 {
        self.streams.iter().map(|stream| stream.count.packets).sum()
    }

    /// Joins the bare loop: no handshake, a key from the beginning.
    pub fn connect_bare(&mut self, key: Key, to: SocketAddr, now: u64) {
        self.link = Link::Bare(Box::new(key), to);
        self.connected_ns = Some(now);
    }

    /// Begins ICE and DTLS towards the server.
    pub fn connect(&mut self, crypto: &Crypto, clock: &Clock, remote: &Remote, offered: bool) {
        let began = self.build(crypto, clock.instant(clock.now()), remote, offered);
        match began {
            Ok(rtc) => {
                self.link = Link::Rtc(Box::new(rtc));
                self.wake(clock);
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    fn build(&mut self, crypto: &Crypto, now: Instant, remote: &Remote, offered: bool) -> Result<Rtc, String> {
        for (number, encoding) in self.payload_types.iter_mut().zip(["OPUS", "VP8"]) {
            *number = remote.payload_type(encoding).ok_or_else(|| format!("{encoding} was not agreed on"))?;
        }
        let creds = IceCreds { ufrag: self.local.ufrag.clone(), pass: self.local.password.clone() };
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_dtls_cert(crypto.certificate.clone())
            .set_crypto_provider(crypto.provider.clone())
            .set_local_ice_credentials(creds)
            .set_stats_interval(None);
        let [opus, vp8] = self.payload_types;
        let codecs = config.codec_config();
        let plain = FormatParams::default;
        codecs.add_config(opus.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), plain());
        codecs.add_config(vp8.into(), None, Codec::Vp8, Frequency::NINETY_KHZ, None, plain());
        self.agreed = crypto.watch_next();
        let mut rtc = config.build(now);
        let host = Candidate::host(self.socket.address(), "udp").map_err(|why| why.to_string())?;
        rtc.add_local_candidate(host);
        for line in &remote.candidates {
            add_candidate(&mut rtc, line);
        }
        let mut api = rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds { ufrag: remote.ufrag.clone(), pass: remote.password.clone() });
        api.set_remote_fingerprint(remote.fingerprint.parse().map_err(|_| "the fingerprint is broken")?);
        api.set_ice_controlling(offered || remote.lite);
        api.declare_media("0".into(), MediaKind::Audio);
        api.declare_media("1".into(), MediaKind::Video);
        if self.role == Role::Publisher {
            for (ssrc, mid) in self.local.ssrcs.iter().zip(["0", "1"]) {
                api.declare_stream_tx((*ssrc).into(), None, mid.into(), None);
            }
        }
        api.start_dtls(offered && remote.setup != "active").map_err(|why| why.to_string())?;
        Ok(rtc)
    }

    /// A candidate that came after the description.
    pub fn add_candidate(&mut self, line: &str, clock: &Clock) {
        if let Link::Rtc(rtc) = &mut self.link {
            add_candidate(rtc, line);
            self.wake(clock);
        }
    }

    /// Tells str0m the time, and sends what it has to say.
    pub fn wake(&mut self, clock: &Clock) {
        let now = clock.instant(clock.now());
        let Link::Rtc(rtc) = &mut self.link else { return };
        let woken = rtc.handle_input(Input::Timeout(now));
        self.drain(clock, woken);
    }

    /// A viewer that receives and sees nothing asks for a key frame, at once and then again and again, as browsers do. Returns
    /// whether there is no way to ask but the caller's.
    pub fn ask_if_dark(&mut self, now: u64, clock: &Clock) -> bool {
        let sees = self.sampler.first_frame_ns.is_some() || !self.sampler.dark;
        if self.role != Role::Sampled || sees || now < self.asked_ns.saturating_add(PATIENCE) {
            return false;
        }
        self.asked_ns = now;
        let Link::Rtc(rtc) = &mut self.link else { return matches!(self.link, Link::Bare(..)) };
        if let Some(stream) = rtc.direct_api().stream_rx_by_mid("1".into(), None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.wake(clock);
        }
        false
    }

    /// Takes a datagram.
    pub fn receive(&mut self, datagram: &mut [u8], source: SocketAddr, at_ns: u64, clock: &Clock) {
        self.at_ns = at_ns;
        let payload_type = datagram.get(1).map_or(0, |byte| byte & 0x7f);
        let is_rtp = datagram.len() > HEADER && (128..192).contains(&datagram[0]) && !(64..96).contains(&payload_type);
        if is_rtp {
            self.count(datagram);
        }
        match &mut self.link {
            Link::Rtc(rtc) => {
                // RTCP is nothing to a viewer that only counts.
                if self.role == Role::Counting && datagram.first().is_some_and(|first| *first >= 128) {
                    return;
                }
                if is_rtp {
                    admit(rtc, payload_type, srtp::ssrc(datagram), self.payload_types);
                }
                let address = self.socket.address();
                let Ok(receive) = Receive::new(Protocol::Udp, source, address, datagram) else { return };
                let taken = rtc.handle_input(Input::Receive(clock.instant(clock.now()), receive));
                self.drain(clock, taken);
            }
            Link::Bare(key, _) if is_rtp && self.role == Role::Sampled => {
                // A run is far shorter than the first rollover.
                let (sequence, marker) = (srtp::sequence(datagram), datagram[1] & 0x80 != 0);
                let padded = datagram[0] & 0x20 != 0;
                let Ok(packet) = key.open(datagram, u64::from(sequence)) else {
                    self.trouble = Some("a packet of the bare loop does not open".to_owned());
                    return;
                };
                let padding = if padded { packet.last().map_or(0, |last| usize::from(*last)) } else { 0 };
                let payload = &packet[HEADER..packet.len().saturating_sub(padding).max(HEADER)];
                self.sampler.note(Opened { video: payload_type == VP8, sequence, marker, payload, at_ns });
            }
            _ => {}
        }
    }

    fn count(&mut self, packet: &[u8]) {
        let ssrc = srtp::ssrc(packet);
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let index = known.unwrap_or_else(|| {
            self.streams.push(Stream { ssrc, count: Count::default(), before: Count::default() });
            self.streams.len() - 1
        });
        self.streams[index].count.note(srtp::sequence(packet), packet.len());
    }

    /// Sends what is due.
    pub fn publish(&mut self, packets: &[Outgoing], clock: &Clock) {
        match &mut self.link {
            Link::Rtc(rtc) => {
                let now = clock.instant(clock.now());
                let mut api = rtc.direct_api();
                for packet in packets {
                    let kind = usize::from(packet.video);
                    let Some(stream) = api.stream_tx(&self.local.ssrcs[kind].into()) else { continue };
                    let number = packet.sequence.into();
                    let pt = self.payload_types[kind].into();
                    let write = RtpWrite::new(pt, number, packet.timestamp, now, packet.payload.as_slice());
                    stream.write_rtp(write.marker(packet.marker).nackable(false));
                }
                self.wake(clock);
            }
            Link::Bare(key, to) => {
                for packet in packets {
                    let mut sealed = vec![0; HEADER];
                    let kind = usize::from(packet.video);
                    let (pt, ssrc) = (self.payload_types[kind], self.local.ssrcs[kind]);
                    srtp::write_header(&mut sealed, packet.marker, pt, packet.sequence as u16, packet.timestamp, ssrc);
                    sealed.extend_from_slice(&packet.payload);
                    sealed.resize(sealed.len() + TAG, 0);
                    key.seal(&mut sealed, packet.sequence);
                    // Nobody takes it, or there is no room: the report shows it as lost.
                    let _ = self.socket.send(&sealed, *to);
                }
            }
            Link::Waiting | Link::Broken => {}
        }
    }

    fn drain(&mut self, clock: &Clock, before: Result<(), RtcError>) {
        let Link::Rtc(rtc) = &mut self.link else { return };
        let mut trouble = before.err().map(|why| why.to_string());
        while trouble.is_none() {
            match rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.due = clock.ns(at);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    // As on any network, what cannot be sent is lost.
                    let _ = self.socket.send(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(event)) => match event {
                    Event::Connected => self.connected_ns = Some(clock.now()),
                    Event::RtpPacket(packet) => sample(&mut self.sampler, &packet, self.payload_types, self.at_ns),
                    Event::KeyframeRequest(_) => {
                        if let Some(publisher) = &mut self.publisher {
                            publisher.ask_key_frame();
                        }
                    }
                    Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                        trouble = Some("ICE was disconnected".to_owned());
                    }
                    Event::Closed => trouble = Some("the server closed the connection".to_owned()),
                    _ => {}
                },
                Err(why) => trouble = Some(why.to_string()),
            }
        }
        if trouble.is_some() {
            self.trouble = trouble;
            self.link = Link::Broken;
            self.due = u64::MAX;
        }
    }
}

fn add_candidate(rtc: &mut Rtc, line: &str) {
    // TCP candidates and names of hosts are nothing that the tool can reach.
    if let Ok(candidate) = Candidate::from_sdp_string(line.strip_prefix("a=").unwrap_or(line)) {
        rtc.add_remote_candidate(candidate);
    }
}

/// A stream that nobody announced is accepted by its payload type.
fn admit(rtc: &mut Rtc, payload_type: u8, ssrc: u32, known: [u8; 2]) {
    let Some(kind) = known.iter().position(|number| *number == payload_type) else { return };
    let mut api = rtc.direct_api();
    if api.stream_rx(&ssrc.into()).is_none() {
        api.expect_stream_rx(ssrc.into(), None, ["0", "1"][kind].into(), None);
    }
}

fn sample(sampler: &mut Sampler, packet: &RtpPacket, known: [u8; 2], at_ns: u64) {
    let header = &packet.header;
    sampler.note(Opened {
        video: *header.payload_type == known[1],
        sequence: header.sequence_number,
        marker: header.marker,
        payload: &packet.payload,
        at_ns,
    });
}
