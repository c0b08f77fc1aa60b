//! What attributes mean: typed readers over the attribute lines of the model.
//!
//! What enters: a [`Media`] or [`SessionDescription`] with its attributes as text. What leaves: values with names, read
//! on demand. A line that cannot be read is passed over, as every SDP reader must be able to do (RFC 8866 §5.13). It
//! must not decide anything: acceptance belongs to the negotiation.

use std::fmt;
use std::str::FromStr;

use super::candidate::Candidate;
use super::model::{Connection, Media, SessionDescription, values};
use super::parse::read_connection;

/// The direction of media, seen from whoever wrote the line (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways; what holds when nothing is said.
    #[default]
    SendRecv,
    /// The writer sends only.
    SendOnly,
    /// The writer receives only.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// The four attribute names.
    pub const NAMES: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

    /// The attribute name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same direction seen from the other side (RFC 3264 §6.1).
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// Whether the writer of the line sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer of the line receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

impl FromStr for Direction {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "sendrecv" => Ok(Self::SendRecv),
            "sendonly" => Ok(Self::SendOnly),
            "recvonly" => Ok(Self::RecvOnly),
            "inactive" => Ok(Self::Inactive),
            _ => Err(()),
        }
    }
}

/// Who opens the DTLS connection (RFC 4145 §4, RFC 5763 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The writer opens it.
    Active,
    /// The writer waits for it.
    Passive,
    /// The writer can do both.
    ActPass,
    /// No connection for the time being, or a word that is not known.
    HoldConn,
}

impl Setup {
    /// The attribute value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }

    fn read(word: &str) -> Self {
        match word.trim_ascii() {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "actpass" => Self::ActPass,
            _ => Self::HoldConn,
        }
    }
}

/// `a=rtpmap` (RFC 8866 §6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// The payload type, 0 to 127.
    pub pt: u8,
    /// The encoding name, to be compared without regard to case.
    pub name: String,
    /// The clock rate in Hz.
    pub clock_rate: u32,
    /// The number of audio channels if it was written; otherwise one.
    pub channels: Option<u8>,
}

impl RtpMap {
    fn read(value: &str) -> Option<Self> {
        let (pt, encoding) = value.split_once(' ')?;
        let mut parts = encoding.trim_ascii().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let clock_rate = parts.next()?.trim_ascii().parse().ok()?;
        let channels = parts.next().and_then(|word| word.trim_ascii().parse().ok());
        Some(Self { pt: payload_type(pt)?, name, clock_rate, channels })
    }
}

/// Reads a payload type, 0 to 127.
pub(super) fn payload_type(word: &str) -> Option<u8> {
    word.trim_ascii().parse().ok().filter(|pt| *pt < 128)
}

/// `a=rtcp-fb` (RFC 4585 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpFeedback<'a> {
    /// The payload type; `None` for `*`, all of them.
    pub pt: Option<u8>,
    /// The feedback, such as `nack`, `nack pli` or `ccm fir`.
    pub feedback: &'a str,
}

/// `a=extmap` (RFC 8285 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtMap {
    /// The identifier, 1 to 14 for one-byte headers, up to 255 for two-byte ones.
    pub id: u8,
    /// The direction if one was written.
    pub direction: Option<Direction>,
    /// The URI that names the extension.
    pub uri: String,
}

impl ExtMap {
    fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (id, direction) = match words.next()?.split_once('/') {
            Some((id, direction)) => (id, Some(direction.parse().ok()?)),
            None => (value.split_ascii_whitespace().next()?, None),
        };
        let id = id.parse().ok().filter(|id| *id > 0)?;
        Some(Self { id, direction, uri: words.next()?.to_owned() })
    }
}

/// `a=fingerprint`: the hash of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function, such as `sha-256`, in lower case.
    pub algorithm: String,
    /// The hash.
    pub bytes: Vec<u8>,
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(value: &str) -> Result<Self, ()> {
        let mut words = value.split_ascii_whitespace();
        let (algorithm, hash) = (words.next().ok_or(())?, words.next().ok_or(())?);
        let bytes = hash.split(':').map(|byte| match byte.len() {
            2 if byte.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(byte, 16).map_err(|_| ()),
            _ => Err(()),
        });
        Ok(Self { algorithm: algorithm.to_ascii_lowercase(), bytes: bytes.collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm)?;
        for (index, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// `a=ssrc` (RFC 5576 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcLine<'a> {
    /// The synchronisation source.
    pub ssrc: u32,
    /// The name of the source attribute, such as `cname` or `msid`; empty when there is none.
    pub attribute: &'a str,
    /// Its value; empty when there is none.
    pub value: &'a str,
}

/// `a=ssrc-group` (RFC 5576 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// What relates the sources: `FID` for retransmission (RFC 4588), `SIM` for simulcast, and others.
    pub semantics: String,
    /// The sources in their order.
    pub ssrcs: Vec<u32>,
}

/// `a=group` (RFC 5888 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// What relates the media: `BUNDLE` (RFC 8843), `LS` and others.
    pub semantics: &'a str,
    /// The identification tags of the media in their order.
    pub mids: Vec<&'a str>,
}

