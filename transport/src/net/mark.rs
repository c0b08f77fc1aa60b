//! The system call that sends: with no more said beside the bytes than has to be, since the kernel takes its time over each. A DSCP
//! (RFC 2474) where the endpoint is marked, the local address where the kernel would choose another one, the length of segments
//! where a burst is sent.
//!
//! Enters: bytes and where they go. Leaves: the same in one system call. Nothing is allocated.

use socket2::{MsgHdr, SockAddr, SockRef, Socket};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What is said of a datagram beside where it comes from and goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The byte of an IP header that holds the DSCP in its upper six bits: TOS of IPv4, the traffic class of IPv6.
    byte: u8,
    /// The kernel chooses the right local address by itself.
    implied: bool,
}

impl Mark {
    /// As everyone else's datagrams.
    pub const NONE: Mark = Mark { byte: 0, implied: false };

    /// `code`: six bits.
    pub fn dscp(code: u8) -> Self {
        Mark { byte: code << 2, implied: false }
    }

    /// Asks the kernel, by a socket of its own, whether it would send from `from` to `to` unasked: then that need not be said.
    #[must_use]
    pub fn between(self, from: IpAddr, to: SocketAddr) -> Self {
        let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(to)?;
            socket.local_addr()
        });
        Mark { implied: chosen.is_ok_and(|chosen| chosen.ip() == from), ..self }
    }

    /// Marks all that a connected socket sends to `to` from now on.
    pub fn apply(self, socket: SockRef<'_>, to: IpAddr) {
        let byte = u32::from(self.byte);
        let done = if to.is_ipv4() { socket.set_tos_v4(byte) } else { socket.set_tclass_v6(byte) };
        // A mark is a wish: without it the packets still arrive.
        if let Err(why) = done {
            tracing::debug!(%to, "a connection is not marked: {why}");
        }
    }
}

