//! RtpEndpoint and sockets of the test, byte by byte: what is negotiated is forwarded, the peer's limit is told west, keys with
//! identifiers open, and the end of a key is told. Every step waits for what it depends on.

mod house;

use house::{House, PATIENCE, vp8};
use rivero_engine::graph::Selection;
use rivero_engine::testing::Tell;
use rivero_engine::time::SystemClock;
use rivero_engine::{Clock, Feedback, MediaKind, MediaTime, Pipeline, What};
use rivero_transport::rtcp::{self, NtpTime, SenderInfo};
use rivero_transport::rtp_endpoint::{RtpConfig, RtpEndpoint, RtpEvent, RtpOptions};
use rivero_transport::sdp::{Crypto, base64};
use rivero_transport::srtp::{Opener, Profile, RtpOpener, Sealer};
use std::time::Duration;
use tokio::net::UdpSocket;

const AUDIO: [&str; 8] = [
    "opus/48000/2",
    "AMR/8000",
    "AMR-WB/16000",
    "speex/16000",
    "GSM/8000",
    "G722/8000",
    "MPA/90000",
    // Nothing here carries it.
    "G729/8000",
];
const SUITE: Profile = Profile::Aes128CmSha1_32;
const OUR_KEY: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ1234";
const PEERS_KEY: &[u8] = b"zyxwvutsrqponmlkjihgfedcba4321";

async fn endpoint(pipeline: &Pipeline, crypto: Option<Crypto>) -> RtpEndpoint {
    let config = RtpConfig {
        audio_codecs: AUDIO.iter().map(|codec| codec.parse().expect("a codec")).collect(),
        video_codecs: vec!["VP8/90000".parse().expect("a codec")],
        audio_lines: 1,
        video_lines: 1,
    };
    let options = RtpOptions { crypto, ..RtpOptions::default() };
    RtpEndpoint::create(pipeline, "rtp".into(), options, config).await.expect("a worker takes it")
}

/// A peer's two sockets, next to each other where it matters to nobody.
struct Peer {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where the endpoint is.
    port: u16,
}

impl Peer {
    async fn open() -> Self {
        let bind = || async { UdpSocket::bind("127.0.0.1:0").await.expect("a port is free") };
        Peer { rtp: bind().await, rtcp: bind().await, port: 0 }
    }

    /// Offers one line; `lines` follow its `m=` line. Returns the answer.
    async fn offer(&mut self, to: &RtpEndpoint, media: &str, lines: &[&str]) -> String {
        let port = |socket: &UdpSocket| socket.local_addr().expect("it is bound").port();
        let (kind, rest) = media.split_once(' ').expect("a kind, then the rest");
        let own = [format!("m={kind} {} {rest}", port(&self.rtp)), format!("a=rtcp:{}", port(&self.rtcp))];
        let head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"];
        let all = [&head[..], &[&own[0]], lines, &[&own[1]]].concat();
        let answer = to.process_offer(&(all.join("\r\n") + "\r\n")).await.expect("an answer");
        let line = answer.lines().find(|line| line.starts_with("m=")).expect("it has the line");
        self.port = line.split(' ').nth(1).and_then(|port| port.parse().ok()).expect("a port");
        answer
    }

    async fn send(&self, packet: &[u8]) {
        self.rtp.send_to(packet, ("127.0.0.1", self.port)).await.expect("loopback takes it");
    }

    async fn send_rtcp(&self, packet: &[u8]) {
        self.rtcp.send_to(packet, ("127.0.0.1", self.port + 1)).await.expect("loopback takes it");
    }

    /// What comes back, opened by nobody.
    async fn receive(&self) -> Vec<u8> {
        let mut room = vec![0; 2000];
        let received = tokio::time::timeout(PATIENCE, self.rtp.recv(&mut room)).await;
        let length = received.expect("it comes in time").expect("the socket lives");
        room.truncate(length);
        room
    }
}