/// `a=rid` (RFC 8851 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid<'a> {
    /// The restriction identifier.
    pub id: &'a str,
    /// Whether the writer sends this stream; otherwise it receives it.
    pub sends: bool,
    /// The restrictions as written, such as `max-width=1280;max-height=720`; empty when there are none.
    pub restrictions: &'a str,
}

/// `a=simulcast` (RFC 8853 §5.1): per direction the streams, each with its alternatives. A leading `~` (paused) is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// What the writer sends.
    pub send: Vec<Vec<String>>,
    /// What the writer receives.
    pub recv: Vec<Vec<String>>,
}

impl Simulcast {
    fn read(value: &str) -> Self {
        let mut simulcast = Self::default();
        let mut words = value.split_ascii_whitespace();
        while let (Some(direction), Some(streams)) = (words.next(), words.next()) {
            let streams = streams.split(';').map(|s| s.split(',').map(str::to_owned).collect()).collect();
            match direction {
                "send" => simulcast.send = streams,
                "recv" => simulcast.recv = streams,
                _ => {}
            }
        }
        simulcast
    }
}

impl Media {
    /// All readable `a=rtpmap` lines.
    pub fn rtpmaps(&self) -> impl Iterator<Item = RtpMap> {
        self.attribute_values("rtpmap").filter_map(RtpMap::read)
    }

    /// The `a=rtpmap` of a payload type.
    pub fn rtpmap(&self, pt: u8) -> Option<RtpMap> {
        self.rtpmaps().find(|map| map.pt == pt)
    }

    /// All `a=fmtp` lines (RFC 8866 §6.15) with a payload type: it and the parameters as written.
    pub fn fmtps(&self) -> impl Iterator<Item = (u8, &str)> {
        self.attribute_values("fmtp").filter_map(|value| {
            let (pt, parameters) = value.split_once(' ')?;
            Some((payload_type(pt)?, parameters))
        })
    }

    /// The parameters of a payload type as written.
    pub fn fmtp(&self, pt: u8) -> Option<&str> {
        self.fmtps().find(|(other, _)| *other == pt).map(|(_, parameters)| parameters)
    }

