//! What an object of the registry holds of the floors below.

use super::http_post_endpoint::HttpPostFace;
use super::media::Media;
use super::player_endpoint::PlayerFace;
use super::recorder_endpoint::RecorderFace;
use super::rtp_endpoint::RtpFace;
use super::webrtc_endpoint::WebRtcFace;
use crate::bindings::{Made, Make};
use crate::error::Error;
use crate::objects::{Object, lock};
use rivero_engine::hubs::{Dispatcher, OneToMany};
use rivero_engine::{CodingSettings, Element, Pipeline};
use std::sync::{Arc, Mutex};

pub struct PipelineFace {
    pub pipeline: Pipeline,
}

pub struct ElementFace {
    pub element: Element,
    pub media: Arc<Media>,
    pub bitrates: Mutex<Bitrates>,
    pub role: Role,
}

/// What an element is beside being one.
pub enum Role {
    Plain,
    /// A port of this hub.
    HubPort(Arc<HubFace>),
    WebRtc(Box<WebRtcFace>),
    Rtp(Box<RtpFace>),
    Player(PlayerFace),
    Recorder(RecorderFace),
    HttpPost(HttpPostFace),
}

pub struct HubFace {
    pub media: Arc<Media>,
    pub pipeline: Pipeline,
    pub rule: Rule,
}

pub enum Rule {
    Dispatcher(Dispatcher),
    OneToMany(OneToMany),
}

/// Bounds of a video encoder's bitrate, in bps, as they are read back.
#[derive(Clone, Copy, Debug)]
pub struct Bitrates {
    pub target: i64,
    pub min: i64,
    pub max: i64,
}

impl Bitrates {
    /// As configured; without a configured maximum there is none.
    fn configured(media: &Media) -> Self {
        let settings = &media.settings.media_element;
        let max = settings.max_encoder_bitrate.map_or(i64::from(i32::MAX), i64::from);
        let mut bitrates =
            Bitrates { target: i64::from(settings.encoder_bitrate), min: i64::from(settings.min_encoder_bitrate), max };
        if let Some(fixed) = settings.output_bitrate {
            bitrates.fix(i64::from(fixed));
        }
        bitrates
    }

    pub fn set_target(&mut self, bps: i64) {
        self.target = bps.max(self.min).min(self.max);
    }

    pub fn set_min(&mut self, bps: i64) {
        self.min = bps.min(self.max);
        self.target = self.target.max(self.min);
    }

    pub fn set_max(&mut self, bps: i64) {
        self.max = bps.max(self.min);
        self.target = self.target.min(self.max);
    }

    /// What encoders are told. Kurento's 0 for the maximum stands for no limit.
    pub fn coding(self) -> CodingSettings {
        let bps = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        let max = if self.max <= 0 || self.max >= i64::from(i32::MAX) { u32::MAX } else { bps(self.max) };
        CodingSettings { bitrate: bps(self.target), min: bps(self.min), max }
    }

    /// Kurento 6's `setOutputBitrate`.
    pub fn fix(&mut self, bps: i64) {
        *self = Bitrates { target: bps, min: bps, max: bps };
    }
}

impl ElementFace {
    pub fn new(element: Element, media: &Arc<Media>, role: Role) -> Self {
        ElementFace { element, media: media.clone(), bitrates: Mutex::new(Bitrates::configured(media)), role }
    }

    /// Hands the face over to the registry; from then on the element's notices are the object's events.
    pub fn made(self) -> Made {
        let (id, media) = (self.element.id(), self.media.clone());
        self.element.begin_coding_with(self.bitrates().coding());
        Made::new(self).then(move |object| media.register(id, object))
    }

    pub fn bitrates(&self) -> Bitrates {
        *lock(&self.bitrates)
    }
}

/// The element behind an object.
pub fn element(object: &Object) -> Result<&ElementFace, Error> {
    object.face_or_refuse()
}

pub fn pipeline(object: &Object) -> Result<&PipelineFace, Error> {
    object.face_or_refuse()
}

pub fn webrtc(object: &Object) -> Result<&WebRtcFace, Error> {
    match &element(object)?.role {
        Role::WebRtc(face) => Ok(face),
        _ => Err(Error::ObjectNotFound("Invalid object".to_owned())),
    }
}

pub fn hub(object: &Object) -> Result<&Arc<HubFace>, Error> {
    object.face_or_refuse()
}

/// The pipeline in which an object is to be made.
pub fn parent_pipeline(make: &Make) -> Result<Pipeline, Error> {
    let parent = make.parent.as_ref().ok_or_else(|| Error::ObjectNotFound("Invalid object".to_owned()))?;
    Ok(pipeline(parent)?.pipeline.clone())
}
