//! `WebRtcEndpoint`: candidates, addresses, states.

use super::base_rtp_endpoint::Bandwidths;
use super::face::{ElementFace, Role, element, parent_pipeline, webrtc};
use super::media::Media;
use super::values::{members, typed};
use crate::bindings::{Answer, Bindings, Call, Made, Make};
use crate::config::settings::Dscp;
use crate::error::Error;
use crate::objects::lock;
use rivero_transport::net::nat::{Host, ServerAddress, TurnUrl};
use rivero_transport::sdp::Candidate;
use rivero_transport::webrtc::{ChannelOptions, DataChannelError, EndpointOptions, WebRtcEndpoint};
use serde_json::{Map, Value as Json, json};
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

const CLASS: &str = "WebRtcEndpoint";

pub struct WebRtcFace {
    pub endpoint: WebRtcEndpoint,
    settings: Mutex<Settings>,
}

/// Properties as clients wrote them, to be read back as such.
#[derive(Default)]
pub struct Settings {
    pub max_audio_recv: i64,
    pub max_video_recv: i64,
    pub bandwidths: Bandwidths,
    pub mtu: i64,
    pub remb_params: Option<Map<String, Json>>,
    network_interfaces: String,
    external_v4: String,
    external_v6: String,
    stun_address: String,
    stun_port: i64,
    turn_url: String,
}

impl WebRtcFace {
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }
}

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings
        .factory(CLASS, move |make| create(make, media.clone()))
        .method(CLASS, "gatherCandidates", gather_candidates)
        .method(CLASS, "addIceCandidate", add_ice_candidate)
        .method(CLASS, "createDataChannel", create_data_channel)
        .method(CLASS, "closeDataChannel", close_data_channel)
        .getter(CLASS, "ICECandidatePairs", candidate_pairs)
        .getter(CLASS, "IceConnectionState", ice_states)
        .getter(CLASS, "DtlsConnectionState", dtls_states)
        .getter(CLASS, "iceTcp", |call| ready(webrtc(&call.object).map(|face| face.endpoint.options().ice_tcp.into())))
        .setter(CLASS, "iceTcp", |call| {
            ready(webrtc(&call.object).map(|face| {
                face.endpoint.options().ice_tcp = call.args.boolean("iceTcp");
                Json::Null
            }))
        })
        .getter(CLASS, "stunServerPort", |call| {
            ready(webrtc(&call.object).map(|face| face.settings().stun_port.into()))
        })
        .setter(CLASS, "stunServerPort", |call| ready(set_stun_port(&call)))
        .getter(CLASS, "turnUrl", |call| {
            ready(webrtc(&call.object).map(|face| face.settings().turn_url.clone().into()))
        })
        .setter(CLASS, "turnUrl", |call| ready(set_turn_url(&call)));
    bind_texts(bindings);
}

/// Properties that are texts: kept as written, and taken to heart where they make sense.
fn bind_texts(bindings: &mut Bindings) {
    type Place = fn(&mut Settings) -> &mut String;
    type Apply = fn(&WebRtcFace, &str);
    let rows: [(&'static str, Place, Apply); 4] = [
        (
            "networkInterfaces",
            |s| &mut s.network_interfaces,
            |face, text| {
                let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
                face.endpoint.options().network_interfaces = names;
            },
        ),
        (
            "externalIPv4",
            |s| &mut s.external_v4,
            |face, text| {
                face.endpoint.options().external_v4 = address("externalIPv4", text).filter(IpAddr::is_ipv4);
            },
        ),
        (
            "externalIPv6",
            |s| &mut s.external_v6,
            |face, text| {
                face.endpoint.options().external_v6 = address("externalIPv6", text).filter(IpAddr::is_ipv6);
            },
        ),
        (
            "stunServerAddress",
            |s| &mut s.stun_address,
            |face, text| {
                if !text.is_empty() && text.parse::<Host>().is_err() {
                    tracing::warn!(property = "stunServerAddress", "a value that is no host is not used");
                }
                apply_stun(face);
            },
        ),
    ];
    for (name, place, apply) in rows {
        bindings
            .getter(CLASS, name, move |call| {
                ready(webrtc(&call.object).map(|face| place(&mut face.settings()).clone().into()))
            })
            .setter(CLASS, name, move |call| {
                ready(webrtc(&call.object).map(|face| {
                    let text = call.args.string(name);
                    text.clone_into(place(&mut face.settings()));
                    apply(face, text);
                    Json::Null
                }))
            });
    }
}

/// Address and port are two properties of one server.
fn apply_stun(face: &WebRtcFace) {
    let settings = face.settings();
    let port = u16::try_from(settings.stun_port).ok();
    let server = settings.stun_address.parse().ok().zip(port).map(|(host, port)| ServerAddress { host, port });
    drop(settings);
    face.endpoint.options().stun = server;
}

/// A text that is no TURN URL is kept to be read back, and told with an `Error` event, as in Kurento; no relay is used.
fn set_turn_url(call: &Call) -> Answer {
    let face = webrtc(&call.object)?;
    let text = call.args.string("turnUrl");
    text.clone_into(&mut face.settings().turn_url);
    let parsed = text.parse::<TurnUrl>();
    if let Err(why) = &parsed
        && !text.is_empty()
    {
        // The text itself stays out: it may hold a password.
        let description =
            format!("The turnUrl is not user:password@host:port(?transport=[udp|tcp|tls]), and not used: {why}");
        tracing::warn!(endpoint = call.object.id(), "{description}");
        let media = &element(&call.object)?.media;
        let data = json!({ "type": "UNEXPECTED_ELEMENT_ERROR", "errorCode": 0, "description": description });
        media.emit(&call.object, "Error", members(data), media.wall());
    }
    face.endpoint.options().turn = parsed.ok();
    Ok(Json::Null)
}

/// An address, or a log line when the text is none.
fn address(property: &str, text: &str) -> Option<IpAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() && !text.is_empty() {
        tracing::warn!(property, "a value that is no IP address is not used");
    }
    parsed
}