fn rtp(payload_type: u8, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, payload_type, high, low, 0, 0, 0, low, 0, 0, 0, 9][..], &[payload_type; 20]].concat()
}

/// A report of a source that sends: its own words are of no account here.
fn sender_report() -> Vec<u8> {
    [&[0x80, 200, 0, 6, 0, 0, 0, 9][..], &[0; 20]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_that_is_negotiated_is_forwarded() {
    let house = House::open().await;
    let pipeline = house.workers.engine.pipeline("codecs");
    // Those of RFC 3551 need no line of their own.
    for (number, map) in [
        (3, None),
        (9, None),
        (14, None),
        (96, Some("opus/48000/2")),
        (97, Some("AMR/8000")),
        (98, Some("AMR-WB/16000")),
        (99, Some("SPEEX/16000")),
    ] {
        let (endpoint, mut peer) = (endpoint(&pipeline, None).await, Peer::open().await);
        endpoint.element().connect(endpoint.element(), &Selection::all()).await.expect("one pipeline");
        let map = map.map(|map| format!("a=rtpmap:{number} {map}"));
        let lines: Vec<&str> = map.as_deref().into_iter().collect();
        peer.offer(&endpoint, &format!("audio RTP/AVP {number}"), &lines).await;
        for sequence in 1..4 {
            peer.send(&rtp(number, sequence)).await;
            let back = peer.receive().await;
            assert_eq!((back[1] & 0x7f, &back[12..]), (number, &[number; 20][..]));
        }
    }
    let endpoint = endpoint(&pipeline, None).await;
    let mut peer = Peer::open().await;
    peer.offer(&endpoint, "audio RTP/AVP 18", &[]).await;
    assert_eq!(peer.port, 0, "what cannot be carried is not negotiated");
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_wants_to_receive_at_most_is_told_west_and_not_forgotten() {
    let told = |what: &What| match what {
        What::Other(other) => other.downcast_ref::<Feedback>().and_then(|feedback| match feedback {
            Feedback::Bitrate(bps) => Some(*bps),
            _ => None,
        }),
        _ => None,
    };
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("limits");
    for (proto, remb) in [("RTP/AVP", false), ("RTP/AVPF", true)] {
        let (endpoint, mut peer) = (endpoint(&pipeline, None).await, Peer::open().await);
        let (source, _) = house.probe(&pipeline, "source").await;
        source.connect(endpoint.element(), &Selection::all()).await.expect("one pipeline");
        let lines = ["b=AS:200", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 goog-remb", "a=recvonly"];
        let answer = peer.offer(&endpoint, &format!("video {proto} 96"), &lines).await;
        assert_eq!(house.hear(source.id(), told).await, 200_000, "{proto}");
        if remb {
            let ssrc = answer.lines().find_map(|line| line.strip_prefix("a=ssrc:")).expect("our source");
            let ssrc: u32 = ssrc.split(' ').next().and_then(|ssrc| ssrc.parse().ok()).expect("a number");
            for (bps, wanted) in [(150_000_u32, 200_000), (100_000, 100_000), (5_000_000, 200_000)] {
                // The mantissa counts units of 64 bps.
                let body = (1 << 24 | 6 << 18 | (bps >> 6)).to_be_bytes();
                let remb =
                    [&[0x8f, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0][..], b"REMB", &body, &ssrc.to_be_bytes()].concat();
                peer.send_rtcp(&[&[0x80, 201, 0, 1, 0, 0, 0, 9][..], &remb].concat()).await;
                while endpoint.report().await.expect("alive").outbound[0].remb.abs_diff(bps.into()) > 64 {
                    tokio::task::yield_now().await;
                }
                if wanted != 200_000 || bps > wanted {
                    assert!(house.hear(source.id(), told).await.abs_diff(wanted.into()) < 64, "{bps}");
                }
            }
        } else {
            let playing = tokio::spawn({
                let source = source.clone();
                async move {
                    let mut ticks = tokio::time::interval(Duration::from_millis(20));
                    for sequence in 1.. {
                        ticks.tick().await;
                        source.tell(Tell::Emit(vp8(sequence, true))).await.expect("the worker lives");
                    }
                }
            });
            assert_eq!(house.hear(source.id(), told).await, 200_000, "a second later");
            playing.abort();
        }
    }
    pipeline.release().await;
    house.workers.stop();
}

/// What the peer protects, with four bytes before the tag that name its key.
fn identified(mut sealed: Vec<u8>, tag: usize) -> Vec<u8> {
    let tag = sealed.split_off(sealed.len() - tag);
    [&sealed[..], &[0, 0, 0, 1], &tag].concat()
}

fn crypto(lifetime: Option<u64>) -> Crypto {
    Crypto { tag: 1, suite: SUITE, key: OUR_KEY.to_vec(), lifetime, mki_length: 0 }
}

fn event<T>(pick: impl Fn(&RtpEvent) -> Option<T>) -> impl Fn(&What) -> Option<T> {
    move |what| match what {
        What::Other(other) => other.downcast_ref::<RtpEvent>().and_then(&pick),
        _ => None,
    }
}

fn soft_limit(event: &RtpEvent) -> Option<MediaKind> {
    match event {
        RtpEvent::KeySoftLimit { kind } => Some(*kind),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_told_by_their_identifier_and_their_end_is_told() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("keys");
    let (endpoint, mut peer) = (endpoint(&pipeline, Some(crypto(None))).await, Peer::open().await);
    let of = endpoint.element().id();
    endpoint.element().connect(endpoint.element(), &Selection::all()).await.expect("one pipeline");
    let key = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{}|16|1:4", base64::encode(PEERS_KEY));
    peer.offer(&endpoint, "audio RTP/SAVP 9", &[&key]).await;
    let mut sealer = Sealer::with_master(SUITE, PEERS_KEY).expect("30 bytes");
    let opener = RtpOpener::with_master(SUITE, OUR_KEY, 0).expect("30 bytes");

    let mut packet = rtp(9, 1);
    sealer.seal_rtp(&mut packet, 0, 12, 0);
    peer.send(&identified(packet, SUITE.tag_len())).await;
    let mut room = Vec::new();
    let back = peer.receive().await;
    assert_eq!(
        opener.open(&back, 12, 0, &mut room),
        Some(&[9; 20][..]),
        "forwarded, under our own key and without identifier"
    );

    // SRTCP keeps ten bytes of tag. Each packet counts once, whoever plays it again; at fifteen of sixteen the end is near.
    let mut reports = Vec::new();
    for _ in 0..14 {
        let mut report = sender_report();
        sealer.seal_rtcp(&mut report, 0);
        reports.push(identified(report, 10));
    }
    peer.send_rtcp(&reports[0]).await;
    house.hear(of, event(|event| (*event == RtpEvent::Media { connected: true }).then_some(()))).await;
    for report in [&reports[..], &reports, &reports].concat() {
        peer.send_rtcp(&report).await;
    }
    // The fifteenth, behind all of them on the same socket.
    let mut bye = [0x81, 203, 0, 1, 0, 0, 0, 9].to_vec();
    sealer.seal_rtcp(&mut bye, 0);
    peer.send_rtcp(&identified(bye, 10)).await;
    let gone = event(|event| (*event == RtpEvent::Media { connected: false }).then_some(None));
    let first = house.hear(of, |what| gone(what).or_else(|| event(soft_limit)(what).map(Some))).await;
    assert_eq!(first, None, "what was played again does not count");
    assert_eq!(house.hear(of, event(soft_limit)).await, MediaKind::Audio);
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_our_own_key_is_told_too() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("own");
    let (endpoint, mut peer) = (endpoint(&pipeline, Some(crypto(Some(32)))).await, Peer::open().await);
    endpoint.element().connect(endpoint.element(), &Selection::all()).await.expect("one pipeline");
    let key = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{}", base64::encode(PEERS_KEY));
    peer.offer(&endpoint, "audio RTP/SAVP 9", &[&key]).await;
    let mut sealer = Sealer::with_master(SUITE, PEERS_KEY).expect("30 bytes");
    for sequence in 1..=31 {
        let mut packet = rtp(9, sequence);
        sealer.seal_rtp(&mut packet, 0, 12, 0);
        peer.send(&packet).await;
        peer.receive().await;
    }
    assert_eq!(house.hear(endpoint.element().id(), event(soft_limit)).await, MediaKind::Audio);
    let mut opener = Opener::with_master(SUITE, OUR_KEY, 0).expect("30 bytes");
    let mut room = vec![0; 2000];
    let length = tokio::time::timeout(PATIENCE, peer.rtcp.recv(&mut room)).await.expect("in time").expect("it lives");
    assert!(opener.open_rtcp(&room[..length], &mut Vec::new()).is_some(), "a report of ours, under our key");
    pipeline.release().await;
    house.workers.stop();
}

/// A report of source 9: its wall clock shows so many milliseconds at a time stamp.
fn report_of(ms: u64, timestamp: u32) -> Vec<u8> {
    let ntp = NtpTime(((3_900_000_000 + ms / 1000) << 32) | (((ms % 1000) << 32) / 1000));
    let mut out = Vec::new();
    let info = SenderInfo { ntp, rtp_timestamp: timestamp, ..SenderInfo::default() };
    rtcp::write_sender_report(&mut out, 9, &info, "peer");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn by_its_reports_the_sound_of_a_peer_says_how_much_earlier_it_comes_than_the_pictures() {
    const APART: u16 = 800;
    let house = House::open().await;
    let pipeline = house.workers.engine.pipeline("reports");
    let endpoint = endpoint(&pipeline, None).await;
    let (sink, seen) = house.probe(&pipeline, "sink").await;
    endpoint.element().connect(&sink, &Selection::all()).await.expect("one pipeline");
    let (mut sound, mut pictures) = (Peer::open().await, Peer::open().await);
    let ports = [&sound, &pictures]
        .map(|peer| [&peer.rtp, &peer.rtcp].map(|socket| socket.local_addr().expect("bound").port()));
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    let [[a, a_rtcp], [v, v_rtcp]] = ports;
    let lines = format!(
        "m=audio {a} RTP/AVP 9\r\na=rtcp:{a_rtcp}\r\nm=video {v} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp:{v_rtcp}\r\n"
    );
    let answer = endpoint.process_offer(&format!("{head}{lines}")).await.expect("an answer");
    let mut theirs = answer.lines().filter(|line| line.starts_with("m=")).map(|line| line.split(' ').nth(1));
    for peer in [&mut sound, &mut pictures] {
        peer.port = theirs.next().flatten().and_then(|port| port.parse().ok()).expect("a port");
    }
    let clock = SystemClock::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut told = [0; 2];
    // A busy machine adds to the path of the one or the other, but not of all their packets.
    for sequence in 1_u16.. {
        assert!(clock.now().since(MediaTime::ZERO) < PATIENCE, "{told:?}");
        ticks.tick().await;
        let ms = clock.now().as_nanos() / 1_000_000;
        for (peer, number, hz) in [(&sound, 9, 8_u64), (&pictures, 96, 90)] {
            let (mut packet, stamp) = (rtp(number, sequence), (ms * hz) as u32);
            packet[4..8].copy_from_slice(&stamp.to_be_bytes());
            peer.send(&packet).await;
            if sequence.is_multiple_of(25) {
                // The pictures were made some time before they are sent.
                peer.send_rtcp(&report_of(10_000 + ms - if number == 96 { u64::from(APART) } else { 0 }, stamp)).await;
            }
        }
        for packet in seen.packets() {
            told[usize::from(packet.kind() == MediaKind::Video)] = packet.skew;
        }
        if told[0].abs_diff(APART) <= 20 {
            break;
        }
    }
    assert_eq!(told[1], 0, "the pictures are the latest");
    pipeline.release().await;
    house.workers.stop();
}
