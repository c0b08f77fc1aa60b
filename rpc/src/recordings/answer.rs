//! Which request gets which answer. Enters: a request, and from where. Leaves: the list, some bytes of a file, or a refusal.

use super::Recordings;
use super::shelf::{self, Entry};
use crate::server::branch::Body;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::OwnedSemaphorePermit;

type Answer = Response<Body>;

/// Recordings are not for other pages, not for shared caches, and nothing but films.
const ALWAYS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "private, no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

pub async fn answer(recordings: Arc<Recordings>, request: Request<()>, peer: IpAddr) -> Answer {
    let mut answer = match *request.method() {
        Method::GET | Method::HEAD => match recordings.room.clone().try_acquire_owned() {
            _ if !recordings.audience.admits(peer, request.headers()) => trouble(
                StatusCode::FORBIDDEN,
                "Recordings are shown to browsers on the server's own machine only, unless its configuration names a directory for them (mediaServer.demo.recordings).",
            ),
            Ok(permit) => get(recordings, &request, permit).await,
            Err(_) => trouble(StatusCode::SERVICE_UNAVAILABLE, "Too many are being served; try again."),
        },
        _ => {
            let mut answer = trouble(StatusCode::METHOD_NOT_ALLOWED, "Recordings can be read, nothing else.");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
    };
    for (name, value) in ALWAYS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if *request.method() == Method::HEAD
        && let Body::Bytes(bytes) = answer.body()
    {
        *answer.body_mut() = Body::Length(bytes.len() as u64);
    }
    answer
}

async fn get(recordings: Arc<Recordings>, request: &Request<()>, permit: OwnedSemaphorePermit) -> Answer {
    let name = request.uri().path().trim_start_matches('/');
    if name.is_empty() {
        return blocking(move || list(&recordings)).await;
    }
    let Ok(name) = percent_decode_str(name).decode_utf8() else { return not_found() };
    let Some(kind) = shelf::kind(&name) else { return not_found() };
    let (name, headers, head) = (name.into_owned(), request.headers().clone(), *request.method() == Method::HEAD);
    blocking(move || match recordings.shelf.open(&name) {
        Ok((file, bytes)) if head => {
            drop(file);
            film(kind, StatusCode::OK, Body::Length(bytes))
        }
        Ok((file, bytes)) => part(file, bytes, kind, &headers, permit),
        Err(_) => not_found(),
    })
    .await
}

/// On a thread that may wait for a disk.
async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    // It ends early only when it panics, or with the process.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| trouble(StatusCode::INTERNAL_SERVER_ERROR, "It broke."))
}

/// `uri`: below which a recorder writes; `modified`: ms since 1970; `duration`: ms, or null where that is not known.
fn list(recordings: &Recordings) -> Answer {
    let shelf = &recordings.shelf;
    let entries = match shelf.prepare().and_then(|()| shelf.list()) {
        Ok(entries) => entries,
        Err(error) => {
            let folder = shelf.path("");
            tracing::warn!(folder = %folder.display(), %error, "the directory of recordings cannot be read");
            return trouble(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("The directory of recordings cannot be read: {error}."),
            );
        }
    };
    let lengths = recordings.lengths.of(shelf, &entries);
    let shown = |(Entry { name, bytes, modified }, duration): (&Entry, &Option<u64>)| {
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let modified = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        json!({ "name": name, "bytes": bytes, "modified": modified, "duration": duration })
    };
    let shown: Vec<_> = entries.iter().zip(&lengths).map(shown).collect();
    document(StatusCode::OK, &json!({ "uri": shelf.uri(), "recordings": shown }))
}

fn part(mut file: File, bytes: u64, kind: &'static str, headers: &HeaderMap, permit: OwnedSemaphorePermit) -> Answer {
    let range = match range(headers, bytes) {
        Ok(range) => range,
        Err(Unsatisfiable) => {
            let mut answer = film(kind, StatusCode::RANGE_NOT_SATISFIABLE, Body::Length(0));
            set(&mut answer, header::CONTENT_RANGE, format!("bytes */{bytes}"));
            return answer;
        }
    };
    let (start, end, status) = match &range {
        Some(range) => (*range.start(), *range.end() + 1, StatusCode::PARTIAL_CONTENT),
        None => (0, bytes, StatusCode::OK),
    };
    if let Err(error) = file.seek(SeekFrom::Start(start)) {
        return failed(&error);
    }
    let body = Body::File { file: tokio::fs::File::from_std(file), bytes: end - start, permit };
    let mut answer = film(kind, status, body);
    if range.is_some() {
        set(&mut answer, header::CONTENT_RANGE, format!("bytes {start}-{}/{bytes}", end - 1));
    }
    answer
}

struct Unsatisfiable;

/// The one range that is asked for. All is sent where several are, where they are counted in something else than bytes, and where
/// they are wanted only of an unchanged file: no answer says by what that could be told (RFC 9110, sections 13.1.5 and 14.2).
fn range(headers: &HeaderMap, bytes: u64) -> Result<Option<RangeInclusive<u64>>, Unsatisfiable> {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None, false) = (values.next(), values.next(), headers.contains_key(header::IF_RANGE)) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| Unsatisfiable)?;
    if !value.split('=').next().is_some_and(|unit| unit.eq_ignore_ascii_case("bytes")) {
        return Ok(None);
    }
    let ranges = http_range_header::parse_range_header(value).and_then(|ranges| ranges.validate(bytes));
    let mut ranges = ranges.map_err(|_| Unsatisfiable)?.into_iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => Ok(Some(range)),
        (Some(_), Some(_)) => Ok(None),
        // Any range of an empty file.
        (None, _) => Err(Unsatisfiable),
    }
}

fn film(kind: &'static str, status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: String) {
    let value = HeaderValue::try_from(value).expect("numbers and signs of ASCII");
    answer.headers_mut().insert(name, value);
}

fn document(status: StatusCode, content: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Body::Bytes(content.to_string().into_bytes()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn trouble(status: StatusCode, why: &str) -> Answer {
    document(status, &json!({ "error": why }))
}

fn not_found() -> Answer {
    trouble(StatusCode::NOT_FOUND, "There is no such recording.")
}

fn failed(error: &io::Error) -> Answer {
    tracing::warn!(%error, "a recording cannot be read");
    trouble(StatusCode::INTERNAL_SERVER_ERROR, "The recording cannot be read.")
}
