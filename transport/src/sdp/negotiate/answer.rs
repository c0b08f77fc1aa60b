//! The answer to an offer, line by line as Kurento writes it (RFC 3264 §6, RFC 9429 §5.3).
//!
//! What enters: a peer's offer and our [`LocalSession`]. What leaves: [`Negotiated`] with our answer. It must not fail
//! where a line can be refused instead; only a data channel line without its port fails, as it does in Kurento.
//!
//! A line meets one of the ends of [`Verdict`], and each is written differently: Kurento leaves traces of how far it
//! came before it refused.

use std::collections::{HashMap, HashSet};

use super::super::attributes::{Direction, ExtMap, Setup, payload_type};
use super::super::error::SdpError;
use super::super::model::{Attribute, Media, SessionDescription};
use super::codecs::{ByPayloadType, Codec, accepted_codecs, accepts_feedback};
use super::modern::{is_for_all, stream_name};
use super::remote::{Remote, read_remote};
use super::{
    DtlsRole, IceCredentials, Kind, LocalMedia, LocalSession, Negotiated, NegotiatedMedia, bundle_line, setup_answer,
};

/// Answers an offer.
///
/// `local.media` needs an entry for each media line of the offer that is not refused outright; as many entries as
/// `offer.media` are always enough.
///
/// # Errors
///
/// [`SdpError::MissingSctpPort`] for an acceptable data channel line without `a=sctp-port`, and
/// [`SdpError::MissingLocalMedia`] when `local.media` is too short.
pub fn answer(offer: &SessionDescription, local: &LocalSession) -> Result<Negotiated, SdpError> {
    let mut answerer = Answerer::new(offer, local);
    let mut description = local.describe();
    let mut media = Vec::with_capacity(offer.media.len());
    for (index, offered) in offer.media.iter().enumerate() {
        let (line, facts) = answerer.answer_line(index, offered)?;
        description.media.push(line);
        media.push(facts);
    }
    description.attributes = offer.attributes.iter().filter(|a| is_copied(&a.key)).cloned().collect();
    let mut bundle = Vec::new();
    if let Some(mids) = &answerer.bundle {
        // By index rather than by search, so that a hostile list of tags costs no more than its length.
        let mut by_mid: HashMap<&str, usize> =
            media.iter().filter(|m| m.accepted).map(|m| (m.mid.as_str(), m.index)).collect();
        bundle = mids.iter().filter_map(|mid| by_mid.remove(mid)).collect();
        description.attributes.push(bundle_line(bundle.iter().map(|index: &usize| media[*index].mid.as_str())));
    }
    Ok(Negotiated { answer: description, media, bundle })
}

/// Whether a session attribute of the offer is copied into the answer. Kurento computes a few and copies all others;
/// those that would be false in our mouth are kept back (see the differences listed in [`sdp`](crate::sdp)).
pub(super) fn is_copied(key: &str) -> bool {
    let computed = ["group", "setup", "direction", "connection"].contains(&key) || Direction::NAMES.contains(&key);
    let false_of_us = ["ice-lite", "end-of-candidates", "identity"].contains(&key);
    !computed && !false_of_us
}

/// What becomes of an offered line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing of ours takes it: unknown kind or protocol, or one line too many of its kind.
    Unhandled,
    /// We could take it, but the peer has switched it off with port 0.
    Disabled,
    /// We could take it, but have none of its codecs.
    NoCodec,
    /// We could take it, but RTCP would need a port of its own, and a WebRTC transport of ours has only one.
    NoRtcpMux,
    /// Taken.
    Accepted,
}

impl Verdict {
    /// Whether a line is refused with nothing of ours in it.
    fn is_outright(self) -> bool {
        matches!(self, Self::Unhandled | Self::NoRtcpMux)
    }
}

/// Goes through the lines of an offer and remembers what is taken.
#[derive(Debug)]
struct Answerer<'a> {
    offer: &'a SessionDescription,
    local: &'a LocalSession,
    /// The tags of the offered BUNDLE group.
    bundle: Option<Vec<&'a str>>,
    /// The same, to look up.
    bundled: HashSet<&'a str>,
    /// The section that speaks for the group: the one of its first tag.
    tagged: Option<&'a Media>,
    /// The index of the group's first line, whose credentials hold for all.
    shared_index: Option<usize>,
    mids: HashSet<String>,
    audio_left: usize,
    video_left: usize,
    data_left: usize,
}

