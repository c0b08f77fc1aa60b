//! `BaseRtpEndpoint`: bandwidths, states, and the parameters of congestion control.

use super::negotiator::{Negotiator, negotiator};
use super::values::{connected, typed};
use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use rivero_transport::webrtc::bitrate::{BandwidthLimits, RembParams};
use serde_json::{Map, Value as Json, json};
use std::future::ready;

const CLASS: &str = "BaseRtpEndpoint";

/// Kurento's defaults of `RembParams`, single precision as it computes them.
fn remb_defaults() -> Json {
    let params = RembParams::default();
    json!({
        "packetsRecvIntervalTop": params.packets_recv_interval_top,
        "exponentialFactor": f64::from(params.exponential_factor),
        "linealFactorMin": params.lineal_factor_min,
        "linealFactorGrade": f64::from(params.lineal_factor_grade),
        "decrementFactor": f64::from(params.decrement_factor),
        "thresholdFactor": f64::from(params.threshold_factor),
        "upLosses": params.up_losses,
        "rembOnConnect": params.remb_on_connect,
    })
}

/// What clients wrote, over the defaults.
fn remb_fields(given: Option<Map<String, Json>>) -> Json {
    let mut fields = remb_defaults();
    if let (Some(fields), Some(given)) = (fields.as_object_mut(), given) {
        fields.extend(given);
    }
    fields
}

/// As the estimator reads them. Numbers below zero count as zero.
fn remb_settings(given: Option<Map<String, Json>>) -> RembParams {
    let fields = remb_fields(given);
    let float = |name: &str| fields[name].as_f64().unwrap_or_default() as f32;
    let whole = |name: &str| fields[name].as_f64().unwrap_or_default() as u32;
    RembParams {
        packets_recv_interval_top: whole("packetsRecvIntervalTop"),
        exponential_factor: float("exponentialFactor"),
        lineal_factor_min: whole("linealFactorMin"),
        lineal_factor_grade: float("linealFactorGrade"),
        decrement_factor: float("decrementFactor"),
        threshold_factor: float("thresholdFactor"),
        up_losses: whole("upLosses"),
        remb_on_connect: whole("rembOnConnect"),
    }
}

/// Hands the bandwidths and the estimator's settings to the session, as they are now.
pub async fn apply_bandwidths(face: Negotiator<'_>) -> Answer {
    let (limits, params) = {
        let settings = face.settings();
        let kbps = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        let limits = BandwidthLimits {
            min_recv_kbps: kbps(settings.bandwidths.min_recv),
            max_recv_kbps: kbps(settings.max_video_recv),
            min_send_kbps: kbps(settings.bandwidths.min_send),
            max_send_kbps: kbps(settings.bandwidths.max_send),
        };
        (limits, remb_settings(settings.remb_params.clone()))
    };
    face.set_bandwidths(limits, params).await?;
    Ok(Json::Null)
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
        .getter(CLASS, "mtu", |call| ready(negotiator(&call.object).map(|face| face.settings().mtu.into())))
        .setter(CLASS, "mtu", |call| {
            ready(negotiator(&call.object).map(|face| {
                face.settings().mtu = call.args.integer("mtu");
                Json::Null
            }))
        })
        .getter(CLASS, "rembParams", |call| ready(remb_params(&call)))
        .setter(CLASS, "rembParams", set_remb_params)
        .method(CLASS, "requestKeyframe", request_key_frame)
        // Kurento answers the send side's minimum here, and clients have only ever read that.
        .getter(CLASS, "minVideoRecvBandwidth", |call| ready(bandwidth(&call, |b| b.min_send)))
        .setter(CLASS, "minVideoRecvBandwidth", |call| {
            set_bandwidth(call, "minVideoRecvBandwidth", |b, kbps| b.min_recv = kbps.max(0))
        })
        .getter(CLASS, "minVideoSendBandwidth", |call| ready(bandwidth(&call, |b| b.min_send)))
        .setter(CLASS, "minVideoSendBandwidth", |call| {
            set_bandwidth(call, "minVideoSendBandwidth", |b, kbps| b.min_send = kbps.min(b.max_send))
        })
        .getter(CLASS, "maxVideoSendBandwidth", |call| ready(bandwidth(&call, |b| b.max_send)))
        .setter(CLASS, "maxVideoSendBandwidth", |call| {
            set_bandwidth(call, "maxVideoSendBandwidth", |b, kbps| {
                b.max_send = if kbps == 0 { 0 } else { kbps.max(b.min_send) };
            })
        });
}

fn bandwidth(call: &Call, read: fn(&Bandwidths) -> i64) -> Answer {
    Ok(read(&negotiator(&call.object)?.settings().bandwidths).into())
}

async fn set_bandwidth(call: Call, name: &str, write: fn(&mut Bandwidths, i64)) -> Answer {
    let face = negotiator(&call.object)?;
    write(&mut face.settings().bandwidths, call.args.integer(name));
    apply_bandwidths(face).await
}

async fn state(call: Call, connection: bool) -> Answer {
    let report = negotiator(&call.object)?.report().await?;
    Ok(connected(if connection { report.status.connected } else { report.status.media }).into())
}

/// Before they are set, and before negotiation, the answer has no fields.
fn remb_params(call: &Call) -> Answer {
    let face = negotiator(&call.object)?;
    let negotiated = face.local_description().is_some();
    let given = face.settings().remb_params.clone();
    let fields = match given {
        None if !negotiated => json!({}),
        given => remb_fields(given),
    };
    Ok(typed("RembParams", fields))
}

async fn set_remb_params(call: Call) -> Answer {
    let face = negotiator(&call.object)?;
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
    face.settings().remb_params.get_or_insert_default().extend(fields);
    apply_bandwidths(face).await
}

async fn request_key_frame(call: Call) -> Answer {
    if negotiator(&call.object)?.request_key_frame().await? {
        Ok(Json::Null)
    } else {
        let text = "Keyframe request failed (must be requested from a subscriber element)";
        Err(Error::OperationNotSupported(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_writes_stands_over_the_defaults() {
        assert_eq!(remb_settings(None), RembParams::default());
        let given = json!({ "upLosses": 20, "exponentialFactor": 0.1, "rembOnConnect": -1, "decrementFactor": "half" });
        let expected = RembParams {
            up_losses: 20,
            exponential_factor: 0.1,
            remb_on_connect: 0,
            decrement_factor: 0.0,
            ..RembParams::default()
        };
        assert_eq!(remb_settings(given.as_object().cloned()), expected);
    }
}
