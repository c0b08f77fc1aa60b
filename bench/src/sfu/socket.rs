//! A WebSocket that is asked and answers, one message at a time; what comes unasked is kept until somebody looks for it.

use super::SfuError;
use serde_json::Value;
use std::net::TcpStream;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

const PATIENCE: Duration = Duration::from_secs(20);
/// Messages that nobody asked for are kept up to this many, then the oldest go.
const KEPT: usize = 4096;

pub struct JsonSocket {
    socket: WebSocket<TcpStream>,
    kept: Vec<Value>,
}

impl JsonSocket {
    /// Connects to `ws://host:port/path`.
    pub fn connect(url: &str, protocol: Option<&'static str>) -> Result<Self, SfuError> {
        let failed = |why: &dyn std::fmt::Display| SfuError::Connection(format!("{url}: {why}"));
        let mut request = url.into_client_request().map_err(|why| failed(&why))?;
        if let Some(protocol) = protocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(protocol));
        }
        let host = request.uri().authority().map(ToString::to_string).ok_or_else(|| failed(&"no host"))?;
        let stream = TcpStream::connect(&host).map_err(|why| failed(&why))?;
        let _ = stream.set_nodelay(true);
        stream.set_read_timeout(Some(PATIENCE)).map_err(|why| failed(&why))?;
        let (socket, _) = client(request, stream).map_err(|why| failed(&why))?;
        Ok(JsonSocket { socket, kept: Vec::new() })
    }

    pub fn send(&mut self, message: &Value) -> Result<(), SfuError> {
        let sent = self.socket.send(Message::text(message.to_string()));
        sent.map_err(|why| SfuError::Connection(why.to_string()))
    }

    /// The first message, past or future, in which `pick` finds what it looks for. `what` names it in errors.
    pub fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> Result<T, SfuError> {
        for index in 0..self.kept.len() {
            if let Some(found) = pick(&self.kept[index]) {
                self.kept.remove(index);
                return Ok(found);
            }
        }
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text),
                Ok(_) => continue,
                Err(tokio_tungstenite::tungstenite::Error::Io(why))
                    if matches!(why.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    return Err(SfuError::Silent(what.to_owned()));
                }
                Err(why) => return Err(SfuError::Connection(why.to_string())),
            };
            let message = message.map_err(|why| SfuError::Connection(why.to_string()))?;
            if let Some(found) = pick(&message) {
                return Ok(found);
            }
            if self.kept.len() == KEPT {
                self.kept.remove(0);
            }
            self.kept.push(message);
        }
    }

    /// Takes all kept messages in which `pick` finds something.
    pub fn take_kept<T>(&mut self, mut pick: impl FnMut(&Value) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        self.kept.retain(|message| match pick(message) {
            Some(value) => {
                found.push(value);
                false
            }
            None => true,
        });
        found
    }
}
