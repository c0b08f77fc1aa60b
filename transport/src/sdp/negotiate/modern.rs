//! What newer peers offer and Kurento declines: retransmission on a source of its own, transport-wide feedback, the
//! identification tag in each packet, and names for our streams.
//!
//! What enters: an offered media section, the codecs found in it, and a [`Modern`] that says what may be taken. What
//! leaves: the additions to those codecs, feedback and extensions. It must not add anything that the peer did not
//! offer: with every switch off, and to a peer that offers none of it, answers are Kurento's.

use super::super::attributes::payload_type;
use super::super::model::{Attribute, Media, SessionDescription};
use super::codecs::{ByPayloadType, Codec};
use super::{Kind, LocalSession};

/// The header extension that numbers packets over all lines of a transport
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The header extension that carries the identification tag of the media line (RFC 8843 §15).
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The longest data channel message that we take, in bytes; as in Chromium.
pub const MAX_MESSAGE_SIZE: u32 = 256 * 1024;

/// The RTCP feedback that goes with [`TRANSPORT_CC`].
const TRANSPORT_CC_FEEDBACK: &str = "transport-cc";

/// The additions that an answer takes when the peer offers them. The default takes none, as Kurento.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modern {
    /// Retransmission payload types of video codecs that have `nack` (RFC 4588).
    pub rtx: bool,
    /// Transport-wide feedback: the extension [`TRANSPORT_CC`] and `a=rtcp-fb:… transport-cc`, both or neither. On lines on
    /// which the peer sends: we tell it how that arrives, and number nothing that we send.
    pub transport_cc: bool,
    /// The extension [`MID`], on lines that have a tag.
    pub mid: bool,
    /// `a=msid` (RFC 8830) on lines on which we send, for a peer that uses it.
    pub msid: bool,
    /// `a=max-message-size` (RFC 8841 §6) on data channel lines: of an answer if the peer says its own, and of our offers.
    pub message_size: bool,
}

impl Modern {
    /// Takes everything.
    pub const ALL: Self = Self { rtx: true, transport_cc: true, mid: true, msid: true, message_size: true };

    /// The longest message that we take, where it is said: `theirs` is what the peer says of itself.
    pub(super) fn message_size(self, theirs: Option<u64>) -> Option<Attribute> {
        let said = self.message_size && theirs.is_some();
        said.then(|| Attribute::value("max-message-size", MAX_MESSAGE_SIZE.to_string()))
    }

    /// The first words of the feedback that is accepted on a line: ours, and that of the extension if it is offered.
    pub(super) fn feedback(self, local: &LocalSession, offered: &Media, peer_sends: bool) -> Vec<String> {
        let mut words = local.feedback.clone();
        if self.transport_cc && peer_sends && offered.extmaps().any(|extmap| extmap.uri == TRANSPORT_CC) {
            words.push(TRANSPORT_CC_FEEDBACK.to_owned());
        }
        words
    }

    /// Adds to the codecs of a line what concerns all payload types or stands in other ones.
    pub(super) fn complete(self, kind: Kind, offered: &Media, feedback: &[String], codecs: &mut [Codec]) {
        if offered.attributes.iter().any(|attribute| is_for_all(offered, feedback, attribute)) {
            for codec in codecs.iter_mut().filter(|codec| !has(codec, TRANSPORT_CC_FEEDBACK)) {
                codec.feedback.push(TRANSPORT_CC_FEEDBACK.to_owned());
            }
        }
        if self.rtx && kind == Kind::Video {
            pair_repairs(offered, codecs);
        }
    }

    /// Whether an offered extension is one of these additions, and taken.
    pub(super) fn accepts(self, uri: &str, offered: &Media, codecs: &[Codec]) -> bool {
        match uri {
            TRANSPORT_CC => self.transport_cc && codecs.iter().any(|codec| has(codec, TRANSPORT_CC_FEEDBACK)),
            MID => self.mid && offered.mid().is_some() && !codecs.is_empty(),
            _ => false,
        }
    }

    /// Whether the source that we send on a line is given a name: a peer that uses names says so on the line or,
    /// if it only receives there, for the session.
    pub(super) fn names_source(self, session: &SessionDescription, offered: &Media) -> bool {
        self.msid && (offered.has_attribute("msid") || session.attribute("msid-semantic").is_some())
    }
}

/// Whether an attribute is `a=rtcp-fb:* transport-cc`, and accepted. Other feedback for all payload types is passed
/// over, as Kurento does.
pub(super) fn is_for_all(offered: &Media, feedback: &[String], attribute: &Attribute) -> bool {
    attribute.key == "rtcp-fb"
        && attribute.value.as_deref().and_then(|value| value.strip_prefix("* ")).map(str::trim_ascii)
            == Some(TRANSPORT_CC_FEEDBACK)
        && offered.proto.ends_with('F')
        && feedback.iter().any(|word| word == TRANSPORT_CC_FEEDBACK)
}

fn has(codec: &Codec, feedback: &str) -> bool {
    codec.feedback.iter().any(|f| f == feedback)
}

/// Gives each codec with `nack` the first offered payload type that retransmits it (RFC 4588 §8.1).
fn pair_repairs(offered: &Media, codecs: &mut [Codec]) {
    let mut clock_rates = ByPayloadType::new();
    for map in offered.rtpmaps().filter(|map| map.name.eq_ignore_ascii_case("rtx")) {
        clock_rates.insert_first(map.pt, map.clock_rate);
    }
    let mut is_format = ByPayloadType::new();
    for pt in offered.formats.iter().filter_map(|format| payload_type(format)) {
        is_format.insert_first(pt, ());
    }
    for (pt, parameters) in offered.fmtps() {
        let (Some(clock_rate), Some(())) = (clock_rates.get(pt), is_format.get(pt)) else { continue };
        let apt = parameters.split(';').find_map(|p| p.trim_ascii().strip_prefix("apt=")).and_then(payload_type);
        let repaired = codecs.iter_mut().find(|codec| Some(codec.pt) == apt && codec.clock_rate == *clock_rate);
        if let Some(codec) = repaired.filter(|codec| has(codec, "nack")) {
            codec.rtx.get_or_insert(pt);
        }
    }
}

/// A stream's name from any text: what RFC 8830 §2 does not allow in one becomes `-`, and it ends after 64 characters.
pub(super) fn stream_name(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    text.chars().take(64).map(|c| if is_allowed(c) { c } else { '-' }).collect()
}
