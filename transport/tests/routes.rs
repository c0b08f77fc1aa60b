//! Both ways of driving str0m, kept running so that a new version of it cannot change them unseen.
//!
//! Enters: nothing. Two peers live in one thread with a simulated wire and a clock that the test turns.
//! Leaves: proof that the direct API (the route taken) and a synthetic offer both connect and carry RTP, and that a
//! DTLS provider of our own reaches the same keying material on both sides.
//! Must never know: sockets, the runtime, our own SDP code. See `src/webrtc/routes.md`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rivero_transport::webrtc::{Watch, WorkerCrypto};
use str0m::change::SdpOffer;
use str0m::config::{DtlsCert, Fingerprint};
use str0m::crypto::from_feature_flags;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Receive, Transmit};
use str0m::rtp::{Extension, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

const OPUS: u8 = 96;
const VP8: u8 = 100;
/// SSRCs of side 0, audio then video; side 1 adds one.
const SSRCS: [u32; 2] = [1000, 2000];
const LATENCY: Duration = Duration::from_millis(5);

// The wire.

struct Side {
    rtc: Rtc,
    due: Instant,
    events: Vec<Event>,
    /// Whether SSRCs that nobody announced are accepted by payload type.
    admits_unknown: bool,
}

struct Link {
    now: Instant,
    sides: [Side; 2],
    wire: VecDeque<(Instant, usize, Transmit)>,
}

impl Link {
    fn new(now: Instant, rtcs: [Rtc; 2], admits_unknown: [bool; 2]) -> Link {
        let [a, b] = rtcs;
        let side = |rtc, admits_unknown| Side { rtc, due: now, events: Vec::new(), admits_unknown };
        Link { now, sides: [side(a, admits_unknown[0]), side(b, admits_unknown[1])], wire: VecDeque::new() }
    }

    /// Takes everything that a side has to say. Due after every call that changes it, or its deadline is stale.
    fn drain(&mut self, i: usize) {
        let side = &mut self.sides[i];
        loop {
            match side.rtc.poll_output().expect("the peer stays healthy") {
                Output::Timeout(at) => {
                    side.due = at;
                    return;
                }
                Output::Transmit(t) => self.wire.push_back((self.now + LATENCY, 1 - i, t)),
                Output::Event(event) => side.events.push(event),
            }
        }
    }

    fn wake(&mut self, i: usize) {
        self.sides[i].rtc.handle_input(Input::Timeout(self.now)).expect("a timeout is no error");
        self.drain(i);
    }

    fn deliver(&mut self, to: usize, t: &Transmit) {
        let side = &mut self.sides[to];
        if side.admits_unknown {
            admit_unknown(&mut side.rtc, &t.contents);
        }
        let receive = Receive::new(t.proto, t.source, t.destination, &t.contents).expect("str0m reads its own packets");
        side.rtc.handle_input(Input::Receive(self.now, receive)).expect("a packet of the peer is no error");
        self.drain(to);
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..100_000 {
            let arrival = self.wire.front().map_or(end, |w| w.0);
            let next = arrival.min(self.sides[0].due).min(self.sides[1].due).max(self.now);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            if arrival <= next {
                let (_, to, t) = self.wire.pop_front().expect("the arrival is of this packet");
                self.deliver(to, &t);
                continue;
            }
            for i in 0..2 {
                if self.sides[i].due <= self.now {
                    self.wake(i);
                }
            }
        }
        panic!("time stands still");
    }

    fn take_events(&mut self, i: usize) -> Vec<Event> {
        std::mem::take(&mut self.sides[i].events)
    }
}

/// Without `a=ssrc` and without the mid extension str0m drops a packet unseen, so the stream is declared on sight.
fn admit_unknown(rtc: &mut Rtc, packet: &[u8]) {
    if packet.len() < 12 || !(128..192).contains(&packet[0]) {
        return;
    }
    let kind = match packet[1] & 0x7f {
        OPUS => 0,
        VP8 => 1,
        _ => return,
    };
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().expect("four bytes"));
    let mut api = rtc.direct_api();
    if api.stream_rx(&ssrc.into()).is_none() {
        api.expect_stream_rx(ssrc.into(), None, mids()[kind], None).suppress_nack(true);
    }
}

// The peers.

fn mids() -> [Mid; 2] {
    ["0".into(), "1".into()]
}

fn address(i: usize) -> SocketAddr {
    ([10, 0, 0, 1 + i as u8], 5000).into()
}

fn credentials(i: usize) -> IceCreds {
    IceCreds { ufrag: format!("ufrag{i}"), pass: format!("a-password-of-side-{i}-0123") }
}

fn fingerprint(cert: &DtlsCert) -> Fingerprint {
    let digest = from_feature_flags().sha256_provider.sha256(&cert.certificate);
    Fingerprint { hash_func: "sha-256".into(), bytes: digest.to_vec() }
}

struct Workshop {
    now: Instant,
    cert: DtlsCert,
    crypto: WorkerCrypto,
    observations: Vec<Watch>,
}

