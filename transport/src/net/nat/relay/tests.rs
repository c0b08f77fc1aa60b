//! Against a server of a few lines, which answers as the test says.

use super::*;
use crate::net::nat::wire::Id;
use proptest::prelude::*;
use stun_types::attribute::{ErrorCode, Nonce, RawAttribute, Realm, XorSocketAddr};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, MessageWriteVec};
use stun_types::prelude::{MessageWrite, MessageWriteExt};

const LIFETIME: u16 = 0x0d;

fn at(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

fn settings(stream: bool) -> RelaySettings {
    RelaySettings { user: "user".to_owned(), password: "secret".to_owned(), stream, ipv6: false }
}

fn relayed() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 40_000))
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 5000))
}

fn key(password: &str) -> IntegrityKey {
    let credentials = LongTermKeyCredentials::new("user".to_owned(), password.to_owned(), "realm".to_owned());
    credentials.make_key(IntegrityAlgorithm::Sha1)
}

/// The next request, after which the relay waits.
fn request(relay: &mut Allocation, now: MediaTime) -> Vec<u8> {
    match relay.poll(now) {
        RelayOutput::Transmit(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// An error, unsigned, with the realm and a nonce.
fn error(request: &[u8], code: u16, nonce: &str) -> Vec<u8> {
    let message = Message::from_bytes(request).expect("a message");
    let mut response = Message::builder_error(&message, MessageWriteVec::new());
    response.add_attribute(&ErrorCode::new(code, "because").expect("a code")).expect("it fits");
    response.add_attribute(&Realm::new("realm").expect("a realm")).expect("it fits");
    response.add_attribute(&Nonce::new(nonce).expect("a nonce")).expect("it fits");
    response.finish()
}

/// Success, signed, with a relayed address and a lifetime.
fn success(request: &[u8], lifetime: u32, password: &str) -> Vec<u8> {
    let message = Message::from_bytes(request).expect("a message");
    let mut response = Message::builder_success(&message, MessageWriteVec::new());
    let address = XorSocketAddr::new(relayed(), message.transaction_id());
    response.add_attribute(&address.to_raw(0x16.into())).expect("it fits");
    response.add_attribute(&RawAttribute::new(LIFETIME.into(), &lifetime.to_be_bytes())).expect("it fits");
    response.add_message_integrity_with_key(&key(password), IntegrityAlgorithm::Sha1).expect("it fits");
    response.finish()
}

fn nonce_of(request: &[u8]) -> Option<String> {
    wire::nonce(&Message::from_bytes(request).expect("a message"))
}

/// Sends the first request, is asked for the password, and sends the second.
fn log_in(relay: &mut Allocation, now: MediaTime) -> Vec<u8> {
    let first = request(relay, now);
    assert_eq!(nonce_of(&first), None);
    relay.receive(now, &error(&first, 401, "one"));
    let second = request(relay, now);
    assert_eq!(nonce_of(&second).as_deref(), Some("one"));
    let message = Message::from_bytes(&second).expect("a message");
    assert!(message.validate_integrity_with_key(&key("secret")).is_ok());
    second
}

fn open(stream: bool, lifetime: u32) -> Allocation {
    let mut relay = Allocation::new(settings(stream), at(0));
    let asked = log_in(&mut relay, at(0));
    relay.receive(at(0), &success(&asked, lifetime, "secret"));
    assert!(matches!(relay.poll(at(0)), RelayOutput::Allocated { relayed: address, .. } if address == relayed()));
    relay
}

fn waits_until(relay: &mut Allocation, now: MediaTime) -> Option<MediaTime> {
    match relay.poll(now) {
        RelayOutput::Wait(at) => at,
        other => panic!("{other:?}"),
    }
}

fn failure(relay: &mut Allocation, now: MediaTime) -> RelayError {
    match relay.poll(now) {
        RelayOutput::Failed(why) => {
            assert!(matches!(relay.poll(now), RelayOutput::Wait(None)), "nothing comes after");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_refusal_has_its_word() {
    type Is = fn(&RelayError) -> bool;
    let cases: [(u16, Is); 9] = [
        (300, |why| matches!(why, RelayError::Alternate)),
        (401, |why| matches!(why, RelayError::WrongCredentials)),
        (441, |why| matches!(why, RelayError::WrongCredentials)),
        (437, |why| matches!(why, RelayError::Mismatch)),
        (440, |why| matches!(why, RelayError::Family)),
        (486, |why| matches!(why, RelayError::Quota)),
        (508, |why| matches!(why, RelayError::Capacity)),
        (403, |why| matches!(why, RelayError::Refused { code: 403, .. })),
        (500, |why| why.to_string() == "the TURN server refused: 500 \"because\""),
    ];
    for (code, is_right) in cases {
        let mut relay = Allocation::new(settings(false), at(0));
        let asked = log_in(&mut relay, at(0));
        relay.receive(at(0), &error(&asked, code, "two"));
        let why = failure(&mut relay, at(0));
        assert!(is_right(&why), "{code}: {why:?}");
    }
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut relay = Allocation::new(settings(false), at(0));
    let mut asked = log_in(&mut relay, at(0));
    for round in 0..MAX_NONCES - 1 {
        relay.receive(at(0), &error(&asked, 438, &format!("nonce {round}")));
        asked = request(&mut relay, at(0));
        assert_eq!(nonce_of(&asked), Some(format!("nonce {round}")));
    }
    relay.receive(at(0), &error(&asked, 438, "again"));
    assert!(matches!(failure(&mut relay, at(0)), RelayError::Refused { code: 438, .. }));
}

#[test]
fn who_cannot_prove_to_know_the_password_is_not_believed() {
    let mut relay = Allocation::new(settings(false), at(0));
    let asked = log_in(&mut relay, at(0));
    relay.receive(at(0), &success(&asked, 600, "guess"));
    assert_eq!(waits_until(&mut relay, at(0)), Some(at(500)), "it still waits for the server");
    let stranger = Message::builder_request(wire::ALLOCATE, MessageWriteVec::new()).finish();
    relay.receive(at(0), &success(&stranger, 600, "secret"));
    assert_eq!(waits_until(&mut relay, at(0)), Some(at(500)));
    relay.receive(at(0), &success(&asked, 600, "secret"));
    assert!(matches!(relay.poll(at(0)), RelayOutput::Allocated { .. }));
}

#[test]
fn silence_ends_the_wait() {
    let mut relay = Allocation::new(settings(false), at(0));
    let (mut now, mut sent) = (at(0), 0);
    let why = loop {
        match relay.poll(now) {
            RelayOutput::Transmit(_) => sent += 1,
            RelayOutput::Wait(later) => now = later.expect("it waits for something"),
            RelayOutput::Failed(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(why, RelayError::Unanswered), "{why:?}");
    assert_eq!((sent, now), (4, at(7500)));
    let mut relay = Allocation::new(RelaySettings { user: "u".repeat(509), ..settings(false) }, at(0));
    assert!(matches!(failure(&mut relay, at(0)), RelayError::LongUser));
}

#[test]
fn an_allocation_is_refreshed_before_its_end_and_lost_without() {
    // Also one that is shorter than the RFC wants.
    for (lifetime, due) in [(600, 540_000), (100, 50_000)] {
        let mut relay = open(false, lifetime);
        assert_eq!(waits_until(&mut relay, at(0)), Some(at(due)));
        let asked = request(&mut relay, at(due));
        relay.receive(at(due), &error(&asked, 438, "two"));
        let asked = request(&mut relay, at(due));
        assert_eq!(nonce_of(&asked).as_deref(), Some("two"));
        relay.receive(at(due), &success(&asked, lifetime, "secret"));
        assert_eq!(waits_until(&mut relay, at(due)), Some(at(2 * due)));
        // From here on nobody answers.
        let mut now = at(2 * due);
        let why = loop {
            match relay.poll(now) {
                RelayOutput::Transmit(_) => {}
                RelayOutput::Wait(later) => now = later.expect("it waits for something"),
                RelayOutput::Failed(why) => break why,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(why, RelayError::Lost), "{why:?}");
        assert_eq!(now, at(due + u64::from(lifetime) * 1000));
    }
    let mut relay = open(false, 600);
    let asked = request(&mut relay, at(540_000));
    relay.receive(at(540_000), &error(&asked, 437, "two"));
    assert!(matches!(failure(&mut relay, at(540_000)), RelayError::Lost), "the server was restarted");
}

fn method(bytes: &[u8]) -> stun_types::message::Method {
    Message::from_bytes(bytes).expect("a message").method()
}

/// Sends an ICE check to the peer, whom the server permits.
fn spoken(stream: bool) -> Allocation {
    let mut relay = open(stream, 600);
    relay.send(at(0), peer(), &[0, 1]);
    let permission = request(&mut relay, at(0));
    relay.receive(at(0), &success(&permission, 0, "secret"));
    assert_eq!(method(&request(&mut relay, at(0))), wire::SEND);
    assert_eq!(waits_until(&mut relay, at(0)), Some(at(240_000)), "the server was heard");
    relay
}

#[test]
fn a_server_that_falls_silent_is_asked_whether_it_still_knows_us() {
    let mut relay = spoken(false);
    for second in [10, 11, 12] {
        relay.send(at(second * 1000), peer(), &[0, 1]);
        assert_eq!(method(&request(&mut relay, at(second * 1000))), wire::SEND);
        assert_eq!(waits_until(&mut relay, at(second * 1000)), Some(at(13_000)));
    }
    let asked = request(&mut relay, at(13_000));
    assert_eq!(method(&asked), wire::REFRESH);
    relay.receive(at(13_000), &success(&asked, 600, "secret"));
    assert_eq!(waits_until(&mut relay, at(13_000)), Some(at(240_000)), "the peer is silent, not the server");
    // Whoever is heard in between is not asked.
    relay.send(at(20_000), peer(), &[0, 1]);
    request(&mut relay, at(20_000));
    relay.receive(at(20_100), &Writer::indication(wire::DATA).peer(peer()).data(b"here").finish());
    assert!(matches!(relay.poll(at(20_100)), RelayOutput::Received { .. }));
    assert_eq!(waits_until(&mut relay, at(20_100)), Some(at(240_000)));
    relay.send(at(30_000), peer(), &[0, 1]);
    request(&mut relay, at(30_000));
    let asked = request(&mut relay, at(33_000));
    relay.receive(at(33_000), &error(&asked, 437, "two"));
    assert!(matches!(failure(&mut relay, at(33_000)), RelayError::Lost));
}

#[test]
fn a_silent_server_is_asked_again_on_datagrams_and_left_on_a_stream() {
    for (stream, sends) in [(false, 12), (true, 1)] {
        let mut relay = spoken(stream);
        relay.send(at(10_000), peer(), &[0, 1]);
        request(&mut relay, at(10_000));
        let (mut now, mut asked) = (at(13_000), 0);
        while now < at(13_000 + 3 * 7500) {
            match relay.poll(now) {
                RelayOutput::Transmit(bytes) => asked += u32::from(method(&bytes) == wire::REFRESH),
                RelayOutput::Wait(later) => now = later.expect("it waits for something"),
                RelayOutput::Failed(why) => {
                    assert!(stream && matches!(why, RelayError::Unanswered), "{why:?}");
                    assert_eq!(now, at(13_000 + 7500));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(asked, sends);
    }
}

#[test]
fn a_permission_that_finds_no_allocation_tells_that_it_is_lost() {
    let mut relay = open(false, 600);
    relay.send(at(0), peer(), &[0, 1]);
    let permission = request(&mut relay, at(0));
    relay.receive(at(0), &error(&permission, 437, "two"));
    assert!(matches!(failure(&mut relay, at(0)), RelayError::Lost));
}

#[test]
fn datagrams_wait_for_permission_and_media_gets_a_channel() {
    for stream in [false, true] {
        let mut relay = open(stream, 600);
        relay.send(at(0), peer(), &[0, 1, 2]);
        let permission = request(&mut relay, at(0));
        assert_eq!(Message::from_bytes(&permission).expect("a message").method(), wire::CREATE_PERMISSION);
        assert!(matches!(relay.poll(at(0)), RelayOutput::Wait(_)), "ICE's checks get no channel");
        relay.receive(at(0), &success(&permission, 0, "secret"));
        let sent = request(&mut relay, at(0));
        let sent = Message::from_bytes(&sent).expect("a message");
        assert_eq!(
            (sent.method(), wire::peer(&sent), wire::data(&sent)),
            (wire::SEND, Some(peer()), Some(&[0, 1, 2][..]))
        );

        relay.send(at(0), peer(), &[0x80; 5]);
        assert_eq!(Message::from_bytes(&request(&mut relay, at(0))).expect("a message").method(), wire::SEND);
        let bind = request(&mut relay, at(0));
        relay.receive(at(0), &success(&bind, 0, "secret"));
        relay.send(at(0), peer(), &[0x80; 5]);
        let padding: &[u8] = if stream { &[0; 3] } else { &[] };
        assert_eq!(request(&mut relay, at(0)), [&[0x40, 0, 0, 5, 0x80, 0x80, 0x80, 0x80, 0x80], padding].concat());

        relay.receive(at(0), &[0x40, 0, 0, 2, 7, 8, 0, 0]);
        relay.receive(at(0), &[0x40, 9, 0, 1, 7, 0, 0, 0]);
        let data = Writer::indication(wire::DATA).peer(peer()).data(b"hello").finish();
        relay.receive(at(0), &data);
        for expected in [&[7, 8][..], b"hello"] {
            match relay.poll(at(0)) {
                RelayOutput::Received { peer: from, bytes } => assert_eq!((from, bytes.as_slice()), (peer(), expected)),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(relay.poll(at(0)), RelayOutput::Wait(_)), "an unknown channel is nobody's");
    }
}

#[test]
fn it_is_given_back() {
    let mut relay = open(false, 600);
    relay.release(at(10));
    let asked = request(&mut relay, at(10));
    let message = Message::from_bytes(&asked).expect("a message");
    assert_eq!((message.method(), wire::lifetime(&message)), (wire::REFRESH, Some(0)));
    relay.receive(at(10), &success(&asked, 0, "secret"));
    assert!(matches!(relay.poll(at(10)), RelayOutput::Released));
    assert!(matches!(relay.poll(at(10)), RelayOutput::Wait(None)));

    let mut relay = Allocation::new(settings(false), at(0));
    relay.release(at(0));
    assert!(matches!(relay.poll(at(0)), RelayOutput::Released), "there was nothing yet to give back");
}

#[test]
fn a_stream_that_makes_no_sense_is_given_up() {
    let mut relay = open(true, 600);
    relay.receive(at(0), b"SSH-2.0-OpenSSH\r\n");
    // "SS" is neither STUN nor the number of a channel.
    assert!(matches!(failure(&mut relay, at(0)), RelayError::Garbled));
    let mut relay = open(false, 600);
    relay.receive(at(0), &[0xff; 30]);
    assert!(matches!(relay.poll(at(0)), RelayOutput::Wait(_)), "a datagram can come from anybody");
}

proptest! {
    /// Whatever comes, in whatever state: no panic, and no end but by a stream's or a server's fault.
    #[test]
    fn anything_may_come(
        stream: bool,
        is_open: bool,
        pieces in prop::collection::vec((prop::sample::select(vec![0x0101u16, 0x0103, 0x0113, 0x0114, 0x0017, 0x4000, 0x0118, 0x0119]), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..12),
    ) {
        let mut relay = if is_open { open(stream, 600) } else { Allocation::new(settings(stream), at(0)) };
        relay.send(at(0), peer(), &[0x80; 9]);
        let mut id = u128::from(Id::generate());
        for (kind, body, known) in pieces {
            while let RelayOutput::Transmit(bytes) = relay.poll(at(0)) {
                if let (true, Ok(message)) = (known, Message::from_bytes(&bytes)) {
                    id = message.transaction_id().into();
                }
            }
            let mut bytes = kind.to_be_bytes().to_vec();
            bytes.extend((body.len() as u16).to_be_bytes());
            if kind < 0x4000 {
                bytes.extend([0x21, 0x12, 0xa4, 0x42]);
                bytes.extend(&id.to_be_bytes()[4..]);
            }
            bytes.extend(&body);
            if stream {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            relay.receive(at(0), &bytes);
        }
        let mut rounds = 0;
        while !matches!(relay.poll(at(0)), RelayOutput::Wait(_)) {
            rounds += 1;
            prop_assert!(rounds < 1000);
        }
    }
}
