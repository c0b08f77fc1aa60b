//! The page `differences.md` says what our answers hold that Kurento's do not, and the reverse; here each of its claims
//! about lines is put to the test with our own offers.

use super::*;

/// Takes out of an answer the lines that the page lists as modern additions, and nothing else.
pub(super) fn without_additions(answer: &str) -> String {
    let mut removed_types = Vec::new();
    let mut sources = 0;
    let mut lines: Vec<String> = Vec::new();
    for line in answer.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        if line.starts_with("m=") {
            sources = 0;
        }
        sources += usize::from(key == "a=ssrc");
        let is_addition = match key {
            "a=rtpmap" if rest.starts_with("rtx/") => {
                removed_types.push((lines.len(), first.to_owned()));
                true
            }
            "a=fmtp" => rest.contains("apt="),
            "a=rtcp-fb" => rest == "transport-cc",
            "a=extmap" => rest == TRANSPORT_CC || rest == MID,
            "a=ssrc" => sources > 1,
            "a=msid" | "a=ssrc-group" | "a=max-message-size" => true,
            _ => false,
        };
        if !is_addition {
            lines.push(line.to_owned());
        }
    }
    for (before, pt) in removed_types {
        let media = lines[..before].iter_mut().rfind(|line| line.starts_with("m=")).expect("a media line");
        *media = media.split(' ').filter(|word| *word != pt).collect::<Vec<_>>().join(" ");
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[test]
fn the_switch_adds_only_what_the_page_lists() {
    for (name, text, added) in [
        ("chrome", fixture!("chrome.offer"), 24),
        ("firefox", fixture!("firefox.offer"), 16),
        ("safari", fixture!("safari.offer"), 21),
        ("h264", fixture!("h264-profiles.offer"), 18),
        ("plain RTP", fixture!("plain-rtp.offer"), 0),
        ("data", fixture!("data-only.offer"), 0),
    ] {
        let offer = parse(text).expect("a readable offer");
        let off = local_session(3);
        let on = LocalSession { modern: Modern::ALL, ..off.clone() };
        let (off, on) = (answer(&offer, &off).expect(name), answer(&offer, &on).expect(name));
        let (off, on) = (write(&off.answer), write(&on.answer));
        assert_eq!(on.lines().count() - off.lines().count(), added, "{name}: the number of lines added");
        assert_eq!(without_additions(&on), off, "{name}");
    }
}

#[test]
fn every_difference_of_the_page_has_its_reason() {
    let page = include_str!("../differences.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| line") && !line.starts_with("|--"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 12, "{} rows", rows.len());
    for row in rows {
        assert_eq!(row.len(), 4, "what, Kurento's, ours, reason: {row:?}");
        assert!(row.iter().all(|cell| cell.len() > 2), "{row:?}");
    }
}
