//! Offers and answers of an RtpEndpoint: plain RTP, or SRTP with keys in the description (RFC 4568).
//!
//! Enters: a peer's description and an [`RtpLocal`]. Leaves: our description, whose ports are set afterwards with
//! [`set_ports`] because only accepted lines need some, and an [`RtpLine`] for each accepted line. It must never know sockets.
//!
//! The order of lines is Kurento's. A line that cannot work (no common codec, no common suite, port 0) is refused with
//! port 0, where Kurento answers with a port on which nothing can arrive.

use std::net::IpAddr;

use super::super::attributes::{Direction, ExtMap, Setup};
use super::super::crypto::Crypto;
use super::super::model::{Attribute, Media, SessionDescription};
use super::answer::{accepted_extmaps, extmap_line, is_copied, kept_lines, refused_lines};
use super::codecs::{Codec, accepted_codecs};
use super::offer::{
    codec_lines, common_codecs, common_direction, common_extmaps, feedback_lines, formats, limit_line, offered_codecs,
};
use super::remote::{Remote, read_remote};
use super::{ABS_SEND_TIME, AudioVideo, IceCredentials, Kind, OfferOptions, OfferedMedia, session_section};

/// What an RtpEndpoint brings to a negotiation.
#[derive(Debug, Clone)]
pub struct RtpLocal {
    /// Id and version of the `o=` line.
    pub origin_id: u64,
    /// Where media is expected.
    pub address: IpAddr,
    pub lines: AudioVideo,
    pub cname: String,
    /// The sources of what we send as audio and as video.
    pub audio_ssrc: u32,
    pub video_ssrc: u32,
    /// Our suite and key; `None` for plain RTP.
    pub crypto: Option<Crypto>,
}

/// An accepted line.
#[derive(Debug, Clone)]
pub struct RtpLine {
    pub index: usize,
    pub kind: Kind,
    /// Seen from us.
    pub direction: Direction,
    pub codecs: Vec<Codec>,
    pub extmaps: Vec<ExtMap>,
    pub remote: Remote,
    pub local_ssrc: u32,
    /// The key of what the peer sends.
    pub remote_crypto: Option<Crypto>,
    /// The peer opens the connection: where it sends from is where it is.
    pub comedia: bool,
}

/// The feedback that is taken and offered, by first words.
const FEEDBACK: [&str; 3] = ["goog-remb", "nack", "ccm"];

fn feedback_words() -> Vec<String> {
    FEEDBACK.map(str::to_owned).to_vec()
}

impl RtpLocal {
    fn describe(&self) -> SessionDescription {
        session_section(self.origin_id, self.address)
    }

    fn ssrc(&self, kind: Kind) -> u32 {
        if kind == Kind::Audio { self.audio_ssrc } else { self.video_ssrc }
    }

    fn takes(&self, proto: &str) -> bool {
        match self.crypto {
            None => matches!(proto, "RTP/AVP" | "RTP/AVPF"),
            Some(_) => matches!(proto.strip_prefix("UDP/TLS/").unwrap_or(proto), "RTP/SAVP" | "RTP/SAVPF"),
        }
    }

    fn source_line(&self, kind: Kind) -> Attribute {
        Attribute::value("ssrc", format!("{} cname:{}", self.ssrc(kind), self.cname))
    }

    /// The peer's key for our suite, if it offers one.
    fn find_crypto(&self, media: &Media) -> Option<Crypto> {
        let ours = self.crypto.as_ref()?;
        let mut lines = media.attribute_values("crypto").filter_map(|value| value.parse::<Crypto>().ok());
        lines.find(|theirs| theirs.suite == ours.suite)
    }
}

/// Answers an offer. Ports are 1 until [`set_ports`].
pub fn answer_rtp(offer: &SessionDescription, local: &RtpLocal) -> (SessionDescription, Vec<RtpLine>) {
    let mut description = local.describe();
    description.attributes = offer.attributes.iter().filter(|a| is_copied(&a.key)).cloned().collect();
    let mut lines: Vec<RtpLine> = Vec::new();
    for (index, offered) in offer.media.iter().enumerate() {
        let kind = Kind::of(&offered.kind);
        let most = local.lines.of(kind).map_or(0, |lines| lines.most);
        let taken = lines.iter().filter(|line| line.kind == kind).count();
        let line = (taken < most).then(|| accept(index, kind, offer, offered, local)).flatten();
        description.media.push(match &line {
            Some(line) => write_answer(offered, line, local),
            None => Media {
                kind: offered.kind.clone(),
                proto: offered.proto.clone(),
                formats: offered.formats.clone(),
                attributes: refused_lines(offered),
                ..Media::default()
            },
        });
        lines.extend(line);
    }
    (description, lines)
}

/// The facts of a line, or `None` when it is refused.
fn accept(index: usize, kind: Kind, offer: &SessionDescription, offered: &Media, local: &RtpLocal) -> Option<RtpLine> {
    let codecs = accepted_codecs(offered, local.lines.codecs(kind), &feedback_words());
    let remote_crypto = local.find_crypto(offered);
    let lacks_key = local.crypto.is_some() && remote_crypto.is_none();
    if !local.takes(&offered.proto) || offered.port == 0 || codecs.is_empty() || lacks_key {
        return None;
    }
    Some(RtpLine {
        index,
        kind,
        direction: offer.direction_of(offered).reversed(),
        codecs,
        extmaps: accepted_extmaps(offered, |uri| uri == ABS_SEND_TIME),
        remote: read_remote(offer, offered, None),
        local_ssrc: local.ssrc(kind),
        remote_crypto,
        comedia: opens_connection(offer, offered),
    })
}

