//! From one text to its answer.
//!
//! What enters: a message and the connection on which it came. What leaves: the text of the answer. What it must never know:
//! what any object does.
//!
//! The order is Kurento's: read, check the envelope, put the connection's session in, look into the cache, do it, let the
//! connection speak for the session that the result names, keep the answer.

use crate::bindings::Answer;
use crate::cache;
use crate::envelope::{self, Request};
use crate::error::Error;
use crate::json;
use crate::objects::{lock, new_uuid};
use crate::params::{self, Params};
use crate::server::Server;
use crate::sessions::ConnectionId;
use futures_util::FutureExt;
use serde_json::Value as Json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

mod create;
mod invoke;
mod session;
mod subscribe;
mod transaction;

/// Reading more than this many bytes at once is announced to the runtime, so that other connections go on meanwhile.
const LONG: usize = 256 << 10;

pub async fn answer(server: &Arc<Server>, connection: ConnectionId, text: &str) -> String {
    let Ok(message) = read(text) else {
        return json::write(&envelope::response(Json::Null, Err(Error::Parse)));
    };
    let mut request = match Request::open(message) {
        Ok(request) => request,
        Err((id, error)) => return json::write(&envelope::response(id, Err(error))),
    };
    inject_session(server, connection, &mut request);
    let named = params::session(request.params.as_ref());
    let request_id = params::as_string(&request.id).filter(|_| !request.is_notification());
    if let Some(kept) = find_kept(server, named.as_deref(), request_id.as_deref()) {
        bind(server, connection, kept.session.as_deref());
        return kept.text.to_string();
    }
    let Request { id, method, params } = request;
    let outcome = guarded(server, &method, params).await;
    let result_session = outcome.as_ref().ok().and_then(|result| result.get("sessionId")?.as_str()).map(str::to_owned);
    // What answers a notification is an error, and errors never change for whom a connection speaks.
    let Some(request_id) = request_id else { return envelope::notification_answer(outcome) };
    bind(server, connection, result_session.as_deref());
    let text = json::write(&envelope::response(id, outcome));
    if let (Some(cache), Some(session)) = (&server.cache, result_session.clone().or(named)) {
        let answer = cache::Answer { text: text.as_str().into(), session: result_session };
        lock(cache).put((session, request_id), answer, server.uptime());
    }
    text
}

fn read(text: &str) -> Result<Json, json::Unreadable> {
    let many_threads = || Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if text.len() > LONG && many_threads() {
        return tokio::task::block_in_place(|| json::read(text));
    }
    json::read(text)
}

/// A request that names no session gets the one for which its connection speaks.
fn inject_session(server: &Server, connection: ConnectionId, request: &mut Request) {
    if params::session(request.params.as_ref()).is_some() {
        return;
    }
    if let Some(session) = server.session_of(connection) {
        request.params.get_or_insert_default().insert("sessionId".into(), session.into());
    }
}

fn find_kept(server: &Server, session: Option<&str>, id: Option<&str>) -> Option<cache::Answer> {
    let (cache, session, id) = (server.cache.as_ref()?, session?, id?);
    lock(cache).get(&(session.to_owned(), id.to_owned()), server.uptime())
}

fn bind(server: &Server, connection: ConnectionId, session: Option<&str>) {
    let Some(session) = session.filter(|session| !session.is_empty()) else { return };
    if lock(&server.sessions).bind(connection, session) {
        tracing::debug!(connection = connection.0, session, "a connection speaks for a session");
    }
}

/// Does a method; a panic inside costs this call only.
async fn guarded(server: &Arc<Server>, method: &str, params: Option<Params>) -> Answer {
    let running = AssertUnwindSafe(run(server, method, params, 0));
    running.catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(method, "a method failed inside the server");
        Err(Error::Internal("the operation failed inside the server".into()))
    })
}

/// Does one method. `depth` counts the transactions around it.
async fn run(server: &Arc<Server>, method: &str, params: Option<Params>, depth: usize) -> Answer {
    match method {
        "ping" => session::ping(params),
        "connect" => session::connect(server, params),
        "create" => create::create(server, required(params)?).await,
        "describe" => session::describe(server, &required(params)?),
        "invoke" => invoke::invoke(server, required(params)?).await,
        "release" => session::release(server, &required(params)?),
        "subscribe" => subscribe::subscribe(server, &required(params)?),
        "unsubscribe" => subscribe::unsubscribe(server, &required(params)?),
        "ref" => session::reference(server, &required(params)?),
        "unref" => session::unreference(server, &required(params)?),
        "keepAlive" => session::keep_alive(server, &required(params)?),
        "closeSession" => session::close(server, &required(params)?),
        "transaction" => Box::pin(transaction::transaction(server, required(params)?, depth)).await,
        _ => Err(Error::MethodNotFound),
    }
}

fn required(params: Option<Params>) -> Result<Params, Error> {
    params.ok_or(Error::ParamsRequired)
}

/// The session that the request names, or a new name.
fn session_or_new(params: &Params) -> String {
    params::session(Some(params)).unwrap_or_else(new_uuid)
}

#[cfg(test)]
mod tests;
