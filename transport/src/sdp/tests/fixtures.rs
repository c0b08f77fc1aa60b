//! Handmade offers and their answers, and the corners that no browser shows.

use super::*;

fn offered(text: &str) -> SessionDescription {
    parse(text).expect("a readable offer")
}

fn negotiate(text: &str, local: &LocalSession) -> Negotiated {
    answer(&offered(text), local).expect("an answer")
}

fn with_data() -> LocalSession {
    LocalSession { use_data_channels: true, ..local_session(4) }
}

#[test]
fn answers_a_chrome_offer() {
    let done = negotiate(fixture!("chrome.offer"), &with_data());
    assert_text(&done.answer, fixture!("chrome.answer"));
    assert_eq!(done.bundle, [0, 1, 2]);
    let video = done.accepted(Kind::Video).expect("video");
    assert_eq!(video.codecs.iter().map(|c| c.pt).collect::<Vec<_>>(), [96, 102, 104, 45, 98]);
    assert_eq!(video.codecs[0].feedback, ["goog-remb", "ccm fir", "nack", "nack pli"]);
    assert!(video.has_feedback("nack pli") && !video.has_feedback("transport-cc"));
    assert_eq!(video.remote.ssrcs, [700200, 700201]);
    assert_eq!(video.remote.rtx, [(700200, 700201)]);
    assert_eq!(video.remote.cname.as_deref(), Some("peer-one"));
    assert_eq!(video.remote.msid.as_deref(), Some("stream-one track-v"));
    assert_eq!(video.remote.ufrag.as_deref(), Some("u1Xa"));
    assert_eq!(video.remote.fingerprint.as_ref().map(|f| f.bytes.len()), Some(32));
    assert_eq!(video.extmaps, [ExtMap { id: 2, direction: None, uri: ABS_SEND_TIME.to_owned() }]);
    assert_eq!((video.local_ssrc, video.dtls_role), (Some(9001), DtlsRole::Active));
    assert_eq!(video.local_ice.as_ref().map(|ice| ice.ufrag.as_str()), Some("ours0"));
    let data = done.accepted(Kind::Application).expect("data");
    assert_eq!((data.sctp_port, data.max_message_size), (Some(5000), Some(262144)));
    assert_eq!(data.local_ssrc, None);
}

#[test]
fn answers_a_firefox_offer() {
    let done = negotiate(fixture!("firefox.offer"), &with_data());
    assert_text(&done.answer, fixture!("firefox.answer"));
    let audio = done.accepted(Kind::Audio).expect("audio");
    assert_eq!(audio.remote.fingerprint.as_ref().map(|f| f.algorithm.as_str()), Some("sha-256"));
    assert!(audio.extmaps.is_empty());
    assert_eq!(audio.codecs[0].fmtp.as_deref(), Some("maxplaybackrate=48000;stereo=1;useinbandfec=1"));
}

#[test]
fn answers_a_safari_offer_with_and_without_h265() {
    let done = negotiate(fixture!("safari.offer"), &local_session(2));
    assert_text(&done.answer, fixture!("safari.answer"));
    let mut local = local_session(2);
    local.lines.video.codecs.insert(0, LocalCodec::new("H265", 90000, None));
    let video = &negotiate(fixture!("safari.offer"), &local).media[1];
    assert_eq!(video.codecs.iter().map(|c| c.pt).collect::<Vec<_>>(), [96, 98, 100, 102, 125]);
}

#[test]
fn a_bundle_only_line_takes_its_transport_from_the_group() {
    let offer = offered(fixture!("chrome-simulcast-max-bundle.offer"));
    let done = answer(&offer, &local_session(2)).expect("an answer");
    assert_text(&done.answer, fixture!("chrome-simulcast-max-bundle.answer"));
    let video = done.accepted(Kind::Video).expect("video");
    assert_eq!(video.remote.ufrag.as_deref(), Some("u2Xb"));
    assert_eq!(video.remote.setup, Some(Setup::ActPass));
    assert!(video.remote.rtcp_mux);
    assert_eq!(video.direction, Direction::RecvOnly);
    assert_eq!(offer.media[1].rids().map(|rid| rid.id).collect::<Vec<_>>(), ["q", "h", "f"]);
    assert_eq!(offer.media[1].simulcast().map(|s| s.send.len()), Some(3));
}

