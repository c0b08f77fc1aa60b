//! The method `invoke`.

use crate::args::{Checker, Leaving};
use crate::bindings::{Answer, Call};
use crate::dispatch::session_or_new;
use crate::error::Error;
use crate::objects::{Object, lock};
use crate::params::{self, Params};
use crate::server::Server;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tracing::Instrument;

pub async fn invoke(server: &Arc<Server>, params: Params) -> Answer {
    let name = params::string(&params, "operation")?;
    let id = params::string(&params, "object")?;
    let session = session_or_new(&params);
    let object = lock(&server.sessions).reference(&session, &id).ok_or_else(|| Error::no_object(&id))?;
    let given = params.get("operationParams").and_then(Json::as_object);
    let operation = object.class().operations.get(&name).ok_or_else(|| {
        let count = given.map_or(0, Params::len);
        Error::MalformedTransaction(format!("Method '{name}' with {count} parameters not found"))
    })?;
    let needs_params = !operation.is_setter && operation.params.iter().any(|param| !param.optional);
    if given.is_none() && needs_params {
        return Err(Error::Marshall("'operationParams' is required".into()));
    }
    let find = |id: &str| server.object(id);
    let checker = Checker { api: &server.api, find: &find };
    let args = checker.check(&operation.params, given, Leaving::FromTheRight)?;
    let handler = operation.handler.clone();
    let handler = handler.ok_or_else(|| Error::NotImplemented(format!("Operation not implemented: {name}")))?;
    let span = span(&session, &object);
    let call = Call { server: server.clone(), session: session.clone(), object: object.clone(), args };
    let value = handler(call).instrument(span).await?;
    let value = if operation.is_setter { Json::Null } else { value };
    Ok(json!({ "sessionId": session, "value": value }))
}

fn span(session: &str, object: &Object) -> tracing::Span {
    let span = tracing::info_span!("session", id = session);
    let Some(pipeline) = object.pipeline() else { return span };
    let span = tracing::info_span!(parent: &span, "pipeline", id = pipeline.id());
    if pipeline.id() == object.id() {
        return span;
    }
    tracing::info_span!(parent: &span, "element", id = object.id())
}
