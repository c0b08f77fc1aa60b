//! Listening for clients, plainly and over TLS.
//!
//! What enters: an address and what to serve there. What leaves: one task per client. What it must never know: the protocol.

use super::http::Pages;
use super::websocket::{self, HANDSHAKE};
use super::{Server, stopped};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// `None`: every address.
    pub address: Option<IpAddr>,
    /// Without an address: IPv6 and IPv4 through one socket, where the machine has IPv6; else IPv4 only.
    pub ipv6: bool,
    /// 0: any free one.
    pub port: u16,
    /// Connections that wait to be accepted.
    pub backlog: u32,
    /// The path of the WebSocket, without its leading slash.
    pub path: String,
    pub pages: Pages,
}

/// How the bytes of a listener are protected.
#[derive(Clone)]
pub enum Security {
    None,
    Tls(Arc<rustls::ServerConfig>),
    /// TLS was wanted, but the certificate cannot be used: every handshake fails.
    Broken,
}

/// A bound listener, not yet serving.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    options: ListenOptions,
}

impl Listener {
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(options: ListenOptions) -> io::Result<Self> {
        let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let socket = match options.address {
            Some(address) => bind(address, &options),
            None if options.ipv6 => bind(Ipv6Addr::UNSPECIFIED.into(), &options).or_else(|_| bind(any_v4, &options)),
            None => bind(any_v4, &options),
        }?;
        Ok(Listener { socket, options })
    }

    /// The bound address, with the port that was chosen.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts and serves until `stop` says true; then drops every connection without a word, as Kurento does.
    pub async fn serve(self, server: Arc<Server>, security: Security, mut stop: watch::Receiver<bool>) {
        let options = Arc::new(self.options);
        let mut clients = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = clients.join_next() => continue,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    clients.spawn(welcome(server.clone(), security.clone(), options.clone(), stream, peer));
                }
                Err(error) => {
                    // Out of descriptors, mostly: others must close first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        clients.shutdown().await;
    }
}

fn bind(address: IpAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, options.port))?;
    socket.listen(options.backlog)
}

async fn welcome(
    server: Arc<Server>,
    security: Security,
    options: Arc<ListenOptions>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Answers are small and wanted at once. Where it cannot be set, they come a little later.
    let _ = stream.set_nodelay(true);
    match security {
        Security::None => websocket::serve(server, stream, peer, &options.path, &options.pages).await,
        Security::Tls(config) => match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => websocket::serve(server, stream, peer, &options.path, &options.pages).await,
            Ok(Err(error)) => tracing::info!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::info!(%peer, "a TLS handshake took too long"),
        },
        Security::Broken => tracing::error!(%peer, "no TLS handshake is possible without a usable certificate"),
    }
}
