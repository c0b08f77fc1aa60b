//! `SdpEndpoint`: one offer, one answer, and the texts to read afterwards.

use super::base_rtp_endpoint::apply_bandwidths;
use super::face::{element, webrtc};
use super::values::members;
use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use rivero_transport::sdp::SdpError;
use rivero_transport::webrtc::NegotiationError;
use serde_json::{Value as Json, json};
use std::future::ready;

const CLASS: &str = "SdpEndpoint";

pub fn bind(bindings: &mut Bindings) {
    bindings
        .method(CLASS, "generateOffer", |call| ready(generate_offer(&call)))
        .method(CLASS, "processOffer", process_offer)
        .method(CLASS, "processAnswer", process_answer)
        .method(CLASS, "getLocalSessionDescriptor", |call| {
            ready(
                webrtc(&call.object)
                    .and_then(|face| face.endpoint.local_description().map(Json::from).ok_or(Error::NoLocalSdp)),
            )
        })
        .method(CLASS, "getRemoteSessionDescriptor", |call| {
            ready(
                webrtc(&call.object)
                    .and_then(|face| face.endpoint.remote_description().map(Json::from).ok_or(Error::NoRemoteSdp)),
            )
        });
    for name in ["maxAudioRecvBandwidth", "maxVideoRecvBandwidth"] {
        bindings
            .getter(CLASS, name, move |call| {
                ready(webrtc(&call.object).map(|face| {
                    let settings = face.settings();
                    let audio = name == "maxAudioRecvBandwidth";
                    let value = if audio { settings.max_audio_recv } else { settings.max_video_recv };
                    value.into()
                }))
            })
            .setter(CLASS, name, move |call| set_max_recv(call, name));
    }
}

/// kbps; values below zero are kept for the reader and mean no limit.
async fn set_max_recv(call: Call, name: &str) -> Answer {
    let face = webrtc(&call.object)?;
    let value = call.args.integer(name);
    let kbps = u32::try_from(value).unwrap_or(0);
    if name == "maxAudioRecvBandwidth" {
        face.settings().max_audio_recv = value;
        face.endpoint.options().max_audio_recv_kbps = kbps;
    } else {
        face.settings().max_video_recv = value;
        face.endpoint.options().max_video_recv_kbps = kbps;
    }
    apply_bandwidths(face).await
}

fn generate_offer(call: &Call) -> Answer {
    let options = call.args.opt_json("options");
    let wants = |name: &str| options.and_then(|o| o.get(name)).and_then(Json::as_bool).unwrap_or(true);
    let offer = webrtc(&call.object)?
        .endpoint
        .generate_offer(wants("offerToReceiveAudio"), wants("offerToReceiveVideo"))
        .map_err(|why| match why {
            NegotiationError::AlreadyNegotiated => Error::AlreadyNegotiated,
            why => refused(Error::GenerateOffer, "Error generating offer", &why),
        })?;
    Ok(offer.into())
}

async fn process_offer(call: Call) -> Answer {
    let answer = webrtc(&call.object)?.endpoint.process_offer(call.args.string("offer")).await;
    let answer = answer.map_err(|why| match why {
        NegotiationError::Sdp(SdpError::Empty) => Error::SdpParse("Empty offer not valid".to_owned()),
        NegotiationError::Sdp(why) => sdp_error(&why, Error::ProcessOffer, "Error processing offer"),
        NegotiationError::AlreadyNegotiated => Error::AlreadyNegotiated,
        why => refused(Error::ProcessOffer, "Error processing offer", &why),
    })?;
    tell_started(&call)?;
    Ok(answer.into())
}

async fn process_answer(call: Call) -> Answer {
    let local = webrtc(&call.object)?.endpoint.process_answer(call.args.string("answer")).await;
    let local = local.map_err(|why| match why {
        NegotiationError::Sdp(SdpError::Empty) => Error::SdpParse("Empty answer not valid".to_owned()),
        NegotiationError::Sdp(why) => sdp_error(&why, Error::ProcessAnswer, "Error processing answer"),
        NegotiationError::OfferNotGenerated => Error::OfferNotGenerated,
        NegotiationError::AnswerAlreadyProcessed => Error::AnswerAlreadyProcessed,
        why => refused(Error::ProcessAnswer, "Error processing answer", &why),
    })?;
    tell_started(&call)?;
    Ok(local.into())
}

fn sdp_error(why: &SdpError, other: fn(String) -> Error, text: &str) -> Error {
    tracing::warn!("a session description is refused: {why}");
    match why {
        SdpError::Empty | SdpError::Parse { .. } => Error::SdpParse("Error parsing SDP".to_owned()),
        SdpError::Invalid => Error::SdpParse("Invalid SDP".to_owned()),
        SdpError::MissingSctpPort { .. } | SdpError::MissingLocalMedia { .. } => other(text.to_owned()),
    }
}

/// The client reads Kurento's words; the log says why.
fn refused(error: fn(String) -> Error, text: &str, why: &NegotiationError) -> Error {
    tracing::warn!("{text}: {why}");
    error(text.to_owned())
}

fn tell_started(call: &Call) -> Result<(), Error> {
    let media = &element(&call.object)?.media;
    media.emit(&call.object, "MediaSessionStarted", members(json!({})), media.wall());
    Ok(())
}
