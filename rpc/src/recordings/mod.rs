//! The recordings that the server's own page makes: which there are, and their bytes, over HTTP.
//!
//! Enters: requests below `/recordings`. Leaves: a list of one directory, and single files of it with byte ranges (RFC 9110,
//! section 14), so that `<video>` can seek. It must never know elements, sessions or the Kurento Protocol: recordings are made by
//! `RecorderEndpoint` alone; nothing here writes to a file, and nothing deletes one.
//!
//! A browser cannot see the server's disk through the Kurento Protocol, and shall not. To read recordings over HTTP is more than
//! Kurento lets strangers do, so:
//!
//! - A server with a configuration file shows nothing unless the file says so: `mediaServer.demo.recordings` names a directory.
//!   Whoever may speak to the server may then read what lies in it.
//! - A server without one (`make run`) uses a directory in the user's data, and shows it to browsers on this very machine alone
//!   ([`Audience::ThisMachine`]): the port is open to the whole network, a stranger's recordings of themselves are not.
//! - What is shown are plain files that lie in the directory itself and end as recordings do. A name is one component of a path;
//!   links are not followed, pipes not waited for (`shelf`).
//! - Whoever may speak the Kurento Protocol can have a file written, and read, anyway: here nothing is added to what can fill a disk.
//! - What a request may cost is bounded: entries that are looked at and listed, the time in which films are asked how long they
//!   are (`lengths`), files that are sent at the same time (`answer`).
//! - Pages of other origins can neither read nor embed recordings, and no browser takes one for anything but a film.

mod answer;
mod lengths;
mod shelf;
#[cfg(test)]
mod tests;

use crate::server::branch::{Answering, Branch};
use hyper::{HeaderMap, Request, header};
use lengths::Lengths;
use rivero_engine::Clock;
use shelf::Shelf;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Lists and files that are on their way to peers at the same time.
const MOST_ANSWERS: usize = 64;

/// Who may see recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Everyone,
    /// Browsers that run where the server runs, and whose address line says so. The latter keeps out pages whose own name was made
    /// to lead to this machine (DNS rebinding); what a proxy has forwarded does not count as from here.
    ThisMachine,
}

/// A directory of recordings.
pub struct Recordings {
    shelf: Shelf,
    lengths: Lengths,
    audience: Audience,
    room: Arc<Semaphore>,
}

impl Recordings {
    /// Nothing is made or read yet.
    ///
    /// # Errors
    /// The path is empty, or relative while there is no current directory.
    pub fn new(folder: &Path, audience: Audience, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Ok(Recordings {
            shelf: Shelf::new(folder)?,
            lengths: Lengths::new(clock),
            audience,
            room: Arc::new(Semaphore::new(MOST_ANSWERS)),
        })
    }
}

impl Branch for Recordings {
    fn answer(self: Arc<Self>, request: Request<()>, peer: IpAddr) -> Answering {
        Box::pin(answer::answer(self, request, peer))
    }
}

impl Audience {
    fn admits(self, peer: IpAddr, headers: &HeaderMap) -> bool {
        const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
        let from_here =
            || peer.is_loopback() && FORWARDED.iter().all(|name| !headers.contains_key(*name)) && names_here(headers);
        self == Audience::Everyone || from_here()
    }
}

/// Whether the address line of the browser says `localhost` or a loopback address.
fn names_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    if let Some((v6, _port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
