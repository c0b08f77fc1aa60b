//! `getStats`: what an element knows of itself, in Kurento's types and units.

use super::face::{Role, element};
use super::negotiator::negotiator;
use super::transport_stats;
use super::values::{kind, typed};
use crate::bindings::{Answer, Call};
use crate::objects::Object;
use rivero_engine::MediaKind;
use rivero_engine::shard::{NodeReport, PortReport};
use rivero_transport::webrtc::{ChannelReport, DataReport, StreamReport};
use serde_json::{Map, Value as Json, json};
use std::time::UNIX_EPOCH;

/// Statistics by id. Without anything to tell, Kurento answers `null`.
pub async fn read(call: Call) -> Answer {
    let face = element(&call.object)?;
    let wanted = call.args.opt_string("mediaType").map(kind).transpose()?;
    let at = face.media.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let stamp = Stamp { millis: at.as_millis() as u64 };
    let mut stats = Map::new();
    if let Ok(endpoint) = negotiator(&call.object) {
        let report = endpoint.report().await?;
        let of_kind = |stream: &&StreamReport| wanted.is_none() || stream.kind == wanted;
        for stream in report.inbound.iter().filter(of_kind) {
            insert(&mut stats, inbound(&call.object, stream, stamp));
        }
        for stream in report.outbound.iter().filter(of_kind) {
            insert(&mut stats, outbound(&call.object, stream, stamp));
        }
        if wanted.is_none() {
            let of_transports =
                report.transports.iter().flat_map(|one| transport_stats::of(&call.object, one, &report, stamp));
            of_transports.for_each(|stat| insert(&mut stats, stat));
        }
        if let Some(data) = report.data.filter(|_| wanted.is_none_or(|kind| kind == MediaKind::Data)) {
            insert(&mut stats, peer_connection(&call.object, &data, stamp));
            for channel in &data.channels {
                insert(&mut stats, data_channel(&call.object, channel, stamp));
            }
        }
    }
    if face.element.pipeline().latency_stats()
        && let Some(report) = face.element.report().await
    {
        let endpoint = matches!(face.role, Role::WebRtc(_) | Role::Rtp(_));
        insert(&mut stats, latencies(&call.object, &report, wanted, endpoint, stamp));
    }
    Ok(if stats.is_empty() { Json::Null } else { Json::Object(stats) })
}

/// The time of a reading.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    /// Since 1970.
    pub millis: u64,
}

/// Kurento 6 told the time in seconds.
fn insert(stats: &mut Map<String, Json>, mut stat: Json) {
    stat["timestamp"] = stat["timestampMillis"].as_f64().map(|millis| millis / 1000.0).into();
    if let Some(id) = stat.get("id").and_then(Json::as_str) {
        stats.insert(id.to_owned(), stat);
    }
}

/// An id that stays with what it names: the object's own, and what tells it from others.
pub(super) fn own_id(object: &Object, rest: &str) -> String {
    let last = object.id().rsplit('/').next().unwrap_or_default();
    let uuid = last.split('_').next().unwrap_or_default();
    format!("{uuid}-{rest}")
}

fn stream_id(object: &Object, direction: &str, stream: &StreamReport) -> String {
    own_id(object, &format!("{direction}-{}", stream.ssrc))
}

/// What both directions tell. As in Kurento there are no statistics of tracks, codecs and the peer's own reports to name.
fn common(object: &Object, direction: &str, stream: &StreamReport, stamp: Stamp) -> Json {
    let mut fields = json!({
        "id": stream_id(object, direction, stream),
        "timestampMillis": stamp.millis,
        "ssrc": stream.ssrc.to_string(),
        "associateStatsId": "",
        "isRemote": false,
        "mediaTrackId": "",
        // A line of plain RTP has no transport to tell of.
        "transportId": if stream.transport == 0 { String::new() } else { transport_stats::id(object, stream.transport) },
        "codecId": "",
        "firCount": stream.fir,
        "pliCount": stream.pli,
        "nackCount": stream.nack,
        "sliCount": 0,
        "packetsLost": stream.lost,
        "fractionLost": stream.fraction_lost,
    });
    fields["remb"] = if stream.kind == Some(MediaKind::Video) { stream.remb.into() } else { 0.into() };
    fields
}

