//! A candidate, as an application hands it on from a hostile browser: read or refused, the same after writing, and never much
//! longer than what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::sdp::Candidate;

fuzz_target!(|text: &str| {
    let Ok(candidate) = text.parse::<Candidate>() else { return };
    let written = candidate.to_string();
    assert_eq!(written.parse(), Ok(candidate.clone()));
    assert!((1..=256).contains(&candidate.component));
    assert!(!written.contains(['\r', '\n']), "it stays one line of a description");
    // IPv6 addresses may be written out, and a related port is always told.
    assert!(written.len() <= text.len() + 200);
});
