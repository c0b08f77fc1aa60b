//! What publisher and viewer share: ICE and DTLS of an independent stack, and the keys that come out of them.

use rivero_engine::time::ManualClock;
use rivero_engine::{Clock, MediaTime};
use rivero_transport::net::OnWire;
use rivero_transport::srtp::{Opener, Profile, RtpOpener, Sealer};
use rivero_transport::webrtc::{Watch, WorkerCrypto};
use std::net::SocketAddr;
use std::sync::Arc;
use str0m::config::DtlsCert;
use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::from_feature_flags;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

pub const VP8: u8 = 96;
/// Sends VP8 again, where offered.
pub const RTX: u8 = 97;
/// The header extension with a number for the whole transport, where offered.
pub const TRANSPORT_CC: u8 = 5;

pub struct Connection {
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub due: MediaTime,
    pub connected: bool,
    /// What str0m had to say, but for what is ours to handle.
    pub events: Vec<Event>,
    clock: Arc<ManualClock>,
    credentials: IceCreds,
    cert: DtlsCert,
    watch: Watch,
    client: bool,
}

impl Connection {
    pub fn new(clock: &Arc<ManualClock>, address: SocketAddr) -> Self {
        let crypto = WorkerCrypto::new();
        let cert = crypto.provider().dtls_provider.generate_certificate().expect("aws-lc-rs makes certificates");
        let name = format!("peer{}", address.port());
        let credentials = IceCreds { ufrag: name.clone(), pass: format!("{name}-with-a-long-password") };
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_dtls_cert(cert.clone())
            .set_crypto_provider(crypto.provider())
            .set_local_ice_credentials(credentials.clone());
        let codecs = config.codec_config();
        codecs.add_config(
            VP8.into(),
            Some(RTX.into()),
            Codec::Vp8,
            Frequency::NINETY_KHZ,
            None,
            FormatParams::default(),
        );
        let watch = crypto.watch_next();
        let now = clock.now();
        let mut rtc = config.build(clock.instant(now));
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a usable address")).expect("the only one");
        let (due, clock) = (now, clock.clone());
        let events = Vec::new();
        Connection { rtc, address, due, connected: false, events, clock, credentials, cert, watch, client: false }
    }

    /// An offer of one line of VP8, as Kurento's applications make it: NACK, PLI, no retransmission stream.
    pub fn offer(&self, direction: &str, ssrc: Option<u32>) -> String {
        let digest = from_feature_flags().sha256_provider.sha256(&self.cert.certificate);
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let IceCreds { ufrag, pass } = &self.credentials;
        let ssrc = ssrc.map_or_else(String::new, |ssrc| format!("a=ssrc:{ssrc} cname:peer\r\n"));
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF {VP8}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
             a=setup:actpass\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\na=fingerprint:sha-256 {}\r\n\
             a=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\n{ssrc}",
            digest.join(":")
        )
    }

    /// Begins to connect with whoever answered so.
    pub fn join(&mut self, answer: &str, server: SocketAddr) {
        self.client = value(answer, "a=setup:") == "passive";
        let host = Candidate::host(server, "udp").expect("a usable address");
        self.rtc.add_remote_candidate(host);
        let mut api = self.rtc.direct_api();
        let (ufrag, pass) = (value(answer, "a=ice-ufrag:").to_owned(), value(answer, "a=ice-pwd:").to_owned());
        api.set_remote_ice_credentials(IceCreds { ufrag, pass });
        api.set_remote_fingerprint(value(answer, "a=fingerprint:").parse().expect("a fingerprint"));
        api.set_ice_controlling(true);
        api.declare_media("0".into(), MediaKind::Video);
        api.start_dtls(self.client).expect("DTLS starts");
    }

    pub fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        let bytes = Receive::new(Protocol::Udp, datagram.from, datagram.to, &datagram.bytes).expect("WebRTC it is");
        self.rtc.handle_input(Input::Receive(self.clock.instant(now), bytes)).expect("the server sends nothing bad");
        self.drain(now, out);
    }

    pub fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        self.rtc.handle_input(Input::Timeout(self.clock.instant(now))).expect("time is no error");
        self.drain(now, out);
    }

    fn drain(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        loop {
            match self.rtc.poll_output().expect("the peer stays healthy") {
                Output::Timeout(at) => {
                    self.due = now + at.saturating_duration_since(self.clock.instant(now));
                    break;
                }
                Output::Transmit(transmit) => {
                    let bytes = transmit.contents.into();
                    out.push(OnWire { from: transmit.source, to: transmit.destination, bytes });
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Both directions of SRTP, for a peer that does its media itself. Once connected.
    pub fn keys(&self) -> (Sealer, Opener) {
        let (profile, keys) = self.handshake();
        let sealer = Sealer::new(profile, &keys, self.client).expect("the keys are of the profile");
        (sealer, Opener::new(profile, &keys, self.client).expect("the same"))
    }

    pub fn rtp_opener(&self) -> RtpOpener {
        let (profile, keys) = self.handshake();
        RtpOpener::new(profile, &keys, self.client).expect("the keys are of the profile")
    }

    fn handshake(&self) -> (Profile, Vec<u8>) {
        let handshake = self.watch.look();
        let (keys, profile) = handshake.keys.as_ref().expect("connected");
        let profile = match *profile {
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
            other => panic!("{other:?} was not offered"),
        };
        (profile, keys.clone())
    }
}

/// The rest of the first line that begins so.
pub fn value<'a>(sdp: &'a str, begins: &str) -> &'a str {
    let mut lines = sdp.lines().filter_map(|line| line.strip_prefix(begins));
    lines.next().unwrap_or_else(|| panic!("no {begins} in {sdp}"))
}
