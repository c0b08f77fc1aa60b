//! `SdpEndpoint`: one offer, one answer, and the texts to read afterwards.

use super::base_rtp_endpoint::apply_bandwidths;
use super::face::element;
use super::negotiator::negotiator;
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
        .method(CLASS, "generateOffer", generate_offer)
        .method(CLASS, "processOffer", process_offer)
        .method(CLASS, "processAnswer", process_answer)
        .method(CLASS, "getLocalSessionDescriptor", |call| {
            ready(
                negotiator(&call.object)
                    .and_then(|face| face.local_description().map(Json::from).ok_or(Error::NoLocalSdp)),
            )
        })
        .method(CLASS, "getRemoteSessionDescriptor", |call| {
            ready(
                negotiator(&call.object)
                    .and_then(|face| face.remote_description().map(Json::from).ok_or(Error::NoRemoteSdp)),
            )
        });
    for name in ["maxAudioRecvBandwidth", "maxVideoRecvBandwidth"] {
        bindings
            .getter(CLASS, name, move |call| {
                ready(negotiator(&call.object).map(|face| {
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
    let face = negotiator(&call.object)?;
    let value = call.args.integer(name);
    let kbps = u32::try_from(value).unwrap_or(0);
    if name == "maxAudioRecvBandwidth" {
        face.settings().max_audio_recv = value;
        face.limit_audio(kbps);
    } else {
        face.settings().max_video_recv = value;
        face.limit_video(kbps);
    }
    apply_bandwidths(face).await
}

async fn generate_offer(call: Call) -> Answer {
    let options = call.args.opt_json("options");
    let wants = |name: &str| options.and_then(|o| o.get(name)).and_then(Json::as_bool).unwrap_or(true);
    let offer = negotiator(&call.object)?
        .generate_offer(wants("offerToReceiveAudio"), wants("offerToReceiveVideo"))
        .await
        .map_err(|why| match why {
            NegotiationError::AlreadyNegotiated => Error::AlreadyNegotiated,
            why => refused(Error::GenerateOffer, "Error generating offer", &why),
        })?;
    Ok(offer.into())
}

async fn process_offer(call: Call) -> Answer {
    let answer = negotiator(&call.object)?.process_offer(call.args.string("offer")).await;
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
    let local = negotiator(&call.object)?.process_answer(call.args.string("answer")).await;
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
