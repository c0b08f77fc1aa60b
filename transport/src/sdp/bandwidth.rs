//! How much a peer wants to receive (RFC 8866 §5.8).
//!
//! What enters: the `b=` lines of a description. What leaves: a limit for each media line. It must not know what is done about it.

use super::model::{Bandwidth, Media, SessionDescription};

/// What sound takes of the whole where its own line does not say: PCMU in packets of 20 ms, with their headers, in bps.
const SOUND: u64 = 80_000;
/// However little is left, in bps: a picture below that is none.
const LEAST: u64 = 30_000;

/// The lowest limit of some `b=` lines, in bps. `AS` (and `CT`, of whole sessions) count in thousands and with headers, `TIAS` (RFC 3890)
/// in units and without: taken as they are, since the difference is a few percent. Zero says nothing.
fn lowest(lines: &[Bandwidth], kilo: &[&str]) -> Option<u64> {
    let bps = |line: &Bandwidth| match line.kind.as_str() {
        "TIAS" => Some(line.value),
        kind if kilo.contains(&kind) => Some(line.value.saturating_mul(1000)),
        _ => None,
    };
    lines.iter().filter_map(bps).filter(|bps| *bps > 0).min()
}

impl Media {
    /// The limit of this line, in bps.
    pub fn bandwidth(&self) -> Option<u64> {
        lowest(&self.bandwidths, &["AS"])
    }
}

impl SessionDescription {
    /// The limit of all lines together, in bps.
    pub fn bandwidth_of_all(&self) -> Option<u64> {
        lowest(&self.bandwidth, &["AS", "CT"])
    }

    /// The limit of a line, in bps: its own, and what the whole leaves it beside the sound of the others.
    pub fn bandwidth_of(&self, media: &Media) -> Option<u64> {
        let is_other = |other: &&Media| !std::ptr::eq(*other, media) && other.port != 0;
        let sounds = self.media.iter().filter(is_other).filter(|other| other.kind == "audio");
        let taken = sounds.fold(0, |sum: u64, other| sum.saturating_add(other.bandwidth().unwrap_or(SOUND)));
        let left = self.bandwidth_of_all().map(|whole| whole.saturating_sub(taken).max(LEAST));
        media.bandwidth().into_iter().chain(left).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const SOUND_LINE: &str = "m=audio 6000 RTP/AVP 0";

    /// What a session with these lines before its media, and these after each, leaves to its picture.
    fn limit(session: &str, sound: Option<&str>, picture: &str) -> Option<u64> {
        let sound = sound.map_or(String::new(), |lines| format!("{SOUND_LINE}{lines}\r\n"));
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{session}t=0 0\r\n{sound}m=video 6002 RTP/AVP 96{picture}\r\n"
        );
        let session = parse(&text).expect("a description");
        session.bandwidth_of(session.media.last().expect("the picture"))
    }

    #[test]
    fn the_lowest_limit_holds() {
        assert_eq!(limit("", None, ""), None);
        assert_eq!(limit("", None, "\r\nb=AS:384"), Some(384_000));
        assert_eq!(limit("", None, "\r\nb=AS:384\r\nb=TIAS:300000"), Some(300_000));
        assert_eq!(limit("", None, "\r\nb=TIAS:500000\r\nb=AS:384\r\nb=X-YZ:1\r\nb=CT:1"), Some(384_000));
        assert_eq!(limit("b=AS:1000\r\n", None, ""), Some(1_000_000));
        assert_eq!(limit("b=CT:2000\r\nb=TIAS:900000\r\n", None, ""), Some(900_000));
        assert_eq!(limit("b=AS:1000\r\n", None, "\r\nb=AS:384"), Some(384_000));
        assert_eq!(limit("b=AS:200\r\n", None, "\r\nb=AS:384"), Some(200_000));
    }

    #[test]
    fn the_whole_is_shared_with_sound() {
        assert_eq!(limit("b=AS:500\r\n", Some(""), ""), Some(420_000));
        assert_eq!(limit("b=AS:500\r\n", Some("\r\nb=AS:40"), ""), Some(460_000));
        assert_eq!(limit("b=AS:500\r\n", Some("\r\nb=TIAS:32000"), "\r\nb=AS:400"), Some(400_000));
        assert_eq!(limit("", Some("\r\nb=AS:40"), ""), None, "what another line wants is no limit");
        assert_eq!(limit("b=AS:64\r\n", Some(""), ""), Some(30_000), "a picture is a picture");
    }

    #[test]
    fn what_says_nothing_is_no_limit() {
        assert_eq!(limit("b=AS:0\r\nb=RR:100\r\n", None, "\r\nb=AS:0\r\nb=TIAS:0\r\nb=AS:-5\r\nb=AS:x"), None);
        assert_eq!(limit(&format!("b=AS:{}\r\n", u64::MAX), Some(""), ""), Some(u64::MAX - 80_000));
    }
}
