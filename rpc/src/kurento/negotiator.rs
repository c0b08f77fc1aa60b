//! The two endpoints that negotiate by SDP, seen as one: what `SdpEndpoint` and `BaseRtpEndpoint` ask of either.

use super::face::{Role, element};
use super::rtp_endpoint::RtpFace;
use super::webrtc_endpoint::{Settings, WebRtcFace};
use crate::error::Error;
use crate::objects::Object;
use rivero_engine::EngineError;
use rivero_transport::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_transport::webrtc::{NegotiationError, SessionReport};
use std::sync::MutexGuard;

#[derive(Clone, Copy)]
pub enum Negotiator<'a> {
    WebRtc(&'a WebRtcFace),
    Rtp(&'a RtpFace),
}

/// The negotiating endpoint behind an object.
pub fn negotiator(object: &Object) -> Result<Negotiator<'_>, Error> {
    match &element(object)?.role {
        Role::WebRtc(face) => Ok(Negotiator::WebRtc(face)),
        Role::Rtp(face) => Ok(Negotiator::Rtp(face)),
        _ => Err(Error::ObjectNotFound("Invalid object".to_owned())),
    }
}

impl<'a> Negotiator<'a> {
    pub fn settings(self) -> MutexGuard<'a, Settings> {
        match self {
            Negotiator::WebRtc(face) => face.settings(),
            Negotiator::Rtp(face) => face.settings(),
        }
    }

    /// kbps that our offers ask for; 0 for no limit.
    pub fn limit_audio(self, kbps: u32) {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.options().max_audio_recv_kbps = kbps,
            Negotiator::Rtp(face) => face.endpoint.options().max_audio_recv_kbps = kbps,
        }
    }

    pub fn limit_video(self, kbps: u32) {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.options().max_video_recv_kbps = kbps,
            Negotiator::Rtp(face) => face.endpoint.options().max_video_recv_kbps = kbps,
        }
    }

    pub async fn generate_offer(self, audio: bool, video: bool) -> Result<String, NegotiationError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.generate_offer(audio, video),
            Negotiator::Rtp(face) => face.endpoint.generate_offer(audio, video).await,
        }
    }

    pub async fn process_offer(self, offer: &str) -> Result<String, NegotiationError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.process_offer(offer).await,
            Negotiator::Rtp(face) => face.endpoint.process_offer(offer).await,
        }
    }

    pub async fn process_answer(self, answer: &str) -> Result<String, NegotiationError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.process_answer(answer).await,
            Negotiator::Rtp(face) => face.endpoint.process_answer(answer).await,
        }
    }

    pub fn local_description(self) -> Option<String> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.local_description(),
            Negotiator::Rtp(face) => face.endpoint.local_description(),
        }
    }

    pub fn remote_description(self) -> Option<String> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.remote_description(),
            Negotiator::Rtp(face) => face.endpoint.remote_description(),
        }
    }

    pub async fn set_bandwidths(self, limits: BandwidthLimits, params: RembParams) -> Result<(), EngineError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.set_bandwidths(limits, params).await,
            Negotiator::Rtp(face) => face.endpoint.set_bandwidths(limits, params).await,
        }
    }

    pub async fn report(self) -> Result<SessionReport, EngineError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.report().await,
            Negotiator::Rtp(face) => face.endpoint.report().await,
        }
    }

    pub async fn request_key_frame(self) -> Result<bool, EngineError> {
        match self {
            Negotiator::WebRtc(face) => face.endpoint.request_key_frame().await,
            Negotiator::Rtp(face) => face.endpoint.request_key_frame().await,
        }
    }
}
