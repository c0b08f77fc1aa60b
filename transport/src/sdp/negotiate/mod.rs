//! Offer and answer (RFC 3264, RFC 9429): from two sets of wishes to the facts of one session.
//!
//! What enters: a peer's description and a [`LocalSession`], all that we are and have. What leaves: our description and
//! [`Negotiated`]. It must not know how the facts are used; a transport opens sessions from them.
//!
//! [`answer`] serves a peer that offers, [`offer`] and [`process_answer`] one that answers. [`describe_gathered`] gives
//! the description that is shown after ICE has gathered.

mod answer;
mod codecs;
mod gathered;
mod lines;
mod modern;
mod offer;
mod remote;
mod rtp;

use std::net::{IpAddr, Ipv4Addr};

pub use answer::answer;
pub use codecs::{Codec, LocalCodec};
pub use gathered::describe_gathered;
pub use lines::{AudioVideo, LocalLines};
pub use modern::{MAX_MESSAGE_SIZE, MID, Modern, TRANSPORT_CC};
pub use offer::{OfferOptions, OfferedMedia, offer, process_answer};
pub use remote::Remote;
pub use rtp::{RtpLine, RtpLocal, answer_rtp, offer_rtp, process_rtp_answer, set_ports};

use super::attributes::{Direction, ExtMap, Fingerprint, Setup};
use super::model::{Attribute, Connection, Origin, SessionDescription, addr_type};

/// The header extension in which a sender says when a packet left; the only one that Kurento negotiates.
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

/// What we bring to a negotiation. Everything that is random or read from a clock is an argument here.
#[derive(Debug, Clone)]
pub struct LocalSession {
    /// Id and version of the `o=` line. Kurento uses the time in seconds since 1900 (NTP, RFC 8866 §5.2).
    pub origin_id: u64,
    /// The address of the `o=`, `c=` and `a=rtcp` lines: `0.0.0.0` while no candidate is known.
    pub address: IpAddr,
    /// What we bring to the lines of RTP.
    pub lines: AudioVideo,
    /// Whether a data channel line is taken and offered.
    pub use_data_channels: bool,
    /// The direction of our offers. Answers follow the peer's.
    pub direction: Direction,
    /// The URIs of the header extensions that are accepted (RFC 8285).
    pub extensions: Vec<String>,
    /// The first words of the RTCP feedback that is accepted (RFC 4585 §4.2), such as `nack` or `ccm`.
    pub feedback: Vec<String>,
    /// The fingerprint of our certificate.
    pub fingerprint: Fingerprint,
    /// The canonical name of our sources (RFC 3550 §6.5.1).
    pub cname: String,
    /// The SCTP port of our offers. Answers echo the peer's.
    pub sctp_port: u16,
    /// What answers take beyond Kurento's set; our offers have none of it but the message size.
    pub modern: Modern,
    /// One entry for each media line, by its index. In a BUNDLE group the ICE credentials of its first line hold for
    /// all of its lines.
    pub media: Vec<LocalMedia>,
}

impl LocalSession {
    /// A WebRTC session with the defaults of Kurento 7.3: opus, PCMU and PCMA; AV1, VP9, VP8 and H264; one audio and one
    /// video line, no data channels, no bandwidth limits, abs-send-time, and the feedback `goog-remb`, `nack`, `ccm`;
    /// nothing of [`Modern`].
    pub fn webrtc(origin_id: u64, fingerprint: Fingerprint, cname: impl Into<String>, media: Vec<LocalMedia>) -> Self {
        Self {
            origin_id,
            address: Ipv4Addr::UNSPECIFIED.into(),
            lines: AudioVideo {
                audio: LocalLines::of(vec![
                    LocalCodec::new("opus", 48000, Some(2)),
                    LocalCodec::new("PCMU", 8000, None),
                    LocalCodec::new("PCMA", 8000, None),
                ]),
                video: LocalLines::of(
                    ["AV1", "VP9", "VP8", "H264"].map(|name| LocalCodec::new(name, 90000, None)).to_vec(),
                ),
            },
            use_data_channels: false,
            direction: Direction::SendRecv,
            extensions: vec![ABS_SEND_TIME.to_owned()],
            feedback: ["goog-remb", "nack", "ccm"].map(str::to_owned).to_vec(),
            fingerprint,
            cname: cname.into(),
            sctp_port: 5000,
            modern: Modern::default(),
            media,
        }
    }

    /// The session section that offers and answers share.
    fn describe(&self) -> SessionDescription {
        session_section(self.origin_id, self.address)
    }

    /// The `a=rtcp` line that stands while no candidate is known (RFC 3605 §2.1).
    fn rtcp_placeholder(&self) -> Attribute {
        Attribute::value("rtcp", format!("9 IN {} {}", addr_type(self.address), self.address))
    }

    /// The lines that close a media section: our source if it carries RTP, with the one that retransmits it, then ICE
    /// and DTLS.
    fn closing_lines(&self, ssrc: Option<u32>, rtx: Option<u32>, ice: &IceCredentials) -> Vec<Attribute> {
        let pair = ssrc.zip(rtx).map(|(ssrc, rtx)| Attribute::value("ssrc-group", format!("FID {ssrc} {rtx}")));
        let source = |ssrc| Attribute::value("ssrc", format!("{ssrc} cname:{}", self.cname));
        pair.into_iter()
            .chain(ssrc.map(source))
            .chain(rtx.map(source))
            .chain([
                Attribute::value("ice-ufrag", &ice.ufrag),
                Attribute::value("ice-pwd", &ice.pwd),
                Attribute::value("fingerprint", self.fingerprint.to_string()),
            ])
            .collect()
    }
}

