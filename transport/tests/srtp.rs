//! Our sending half against str0m as the peer: what we seal it accepts, what it says by RTCP we open and read.
//!
//! Enters: nothing. Two peers live in one thread with a simulated wire and a clock that the test turns; the keys of one are
//! taken by its watch, and it sends nothing of its own. Leaves: proof for each profile.
//! Must never know: sockets, the runtime, sessions.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rivero_transport::rtcp::{self, NtpTime, Rtcp, SenderInfo};
use rivero_transport::srtp::{Opener, Profile, Sealer};
use rivero_transport::webrtc::{Watch, WorkerCrypto};
use str0m::bwe::{Bitrate, BweKind};
use str0m::config::{DtlsCert, Fingerprint, KeyingMaterial};
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{Extension, RtpPacket};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

const VP8: u8 = 100;
const OURS: u32 = 1000;
const THEIRS: u32 = 2000;
const ABS_SEND_TIME: u8 = 3;

// A handshake that ends with the profile that a test wants, whatever the two sides agreed upon.

#[derive(Debug)]
struct ForcingProvider {
    inner: &'static dyn DtlsProvider,
    profile: SrtpProfile,
}

#[derive(Debug)]
struct Forcing {
    inner: Box<dyn DtlsInstance>,
    profile: SrtpProfile,
}

fn cut(keys: &[u8], profile: SrtpProfile) -> &[u8] {
    &keys[..profile.keying_material_len()]
}

impl DtlsProvider for ForcingProvider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.inner.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Forcing { inner: self.inner.new_dtls(cert, now, version, mtu)?, profile: self.profile }))
    }
}

impl DtlsInstance for Forcing {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.inner.poll_output(buf) {
            DtlsOutput::KeyingMaterial(keys, _) => {
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(cut(&keys, self.profile)), self.profile)
            }
            other => other,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

// The two peers: side 0 is ours, side 1 is the peer.

struct Link {
    now: Instant,
    rtcs: [Rtc; 2],
    due: [Instant; 2],
    wire: VecDeque<(usize, Transmit)>,
    /// Of each side.
    events: [Vec<Event>; 2],
    /// SRTCP that the peer sent, oldest first.
    peers_rtcp: Vec<Vec<u8>>,
}

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

fn credentials(side: usize) -> IceCreds {
    IceCreds { ufrag: format!("ufrag{side}"), pass: format!("a-password-of-side-{side}-0123") }
}

fn video() -> Mid {
    "0".into()
}

fn is_rtcp(datagram: &[u8]) -> bool {
    (128..192).contains(&datagram[0]) && (192..224).contains(&datagram[1])
}

fn build(side: usize, we_are_client: bool, cert: &DtlsCert, crypto: Arc<CryptoProvider>, now: Instant) -> Rtc {
    let digest = from_feature_flags().sha256_provider.sha256(&cert.certificate);
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .clear_codecs()
        .clear_extension_map()
        .set_extension(ABS_SEND_TIME, Extension::AbsoluteSendTime)
        .set_dtls_cert(cert.clone())
        .set_crypto_provider(crypto)
        .set_local_ice_credentials(credentials(side));
    let codecs = config.codec_config();
    codecs.add_config(VP8.into(), None, Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
    let mut rtc = config.build(now);
    let host = |side| Candidate::host(address(side), "udp").expect("a usable address");
    rtc.add_local_candidate(host(side)).expect("the only candidate");
    rtc.add_remote_candidate(host(1 - side));
    let mut api = rtc.direct_api();
    api.set_remote_ice_credentials(credentials(1 - side));
    api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes: digest.to_vec() });
    api.set_ice_controlling(side == 0);
    api.declare_media(video(), MediaKind::Video);
    if side == 1 {
        api.declare_stream_tx(THEIRS.into(), None, video(), None);
        api.expect_stream_rx(OURS.into(), None, video(), None).suppress_nack(false);
    }
    api.start_dtls((side == 0) == we_are_client).expect("DTLS starts");
    rtc
}

