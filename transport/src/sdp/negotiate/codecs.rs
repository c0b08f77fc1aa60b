//! Which codecs two sides have in common, and the payload types of our offers (RFC 3264 §6.1, RFC 3551).
//!
//! What enters: the codecs that we have by name, and a peer's media section. What leaves: [`Codec`]s with the peer's
//! payload types. It must not know formats beyond their names; no profile is compared, because Kurento compares none.

use std::str::FromStr;

use super::super::attributes::{RtpMap, payload_type};
use super::super::model::Media;

/// A codec that we have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCodec {
    /// The encoding name.
    pub name: String,
    /// The clock rate in Hz.
    pub clock_rate: u32,
    /// The number of audio channels if it is to be written.
    pub channels: Option<u8>,
}

impl LocalCodec {
    /// A codec by its parts.
    pub fn new(name: impl Into<String>, clock_rate: u32, channels: Option<u8>) -> Self {
        Self { name: name.into(), clock_rate, channels }
    }

    fn matches(&self, map: &RtpMap) -> bool {
        self.name.eq_ignore_ascii_case(&map.name)
            && self.clock_rate == map.clock_rate
            && self.channels.unwrap_or(1) == map.channels.unwrap_or(1)
    }

    /// The static payload type (RFC 3551 §6) of the few codecs that still have one in use.
    fn static_pt(&self) -> Option<u8> {
        STATIC
            .iter()
            .find(|(_, name, clock)| self.name.eq_ignore_ascii_case(name) && self.clock_rate == *clock)
            .map(|(pt, ..)| *pt)
    }

    /// The parameters with which Kurento offers this codec.
    pub(super) fn offered_fmtp(&self) -> Option<&'static str> {
        match self.name.to_ascii_uppercase().as_str() {
            "H264" => Some("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
            "AV1" => Some("level-idx=5;profile=0;tier=0"),
            "VP9" => Some("profile-id=0"),
            _ => None,
        }
    }

    /// The feedback with which Kurento offers this video codec; REMB not for H.264 and H.265.
    pub(super) fn offered_feedback(&self) -> &'static [&'static str] {
        match self.name.to_ascii_uppercase().as_str() {
            "VP8" | "VP9" | "AV1" => &["nack", "nack pli", "goog-remb", "ccm fir"],
            _ => &["nack", "nack pli", "ccm fir"],
        }
    }
}

impl FromStr for LocalCodec {
    type Err = ();

    /// Reads the notation of Kurento's configuration: `opus/48000/2`, `VP8/90000`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let name = parts.next().filter(|name| !name.is_empty()).ok_or(())?;
        let clock_rate = parts.next().ok_or(())?.parse().map_err(|_| ())?;
        let channels = parts.next().map(str::parse).transpose().map_err(|_| ())?;
        if parts.next().is_some() { Err(()) } else { Ok(Self::new(name, clock_rate, channels)) }
    }
}

/// Static payload types that may lack an `a=rtpmap` line (RFC 3551 §6).
const STATIC: [(u8, &str, u32); 9] = [
    (0, "PCMU", 8000),
    (3, "GSM", 8000),
    (8, "PCMA", 8000),
    (9, "G722", 8000),
    (14, "MPA", 90000),
    (18, "G729", 8000),
    (26, "JPEG", 90000),
    (31, "H261", 90000),
    (34, "H263", 90000),
];

/// A codec that both sides have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The payload type, the same in both directions.
    pub pt: u8,
    /// The encoding name as the peer wrote it.
    pub name: String,
    /// The clock rate in Hz.
    pub clock_rate: u32,
    /// The number of audio channels if it was written; otherwise one.
    pub channels: Option<u8>,
    /// The peer's parameters as written (RFC 8866 §6.15).
    pub fmtp: Option<String>,
    /// The RTCP feedback of both sides in the peer's order, such as `nack pli`.
    pub feedback: Vec<String>,
    /// The payload type that retransmits this one (RFC 4588), if that is taken; see [`Modern`](super::Modern).
    pub rtx: Option<u8>,
}

/// The codecs of a peer's media section that we have, in the order of its formats, with what it says about them.
/// Feedback is read only where the protocol has it (`…AVPF`, RFC 4585 §4.1).
pub(super) fn accepted_codecs(media: &Media, ours: &[LocalCodec], feedback: &[String]) -> Vec<Codec> {
    let mut maps = ByPayloadType::new();
    for map in media.rtpmaps() {
        maps.insert_first(map.pt, map);
    }
    let mut codecs: Vec<Codec> = Vec::new();
    let mut positions = ByPayloadType::new();
    for pt in media.formats.iter().filter_map(|format| payload_type(format)) {
        let Some(map) = maps.take(pt).or_else(|| static_map(pt)) else { continue };
        if positions.get(pt).is_none() && ours.iter().any(|codec| codec.matches(&map)) {
            positions.insert_first(pt, codecs.len());
            let RtpMap { pt, name, clock_rate, channels } = map;
            codecs.push(Codec { pt, name, clock_rate, channels, fmtp: None, feedback: Vec::new(), rtx: None });
        }
    }
    for (pt, parameters) in media.fmtps() {
        if let Some(position) = positions.get(pt) {
            codecs[*position].fmtp.get_or_insert_with(|| parameters.to_owned());
        }
    }
    if media.proto.ends_with('F') {
        for line in media.feedbacks().filter(|line| accepts_feedback(feedback, line.feedback)) {
            if let Some(position) = line.pt.and_then(|pt| positions.get(pt)) {
                codecs[*position].feedback.push(line.feedback.to_owned());
            }
        }
    }
    codecs
}