/// What we bring to one media line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// The ICE credentials of the line's transport.
    pub ice: IceCredentials,
    /// The source of the media that we send there. Unused on data channel lines.
    pub ssrc: u32,
    /// The source of what we send again there, if retransmission is negotiated.
    pub rtx_ssrc: u32,
}

/// ICE user name fragment and password (RFC 8839 §5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// 4 to 256 characters of `A-Z a-z 0-9 + /`.
    pub ufrag: String,
    /// 22 to 256 of the same characters.
    pub pwd: String,
}

/// The outcome of a negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The answer of this exchange: ours from [`answer`], the peer's from [`process_answer`].
    pub answer: SessionDescription,
    /// One entry for each media line of the offer, in its order.
    pub media: Vec<NegotiatedMedia>,
    /// The indexes of the accepted lines that share one transport (RFC 8843), in the order of the group. Empty without
    /// BUNDLE; then each accepted line has a transport of its own.
    pub bundle: Vec<usize>,
}

impl Negotiated {
    /// The accepted line of a kind, of which there is at most one.
    pub fn accepted(&self, kind: Kind) -> Option<&NegotiatedMedia> {
        self.media.iter().find(|media| media.accepted && media.kind == kind)
    }
}

/// The facts of one media line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// The index of the line, from 0.
    pub index: usize,
    /// Its identification tag (RFC 5888), or a unique one of ours when the peer gave none.
    pub mid: String,
    /// The kind of media.
    pub kind: Kind,
    /// Whether media may flow. A refused line has port 0 in the answer.
    pub accepted: bool,
    /// The transport protocol as written.
    pub proto: String,
    /// The direction seen from us.
    pub direction: Direction,
    /// The codecs of both sides, the preferred one first: that is the one to send.
    pub codecs: Vec<Codec>,
    /// The header extensions of both sides. Their direction, if any, is seen from us.
    pub extmaps: Vec<ExtMap>,
    /// What the peer said about its transport and sources.
    pub remote: Remote,
    /// The peer's SCTP port (RFC 8841 §5). An answer of ours says the same for our side.
    pub sctp_port: Option<u16>,
    /// The longest data channel message that the peer takes, in bytes; 0 for any, `None` for the default of 64 KiB
    /// (RFC 8841 §6.1).
    pub max_message_size: Option<u64>,
    /// The source of the media that we send.
    pub local_ssrc: Option<u32>,
    /// The source of what we send again; `None` unless we send and a codec has [`Codec::rtx`].
    pub local_rtx_ssrc: Option<u32>,
    /// Our ICE credentials on this line's transport; `None` for a refused line without a transport.
    pub local_ice: Option<IceCredentials>,
    /// Our part in the DTLS handshake.
    pub dtls_role: DtlsRole,
}

impl NegotiatedMedia {
    /// Whether a feedback message is negotiated. As in Kurento, the preferred codec alone decides.
    pub fn has_feedback(&self, feedback: &str) -> bool {
        self.codecs.first().is_some_and(|codec| codec.feedback.iter().any(|f| f == feedback))
    }

    /// The identifier of a header extension, if it is negotiated.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extmaps.iter().find(|extmap| extmap.uri == uri).map(|extmap| extmap.id)
    }
}

/// The kind of a media line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
    /// `m=application`: data channels.
    Application,
    /// Anything else, which is always refused.
    Other,
}

impl Kind {
    fn of(word: &str) -> Self {
        match word {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            _ => Self::Other,
        }
    }

    /// The word in the `m=` line; `other` for a kind that is not known.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other => "other",
        }
    }
}

/// Our part in the DTLS handshake (RFC 5763 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We are the client and open the handshake.
    Active,
    /// We are the server and wait.
    Passive,
}

/// The session section of all our descriptions.
fn session_section(origin_id: u64, address: IpAddr) -> SessionDescription {
    let id = origin_id.to_string();
    SessionDescription {
        origin: Some(Origin {
            username: "-".to_owned(),
            session_id: id.clone(),
            session_version: id,
            net_type: "IN".to_owned(),
            addr_type: addr_type(address).to_owned(),
            address: address.to_string(),
        }),
        name: "Kurento Media Server".to_owned(),
        connection: Some(Connection::ip(address)),
        ..SessionDescription::default()
    }
}

/// Our `a=setup` in the answer to an offered one (RFC 4145 §4.1): we take the active part when we may choose.
fn setup_answer(offered: Setup) -> Setup {
    match offered {
        Setup::Active => Setup::Passive,
        Setup::Passive | Setup::ActPass => Setup::Active,
        Setup::HoldConn => Setup::HoldConn,
    }
}

/// The attribute of a BUNDLE group (RFC 8843 §7).
fn bundle_line<'a>(mids: impl Iterator<Item = &'a str>) -> Attribute {
    let mut value = "BUNDLE".to_owned();
    for mid in mids {
        value.push(' ');
        value.push_str(mid);
    }
    Attribute::value("group", value)
}