impl Link {
    /// Connected, and with the keys of our side.
    #[expect(clippy::disallowed_methods, reason = "the origin of the turned clock; nothing reads the real one again")]
    fn connect(profile: SrtpProfile, we_are_client: bool) -> (Link, Vec<u8>) {
        let worker = WorkerCrypto::new();
        let base = worker.provider();
        let forcing: &'static ForcingProvider =
            Box::leak(Box::new(ForcingProvider { inner: base.dtls_provider, profile }));
        let crypto = Arc::new(CryptoProvider { dtls_provider: forcing, ..(*base).clone() });
        let cert = forcing.generate_certificate().expect("certificates can be made");
        let now = Instant::now();
        let watch: Watch = worker.watch_next();
        let rtcs = [0, 1].map(|side| build(side, we_are_client, &cert, crypto.clone(), now));
        let mut link = Link {
            now,
            rtcs,
            due: [now; 2],
            wire: VecDeque::new(),
            events: Default::default(),
            peers_rtcp: Vec::new(),
        };
        link.run(Duration::from_secs(2));
        for events in &mut link.events {
            assert!(events.drain(..).any(|event| matches!(event, Event::Connected)));
        }
        let (keys, agreed) = watch.look().keys.clone().expect("the handshake is over");
        assert_eq!(agreed, SrtpProfile::AEAD_AES_256_GCM, "what str0m prefers, with the longest keys to cut");
        (link, cut(&keys, profile).to_vec())
    }

    fn drain(&mut self, side: usize) {
        loop {
            match self.rtcs[side].poll_output().expect("the peer stays healthy") {
                Output::Timeout(at) => {
                    self.due[side] = at;
                    return;
                }
                Output::Transmit(t) => {
                    if side == 1 && is_rtcp(&t.contents) {
                        self.peers_rtcp.push(t.contents.to_vec());
                    }
                    self.wire.push_back((1 - side, t));
                }
                Output::Event(event) => self.events[side].push(event),
            }
        }
    }

    fn receive(&mut self, side: usize, datagram: &[u8]) {
        let receive =
            Receive::new(Protocol::Udp, address(1 - side), address(side), datagram).expect("a known protocol");
        self.rtcs[side].handle_input(Input::Receive(self.now, receive)).expect("a packet is no error");
        self.drain(side);
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..10_000 {
            if let Some((to, t)) = self.wire.pop_front() {
                self.receive(to, &t.contents);
                continue;
            }
            let next = self.due[0].min(self.due[1]).max(self.now);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            for side in 0..2 {
                if self.due[side] <= self.now {
                    self.rtcs[side].handle_input(Input::Timeout(self.now)).expect("a timeout is no error");
                    self.drain(side);
                }
            }
        }
        panic!("time stands still");
    }

    /// What the peer made of a datagram of ours.
    fn deliver(&mut self, datagram: &[u8]) -> Vec<Event> {
        self.events[1].clear();
        self.receive(1, datagram);
        self.run(Duration::from_millis(5));
        std::mem::take(&mut self.events[1])
    }
}

const PROFILES: [(SrtpProfile, Profile); 3] = [
    (SrtpProfile::AES128_CM_SHA1_80, Profile::Aes128CmSha1_80),
    (SrtpProfile::AEAD_AES_128_GCM, Profile::AeadAes128Gcm),
    (SrtpProfile::AEAD_AES_256_GCM, Profile::AeadAes256Gcm),
];

/// Runs a test with each profile, as client and as server.
fn with_each(test: impl Fn(Link, Sealer, Opener)) {
    for (theirs, ours) in PROFILES {
        for we_are_client in [false, true] {
            let (link, keys) = Link::connect(theirs, we_are_client);
            let sealer = Sealer::new(ours, &keys, we_are_client).expect("the keys have their length");
            let opener = Opener::new(ours, &keys, we_are_client).expect("the keys have their length");
            test(link, sealer, opener);
        }
    }
}

fn payload(sequence: u64) -> Vec<u8> {
    (0..1100).map(|i| (i as u64 * 31 + sequence) as u8).collect()
}

/// A packet with the abs-send-time extension, sealed; what stands ahead of it in the buffer stays.
fn sealed(sealer: &mut Sealer, sequence: u64) -> Vec<u8> {
    let mut out = b"ahead".to_vec();
    out.extend_from_slice(&[0x90, 0x80 | VP8]);
    out.extend_from_slice(&(sequence as u16).to_be_bytes());
    out.extend_from_slice(&(sequence as u32 * 3000).to_be_bytes());
    out.extend_from_slice(&OURS.to_be_bytes());
    out.extend_from_slice(&[0xbe, 0xde, 0, 1, ABS_SEND_TIME << 4 | 2, 1, 2, 3]);
    out.extend_from_slice(&payload(sequence));
    sealer.seal_rtp(&mut out, 5, 20, (sequence >> 16) as u32);
    assert_eq!(out.len(), 5 + 20 + 1100 + sealer.overhead());
    out.split_off(5)
}

fn rtp_of(events: &[Event]) -> Vec<&RtpPacket> {
    events.iter().filter_map(|event| if let Event::RtpPacket(packet) = event { Some(packet) } else { None }).collect()
}

