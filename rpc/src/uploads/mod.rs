//! An HTTP server of its own to which peers post media: the bodies of their requests become something that can be read.
//!
//! Enters: who expects a post ([`Expects`]), and the requests of strangers. Leaves: a URL for each who expects, and per post a
//! [`Body`] that a thread can read from. It must never know elements, objects or the Kurento Protocol.
//!
//! - `site`: one URL and its session, from the first post until nobody has been connected for some time.
//! - `door`: the listener, and what it bounds: connections, headers, the time that a peer may be silent.
//! - `answer`: which request gets which answer.
//! - `parts`: the files inside a form.
//! - `body`: the way of bytes from a request to the thread that reads them. Whoever reads slowly slows the peer down; nothing piles up.

mod answer;
mod body;
mod door;
mod parts;
mod site;
#[cfg(test)]
mod tests;

pub use body::{Body, Receipt};
pub use site::{Expects, Site};

use crate::config::settings::HttpSettings;
use crate::objects::lock;
use door::Door;
use site::Sites;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server, which opens its door when the first URL is wanted.
pub struct Uploads {
    settings: HttpSettings,
    sites: Arc<Sites>,
    door: tokio::sync::Mutex<Option<Door>>,
}

impl Uploads {
    pub fn new(settings: HttpSettings) -> Self {
        Uploads { settings, sites: Arc::default(), door: tokio::sync::Mutex::default() }
    }

    /// A new URL. Without a connection for `patience` after a post it ceases to be; before the first post it waits for ever. To be
    /// called inside the runtime that shall serve the peers.
    ///
    /// # Errors
    /// The configured address cannot be listened on.
    pub async fn expect(&self, patience: Duration, who: Arc<dyn Expects>) -> io::Result<Registration> {
        let mut door = self.door.lock().await;
        let port = match &*door {
            Some(door) => door.address.port(),
            None => {
                let opened = Door::open(&self.settings, self.sites.clone()).await?;
                door.insert(opened).address.port()
            }
        };
        let listens = door.as_ref().map(|door| door.address.ip());
        let host = match &self.settings.announced_address {
            Some(host) => host.clone(),
            None => host(listens),
        };
        let site = self.sites.add(host.clone(), patience, who);
        let name = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("http://{name}:{port}{}", site.path());
        Ok(Registration { url, site, sites: self.sites.clone() })
    }
}

/// One who expects posts, until it is dropped.
pub struct Registration {
    url: String,
    site: Arc<Site>,
    sites: Arc<Sites>,
}

impl Registration {
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.sites.remove(&self.site);
    }
}

/// Under which address a peer finds what listens here.
fn host(listens: Option<IpAddr>) -> String {
    match listens.filter(|address| !address.is_unspecified()) {
        Some(address) => address.to_string(),
        None => outward().unwrap_or(Ipv4Addr::LOCALHOST.into()).to_string(),
    }
}

/// The address from which this machine would speak to a distant one. Nothing is sent: 192.0.2.1 is nobody's (RFC 5737).
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SocketAddr::from(([192, 0, 2, 1], 9))).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_unspecified())
}

/// Where a post waits for the one who reads it.
#[derive(Default)]
pub struct Desk(Mutex<Option<(Body, Receipt)>>);

impl Desk {
    /// What lay there before is refused.
    pub fn put(&self, body: Body, receipt: Receipt) {
        *lock(&self.0) = Some((body, receipt));
    }

    pub fn take(&self) -> Option<(Body, Receipt)> {
        lock(&self.0).take()
    }
}
