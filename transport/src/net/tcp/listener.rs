//! A worker's listening socket, on IPv4 and IPv6 where the machine has both.
//!
//! Enters: connections. Leaves: a [`TcpLink`] for each that may be served. It must never know whom they are for.

use super::admission::Admission;
use super::link::{Receiver, TcpLink};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;
/// How long to wait when the process has no file left for another connection.
const BREATHER: Duration = Duration::from_millis(100);

pub struct TcpPort {
    number: u16,
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
}

impl TcpPort {
    /// Listens on a port of the range, from `start` on if that is in it.
    ///
    /// Errors: that of the last attempt, when no port of the range is free for IPv4 or IPv6.
    pub fn bind(range: (u16, u16), start: u16) -> io::Result<Self> {
        let (min, max) = range;
        let count = u32::from(max.saturating_sub(min)) + 1;
        let first = u32::from(start.clamp(min, max.max(min)) - min);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for step in 0..count {
            match Self::bind_one(min + ((first + step) % count) as u16) {
                Ok(port) => return Ok(port),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn bind_one(number: u16) -> io::Result<Self> {
        let v4 = listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, number)));
        let v6 = listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, number)));
        match (v4, v6) {
            (Err(v4), Err(_)) => Err(v4),
            // One family may be missing on this machine; a port that is taken on one of them is not ours.
            (Err(why), Ok(_)) | (Ok(_), Err(why)) if why.kind() == io::ErrorKind::AddrInUse => Err(why),
            (v4, v6) => Ok(TcpPort { number, v4: v4.ok(), v6: v6.ok() }),
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether peers can come to addresses of this family.
    pub fn serves(&self, ip: IpAddr) -> bool {
        if ip.is_ipv4() { self.v4.is_some() } else { self.v6.is_some() }
    }

    /// Serves everyone who comes, for as long as it is polled. Call on the worker's runtime.
    pub async fn serve(&self, admission: Rc<Admission>, receiver: Rc<impl Receiver>) {
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.v4) => accepted,
                accepted = accept(&self.v6) => accepted,
            };
            match accepted {
                Ok((stream, remote)) => let_in(stream, remote, &admission, receiver.clone()),
                Err(why) if is_peers(&why) => {}
                Err(why) => {
                    tracing::warn!(port = self.number, "a TCP connection cannot be accepted: {why}");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }
}

fn let_in(stream: TcpStream, remote: SocketAddr, admission: &Rc<Admission>, receiver: Rc<impl Receiver>) {
    let Some(waiting) = admission.admit(remote.ip()) else {
        tracing::debug!(%remote, "too many TCP connections wait to prove themselves: one more is refused");
        return;
    };
    match stream.local_addr() {
        Ok(local) => drop(TcpLink::accept(stream, local, remote, waiting, receiver)),
        Err(why) => tracing::debug!(%remote, "a TCP connection was over before it began: {why}"),
    }
}

async fn accept(listener: &Option<TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// The connection failed, not the listening.
fn is_peers(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that starts again must not wait for the last connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests;
