//! The method `transaction`: several requests in one, later ones naming the results of earlier ones as `newref:<n>`.

use crate::bindings::Answer;
use crate::dispatch::{run, session_or_new};
use crate::envelope::{self, Request};
use crate::error::Error;
use crate::params::{self, Params};
use crate::server::Server;
use serde_json::{Value as Json, json};
use std::sync::Arc;

const NEWREF: &str = "newref:";
/// Transactions inside one another.
const MAX_DEPTH: usize = 8;

/// Stops behind the first operation that fails; what was done stays done.
///
/// # Errors
/// [`Error::MalformedTransaction`] for wrong ids and unresolvable references: the answers so far are lost.
pub async fn transaction(server: &Arc<Server>, params: Params, depth: usize) -> Answer {
    let operations = params::array(&params, "operations")?;
    let session = session_or_new(&params);
    if depth >= MAX_DEPTH {
        return Err(Error::MalformedTransaction("Transactions are nested too deep".into()));
    }
    drop(params);
    let mut answers: Vec<Json> = Vec::new();
    for (index, mut operation) in operations.into_iter().enumerate() {
        if index_of(&operation) != u64::try_from(index).ok() {
            return Err(Error::MalformedTransaction(format!("Id of request '{index}' should be '{index}'")));
        }
        prepare(&mut operation, index, &session, &answers)?;
        let outcome = match Request::open(operation) {
            Ok(request) => run(server, &request.method, request.params, depth + 1).await,
            Err((_, error)) => Err(error),
        };
        let failed = outcome.is_err();
        answers.push(envelope::response(index.into(), outcome));
        if failed {
            break;
        }
    }
    Ok(json!({ "sessionId": session, "value": answers }))
}

/// The operation's id as an index; a missing one counts as 0, a text as none.
fn index_of(operation: &Json) -> Option<u64> {
    params::as_integer(operation.get("id").unwrap_or(&Json::Null), 0, i64::MAX).and_then(|id| u64::try_from(id).ok())
}

fn prepare(operation: &mut Json, index: usize, session: &str, answers: &[Json]) -> Result<(), Error> {
    let Json::Object(members) = operation else { return Ok(()) };
    members.insert("id".into(), index.into());
    let params = members.entry("params").or_insert(Json::Null);
    if params.is_null() {
        *params = json!({});
    }
    resolve(params, answers)?;
    if let Json::Object(params) = params {
        params.insert("sessionId".into(), session.into());
    }
    Ok(())
}

/// Replaces every `newref:<n>` by the value of answer n.
fn resolve(value: &mut Json, answers: &[Json]) -> Result<(), Error> {
    match value {
        Json::String(text) if text.len() > NEWREF.len() && text.starts_with(NEWREF) => {
            *value = resolved(&text[NEWREF.len()..], answers)?;
            Ok(())
        }
        Json::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, answers)),
        Json::Object(members) => members.values_mut().try_for_each(|member| resolve(member, answers)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}

fn resolved(index: &str, answers: &[Json]) -> Result<Json, Error> {
    let invalid = || Error::MalformedTransaction(format!("Invalid index of newref '{index}'"));
    let number: usize = index.parse().map_err(|_| invalid())?;
    let result = answers.get(number).and_then(|answer| answer.get("result"));
    let result = result.ok_or_else(|| Error::MalformedTransaction(format!("Result not found on request {number}")))?;
    Ok(result.get("value").cloned().unwrap_or(Json::Null))
}
