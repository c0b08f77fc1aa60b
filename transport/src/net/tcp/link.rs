//! One connection: a task on the worker's thread reads it and empties its queue; whoever sends writes straight into the socket
//! while that has room.
//!
//! Enters: a stream, and packets to send. Leaves: packets, a batch a read, through [`Receiver`]; and the end of the connection.
//! A peer that reads too slowly loses packets, as it would on any other path that is too narrow: what has waited longest is
//! what it gets. It must never know ICE: that a peer proved itself is told by [`TcpLink::trust`].

use super::admission::Waiting;
use super::framing::{self, FrameReader, FrameTooLong};
use crate::net::{Mark, Route};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a peer may take to prove itself.
pub const FIRST_WORD: Duration = Duration::from_secs(10);
/// How many bytes it may send before: a few STUN requests and a client's first DTLS flight.
pub const FIRST_BYTES: usize = 32 << 10;
/// How long a packet may be before: datagrams are no longer.
const FIRST_FRAME: usize = 2048;
/// A connection on which nothing was heard for this long is ended; checks of ICE come every few seconds.
pub const IDLE: Duration = Duration::from_secs(60);
/// How long opening a connection may take.
pub const CONNECTING: Duration = Duration::from_secs(5);
/// Bytes that wait for a slow peer before what comes next is dropped.
pub const MOST_QUEUED: usize = 512 << 10;
/// Bytes in the kernel's buffer. What is there is out of our hands, so that it should not be many seconds.
const KERNEL_BUFFER: usize = 128 << 10;
/// What a queue keeps when it is empty.
const KEPT_ROOM: usize = 64 << 10;
/// How long the last words may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);
/// Reads before others get their turn.
const READS_A_TURN: usize = 8;
/// Packets written with one system call.
const MOST_AT_ONCE: usize = 64;

