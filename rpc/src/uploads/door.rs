//! The listener. Enters: connections of strangers. Leaves: their requests, within bounds.

use super::answer::answer;
use super::site::Sites;
use crate::config::settings::HttpSettings;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// Connections at the same time; more wait until one ends.
const MOST_CONNECTIONS: usize = 128;
const MOST_HEADERS: usize = 64;
/// Bytes that are read at a time, and those that a request's head may have.
const BUFFER: usize = 64 << 10;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// Dropping it closes the listener and every connection.
pub struct Door {
    pub address: SocketAddr,
    task: AbortHandle,
}

impl Door {
    pub async fn open(settings: &HttpSettings, sites: Arc<Sites>) -> io::Result<Self> {
        let port = settings.port;
        let listener = match &settings.server_address {
            Some(address) => TcpListener::bind((address.as_str(), port)).await?,
            // IPv6 and IPv4 through one socket, where the machine has IPv6.
            None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
                Ok(listener) => listener,
                Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
            },
        };
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening for posts of media");
        let task = tokio::spawn(receive(listener, sites)).abort_handle();
        Ok(Door { address, task })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(listener: TcpListener, sites: Arc<Sites>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut peers = JoinSet::new();
    loop {
        while peers.try_join_next().is_some() {}
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: others must close first.
                tracing::warn!(%error, "cannot accept a connection that may post media");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let sites = sites.clone();
        peers.spawn(async move {
            let service = service_fn(|request| {
                let sites = sites.clone();
                async move { Ok::<_, Infallible>(answer(&sites, request).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_headers(MOST_HEADERS)
                .max_buf_size(BUFFER)
                // A second request takes a second connection: none is kept for one that may never come.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection that posts media broke");
            }
            drop(place);
        });
    }
}