/// Whether the first word of a feedback is among those that we accept.
pub(super) fn accepts_feedback(accepted: &[String], feedback: &str) -> bool {
    feedback.split_ascii_whitespace().next().is_some_and(|word| accepted.iter().any(|a| a == word))
}

fn static_map(pt: u8) -> Option<RtpMap> {
    let (pt, name, clock_rate) = STATIC.iter().find(|(static_pt, ..)| *static_pt == pt)?;
    Some(RtpMap { pt: *pt, name: (*name).to_owned(), clock_rate: *clock_rate, channels: None })
}

/// The payload types with which Kurento offers a list of codecs: static ones for those that have one, the others
/// counted up from `first_dynamic`. Codecs for which no payload type is left below 128 are not offered.
pub(super) fn number_codecs(codecs: &[LocalCodec], first_dynamic: usize) -> Vec<(u8, &LocalCodec)> {
    let mut next = first_dynamic;
    let mut numbered = Vec::new();
    for codec in codecs {
        let pt = codec.static_pt().or_else(|| {
            next += 1;
            u8::try_from(next - 1).ok().filter(|pt| *pt < 128)
        });
        numbered.extend(pt.map(|pt| (pt, codec)));
    }
    numbered
}

/// The first dynamic payload type of an offered video line. Kurento counts the dynamic audio codecs once more, and all of
/// the video codecs once, before it numbers the video line that follows an audio line.
pub(super) fn first_video_pt(audio: &[LocalCodec], video: &[LocalCodec], follows_audio: bool) -> usize {
    let dynamic = |codecs: &[LocalCodec]| codecs.iter().filter(|codec| codec.static_pt().is_none()).count();
    let (audio, video) = (dynamic(audio), dynamic(video));
    let with_gap = 96 + 2 * audio + video;
    if follows_audio && with_gap + video <= 128 { with_gap } else { 96 + audio }
}

/// A table by payload type, so that reading a section stays linear in its length.
#[derive(Debug)]
pub(super) struct ByPayloadType<T>(Vec<Option<T>>);

impl<T> ByPayloadType<T> {
    pub(super) fn new() -> Self {
        Self(std::iter::repeat_with(|| None).take(128).collect())
    }

    /// Keeps the first value given for a payload type.
    pub(super) fn insert_first(&mut self, pt: u8, value: T) {
        if let Some(slot) = self.0.get_mut(usize::from(pt)) {
            slot.get_or_insert(value);
        }
    }

    pub(super) fn get(&self, pt: u8) -> Option<&T> {
        self.0.get(usize::from(pt))?.as_ref()
    }

    /// Takes the value of a payload type out, so that it is found once.
    pub(super) fn take(&mut self, pt: u8) -> Option<T> {
        self.0.get_mut(usize::from(pt))?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_notation() {
        assert_eq!("opus/48000/2".parse(), Ok(LocalCodec::new("opus", 48000, Some(2))));
        assert_eq!("VP8/90000".parse(), Ok(LocalCodec::new("VP8", 90000, None)));
        for bad in ["", "VP8", "/90000", "VP8/x", "opus/48000/two", "a/1/2/3"] {
            assert_eq!(bad.parse::<LocalCodec>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn numbering_ends_at_127() {
        let codecs: Vec<_> = (0..40).map(|n| LocalCodec::new(format!("c{n}"), 90000, None)).collect();
        let numbered = number_codecs(&codecs, first_video_pt(&[], &codecs, true));
        assert_eq!(numbered.first().map(|(pt, _)| *pt), Some(96));
        assert_eq!(numbered.last().map(|(pt, _)| *pt), Some(127));
        assert_eq!(numbered.len(), 32);
    }

    #[test]
    fn a_payload_type_counts_once_and_static_ones_need_no_map() {
        let media = Media {
            kind: "audio".into(),
            proto: "RTP/AVP".into(),
            formats: ["0", "0", "8", "x", "300", "99"].map(str::to_owned).to_vec(),
            ..Media::default()
        };
        let ours = [LocalCodec::new("pcmu", 8000, None), LocalCodec::new("PCMA", 8000, Some(1))];
        let pts: Vec<_> = accepted_codecs(&media, &ours, &[]).iter().map(|codec| codec.pt).collect();
        assert_eq!(pts, [0, 8]);
    }
}
