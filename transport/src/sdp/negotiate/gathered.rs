//! Our description once ICE has gathered (RFC 8839 §4.2). What enters: the offer or answer that went out, and the
//! candidates of each line. What leaves: what `getLocalSessionDescriptor` shows from then on. It must not know how
//! candidates are found.

use std::net::Ipv4Addr;

use super::super::candidate::{Address, Candidate, CandidateType, TcpType, Transport};
use super::super::model::{Attribute, Connection, Media, SessionDescription, addr_type};

/// Adds candidates to a description of ours. `candidates` has one list for each media line, by its index; lines of one
/// BUNDLE group have equal lists. The ports, the `c=` lines (which move from the session to the media lines) and the
/// `a=rtcp` lines then name the default candidate, and the `a=candidate` lines come last. Refused lines and lines
/// without candidates keep their placeholders. Without any candidate the description stays as it is.
pub fn describe_gathered(local: &SessionDescription, candidates: &[Vec<Candidate>]) -> SessionDescription {
    let defaults: Vec<Option<&Candidate>> = local
        .media
        .iter()
        .enumerate()
        .map(|(index, media)| candidates.get(index).filter(|_| media.port != 0).and_then(|list| default_of(list)))
        .collect();
    let mut description = local.clone();
    if defaults.iter().all(Option::is_none) {
        return description;
    }
    let placeholder = description.connection.take().unwrap_or_else(|| Connection::ip(Ipv4Addr::UNSPECIFIED.into()));
    for (index, (media, default)) in description.media.iter_mut().zip(defaults).enumerate() {
        match default {
            Some(default) => describe_media(media, default, candidates.get(index).map_or(&[], Vec::as_slice)),
            None => media.connection = Some(placeholder.clone()),
        }
    }
    description
}

fn describe_media(media: &mut Media, default: &Candidate, candidates: &[Candidate]) {
    let connection = match &default.address {
        Address::Ip(ip) => Connection::ip(*ip),
        Address::Name(name) => Connection {
            net_type: "IN".into(),
            addr_type: addr_type(Ipv4Addr::UNSPECIFIED.into()).into(),
            address: name.clone(),
        },
    };
    media.port = default.port;
    if let Some(rtcp) = media.attributes.iter_mut().find(|attribute| attribute.key == "rtcp") {
        let value = format!("{} {} {} {}", default.port, connection.net_type, connection.addr_type, connection.address);
        rtcp.value = Some(value);
    }
    media.connection = Some(connection);
    media.attributes.extend(candidates.iter().map(|candidate| {
        let line = candidate.to_string();
        Attribute::value("candidate", line.strip_prefix("candidate:").unwrap_or(&line))
    }));
}

/// The default candidate: of component 1, with a port that listens; UDP before TCP, IPv4 before IPv6, addresses before
/// names, and then the one most likely to be reachable: relayed, reflexive, host (RFC 8445 §5.1.4). Among equals the
/// first one with the highest priority.
fn default_of(candidates: &[Candidate]) -> Option<&Candidate> {
    let rank = |candidate: &Candidate| {
        let typ = match candidate.typ {
            CandidateType::Relayed => 0,
            CandidateType::ServerReflexive => 1,
            CandidateType::PeerReflexive => 2,
            CandidateType::Host => 3,
            CandidateType::Other(_) => 4,
        };
        let family = match &candidate.address {
            Address::Ip(ip) if ip.is_ipv4() => 0,
            Address::Ip(_) => 1,
            Address::Name(_) => 2,
        };
        (candidate.transport != Transport::Udp, family, typ, std::cmp::Reverse(candidate.priority))
    };
    candidates
        .iter()
        .filter(|candidate| candidate.component == 1 && candidate.tcptype != Some(TcpType::Active))
        .min_by_key(|c| rank(c))
}
