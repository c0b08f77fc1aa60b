//! Offers of every shape and what must be in the answers: kinds of lines, transports, codecs, and the modern additions
//! with the switch on and off. Offers and answers are of our own making.

use super::*;
use std::sync::{Arc, Mutex};

fn offered(text: &str) -> SessionDescription {
    parse(text).expect("a readable offer")
}

fn negotiate(text: &str, local: &LocalSession) -> Negotiated {
    answer(&offered(text), local).expect("an answer")
}

fn modern(lines: usize) -> LocalSession {
    LocalSession { modern: Modern::ALL, use_data_channels: true, ..local_session(lines) }
}

fn pts(media: &NegotiatedMedia) -> Vec<(u8, Option<u8>)> {
    media.codecs.iter().map(|codec| (codec.pt, codec.rtx)).collect()
}

const BROWSERS: [(&str, &str); 5] = [
    ("chrome", fixture!("chrome.offer")),
    ("chrome-simulcast", fixture!("chrome-simulcast-max-bundle.offer")),
    ("firefox", fixture!("firefox.offer")),
    ("safari", fixture!("safari.offer")),
    ("h264", fixture!("h264-profiles.offer")),
];

#[test]
fn lines_of_all_sorts_each_meet_their_end() {
    let local = LocalSession { use_data_channels: true, ..local_session(8) };
    let done = negotiate(fixture!("lines-of-all-sorts.offer"), &local);
    assert_text(&done.answer, fixture!("lines-of-all-sorts.answer"));
    let accepted: Vec<_> = done.media.iter().filter(|m| m.accepted).map(|m| m.index).collect();
    assert_eq!(accepted, [0, 3, 7], "the first usable line of each kind");
    assert!(done.bundle.is_empty() && done.answer.bundle().is_none());
    // Without tags and sources, payload types are all that tells packets apart; each line has a transport of its own.
    for index in accepted {
        let media = &done.media[index];
        let ufrag = format!("ours{index}");
        assert_eq!(media.local_ice.as_ref().map(|ice| &ice.ufrag), Some(&ufrag));
        assert!(media.remote.ssrcs.is_empty() && done.answer.media[index].mid().is_none());
        assert_eq!(media.remote.ufrag.as_deref().map(str::len), Some(4));
    }
    assert_eq!(pts(&done.media[0]), [(111, None), (0, None)]);
    assert_eq!((pts(&done.media[3]), done.media[3].direction), (vec![(96, None)], Direction::RecvOnly));
    let ports: Vec<_> = done.answer.media.iter().map(|m| m.port).collect();
    assert_eq!(ports, [1, 0, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn one_kind_alone() {
    let (head, rest) = fixture!("chrome.offer").split_once("m=audio").expect("an audio line");
    let (audio, rest) = rest.split_once("m=video").expect("a video line");
    let (video, _) = rest.split_once("m=application").expect("a data line");
    let head = |mid: &str| head.replace("BUNDLE 0 1 2", &format!("BUNDLE {mid}"));
    for (kind, mid, text) in [
        (Kind::Audio, "0", format!("{}m=audio{audio}", head("0"))),
        (Kind::Video, "1", format!("{}m=video{video}", head("1"))),
        (Kind::Application, "0", fixture!("data-only.offer").to_owned()),
    ] {
        let done = negotiate(&text, &LocalSession { use_data_channels: true, ..local_session(1) });
        assert_eq!((done.media.len(), done.bundle.as_slice()), (1, &[0][..]), "{kind:?}");
        assert_eq!(done.accepted(kind).map(|m| m.mid.as_str()), Some(mid));
        assert_eq!(done.answer.attribute("group"), Some(format!("BUNDLE {mid}").as_str()));
        assert_eq!(done.media[0].local_ssrc.is_some(), kind != Kind::Application);
    }
    // An endpoint without data channels refuses the line, and the group is empty.
    let done = negotiate(fixture!("data-only.offer"), &local_session(1));
    assert_eq!((done.answer.media[0].port, done.answer.attribute("group")), (0, Some("BUNDLE")));
}

#[test]
fn every_h264_profile_is_taken_as_offered() {
    let done = negotiate(fixture!("h264-profiles.offer"), &local_session(1));
    assert_text(&done.answer, fixture!("h264-profiles.answer"));
    let video = done.accepted(Kind::Video).expect("video");
    assert_eq!(video.codecs.iter().map(|c| c.pt).collect::<Vec<_>>(), [102, 104, 106, 108, 39, 112, 114]);
    assert!(video.codecs.iter().all(|codec| codec.rtx.is_none() && codec.name == "H264"));
    assert_eq!(video.codecs[2].fmtp.as_deref().map(|f| f.ends_with("profile-level-id=42e01f")), Some(true));
    assert_eq!((video.direction, video.remote.ssrcs.as_slice()), (Direction::SendOnly, &[][..]));
}

#[test]
fn only_redundancy_is_no_codec() {
    let text = fixture!("h264-profiles.offer").replace("H264/90000", "H261/90001");
    for local in [local_session(1), modern(1)] {
        let done = negotiate(&text, &local);
        assert!(done.accepted(Kind::Video).is_none());
        let line = &done.answer.media[0];
        assert_eq!((line.port, line.formats.as_slice()), (0, &["102".to_owned()][..]));
        assert!(!line.has_attribute("rtpmap"), "RED, FEC and RTX alone carry nothing");
    }
}

#[test]
fn with_the_switch_off_nothing_modern_is_answered() {
    for (name, text) in BROWSERS {
        let done = negotiate(text, &LocalSession { use_data_channels: true, ..local_session(3) });
        let answer = write(&done.answer);
        let words =
            ["rtx/", "apt=", "transport-cc", TRANSPORT_CC, MID, "a=msid:", "ssrc-group", "a=rid", "a=simulcast"];
        for word in words.into_iter().chain(["a=max-message-size"]) {
            assert!(!answer.contains(word), "{name}: {word}");
        }
        for media in &done.media {
            assert!(media.local_rtx_ssrc.is_none() && media.codecs.iter().all(|codec| codec.rtx.is_none()), "{name}");
            assert_eq!((media.extension(TRANSPORT_CC), media.extension(MID)), (None, None), "{name}");
        }
    }
}

#[test]
fn the_message_size_is_said_to_whoever_says_his_and_in_our_offers() {
    let said = "a=max-message-size:262144\r\n";
    let text = fixture!("data-only.offer");
    let answers = |text: &str, local: &LocalSession| write(&negotiate(text, local).answer).contains(said);
    let local = LocalSession { use_data_channels: true, ..local_session(3) };
    assert!(answers(text, &modern(3)) && !answers(text, &local));
    let silent: String = text.split_inclusive('\n').filter(|line| !line.starts_with("a=max-message-size")).collect();
    assert!(silent.len() < text.len() && !answers(&silent, &modern(3)));
    let offers = |local: &LocalSession| write(&offer(local, ALL).expect("an offer").0).contains(said);
    assert!(offers(&modern(3)) && !offers(&local));
    assert!(!offers(&LocalSession { use_data_channels: false, ..modern(3) }));
}

#[test]
fn a_chrome_offer_with_the_switch_on() {
    let done = negotiate(fixture!("chrome.offer"), &modern(3));
    assert_text(&done.answer, fixture!("chrome-modern.answer"));
    let [audio, video, data] = done.media.as_slice() else { panic!("three lines") };
    assert_eq!(pts(video), [(96, Some(97)), (102, Some(103)), (104, Some(105)), (45, Some(46)), (98, Some(99))]);
    assert!(pts(audio).iter().all(|(_, rtx)| rtx.is_none()), "sound is not retransmitted on a source of its own");
    assert_eq!((video.local_ssrc, video.local_rtx_ssrc), (Some(9001), Some(9101)));
    assert_eq!((audio.local_rtx_ssrc, data.local_rtx_ssrc), (None, None));
    assert_eq!(video.remote.rtx, [(700200, 700201)]);
    for media in [audio, video] {
        assert_eq!((media.extension(TRANSPORT_CC), media.extension(MID)), (Some(3), Some(4)));
        assert_eq!(media.extension(ABS_SEND_TIME), Some(2));
        assert!(media.has_feedback("transport-cc"));
    }
    let line = &done.answer.media[1];
    assert_eq!(line.ssrc_groups().map(|g| g.ssrcs).collect::<Vec<_>>(), [vec![9001, 9101]]);
    assert_eq!(line.ssrcs().map(|s| (s.ssrc, s.value)).collect::<Vec<_>>(), [(9001, "us"), (9101, "us")]);
    assert_eq!(line.fmtp(97), Some("apt=96"));
}

#[test]
fn firefox_and_safari_offers_with_the_switch_on() {
    let done = negotiate(fixture!("firefox.offer"), &modern(3));
    assert_text(&done.answer, fixture!("firefox-modern.answer"));
    let audio = &done.media[0];
    assert_eq!(
        (audio.extension(TRANSPORT_CC), audio.has_feedback("transport-cc")),
        (None, false),
        "video alone has it"
    );
    let done = negotiate(fixture!("safari.offer"), &modern(2));
    assert_text(&done.answer, fixture!("safari-modern.answer"));
    let video = done.accepted(Kind::Video).expect("video");
    assert_eq!(pts(video), [(96, Some(97)), (98, Some(99)), (102, Some(103)), (125, Some(104))], "not that of H.265");
}

#[test]
fn what_only_receives_sends_nothing_again() {
    let done = negotiate(fixture!("chrome-simulcast-max-bundle.offer"), &modern(2));
    let video = done.accepted(Kind::Video).expect("video");
    assert_eq!((pts(video), video.local_rtx_ssrc), (vec![(96, Some(97))], None));
    let line = &done.answer.media[1];
    assert!(!line.has_attribute("ssrc-group") && !line.has_attribute("msid"));
    assert!(!line.has_attribute("rid") && !line.has_attribute("simulcast"), "one layer is asked for");
    // A peer that only receives names no stream itself, but says that it knows names.
    let done = negotiate(fixture!("h264-profiles.offer"), &modern(1));
    assert_eq!(done.answer.media[0].attribute("msid"), Some("us video"));
    assert_eq!(done.media[0].local_rtx_ssrc, Some(9100));
    let directions = |done: &Negotiated| -> Vec<_> {
        done.answer.media[0].extmaps().map(|extmap| (extmap.id, extmap.direction)).collect()
    };
    assert_eq!(directions(&done), [(2, None), (4, None)], "nor does it number anything for the whole transport");
    let both = fixture!("h264-profiles.offer").replace("a=recvonly\r\n", "a=sendrecv\r\n");
    let done = negotiate(&both, &modern(1));
    assert_eq!(directions(&done), [(2, None), (3, Some(Direction::SendOnly)), (4, None)]);
}

#[test]
fn each_addition_has_its_own_switch() {
    let answer_with = |modern: Modern| {
        write(&negotiate(fixture!("chrome.offer"), &LocalSession { modern, ..local_session(3) }).answer)
    };
    let words = ["rtx/90000", "transport-cc", MID, "a=msid:"];
    let none = Modern::default();
    for (index, modern) in [
        Modern { rtx: true, ..none },
        Modern { transport_cc: true, ..none },
        Modern { mid: true, ..none },
        Modern { msid: true, ..none },
    ]
    .into_iter()
    .enumerate()
    {
        let text = answer_with(modern);
        let found: Vec<_> = words.iter().map(|word| text.contains(word)).collect();
        assert_eq!(found, (0..4).map(|n| n == index).collect::<Vec<_>>(), "{modern:?}");
    }
}

#[test]
fn additions_need_both_of_their_halves() {
    let base = fixture!("chrome.offer");
    let is_taken = |text: &str| {
        let done = negotiate(text, &modern(3));
        let video = done.accepted(Kind::Video).expect("video");
        let feedback = video.codecs.iter().any(|codec| codec.feedback.iter().any(|f| f == "transport-cc"));
        let written = write(&done.answer);
        assert_eq!(written.contains("transport-cc\r\n"), feedback);
        (video.extension(TRANSPORT_CC).is_some(), feedback)
    };
    assert_eq!(is_taken(base), (true, true));
    assert_eq!(is_taken(&base.replace(TRANSPORT_CC, "urn:x")), (false, false), "feedback without numbers");
    let pts = [96, 97, 102, 103, 104, 105, 45, 46, 98, 99, 111];
    let silent = pts.iter().fold(base.to_owned(), |t, pt| t.replace(&format!("a=rtcp-fb:{pt} transport-cc\r\n"), ""));
    assert_eq!(is_taken(&silent), (false, false), "numbers without feedback");
    // One line for all payload types counts for each of them, and is answered as it was written.
    let for_all = silent.replace("a=rtpmap:96 VP8/90000\r\n", "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:* transport-cc\r\n");
    let done = negotiate(&for_all, &modern(3));
    let video = done.accepted(Kind::Video).expect("video");
    assert!(video.codecs.iter().all(|codec| codec.feedback.iter().any(|f| f == "transport-cc")));
    let written: Vec<_> = done.answer.media[1].feedbacks().filter(|f| f.feedback == "transport-cc").collect();
    assert_eq!(written, [RtcpFeedback { pt: None, feedback: "transport-cc" }]);
    // Retransmission answers nack: without it, and without the codec or the format, there is nothing to repair.
    let rtx = |text: &str| {
        pts_of(&negotiate(text, &modern(3))).into_iter().find(|(pt, _)| *pt == 96).and_then(|(_, rtx)| rtx)
    };
    assert_eq!(rtx(base), Some(97));
    assert_eq!(rtx(&base.replace("a=rtcp-fb:96 nack\r\n", "")), None);
    assert_eq!(rtx(&base.replace("SAVPF 96 97", "SAVPF 96")), None);
    assert_eq!(rtx(&base.replace("97 rtx/90000", "97 rtx/48000")), None);
    assert_eq!(rtx(&base.replace("97 apt=96", "97 rtx-time=3000; apt=96")), Some(97));
    assert_eq!(rtx(&base.replace("97 apt=96", "97 apt=x")), None);
}

fn pts_of(done: &Negotiated) -> Vec<(u8, Option<u8>)> {
    done.accepted(Kind::Video).map(pts).unwrap_or_default()
}

#[test]
fn names_of_streams_are_tokens() {
    let local = LocalSession { cname: format!("user@host/{}", "x".repeat(80)), ..modern(3) };
    let done = negotiate(fixture!("chrome.offer"), &local);
    let msids: Vec<_> = done.answer.media.iter().filter_map(|media| media.attribute("msid")).collect();
    let stream = format!("user-host-{}", "x".repeat(54));
    assert_eq!(msids, [format!("{stream} audio"), format!("{stream} video")]);
    assert_eq!(done.answer.media[0].ssrcs().next().map(|s| s.value.len()), Some(90), "the cname itself is kept");
}

/// What is logged while `run` runs: the level and the fields of each event, as text.
fn logged(run: impl FnOnce()) -> Vec<String> {
    #[derive(Default)]
    struct Log(Arc<Mutex<Vec<String>>>);
    struct Text(String);
    impl tracing::field::Visit for Text {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!(" {field}={value:?}"));
        }
    }
    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            self.0.lock().expect("no panic while it is held").push(text.0);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(Log(lines.clone()), run);
    lines.lock().expect("no panic while it is held").clone()
}

#[test]
fn a_line_without_rtcp_mux_gets_port_0_and_a_log_line() {
    let text = fixture!("chrome.offer");
    assert_eq!(logged(|| drop(negotiate(text, &modern(3)))), Vec::<String>::new());
    let without = text.replacen("a=rtcp-mux\r\n", "", 1);
    let mut done = None;
    let lines = logged(|| done = Some(negotiate(&without, &modern(3))));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("WARN") && lines[0].contains("line=0") && lines[0].contains("rtcp-mux"), "{lines:?}");
    let done = done.expect("an answer");
    assert_eq!(done.answer.media.iter().map(|m| m.port).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(done.bundle, [1, 2]);
    assert_eq!(done.answer.attribute("group"), Some("BUNDLE 1 2"));
    let refused = &done.answer.media[0];
    assert_eq!(refused.formats, offered(text).media[0].formats);
    assert_eq!(refused.attributes, [Attribute::flag("inactive"), Attribute::value("mid", "0")]);
    // The lines that are left still share the transport of the group, which is that of the refused line.
    assert_eq!(done.media[1].local_ice.as_ref().map(|ice| ice.ufrag.as_str()), Some("ours0"));
    // A refused line does not use up its kind: a second one with rtcp-mux is served.
    let (_, audio) = text.split_once("m=audio").expect("an audio line");
    let (audio, _) = audio.split_once("m=video").expect("a video line");
    let again = format!("{without}m=audio{}", audio.replace("a=mid:0", "a=mid:3"));
    let again = negotiate(&again, &modern(4));
    assert_eq!(again.accepted(Kind::Audio).map(|media| media.index), Some(3));
}
