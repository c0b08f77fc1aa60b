//! `UriEndpoint`: where media comes from or goes to.

use super::face::{Role, element};
use super::{player_endpoint, recorder_endpoint};
use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use crate::objects::Object;
use rivero_codecs::player::PlayState;
use serde_json::{Value as Json, json};

const CLASS: &str = "UriEndpoint";

pub fn bind(bindings: &mut Bindings) {
    bindings
        .getter(CLASS, "uri", async |call: Call| -> Answer { Ok(uri(&call.object)?.into()) })
        .getter(CLASS, "state", async |call: Call| -> Answer { Ok(state_name(state(&call.object).await?)) })
        .method(CLASS, "pause", pause)
        .method(CLASS, "stop", stop);
}

/// The URI as Kurento reads it: slashes may be escaped, and what has no scheme lies under the default path.
pub fn normalise(uri: &str, default_path: &str) -> String {
    let uri = uri.replace("%2F", "/").replace("%2f", "/");
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    let letters = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let named = scheme.is_some_and(|scheme| scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && letters(scheme));
    if named { uri } else { format!("{}/{}", default_path.trim_end_matches('/'), uri.trim_start_matches('/')) }
}

/// For the log.
pub fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://***{}", &rest[secret.len()..]),
        None => uri.to_owned(),
    }
}

pub fn state_name(state: PlayState) -> Json {
    json!(match state {
        PlayState::Stop => "STOP",
        PlayState::Start => "START",
        PlayState::Pause => "PAUSE",
    })
}

fn uri(object: &Object) -> Result<&str, Error> {
    match &element(object)?.role {
        Role::Player(face) => Ok(&face.uri),
        Role::Recorder(face) => Ok(&face.uri),
        _ => Err(Error::ObjectNotFound("Invalid object".to_owned())),
    }
}

fn records(object: &Object) -> Result<bool, Error> {
    Ok(matches!(element(object)?.role, Role::Recorder(_)))
}

async fn state(object: &Object) -> Result<PlayState, Error> {
    if records(object)? {
        return recorder_endpoint::state(object).await;
    }
    Ok(player_endpoint::report(object).await?.state)
}

async fn pause(call: Call) -> Answer {
    if records(&call.object)? {
        recorder_endpoint::pause(&call.object).await
    } else {
        player_endpoint::pause(&call.object).await
    }
}

async fn stop(call: Call) -> Answer {
    if records(&call.object)? {
        recorder_endpoint::stop(&call.object).await
    } else {
        player_endpoint::stop(&call.object).await
    }
}

#[cfg(test)]
mod tests {
    use super::{normalise, without_password};

    #[test]
    fn passwords_stay_out_of_the_log() {
        assert_eq!(without_password("rtsp://me:secret@camera/1?a=b@c"), "rtsp://***@camera/1?a=b@c");
        assert_eq!(without_password("http://host/me@there"), "http://host/me@there");
        assert_eq!(without_password("file:///a"), "file:///a");
    }

    #[test]
    fn uris_as_kurento_reads_them() {
        let read = |uri| normalise(uri, "file:///var/lib/kurento/");
        assert_eq!(read("file:///tmp/a.webm"), "file:///tmp/a.webm");
        assert_eq!(read("http:%2F%2Fhost%2Fa%20b.mp4"), "http://host/a%20b.mp4");
        assert_eq!(read("a.webm"), "file:///var/lib/kurento/a.webm");
        assert_eq!(read("/tmp/a.webm"), "file:///var/lib/kurento/tmp/a.webm");
        assert_eq!(read("12:30.webm"), "file:///var/lib/kurento/12:30.webm");
        assert_eq!(read("rtsp://user:pass@camera/1"), "rtsp://user:pass@camera/1");
    }
}
