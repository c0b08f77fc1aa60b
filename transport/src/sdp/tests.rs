//! Tests of the whole room: handmade offers with the answers that are expected to them, laws that hold for all input,
//! and the answers of a real server where its recordings are at hand.

/// A text of the folder `fixtures/sdp`.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sdp/", $name, ".sdp"))
    };
}

mod differences;
mod fixtures;
mod matrix;
mod properties;
mod recordings;
mod rtp;

use super::*;

/// A session whose every value can be recognised in the text.
pub(super) fn local_session(lines: usize) -> LocalSession {
    let entry = |index: usize| LocalMedia {
        ice: IceCredentials { ufrag: format!("ours{index}"), pwd: format!("password-of-transport-{index:02}") },
        ssrc: 9000 + u32::try_from(index).expect("a few lines"),
        rtx_ssrc: 9100 + u32::try_from(index).expect("a few lines"),
    };
    let fingerprint = Fingerprint { algorithm: "sha-256".to_owned(), bytes: (0..32).collect() };
    LocalSession::webrtc(4_000_000_000, fingerprint, "us", (0..lines).map(entry).collect())
}

/// Everything an offer may carry.
pub(super) const ALL: OfferOptions = OfferOptions { audio: true, video: true, data: true };

/// Compares line by line, so that a failure names the line.
#[track_caller]
pub(super) fn assert_text(actual: &SessionDescription, expected: &str) {
    let actual = write(actual);
    let (actual, expected): (Vec<_>, Vec<_>) = (actual.lines().collect(), expected.lines().collect());
    for (number, (a, e)) in actual.iter().zip(&expected).enumerate() {
        assert_eq!(a, e, "line {}", number + 1);
    }
    assert_eq!(actual.len(), expected.len(), "the number of lines");
}
