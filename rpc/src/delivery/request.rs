//! One request. Enters: a URL, and a spool that may still grow. Leaves: what the server made of it. Redirections and challenges are
//! followed before anything of the recording is sent (RFC 9110, section 10.1.1).

use super::credentials::{self, Credentials};
use super::spool::{Reading, Spool};
use rustls::crypto::aws_lc_rs;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, SendBody};

const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take to say whether it wants the recording at all; who does not say gets it.
const WANTS: Duration = Duration::from_secs(3);
/// How long the server may take nothing of what is sent.
const STUCK: Duration = Duration::from_secs(30);
/// How long it may take to answer once it has all.
const ANSWER: Duration = Duration::from_secs(120);
/// Redirections and challenges in a row.
const MOST_HOPS: usize = 6;

pub enum Attempt {
    Accepted,
    /// It would be the same another time.
    Refused(String),
    Failed(String),
}

/// Makes requests to a URL.
pub struct Sender {
    agent: Agent,
    /// Without credentials.
    url: String,
    credentials: Option<Credentials>,
}

impl Sender {
    pub fn new(url: &str) -> Self {
        let (url, credentials) = credentials::split(url);
        Sender { agent: agent(), url, credentials }
    }

    pub fn attempt(&self, spool: &Arc<Spool>) -> Attempt {
        let mut url = self.url.clone();
        let mut authorization = self.credentials.as_ref().map(Credentials::basic);
        let mut challenged = false;
        for _ in 0..MOST_HOPS {
            let answer = match self.put(&url, authorization.as_deref(), spool) {
                Ok(answer) => answer,
                Err(why) if is_final(&why) => return Attempt::Refused(why.to_string()),
                Err(why) => return Attempt::Failed(why.to_string()),
            };
            match answer.status().as_u16() {
                200..=299 if spool.has_ended() => return Attempt::Accepted,
                200..=299 => return Attempt::Failed("the server answers before the end".to_owned()),
                301 | 302 | 307 | 308 => match location(&answer).and_then(|location| redirected(&url, location)) {
                    Some(next) => {
                        if origin(&next) != origin(&url) {
                            // Nobody else is told the password.
                            authorization = None;
                        }
                        url = next;
                    }
                    None => return refused(answer.status()),
                },
                401 if !challenged && origin(&url) == origin(&self.url) => match self.answer_challenge(&url, &answer) {
                    Some(digest) => (authorization, challenged) = (Some(digest), true),
                    None => return refused(answer.status()),
                },
                // What it does not know it will not know later.
                501 | 505 => return refused(answer.status()),
                408 | 425 | 429 | 500.. => return Attempt::Failed(format!("it answers {}", answer.status().as_u16())),
                _ => return refused(answer.status()),
            }
        }
        Attempt::Refused("it redirects for ever".to_owned())
    }

    fn put(&self, url: &str, authorization: Option<&str>, spool: &Arc<Spool>) -> Result<Response<Body>, Error> {
        let mut request = self
            .agent
            .put(url)
            // So that an answer that comes early is known to be whole: then the server closes.
            .header("Connection", "close")
            .header("Content-Type", "application/octet-stream")
            // So that who is not allowed to, or is sent elsewhere, is told before everything is sent.
            .header("Expect", "100-continue");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        request.send(SendBody::from_owned_reader(Reading::new(spool)))
    }

    fn answer_challenge(&self, url: &str, answer: &Response<Body>) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let uri: Uri = url.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
        challenges.filter_map(|value| value.to_str().ok()).find_map(|challenge| credentials.digest(challenge, path))
    }
}

fn refused(status: StatusCode) -> Attempt {
    Attempt::Refused(format!("it answers {}", status.as_u16()))
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn location(answer: &Response<Body>) -> Option<&str> {
    answer.headers().get(header::LOCATION)?.to_str().ok()
}

/// Where an answer leads: to the web, and not from where nobody can listen to where somebody can.
fn redirected(from: &str, location: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let to = match location {
        _ if location.starts_with("//") => format!("{scheme}:{location}"),
        _ if location.starts_with('/') => format!("{scheme}://{host}{location}"),
        _ => location.to_owned(),
    };
    // A password in it is meant for nobody: it is the server's own word.
    let (to, _) = credentials::split(to.split('#').next()?);
    let (next, _, _) = origin(&to)?;
    let secure = scheme.eq_ignore_ascii_case("https");
    (next == "https" || next == "http" && !secure).then_some(to)
}

/// Whether it would be the same another time.
fn is_final(why: &Error) -> bool {
    match why {
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) | Error::Tls(_) => true,
        Error::Rustls(why) => is_distrust(why),
        Error::Io(why) => {
            let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            inner.or_else(|| why.source()?.downcast_ref()).is_some_and(is_distrust)
        }
        _ => false,
    }
}

fn is_distrust(why: &rustls::Error) -> bool {
    matches!(why, rustls::Error::InvalidCertificate(_) | rustls::Error::UnsupportedNameType)
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots())))
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // They are followed here.
        .max_redirects(0)
        .proxy(None)
        .user_agent("Rivero")
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_await_100(Some(WANTS))
        .timeout_per_write(Some(STUCK))
        .timeout_recv_response(Some(ANSWER))
        .tls_config(tls);
    config.build().new_agent()
}

/// Whom this machine trusts.
fn roots() -> Vec<Certificate<'static>> {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a certificate of this machine cannot be read");
    }
    native.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::redirected;

    #[test]
    fn redirections_lead_to_the_web_and_never_out_of_tls() {
        let secure = "https://host:8/a/b?c";
        for (from, location, to) in [
            (secure, "https://there/x", Some("https://there/x")),
            (secure, "//there/x#y", Some("https://there/x")),
            (secure, "/x?y", Some("https://host:8/x?y")),
            ("http://host/a", "https://me:secret@there/", Some("https://there/")),
            ("http://host/a", "HTTP://there/", Some("HTTP://there/")),
            (secure, "http://host:8/x", None),
            ("http://host/a", "file:///etc/passwd", None),
            ("http://host/a", "gopher://there/", None),
            ("http://host/a", "x", None),
            ("http://host/a", "", None),
        ] {
            assert_eq!(redirected(from, location).as_deref(), to, "{from} {location}");
        }
    }
}
