//! Gives an allocation its connection: one task on the worker's thread, from connecting to giving the address back.
//!
//! Enters: datagrams for peers, through a bounded queue. Leaves: news, by a call on the worker's thread. It must never know
//! what the datagrams are, nor who is told.

use super::address::{TurnTransport, TurnUrl};
use super::relay::{Allocation, RelayError, RelayOutput, RelaySettings};
use super::socket::{self, Reader, Writer};
use crate::net::{Mark, Relay};
use rivero_engine::{Clock, MediaTime};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Datagrams that wait for the task; it looks at them as soon as the pass that wrote them is over.
const QUEUE: usize = 1024;
/// Datagrams that are handed over at once, and sent at once.
const BATCH: usize = 64;
/// The largest datagram, or the largest piece of a stream.
const ROOM: usize = 64 << 10;
/// Relays that are asked for after one that was lost: over 40 s at most, which is longer than ICE waits for one.
const MOST_TRIES: u32 = 8;
/// Before the first of them; before each next one twice as long, up to 8 s.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A relay that lasts this long was not part of the trouble.
const LASTING: Duration = Duration::from_secs(60);

/// A datagram of a peer.
#[derive(Debug, PartialEq, Eq)]
pub struct Relayed {
    pub peer: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What the owner of a relay is told, in this order: `Allocated` or `Failed`; then any number of `Received`; then perhaps `Lost`, and
/// the same from the beginning. After `Failed` nothing comes.
#[derive(Debug)]
pub enum RelayNews<'a> {
    /// The address to offer, where the server sees us (the related address of the candidate), and the server itself.
    Allocated { relayed: SocketAddr, mapped: Option<SocketAddr>, server: SocketAddr },
    /// What came together.
    Received(&'a [Relayed]),
    /// The address is gone, with all that is on its way. Another is asked for.
    Lost(RelayError),
    /// There is no relay, and none will come.
    Failed(RelayError),
}

/// An allocation. Dropping it gives the address back.
#[derive(Debug)]
pub struct RelayHandle {
    outgoing: mpsc::Sender<Relayed>,
    dropped: Rc<Cell<u64>>,
}

impl Relay for RelayHandle {
    /// From the relayed address. Dropped and counted when the queue is full; lost, as on any network, when there is no relay.
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let Ok(place) = self.outgoing.try_reserve() else {
            return self.dropped.set(self.dropped.get() + 1);
        };
        place.send(Relayed { peer: to, bytes: bytes.to_vec() });
    }
}

