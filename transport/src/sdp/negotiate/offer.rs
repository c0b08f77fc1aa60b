//! Our offer as Kurento writes it, and what follows from the peer's answer (RFC 3264 §5 and §7, RFC 9429 §5.2).
//!
//! What enters: our [`LocalSession`], what the caller wants offered, and later the answer. What leaves: the offer with
//! the facts that must be kept for the answer, and [`Negotiated`]. It must not change the offer once it is out.

use std::collections::HashMap;

use super::super::attributes::{Direction, ExtMap, Setup};
use super::super::error::SdpError;
use super::super::model::{Attribute, Bandwidth, Media, SessionDescription};
use super::answer::extmap_line;
use super::codecs::{Codec, LocalCodec, accepted_codecs};
use super::remote::{Remote, read_remote};
use super::{DtlsRole, IceCredentials, Kind, LocalMedia, LocalSession, Negotiated, NegotiatedMedia, bundle_line};

/// The identifier of the first header extension in our offers.
const FIRST_EXTMAP_ID: u8 = 3;

/// Which lines an offer has. A line appears only if the [`LocalSession`] can serve it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferOptions {
    /// An audio line.
    pub audio: bool,
    /// A video line.
    pub video: bool,
    /// A data channel line.
    pub data: bool,
}

/// What was offered on one media line, to be kept until the answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedMedia {
    /// The index of the line, from 0.
    pub index: usize,
    /// Its identification tag.
    pub mid: String,
    /// The kind of media.
    pub kind: Kind,
    /// The transport protocol.
    pub proto: String,
    /// The direction seen from us.
    pub direction: Direction,
    /// The codecs, with our parameters and feedback.
    pub codecs: Vec<Codec>,
    /// The header extensions.
    pub extmaps: Vec<ExtMap>,
    /// Our ICE credentials.
    pub local_ice: IceCredentials,
    /// The source of the media that we send.
    pub local_ssrc: Option<u32>,
    /// The SCTP port that we offered, on a data channel line.
    pub sctp_port: Option<u16>,
}

/// Writes our offer: audio, video and data channels, all in one BUNDLE group, which all use the ICE credentials of the
/// first line.
///
/// # Errors
///
/// [`SdpError::MissingLocalMedia`] when `local.media` has fewer entries than the offer has lines; three are enough.
pub fn offer(local: &LocalSession, options: OfferOptions) -> Result<(SessionDescription, Vec<OfferedMedia>), SdpError> {
    let data = (options.data && local.use_data_channels).then(|| (Kind::Application, Vec::new()));
    let mut description = local.describe();
    let mut offered = Vec::new();
    for (index, (kind, numbered)) in local.lines.offered(options).into_iter().chain(data).enumerate() {
        let entry = |index| local.media.get(index).ok_or(SdpError::MissingLocalMedia { index });
        let LocalMedia { ssrc, .. } = entry(index)?;
        let ice = entry(0)?.ice.clone();
        let media = match kind {
            Kind::Audio | Kind::Video => rtp_offer(local, index, kind, &numbered, ice, *ssrc),
            Kind::Application | Kind::Other => data_offer(local, index, ice),
        };
        description.media.push(write_offered(local, &media));
        offered.push(media);
    }
    description.attributes.push(bundle_line(offered.iter().map(|media| media.mid.as_str())));
    Ok((description, offered))
}

fn rtp_offer(
    local: &LocalSession,
    index: usize,
    kind: Kind,
    numbered: &[(u8, &LocalCodec)],
    local_ice: IceCredentials,
    ssrc: u32,
) -> OfferedMedia {
    let extmap = |(id, uri): (u8, &String)| ExtMap { id, direction: None, uri: uri.clone() };
    OfferedMedia {
        index,
        mid: format!("{}0", kind.as_str()),
        kind,
        proto: "RTP/SAVPF".to_owned(),
        direction: local.direction,
        codecs: offered_codecs(kind, numbered),
        extmaps: (FIRST_EXTMAP_ID..=14).zip(&local.extensions).map(extmap).collect(),
        local_ice,
        local_ssrc: Some(ssrc),
        sctp_port: None,
    }
}

fn data_offer(local: &LocalSession, index: usize, local_ice: IceCredentials) -> OfferedMedia {
    OfferedMedia {
        index,
        mid: format!("{}0", Kind::Application.as_str()),
        kind: Kind::Application,
        proto: "UDP/DTLS/SCTP".to_owned(),
        direction: Direction::SendRecv,
        codecs: Vec::new(),
        extmaps: Vec::new(),
        local_ice,
        local_ssrc: None,
        sctp_port: Some(local.sctp_port),
    }
}

