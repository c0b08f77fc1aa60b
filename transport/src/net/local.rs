//! What a worker's thread shares among its sessions: sockets, the demultiplexer, the queue of datagrams to send, and what is
//! needed to build a session. Lives on one thread; sessions hold it by `Rc`.

use super::Route;
use super::demux::{Demux, is_stun};
use super::mark::Mark;
use super::nat::reflexive::{QueryId, response_id};
use super::nat::{RelayHandle, RelayNews, TurnUrl, open_relay};
use super::path::Path;
use super::port::{ReceiveRoom, UdpPort};
use super::send::{SendBuffer, Way};
use super::tcp::WorkerTcp;
use crate::rtp::Scratch;
use crate::webrtc::{Certificate, WebRtcSession, WorkerCrypto};
use rivero_engine::shard::Shard;
use rivero_engine::{Clock, NodeId};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How many batches are received before timers and commands get their turn.
const BATCHES_A_TURN: usize = 8;

#[derive(Clone, Debug)]
pub struct NetSettings {
    /// First and last port of UDP, and of TCP, inclusive.
    pub ports: (u16, u16),
}

impl Default for NetSettings {
    fn default() -> Self {
        NetSettings { ports: (1024, 65535) }
    }
}

/// Something to send.
pub struct Datagram {
    pub path: Path,
    /// The local address from which the peer expects it.
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub mark: Mark,
    pub bytes: Vec<u8>,
}

impl Datagram {
    pub(super) fn new(way: &Way, bytes: &[u8]) -> Self {
        Datagram { path: way.path.clone(), from: way.from, to: way.to, mark: way.mark, bytes: bytes.to_vec() }
    }
}

pub struct LocalNet {
    pub clock: Arc<dyn Clock>,
    pub certificate: Arc<Certificate>,
    pub crypto: WorkerCrypto,
    pub(super) settings: NetSettings,
    shared: Rc<UdpPort>,
    pub(super) tcp: WorkerTcp,
    pub(super) demux: RefCell<Demux>,
    outgoing: RefCell<Vec<Datagram>>,
    buffer: RefCell<SendBuffer>,
    /// There is something pending again.
    stuck: Notify,
    /// The main loop should look at its deadline again.
    pub(crate) rearm: Notify,
    pub(super) room: RefCell<ReceiveRoom>,
    pub(crate) scratch: Scratch,
    pub(super) shard: RefCell<Weak<RefCell<Shard>>>,
    pub(crate) strangers: Cell<u64>,
}

/// A port of one session's own, closed when dropped.
pub struct OwnPort {
    pub port: Rc<UdpPort>,
    pub(super) receiving: JoinHandle<()>,
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

impl LocalNet {
    /// Binds the worker's shared port.
    ///
    /// Errors: no port of the range is free.
    pub fn new(clock: Arc<dyn Clock>, settings: NetSettings, certificate: Arc<Certificate>) -> io::Result<Rc<Self>> {
        let shared = UdpPort::bind(settings.ports, random_u16())?;
        Ok(Self::with_port(shared, clock, settings, certificate))
    }

    /// On a shared port that is open already.
    pub(crate) fn with_port(
        shared: UdpPort,
        clock: Arc<dyn Clock>,
        settings: NetSettings,
        certificate: Arc<Certificate>,
    ) -> Rc<Self> {
        Rc::new(LocalNet {
            clock,
            certificate,
            crypto: WorkerCrypto::new(),
            settings,
            shared: Rc::new(shared),
            tcp: WorkerTcp::default(),
            demux: RefCell::default(),
            outgoing: RefCell::default(),
            buffer: RefCell::default(),
            stuck: Notify::new(),
            rearm: Notify::new(),
            room: RefCell::default(),
            scratch: Scratch::default(),
            shard: RefCell::new(Weak::new()),
            strangers: Cell::new(0),
        })
    }

    /// Starts the tasks that receive and that retry; call once, on the worker's runtime.
    pub(crate) fn start(self: &Rc<Self>, shard: &Rc<RefCell<Shard>>) {
        self.attach(shard);
        self.receive_on(self.shared.clone());
        tokio::task::spawn_local(retry(self.clone()));
    }

    /// Says to whom datagrams are handed.
    pub(crate) fn attach(&self, shard: &Rc<RefCell<Shard>>) {
        *self.shard.borrow_mut() = Rc::downgrade(shard);
    }

    /// The port that all answering sessions of this worker share.
    pub fn shared_port(&self) -> &Rc<UdpPort> {
        &self.shared
    }

    /// Opens a port for one session, so that two endpoints of one server can talk to each other.
    ///
    /// Errors: no port of the range is free.
    pub fn open_port(self: &Rc<Self>) -> io::Result<OwnPort> {
        let port = Rc::new(UdpPort::bind(self.settings.ports, random_u16())?);
        let receiving = self.receive_on(port.clone());
        Ok(OwnPort { port, receiving })
    }

    pub fn add_name(&self, ufrag: String, route: Route) {
        self.demux.borrow_mut().add_name(ufrag, route);
    }

    /// The transport that a STUN request asks for; `None` for anything else.
    pub fn find_name(&self, request: &[u8]) -> Option<Route> {
        self.demux.borrow().find_name(request)
    }

    /// The session has found this STUN message from there authentic.
    pub fn bind(&self, port: u16, remote: SocketAddr, datagram: &[u8], route: Route) {
        self.demux.borrow_mut().bind(port, remote, datagram, route);
    }

