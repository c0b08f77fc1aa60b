//! `BaseRtpEndpoint`: bandwidths, states, and the parameters of congestion control.

use super::face::webrtc;
use super::values::{connected, typed};
use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use serde_json::{Map, Value as Json, json};
use std::future::ready;

const CLASS: &str = "BaseRtpEndpoint";

/// Kurento's defaults of `RembParams`, single precision as it computes them.
fn remb_defaults() -> Json {
    json!({
        "packetsRecvIntervalTop": 100,
        "exponentialFactor": f64::from(0.04f32),
        "linealFactorMin": 50,
        "linealFactorGrade": f64::from(30f32),
        "decrementFactor": f64::from(0.5f32),
        "thresholdFactor": f64::from(0.8f32),
        "upLosses": 12,
        "rembOnConnect": 300_000,
    })
}

/// Bandwidths in kbps.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidths {
    pub min_recv: i64,
    pub min_send: i64,
    pub max_send: i64,
}

impl Default for Bandwidths {
    fn default() -> Self {
        Bandwidths { min_recv: 0, min_send: 100, max_send: 500 }
    }
}

pub fn bind(bindings: &mut Bindings) {
    bindings
        .getter(CLASS, "mediaState", async |call: Call| state(call, false).await)
        .getter(CLASS, "connectionState", async |call: Call| state(call, true).await)
        .getter(CLASS, "mtu", |call| ready(webrtc(&call.object).map(|face| face.settings().mtu.into())))
        .setter(CLASS, "mtu", |call| {
            ready(webrtc(&call.object).map(|face| {
                face.settings().mtu = call.args.integer("mtu");
                Json::Null
            }))
        })
        .getter(CLASS, "rembParams", |call| ready(remb_params(&call)))
        .setter(CLASS, "rembParams", |call| ready(set_remb_params(&call)))
        .method(CLASS, "requestKeyframe", request_key_frame)
        // Kurento answers the send side's minimum here, and clients have only ever read that.
        .getter(CLASS, "minVideoRecvBandwidth", |call| ready(bandwidth(&call, |b| b.min_send)))
        .setter(CLASS, "minVideoRecvBandwidth", |call| {
            ready(set_bandwidth(&call, "minVideoRecvBandwidth", |b, kbps| b.min_recv = kbps.max(0)))
        })
        .getter(CLASS, "minVideoSendBandwidth", |call| ready(bandwidth(&call, |b| b.min_send)))
        .setter(CLASS, "minVideoSendBandwidth", |call| {
            ready(set_bandwidth(&call, "minVideoSendBandwidth", |b, kbps| b.min_send = kbps.min(b.max_send)))
        })
        .getter(CLASS, "maxVideoSendBandwidth", |call| ready(bandwidth(&call, |b| b.max_send)))
        .setter(CLASS, "maxVideoSendBandwidth", |call| {
            ready(set_bandwidth(&call, "maxVideoSendBandwidth", |b, kbps| {
                b.max_send = if kbps == 0 { 0 } else { kbps.max(b.min_send) };
            }))
        });
}

fn bandwidth(call: &Call, read: fn(&Bandwidths) -> i64) -> Answer {
    Ok(read(&webrtc(&call.object)?.settings().bandwidths).into())
}

fn set_bandwidth(call: &Call, name: &str, write: fn(&mut Bandwidths, i64)) -> Answer {
    write(&mut webrtc(&call.object)?.settings().bandwidths, call.args.integer(name));
    Ok(Json::Null)
}

async fn state(call: Call, connection: bool) -> Answer {
    let report = webrtc(&call.object)?.endpoint.report().await?;
    Ok(connected(if connection { report.status.connected } else { report.status.media }).into())
}

/// Before they are set, and before negotiation, the answer has no fields.
fn remb_params(call: &Call) -> Answer {
    let face = webrtc(&call.object)?;
    let negotiated = face.endpoint.local_description().is_some();
    let given = face.settings().remb_params.clone();
    let fields = match given {
        None if !negotiated => json!({}),
        given => {
            let mut fields = remb_defaults();
            if let (Some(fields), Some(given)) = (fields.as_object_mut(), given) {
                fields.extend(given);
            }
            fields
        }
    };
    Ok(typed("RembParams", fields))
}

fn set_remb_params(call: &Call) -> Answer {
    let face = webrtc(&call.object)?;
    let known = remb_defaults();
    let given = call.args.json("rembParams").as_object().cloned().unwrap_or_default();
    let keep = |(name, value): (String, Json)| {
        let kept = match known.get(name.as_str())? {
            // Kurento keeps these numbers in single precision, and answers them so.
            Json::Number(number) if number.is_f64() => json!(f64::from(value.as_f64()? as f32)),
            _ => value,
        };
        Some((name, kept))
    };
    let fields: Map<String, Json> = given.into_iter().filter_map(keep).collect();
    let mut settings = face.settings();
    settings.remb_params.get_or_insert_default().extend(fields);
    Ok(Json::Null)
}

async fn request_key_frame(call: Call) -> Answer {
    if webrtc(&call.object)?.endpoint.request_key_frame().await? {
        Ok(Json::Null)
    } else {
        let text = "Keyframe request failed (must be requested from a subscriber element)";
        Err(Error::OperationNotSupported(text.to_owned()))
    }
}