impl Workshop {
    #[expect(clippy::disallowed_methods, reason = "the origin of the turned clock; nothing reads the real one again")]
    fn new() -> Workshop {
        let crypto = WorkerCrypto::new();
        let cert = crypto.provider().dtls_provider.generate_certificate().expect("aws-lc-rs makes certificates");
        Workshop { now: Instant::now(), cert, crypto, observations: Vec::new() }
    }

    /// A peer with its own credentials, the shared certificate and its host candidate.
    fn build(&mut self, i: usize, codecs: impl FnOnce(&mut RtcConfig)) -> Rtc {
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_extension(3, Extension::AbsoluteSendTime)
            .set_dtls_cert(self.cert.clone())
            .set_crypto_provider(self.crypto.provider())
            .set_local_ice_credentials(credentials(i));
        codecs(&mut config);
        self.observations.push(self.crypto.watch_next());
        let mut rtc = config.build(self.now);
        let host = Candidate::host(address(i), "udp").expect("a usable address");
        rtc.add_local_candidate(host).expect("the only candidate");
        rtc
    }

    /// A peer that knows all by the direct API, but for the SSRCs of the other side.
    fn build_direct(&mut self, i: usize, active: bool) -> Rtc {
        let mut rtc = self.build(i, |config| {
            let codecs = config.codec_config();
            let opus = FormatParams { use_inband_fec: Some(true), ..Default::default() };
            codecs.add_config(OPUS.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus);
            codecs.add_config(VP8.into(), None, Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
        });
        let other = 1 - i;
        let line = format!("candidate:1 1 udp 2113929471 {} {} typ host", address(other).ip(), address(other).port());
        rtc.add_remote_candidate(Candidate::from_sdp_string(&line).expect("a candidate line"));
        let mut api = rtc.direct_api();
        assert_eq!(api.local_ice_credentials(), credentials(i));
        assert_eq!(*api.local_dtls_fingerprint(), fingerprint(&self.cert));
        api.set_remote_ice_credentials(credentials(other));
        api.set_remote_fingerprint(fingerprint(&self.cert).to_string().parse().expect("its own text"));
        api.set_ice_controlling(i == 0);
        api.declare_media(mids()[0], MediaKind::Audio);
        api.declare_media(mids()[1], MediaKind::Video);
        for (ssrc, mid) in SSRCS.iter().zip(mids()) {
            api.declare_stream_tx((ssrc + i as u32).into(), None, mid, None);
        }
        api.start_dtls(active).expect("DTLS starts");
        rtc
    }
}

/// The offer of side 0 as our own text: what the second route feeds to str0m.
fn synthetic_offer(cert: &DtlsCert) -> String {
    let IceCreds { ufrag, pass } = credentials(0);
    let mut offer = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=fingerprint:{}\r\n",
        fingerprint(cert)
    );
    for (n, (kind, pt, codec)) in [("audio", OPUS, "opus/48000/2"), ("video", VP8, "VP8/90000")].iter().enumerate() {
        offer += &format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {pt}\r\nc=IN IP4 0.0.0.0\r\na=mid:{n}\r\na=sendrecv\r\na=rtcp-mux\r\n\
             a=setup:active\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\na=rtpmap:{pt} {codec}\r\n\
             a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\na=rtcp-fb:{pt} nack pli\r\n\
             a=ssrc:{} cname:side0\r\na=candidate:1 1 udp 2113929471 {} {} typ host\r\n",
            SSRCS[n],
            address(0).ip(),
            address(0).port()
        );
    }
    offer
}

fn connect(link: &mut Link) {
    for _ in 0..200 {
        link.run(Duration::from_millis(10));
        if link.sides.iter().all(|side| side.events.iter().any(|event| matches!(event, Event::Connected))) {
            return;
        }
    }
    panic!("the two sides did not connect within two seconds");
}

/// Sends ten packets of each kind from one side and compares what the other side hears, field by field.
fn carry_rtp(link: &mut Link, from: usize, ssrcs: [u32; 2], first: u64) {
    let payload = |kind: usize, k: u64| vec![k as u8; if kind == 0 { 3 } else { 1100 }];
    link.take_events(1 - from);
    for k in 0..10 {
        for (kind, pt) in [OPUS, VP8].into_iter().enumerate() {
            let now = link.now;
            let mut api = link.sides[from].rtc.direct_api();
            let stream = api.stream_tx(&ssrcs[kind].into()).expect("a declared stream");
            let time = (u32::MAX - 2).wrapping_add(k as u32);
            let packet = RtpWrite::new(pt.into(), (first + k).into(), time, now, payload(kind, k));
            stream.write_rtp(packet.marker(k == 9));
        }
        // Nothing leaves before time is told.
        link.wake(from);
        link.run(Duration::from_millis(20));
    }
    let events = link.take_events(1 - from);
    let heard: Vec<&RtpPacket> =
        events.iter().filter_map(|event| if let Event::RtpPacket(p) = event { Some(p) } else { None }).collect();
    for (kind, pt) in [OPUS, VP8].into_iter().enumerate() {
        let of_kind: Vec<_> = heard.iter().filter(|p| *p.header.ssrc == ssrcs[kind]).collect();
        assert_eq!(of_kind.len(), 10, "SSRC {} from side {from}", ssrcs[kind]);
        for (k, p) in (0..).zip(of_kind) {
            assert_eq!(*p.header.payload_type, pt);
            assert_eq!(*p.seq_no, first + k);
            assert_eq!(p.header.sequence_number, (first + k) as u16);
            assert_eq!(p.header.timestamp, (u32::MAX - 2).wrapping_add(k as u32));
            assert_eq!(p.header.marker, k == 9);
            assert_eq!(p.payload[..], payload(kind, k));
            assert!(p.header.ext_vals.abs_send_time.is_some());
        }
    }
    assert_eq!(heard.len(), 20);
}

