//! Taking members out of a request's `params`, with Kurento's loose conversions and its texts for refusals.
//!
//! What enters: the `params` object and a member's name. What leaves: a Rust value. What it must never know: the methods.
//! The conversions are those of Kurento's JSON library: null is an empty string, zero and false; a number is a string too.

use crate::error::Error;
use crate::json;
use serde_json::{Map, Value as Json};

pub type Params = Map<String, Json>;

/// A value as text, where Kurento would take it for one.
pub fn as_string(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Number(n) if n.is_f64() => n.as_f64().map(json::real),
        Json::Number(n) => Some(n.to_string()),
        Json::String(s) => Some(s.clone()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

pub fn as_boolean(value: &Json) -> Option<bool> {
    match value {
        Json::Null => Some(false),
        Json::Bool(b) => Some(*b),
        Json::Number(n) => n.as_f64().map(|n| n != 0.0),
        Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A value as a whole number between `least` and `most`; a real one loses its fraction.
pub fn as_integer(value: &Json, least: i64, most: i64) -> Option<i64> {
    let integer = match value {
        Json::Null => 0,
        Json::Bool(b) => i64::from(*b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => n,
            None if n.is_u64() => return None,
            // Twice 2^62 is 2^63: the first value beyond i64 that a double can hold.
            None => n.as_f64().map(f64::trunc).filter(|n| n.abs() < 2.0 * (1i64 << 62) as f64)? as i64,
        },
        Json::String(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    (least..=most).contains(&integer).then_some(integer)
}

pub fn as_real(value: &Json) -> Option<f64> {
    match value {
        Json::Null => Some(0.0),
        Json::Bool(b) => Some(f64::from(u8::from(*b))),
        Json::Number(n) => n.as_f64(),
        Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn member<'a>(params: &'a Params, name: &str) -> Result<&'a Json, Error> {
    params.get(name).ok_or_else(|| Error::Param(format!("'{name}' parameter is required")))
}

/// # Errors
/// [`Error::Param`] when the member is missing or no string.
pub fn string(params: &Params, name: &str) -> Result<String, Error> {
    as_string(member(params, name)?).ok_or_else(|| Error::Param(format!("'{name}' parameter should be a string")))
}

/// # Errors
/// [`Error::Param`] when the member is missing or no array.
pub fn array(params: &Params, name: &str) -> Result<Vec<Json>, Error> {
    match member(params, name)? {
        Json::Array(items) => Ok(items.clone()),
        _ => Err(Error::Param(format!("'{name}' parameter should be an array"))),
    }
}

/// # Errors
/// [`Error::Param`] when the member is there and no boolean.
pub fn boolean_or(params: &Params, name: &str, otherwise: bool) -> Result<bool, Error> {
    match params.get(name) {
        None => Ok(otherwise),
        Some(value) => as_boolean(value).ok_or_else(|| Error::Param(format!("'{name}' parameter should be a boolean"))),
    }
}

/// The session that a request names, if it names one in a usable way.
pub fn session(params: Option<&Params>) -> Option<String> {
    params?.get("sessionId").filter(|id| !id.is_null()).and_then(as_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn converts_as_loosely_as_kurento() {
        assert_eq!(as_string(&json!(77)), Some("77".into()));
        assert_eq!(as_string(&json!(1.5)), Some("1.5".into()));
        assert_eq!(as_string(&json!(null)), Some(String::new()));
        assert_eq!(as_string(&json!({})), None);
        assert_eq!(as_boolean(&json!(1)), Some(true));
        assert_eq!(as_boolean(&json!("true")), None);
        let int = |v: Json| as_integer(&v, i32::MIN.into(), i32::MAX.into());
        assert_eq!(int(json!(1.9)), Some(1));
        assert_eq!(int(json!(true)), Some(1));
        assert_eq!(int(json!(1_000_000_000_000u64)), None);
        assert_eq!(int(json!(1e300)), None);
        assert_eq!(int(json!("100")), None);
        assert_eq!(as_integer(&json!(u64::MAX), i64::MIN, i64::MAX), None);
        assert_eq!(as_real(&json!(2)), Some(2.0));
    }

    #[test]
    fn says_what_is_missing_or_wrong() {
        let params = json!({"type": {}, "operations": {}}).as_object().unwrap().clone();
        assert_eq!(string(&params, "object").unwrap_err().to_string(), "'object' parameter is required");
        assert_eq!(string(&params, "type").unwrap_err().to_string(), "'type' parameter should be a string");
        assert_eq!(array(&params, "operations").unwrap_err().to_string(), "'operations' parameter should be an array");
        assert!(!boolean_or(&params, "release", false).unwrap());
        assert_eq!(boolean_or(&params, "type", false).unwrap_err().code(), -32000);
    }
}