impl<'a> Answerer<'a> {
    fn new(offer: &'a SessionDescription, local: &'a LocalSession) -> Self {
        let bundle = offer.bundle();
        let bundled: HashSet<_> = bundle.iter().flatten().copied().collect();
        let first = bundle.as_ref().and_then(|mids| mids.first());
        Self {
            offer,
            local,
            tagged: offer.media.iter().find(|media| media.mid().is_some() && media.mid() == first.copied()),
            shared_index: offer.media.iter().position(|media| media.mid().is_some_and(|mid| bundled.contains(mid))),
            bundle,
            bundled,
            mids: offer.media.iter().filter_map(|media| media.mid().map(str::to_owned)).collect(),
            audio_left: local.lines.audio.most,
            video_left: local.lines.video.most,
            data_left: usize::from(local.use_data_channels),
        }
    }

    fn answer_line(&mut self, index: usize, offered: &Media) -> Result<(Media, NegotiatedMedia), SdpError> {
        let kind = Kind::of(&offered.kind);
        let is_bundled = offered.mid().is_some_and(|mid| self.bundled.contains(mid));
        let remote = read_remote(self.offer, offered, self.tagged.filter(|_| is_bundled));
        let peer_sends = self.offer.direction_of(offered).sends();
        let feedback = self.local.modern.feedback(self.local, offered, peer_sends);
        let mut codecs = accepted_codecs(offered, self.local.lines.codecs(kind), &feedback);
        let verdict = self.judge(kind, offered, &codecs, is_bundled, remote.rtcp_mux);
        if verdict == Verdict::Accepted {
            self.local.modern.complete(kind, offered, &feedback, &mut codecs);
        }
        if verdict == Verdict::NoRtcpMux {
            tracing::warn!(line = index, mid = offered.mid(), "a media line without a=rtcp-mux is refused with port 0");
        }
        let sctp_port = offered.sctp_port();
        if verdict == Verdict::Accepted && kind == Kind::Application && sctp_port.is_none() {
            return Err(SdpError::MissingSctpPort { index });
        }
        let accepted = verdict == Verdict::Accepted;
        if accepted {
            *self.left(kind).expect("an accepted line is of a kind that we count") -= 1;
        }
        let direction = match (verdict, kind) {
            (Verdict::Accepted | Verdict::NoCodec, Kind::Audio | Kind::Video) => {
                self.offer.direction_of(offered).reversed()
            }
            (Verdict::Accepted, _) => Direction::SendRecv,
            _ => Direction::Inactive,
        };
        let local = self.local;
        let is_accepted = |uri: &String| local.extensions.contains(uri) || local.modern.accepts(uri, offered, &codecs);
        let extmaps = if kind == Kind::Application { Vec::new() } else { accepted_extmaps(offered, is_accepted) };
        let ours = if verdict.is_outright() { None } else { Some(self.local_media(index, is_bundled)?) };
        let (local_ice, own) = ours.unzip();
        let own = own.filter(|_| kind != Kind::Application);
        let repairs = accepted && direction.sends() && codecs.iter().any(|codec| codec.rtx.is_some());
        let facts = NegotiatedMedia {
            index,
            mid: self.mid_of(index, kind, offered),
            kind,
            accepted,
            proto: offered.proto.clone(),
            direction,
            codecs,
            extmaps,
            sctp_port: sctp_port.filter(|_| accepted),
            max_message_size: offered.max_message_size(),
            local_ssrc: own.map(|own| own.ssrc),
            local_rtx_ssrc: own.filter(|_| repairs).map(|own| own.rtx_ssrc),
            local_ice,
            dtls_role: dtls_role(&remote),
            remote,
        };
        Ok((self.write_line(offered, verdict, &facts, &feedback), facts))
    }

    /// The credentials of the transport of a line, and what we bring to the line itself.
    fn local_media(&self, index: usize, is_bundled: bool) -> Result<(IceCredentials, &'a LocalMedia), SdpError> {
        let transport = self.shared_index.filter(|_| is_bundled).unwrap_or(index);
        let find = |index| self.local.media.get(index).ok_or(SdpError::MissingLocalMedia { index });
        Ok((find(transport)?.ice.clone(), find(index)?))
    }

    fn left(&mut self, kind: Kind) -> Option<&mut usize> {
        match kind {
            Kind::Audio => Some(&mut self.audio_left),
            Kind::Video => Some(&mut self.video_left),
            Kind::Application => Some(&mut self.data_left),
            Kind::Other => None,
        }
    }

    fn judge(&mut self, kind: Kind, offered: &Media, codecs: &[Codec], is_bundled: bool, has_mux: bool) -> Verdict {
        let is_known = match kind {
            Kind::Audio | Kind::Video => is_secure_rtp(&offered.proto),
            Kind::Application => offered.proto.ends_with("DTLS/SCTP"),
            Kind::Other => false,
        };
        if !is_known || self.left(kind).is_none_or(|left| *left == 0) {
            return Verdict::Unhandled;
        }
        // Port 0 in a bundle-only line only says that it needs no port of its own (RFC 8843 §6).
        if offered.port == 0 && !(is_bundled && offered.has_attribute("bundle-only")) {
            return Verdict::Disabled;
        }
        match kind {
            Kind::Application => Verdict::Accepted,
            _ if codecs.is_empty() => Verdict::NoCodec,
            _ if !has_mux => Verdict::NoRtcpMux,
            _ => Verdict::Accepted,
        }
    }

