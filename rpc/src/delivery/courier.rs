//! The thread that sends. Enters: a spool and a URL. Leaves: whether the server has accepted the whole; temporary failures are
//! tried again, from the beginning.

use super::spool::{Reading, Spool};
use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use rustls::crypto::aws_lc_rs;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

/// The pause before another attempt doubles, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Pauses altogether once the recording is over; while it is made, its room is the bound.
const PATIENCE: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may take nothing of what is sent.
const STUCK: Duration = Duration::from_secs(30);
/// How long it may take to answer once it has all.
const ANSWER: Duration = Duration::from_secs(120);

enum Attempt {
    Accepted,
    /// It would be the same another time.
    Refused(String),
    Failed(String),
}

pub fn deliver(url: &str, spool: &Arc<Spool>) -> io::Result<()> {
    let agent = agent(url);
    let (mut pause, mut rested) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        match attempt(&agent, url, spool) {
            Attempt::Accepted => return Ok(()),
            Attempt::Refused(why) => {
                tracing::error!("a server does not take a recording: {why}");
                return Err(io::Error::other(why));
            }
            Attempt::Failed(why) if spool.has_ended() && rested >= PATIENCE => {
                tracing::error!("a recording cannot be sent: {why}");
                return Err(io::Error::other(why));
            }
            Attempt::Failed(why) => tracing::warn!("a recording is sent again, from its beginning: {why}"),
        }
        spool.rest(pause);
        if spool.has_ended() {
            rested += pause;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn attempt(agent: &Agent, url: &str, spool: &Arc<Spool>) -> Attempt {
    let mut request = agent
        .put(url)
        // So that an answer that comes early is known to be whole: then the server closes.
        .header("Connection", "close")
        .header("Content-Type", "application/octet-stream")
        // So that who is not allowed to is told before everything is sent.
        .header("Expect", "100-continue");
    if let Some(credentials) = credentials(url) {
        request = request.header("Authorization", credentials);
    }
    match request.send(SendBody::from_owned_reader(Reading::new(spool))) {
        Ok(answer) => match answer.status().as_u16() {
            200..300 if spool.has_ended() => Attempt::Accepted,
            200..300 => Attempt::Failed("the server answers before the end".to_owned()),
            status @ (408 | 425 | 429 | 500..) => Attempt::Failed(format!("it answers {status}")),
            status => Attempt::Refused(format!("it answers {status}")),
        },
        Err(why @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::RequireHttpsOnly(_))) => {
            Attempt::Refused(why.to_string())
        }
        Err(why) => Attempt::Failed(why.to_string()),
    }
}

/// Basic authentication (RFC 7617) for the user and the password of a URL, whose special characters are percent-encoded.
fn credentials(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    Some(format!("Basic {}", BASE64.encode(&plain)))
}

fn agent(url: &str) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // What has been sent cannot be sent on.
        .max_redirects(0)
        .proxy(None)
        .user_agent("Rivero")
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_write(Some(STUCK))
        .timeout_recv_response(Some(ANSWER));
    if url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a certificate of this machine cannot be read");
        }
        let roots = native.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        config = config.tls_config(tls);
    }
    config.build().new_agent()
}
