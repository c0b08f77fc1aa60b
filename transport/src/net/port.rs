//! One UDP port, on IPv4 and IPv6 where the machine has both; or, in tests, one without sockets.

use super::mark::{self, Mark};
use super::wire::Wire;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes asked of the kernel for each socket and direction.
const SOCKET_BUFFER: usize = 4 << 20;
/// How soon a socket without room is tried again when its room cannot be watched.
const TRY_AGAIN: Duration = Duration::from_millis(1);
/// Room for one receive slot: the kernel may hand several datagrams of one sender over in one piece (GRO).
const SLOT: usize = 64 << 10;

struct Half {
    /// Registered for reading only: a socket that is also watched for writing wakes the thread after each burst that it sent.
    io: AsyncFd<Socket>,
    state: UdpSocketState,
    /// The kernel takes several datagrams at once.
    bursts: Cell<bool>,
}

pub struct UdpPort {
    number: u16,
    below: Below,
}

/// What a port stands on.
enum Below {
    Sockets {
        v4: Option<Half>,
        v6: Option<Half>,
    },
    /// Datagrams that a test carries by hand.
    Wire(Wire),
}

impl UdpPort {
    /// A port without sockets: what it sends is left on the wire, and what a test puts there arrives.
    pub fn on_wire(number: u16, wire: Wire) -> Self {
        UdpPort { number, below: Below::Wire(wire) }
    }