    /// How many names, addresses and questions of sessions are remembered.
    pub fn remembered(&self) -> usize {
        self.demux.borrow().size()
    }

    pub fn forget(&self, node: NodeId) {
        self.demux.borrow_mut().forget(node);
    }

    /// Queues a question to a STUN server; the answer goes to [`WebRtcSession::receive_reflexive`].
    pub fn ask(&self, id: QueryId, node: NodeId, datagram: Datagram) {
        self.demux.borrow_mut().add_query(id, node);
        self.outgoing.borrow_mut().push(datagram);
    }

    /// Asks a TURN server for a relay; its news go to [`WebRtcSession::on_relay`].
    pub fn open_relay(self: &Rc<Self>, url: TurnUrl, mark: Mark, node: NodeId) -> RelayHandle {
        let net = self.clone();
        open_relay(url, mark, self.clock.clone(), move |news| net.on_relay(node, news))
    }

    /// Queues a datagram; it leaves when the pass is over.
    pub fn send(&self, datagram: Datagram, route: Route) {
        if let Path::Udp(port) = &datagram.path
            && is_stun(&datagram.bytes)
        {
            self.demux.borrow_mut().note_asked(port.number(), datagram.to, &datagram.bytes, route);
        }
        self.outgoing.borrow_mut().push(datagram);
    }

    /// Lets a session write sealed packets into the worker's send buffer and send them.
    pub fn fill<R>(&self, write: impl FnOnce(&mut SendBuffer) -> R) -> R {
        write(&mut self.buffer.borrow_mut())
    }

    /// Datagrams that were lost because the kernel had no room for too long.
    pub fn dropped(&self) -> u64 {
        self.buffer.borrow().dropped
    }

    /// Sends what was queued in this pass.
    pub(crate) fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        self.outgoing.borrow_mut().drain(..).for_each(|datagram| buffer.send_now_or_later(datagram));
        if !buffer.pending.is_empty() {
            self.stuck.notify_one();
        }
    }

    fn receive_on(self: &Rc<Self>, port: Rc<UdpPort>) -> JoinHandle<()> {
        let net = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                port.readable().await;
                if net.receive_turn(&port) {
                    // A flood: let timers and commands in between.
                    tokio::task::yield_now().await;
                }
            }
        })
    }

    /// Hands in what has arrived at a port, batch by batch and up to a bound, and sends what comes of it. True when there is more.
    pub(crate) fn receive_turn(&self, port: &Rc<UdpPort>) -> bool {
        let path = Path::Udp(port.clone());
        self.receive_batches(port, |shard, source, destination, bytes| {
            if let Some(asker) = self.asker(bytes) {
                shard.enter::<WebRtcSession, _>(asker, |session, out| session.receive_reflexive(bytes, out));
                return;
            }
            let route = self.demux.borrow().find(port.number(), source, bytes);
            let Some((node, transport)) = route else {
                self.strangers.set(self.strangers.get() + 1);
                return;
            };
            shard.enter::<WebRtcSession, _>(node, |session, out| {
                session.receive(transport, &path, source, destination, bytes, out);
            });
        })
    }

    /// Takes what has arrived at a port, batch by batch and up to a bound: `each` hands in one datagram, with its source and where
    /// it came to. What comes of a batch is sent before the next. True when there is more.
    pub(super) fn receive_batches(
        &self,
        port: &UdpPort,
        each: impl Fn(&mut Shard, SocketAddr, SocketAddr, &[u8]),
    ) -> bool {
        let Some(shard) = self.shard.borrow().upgrade() else { return false };
        let mut shard = shard.borrow_mut();
        let before = shard.next_deadline();
        let mut more = true;
        for _ in 0..BATCHES_A_TURN {
            let mut room = self.room.borrow_mut();
            let count = port.receive(&mut room, |source, destination, bytes| {
                each(&mut shard, source, destination, bytes);
            });
            drop(room);
            more = count > 0;
            if !more {
                break;
            }
            shard.run();
            self.flush();
        }
        if shard.next_deadline() != before {
            self.rearm.notify_one();
        }
        more
    }

    /// Whose question to a STUN server this answers.
    fn asker(&self, bytes: &[u8]) -> Option<NodeId> {
        let id = response_id(bytes)?;
        self.demux.borrow().find_query(&id)
    }

    /// Hands in what a relay has to say, as [`LocalNet::receive_turn`] does with what arrives at a port.
    fn on_relay(&self, node: NodeId, news: RelayNews<'_>) {
        let Some(shard) = self.shard.borrow().upgrade() else { return };
        let mut shard = shard.borrow_mut();
        let before = shard.next_deadline();
        shard.enter::<WebRtcSession, _>(node, |session, out| session.on_relay(news, out));
        shard.run();
        self.flush();
        if shard.next_deadline() != before {
            self.rearm.notify_one();
        }
    }
}

/// Sends what waits as soon as the kernel has room.
async fn retry(net: Rc<LocalNet>) {
    loop {
        net.stuck.notified().await;
        loop {
            let next = net.buffer.borrow().pending.front().map(|datagram| (datagram.path.clone(), datagram.to.ip()));
            let Some((path, ip)) = next else { break };
            path.writable(ip).await;
            net.buffer.borrow_mut().retry();
        }
    }
}

pub(super) fn random_u16() -> u16 {
    getrandom::u32().map_or(0, |random| random as u16)
}
