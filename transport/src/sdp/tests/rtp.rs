//! Offers and answers of an RtpEndpoint: handmade ones, and those of a real server where its recordings are at hand.

use std::collections::HashMap;

use super::recordings::{assert_same, folder, recordings};
use super::*;
use crate::srtp::Profile;

const KEY: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ1234";

fn local() -> RtpLocal {
    let codecs = |names: &[&str]| LocalLines::of(names.iter().map(|name| name.parse().expect("a codec")).collect());
    RtpLocal {
        origin_id: 4_000_000_000,
        address: [192, 0, 2, 2].into(),
        lines: AudioVideo {
            audio: codecs(&["opus/48000/2", "PCMU/8000", "PCMA/8000", "AMR/8000"]),
            video: codecs(&["H265/90000", "AV1/90000", "VP9/90000", "VP8/90000", "H264/90000"]),
        },
        cname: "us".to_owned(),
        audio_ssrc: 11,
        video_ssrc: 22,
        crypto: None,
    }
}

fn secured(suite: Profile) -> RtpLocal {
    let key = KEY.iter().chain(KEY).copied().take(suite.key_len() + suite.salt_len()).collect();
    RtpLocal { crypto: Some(Crypto { tag: 1, suite, key, lifetime: None, mki_length: 0 }), ..local() }
}

/// The endpoint of a recording, by its name.
fn endpoint(name: &str) -> RtpLocal {
    let mut local = match name {
        _ if name.contains("without-crypto") && !name.contains("crypto-line") => local(),
        _ if name.contains("256") => secured(Profile::Aes256CmSha1_80),
        _ if name.contains("32") => secured(Profile::Aes128CmSha1_32),
        _ if ["sdes", "with-crypto", "wrong-suite", "crypto80"].iter().any(|part| name.contains(part)) => {
            secured(Profile::Aes128CmSha1_80)
        }
        _ => local(),
    };
    if name.contains("ipv6") {
        local.address = "fd00::2".parse().expect("an address");
    }
    local
}

/// The text without keys, which are random in some recordings.
fn without_keys(text: &str) -> String {
    let cut = |line: &str| line.split_once(" inline:").map_or(line, |(line, _)| line).to_owned() + "\r\n";
    text.lines().map(cut).collect()
}

fn answered(offer: &str, local: &RtpLocal) -> (String, Vec<RtpLine>) {
    let (mut answer, lines) = answer_rtp(&parse(offer).expect("a readable offer"), local);
    lines.iter().for_each(|line| set_ports(&mut answer, line.index, 5000 + 2 * line.index as u16));
    (write(&answer), lines)
}

/// Recordings to which our answer differs on purpose, with the ports of ours: `differences.md` has the reasons.
const DIFFERENT: [(&str, &[u16]); 8] = [
    ("rtp-port0", &[0, 5002]),
    ("rtp-unknown-codec", &[0]),
    ("rtp-savp-offer-endpoint-with-crypto", &[0, 0]),
    ("rtp-savpf-offer-endpoint-with-crypto", &[0, 0]),
    ("rtp-savp-wrong-suite", &[0]),
    ("rtp-sdes-savp-suite-mismatch", &[0, 0]),
    ("rtp-sdes-savp-without-crypto-line", &[0, 0]),
    ("rtp-sdes-savp-two-crypto-lines", &[5000, 5002]),
];

#[test]
fn answers_are_those_of_the_real_server() {
    let answers: HashMap<_, _> = recordings(".answer.sdp").into_iter().collect();
    let mut compared = 0;
    for (name, offer) in recordings(".offer.sdp").into_iter().filter(|(name, _)| name.starts_with("rtp-")) {
        let Some(theirs) = answers.get(&name) else { continue };
        let (ours, _) = answered(&offer, &endpoint(&name));
        let ports: Vec<_> = parse(&ours).expect("our own text").media.iter().map(|media| media.port).collect();
        match DIFFERENT.iter().find(|(other, _)| *other == name) {
            Some((_, expected)) => assert_eq!(ports, *expected, "{name}"),
            None => {
                assert_same(&name, &without_keys(&ours), &without_keys(theirs), true);
                let theirs = parse(theirs).expect("a recording");
                let refused: Vec<_> = theirs.media.iter().map(|media| media.port == 0).collect();
                assert_eq!(ports.iter().map(|port| *port == 0).collect::<Vec<_>>(), refused, "{name}");
            }
        }
        compared += 1;
    }
    assert!(compared >= 25 || folder().is_none(), "only {compared} recordings were found");
}

#[test]
fn offers_are_those_of_the_real_server() {
    let mut compared = 0;
    for (name, theirs) in recordings(".offer.sdp") {
        if !name.starts_with("rtp-gen-") && name != "rtp-sdes-kms-to-kms" {
            continue;
        }
        let mut local = endpoint(&name);
        if name == "rtp-gen-bw" {
            (local.lines.audio.max_recv_kbps, local.lines.video.max_recv_kbps) = (40, 700);
        }
        let options = OfferOptions { video: name != "rtp-gen-audio-only", ..ALL };
        let (mut ours, offered) = offer_rtp(&local, options);
        offered.iter().for_each(|media| set_ports(&mut ours, media.index, 5000));
        assert_same(&name, &without_keys(&write(&ours)), &without_keys(&theirs), true);
        compared += 1;
    }
    assert!(compared >= 7 || folder().is_none(), "only {compared} recordings were found");
}

fn offer_of(lines: &[&str]) -> String {
    let head = ["v=0", "o=- 1 1 IN IP4 198.51.100.1", "s=-", "c=IN IP4 198.51.100.1", "t=0 0"];
    [&head[..], lines].concat().join("\r\n") + "\r\n"
}