/// Sends one datagram from the local address `from`, or a burst of datagrams of `segment` bytes each.
///
/// Errors: those of `sendmsg`.
pub fn send(
    socket: &Socket,
    mark: Mark,
    from: IpAddr,
    to: SocketAddr,
    bytes: &[u8],
    segment: Option<usize>,
) -> io::Result<()> {
    let mut control = Control::default();
    match from {
        _ if mark.implied => {}
        IpAddr::V4(from) => {
            // An interface index of zero, the source, and what only matters when receiving.
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&from.octets());
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
        IpAddr::V6(from) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&from.octets());
            control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
    }
    if mark.byte != 0 {
        let (level, kind) = match to {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
        };
        control.push(level, kind, &i32::from(mark.byte).to_ne_bytes());
    }
    if let Some(segment) = segment.and_then(|segment| u16::try_from(segment).ok()) {
        control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
    }
    let to = SockAddr::from(to);
    let parts = [IoSlice::new(bytes)];
    let message = MsgHdr::new().with_addr(&to).with_buffers(&parts).with_control(control.written());
    loop {
        match socket.sendmsg(&message, 0) {
            Ok(_) => return Ok(()),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// Room for the longest: the source of IPv6, its traffic class, and the length of segments.
const ROOM: usize = 96;

/// Control messages one after the other, as Linux lays them out: the length of header and data in a machine word, level and type in
/// 32 bits each, the data, and nothing up to the next word.
struct Control {
    bytes: [u8; ROOM],
    length: usize,
}

impl Default for Control {
    fn default() -> Self {
        Control { bytes: [0; ROOM], length: 0 }
    }
}

impl Control {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = Self::WORD + 8;

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let length = Self::HEADER + data.len();
        room[..Self::WORD].copy_from_slice(&length.to_ne_bytes());
        room[Self::WORD..Self::WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[Self::WORD + 4..Self::HEADER].copy_from_slice(&kind.to_ne_bytes());
        room[Self::HEADER..length].copy_from_slice(data);
        self.length += length.next_multiple_of(Self::WORD);
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Path, SendBuffer, UdpPort, Way};
    use nix::sys::socket::sockopt::{IpRecvTos, Ipv6RecvTClass};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
    use std::io::IoSliceMut;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::rc::Rc;

    struct Scene {
        way: Way,
        peer: UdpSocket,
        buffer: SendBuffer,
    }

    impl Scene {
        fn open(local: IpAddr, mark: Mark) -> Self {
            let peer = UdpSocket::bind((local, 0)).expect("a port is free");
            match local {
                IpAddr::V4(_) => setsockopt(&peer, IpRecvTos, &true),
                IpAddr::V6(_) => setsockopt(&peer, Ipv6RecvTClass, &true),
            }
            .expect("Linux tells it");
            let to = peer.local_addr().expect("it is bound");
            let port = Rc::new(UdpPort::bind((1024, 65_535), 42_000).expect("a port is free"));
            let from = SocketAddr::new(local, port.number());
            Scene { way: Way { path: Path::Udp(port), from, to, mark }, peer, buffer: SendBuffer::default() }
        }

        /// The length of the next datagram, the byte that it is marked with, and whom it came from.
        fn received(&self) -> (usize, i32, SocketAddr) {
            let mut room = [0; 2000];
            let mut control = nix::cmsg_space!(i32);
            let mut parts = [IoSliceMut::new(&mut room)];
            let message =
                recvmsg::<SockaddrStorage>(self.peer.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())
                    .expect("it was sent over loopback");
            let byte = message.cmsgs().expect("there was room").map(|told| match told {
                ControlMessageOwned::Ipv4Tos(byte) => i32::from(byte),
                ControlMessageOwned::Ipv6TClass(byte) => byte,
                other => panic!("not asked for: {other:?}"),
            });
            let byte = byte.last().expect("it tells the mark of each");
            let from = message.address.expect("UDP tells it");
            let from = from
                .as_sockaddr_in()
                .map(|v4| SocketAddr::new(v4.ip().into(), v4.port()))
                .or_else(|| from.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port())));
            (message.bytes, byte, from.expect("IP"))
        }
    }

    const LOCALS: [IpAddr; 2] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

    /// A machine may have no IPv6.
    fn locals() -> impl Iterator<Item = IpAddr> {
        LOCALS.into_iter().filter(|local| UdpSocket::bind((*local, 0)).is_ok())
    }

    #[tokio::test]
    async fn each_datagram_of_a_burst_is_marked() {
        assert!(locals().any(|local| local.is_ipv4()));
        for local in locals() {
            let implied = |mark: Mark| mark.between(local, SocketAddr::new(local, 9));
            assert!(implied(Mark::NONE).implied, "to itself a machine sends from where it sends to");
            let marks = [(Mark::dscp(46), 184), (Mark::dscp(1), 4), (Mark::NONE, 0)];
            for (mark, byte) in marks.into_iter().chain(marks.map(|(mark, byte)| (implied(mark), byte))) {
                let mut scene = Scene::open(local, mark);
                scene.buffer.bytes.extend_from_slice(&[7; 1200 * 3 + 500]);
                scene.buffer.send(&scene.way, 1200);
                scene.buffer.bytes.extend_from_slice(&[8; 100]);
                scene.buffer.send(&scene.way, 100);
                assert!(scene.buffer.pending.is_empty());
                for length in [1200, 1200, 1200, 500, 100] {
                    assert_eq!(scene.received(), (length, byte, scene.way.from), "{mark:?}");
                }
            }
        }
    }

    #[test]
    fn an_address_that_the_kernel_would_not_choose_is_said() {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(!Mark::NONE.between([127, 0, 0, 2].into(), to).implied);
        assert!(!Mark::NONE.between([127, 0, 0, 1].into(), "[::1]:9".parse().expect("an address")).implied);
    }

    #[tokio::test]
    async fn what_waited_for_room_is_marked_as_well() {
        let mut scene = Scene::open(LOCALS[0], Mark::dscp(34));
        let datagram = crate::net::local::Datagram::new(&scene.way, &[9; 50]);
        scene.buffer.pending.push_back(datagram);
        scene.buffer.retry();
        assert_eq!(scene.received(), (50, 34 << 2, scene.way.from));
    }

    #[tokio::test]
    async fn a_marked_burst_allocates_nothing() {
        let mut scene = Scene::open(LOCALS[0], Mark::dscp(46));
        let mut burst = || {
            scene.buffer.bytes.extend_from_slice(&[7; 3000]);
            scene.buffer.send(&scene.way, 1000);
        };
        burst();
        let measured = allocation_counter::measure(|| (0..20).for_each(|_| burst()));
        assert_eq!(measured.count_total, 0);
    }
}