/// Who makes something of the packets.
pub trait Receiver: 'static {
    /// Whose session a connection is for, by the first packet on it; `None` for nobody's.
    fn owner(&self, first: &[u8]) -> Option<Route>;

    /// Takes all the packets that came together.
    ///
    /// Errors: what [`FrameReader::next_frame`] says.
    fn receive(&self, link: &Rc<TcpLink>, route: Route, frames: &mut FrameReader) -> Result<(), FrameTooLong>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// The last words may still leave.
    Closing,
    Gone,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer ended it")]
    Peer,
    #[error("its session is gone")]
    Session,
    #[error("it began with nothing that belongs to a session")]
    Stranger,
    #[error("nothing was proved in time")]
    Unproved,
    #[error("too much came before anything was proved")]
    Flood,
    #[error("nothing was heard for long")]
    Idle,
    #[error("{0}")]
    Frame(#[from] FrameTooLong),
    #[error("{0}")]
    Io(#[from] io::Error),
}

pub struct TcpLink {
    local: SocketAddr,
    remote: SocketAddr,
    active: bool,
    route: Cell<Option<Route>>,
    trusted: Cell<bool>,
    life: Cell<Life>,
    /// `None` before it is open and after it is gone.
    stream: RefCell<Option<Rc<TcpStream>>>,
    queue: RefCell<VecDeque<u8>>,
    /// Something waits in the queue.
    waits: Notify,
    closing: Notify,
    dropped: Cell<u64>,
    mark: Cell<Mark>,
}

impl TcpLink {
    fn new(local: SocketAddr, remote: SocketAddr, route: Option<Route>, active: bool) -> Rc<Self> {
        Rc::new(TcpLink {
            local,
            remote,
            active,
            route: Cell::new(route),
            trusted: Cell::new(false),
            life: Cell::new(Life::Open),
            stream: RefCell::default(),
            queue: RefCell::default(),
            waits: Notify::new(),
            closing: Notify::new(),
            dropped: Cell::new(0),
            mark: Cell::new(Mark::NONE),
        })
    }

    /// Serves a connection that a peer opened. Call on the worker's runtime.
    pub(super) fn accept(
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
        waiting: Waiting,
        receiver: Rc<impl Receiver>,
    ) -> Rc<Self> {
        let link = Self::new(local, remote, None, false);
        tokio::task::spawn_local(link.clone().serve(stream, Some(waiting), receiver));
        link
    }

    /// Opens a connection to where a peer listens. It leaves from the address of `local`, though not from its port; what is sent
    /// meanwhile waits. Call on the worker's runtime.
    pub fn connect(local: SocketAddr, remote: SocketAddr, route: Route, receiver: Rc<impl Receiver>) -> Rc<Self> {
        let link = Self::new(local, remote, Some(route), true);
        let opening = link.clone();
        tokio::task::spawn_local(async move {
            let stream = tokio::select! {
                () = opening.closing.notified() => Err(io::ErrorKind::ConnectionAborted.into()),
                opened = timeout(CONNECTING, open(local.ip(), remote)) => opened.unwrap_or_else(|late| Err(late.into())),
            };
            match stream {
                Ok(stream) => opening.serve(stream, None, receiver).await,
                Err(why) => {
                    tracing::debug!(%remote, "a peer's TCP candidate is not reached: {why}");
                    opening.bury();
                }
            }
        });
        link
    }

    /// The local address by which ICE knows it.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// We opened it.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// The peer has proved that it knows the session's password.
    pub fn is_trusted(&self) -> bool {
        self.trusted.get()
    }

    pub fn trust(&self) {
        self.trusted.set(true);
    }

    /// Marks what is sent from now on, or as soon as it is open.
    pub fn mark(&self, mark: Mark) {
        if self.mark.replace(mark) != mark
            && let Some(stream) = &*self.stream.borrow()
        {
            mark.apply(SockRef::from(&**stream), self.remote.ip());
        }
    }

    /// Nothing more should be sent through it.
    pub fn is_closed(&self) -> bool {
        self.life.get() != Life::Open
    }

    /// Packets that were lost because the peer reads too slowly.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Ends the connection after what was sent up to now, and what is sent in the same turn.
    pub fn close(&self) {
        if self.life.get() == Life::Open {
            self.life.set(Life::Closing);
            self.closing.notify_one();
        }
    }

    /// Sends packets of `segment` bytes each; the last may be shorter. Never blocks: what neither the kernel nor the queue has
    /// room for is dropped.
    pub fn send(&self, bytes: &[u8], segment: usize) {
        if self.life.get() == Life::Gone || segment == 0 || segment > framing::MOST {
            return;
        }
        for burst in bytes.chunks(segment * MOST_AT_ONCE) {
            let mut left = if self.queue.borrow().is_empty() { self.write(burst, segment) } else { 0 };
            for packet in burst.chunks(segment) {
                let whole = framing::HEADER + packet.len();
                if left < whole {
                    self.enqueue(packet, left);
                }
                left = left.saturating_sub(whole);
            }
        }
        if !self.queue.borrow().is_empty() {
            self.waits.notify_one();
        }
    }

    /// Writes as much of a burst as the kernel takes now. Returns how many bytes of the stream that were.
    fn write(&self, burst: &[u8], segment: usize) -> usize {
        let stream = self.stream.borrow();
        let Some(stream) = stream.as_ref() else { return 0 };
        let mut headers = [[0; framing::HEADER]; MOST_AT_ONCE];
        for (header, packet) in headers.iter_mut().zip(burst.chunks(segment)) {
            *header = framing::header(packet).unwrap_or_default();
        }
        let mut slices = [IoSlice::new(&[]); 2 * MOST_AT_ONCE];
        let mut count = 0;
        for (header, packet) in headers.iter().zip(burst.chunks(segment)) {
            slices[count] = IoSlice::new(header);
            slices[count + 1] = IoSlice::new(packet);
            count += 2;
        }
        // An error is met again, and told, by the task that reads.
        stream.try_write_vectored(&slices[..count]).unwrap_or(0)
    }

    /// Queues a packet of which the first `left` bytes have left; that one must be completed, others need room.
    fn enqueue(&self, packet: &[u8], left: usize) {
        let mut queue = self.queue.borrow_mut();
        let header = framing::header(packet).unwrap_or_default();
        if left == 0 && queue.len() + framing::HEADER + packet.len() > MOST_QUEUED {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        framing::push(&mut queue, header, packet, left);
    }

    /// Writes what waits, as far as the kernel takes it.
    fn drain(&self, stream: &TcpStream) -> io::Result<()> {
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            let (first, second) = queue.as_slices();
            match stream.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(count) => drop(queue.drain(..count)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            }
        }
        queue.shrink_to(KEPT_ROOM);
        Ok(())
    }

    fn has_backlog(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, waiting: Option<Waiting>, receiver: Rc<impl Receiver>) {
        let stream = Rc::new(stream);
        // Neither is worth refusing a peer for.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&*stream).set_send_buffer_size(KERNEL_BUFFER);
        if self.mark.get() != Mark::NONE {
            self.mark.get().apply(SockRef::from(&*stream), self.remote.ip());
        }
        *self.stream.borrow_mut() = Some(stream.clone());
        let end = match self.carry(&stream, waiting, receiver).await {
            Ok(()) => End::Session,
            Err(why) => why,
        };
        self.life.set(Life::Closing);
        if matches!(end, End::Session) {
            let _ = timeout(FAREWELL, self.finish(&stream)).await;
        }
        self.bury();
        let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        tracing::debug!(remote = %self.remote, dropped = self.dropped.get(), "a TCP connection has ended: {end}");
    }

    /// Reads and writes until either side ends it; `Ok` when it was ours.
    async fn carry(
        self: &Rc<Self>,
        stream: &TcpStream,
        mut waiting: Option<Waiting>,
        receiver: Rc<impl Receiver>,
    ) -> Result<(), End> {
        let mut reader = FrameReader::new(FIRST_FRAME);
        let mut heard = 0;
        let mut patience = pin!(sleep(FIRST_WORD));
        loop {
            let backlog = self.has_backlog();
            tokio::select! {
                biased;
                () = self.closing.notified() => return Ok(()),
                ready = stream.readable() => {
                    ready?;
                    heard += self.read_turn(stream, &mut reader, &*receiver)?;
                    if self.is_trusted() {
                        waiting = None;
                        reader.allow(framing::MOST);
                    } else if heard > FIRST_BYTES {
                        return Err(End::Flood);
                    }
                    // A peer that never stops talking must not keep us from answering.
                    self.drain(stream)?;
                    // Let others in between two floods.
                    tokio::task::yield_now().await;
                }
                ready = stream.writable(), if backlog => {
                    ready?;
                    self.drain(stream)?;
                }
                () = self.waits.notified(), if !backlog => {}
                () = &mut patience => match (self.is_trusted(), heard) {
                    (false, _) => return Err(End::Unproved),
                    (true, 0) => return Err(End::Idle),
                    (true, _) => {
                        heard = 0;
                        patience.set(sleep(IDLE));
                    }
                },
            }
            debug_assert!(waiting.is_none() || !self.is_trusted(), "who has proved himself waits no longer");
        }
    }

    /// Reads what is there, up to a bound. Returns how many bytes that were.
    fn read_turn(
        self: &Rc<Self>,
        stream: &TcpStream,
        reader: &mut FrameReader,
        receiver: &impl Receiver,
    ) -> Result<usize, End> {
        let mut total = 0;
        for _ in 0..READS_A_TURN {
            let count = match stream.try_read(reader.room()) {
                Ok(0) => return Err(End::Peer),
                Ok(count) => count,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                Err(why) => return Err(why.into()),
            };
            reader.filled(count);
            total += count;
            self.hand_in(reader, receiver)?;
            if !self.is_trusted() {
                // What it may do is decided between two reads.
                break;
            }
        }
        Ok(total)
    }

    fn hand_in(self: &Rc<Self>, reader: &mut FrameReader, receiver: &impl Receiver) -> Result<(), End> {
        let Some(first) = reader.peek_frame()? else { return Ok(()) };
        let route = match self.route.get() {
            Some(route) => route,
            None => receiver.owner(first).ok_or(End::Stranger)?,
        };
        self.route.set(Some(route));
        Ok(receiver.receive(self, route, reader)?)
    }

    /// Lets the last words leave.
    async fn finish(&self, stream: &TcpStream) -> io::Result<()> {
        while self.has_backlog() {
            stream.writable().await?;
            self.drain(stream)?;
        }
        Ok(())
    }

    fn bury(&self) {
        self.life.set(Life::Gone);
        self.stream.borrow_mut().take();
        *self.queue.borrow_mut() = VecDeque::new();
    }
}

async fn open(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

#[cfg(test)]
mod tests;
