//! Payload types: what was negotiated for each, and which of them a format is sent as.
//!
//! Enters: a codec as negotiated, the caps of a packet. Leaves: a number, and what may be asked of the peer. It must never know
//! whose line they belong to.

use crate::sdp;
use rivero_engine::{Caps, Codec, Form, MediaKind, Takes};

/// One negotiated payload type.
#[derive(Clone, Debug)]
pub struct PayloadType {
    pub number: u8,
    pub caps: Caps,
    pub pli: bool,
    pub fir: bool,
    pub nack: bool,
    pub remb: bool,
    /// The payload type that retransmits this one (RFC 4588), if negotiated.
    pub rtx: Option<u8>,
}

impl PayloadType {
    /// `None` for a codec that the engine does not carry.
    pub fn new(codec: &sdp::Codec) -> Option<Self> {
        let name = Codec::parse(&codec.name)?;
        let caps = match name.kind() {
            // Of other audio codecs the parameters are wishes: they must not keep two streams apart.
            MediaKind::Audio => Caps::audio(name, codec.clock_rate, codec.channels.unwrap_or(1))
                .with_format(codec.fmtp.as_deref().filter(|_| !shape(name).is_empty())),
            _ => Caps::video(name, codec.fmtp.as_deref()),
        };
        let has = |wanted: &str| codec.feedback.iter().any(|feedback| feedback == wanted);
        Some(PayloadType {
            number: codec.pt,
            caps,
            pli: has("nack pli"),
            fir: has("ccm fir"),
            nack: has("nack"),
            remb: has("goog-remb"),
            rtx: codec.rtx,
        })
    }
}

/// The negotiated payload type for a format: the same format if there is one, otherwise the same codec in a way of packing that
/// the peer understands.
pub fn payload_type_for(types: &[PayloadType], caps: &Caps) -> Option<u8> {
    let same = types.iter().find(|pt| pt.caps == *caps);
    let alike = || types.iter().find(|pt| is_alike(&pt.caps, caps));
    same.or_else(alike).map(|payload_type| payload_type.number)
}

/// What an input takes whose packets leave as these: anything else is converted to the first of them that can be made.
pub fn takes(types: Vec<PayloadType>) -> Takes {
    if types.is_empty() {
        return Takes::Nothing;
    }
    let preferred = types.iter().map(|payload_type| payload_type.caps.clone()).collect();
    Takes::only(move |caps| caps.form() == Form::Packets && payload_type_for(&types, caps).is_some(), preferred)
}

/// In Hz, of the preferred format.
pub fn clock_rate(types: &[PayloadType]) -> u32 {
    types.first().map_or(90_000, |payload_type| payload_type.caps.clock_rate())
}

/// Whether lost packets are asked for: Kurento does so for video where generic NACK is negotiated on the preferred format.
pub fn asks_again(kind: MediaKind, types: &[PayloadType]) -> bool {
    kind == MediaKind::Video && types.first().is_some_and(|payload_type| payload_type.nack)
}

/// Whether REMB goes to and fro: as with NACK, the preferred format decides.
pub fn has_remb(kind: MediaKind, types: &[PayloadType]) -> bool {
    kind == MediaKind::Video && types.first().is_some_and(|payload_type| payload_type.remb)
}

/// The parameters, with their defaults, that decide how packets of a codec are built or what a decoder must know before them. H.264: RFC
/// 6184, section 8.1; VP9: RFC 9628, section 6; AMR: RFC 4867, section 8; AAC: RFC 3640, section 4.1; Vorbis: RFC 5215, section 6.
fn shape(codec: Codec) -> &'static [(&'static str, &'static str)] {
    match codec {
        Codec::H264 => &[("packetization-mode", "0")],
        Codec::Vp9 => &[("profile-id", "0")],
        Codec::AmrNb | Codec::AmrWb => {
            &[("octet-align", "0"), ("crc", "0"), ("robust-sorting", "0"), ("interleaving", "")]
        }
        Codec::Aac => &[
            ("mode", ""),
            ("config", ""),
            ("sizelength", "0"),
            ("indexlength", "0"),
            ("indexdeltalength", "0"),
            ("constantduration", ""),
        ],
        Codec::Vorbis => &[("configuration", "")],
        _ => &[],
    }
}

/// Whether packets of one format can be sent as the other: the same codec, clock and channels, and the same shape.
fn is_alike(ours: &Caps, theirs: &Caps) -> bool {
    fn parameter<'a>(caps: &'a Caps, name: &str) -> Option<&'a str> {
        let mut pairs = caps.format()?.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
    let same = |(name, default): &(&str, &str)| {
        let value = |caps| parameter(caps, name).unwrap_or(default);
        let (ours, theirs) = (value(ours), value(theirs));
        // Vorbis' is base64, in which letters matter.
        ours == theirs || (*name != "configuration" && ours.eq_ignore_ascii_case(theirs))
    };
    (ours.codec(), ours.clock_rate(), ours.channels()) == (theirs.codec(), theirs.clock_rate(), theirs.channels())
        && shape(ours.codec()).iter().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_can_be_sent_as_each_other() {
        let h264 = |format| Caps::video(Codec::H264, Some(format));
        assert!(is_alike(
            &h264("profile-level-id=42e01f;packetization-mode=1"),
            &h264("level-asymmetry-allowed=1; packetization-mode=1;profile-level-id=42001f")
        ));
        assert!(!is_alike(&h264("packetization-mode=1"), &h264("profile-level-id=42e01f")));
        assert!(is_alike(&Caps::video(Codec::Vp9, None), &Caps::video(Codec::Vp9, Some("profile-id=0"))));
        assert!(!is_alike(&Caps::video(Codec::Vp9, Some("profile-id=2")), &Caps::video(Codec::Vp9, None)));
        assert!(!is_alike(&Caps::video(Codec::Vp8, None), &Caps::video(Codec::Vp9, None)));
        assert!(is_alike(&Caps::audio(Codec::Opus, 48_000, 2), &Caps::audio(Codec::Opus, 48_000, 2)));
        assert!(!is_alike(&Caps::audio(Codec::Pcmu, 8_000, 1), &Caps::audio(Codec::Pcmu, 8_000, 2)));
    }

    #[test]
    fn of_audio_only_what_shapes_packets_tells_formats_apart() {
        let negotiated = |pt: u8, name: &str, fmtp: Option<&str>| {
            let (name, fmtp) = (name.to_owned(), fmtp.map(str::to_owned));
            let codec =
                sdp::Codec { pt, name, clock_rate: 8000, channels: None, fmtp, feedback: Vec::new(), rtx: None };
            PayloadType::new(&codec).expect("it is carried")
        };
        let types = [
            negotiated(96, "AMR", Some("mode-set=7; octet-align=1")),
            negotiated(97, "AMR", Some("octet-align=0;mode-set=0,7")),
            negotiated(98, "opus", Some("useinbandfec=1")),
        ];
        let amr = |format| Caps::audio(Codec::AmrNb, 8000, 1).with_format(format);
        assert_eq!(payload_type_for(&types, &amr(Some("octet-align=1"))), Some(96));
        assert_eq!(payload_type_for(&types, &amr(None)), Some(97), "bandwidth-efficient unless said otherwise");
        assert_eq!(payload_type_for(&types[..1], &amr(None)), None, "a peer could not read it");
        assert_eq!(payload_type_for(&types, &amr(Some("octet-align=1; crc=1"))), None);
        assert_eq!(types[2].caps, Caps::audio(Codec::Opus, 8000, 1), "a wish is no format");
    }
}
