//! Which request gets which answer. Enters: a request. Leaves: its answer, once its body has been handed over.

use super::body::Feed;
use super::parts::{Parts, boundary};
use super::site::{Admitted, Site, Sites};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const COOKIE: &str = "HttpEPCookie";
/// How long a peer may send nothing in the middle of a body.
const SILENCE: Duration = Duration::from_secs(10);
/// What is read of a body that is refused, so that its sender comes to read the answer.
const MOST_REFUSED: usize = 1 << 20;
const REFUSED_PATIENCE: Duration = Duration::from_secs(2);

/// Why a body cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the connection broke")]
    Broken,
    #[error("the peer sent nothing for too long")]
    Silent,
    #[error("no form that can be read")]
    Form,
    #[error("nobody plays it")]
    Unwanted,
    #[error("the URL has ceased to be")]
    Gone,
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Trouble::Broken | Trouble::Form => StatusCode::BAD_REQUEST,
            Trouble::Silent => StatusCode::REQUEST_TIMEOUT,
            Trouble::Unwanted => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Trouble::Gone => StatusCode::GONE,
        }
    }
}

type Answer = Response<Empty<Bytes>>;

pub async fn answer(sites: &Arc<Sites>, request: Request<Incoming>) -> Answer {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut answer = match sites.find(request.uri().path()) {
        None => refuse(request, StatusCode::NOT_FOUND).await,
        Some(site) if *request.method() == Method::POST => post(sites, &site, request).await,
        Some(_) if *request.method() == Method::OPTIONS => preflight(request.headers()),
        Some(_) => {
            let mut answer = refuse(request, StatusCode::METHOD_NOT_ALLOWED).await;
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            answer
        }
    };
    // Pages of any origin may post; who knows the URL may. A page sends the cookie only where its own origin is named.
    if let Some(origin) = origin {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    answer
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer
}

/// Answers once the peer has stopped sending, or has sent enough of what nobody wants.
async fn refuse(request: Request<Incoming>, status: StatusCode) -> Answer {
    let mut pieces = Pieces(request.into_body());
    let _ = timeout(REFUSED_PATIENCE, async {
        let mut read = 0;
        while let Ok(Some(piece)) = pieces.next().await {
            read += piece.len();
            if read > MOST_REFUSED {
                break;
            }
        }
    })
    .await;
    plain(status)
}

/// What a browser asks before it lets a page post (the Fetch standard, CORS-preflight request).
fn preflight(asked: &HeaderMap) -> Answer {
    let mut answer = plain(StatusCode::OK);
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    // Pages of a public address may post to a private one, if they may post at all (Private Network Access).
    if asked.contains_key("access-control-request-private-network") {
        let name = HeaderName::from_static("access-control-allow-private-network");
        headers.insert(name, HeaderValue::from_static("true"));
    }
    answer
}

/// How a body holds its media.
enum Shape {
    Bare,
    Form { boundary: String },
}

/// Kurento refuses what does not say what it is, and a form whose parts cannot be told apart.
fn shape(headers: &HeaderMap) -> Option<Shape> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match text.parse::<mime::Mime>() {
        Ok(kind) if kind.type_() == mime::MULTIPART => Some(Shape::Form { boundary: boundary(&kind)? }),
        // What it says beyond that is not relied upon.
        Ok(_) | Err(_) => Some(Shape::Bare),
    }
}

async fn post(sites: &Arc<Sites>, site: &Arc<Site>, request: Request<Incoming>) -> Answer {
    let Some(shape) = shape(request.headers()) else { return refuse(request, StatusCode::NOT_ACCEPTABLE).await };
    let first = match site.admit(cookies(request.headers())) {
        Admitted::No => return refuse(request, StatusCode::BAD_REQUEST).await,
        Admitted::Again => None,
        Admitted::First(secret) => Some(secret),
    };
    let connected = sites.connect(site, first.is_some());
    let pieces = Pieces(request.into_body());
    let received = tokio::select! {
        received = receive(site, shape, pieces) => received,
        () = site.gone() => Err(Trouble::Gone),
    };
    drop(connected);
    let mut answer = match received {
        Ok(()) => plain(StatusCode::OK),
        Err(trouble) => {
            tracing::warn!(path = site.path(), "a post of media fails: {trouble}");
            plain(trouble.status())
        }
    };
    if let Some(secret) = first {
        let cookie = format!("{COOKIE}={secret}; domain={}; path={}", site.host(), site.path());
        if let Ok(value) = HeaderValue::try_from(cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, value);
        }
    }
    answer
}

/// The values of our cookie (RFC 6265, section 5.4).
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| text.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

async fn receive(site: &Site, shape: Shape, mut pieces: Pieces) -> Result<(), Trouble> {
    match shape {
        Shape::Bare => {
            let feed = site.begin().await.ok_or(Trouble::Gone)?;
            while let Some(piece) = pieces.next().await? {
                give(&feed, piece).await?;
            }
            end(feed).await
        }
        Shape::Form { boundary } => {
            let mut parts = Parts::new(pieces, boundary);
            while let Some(mut file) = parts.next_file().await? {
                let feed = site.begin().await.ok_or(Trouble::Gone)?;
                while let Some(piece) = parts.piece(&mut file).await? {
                    give(&feed, piece).await?;
                }
                end(feed).await?;
            }
            Ok(())
        }
    }
}

async fn give(feed: &Feed, piece: Bytes) -> Result<(), Trouble> {
    feed.give(piece).await.map_err(|_| Trouble::Unwanted)
}

async fn end(feed: Feed) -> Result<(), Trouble> {
    feed.end().await.map_err(|_| Trouble::Unwanted)
}

/// A request's body.
pub struct Pieces(Incoming);

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match timeout(SILENCE, self.0.frame()).await {
                Err(_) => return Err(Trouble::Silent),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Trouble::Broken),
                // Trailers are nothing to us.
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Trouble>> + Send {
        stream::unfold(Some(self), |pieces| async {
            let mut pieces = pieces?;
            match pieces.next().await {
                Ok(None) => None,
                Ok(Some(piece)) => Some((Ok(piece), Some(pieces))),
                Err(trouble) => Some((Err(trouble), None)),
            }
        })
    }
}