    /// All `a=rtcp-fb` lines.
    pub fn feedbacks(&self) -> impl Iterator<Item = RtcpFeedback<'_>> {
        self.attribute_values("rtcp-fb").filter_map(|value| {
            let (pt, feedback) = value.split_once(' ')?;
            let pt = if pt == "*" { None } else { Some(payload_type(pt)?) };
            Some(RtcpFeedback { pt, feedback: feedback.trim_ascii() })
        })
    }

    /// All `a=extmap` lines.
    pub fn extmaps(&self) -> impl Iterator<Item = ExtMap> {
        self.attribute_values("extmap").filter_map(ExtMap::read)
    }

    /// The identification tag, `a=mid` (RFC 5888 §4).
    pub fn mid(&self) -> Option<&str> {
        self.attribute("mid").filter(|mid| !mid.is_empty())
    }

    /// The direction that this section states, if any.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes.iter().find_map(|a| a.key.parse().ok())
    }

    /// Whether RTP and RTCP share a port (RFC 5761 §5.1.1).
    pub fn rtcp_mux(&self) -> bool {
        self.has_attribute("rtcp-mux")
    }

    /// The RTCP port and, if written, its address: `a=rtcp` (RFC 3605 §2.1).
    pub fn rtcp(&self) -> Option<(u16, Option<Connection>)> {
        let value = self.attribute("rtcp")?;
        let (port, rest) = value.split_once(' ').unwrap_or((value, ""));
        Some((port.trim_ascii().parse().ok()?, read_connection(rest)))
    }

    /// All `a=ssrc` lines.
    pub fn ssrcs(&self) -> impl Iterator<Item = SsrcLine<'_>> {
        self.attribute_values("ssrc").filter_map(|value| {
            let (ssrc, rest) = value.split_once(' ').unwrap_or((value, ""));
            let (attribute, value) = rest.split_once(':').unwrap_or((rest, ""));
            Some(SsrcLine { ssrc: ssrc.trim_ascii().parse().ok()?, attribute, value })
        })
    }

    /// All `a=ssrc-group` lines.
    pub fn ssrc_groups(&self) -> impl Iterator<Item = SsrcGroup> {
        self.attribute_values("ssrc-group").filter_map(|value| {
            let mut words = value.split_ascii_whitespace();
            let semantics = words.next()?.to_owned();
            Some(SsrcGroup { semantics, ssrcs: words.filter_map(|word| word.parse().ok()).collect() })
        })
    }

    /// The readable ICE candidates (RFC 8839 §5.1).
    pub fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.attribute_values("candidate").filter_map(|value| value.parse().ok())
    }

    /// The SCTP port: `a=sctp-port` (RFC 8841 §5).
    pub fn sctp_port(&self) -> Option<u16> {
        self.attribute("sctp-port")?.trim_ascii().parse().ok()
    }

    /// The SCTP port of the syntax before RFC 8841: `a=sctpmap:5000 webrtc-datachannel 1024`.
    pub fn sctpmap_port(&self) -> Option<u16> {
        self.attribute("sctpmap")?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The longest message that the writer takes, in bytes: `a=max-message-size` (RFC 8841 §6). 0 means any; without
    /// the attribute 64 KiB hold.
    pub fn max_message_size(&self) -> Option<u64> {
        self.attribute("max-message-size")?.trim_ascii().parse().ok()
    }

    /// All `a=rid` lines.
    pub fn rids(&self) -> impl Iterator<Item = Rid<'_>> {
        self.attribute_values("rid").filter_map(|value| {
            let mut words = value.splitn(3, ' ');
            let (id, direction) = (words.next()?, words.next()?);
            let sends = match direction {
                "send" => true,
                "recv" => false,
                _ => return None,
            };
            Some(Rid { id, sends, restrictions: words.next().unwrap_or("") })
        })
    }

    /// The simulcast line.
    pub fn simulcast(&self) -> Option<Simulcast> {
        self.attribute("simulcast").map(Simulcast::read)
    }
}