#[test]
fn a_plain_answer_line_by_line() {
    let offer = offer_of(&[
        "m=audio 4000 RTP/AVP 0 96 101",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtcp:4711",
        "a=rtcp-mux",
        "m=video 4002 RTP/AVPF 97",
        "a=rtpmap:97 H264/90000",
        "a=fmtp:97 packetization-mode=1",
        "a=rtcp-fb:97 nack",
        "a=rtcp-fb:97 transport-cc",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=direction:active",
        "a=sendonly",
        "m=video 4004 RTP/AVP 97",
        "a=rtpmap:97 VP8/90000",
    ]);
    let (text, lines) = answered(&offer, &local());
    let expected = [
        "v=0",
        "o=- 4000000000 4000000000 IN IP4 192.0.2.2",
        "s=Kurento Media Server",
        "c=IN IP4 192.0.2.2",
        "t=0 0",
        "m=audio 5000 RTP/AVP 0 96",
        "a=sendrecv",
        "a=rtcp:5001",
        "a=rtpmap:96 opus/48000/2",
        "a=ssrc:11 cname:us",
        "m=video 5002 RTP/AVPF 97",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=recvonly",
        "a=rtcp:5003",
        "a=rtpmap:97 H264/90000",
        "a=rtcp-fb:97 nack",
        "a=fmtp:97 packetization-mode=1",
        "a=direction:passive",
        "a=ssrc:22 cname:us",
        "m=video 0 RTP/AVP 97",
        "a=inactive",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(lines.iter().map(|line| (line.index, line.comedia)).collect::<Vec<_>>(), [(0, false), (1, true)]);
    assert_eq!(lines[0].remote.rtcp.as_ref().map(|(port, _)| *port), Some(4711));
}

#[test]
fn of_several_keys_the_one_of_our_suite_is_taken_and_its_tag_echoed() {
    let key = base64::encode(KEY);
    let offer = offer_of(&[
        "m=audio 4000 RTP/SAVP 0",
        &format!("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{key}"),
        &format!("a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4"),
    ]);
    let (text, lines) = answered(&offer, &secured(Profile::Aes128CmSha1_80));
    assert!(text.contains(&format!("a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")), "{text}");
    let theirs = lines[0].remote_crypto.as_ref().expect("a key");
    assert_eq!((theirs.lifetime, theirs.mki_length), (Some(1 << 20), 4));
    let (text, lines) = answered(&offer, &secured(Profile::Aes256CmSha1_80));
    assert!(text.contains("m=audio 0 RTP/SAVP 0\r\na=inactive\r\n") && lines.is_empty(), "{text}");
    let (text, lines) = answered(&offer, &local());
    assert!(text.contains("m=audio 0 ") && lines.is_empty(), "a plain endpoint: {text}");
}

#[test]
fn two_endpoints_of_ours_agree() {
    for (offerer, answerer) in [
        (local(), local()),
        (secured(Profile::Aes128CmSha1_32), secured(Profile::Aes128CmSha1_32)),
        (secured(Profile::Aes256CmSha1_80), secured(Profile::Aes256CmSha1_80)),
    ] {
        let (mut offer, offered) = offer_rtp(&offerer, ALL);
        offered.iter().for_each(|media| set_ports(&mut offer, media.index, 4000 + 2 * media.index as u16));
        let (text, answered) = answered(&write(&offer), &answerer);
        let taken = process_rtp_answer(&offered, &parse(&text).expect("our own text"), &offerer);
        assert_eq!((answered.len(), taken.len()), (2, 2));
        for (theirs, ours) in answered.iter().zip(&taken) {
            assert_eq!(
                (theirs.remote.port, ours.remote.port),
                (4000 + 2 * theirs.index as u16, 5000 + 2 * ours.index as u16)
            );
            assert_eq!(theirs.codecs, ours.codecs);
            assert_eq!(theirs.direction, Direction::SendRecv);
            assert_eq!(theirs.remote_crypto.is_some(), offerer.crypto.is_some());
        }
    }
}

#[test]
fn an_answer_that_refuses_leaves_its_line_out() {
    let (_, offered) = offer_rtp(&local(), ALL);
    let answer =
        offer_of(&["m=audio 0 RTP/AVPF 96", "m=video 4000 RTP/AVPF 108", "a=rtpmap:108 VP8/90000", "a=recvonly"]);
    let lines = process_rtp_answer(&offered, &parse(&answer).expect("an answer"), &local());
    assert_eq!(lines.iter().map(|line| (line.index, line.direction)).collect::<Vec<_>>(), [(1, Direction::SendOnly)]);
}

#[test]
fn a_limit_of_the_whole_session_is_one_of_its_picture() {
    let offer = |session: &str, line: &str| {
        let lines =
            format!("m=audio 6000 RTP/AVP 0\r\nb=AS:64\r\nm=video 6002 RTP/AVP 96\r\n{line}a=rtpmap:96 VP8/90000\r\n");
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n{session}t=0 0\r\n{lines}")
    };
    for (session, line, most) in [
        ("", "b=AS:384\r\n", Some(384_000)),
        ("b=AS:384\r\n", "", Some(320_000)),
        ("b=TIAS:200000\r\n", "b=AS:384\r\n", Some(136_000)),
        ("", "", None),
    ] {
        let (answer, lines) = answered(&offer(session, line), &local());
        assert_eq!(lines[1].remote.bandwidth, most, "{session:?} {line:?}");
        assert!(!answer.contains("\r\nb="), "a limit of the peer's is none of ours: {answer}");
    }
}