fn write_offered(local: &LocalSession, offered: &OfferedMedia) -> Media {
    let mut attributes = vec![Attribute::value("setup", Setup::ActPass.as_str())];
    let is_data = offered.kind == Kind::Application;
    if is_data {
        attributes.extend(offered.sctp_port.map(|port| Attribute::value("sctp-port", port.to_string())));
        attributes.extend(local.modern.message_size(Some(0)));
    } else {
        attributes.extend(offered.extmaps.iter().map(extmap_line));
        for codec in &offered.codecs {
            attributes.extend(codec_lines(codec));
        }
        attributes.push(local.rtcp_placeholder());
        attributes.push(Attribute::flag("rtcp-mux"));
        attributes.push(Attribute::flag(offered.direction.as_str()));
    }
    attributes.push(Attribute::value("mid", &offered.mid));
    attributes.extend(feedback_lines(&offered.codecs));
    attributes.extend(local.closing_lines(offered.local_ssrc, None, &offered.local_ice));
    let formats = if is_data { vec!["webrtc-datachannel".to_owned()] } else { formats(&offered.codecs) };
    Media {
        kind: offered.kind.as_str().to_owned(),
        port: 1,
        proto: offered.proto.clone(),
        formats,
        connection: None,
        bandwidths: limit_line(local.lines.max_recv_kbps(offered.kind)),
        attributes,
    }
}

/// Codecs as Kurento offers them, with its parameters and feedback.
pub(super) fn offered_codecs(kind: Kind, numbered: &[(u8, &LocalCodec)]) -> Vec<Codec> {
    let codec = |(pt, codec): &(u8, &LocalCodec)| {
        let feedback = if kind == Kind::Video { codec.offered_feedback() } else { &[] };
        Codec {
            pt: *pt,
            name: codec.name.clone(),
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            fmtp: codec.offered_fmtp().map(str::to_owned),
            feedback: feedback.iter().map(|f| (*f).to_owned()).collect(),
            rtx: None,
        }
    };
    numbered.iter().map(codec).collect()
}

/// The payload types of an `m=` line.
pub(super) fn formats(codecs: &[Codec]) -> Vec<String> {
    codecs.iter().map(|codec| codec.pt.to_string()).collect()
}

/// The `a=rtcp-fb` lines of what we offer.
pub(super) fn feedback_lines(codecs: &[Codec]) -> impl Iterator<Item = Attribute> {
    let lines = |codec: &Codec| {
        let line = |feedback: &String| Attribute::value("rtcp-fb", format!("{} {feedback}", codec.pt));
        codec.feedback.iter().map(line).collect::<Vec<_>>()
    };
    codecs.iter().flat_map(lines)
}

/// The `b=AS` line of a limit in kbps; none for 0.
pub(super) fn limit_line(kbps: u32) -> Vec<Bandwidth> {
    (kbps > 0).then(|| Bandwidth { kind: "AS".to_owned(), value: kbps.into() }).into_iter().collect()
}

/// The `a=rtpmap` line of a dynamic payload type, and its parameters.
pub(super) fn codec_lines(codec: &Codec) -> Vec<Attribute> {
    let channels = codec.channels.map(|channels| format!("/{channels}")).unwrap_or_default();
    let map = (codec.pt >= 96)
        .then(|| Attribute::value("rtpmap", format!("{} {}/{}{channels}", codec.pt, codec.name, codec.clock_rate)));
    let fmtp = codec.fmtp.as_ref().map(|fmtp| Attribute::value("fmtp", format!("{} {fmtp}", codec.pt)));
    map.into_iter().chain(fmtp).collect()
}