#[test]
fn plain_rtp_is_refused_and_no_error() {
    let done = negotiate(fixture!("plain-rtp.offer"), &local_session(1));
    assert_text(&done.answer, fixture!("plain-rtp.answer"));
    assert!(!done.media[0].accepted);
    assert_eq!(done.media[0].remote.bandwidth, Some(384_000));
    assert_eq!(done.media[0].remote.connection.as_ref().map(|c| c.address.as_str()), Some("192.0.2.40"));
    // The same without any credentials at hand: a line that is refused outright needs none.
    assert_eq!(answer(&offered(fixture!("plain-rtp.offer")), &local_session(0)).map(|n| n.bundle), Ok(vec![]));
}

#[test]
fn the_smallest_offer_has_the_smallest_answer() {
    let done = negotiate("v=0\r\n", &local_session(0));
    let expected = "v=0\r\no=- 4000000000 4000000000 IN IP4 0.0.0.0\r\ns=Kurento Media Server\r\n\
                    c=IN IP4 0.0.0.0\r\nt=0 0\r\n";
    assert_eq!(write(&done.answer), expected);
}

#[test]
fn what_is_no_description_fails_by_kind() {
    assert_eq!(parse(""), Err(SdpError::Empty));
    assert_eq!(parse("5"), Err(SdpError::Invalid));
    assert_eq!(parse("o=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"), Err(SdpError::Invalid));
    for (line, bad) in
        [(2, "m="), (2, "m=audio"), (2, "m=audio x RTP/AVP"), (2, "m=audio 70000 RTP/AVP 0"), (2, "m=a 1")]
    {
        let failed = parse(&format!("v=0\n{bad}\n")).expect_err(bad);
        assert!(matches!(failed, SdpError::Parse { line: l, .. } if l == line), "{bad}: {failed}");
    }
    assert!(matches!(parse("v=0\na=x\0y\n"), Err(SdpError::Parse { line: 2, .. })));
}

#[test]
fn input_is_bounded() {
    let is_refused = |text: String| matches!(parse(&text), Err(SdpError::Parse { .. }));
    let many = |line: &str, times: usize| format!("v=0\n{}", line.repeat(times));
    assert!(is_refused(many("a=x\n", MAX_LINES_PER_SECTION)));
    assert!(!is_refused(many("a=x\n", MAX_LINES_PER_SECTION - 1)));
    assert!(is_refused(many("m=audio 9 RTP/AVP 0\n", MAX_MEDIA + 1)));
    assert!(!is_refused(many("m=audio 9 RTP/AVP 0\n", MAX_MEDIA)));
    assert!(is_refused(many("x", MAX_TEXT_BYTES)));
}

#[test]
fn line_ends_do_not_matter_and_never_enter_a_value() {
    let text = fixture!("chrome.offer");
    let model = offered(text);
    assert_eq!(offered(&text.replace("\r\n", "\n")), model);
    assert_eq!(offered(&text.replace("\r\n", "\r")), model);
    assert_eq!(offered(text.trim_end()), model);
    assert_eq!(offered(&text.replace("\r\n", "\r\n\r\n  ")), model);
}

#[test]
fn lines_that_are_not_bundled_have_their_own_credentials() {
    let text = fixture!("chrome.offer").replace("a=group:BUNDLE 0 1 2\r\n", "");
    let done = negotiate(&text, &with_data());
    assert!(done.bundle.is_empty() && done.answer.bundle().is_none());
    let ufrags: Vec<_> = done.answer.media.iter().filter_map(|m| m.attribute("ice-ufrag")).collect();
    assert_eq!(ufrags, ["ours0", "ours1", "ours2"]);
    let failed = answer(&offered(&text), &LocalSession { use_data_channels: true, ..local_session(2) });
    assert_eq!(failed, Err(SdpError::MissingLocalMedia { index: 2 }));
}

