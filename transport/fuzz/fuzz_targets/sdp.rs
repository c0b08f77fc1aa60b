//! Session descriptions and candidates from a hostile peer. What is read must read the same after writing; every
//! description must have an answer that reads back, or a refusal; nothing may panic. `fixtures/sdp` is a good corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::sdp::{
    Candidate, Crypto, Fingerprint, IceCredentials, LocalMedia, LocalSession, MAX_MEDIA, Negotiated, OfferOptions,
    RtpLocal, SessionDescription, answer, answer_rtp, describe_gathered, offer, offer_rtp, parse, process_answer,
    process_rtp_answer, set_ports, write,
};
use rivero_transport::srtp::Profile;

fuzz_target!(|text: &str| {
    if let Ok(candidate) = text.parse::<Candidate>() {
        assert_eq!(candidate.to_string().parse(), Ok(candidate));
    }
    let Ok(session) = parse(text) else { return };
    assert_eq!(parse(&write(&session)).as_ref(), Ok(&session));
    negotiate(&session);
    negotiate_rtp(&session, None);
    for suite in SUITES {
        let key = vec![7; suite.key_len() + suite.salt_len()];
        negotiate_rtp(&session, Some(Crypto { tag: 1, suite, key, lifetime: None, mki_length: 0 }));
    }
});

const SUITES: [Profile; 4] =
    [Profile::Aes128CmSha1_80, Profile::Aes128CmSha1_32, Profile::Aes256CmSha1_80, Profile::Aes256CmSha1_32];

fn negotiate(session: &SessionDescription) {
    let local = local_session();
    if let Ok(Negotiated { answer, media, .. }) = answer(session, &local) {
        assert_eq!(media.len(), session.media.len());
        assert_eq!(parse(&write(&answer)).as_ref(), Ok(&answer));
        let candidates: Vec<Vec<Candidate>> = session.media.iter().map(|media| media.candidates().collect()).collect();
        let gathered = describe_gathered(&answer, &candidates);
        assert_eq!(parse(&write(&gathered)).as_ref(), Ok(&gathered));
    }
    let options = OfferOptions { audio: true, video: true, data: true };
    let (_, offered) = offer(&local, options).expect("an offer never fails with enough credentials");
    let _ = process_answer(&offered, session);
}

/// The same for an RtpEndpoint: an offer to it, and an answer to what it offered.
fn negotiate_rtp(session: &SessionDescription, crypto: Option<Crypto>) {
    let LocalSession { address, lines, .. } = local_session();
    let local = RtpLocal {
        origin_id: 0,
        address,
        lines,
        cname: "fuzz".to_owned(),
        audio_ssrc: 1,
        video_ssrc: 2,
        crypto,
    };
    let (mut answer, lines) = answer_rtp(session, &local);
    assert_eq!(answer.media.len(), session.media.len());
    for line in &lines {
        assert!(!line.codecs.is_empty() && line.remote_crypto.is_some() == local.crypto.is_some());
        set_ports(&mut answer, line.index, 5000);
        assert_eq!(answer.media[line.index].port, 5000);
    }
    assert_eq!(parse(&write(&answer)).as_ref(), Ok(&answer));
    let (_, offered) = offer_rtp(&local, OfferOptions { audio: true, video: true, data: false });
    let taken = process_rtp_answer(&offered, session, &local);
    assert!(taken.len() <= offered.len());
}

fn local_session() -> LocalSession {
    let ice = IceCredentials { ufrag: "fuzz".to_owned(), pwd: "a-password-of-22-chars".to_owned() };
    let fingerprint = Fingerprint { algorithm: "sha-256".to_owned(), bytes: vec![0; 32] };
    let media = vec![LocalMedia { ice, ssrc: 1, rtx_ssrc: 2 }; MAX_MEDIA];
    LocalSession { use_data_channels: true, ..LocalSession::webrtc(0, fingerprint, "fuzz", media) }
}
