//! How a session's packets leave: through the worker's UDP port, a TCP connection to the peer, or a relay's allocation.
//!
//! Enters: sealed packets, one or a burst of equally long ones, with the addresses that ICE knows the pair by. Leaves: the same
//! on their way. It must never know what they are.

use super::mark::Mark;
use super::port::UdpPort;
use super::tcp::TcpLink;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// An allocation at a TURN server, which sends for us.
pub trait Relay {
    /// Sends one datagram to a peer. Never blocks: what there is no room for is lost.
    fn send(&self, to: SocketAddr, bytes: &[u8]);
}

#[derive(Clone)]
pub enum Path {
    Udp(Rc<UdpPort>),
    Tcp(Rc<TcpLink>),
    Relay(Rc<dyn Relay>),
}

impl Path {
    /// Sends packets of `segment` bytes each, the last may be shorter; `None` for a single one. Only UDP is
    /// marked here: a connection is marked as a whole.
    ///
    /// Errors: only by UDP, as [`UdpPort::send`]. What does not fit elsewhere is dropped, and counted there.
    pub fn send(
        &self,
        from: IpAddr,
        to: SocketAddr,
        mark: Mark,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        match self {
            Path::Udp(port) => return port.send(from, to, mark, bytes, segment),
            Path::Tcp(link) => link.send(bytes, segment.unwrap_or(bytes.len())),
            Path::Relay(relay) => {
                bytes.chunks(segment.unwrap_or(bytes.len()).max(1)).for_each(|one| relay.send(to, one))
            }
        }
        Ok(())
    }

    /// Waits until something can be sent; only UDP ever says that it cannot.
    pub async fn writable(&self, to: IpAddr) {
        if let Path::Udp(port) = self {
            port.writable(to).await;
        }
    }

    /// Whether the two are one and the same.
    pub fn is(&self, other: &Path) -> bool {
        match (self, other) {
            (Path::Udp(one), Path::Udp(other)) => Rc::ptr_eq(one, other),
            (Path::Tcp(one), Path::Tcp(other)) => Rc::ptr_eq(one, other),
            (Path::Relay(one), Path::Relay(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::port::ReceiveRoom;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Sent(RefCell<Vec<(SocketAddr, Vec<u8>)>>);

    impl Relay for Sent {
        fn send(&self, to: SocketAddr, bytes: &[u8]) {
            self.0.borrow_mut().push((to, bytes.to_vec()));
        }
    }

    #[test]
    fn a_relay_gets_a_burst_one_by_one() {
        let sent = Rc::<Sent>::default();
        let path = Path::Relay(sent.clone());
        let to = SocketAddr::from(([192, 0, 2, 1], 7));
        path.send(to.ip(), to, Mark::NONE, b"aabbc", Some(2)).expect("a relay never fails");
        path.send(to.ip(), to, Mark::NONE, b"whole", None).expect("a relay never fails");
        path.send(to.ip(), to, Mark::NONE, b"", None).expect("nothing is nothing");
        let wanted = [&b"aa"[..], b"bb", b"c", b"whole"].map(|bytes| (to, bytes.to_vec()));
        assert_eq!(*sent.0.borrow(), wanted);
        assert!(path.is(&path.clone()) && !path.is(&Path::Relay(Rc::<Sent>::default())));
    }

    #[tokio::test]
    async fn udp_is_as_it_was() {
        let ports =
            [40_000, 41_000].map(|start| Rc::new(UdpPort::bind((1024, 65_535), start).expect("a port is free")));
        let local = std::net::IpAddr::from([127, 0, 0, 1]);
        let path = Path::Udp(ports[0].clone());
        path.writable(local).await;
        path.send(local, SocketAddr::new(local, ports[1].number()), Mark::NONE, b"hello", None).expect("there is room");
        ports[1].readable().await;
        let mut got = Vec::new();
        ports[1].receive(&mut ReceiveRoom::default(), |source, _, bytes| got.push((source.port(), bytes.to_vec())));
        assert_eq!(got, [(ports[0].number(), b"hello".to_vec())]);
        assert!(path.is(&Path::Udp(ports[0].clone())) && !path.is(&Path::Udp(ports[1].clone())));
    }
}
