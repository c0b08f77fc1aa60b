//! Our answers and offers against those of a real Kurento Media Server, line by line and in order.
//!
//! The recordings are no part of this project. They are looked for in the folder that `RIVERO_RECORDINGS` names, or else
//! in `../shared/reference/oracle/sdp` beside the workspace; without them these tests say so and end. Ids, keys, ports,
//! sources and names are made equal before comparing; which lines share ICE credentials is compared. Recordings named
//! `rtp-…` are of an RtpEndpoint, and `rtp` compares them.

use std::collections::HashMap;
use std::path::PathBuf;

use super::differences::without_additions;
use super::*;

pub(super) fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/oracle/sdp");
    let folder = std::env::var_os("RIVERO_RECORDINGS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there are no recordings in {}", folder.display());
    None
}

/// The recordings whose names end so: their name without the ending, and their text.
pub(super) fn recordings(ending: &str) -> Vec<(String, String)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .filter_map(|entry| {
            let entry = entry.expect("a readable entry");
            let name = entry.file_name().into_string().expect("a plain name");
            let name = name.strip_suffix(ending)?.to_owned();
            Some((name, std::fs::read_to_string(entry.path()).expect("a readable recording")))
        })
        .collect();
    found.sort();
    found
}

/// Makes equal what differs from run to run, and names ICE credentials in the order in which they first appear.
fn normalised(text: &str, hide_ports: bool) -> Vec<String> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut in_media = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        in_media |= line.starts_with("m=");
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        lines.push(match key {
            _ if line.starts_with("o=") => line.split(' ').skip(3).collect::<Vec<_>>().join(" "),
            _ if line.starts_with("m=") && hide_ports => {
                line.split(' ').enumerate().filter(|(n, _)| *n != 1).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
            }
            "a=rtcp" if hide_ports => format!("a=rtcp {}", value.split_once(' ').map_or("", |(_, rest)| rest)),
            "a=ice-ufrag" | "a=ice-pwd" if in_media => {
                let next = names.len();
                format!("{key} {}", names.entry(value.to_owned()).or_insert(next))
            }
            "a=fingerprint" if in_media => format!("{key} {}", value.split(' ').next().unwrap_or("")),
            "a=ssrc" => format!("{key} {} {}", value.split(' ').count(), value.contains(" cname:")),
            "a=sctp-port" if value != "5000" => key.to_owned(),
            _ => line.to_owned(),
        });
    }
    lines
}

#[track_caller]
pub(super) fn assert_same(name: &str, ours: &str, theirs: &str, hide_ports: bool) {
    let (ours, theirs) = (normalised(ours, hide_ports), normalised(theirs, hide_ports));
    for (number, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(a, b, "{name}, line {}: ours is left", number + 1);
    }
    assert_eq!(ours.len(), theirs.len(), "{name}: the number of lines");
}

/// The endpoint to which an offer was made, by the name of the recording.
fn endpoint(name: &str) -> LocalSession {
    let speaks_of_data = name.ends_with("data") || name.ends_with("sctp-old-syntax");
    LocalSession { use_data_channels: speaks_of_data && !name.ends_with("without-data"), ..local_session(4) }
}

/// What must hold of our answer.
type Check = fn(&Negotiated);

/// The recordings to which our answer differs on purpose, with what must hold instead; the page `differences.md` has
/// the reasons. All others must agree line by line.
const DIFFERENT: [(&str, Check); 1] = [("ans-chrome-no-rtcp-mux", |done| {
    // Both lines would need a second port: each gets port 0 and nothing else.
    assert!(done.bundle.is_empty());
    for line in &done.answer.media {
        assert_eq!(line.port, 0);
        assert_eq!(line.attributes.len(), 2, "inactive and mid");
    }
})];

/// The offers to a WebRtcEndpoint with the answers that the real server gave.
fn answered_offers() -> Vec<(String, SessionDescription, String)> {
    let mut answers: HashMap<_, _> = recordings(".answer.sdp").into_iter().collect();
    let is_other = |name: &str| name.starts_with("rtp-") || name.starts_with("gen-") || name.contains("kms-offers");
    recordings(".offer.sdp")
        .into_iter()
        .filter(|(name, _)| !is_other(name))
        .filter_map(|(name, offer)| {
            let answer = answers.remove(&name)?;
            Some((name, parse(&offer).expect("a readable offer"), answer))
        })
        .collect()
}