    /// Binds a port of the range. `start` decides where the search begins, so that neighbours do not collide.
    ///
    /// Errors: that of the last attempt, when no port of the range is free for IPv4 or IPv6.
    pub fn bind(range: (u16, u16), start: u16) -> io::Result<Self> {
        let (min, max) = range;
        let count = u32::from(max.saturating_sub(min)) + 1;
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for step in 0..count {
            let number = min + ((u32::from(start) + step) % count) as u16;
            match Self::bind_one(number) {
                Ok(port) => return Ok(port),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Binds an even port of the range and the odd one after it, for RTP and RTCP (RFC 3550 section 11).
    ///
    /// Errors: as [`UdpPort::bind`].
    pub fn bind_pair(range: (u16, u16), start: u16) -> io::Result<(Self, Self)> {
        let first = u32::from(range.0).next_multiple_of(2);
        let pairs = (u32::from(range.1) + 1).saturating_sub(first) / 2;
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for step in 0..pairs {
            let number = (first + 2 * ((u32::from(start) + step) % pairs)) as u16;
            match Self::bind_one(number).and_then(|rtp| Ok((rtp, Self::bind_one(number + 1)?))) {
                Ok(pair) => return Ok(pair),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn bind_one(number: u16) -> io::Result<Self> {
        let v4 = Half::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, number)));
        let v6 = Half::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, number)));
        match (v4, v6) {
            (Err(v4), Err(_)) => Err(v4),
            // One family may be missing on this machine; a port that is taken on one of them is not ours.
            (Err(why), Ok(_)) | (Ok(_), Err(why)) if why.kind() == io::ErrorKind::AddrInUse => Err(why),
            (v4, v6) => Ok(UdpPort { number, below: Below::Sockets { v4: v4.ok(), v6: v6.ok() } }),
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether addresses of this family can be reached from here.
    pub fn serves(&self, ip: IpAddr) -> bool {
        matches!(self.below, Below::Wire(_)) || self.half(ip).is_some()
    }

    fn half(&self, ip: IpAddr) -> Option<&Half> {
        match &self.below {
            Below::Sockets { v4, .. } if ip.is_ipv4() => v4.as_ref(),
            Below::Sockets { v6, .. } => v6.as_ref(),
            Below::Wire(_) => None,
        }
    }

    /// Waits until something can be received on either family; for ever on a wire, whose test knows when something arrives.
    pub async fn readable(&self) {
        let Below::Sockets { v4, v6 } = &self.below else { return std::future::pending().await };
        let half = async |half: &Option<Half>| match half {
            Some(half) => drop(half.io.readable().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = half(v4) => {}
            () = half(v6) => {}
        }
    }

    /// Waits until something can be sent on the family of `ip`, after the kernel had no room.
    pub async fn writable(&self, ip: IpAddr) {
        let Some(half) = self.half(ip) else { return };
        // A second descriptor of the same socket, watched for as long as this takes.
        let watched = half.io.get_ref().try_clone().and_then(|socket| watch(socket, Interest::WRITABLE));
        match watched {
            Ok(watched) => drop(watched.writable().await),
            // No descriptor left: the next try is as good as any.
            Err(_) => tokio::time::sleep(TRY_AGAIN).await,
        }
    }

    /// Hands over one batch of each family: source, destination, bytes. Returns how many datagrams there were; zero means
    /// that there is nothing left.
    pub fn receive(&self, room: &mut ReceiveRoom, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) -> usize {
        match &self.below {
            Below::Sockets { v4, v6 } => {
                [v4, v6].into_iter().flatten().map(|half| half.receive(self.number, room, &mut each)).sum()
            }
            Below::Wire(wire) => wire.receive(BATCH_SIZE, each),
        }
    }

    /// Sends one datagram from the local address `from`, or a burst of datagrams of `segment` bytes each.
    ///
    /// Errors: `WouldBlock` when the kernel's buffer is full; anything else means that these bytes are lost, unless they are
    /// a burst and the path takes none.
    pub fn send(
        &self,
        from: IpAddr,
        to: SocketAddr,
        mark: Mark,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        if let Below::Wire(wire) = &self.below {
            let from = SocketAddr::new(from, self.number);
            bytes.chunks(segment.unwrap_or(bytes.len()).max(1)).for_each(|one| wire.leave(from, to, one));
            return Ok(());
        }
        let half = self.half(to.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        half.send(mark, from, to, bytes, segment.filter(|segment| *segment < bytes.len()))
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe because not every type keeps its descriptor; a socket does, and `unsafe` is banned"
)]
fn watch(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::with_interest(socket, interest)
}

impl Half {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // Smaller buffers than asked for are no reason not to start.
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER);
        Ok(Half { io: watch(socket, Interest::READABLE)?, state, bursts: Cell::new(true) })
    }

    fn send(&self, mark: Mark, from: IpAddr, to: SocketAddr, bytes: &[u8], segment: Option<usize>) -> io::Result<()> {
        if segment.is_some() && !self.bursts.get() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let sent = mark::send(self.io.get_ref(), mark, from, to, bytes, segment);
        if segment.is_some() && matches!(&sent, Err(why) if why.raw_os_error() == Some(libc::EIO)) {
            // A network interface without checksums in hardware takes none, and will not learn it.
            tracing::info!("bursts cannot be sent here: each datagram goes alone from now on");
            self.bursts.set(false);
        }
        sent
    }

    fn receive(
        &self,
        port: u16,
        room: &mut ReceiveRoom,
        each: &mut impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> usize {
        let ReceiveRoom { bytes, metas } = room;
        let mut slots: Vec<IoSliceMut<'_>> = bytes.chunks_mut(SLOT).map(IoSliceMut::new).collect();
        let receive = |socket: &Socket| self.state.recv(socket.into(), &mut slots, metas);
        let count = match self.io.try_io(Interest::READABLE, receive) {
            Ok(count) => count,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return 0,
            Err(why) => {
                tracing::debug!(port, "receiving failed: {why}");
                return 0;
            }
        };
        drop(slots);
        if count < BATCH_SIZE {
            // The kernel had no more: saying so saves asking it again, and whatever comes from now on wakes us.
            let _ = self.io.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        for (meta, slot) in metas.iter().zip(bytes.chunks(SLOT)).take(count) {
            let Some(destination) = meta.dst_ip else { continue };
            for datagram in slot[..meta.len].chunks(meta.stride.max(1)) {
                each(meta.addr, SocketAddr::new(destination, port), datagram);
            }
        }
        count
    }
}

/// Where a batch is received into; made once a worker.
pub struct ReceiveRoom {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for ReceiveRoom {
    fn default() -> Self {
        ReceiveRoom { bytes: vec![0; SLOT * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] }
    }
}
