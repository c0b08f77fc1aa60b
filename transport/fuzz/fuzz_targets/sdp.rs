//! Session descriptions and candidates from a hostile peer. What is read must read the same after writing; every
//! description must have an answer that reads back, or a refusal; nothing may panic. `fixtures/sdp` is a good corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::sdp::{
    Candidate, Fingerprint, IceCredentials, LocalMedia, LocalSession, MAX_MEDIA, Negotiated, OfferOptions,
    SessionDescription, answer, describe_gathered, offer, parse, process_answer, write,
};

fuzz_target!(|text: &str| {
    if let Ok(candidate) = text.parse::<Candidate>() {
        assert_eq!(candidate.to_string().parse(), Ok(candidate));
    }
    let Ok(session) = parse(text) else { return };
    assert_eq!(parse(&write(&session)).as_ref(), Ok(&session));
    negotiate(&session);
});

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

fn local_session() -> LocalSession {
    let ice = IceCredentials { ufrag: "fuzz".to_owned(), pwd: "a-password-of-22-chars".to_owned() };
    let fingerprint = Fingerprint { algorithm: "sha-256".to_owned(), bytes: vec![0; 32] };
    let media = vec![LocalMedia { ice, ssrc: 1, rtx_ssrc: 2 }; MAX_MEDIA];
    LocalSession { use_data_channels: true, ..LocalSession::webrtc(0, fingerprint, "fuzz", media) }
}