impl RelayHandle {
    /// Datagrams that found a queue full, towards the task or towards a slow server, or no relay any longer.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// Asks a server for a relay, of the server's own family of addresses; what is sent to it is marked. Returns at once; call on the worker's runtime.
///
/// `news` is called on this thread, never from within this function or [`Relay::send`], and not after the handle is dropped.
pub fn open_relay(
    url: TurnUrl,
    mark: Mark,
    clock: Arc<dyn Clock>,
    news: impl FnMut(RelayNews<'_>) + 'static,
) -> RelayHandle {
    let (outgoing, queue) = mpsc::channel(QUEUE);
    let dropped = Rc::new(Cell::new(0));
    tokio::task::spawn_local(drive(url, mark, clock, queue, dropped.clone(), news));
    RelayHandle { outgoing, dropped }
}

async fn drive(
    url: TurnUrl,
    mark: Mark,
    clock: Arc<dyn Clock>,
    mut queue: mpsc::Receiver<Relayed>,
    dropped: Rc<Cell<u64>>,
    mut news: impl FnMut(RelayNews<'_>) + 'static,
) {
    let mut tries = Tries::default();
    loop {
        let connected = tokio::select! {
            connected = socket::connect(&url, mark) => connected,
            () = drained(&mut queue) => return,
        };
        let (why, stood) = match connected {
            Ok((server, reader, writer)) => {
                let settings = RelaySettings {
                    user: url.user.clone(),
                    password: url.password.clone(),
                    stream: url.transport != TurnTransport::Udp,
                    ipv6: server.is_ipv6(),
                };
                let (url, clock, dropped) = (url.clone(), clock.clone(), dropped.clone());
                let relay = Allocation::new(settings, clock.now());
                let (allocated, received) = (None, Vec::new());
                let mut driver =
                    Driver { url, server, relay, clock, writer, dropped, allocated, owned: true, received };
                let end = driver.run(reader, &mut queue, &mut news).await;
                let stood = driver.allocated.map(|since| driver.clock.now().since(since));
                let owned = driver.owned;
                driver.writer.close().await;
                match end {
                    Some(why) if owned => (why, stood),
                    _ => return,
                }
            }
            Err(why) => (why, None),
        };
        let Some(wait) = tries.next(&why, stood) else {
            tracing::warn!(%url, "no relay: {why}");
            return news(RelayNews::Failed(why));
        };
        tracing::warn!(%url, "no relay, for {} ms: {why}", wait.as_millis());
        if stood.is_some() {
            news(RelayNews::Lost(why));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = drained(&mut queue) => return,
        }
    }
}

/// How often a relay was asked for since there was one that lasted.
#[derive(Default)]
struct Tries {
    /// There has been one: it was the right server and the right password.
    allocated: bool,
    count: u32,
}

impl Tries {
    /// How long to wait before the next; `None` when there had better be none. `stood` is how long the last relay lasted.
    fn next(&mut self, why: &RelayError, stood: Option<Duration>) -> Option<Duration> {
        self.allocated |= stood.is_some();
        if stood.is_some_and(|stood| stood >= LASTING) {
            self.count = 0;
        }
        // Who waits for candidates is not kept waiting; but a new port is soon found.
        if !(why.may_pass() && (self.allocated || matches!(why, RelayError::Mismatch))) || self.count == MOST_TRIES {
            return None;
        }
        let wait = FIRST_WAIT * (1 << self.count.min(4));
        self.count += 1;
        // A server that comes back is not asked by everybody at once.
        let random = getrandom::u32().unwrap_or(0) % 1000;
        Some(wait / 2 + wait * random / 2000)
    }
}

/// Throws away what is sent before there is a connection; ends when the handle is dropped.
async fn drained(queue: &mut mpsc::Receiver<Relayed>) {
    while queue.recv().await.is_some() {}
}

struct Driver {
    url: TurnUrl,
    server: SocketAddr,
    relay: Allocation,
    clock: Arc<dyn Clock>,
    writer: Writer,
    dropped: Rc<Cell<u64>>,
    /// Since when there is a relay.
    allocated: Option<MediaTime>,
    /// The handle is still there.
    owned: bool,
    /// What the current turn brought, kept for its room.
    received: Vec<Relayed>,
}

impl Driver {
    /// Returns when the relay has ended: why, unless it was given back.
    async fn run(
        &mut self,
        mut reader: Reader,
        queue: &mut mpsc::Receiver<Relayed>,
        news: &mut impl FnMut(RelayNews<'_>),
    ) -> Option<RelayError> {
        let mut room = vec![0; ROOM];
        loop {
            let deadline = match self.settle(news) {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            tokio::select! {
                read = reader.read(&mut room) => match read {
                    Ok(count) => self.receive(&mut reader, &mut room, count),
                    Err(why) if why.kind() == io::ErrorKind::ConnectionRefused && self.allocated.is_some() => {}
                    Err(why) => return Some(self.broken(why)),
                },
                sent = self.writer.progress(), if self.writer.is_busy() => {
                    if let Err(why) = sent {
                        return Some(self.broken(why));
                    }
                }
                datagram = queue.recv(), if self.owned => match datagram {
                    Some(datagram) => self.send(datagram, queue),
                    None => {
                        self.owned = false;
                        self.relay.release(self.clock.now());
                    }
                },
                () = sleep_until(deadline, &*self.clock) => {}
            }
        }
    }

    /// Carries out what the relay wants. Returns when it wants to be asked again, or that it has ended, and why.
    fn settle(&mut self, news: &mut impl FnMut(RelayNews<'_>)) -> Result<Option<MediaTime>, Option<RelayError>> {
        let now = self.clock.now();
        let end = loop {
            match self.relay.poll(now) {
                RelayOutput::Transmit(bytes) => self.writer.write(&bytes),
                RelayOutput::Received { peer, bytes } => self.received.push(Relayed { peer, bytes }),
                RelayOutput::Allocated { relayed, mapped } => {
                    tracing::info!(url = %self.url, %relayed, "a relay is allocated");
                    self.allocated = Some(now);
                    news(RelayNews::Allocated { relayed, mapped, server: self.server });
                }
                RelayOutput::Wait(deadline) => break Ok(deadline),
                RelayOutput::Failed(why) => break Err(Some(why)),
                RelayOutput::Released => break Err(None),
            }
        };
        if self.owned && !self.received.is_empty() {
            news(RelayNews::Received(&self.received));
        }
        self.received.clear();
        end
    }

    fn receive(&mut self, reader: &mut Reader, room: &mut [u8], count: usize) {
        let now = self.clock.now();
        self.relay.receive(now, &room[..count]);
        for _ in 1..BATCH {
            let Some(count) = reader.read_more(room) else { return };
            self.relay.receive(now, &room[..count]);
        }
    }

    fn send(&mut self, first: Relayed, queue: &mut mpsc::Receiver<Relayed>) {
        let now = self.clock.now();
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(Relayed { peer, bytes }) = next else { return };
            if self.writer.is_full() {
                self.dropped.set(self.dropped.get() + 1);
            } else {
                self.relay.send(now, peer, &bytes);
            }
            next = queue.try_recv().ok();
        }
        if let Some(Relayed { peer, bytes }) = next {
            self.relay.send(now, peer, &bytes);
        }
    }

    fn broken(&self, why: io::Error) -> RelayError {
        if self.allocated.is_some() { RelayError::Closed(why) } else { RelayError::Unreachable(self.server, why) }
    }
}

/// Sleeps until a media time; for ever without one.
async fn sleep_until(at: Option<MediaTime>, clock: &dyn Clock) {
    match at {
        Some(at) => tokio::time::sleep_until(clock.instant(at).into()).await,
        None => std::future::pending().await,
    }
}
