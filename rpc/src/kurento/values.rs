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

/// RFC 4648, section 4.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |group: &[u8]| -> [char; 4] {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]))
    };
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let [a, b, c, d] = letters(group);
        text.extend([a, b, if group.len() > 1 { c } else { '=' }, if group.len() > 2 { d } else { '=' }]);
    }
    text
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
            EngineError::TooManyConverters(_) => Error::NotEnoughResources(error.to_string()),
            EngineError::WorkerGone => Error::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_every_remainder() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}