#[test]
fn refused_and_disabled_lines_leave_the_group_and_use_nothing_up() {
    let (head, media) = fixture!("chrome.offer").split_once("m=video").expect("a video line");
    let video = format!("m=video{}", media.split("m=application").next().expect("a section"));
    let stopped = video.replacen("m=video 9", "m=video 0", 1).replace("a=mid:1", "a=mid:9");
    let text = format!("{head}{stopped}{video}{}", video.replace("a=mid:1", "a=mid:2"));
    let done = negotiate(&text.replace("BUNDLE 0 1 2", "BUNDLE 0 9 1 2"), &local_session(4));
    assert_eq!(done.media.iter().map(|m| m.accepted).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(done.bundle, [0, 2]);
    assert_eq!(done.answer.attribute("group"), Some("BUNDLE 0 1"));
    assert_eq!(done.answer.media.iter().map(|m| m.port).collect::<Vec<_>>(), [1, 0, 1, 0]);
    assert!(done.media[1].local_ice.is_some() && done.media[3].local_ice.is_none());
    let mut without_video = local_session(4);
    without_video.lines.video.most = 0;
    assert!(negotiate(&text, &without_video).accepted(Kind::Video).is_none());
}

#[test]
fn what_would_be_false_of_us_is_not_copied() {
    let text = "v=0\r\na=ice-lite\r\na=end-of-candidates\r\na=identity:abc\r\na=sendonly\r\na=setup:active\r\n\
                a=tool:x\r\nm=audio 9 RTP/SAVPF 0\r\na=mid:a\r\na=rtcp-mux\r\n";
    let done = negotiate(text, &local_session(1));
    assert_eq!(done.answer.attributes, [Attribute::value("tool", "x")]);
    let audio = &done.media[0];
    assert!(audio.remote.ice_lite && audio.remote.end_of_candidates);
    assert_eq!((audio.direction, audio.dtls_role), (Direction::RecvOnly, DtlsRole::Passive));
    assert_eq!(done.answer.media[0].attribute("setup"), Some("passive"));
}

#[test]
fn a_line_without_mid_gets_a_name_that_is_not_written() {
    let text = "v=0\r\nm=audio 9 RTP/SAVPF 0\r\nm=video 9 RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=mid:audio0\r\n";
    let done = negotiate(text, &local_session(2));
    assert_eq!(done.media[0].mid, "audio0_");
    assert_eq!(done.answer.media[0].mid(), None);
}

#[test]
fn savp_has_no_feedback() {
    let text = fixture!("chrome.offer").replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP");
    let done = negotiate(&text, &local_session(3));
    let video = done.accepted(Kind::Video).expect("video");
    assert!(video.codecs.iter().all(|codec| codec.feedback.is_empty()));
    assert!(!done.answer.media[1].has_attribute("rtcp-fb"));
}

#[test]
fn data_channels_need_a_port() {
    let text = fixture!("chrome.offer").replace("a=sctp-port:5000\r\n", "");
    assert_eq!(answer(&offered(&text), &with_data()), Err(SdpError::MissingSctpPort { index: 2 }));
    assert!(answer(&offered(&text), &local_session(3)).is_ok());
}

#[test]
fn two_of_us_agree() {
    let (sent, kept) = offer(&with_data(), ALL).expect("an offer");
    let mut other = LocalSession { use_data_channels: true, ..local_session(3) };
    other.media.iter_mut().for_each(|media| media.ssrc += 100);
    let theirs = answer(&offered(&write(&sent)), &other).expect("an answer");
    let ours = process_answer(&kept, &offered(&write(&theirs.answer))).expect("facts");
    assert_eq!((&ours.bundle, &theirs.bundle), (&vec![0, 1, 2], &vec![0, 1, 2]));
    for (a, b) in ours.media.iter().zip(&theirs.media) {
        assert!(a.accepted && b.accepted);
        assert_eq!(a.codecs, b.codecs);
        assert_eq!((&a.mid, a.sctp_port, &a.extmaps), (&b.mid, b.sctp_port, &b.extmaps));
        assert_eq!((a.dtls_role, b.dtls_role), (DtlsRole::Passive, DtlsRole::Active));
        assert_eq!(a.remote.ssrcs, b.local_ssrc.into_iter().collect::<Vec<_>>());
    }
    assert!(ours.media[1].has_feedback("goog-remb"));
}

#[test]
fn an_answer_may_take_less() {
    let (_, kept) = offer(&with_data(), ALL).expect("an offer");
    let empty = process_answer(&kept, &offered("v=0\r\n")).expect("facts");
    assert!(empty.media.iter().all(|media| !media.accepted));
    let text = "v=0\r\na=group:BUNDLE audio0 video0\r\nm=audio 9 RTP/SAVPF 0 96\r\na=mid:audio0\r\na=sendonly\r\n\
                a=rtpmap:96 opus/48000/2\r\na=setup:passive\r\na=ice-ufrag:abcd\r\na=rtcp-mux\r\n\
                m=video 9 RTP/SAVPF 104\r\na=mid:video0\r\na=rtpmap:104 VP8/90000\r\na=rtcp-fb:104 nack pli\r\n\
                a=rtcp-fb:104 nack rpsi\r\n\
                m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n";
    let done = process_answer(&kept, &offered(text)).expect("facts");
    let [audio, video, data] = done.media.as_slice() else { panic!("three lines") };
    assert_eq!(audio.codecs.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["PCMU", "opus"]);
    assert_eq!((audio.direction, audio.dtls_role), (Direction::RecvOnly, DtlsRole::Active));
    assert_eq!(video.codecs[0].feedback, ["nack pli"]);
    assert_eq!(video.remote.ufrag.as_deref(), Some("abcd"));
    assert!(!data.accepted);
    assert_eq!(done.bundle, [0, 1]);
}

#[test]
fn an_offer_has_only_what_is_asked_and_possible() {
    let kinds = |local: &LocalSession, options| -> Vec<_> {
        let (description, _) = offer(local, options).expect("an offer");
        description.media.into_iter().map(|media| media.kind).collect()
    };
    assert_eq!(kinds(&local_session(3), ALL), ["audio", "video"]);
    assert_eq!(kinds(&with_data(), OfferOptions { video: false, ..ALL }), ["audio", "application"]);
    let mut without_audio = with_data();
    without_audio.lines.audio.most = 0;
    assert_eq!(kinds(&without_audio, ALL), ["video", "application"]);
    assert_eq!(offer(&local_session(1), ALL).map(|_| ()), Err(SdpError::MissingLocalMedia { index: 1 }));
}

#[test]
fn gathering_fills_in_the_default_candidate() {
    let done = negotiate(fixture!("chrome.offer"), &local_session(3));
    let read = |line: &str| line.parse::<Candidate>().expect("a candidate");
    let candidates = vec![
        read("1 1 TCP 1015021823 192.0.2.2 9 typ host tcptype active"),
        read("2 1 TCP 1010827519 192.0.2.2 8850 typ host tcptype passive"),
        read("3 1 UDP 2015363583 2001:db8::2 16293 typ host"),
        read("4 1 UDP 2015363327 192.0.2.2 6340 typ host"),
        read("4 2 UDP 2015363326 192.0.2.2 6341 typ host"),
    ];
    let text = write(&describe_gathered(&done.answer, &vec![candidates.clone(); 3]));
    let shown = offered(&text);
    assert_eq!(shown.connection, None);
    assert_eq!(shown.media.iter().map(|m| m.port).collect::<Vec<_>>(), [6340, 6340, 0]);
    assert_eq!(shown.media[0].attribute("rtcp"), Some("6340 IN IP4 192.0.2.2"));
    assert!(text.ends_with("c=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:2\r\n"), "{text}");
    assert!(text.contains("\r\na=candidate:4 1 UDP 2015363327 192.0.2.2 6340 typ host\r\n"));
    assert_eq!(shown.media[1].candidates().collect::<Vec<_>>(), candidates);
    assert_eq!(describe_gathered(&done.answer, &[]), done.answer);
}
