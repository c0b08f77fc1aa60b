//! Laws: what is written reads back, and nothing that a peer can send makes us panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const WORD: &str = "[a-zA-Z0-9/.*_-]{1,12}";
/// A value may hold anything but line ends and NUL.
const VALUE: &str = "[^\r\n\0]{0,40}";

fn connections() -> impl Strategy<Value = Connection> {
    (WORD, WORD, WORD).prop_map(|(net_type, addr_type, address)| Connection { net_type, addr_type, address })
}

fn origins() -> impl Strategy<Value = Origin> {
    (WORD, WORD, WORD, connections()).prop_map(|(username, session_id, session_version, c)| Origin {
        username,
        session_id,
        session_version,
        net_type: c.net_type,
        addr_type: c.addr_type,
        address: c.address,
    })
}

fn bandwidths() -> impl Strategy<Value = Vec<Bandwidth>> {
    vec((WORD, any::<u64>()).prop_map(|(kind, value)| Bandwidth { kind, value }), 0..3)
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let any_line = ("[^\r\n\0:]{0,12}", option::of(VALUE)).prop_map(|(key, value)| Attribute { key, value });
    vec(prop_oneof![any_line, telling_attributes()], 0..12)
}

/// Attributes that the negotiation reads, with values that are often almost right.
fn telling_attributes() -> impl Strategy<Value = Attribute> {
    let keys = prop_oneof![
        Just("rtpmap"),
        Just("fmtp"),
        Just("rtcp-fb"),
        Just("extmap"),
        Just("mid"),
        Just("setup"),
        Just("group"),
        Just("ssrc"),
        Just("ssrc-group"),
        Just("candidate"),
        Just("sctp-port"),
        Just("fingerprint"),
        Just("rtcp"),
        Just("rtcp-mux"),
        Just("bundle-only"),
        Just("sendonly"),
        Just("direction"),
        Just("rid"),
        Just("simulcast"),
    ];
    let values = prop_oneof![
        Just("96 VP8/90000".to_owned()),
        Just("96 nack pli".to_owned()),
        Just("BUNDLE a b".to_owned()),
        Just("a".to_owned()),
        Just("active".to_owned()),
        Just(format!("3 {ABS_SEND_TIME}")),
        Just("FID 1 2".to_owned()),
        Just("1 cname:x".to_owned()),
        Just("sha-256 AA:BB".to_owned()),
        Just("5000".to_owned()),
        "[0-9]{1,4} [a-z]{1,5}[/:]?[0-9]{0,6}",
        VALUE,
    ];
    (keys, values).prop_map(|(key, value)| Attribute::value(key, value))
}

fn media() -> impl Strategy<Value = Media> {
    let kind = prop_oneof![Just("audio".to_owned()), Just("video".to_owned()), Just("application".to_owned()), WORD];
    let proto = prop_oneof![Just("UDP/TLS/RTP/SAVPF".to_owned()), Just("UDP/DTLS/SCTP".to_owned()), WORD];
    let formats = vec(prop_oneof![Just("96".to_owned()), Just("0".to_owned()), WORD], 0..5);
    let head = (kind, prop_oneof![Just(9u16), any::<u16>()], proto, formats);
    (head, option::of(connections()), bandwidths(), attributes()).prop_map(
        |((kind, port, proto, formats), connection, bandwidths, attributes)| Media {
            kind,
            port,
            proto,
            formats,
            connection,
            bandwidths,
            attributes,
        },
    )
}

fn sessions() -> impl Strategy<Value = SessionDescription> {
    let head = (option::of(origins()), "[^\r\n\0]{1,20}", option::of(connections()), bandwidths());
    (head, "[0-9]{1,10} [0-9]{1,10}", attributes(), vec(media(), 0..5)).prop_map(
        |((origin, name, connection, bandwidth), timing, attributes, media)| SessionDescription {
            origin,
            name,
            connection,
            bandwidth,
            timing,
            attributes,
            media,
        },
    )
}

fn locals() -> impl Strategy<Value = LocalSession> {
    (any::<bool>(), 0usize..2, 0usize..2).prop_map(|(use_data_channels, audio, video)| {
        let mut local = LocalSession { use_data_channels, ..local_session(5) };
        (local.lines.audio.most, local.lines.video.most) = (audio, video);
        local
    })
}

/// What must hold of every answer: it reads back, has a line for each offered one, and says what the facts say.
fn check_answer(offer: &SessionDescription, local: &LocalSession) -> Result<(), TestCaseError> {
    let done = match answer(offer, local) {
        Ok(done) => done,
        Err(SdpError::MissingSctpPort { .. }) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    prop_assert_eq!(&parse(&write(&done.answer)), &Ok(done.answer.clone()));
    prop_assert_eq!(done.answer.media.len(), offer.media.len());
    for (line, facts) in done.answer.media.iter().zip(&done.media) {
        prop_assert_eq!(line.port != 0, facts.accepted);
        if facts.accepted && facts.kind != Kind::Application {
            prop_assert!(!facts.codecs.is_empty());
            prop_assert_eq!(line.direction(), Some(facts.direction));
        }
    }
    prop_assert!(done.bundle.iter().all(|index| done.media[*index].accepted));
    let accepted = |kind| done.media.iter().filter(|m| m.accepted && m.kind == kind).count();
    prop_assert!(accepted(Kind::Audio) <= local.lines.audio.most);
    prop_assert!(accepted(Kind::Video) <= local.lines.video.most);
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_reads_back(session in sessions()) {
        prop_assert_eq!(parse(&write(&session)), Ok(session));
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_stable(text in "(?s)(v=0\n)?([a-z]=)?.{0,200}") {
        if let Ok(session) = parse(&text) {
            prop_assert_eq!(parse(&write(&session)), Ok(session));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_description_has_an_answer(session in sessions(), local in locals()) {
        check_answer(&session, &local)?;
    }

    #[test]
    fn every_answer_can_be_taken(session in sessions()) {
        let local = LocalSession { use_data_channels: true, ..local_session(3) };
        let (_, offered) = offer(&local, ALL).expect("an offer");
        match process_answer(&offered, &session) {
            Ok(done) => prop_assert_eq!(done.media.len(), 3),
            Err(error) => prop_assert_eq!(error, SdpError::MissingSctpPort { index: 2 }),
        }
    }

    #[test]
    fn candidates_read_back(text in "(a=)?(candidate:)?[a-z0-9]{1,4} [0-9]{1,3} (udp|TCP|[a-z]{1,4}) [0-9]{1,11} \
                                     [0-9a-f.:]{1,12} [0-9]{1,6} typ (host|srflx|[a-z]{1,5})( [a-z]{1,8} [a-z0-9.]{1,9}){0,4}") {
        if let Ok(candidate) = text.parse::<Candidate>() {
            prop_assert_eq!(candidate.to_string().parse(), Ok(candidate));
        }
    }

    #[test]
    fn any_text_is_a_candidate_or_none(text in ".{0,120}") {
        let _ = text.parse::<Candidate>();
    }
}