impl SessionDescription {
    /// The groups of media (RFC 5888).
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.attribute_values("group").filter_map(|value| {
            let mut words = value.split_ascii_whitespace();
            Some(Group { semantics: words.next()?, mids: words.collect() })
        })
    }

    /// The tags of the first BUNDLE group (RFC 8843 §7); `None` when nothing is bundled.
    pub fn bundle(&self) -> Option<Vec<&str>> {
        self.groups().find(|group| group.semantics == "BUNDLE").map(|group| group.mids)
    }

    /// The direction of a media section, from its own lines, the session's, or the default (RFC 8866 §6.7).
    pub fn direction_of(&self, media: &Media) -> Direction {
        let session = || self.attributes.iter().find_map(|a| a.key.parse().ok());
        media.direction().or_else(session).unwrap_or_default()
    }

    /// Who opens the DTLS connection of a media section, from its own lines or the session's.
    pub fn setup_of(&self, media: &Media) -> Option<Setup> {
        self.inherited(media, "setup").map(Setup::read)
    }

    /// The ICE user name fragment of a media section (RFC 8839 §5.4), from its own lines or the session's.
    pub fn ice_ufrag_of<'a>(&'a self, media: &'a Media) -> Option<&'a str> {
        self.inherited(media, "ice-ufrag")
    }

    /// The ICE password of a media section (RFC 8839 §5.4), from its own lines or the session's.
    pub fn ice_pwd_of<'a>(&'a self, media: &'a Media) -> Option<&'a str> {
        self.inherited(media, "ice-pwd")
    }

    /// The certificate fingerprint of a media section: of the readable ones at its own level, or else at the session's,
    /// the strongest hash that RFC 8122 §5 names.
    pub fn fingerprint_of(&self, media: &Media) -> Option<Fingerprint> {
        let strongest = |attributes| {
            values(attributes, "fingerprint").filter_map(|v| v.parse().ok()).max_by_key(|f: &Fingerprint| {
                ["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"].iter().position(|name| *name == f.algorithm)
            })
        };
        strongest(&media.attributes).or_else(|| strongest(&self.attributes))
    }

    /// Whether the peer is an ICE lite agent (RFC 8839 §5.3).
    pub fn ice_lite(&self) -> bool {
        self.attribute("ice-lite").is_some()
    }

    /// Whether no further candidates follow for a media section (RFC 8838 §8.2), said at either level.
    pub fn end_of_candidates(&self, media: &Media) -> bool {
        self.inherited(media, "end-of-candidates").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Attribute;
    use super::*;

    fn media(lines: &[(&str, &str)]) -> Media {
        let attributes = lines.iter().map(|(key, value)| Attribute::value(*key, *value)).collect();
        Media { attributes, ..Media::default() }
    }

    #[test]
    fn codec_lines() {
        let m = media(&[
            ("rtpmap", "111 opus/48000/2"),
            ("rtpmap", "200 nothing/1"),
            ("rtpmap", "9 G722"),
            ("rtcp-fb", "111 transport-cc"),
            ("rtcp-fb", "* nack pli"),
            ("fmtp", "111 minptime=10;useinbandfec=1"),
        ]);
        let opus = RtpMap { pt: 111, name: "opus".into(), clock_rate: 48000, channels: Some(2) };
        assert_eq!(m.rtpmaps().collect::<Vec<_>>(), [opus]);
        assert_eq!(m.fmtp(111), Some("minptime=10;useinbandfec=1"));
        let feedbacks: Vec<_> = m.feedbacks().map(|f| (f.pt, f.feedback)).collect();
        assert_eq!(feedbacks, [(Some(111), "transport-cc"), (None, "nack pli")]);
    }

    #[test]
    fn extensions_with_and_without_direction() {
        let m = media(&[("extmap", "6/recvonly urn:x"), ("extmap", "0 urn:y"), ("extmap", "4 urn:z extra")]);
        let read: Vec<_> = m.extmaps().map(|e| (e.id, e.direction, e.uri)).collect();
        assert_eq!(read, [(6, Some(Direction::RecvOnly), "urn:x".to_owned()), (4, None, "urn:z".to_owned())]);
    }

    #[test]
    fn sources_groups_and_simulcast() {
        let m = media(&[
            ("ssrc-group", "FID 10 11"),
            ("ssrc", "10 cname:abc"),
            ("ssrc", "11"),
            ("rid", "h send max-width=1280"),
            ("rid", "l send"),
            ("rid", "x odd"),
            ("simulcast", "send h;~l,m recv q"),
        ]);
        let sources: Vec<_> = m.ssrcs().map(|s| (s.ssrc, s.attribute, s.value)).collect();
        assert_eq!(sources, [(10, "cname", "abc"), (11, "", "")]);
        assert_eq!(m.ssrc_groups().next().map(|g| g.ssrcs), Some(vec![10, 11]));
        let rids: Vec<_> = m.rids().map(|r| (r.id, r.sends, r.restrictions)).collect();
        assert_eq!(rids, [("h", true, "max-width=1280"), ("l", true, "")]);
        let simulcast = m.simulcast().expect("a simulcast line");
        assert_eq!(simulcast.send, [vec!["h".to_owned()], vec!["~l".to_owned(), "m".to_owned()]]);
        assert_eq!(simulcast.recv, [vec!["q".to_owned()]]);
    }

    #[test]
    fn fingerprints_prefer_the_media_level_and_the_stronger_hash() {
        let session = SessionDescription {
            attributes: vec![Attribute::value("fingerprint", "sha-512 01:02"), Attribute::value("setup", "passive")],
            ..SessionDescription::default()
        };
        let m = media(&[("fingerprint", "sha-1 0A"), ("fingerprint", "SHA-256 ab:CD"), ("fingerprint", "sha-384 zz")]);
        let found = session.fingerprint_of(&m).expect("a fingerprint");
        assert_eq!((found.algorithm.as_str(), found.bytes.as_slice()), ("sha-256", &[0xab, 0xcd][..]));
        assert_eq!(found.to_string(), "sha-256 AB:CD");
        assert_eq!(session.fingerprint_of(&media(&[])).map(|f| f.bytes), Some(vec![1, 2]));
        assert_eq!(session.setup_of(&m), Some(Setup::Passive));
    }

    #[test]
    fn data_channel_lines() {
        let m = media(&[("sctpmap", "5000 webrtc-datachannel 1024"), ("max-message-size", "262144")]);
        assert_eq!((m.sctp_port(), m.sctpmap_port(), m.max_message_size()), (None, Some(5000), Some(262144)));
        assert_eq!(media(&[("rtcp", "9 IN IP4 0.0.0.0")]).rtcp().map(|(port, c)| (port, c.is_some())), Some((9, true)));
        assert_eq!(media(&[("rtcp", "53020")]).rtcp(), Some((53020, None)));
    }
}
