//! The methods that concern events.

use crate::bindings::Answer;
use crate::dispatch::session_or_new;
use crate::error::Error;
use crate::objects::lock;
use crate::params::{self, Params};
use crate::server::Server;
use serde_json::json;

pub fn subscribe(server: &Server, params: &Params) -> Answer {
    let kind = params::string(params, "type")?;
    let id = params::string(params, "object")?;
    let session = session_or_new(params);
    let mut sessions = lock(&server.sessions);
    let object = sessions.reference(&session, &id).ok_or_else(|| Error::no_object(&id))?;
    let event = object.class().event(&kind).ok_or(Error::EventNotSupported(kind))?;
    let subscription = sessions.subscribe(&session, &id, event).ok_or_else(|| Error::no_object(&id))?;
    Ok(json!({ "sessionId": session, "value": subscription }))
}

/// Unknown objects and subscriptions succeed.
pub fn unsubscribe(server: &Server, params: &Params) -> Answer {
    let id = params::string(params, "object")?;
    let subscription = params::string(params, "subscription")?;
    let session = params::string(params, "sessionId")?;
    lock(&server.sessions).unsubscribe(&session, &id, &subscription);
    Ok(json!({ "sessionId": session }))
}