/// Takes the peer's answer to our offer. Lines are matched by their index (RFC 3264 §6); one that the answer lacks,
/// refuses or turns into something else is not accepted. As in Kurento, the local description stays the offer.
///
/// # Errors
///
/// [`SdpError::MissingSctpPort`] for an accepted data channel line without `a=sctp-port`.
pub fn process_answer(offered: &[OfferedMedia], answer: &SessionDescription) -> Result<Negotiated, SdpError> {
    let mids = answer.bundle().unwrap_or_default();
    let by_mid: HashMap<&str, usize> = offered.iter().map(|media| (media.mid.as_str(), media.index)).collect();
    let grouped: Vec<usize> = mids.iter().filter_map(|mid| by_mid.get(mid).copied()).collect();
    let tagged = grouped.first().and_then(|index| answer.media.get(*index));
    let mut media = Vec::with_capacity(offered.len());
    for ours in offered {
        let theirs = answer.media.get(ours.index).filter(|theirs| Kind::of(&theirs.kind) == ours.kind);
        let tagged = tagged.filter(|_| grouped.contains(&ours.index));
        let facts = process_line(ours, theirs, answer, tagged);
        if facts.accepted && facts.kind == Kind::Application && facts.sctp_port.is_none() {
            return Err(SdpError::MissingSctpPort { index: ours.index });
        }
        media.push(facts);
    }
    let mut bundle: Vec<usize> = Vec::new();
    for index in grouped {
        let is_accepted = media.iter().any(|m| m.index == index && m.accepted);
        if is_accepted && !bundle.contains(&index) {
            bundle.push(index);
        }
    }
    Ok(Negotiated { answer: answer.clone(), media, bundle })
}

fn process_line(
    ours: &OfferedMedia,
    theirs: Option<&Media>,
    answer: &SessionDescription,
    tagged: Option<&Media>,
) -> NegotiatedMedia {
    let remote = theirs.map(|theirs| read_remote(answer, theirs, tagged)).unwrap_or_default();
    let codecs = theirs.map(|theirs| common_codecs(ours, theirs)).unwrap_or_default();
    let is_served = ours.kind == Kind::Application || !codecs.is_empty();
    let accepted = is_served && theirs.is_some_and(|theirs| theirs.port != 0);
    let direction = match theirs.filter(|_| accepted) {
        Some(_) if ours.kind == Kind::Application => Direction::SendRecv,
        Some(theirs) => common_direction(ours.direction, answer.direction_of(theirs)),
        None => Direction::Inactive,
    };
    NegotiatedMedia {
        index: ours.index,
        mid: ours.mid.clone(),
        kind: ours.kind,
        accepted,
        proto: ours.proto.clone(),
        direction,
        codecs,
        extmaps: theirs.map(|theirs| common_extmaps(ours, theirs)).unwrap_or_default(),
        sctp_port: theirs.and_then(Media::sctp_port),
        max_message_size: theirs.and_then(Media::max_message_size),
        local_ssrc: ours.local_ssrc,
        local_rtx_ssrc: None,
        local_ice: Some(ours.local_ice.clone()),
        dtls_role: offerer_role(&remote),
        remote,
    }
}

/// The header extensions of an answer that we offered, with their direction seen from us.
pub(super) fn common_extmaps(ours: &OfferedMedia, theirs: &Media) -> Vec<ExtMap> {
    let is_offered = |extmap: &ExtMap| ours.extmaps.iter().any(|o| o.id == extmap.id && o.uri == extmap.uri);
    let seen_from_us = |extmap: ExtMap| ExtMap { direction: extmap.direction.map(Direction::reversed), ..extmap };
    theirs.extmaps().filter(is_offered).map(seen_from_us).collect()
}

/// The codecs of an answer that we offered, in the answer's order, with the feedback that both sides named.
pub(super) fn common_codecs(ours: &OfferedMedia, theirs: &Media) -> Vec<Codec> {
    let local: Vec<_> = ours.codecs.iter().map(|c| LocalCodec::new(&*c.name, c.clock_rate, c.channels)).collect();
    let words: Vec<String> = ours
        .codecs
        .iter()
        .flat_map(|codec| &codec.feedback)
        .filter_map(|feedback| feedback.split_ascii_whitespace().next())
        .map(str::to_owned)
        .collect();
    let mut codecs = accepted_codecs(theirs, &local, &words);
    for codec in &mut codecs {
        let offered = ours.codecs.iter().find(|offered| offered.name.eq_ignore_ascii_case(&codec.name));
        codec.feedback.retain(|feedback| offered.is_some_and(|offered| offered.feedback.contains(feedback)));
    }
    codecs
}

/// Our direction: what we offered, less what the answer declines (RFC 3264 §6.1).
pub(super) fn common_direction(offered: Direction, answered: Direction) -> Direction {
    match (offered.sends() && answered.receives(), offered.receives() && answered.sends()) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    }
}

/// Our part as offerer: we wait unless the answer is passive.
fn offerer_role(remote: &Remote) -> DtlsRole {
    match remote.setup {
        Some(Setup::Passive) => DtlsRole::Active,
        Some(Setup::Active | Setup::ActPass | Setup::HoldConn) | None => DtlsRole::Passive,
    }
}