fn carry_keyframe_requests(link: &mut Link) {
    for kind in [KeyframeRequestKind::Pli, KeyframeRequestKind::Fir] {
        link.take_events(0);
        let mut api = link.sides[1].rtc.direct_api();
        api.stream_rx(&SSRCS[1].into()).expect("video of side 0 is known").request_keyframe(kind);
        link.drain(1);
        link.run(Duration::from_millis(20));
        let asked: Vec<_> = link.take_events(0);
        assert!(
            asked.iter().any(|e| matches!(e, Event::KeyframeRequest(r) if r.kind == kind && r.mid == mids()[1])),
            "{kind:?} is heard, got {asked:?}"
        );
    }
}

fn assert_equal_keys(observations: &[Watch]) {
    let keys: Vec<_> = observations.iter().map(|o| o.look().keys.clone().expect("keys by Connected")).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].0.len() >= 56, "two keys and two salts, got {} bytes", keys[0].0.len());
    assert_eq!(keys[0], keys[1]);
    assert!(observations.iter().all(|o| o.look().connected));
}

#[test]
fn direct_api_connects_and_carries_rtp_both_ways() {
    let mut workshop = Workshop::new();
    let rtcs = [workshop.build_direct(0, false), workshop.build_direct(1, true)];
    let mut link = Link::new(workshop.now, rtcs, [true, true]);
    connect(&mut link);
    assert_equal_keys(&workshop.observations);
    carry_rtp(&mut link, 0, SSRCS, 65_530); // rolls over
    carry_rtp(&mut link, 1, SSRCS.map(|s| s + 1), 7);
    carry_keyframe_requests(&mut link);
}

#[test]
fn synthetic_offer_connects_and_carries_rtp_both_ways() {
    let mut workshop = Workshop::new();
    let direct = workshop.build_direct(0, true);
    // Other payload types than the offer has: those of the offer win.
    let mut answering = workshop.build(1, |config| {
        config.codec_config().enable_opus(true, false);
        config.codec_config().enable_vp8(true);
    });
    let offer = SdpOffer::from_sdp_string(&synthetic_offer(&workshop.cert)).expect("our offer parses");
    let answer = answering.sdp_api().accept_offer(offer).expect("our offer is accepted").to_sdp_string();
    assert!(answer.contains("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"), "{answer}");
    assert!(answer.contains("a=setup:passive\r\n"), "{answer}");
    let chosen = mids().map(|mid| *answering.direct_api().stream_tx_by_mid(mid, None).expect("sendrecv").ssrc());
    let mut link = Link::new(workshop.now, [direct, answering], [true, false]);
    connect(&mut link);
    assert_equal_keys(&workshop.observations);
    carry_rtp(&mut link, 0, SSRCS, 65_530);
    carry_rtp(&mut link, 1, chosen, 7);
    carry_keyframe_requests(&mut link);
}

#[test]
fn an_unannounced_ssrc_is_dropped_unless_it_is_declared_on_sight() {
    let mut workshop = Workshop::new();
    let rtcs = [workshop.build_direct(0, false), workshop.build_direct(1, true)];
    let mut link = Link::new(workshop.now, rtcs, [true, false]);
    connect(&mut link);
    let now = link.now;
    let mut api = link.sides[0].rtc.direct_api();
    let stream = api.stream_tx(&SSRCS[0].into()).expect("a declared stream");
    stream.write_rtp(RtpWrite::new(OPUS.into(), 1.into(), 0, now, vec![1_u8]));
    link.wake(0);
    link.run(Duration::from_millis(20));
    assert!(!link.take_events(1).iter().any(|event| matches!(event, Event::RtpPacket(_))));
    link.sides[1].admits_unknown = true;
    carry_rtp(&mut link, 0, SSRCS, 2);
}

#[test]
fn closing_one_side_is_seen_by_the_other() {
    let mut workshop = Workshop::new();
    let rtcs = [workshop.build_direct(0, false), workshop.build_direct(1, true)];
    let mut link = Link::new(workshop.now, rtcs, [true, true]);
    connect(&mut link);
    link.sides[0].rtc.close().expect("a connected peer closes");
    link.drain(0);
    assert!(!link.sides[0].rtc.is_alive());
    link.run(Duration::from_millis(50));
    assert!(link.take_events(1).iter().any(|event| matches!(event, Event::Closed)));
    assert!(workshop.observations[1].look().closed);
}
