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
            MediaKind::Audio => Caps::audio(name, codec.clock_rate, codec.channels.unwrap_or(1)),
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

/// Whether packets of one format can be sent as the other: the same codec, clock and channels, and for H.264 the same
/// packetization mode (RFC 6184, section 8.1), for VP9 the same profile (RFC 9628, section 6).
fn is_alike(ours: &Caps, theirs: &Caps) -> bool {
    let parameter = |caps: &Caps, name: &str, default: &str| {
        let pairs = caps.format().unwrap_or_default().split(';').map(str::trim).filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        value.unwrap_or(default).to_owned()
    };
    let same = |name, default| parameter(ours, name, default) == parameter(theirs, name, default);
    ours.codec() == theirs.codec()
        && ours.clock_rate() == theirs.clock_rate()
        && match ours.codec() {
            rivero_engine::Codec::H264 => same("packetization-mode", "0"),
            rivero_engine::Codec::Vp9 => same("profile-id", "0"),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::is_alike;
    use rivero_engine::{Caps, Codec};

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
    }
}