/// A host as its property shows it: an IPv6 address without brackets.
fn host_text(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    }
}

/// The code point of a DSCPValue: an endpoint's own, or the configured one where that says nothing.
fn dscp(own: Option<&str>, configured: Option<Dscp>) -> Option<u8> {
    match own {
        None | Some("NO_VALUE") => configured?.code,
        Some(name) => Dscp::named(name)?.code,
    }
}

async fn create(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let pipeline = parent_pipeline(&make)?;
    let configured = &media.settings.webrtc;
    let options = EndpointOptions {
        recvonly: make.args.boolean("recvonly"),
        sendonly: make.args.boolean("sendonly"),
        use_data_channels: make.args.boolean("useDataChannels"),
        network_interfaces: configured.network_interfaces.clone(),
        external_v4: configured.external_ipv4.map(IpAddr::V4),
        external_v6: configured.external_ipv6.map(IpAddr::V6),
        ice_tcp: configured.ice_tcp,
        stun: configured.stun_server.clone(),
        turn: configured.turn_server.clone(),
        dscp: dscp(make.args.opt_string("qosDscp"), configured.qos_dscp),
        ..EndpointOptions::default()
    };
    if make.args.opt_string("certificateKeyType") == Some("RSA") {
        tracing::debug!(endpoint = %make.id, "certificateKeyType RSA is answered with an ECDSA certificate");
    }
    let text = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    let settings = Settings {
        mtu: i64::from(media.settings.base_rtp.mtu),
        network_interfaces: options.network_interfaces.join(","),
        external_v4: text(options.external_v4),
        external_v6: text(options.external_v6),
        stun_address: configured.stun_server.as_ref().map(|stun| host_text(&stun.host)).unwrap_or_default(),
        stun_port: i64::from(configured.stun_server_port),
        turn_url: configured.turn_server.as_ref().map(TurnUrl::reveal).unwrap_or_default(),
        ..Settings::default()
    };
    let endpoint = WebRtcEndpoint::create(&pipeline, make.id.to_string(), options, media.webrtc.clone()).await?;
    tracing::info!(endpoint = %make.id, worker = endpoint.element().node().worker, "WebRTC endpoint created");
    let element = endpoint.element().clone();
    let face = WebRtcFace { endpoint, settings: Mutex::new(settings) };
    Ok(ElementFace::new(element, &media, Role::WebRtc(Box::new(face))).made())
}

/// Ports outside of 1 to 65535 are ignored, as in Kurento.
fn set_stun_port(call: &Call) -> Answer {
    let port = call.args.integer("stunServerPort");
    if (1..=65_535).contains(&port) {
        let face = webrtc(&call.object)?;
        face.settings().stun_port = port;
        apply_stun(face);
    }
    Ok(Json::Null)
}

async fn gather_candidates(call: Call) -> Answer {
    let endpoint = &webrtc(&call.object)?.endpoint;
    if endpoint.local_description().is_none() {
        // Kurento takes it without a word; there is nothing to gather for.
        tracing::warn!(endpoint = call.object.id(), "gatherCandidates before negotiation does nothing");
        return Ok(Json::Null);
    }
    endpoint.gather_candidates().await.map_err(|why| {
        tracing::warn!("Error gathering candidates: {why}");
        Error::GatherCandidates("Error gathering candidates".to_owned())
    })?;
    Ok(Json::Null)
}

