//! What a peer says about its transport and its sources. What enters: a peer's description. What leaves: a
//! [`Remote`] for each media line. It must not judge; a missing fingerprint is simply absent.

use std::collections::HashSet;

use super::super::attributes::{Fingerprint, Setup};
use super::super::candidate::Candidate;
use super::super::model::{Connection, Media, SessionDescription};

/// A peer's side of one media line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remote {
    /// The ICE user name fragment (RFC 8839 §5.4).
    pub ufrag: Option<String>,
    /// The ICE password.
    pub pwd: Option<String>,
    /// The fingerprint of the certificate (RFC 8122).
    pub fingerprint: Option<Fingerprint>,
    /// Who opens the DTLS connection.
    pub setup: Option<Setup>,
    /// The sources, the one that carries media first: the first of an `FID` group if there is one.
    pub ssrcs: Vec<u32>,
    /// Pairs of a media source and the source that retransmits it (RFC 4588), from the `FID` groups.
    pub rtx: Vec<(u32, u32)>,
    /// The canonical name of the sources.
    pub cname: Option<String>,
    /// The candidates in the description, before any that trickle in later.
    pub candidates: Vec<Candidate>,
    /// Whether no candidates follow those.
    pub end_of_candidates: bool,
    /// Whether the peer is an ICE lite agent.
    pub ice_lite: bool,
    /// Whether RTP and RTCP share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// The media stream identification as written (RFC 8830).
    pub msid: Option<String>,
    /// The most that the peer wants to receive here, in bps (RFC 8866 §5.8).
    pub bandwidth: Option<u64>,
    /// The port of the `m=` line; 9 or 1 while the peer knows none.
    pub port: u16,
    /// The address of the media or session `c=` line.
    pub connection: Option<Connection>,
    /// The RTCP port and address if written (RFC 3605).
    pub rtcp: Option<(u16, Option<Connection>)>,
}

/// Reads a peer's side of a media section. In a BUNDLE group, what the section lacks comes from `tagged`, the section
/// that speaks for the group (RFC 8843 §7.1.2).
pub(super) fn read_remote(session: &SessionDescription, media: &Media, tagged: Option<&Media>) -> Remote {
    let (ssrcs, rtx) = read_sources(media);
    let from_group = |read: &dyn Fn(&Media) -> Option<String>| read(media).or_else(|| tagged.and_then(read));
    Remote {
        ufrag: from_group(&|m| session.ice_ufrag_of(m).map(str::to_owned)),
        pwd: from_group(&|m| session.ice_pwd_of(m).map(str::to_owned)),
        fingerprint: session.fingerprint_of(media).or_else(|| session.fingerprint_of(tagged?)),
        setup: session.setup_of(media).or_else(|| session.setup_of(tagged?)),
        ssrcs,
        rtx,
        cname: media.ssrcs().find(|line| line.attribute == "cname").map(|line| line.value.to_owned()),
        candidates: media.candidates().collect(),
        end_of_candidates: session.end_of_candidates(media),
        ice_lite: session.ice_lite(),
        rtcp_mux: media.rtcp_mux() || media.has_attribute("bundle-only"),
        msid: media.attribute("msid").map(str::to_owned),
        bandwidth: session.bandwidth_of(media),
        port: media.port,
        connection: media.connection.clone().or_else(|| session.connection.clone()),
        rtcp: media.rtcp(),
    }
}

/// The sources of a section in their order, the media source first, and the retransmission pairs.
fn read_sources(media: &Media) -> (Vec<u32>, Vec<(u32, u32)>) {
    let rtx: Vec<_> = media
        .ssrc_groups()
        .filter(|group| group.semantics == "FID")
        .filter_map(|group| Some((*group.ssrcs.first()?, *group.ssrcs.get(1)?)))
        .collect();
    let mut seen = HashSet::new();
    let first = rtx.first().map(|(media, _)| *media);
    let ssrcs = first.into_iter().chain(media.ssrcs().map(|line| line.ssrc)).filter(|ssrc| seen.insert(*ssrc));
    (ssrcs.collect(), rtx)
}