    /// The tag of a line, or a unique one where the peer gave none.
    fn mid_of(&mut self, index: usize, kind: Kind, offered: &Media) -> String {
        if let Some(mid) = offered.mid() {
            return mid.to_owned();
        }
        let mut mid = format!("{}{index}", kind.as_str());
        while !self.mids.insert(mid.clone()) {
            mid.push('_');
        }
        mid
    }

    fn write_line(&self, offered: &Media, verdict: Verdict, facts: &NegotiatedMedia, feedback: &[String]) -> Media {
        let formats = match verdict {
            _ if verdict.is_outright() => offered.formats.clone(),
            _ if facts.kind == Kind::Application => offered.formats.clone(),
            _ if facts.codecs.is_empty() => offered.formats.iter().take(1).cloned().collect(),
            _ => kept_types(offered, &facts.codecs).iter().map(u8::to_string).collect(),
        };
        let mut attributes = match (verdict, facts.kind) {
            (Verdict::Unhandled | Verdict::NoRtcpMux | Verdict::Disabled, _) => refused_lines(offered),
            (_, Kind::Application) => self.data_lines(offered, facts),
            _ => self.rtp_lines(offered, facts, feedback),
        };
        if let Some(ice) = &facts.local_ice {
            attributes.extend(self.local.closing_lines(facts.local_ssrc, facts.local_rtx_ssrc, ice));
        }
        Media {
            kind: offered.kind.clone(),
            port: u16::from(facts.accepted),
            proto: offered.proto.clone(),
            formats,
            attributes,
            ..Media::default()
        }
    }

    /// The lines of a data channel section (RFC 8841) up to ICE.
    fn data_lines(&self, offered: &Media, facts: &NegotiatedMedia) -> Vec<Attribute> {
        let mid = offered.mid().map(|mid| Attribute::value("mid", mid));
        let port = facts.sctp_port.map(|port| Attribute::value("sctp-port", port.to_string()));
        let size = self.local.modern.message_size(facts.max_message_size);
        let setup = facts.remote.setup.map(setup_line);
        [mid, port, size, setup].into_iter().flatten().collect()
    }

    /// The lines of an RTP section up to our source: first what is computed, then what is kept in the offer's order.
    fn rtp_lines(&self, offered: &Media, facts: &NegotiatedMedia, accepted_feedback: &[String]) -> Vec<Attribute> {
        let words = if facts.accepted { accepted_feedback } else { &[] };
        let kept = kept_lines(offered, &kept_types(offered, &facts.codecs), words, &facts.remote);
        let mut lines: Vec<_> = facts.extmaps.iter().map(extmap_line).collect();
        lines.push(Attribute::flag(facts.direction.as_str()));
        lines.extend(offered.mid().map(|mid| Attribute::value("mid", mid)));
        lines.push(self.local.rtcp_placeholder());
        lines.extend(kept.into_lines());
        if facts.accepted && facts.direction.sends() && self.local.modern.names_source(self.offer, offered) {
            // One track of a kind: its name need only differ from that of the other kind.
            let track = format!("{} {}", stream_name(&self.local.cname), facts.kind.as_str());
            lines.push(Attribute::value("msid", track));
        }
        lines
    }
}

/// The payload types that stay, in the order of the offer: those of the codecs and those that retransmit them.
fn kept_types(offered: &Media, codecs: &[Codec]) -> Vec<u8> {
    let mut kept = ByPayloadType::new();
    for pt in codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx]).flatten() {
        kept.insert_first(pt, ());
    }
    let mut types = Vec::new();
    for pt in offered.formats.iter().filter_map(|format| payload_type(format)) {
        types.extend(kept.take(pt).map(|()| pt));
    }
    types
}

/// The protocols of RTP over DTLS-SRTP that are taken; browsers have offered them under all of these names.
fn is_secure_rtp(proto: &str) -> bool {
    matches!(proto.strip_prefix("UDP/TLS/").unwrap_or(proto), "RTP/SAVPF" | "RTP/SAVP")
}

/// The lines of a section that is refused or switched off.
pub(super) fn refused_lines(offered: &Media) -> Vec<Attribute> {
    let mid = offered.mid().map(|mid| Attribute::value("mid", mid));
    std::iter::once(Attribute::flag("inactive")).chain(mid).collect()
}

