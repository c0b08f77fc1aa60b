//! Values as they stand on the wire.

use crate::error::Error;
use rivero_engine::{EngineError, MediaKind};
use serde_json::{Map, Value as Json, json};

/// A value of a complex type of Kurento's own modules: its fields, and what they are.
pub fn typed(name: &str, mut fields: Json) -> Json {
    if let Some(object) = fields.as_object_mut() {
        object.insert("__module__".into(), "kurento".into());
        object.insert("__type__".into(), name.into());
    }
    fields
}

/// The members of an object literal, for events.
pub fn members(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// A media type argument; the dispatcher has checked that it is one.
pub fn kind(text: &str) -> Result<MediaKind, Error> {
    MediaKind::parse(text).ok_or_else(|| Error::Marshall("Invalid value for 'MediaType'".to_owned()))
}

pub fn flowing(flows: bool) -> Json {
    json!(if flows { "FLOWING" } else { "NOT_FLOWING" })
}

pub fn connected(connected: bool) -> &'static str {
    if connected { "CONNECTED" } else { "DISCONNECTED" }
}

/// Wire errors of the engine's.
impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotSamePipeline => Error::Connect("Media elements do not share pipeline".to_owned()),
            EngineError::Released => Error::ObjectNotFound("Invalid object".to_owned()),
            EngineError::NotOfThisHub => Error::Connect("Can not connect ports".to_owned()),
            EngineError::WorkerGone => Error::Internal(error.to_string()),
        }
    }
}