#[test]
fn the_peer_accepts_our_rtp_across_a_rollover_and_nothing_forged() {
    with_each(|mut link, mut sealer, _| {
        for sequence in 65_530..65_545 {
            let datagram = sealed(&mut sealer, sequence);
            let mut forged = datagram.clone();
            forged[700] ^= 1;
            assert_eq!(rtp_of(&link.deliver(&forged)).len(), 0);
            let events = link.deliver(&datagram);
            let [packet] = rtp_of(&events)[..] else { panic!("{sequence}: {events:?}") };
            assert_eq!(*packet.seq_no, sequence);
            assert_eq!(*packet.header.ssrc, OURS);
            assert!(packet.header.marker && packet.header.ext_vals.abs_send_time.is_some());
            assert_eq!(packet.payload[..], payload(sequence));
        }
    });
}

#[test]
fn the_peer_accepts_our_rtcp() {
    with_each(|mut link, mut sealer, _| {
        link.deliver(&sealed(&mut sealer, 1));
        let mut seal = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = b"ahead".to_vec();
            write(&mut out);
            sealer.seal_rtcp(&mut out, 5);
            out.split_off(5)
        };
        let ntp = NtpTime::from(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let info = SenderInfo { ntp, rtp_timestamp: 77, packets: 8, octets: 9 };
        let report = seal(&|out| rtcp::write_sender_report(out, OURS, &info, "a name"));
        let heard = link.deliver(&report).into_iter().find_map(|event| match event {
            Event::SenderFeedback(heard) => Some(heard.sender_info),
            _ => None,
        });
        let heard = heard.expect("the report is heard");
        assert_eq!((*heard.ssrc, heard.sender_packet_count, heard.sender_octet_count), (OURS, 8, 9));

        let request = seal(&|out| {
            rtcp::write_receiver_report(out, OURS, &[]);
            rtcp::write_pli(out, OURS, THEIRS);
        });
        let mut forged = request.clone();
        forged[12] ^= 1;
        let asks = |event: &Event| matches!(event, Event::KeyframeRequest(r) if r.kind == KeyframeRequestKind::Pli);
        assert!(!link.deliver(&forged).iter().any(asks));
        assert!(link.deliver(&request).iter().any(asks));

        let estimate = seal(&|out| rtcp::write_remb(out, OURS, 444_000, &[THEIRS]));
        let estimates = |event: &Event| match event {
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => estimate.as_u64() == 444_000,
            _ => false,
        };
        assert!(link.deliver(&estimate).iter().any(estimates));
    });
}

#[test]
fn we_open_the_rtcp_of_the_peer_once() {
    with_each(|mut link, mut sealer, mut opener| {
        for sequence in [65_533, 65_534, 65_536, 65_537] {
            link.deliver(&sealed(&mut sealer, sequence));
        }
        let mut api = link.rtcs[1].direct_api();
        let stream = api.stream_rx(&OURS.into()).expect("it is declared");
        stream.request_keyframe(KeyframeRequestKind::Pli);
        stream.request_remb(Bitrate::kbps(333));
        link.drain(1);
        link.run(Duration::from_secs(6));

        let (mut room, mut requests, mut estimates, mut lost, mut reports) = (Vec::new(), 0, vec![], vec![], vec![]);
        for datagram in &link.peers_rtcp {
            let mut forged = datagram.clone();
            forged[9] ^= 1;
            assert_eq!(opener.open_rtcp(&forged, &mut room), None);
            let plain = opener.open_rtcp(datagram, &mut room).expect("it is of the peer");
            for packet in rtcp::parse(plain) {
                match packet {
                    Rtcp::Pli { sender: THEIRS, media: OURS } => requests += 1,
                    Rtcp::Remb { bps, mut ssrcs, .. } => estimates.push((bps, ssrcs.next())),
                    Rtcp::Nack { media: OURS, lost: numbers, .. } => lost.extend(numbers),
                    Rtcp::ReceiverReport { reports: blocks, .. } | Rtcp::SenderReport { reports: blocks, .. } => {
                        reports.extend(blocks.filter(|block| block.ssrc == OURS));
                    }
                    Rtcp::Other { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(opener.open_rtcp(datagram, &mut room), None, "the second time");
        }
        assert_eq!(requests, 1);
        assert_eq!(estimates, [(333_000, Some(OURS))]);
        assert!(!lost.is_empty() && lost.iter().all(|number| *number == 65_535), "{lost:?}");
        let report = reports.last().expect("a report came within six seconds");
        assert_eq!((report.lost, report.highest_sequence & 0xffff), (1, 1), "{reports:?}");
    });
}