/// The header extensions of an offer that we accept too; a direction is turned round (RFC 8285 §7).
pub(super) fn accepted_extmaps(offered: &Media, is_accepted: impl Fn(&String) -> bool) -> Vec<ExtMap> {
    let mut extmaps: Vec<ExtMap> = Vec::new();
    for extmap in offered.extmaps().filter(|extmap| is_accepted(&extmap.uri)) {
        if extmaps.iter().all(|other| other.uri != extmap.uri && other.id != extmap.id) {
            extmaps.push(ExtMap { direction: extmap.direction.map(Direction::reversed), ..extmap });
        }
    }
    extmaps
}

/// What remains of an offered section of RTP, with what the session or the BUNDLE group says for it.
#[derive(Debug)]
pub(super) struct KeptLines {
    maps: Vec<Attribute>,
    feedback: Vec<Attribute>,
    pub(super) others: Vec<Attribute>,
}

impl KeptLines {
    /// As they stand in an answer: first what belongs to payload types.
    pub(super) fn into_lines(self) -> impl Iterator<Item = Attribute> {
        self.maps.into_iter().chain(self.feedback).chain(self.others)
    }
}

/// Keeps the maps and parameters of these payload types, their feedback in these words, and what belongs to none of them.
pub(super) fn kept_lines(offered: &Media, types: &[u8], words: &[String], remote: &Remote) -> KeptLines {
    let mut kept = ByPayloadType::new();
    types.iter().for_each(|pt| kept.insert_first(*pt, ()));
    let mut maps = ByPayloadType::new();
    let (mut feedback, mut others) = (Vec::new(), Vec::new());
    let has_feedback = offered.proto.ends_with('F');
    let (mut has_setup, mut has_mux) = (false, false);
    for attribute in &offered.attributes {
        let value = attribute.value.as_deref().unwrap_or("");
        let (pt, rest) = value.split_once(' ').unwrap_or((value, ""));
        let pt = payload_type(pt).filter(|pt| kept.get(*pt).is_some());
        match (attribute.key.as_str(), pt) {
            ("rtpmap", Some(pt)) => maps.insert_first(pt, attribute),
            ("rtcp-fb", Some(_)) if has_feedback && accepts_feedback(words, rest) => feedback.push(attribute.clone()),
            ("rtcp-fb", None) if is_for_all(offered, words, attribute) => feedback.push(attribute.clone()),
            ("fmtp", Some(_)) => others.push(attribute.clone()),
            ("setup", _) if std::mem::replace(&mut has_setup, true) => {}
            ("rtcp-mux", _) if std::mem::replace(&mut has_mux, true) => {}
            _ => others.extend(kept_line(attribute, remote)),
        }
    }
    let inherited = inherited_lines(&others, remote);
    others.extend(inherited);
    let maps = types.iter().filter_map(|pt| maps.get(*pt).copied().cloned()).collect();
    KeptLines { maps, feedback, others }
}

/// What remains of an offered attribute that belongs to no payload type.
fn kept_line(attribute: &Attribute, remote: &Remote) -> Option<Attribute> {
    match attribute.key.as_str() {
        "setup" => remote.setup.map(setup_line),
        "rtcp-mux" | "framerate" | "lang" | "maxptime" | "ptime" | "quality" => Some(attribute.clone()),
        // The forerunner of a=setup, which plain RTP peers still use.
        "direction" => match attribute.value.as_deref().map(str::trim_ascii) {
            Some("active") => Some(Attribute::value("direction", "passive")),
            Some("passive") => Some(Attribute::value("direction", "active")),
            _ => None,
        },
        _ => None,
    }
}

/// The lines that hold although the section itself does not carry them: from the session or from the BUNDLE group.
fn inherited_lines(written: &[Attribute], remote: &Remote) -> Vec<Attribute> {
    let is_written = |key| written.iter().any(|attribute| attribute.key == key);
    let setup = remote.setup.filter(|_| !is_written("setup")).map(setup_line);
    let mux = (remote.rtcp_mux && !is_written("rtcp-mux")).then(|| Attribute::flag("rtcp-mux"));
    setup.into_iter().chain(mux).collect()
}

fn setup_line(offered: Setup) -> Attribute {
    Attribute::value("setup", setup_answer(offered).as_str())
}

pub(super) fn extmap_line(extmap: &ExtMap) -> Attribute {
    let direction = extmap.direction.map(|d| format!("/{}", d.as_str())).unwrap_or_default();
    Attribute::value("extmap", format!("{}{direction} {}", extmap.id, extmap.uri))
}

/// Our part as answerer: active where nothing is said, as between two Kurentos.
fn dtls_role(remote: &Remote) -> DtlsRole {
    match remote.setup.map_or(Setup::Active, setup_answer) {
        Setup::Active | Setup::ActPass => DtlsRole::Active,
        Setup::Passive | Setup::HoldConn => DtlsRole::Passive,
    }
}