async fn add_ice_candidate(call: Call) -> Answer {
    let given = call.args.json("candidate");
    let text = given.get("candidate").and_then(Json::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        // The browser's way to say that there are no more.
        return Ok(Json::Null);
    }
    let endpoint = &webrtc(&call.object)?.endpoint;
    let candidate: Candidate = match text.parse() {
        Ok(candidate) => candidate,
        Err(why) => {
            tracing::warn!(endpoint = call.object.id(), "a candidate is refused: {why}");
            // Before negotiation Kurento only stores candidates, and refuses none.
            let early = endpoint.local_description().is_none();
            let refusal = || Error::AddCandidate("Error adding candidate".to_owned());
            return if early { Ok(Json::Null) } else { Err(refusal()) };
        }
    };
    let index = given.get("sdpMLineIndex").and_then(Json::as_u64).and_then(|index| usize::try_from(index).ok());
    endpoint.add_ice_candidate(candidate, index).await?;
    Ok(Json::Null)
}

async fn create_data_channel(call: Call) -> Answer {
    let args = &call.args;
    let options = ChannelOptions {
        label: args.string("label").to_owned(),
        protocol: args.string("protocol").to_owned(),
        ordered: args.boolean("ordered"),
        max_packet_lifetime: ChannelOptions::limit(args.integer("maxPacketLifeTime")),
        max_retransmits: ChannelOptions::limit(args.integer("maxRetransmits")),
    };
    webrtc(&call.object)?.endpoint.create_data_channel(options).await?;
    Ok(Json::Null)
}

/// As in Kurento it is no error that there is no such channel.
async fn close_data_channel(call: Call) -> Answer {
    let endpoint = &webrtc(&call.object)?.endpoint;
    // A number that is no stream's: the highest is reserved and never used (RFC 8832, section 6).
    let stream = u16::try_from(call.args.integer("channelId")).unwrap_or(u16::MAX);
    endpoint.close_data_channel(stream).await?;
    Ok(Json::Null)
}

impl From<DataChannelError> for Error {
    fn from(error: DataChannelError) -> Self {
        match error {
            DataChannelError::NotNegotiated => {
                Error::OperationNotSupported("Data channels are not supported".to_owned())
            }
            DataChannelError::BothLimits => Error::IllegalParam("Syntax error".to_owned()),
            DataChannelError::TooLong | DataChannelError::TooMany | DataChannelError::Gone => {
                tracing::warn!("a data channel cannot be created: {error}");
                Error::Unexpected("Can not create data channel".to_owned())
            }
            DataChannelError::Engine(error) => error.into(),
        }
    }
}

/// In the spelling of Kurento 7 and in that of Kurento 6.
pub fn candidate_pair(stream: usize, local: &str, remote: &str) -> Json {
    typed(
        "IceCandidatePair",
        json!({
            "streamId": stream.to_string(),
            "componentId": 1,
            "streamID": stream.to_string(),
            "componentID": 1,
            "localCandidate": local,
            "remoteCandidate": remote,
        }),
    )
}

async fn candidate_pairs(call: Call) -> Answer {
    let report = webrtc(&call.object)?.endpoint.report().await?;
    let transports = report.status.transports.iter().enumerate();
    let pairs = transports.filter_map(|(n, status)| status.pair.as_ref().map(|pair| (n + 1, pair)));
    Ok(pairs.map(|(stream, pair)| candidate_pair(stream, &pair.local, &pair.remote)).collect())
}

async fn ice_states(call: Call) -> Answer {
    let face = webrtc(&call.object)?;
    let report = face.endpoint.report().await?;
    if face.endpoint.local_description().is_none() {
        return Ok(json!([]));
    }
    let state = |(n, status): (usize, &rivero_transport::webrtc::TransportStatus)| {
        let fields = json!({ "streamId": (n + 1).to_string(), "componentId": 1, "state": status.ice.name() });
        typed("IceConnection", fields)
    };
    Ok(report.status.transports.iter().enumerate().map(state).collect())
}

async fn dtls_states(call: Call) -> Answer {
    let face = webrtc(&call.object)?;
    let report = face.endpoint.report().await?;
    if face.endpoint.local_description().is_none() {
        return Ok(json!([]));
    }
    let state = |(n, status): (usize, &rivero_transport::webrtc::TransportStatus)| {
        let mut fields = dtls_connection(n + 1);
        fields["state"] = status.dtls.name().into();
        typed("DtlsConnection", fields)
    };
    Ok(report.status.transports.iter().enumerate().map(state).collect())
}

/// How a DTLS association is named.
pub fn dtls_connection(stream: usize) -> Json {
    json!({ "streamId": stream.to_string(), "componentId": "1", "connectionId": format!("dtls-{stream}-1") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_own_dscp_goes_before_the_configured_one() {
        let configured = Dscp::named("AF41");
        assert_eq!(dscp(Some("AUDIO_HIGH"), configured), Some(46));
        assert_eq!(dscp(Some("NO_DSCP"), configured), None);
        assert_eq!((dscp(Some("NO_VALUE"), configured), dscp(None, configured)), (Some(34), Some(34)));
        assert_eq!(dscp(Some("NO_VALUE"), None), None);
        assert_eq!(dscp(None, Dscp::named("NO_DSCP")), None);
    }
}
