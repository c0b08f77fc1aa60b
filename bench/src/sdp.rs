//! The few descriptions that the tool's clients write and read (RFC 8866): one audio and one video line in one bundle.
//!
//! Enters: what a client has of its own, or a server's text. Leaves: a text, or what a client needs to connect.

use crate::payload::{OPUS, VP8};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    pub ufrag: String,
    pub password: String,
    /// `sha-256 AA:BB…`
    pub fingerprint: String,
    pub address: SocketAddr,
    /// Audio and video.
    pub ssrcs: [u32; 2],
    /// Sends, and receives nothing; or the other way round.
    pub publishes: bool,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: String,
    /// The value of `a=setup`.
    pub setup: String,
    pub lite: bool,
    /// `candidate:…`, each as it stands.
    pub candidates: Vec<String>,
    pub lines: Vec<RemoteLine>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteLine {
    pub kind: String,
    pub mid: String,
    pub port: u16,
    /// Payload type and encoding name in capitals, as offered.
    pub codecs: Vec<(u8, String)>,
}

impl Remote {
    /// The payload type of Opus or VP8 among the lines.
    pub fn payload_type(&self, encoding: &str) -> Option<u8> {
        let accepted = self.lines.iter().filter(|line| line.port != 0);
        accepted.flat_map(|line| &line.codecs).find(|(_, name)| name == encoding).map(|(number, _)| *number)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SdpError {
    #[error("the description has no {0}")]
    Missing(&'static str),
    #[error("the description has a broken line: {0}")]
    Broken(String),
}

/// Writes an offer: no RTX, no transport-wide congestion control, feedback by NACK, PLI, FIR and REMB.
pub fn offer(local: &Local) -> String {
    let lines = [("audio", "0", OPUS), ("video", "1", VP8)];
    description(local, "actpass", &lines.map(|(kind, mid, number)| (kind.to_owned(), mid.to_owned(), number)))
}

/// Answers a server's offer; lines other than audio and video are not expected. The server is to begin the DTLS handshake when it is
/// ready for one: a first flight of ours that comes too early would cost it a second of joining time.
///
/// Errors: [`SdpError::Missing`], when neither Opus nor VP8 is offered where it should be.
pub fn answer(local: &Local, offer: &Remote) -> Result<String, SdpError> {
    let mut lines = Vec::new();
    for line in &offer.lines {
        let encoding = if line.kind == "audio" { "OPUS" } else { "VP8" };
        let codec = line.codecs.iter().find(|(_, name)| name == encoding).ok_or(SdpError::Missing("Opus or VP8"))?;
        lines.push((line.kind.clone(), line.mid.clone(), codec.0));
    }
    Ok(description(local, "passive", &lines))
}

fn description(local: &Local, setup: &str, lines: &[(String, String, u8)]) -> String {
    let address = local.address;
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let mids: Vec<&str> = lines.iter().map(|line| line.1.as_str()).collect();
    let mut text = format!("v=0\r\no=- 1 1 IN {family} {}\r\ns=-\r\nt=0 0\r\n", address.ip());
    let _ = write!(text, "a=group:BUNDLE {}\r\na=msid-semantic: WMS bench\r\n", mids.join(" "));
    for (kind, mid, number) in lines {
        let video = kind == "video";
        let direction = if local.publishes { "sendonly" } else { "recvonly" };
        let codec = if video { "VP8/90000" } else { "opus/48000/2" };
        let _ = write!(
            text,
            "m={kind} 9 UDP/TLS/RTP/SAVPF {number}\r\nc=IN {family} 0.0.0.0\r\na=rtcp:9 IN {family} 0.0.0.0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:{setup}\r\na=mid:{mid}\r\na={direction}\r\n\
             a=rtcp-mux\r\na=rtpmap:{number} {codec}\r\n",
            local.ufrag, local.password, local.fingerprint
        );
        if video {
            for feedback in ["nack", "nack pli", "ccm fir", "goog-remb"] {
                let _ = write!(text, "a=rtcp-fb:{number} {feedback}\r\n");
            }
        } else {
            let _ = write!(text, "a=fmtp:{number} minptime=10;useinbandfec=1\r\n");
        }
        if local.publishes {
            let ssrc = local.ssrcs[usize::from(video)];
            let _ =
                write!(text, "a=msid:bench {kind}\r\na=ssrc:{ssrc} cname:bench\r\na=ssrc:{ssrc} msid:bench {kind}\r\n");
        }
        let _ = write!(text, "a=candidate:1 1 udp 2130706431 {} {} typ host\r\n", address.ip(), address.port());
        text.push_str("a=end-of-candidates\r\n");
    }
    text
}

/// Reads a server's offer or answer. What stands at the session or at the first line that has it holds for all.
///
/// Errors: [`SdpError`].
pub fn parse(text: &str) -> Result<Remote, SdpError> {
    let mut remote = Remote::default();
    let set = |place: &mut String, value: &str| {
        if place.is_empty() {
            *place = value.to_owned();
        }
    };
    for line in text.lines().map(str::trim_end) {
        let broken = || SdpError::Broken(line.to_owned());
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let kind = words.next().unwrap_or_default().to_owned();
            let port = words.next().and_then(|port| port.parse().ok()).ok_or_else(broken)?;
            remote.lines.push(RemoteLine { kind, port, ..RemoteLine::default() });
            continue;
        }
        let Some(attribute) = line.strip_prefix("a=") else { continue };
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match (name, remote.lines.last_mut()) {
            ("ice-ufrag", _) => set(&mut remote.ufrag, value),
            ("ice-pwd", _) => set(&mut remote.password, value),
            ("fingerprint", _) => set(&mut remote.fingerprint, value),
            ("setup", _) => set(&mut remote.setup, value),
            ("ice-lite", _) => remote.lite = true,
            ("candidate", _) if !remote.candidates.iter().any(|known| known == attribute) => {
                remote.candidates.push(attribute.to_owned());
            }
            ("mid", Some(last)) => last.mid = value.to_owned(),
            ("rtpmap", Some(last)) => {
                let (number, codec) = value.split_once(' ').ok_or_else(broken)?;
                let encoding = codec.split('/').next().unwrap_or_default().to_ascii_uppercase();
                last.codecs.push((number.parse().map_err(|_| broken())?, encoding));
            }
            _ => {}
        }
    }
    for (name, value) in
        [("ice-ufrag", &remote.ufrag), ("ice-pwd", &remote.password), ("fingerprint", &remote.fingerprint)]
    {
        if value.is_empty() {
            return Err(SdpError::Missing(name));
        }
    }
    Ok(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(publishes: bool) -> Local {
        Local {
            ufrag: "uf".to_owned(),
            password: "a-password-of-at-least-22".to_owned(),
            fingerprint: "sha-256 AA:BB".to_owned(),
            address: "10.0.0.1:5000".parse().unwrap(),
            ssrcs: [11, 22],
            publishes,
        }
    }

    #[test]
    fn an_offer_says_what_the_client_has_and_nothing_that_changes_the_load() {
        let text = offer(&local(true));
        let read = parse(&text).unwrap();
        assert_eq!((read.ufrag.as_str(), read.setup.as_str()), ("uf", "actpass"));
        assert_eq!(read.candidates, ["candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host"]);
        assert_eq!((read.payload_type("OPUS"), read.payload_type("VP8")), (Some(OPUS), Some(VP8)));
        assert!(
            text.contains("a=ssrc:22 cname") && text.contains("a=sendonly") && text.contains("a=rtcp-fb:96 nack pli")
        );
        assert!(!text.contains("rtx") && !text.contains("transport-cc") && !text.contains("extmap"));
        let viewer = offer(&local(false));
        assert!(viewer.contains("a=recvonly") && !viewer.contains("a=ssrc"));
        assert!(text.lines().all(|line| text.contains(&format!("{line}\r\n"))));
    }

    #[test]
    fn an_answer_takes_over_mids_and_numbers() {
        let theirs = "v=0\r\na=ice-lite\r\nm=audio 9 X 100\r\na=mid:a\r\na=rtpmap:100 opus/48000/2\r\na=ice-ufrag:u\r\n\
            a=ice-pwd:p\r\na=fingerprint:sha-256 CC\r\na=setup:actpass\r\nm=video 9 X 97 101\r\na=mid:v\r\n\
            a=rtpmap:97 H264/90000\r\na=rtpmap:101 VP8/90000\r\na=ice-ufrag:other\r\n";
        let read = parse(theirs).unwrap();
        assert!(read.lite && read.ufrag == "u");
        let ours = parse(&answer(&local(false), &read).unwrap()).unwrap();
        assert_eq!(ours.setup, "passive");
        let lines: Vec<_> = ours.lines.iter().map(|line| (line.mid.as_str(), line.codecs[0].0)).collect();
        assert_eq!(lines, [("a", 100), ("v", 101)]);
    }

    #[test]
    fn a_refused_line_has_no_payload_type() {
        let text = "m=video 0 X 96\na=rtpmap:96 VP8/90000\na=ice-ufrag:u\na=ice-pwd:p\na=fingerprint:f f";
        assert_eq!(parse(text).unwrap().payload_type("VP8"), None);
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        assert_eq!(parse("v=0\r\na=ice-ufrag:u\r\n"), Err(SdpError::Missing("ice-pwd")));
        assert!(matches!(parse("m=audio x y"), Err(SdpError::Broken(_))));
        let only =
            parse("a=ice-ufrag:u\na=ice-pwd:p\na=fingerprint:f f\nm=video 9 X 97\na=rtpmap:97 H264/90000").unwrap();
        assert_eq!(answer(&local(false), &only), Err(SdpError::Missing("Opus or VP8")));
    }
}
