//! Announcing this server to a registrar.
//!
//! What enters: the registrar's address and our own. What leaves: one `register` frame per connection, for as long as the
//! server runs. What it must never know: what the registrar does with it.

use super::stopped;
use super::tls::{TlsError, trusting_client_config};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Whom to tell what.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `ws://…` or `wss://…`; certificates are not verified.
    pub registrar: String,
    /// The name or address under which clients reach this server.
    pub local_address: String,
    pub port: u16,
    /// When there is one, it is announced instead.
    pub secure_port: Option<u16>,
    /// Without its leading slash.
    pub path: String,
}

impl Registration {
    /// The frame, byte for byte.
    pub fn frame(&self) -> String {
        let Registration { local_address, path, .. } = self;
        let url = match self.secure_port {
            Some(port) if port > 0 => format!("wss://{local_address}:{port}/{path}"),
            _ => format!("ws://{local_address}:{}/{path}", self.port),
        };
        format!(r#"{{"jsonrpc":"2.0","method":"register","params":{{"ws":"{url}"}}}}"#)
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the address is no WebSocket URL")]
    Address,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
}

/// Registers, and again after every loss, until `stop` says true.
pub async fn register_forever(registration: Registration, mut stop: watch::Receiver<bool>) {
    let mut delay = FIRST_DELAY;
    loop {
        if let Err(error) = register(&registration, &mut delay, stop.clone()).await {
            tracing::debug!(%error, registrar = registration.registrar, "no connection to the registrar");
        }
        if tokio::time::timeout(delay, stopped(&mut stop)).await.is_ok() {
            return;
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

async fn register(what: &Registration, delay: &mut Duration, mut stop: watch::Receiver<bool>) -> Result<(), Failure> {
    let url: Uri = what.registrar.parse().map_err(|_| Failure::Address)?;
    let host = url.host().ok_or(Failure::Address)?.trim_matches(['[', ']']).to_owned();
    let secure = what.registrar.starts_with("wss");
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = tokio::select! {
        stream = TcpStream::connect((host.as_str(), port)) => stream?,
        () = stopped(&mut stop) => return Ok(()),
    };
    if !secure {
        return converse(what, delay, stop, stream).await;
    }
    let name = ServerName::try_from(host).map_err(|_| Failure::Address)?;
    let stream = TlsConnector::from(trusting_client_config()?).connect(name, stream).await?;
    converse(what, delay, stop, stream).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    what: &Registration,
    delay: &mut Duration,
    mut stop: watch::Receiver<bool>,
    stream: S,
) -> Result<(), Failure> {
    let (mut socket, _) = client_async(what.registrar.as_str(), stream).await?;
    *delay = FIRST_DELAY;
    tracing::info!(registrar = what.registrar, "connected to the registrar");
    socket.send(Message::text(what.frame())).await?;
    loop {
        tokio::select! {
            () = stopped(&mut stop) => {
                let frame = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("terminating") };
                return Ok(socket.close(Some(frame)).await?);
            }
            message = socket.next() => match message {
                Some(message) => tracing::debug!(message = %message?, "the registrar says"),
                None => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_the_secure_port_where_there_is_one() {
        let mut what = Registration {
            registrar: "ws://localhost:9090".into(),
            local_address: "10.0.0.1".into(),
            port: 8888,
            secure_port: None,
            path: "kurento".into(),
        };
        assert_eq!(
            what.frame(),
            r#"{"jsonrpc":"2.0","method":"register","params":{"ws":"ws://10.0.0.1:8888/kurento"}}"#
        );
        what.secure_port = Some(8433);
        assert_eq!(
            what.frame(),
            r#"{"jsonrpc":"2.0","method":"register","params":{"ws":"wss://10.0.0.1:8433/kurento"}}"#
        );
    }
}