#[test]
fn answers_are_those_of_the_real_server() {
    let mut compared = 0;
    for (name, offer, theirs) in answered_offers() {
        let ours = answer(&offer, &endpoint(&name));
        if let Some((_, check)) = DIFFERENT.iter().find(|(other, _)| *other == name) {
            check(&ours.expect(&name));
        } else if theirs.starts_with('{') {
            assert!(matches!(ours, Err(SdpError::MissingSctpPort { .. })), "{name}");
        } else {
            assert_same(&name, &write(&ours.expect(&name).answer), &theirs, false);
        }
        compared += 1;
    }
    eprintln!("{compared} answers compared");
    assert!(compared >= 40 || folder().is_none(), "only {compared} recordings were found");
}

#[test]
fn the_switch_adds_to_the_real_servers_answers_and_changes_nothing_else() {
    let (mut compared, mut added) = (0, 0);
    for (name, offer, theirs) in answered_offers() {
        let local = LocalSession { modern: Modern::ALL, ..endpoint(&name) };
        if theirs.starts_with('{') || DIFFERENT.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let ours = write(&answer(&offer, &local).expect(&name).answer);
        assert_same(&name, &without_additions(&ours), &theirs, false);
        added += ours.lines().count() - theirs.lines().count();
        compared += 1;
    }
    eprintln!("{compared} answers compared, {added} lines added");
    assert!((compared >= 38 && added >= 500) || folder().is_none(), "{compared} recordings, {added} lines");
}

#[test]
fn offers_are_those_of_the_real_server() {
    let mut compared = 0;
    for (name, theirs) in recordings(".offer.sdp") {
        let is_ours = name.starts_with("gen-") || name.contains("kms-offers") || name == "kms-to-kms";
        if !is_ours || theirs.starts_with('{') {
            continue;
        }
        let mut local = LocalSession { use_data_channels: name == "gen-datachannels", ..local_session(3) };
        match name.as_str() {
            "gen-recvonly" => local.direction = Direction::RecvOnly,
            "gen-sendonly" => local.direction = Direction::SendOnly,
            "gen-bw" => (local.lines.audio.max_recv_kbps, local.lines.video.max_recv_kbps) = (64, 1000),
            _ if name.ends_with("without-av1") => local.lines.video.codecs.retain(|codec| codec.name != "AV1"),
            _ => {}
        }
        let has = |kind: &str| !name.ends_with("neither") && !name.ends_with(&format!("no-{kind}"));
        let options = OfferOptions { audio: has("audio"), video: has("video"), data: true };
        let (ours, _) = offer(&local, options).expect("an offer");
        let sctp_hidden = write(&ours).replace("sctp-port:5000", "sctp-port:1");
        assert_same(&name, &sctp_hidden, &theirs, false);
        compared += 1;
    }
    eprintln!("{compared} offers compared");
    assert!(compared >= 12 || folder().is_none(), "only {compared} recordings were found");
}

#[test]
fn gathered_descriptions_are_those_of_the_real_server() {
    let answers: HashMap<_, _> = recordings(".answer.sdp").into_iter().collect();
    let gathered = recordings(".local-after-gathering.sdp");
    assert!(gathered.len() >= 2 || folder().is_none(), "recordings are missing");
    for (name, theirs) in gathered {
        let shown = parse(&theirs).expect("a readable description");
        let candidates: Vec<Vec<Candidate>> = shown.media.iter().map(|media| media.candidates().collect()).collect();
        let before = parse(&answers[&name]).expect("a readable answer");
        assert_same(&name, &write(&describe_gathered(&before, &candidates)), &theirs, true);
    }
}

#[test]
fn browsers_answers_can_be_taken() {
    for (name, text) in recordings(".answer.sdp").into_iter().filter(|(name, _)| name.contains("kms-offers")) {
        let mut local = local_session(3);
        if name.ends_with("without-av1") {
            local.lines.video.codecs.retain(|codec| codec.name != "AV1");
        }
        let (_, offered) = offer(&local, ALL).expect("an offer");
        let done = process_answer(&offered, &parse(&text).expect("a readable answer")).expect("facts");
        assert_eq!(done.bundle, [0, 1], "{name}");
        for media in &done.media {
            assert!(media.accepted && media.remote.fingerprint.is_some() && media.remote.ufrag.is_some(), "{name}");
            assert_eq!((media.dtls_role, media.direction), (DtlsRole::Passive, Direction::SendRecv), "{name}");
            assert_eq!(media.remote.ssrcs.len(), 1, "{name}");
        }
        assert!(done.media[1].has_feedback("nack pli") && done.media[1].has_feedback("goog-remb"), "{name}");
    }
}
