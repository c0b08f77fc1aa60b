//! `getStats` of what carries the streams: transports, candidates, the selected pair, certificates.
//!
//! Kurento declares these types and fills none of them. They are told of once a transport is connected, and only where no
//! media type is asked for, since they belong to none. Bytes are those of whole datagrams, as browsers count them.

use super::stats::{Stamp, own_id};
use super::values::{base64, typed};
use crate::objects::Object;
use rivero_transport::sdp::{Candidate, CandidateType, TcpType, Transport};
use rivero_transport::webrtc::{CertificateReport, SessionReport, StreamReport, TransportReport};
use serde_json::{Value as Json, json};

/// The id of a transport's statistics; transports are numbered from 1.
pub fn id(object: &Object, stream: usize) -> String {
    own_id(object, &format!("transport-{stream}"))
}

/// Everything about one transport.
pub fn of(object: &Object, transport: &TransportReport, report: &SessionReport, stamp: Stamp) -> Vec<Json> {
    let sides = [("local", &transport.local), ("remote", &transport.remote)];
    let mut stats = vec![of_transport(object, transport, stamp)];
    stats.extend(of_pair(object, transport, report, stamp));
    for (side, candidates) in sides {
        stats.extend(candidates.iter().map(|candidate| of_candidate(object, side, transport.stream, candidate, stamp)));
    }
    let ours = certificate_id(object, "local", transport.stream);
    stats.push(of_certificate(ours, &transport.local_certificate, stamp));
    if let Some(theirs) = &transport.remote_certificate {
        stats.push(of_certificate(certificate_id(object, "remote", transport.stream), theirs, stamp));
    }
    stats
}

fn pair_id(object: &Object, stream: usize) -> String {
    own_id(object, &format!("pair-{stream}"))
}

fn certificate_id(object: &Object, side: &str, stream: usize) -> String {
    own_id(object, &format!("certificate-{side}-{stream}"))
}

/// Names a candidate by what makes it one, so that it stays when others come.
fn candidate_id(object: &Object, side: &str, stream: usize, candidate: &Candidate) -> String {
    let role = match candidate.tcptype {
        None => "",
        Some(TcpType::Active) => "-active",
        Some(TcpType::Passive) => "-passive",
        Some(TcpType::SimultaneousOpen) => "-so",
    };
    let (kind, protocol) = (kind(candidate), protocol(candidate));
    let (address, port) = (&candidate.address, candidate.port);
    own_id(object, &format!("{side}-{stream}-{kind}-{protocol}{role}-{}-{port}", text(address)))
}

fn of_transport(object: &Object, transport: &TransportReport, stamp: Stamp) -> Json {
    let stream = transport.stream;
    let theirs = transport.remote_certificate.as_ref().map(|_| certificate_id(object, "remote", stream));
    let fields = json!({
        "id": id(object, stream),
        "type": "transport",
        "timestampMillis": stamp.millis,
        "bytesSent": transport.sent,
        "bytesReceived": transport.received,
        // RTCP shares the transport.
        "rtcpTransportStatsId": "",
        "activeConnection": true,
        "selectedCandidatePairId": transport.pair.as_ref().map_or_else(String::new, |_| pair_id(object, stream)),
        "localCertificateId": certificate_id(object, "local", stream),
        "remoteCertificateId": theirs.unwrap_or_default(),
    });
    typed("RTCTransportStats", fields)
}

/// Of the pair that media takes.
fn of_pair(object: &Object, transport: &TransportReport, report: &SessionReport, stamp: Stamp) -> Option<Json> {
    let stream = transport.stream;
    let (ours, theirs) = transport.pair.as_ref()?;
    let bps = |streams: &[StreamReport]| -> f64 {
        streams.iter().filter(|one| one.transport == stream).map(|one| one.remb as f64).sum()
    };
    let fields = json!({
        "id": pair_id(object, stream),
        "type": "candidatepair",
        "timestampMillis": stamp.millis,
        "transportId": id(object, stream),
        "localCandidateId": candidate_id(object, "local", stream, ours),
        "remoteCandidateId": candidate_id(object, "remote", stream, theirs),
        "state": "succeeded",
        "priority": transport.pair_priority,
        "nominated": true,
        "writable": true,
        "readable": true,
        "bytesSent": transport.sent,
        "bytesReceived": transport.received,
        "roundTripTime": transport.round_trip.unwrap_or(0.0),
        "availableOutgoingBitrate": bps(&report.outbound),
        "availableIncomingBitrate": bps(&report.inbound),
    });
    Some(typed("RTCIceCandidatePairStats", fields))
}

fn of_candidate(object: &Object, side: &str, stream: usize, candidate: &Candidate, stamp: Stamp) -> Json {
    let fields = json!({
        "id": candidate_id(object, side, stream, candidate),
        "type": if side == "local" { "localcandidate" } else { "remotecandidate" },
        "timestampMillis": stamp.millis,
        "ipAddress": text(&candidate.address),
        "portNumber": candidate.port,
        "transport": protocol(candidate),
        "candidateType": kind(candidate),
        "priority": candidate.priority,
        "addressSourceUrl": "",
    });
    typed("RTCIceCandidateAttributes", fields)
}

/// `StatsType` has no word for certificates: they are told apart from transports, to which they belong, by their class.
fn of_certificate(id: String, certificate: &CertificateReport, stamp: Stamp) -> Json {
    let fingerprint = certificate.fingerprint.to_string();
    let (algorithm, bytes) = fingerprint.split_once(' ').unwrap_or_default();
    let fields = json!({
        "id": id,
        "type": "transport",
        "timestampMillis": stamp.millis,
        "fingerprint": bytes,
        "fingerprintAlgorithm": algorithm,
        "base64Certificate": base64(&certificate.der),
        "issuerCertificateId": "",
    });
    typed("RTCCertificateStats", fields)
}

fn text(address: &rivero_transport::sdp::Address) -> String {
    match address {
        rivero_transport::sdp::Address::Ip(ip) => ip.to_string(),
        rivero_transport::sdp::Address::Name(name) => name.clone(),
    }
}

fn protocol(candidate: &Candidate) -> &str {
    match &candidate.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Other(name) => name,
    }
}

/// Kurento's `RTCStatsIceCandidateType`.
fn kind(candidate: &Candidate) -> &'static str {
    match candidate.typ {
        CandidateType::ServerReflexive => "serverreflexive",
        CandidateType::PeerReflexive => "peerreflexive",
        CandidateType::Relayed => "relayed",
        CandidateType::Host | CandidateType::Other(_) => "host",
    }
}