/// Whether a peer says that it opens the connection (RFC 4145 §4, and its forerunner `a=direction`).
fn opens_connection(session: &SessionDescription, media: &Media) -> bool {
    let active = |value: &str| value.trim_ascii() == "active";
    session.setup_of(media) == Some(Setup::Active) || session.inherited(media, "direction").is_some_and(active)
}

fn write_answer(offered: &Media, line: &RtpLine, local: &RtpLocal) -> Media {
    let types: Vec<u8> = line.codecs.iter().map(|codec| codec.pt).collect();
    let mut kept = kept_lines(offered, &types, &feedback_words(), &line.remote);
    kept.others.retain(|attribute| attribute.key != "rtcp-mux");
    let mut attributes: Vec<_> = line.extmaps.iter().map(extmap_line).collect();
    if let (Some(ours), Some(theirs)) = (&local.crypto, &line.remote_crypto) {
        attributes.push(Attribute::value("crypto", Crypto { tag: theirs.tag, ..ours.clone() }.to_string()));
    }
    attributes.push(Attribute::flag(line.direction.as_str()));
    attributes.extend(offered.mid().map(|mid| Attribute::value("mid", mid)));
    attributes.push(Attribute::value("rtcp", "2"));
    attributes.extend(kept.into_lines());
    attributes.push(local.source_line(line.kind));
    Media {
        kind: offered.kind.clone(),
        port: 1,
        proto: offered.proto.clone(),
        formats: formats(&line.codecs),
        attributes,
        ..Media::default()
    }
}

/// Writes our offer. Ports are 1 until [`set_ports`].
pub fn offer_rtp(local: &RtpLocal, options: OfferOptions) -> (SessionDescription, Vec<OfferedMedia>) {
    let mut description = local.describe();
    let mut offered = Vec::new();
    for (index, (kind, numbered)) in local.lines.offered(options).into_iter().enumerate() {
        let media = OfferedMedia {
            index,
            mid: format!("{}0", kind.as_str()),
            kind,
            proto: if local.crypto.is_some() { "RTP/SAVPF" } else { "RTP/AVPF" }.to_owned(),
            direction: Direction::SendRecv,
            codecs: offered_codecs(kind, &numbered),
            extmaps: vec![ExtMap { id: 3, direction: None, uri: ABS_SEND_TIME.to_owned() }],
            local_ice: IceCredentials { ufrag: String::new(), pwd: String::new() },
            local_ssrc: Some(local.ssrc(kind)),
            sctp_port: None,
        };
        description.media.push(write_offer(&media, local));
        offered.push(media);
    }
    (description, offered)
}

fn write_offer(offered: &OfferedMedia, local: &RtpLocal) -> Media {
    let mut attributes = vec![Attribute::value("setup", Setup::ActPass.as_str())];
    attributes.extend(offered.extmaps.iter().map(extmap_line));
    attributes.extend(offered.codecs.iter().flat_map(codec_lines));
    attributes.push(Attribute::value("rtcp", "2"));
    attributes.extend(local.crypto.as_ref().map(|crypto| Attribute::value("crypto", crypto.to_string())));
    attributes.push(Attribute::flag(offered.direction.as_str()));
    attributes.push(Attribute::value("mid", &offered.mid));
    attributes.extend(feedback_lines(&offered.codecs));
    attributes.push(local.source_line(offered.kind));
    Media {
        kind: offered.kind.as_str().to_owned(),
        port: 1,
        proto: offered.proto.clone(),
        formats: formats(&offered.codecs),
        bandwidths: limit_line(local.lines.max_recv_kbps(offered.kind)),
        attributes,
        ..Media::default()
    }
}

/// Takes the peer's answer to our offer, line by line; one that it refuses, or whose suite is not ours, is left out.
pub fn process_rtp_answer(offered: &[OfferedMedia], answer: &SessionDescription, local: &RtpLocal) -> Vec<RtpLine> {
    let line = |ours: &OfferedMedia| {
        let theirs = answer.media.get(ours.index).filter(|theirs| Kind::of(&theirs.kind) == ours.kind)?;
        let codecs = common_codecs(ours, theirs);
        let remote_crypto = local.find_crypto(theirs);
        let lacks_key = local.crypto.is_some() && remote_crypto.is_none();
        if theirs.port == 0 || codecs.is_empty() || lacks_key || !local.takes(&theirs.proto) {
            return None;
        }
        Some(RtpLine {
            index: ours.index,
            kind: ours.kind,
            direction: common_direction(ours.direction, answer.direction_of(theirs)),
            codecs,
            extmaps: common_extmaps(ours, theirs),
            remote: read_remote(answer, theirs, None),
            local_ssrc: ours.local_ssrc.unwrap_or_default(),
            remote_crypto,
            comedia: opens_connection(answer, theirs),
        })
    };
    offered.iter().filter_map(line).collect()
}

/// Sets the port of a line, and the one after it for RTCP.
pub fn set_ports(description: &mut SessionDescription, index: usize, rtp: u16) {
    let Some(media) = description.media.get_mut(index) else { return };
    media.port = rtp;
    for attribute in media.attributes.iter_mut().filter(|attribute| attribute.key == "rtcp") {
        attribute.value = Some(rtp.wrapping_add(1).to_string());
    }
}