fn inbound(object: &Object, stream: &StreamReport, stamp: Stamp) -> Json {
    let mut fields = common(object, "in", stream, stamp);
    fields["type"] = "inboundrtp".into();
    fields["packetsReceived"] = stream.packets.into();
    fields["bytesReceived"] = stream.bytes.into();
    fields["jitter"] = stream.jitter.into();
    typed("RTCInboundRTPStreamStats", fields)
}

fn outbound(object: &Object, stream: &StreamReport, stamp: Stamp) -> Json {
    let mut fields = common(object, "out", stream, stamp);
    fields["type"] = "outboundrtp".into();
    fields["packetsSent"] = stream.packets.into();
    fields["bytesSent"] = stream.bytes.into();
    // As in Kurento: what is sent here is not coded here.
    fields["targetBitrate"] = json!(0.0);
    fields["roundTripTime"] = stream.round_trip.into();
    typed("RTCOutboundRTPStreamStats", fields)
}

fn peer_connection(object: &Object, data: &DataReport, stamp: Stamp) -> Json {
    let fields = json!({
        "id": own_id(object, "session"),
        "timestampMillis": stamp.millis,
        "type": "session",
        "dataChannelsOpened": data.opened,
        "dataChannelsClosed": data.closed,
    });
    typed("RTCPeerConnectionStats", fields)
}

fn data_channel(object: &Object, channel: &ChannelReport, stamp: Stamp) -> Json {
    let fields = json!({
        "id": own_id(object, &format!("data-{}", channel.serial)),
        "timestampMillis": stamp.millis,
        "type": "datachannel",
        "label": channel.label,
        "protocol": channel.protocol,
        // As in Kurento, before a stream is chosen.
        "datachannelid": channel.stream.unwrap_or(0),
        "state": channel.state.name(),
        "messagesSent": channel.messages_sent,
        "bytesSent": channel.bytes_sent,
        "messagesReceived": channel.messages_received,
        "bytesReceived": channel.bytes_received,
    });
    typed("RTCDataChannelStats", fields)
}

/// Moving averages in ns: at each input since media entered the pipeline, and for endpoints until it left again.
fn latencies(object: &Object, report: &NodeReport, wanted: Option<MediaKind>, endpoint: bool, stamp: Stamp) -> Json {
    let list = |read: fn(&PortReport) -> Option<f64>| -> Json {
        let ports = report.inputs.iter().filter(|port| wanted.is_none_or(|kind| port.kind == kind));
        ports.filter_map(|port| read(port).map(|average| latency(port, average))).collect()
    };
    let mut fields = json!({
        "id": object.id(),
        "timestampMillis": stamp.millis,
        "inputLatency": list(|port| port.latency),
    });
    name_by_kind(&mut fields, "inputLatency", ["inputAudioLatency", "inputVideoLatency"]);
    if endpoint {
        fields["type"] = "endpoint".into();
        fields["E2ELatency"] = list(|port| port.end_to_end);
        name_by_kind(&mut fields, "E2ELatency", ["audioE2ELatency", "videoE2ELatency"]);
        typed("EndpointStats", fields)
    } else {
        fields["type"] = "element".into();
        typed("ElementStats", fields)
    }
}

/// The fields that Kurento 6 had for each kind beside the list.
fn name_by_kind(fields: &mut Json, list: &str, names: [&str; 2]) {
    for (name, kind) in names.into_iter().zip(["AUDIO", "VIDEO"]) {
        let found = fields[list].as_array().and_then(|list| list.iter().find(|one| one["type"] == kind));
        fields[name] = found.map_or(json!(0.0), |one| one["avg"].clone());
    }
}

fn latency(port: &PortReport, average: f64) -> Json {
    let name = format!("sink_{}_{}", port.kind.name().to_lowercase(), port.description);
    typed("MediaLatencyStat", json!({ "name": name, "type": port.kind.name(), "avg": average }))
}
