//! The envelope around every message: JSON-RPC 2.0 as Kurento understands it.
//!
//! What enters: a value from the wire. What leaves: a [`Request`], and the text of responses and notifications. What it must
//! never know: any method. Batches do not exist in this protocol.

use crate::error::Error;
use crate::json;
use serde_json::{Map, Value as Json, json};

/// A request whose envelope is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `Null` for a notification.
    pub id: Json,
    pub method: String,
    /// `None` when absent or null. Kurento's methods take named parameters only.
    pub params: Option<Map<String, Json>>,
}

impl Request {
    /// Checks the envelope. A refusal carries the id that the response must echo.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with a null id; with the request's own id [`Error::Internal`] where `params` is neither
    /// object nor null.
    pub fn open(message: Json) -> Result<Self, (Json, Error)> {
        let invalid = || (Json::Null, Error::InvalidRequest);
        let Json::Object(mut members) = message else { return Err(invalid()) };
        if members.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
            return Err(invalid());
        }
        let id = members.remove("id").unwrap_or(Json::Null);
        if id.is_array() || id.is_object() {
            return Err(invalid());
        }
        let Some(Json::String(method)) = members.remove("method") else { return Err(invalid()) };
        match members.remove("params") {
            None | Some(Json::Null) => Ok(Request { id, method, params: None }),
            Some(Json::Object(params)) => Ok(Request { id, method, params: Some(params) }),
            Some(_) => Err((id, Error::Internal("'params' should be an object".into()))),
        }
    }

    pub fn is_notification(&self) -> bool {
        self.id.is_null()
    }
}

/// The response to a request.
pub fn response(id: Json, outcome: Result<Json, Error>) -> Json {
    match outcome {
        Ok(result) => json!({ "id": id, "jsonrpc": "2.0", "result": result }),
        Err(error) => json!({ "error": error.to_json(), "id": id, "jsonrpc": "2.0" }),
    }
}

/// The text that answers a notification: its result comes back inside an error, and an empty text stands for no result.
pub fn notification_answer(outcome: Result<Json, Error>) -> String {
    match outcome {
        Ok(Json::Null) => String::new(),
        Ok(result) => json::write(&response(Json::Null, Err(Error::Notification(result)))),
        Err(error) => json::write(&response(Json::Null, Err(error))),
    }
}

/// The text of an `onEvent` notification.
pub fn event(object: &str, kind: &str, data: Json) -> String {
    let value = json!({ "data": data, "object": object, "type": kind });
    json::write(&json!({ "jsonrpc": "2.0", "method": "onEvent", "params": { "value": value } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let (id, error) = Request::open(json::read(text).unwrap()).unwrap_err();
        json::write(&response(id, Err(error)))
    }

    #[test]
    fn refuses_bad_envelopes_with_a_null_id() {
        let invalid = r#"{"error":{"code":-32600,"message":"Invalid JSON-RPC request."},"id":null,"jsonrpc":"2.0"}"#;
        for text in [
            "[]",
            "42",
            "\"x\"",
            "null",
            r#"[{"id":1,"jsonrpc":"2.0","method":"ping"}]"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"id":1,"jsonrpc":"1.0","method":"ping"}"#,
            r#"{"id":1,"jsonrpc":2.0,"method":"ping"}"#,
            r#"{"id":1,"jsonrpc":"2.0"}"#,
            r#"{"id":1,"jsonrpc":"2.0","method":5}"#,
            r#"{"id":{},"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"id":[1],"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"id":1,"jsonrpc":"2.0","result":{}}"#,
        ] {
            assert_eq!(refusal(text), invalid, "{text}");
        }
    }

    #[test]
    fn params_must_be_an_object() {
        let text = r#"{"id":7,"jsonrpc":"2.0","method":"create","params":[1]}"#;
        assert_eq!(
            refusal(text),
            r#"{"error":{"code":-32603,"message":"Unexpected error while processing method: 'params' should be an object"},"id":7,"jsonrpc":"2.0"}"#
        );
    }

    #[test]
    fn answers_notifications_inside_an_error() {
        assert_eq!(
            notification_answer(Ok(json!({"value": "pong"}))),
            r#"{"error":{"code":-32000,"data":{"value":"pong"},"message":"Ignoring response because of a notification request"},"id":null,"jsonrpc":"2.0"}"#
        );
        assert_eq!(notification_answer(Ok(Json::Null)), "");
    }
}
