//! The methods that concern sessions and references.

use crate::bindings::Answer;
use crate::dispatch::session_or_new;
use crate::error::Error;
use crate::objects::{lock, new_uuid};
use crate::params::{self, Params};
use crate::server::Server;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Never fails.
pub fn ping(params: Option<Params>) -> Answer {
    Ok(match params::session(params.as_ref()) {
        Some(session) => json!({ "sessionId": session, "value": "pong" }),
        None => json!({ "value": "pong" }),
    })
}

/// Without a session: hands out a name, under which a session will exist once an object is referenced.
pub fn connect(server: &Server, params: Option<Params>) -> Answer {
    let session = match params::session(params.as_ref()) {
        Some(session) if lock(&server.sessions).keep_alive(&session) => session,
        Some(_) => return Err(Error::InvalidSession),
        None => new_uuid(),
    };
    Ok(json!({ "serverId": server.id(), "sessionId": session }))
}

pub fn describe(server: &Server, params: &Params) -> Answer {
    let id = params::string(params, "object")?;
    let session = session_or_new(params);
    let object = lock(&server.sessions).reference(&session, &id).ok_or_else(|| Error::no_object(&id))?;
    let class = object.class();
    Ok(json!({
        "hierarchy": class.hierarchy,
        "qualifiedType": class.qualified,
        "sessionId": session,
        "type": class.name,
    }))
}

/// Ends an object for everybody; an unknown one is already gone.
pub fn release(server: &Arc<Server>, params: &Params) -> Answer {
    let id = params::string(params, "object")?;
    let session = session_or_new(params);
    server.release(&id);
    Ok(json!({ "sessionId": session }))
}

pub fn reference(server: &Server, params: &Params) -> Answer {
    let id = params::string(params, "object")?;
    let session = params::string(params, "sessionId")?;
    lock(&server.sessions).reference(&session, &id).ok_or_else(|| Error::no_object(&id))?;
    Ok(json!({ "sessionId": session }))
}

pub fn unreference(server: &Arc<Server>, params: &Params) -> Answer {
    let id = params::string(params, "object")?;
    let session = params::string(params, "sessionId")?;
    let released = lock(&server.sessions).unreference(&session, &id);
    server.bury(released);
    Ok(json!({ "sessionId": session }))
}

pub fn keep_alive(server: &Server, params: &Params) -> Answer {
    let session = params::string(params, "sessionId")?;
    match lock(&server.sessions).keep_alive(&session) {
        true => Ok(json!({ "sessionId": session })),
        false => Err(Error::InvalidSession),
    }
}

/// Answers null, also for a session that does not exist.
pub fn close(server: &Arc<Server>, params: &Params) -> Answer {
    let release = params::boolean_or(params, "release", false)?;
    let session = params::string(params, "sessionId")?;
    let released = lock(&server.sessions).close_session(&session, release);
    server.bury(released);
    Ok(Json::Null)
}
