//! What a worker's thread shares among its sessions: sockets, the demultiplexer, the queue of datagrams to send, and what is
//! needed to build a session. Lives on one thread; sessions hold it by `Rc`.

use super::Route;
use super::demux::{Demux, is_stun};
use super::port::{ReceiveRoom, UdpPort};
use super::send::SendBuffer;
use crate::webrtc::{Certificate, WebRtcSession, WorkerCrypto};
use rivero_engine::shard::Shard;
use rivero_engine::{Clock, NodeId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How many datagrams wait for a full socket before the newest are dropped.
const PENDING: usize = 2048;
/// How many batches are received before timers and commands get their turn.
const BATCHES_A_TURN: usize = 8;

#[derive(Clone, Debug)]
pub struct NetSettings {
    /// First and last UDP port, inclusive.
    pub ports: (u16, u16),
}

impl Default for NetSettings {
    fn default() -> Self {
        NetSettings { ports: (1024, 65535) }
    }
}

/// Something to send.
pub struct Datagram {
    pub port: Rc<UdpPort>,
    /// The local address from which the peer expects it.
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

pub struct LocalNet {
    pub clock: Arc<dyn Clock>,
    pub certificate: Arc<Certificate>,
    pub crypto: WorkerCrypto,
    settings: NetSettings,
    shared: Rc<UdpPort>,
    demux: RefCell<Demux>,
    outgoing: RefCell<Vec<Datagram>>,
    buffer: RefCell<SendBuffer>,
    pending: RefCell<VecDeque<Datagram>>,
    /// There is something pending again.
    stuck: Notify,
    /// The main loop should look at its deadline again.
    pub(crate) rearm: Notify,
    room: RefCell<ReceiveRoom>,
    shard: RefCell<Weak<RefCell<Shard>>>,
    pub(crate) dropped: Cell<u64>,
    pub(crate) strangers: Cell<u64>,
}

/// A port of one session's own, closed when dropped.
pub struct OwnPort {
    pub port: Rc<UdpPort>,
    receiving: JoinHandle<()>,
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
        let shared = Rc::new(UdpPort::bind(settings.ports, random_u16())?);
        Ok(Rc::new(LocalNet {
            clock,
            certificate,
            crypto: WorkerCrypto::new(),
            settings,
            shared,
            demux: RefCell::default(),
            outgoing: RefCell::default(),
            buffer: RefCell::default(),
            pending: RefCell::default(),
            stuck: Notify::new(),
            rearm: Notify::new(),
            room: RefCell::default(),
            shard: RefCell::new(Weak::new()),
            dropped: Cell::new(0),
            strangers: Cell::new(0),
        }))
    }

    /// Starts the tasks that receive and that retry; call once, inside a `LocalSet`.
    pub(crate) fn start(self: &Rc<Self>, shard: &Rc<RefCell<Shard>>) {
        *self.shard.borrow_mut() = Rc::downgrade(shard);
        self.receive_on(self.shared.clone());
        tokio::task::spawn_local(retry(self.clone()));
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

    /// The session has seen an authenticated STUN request from there.
    pub fn bind(&self, port: u16, remote: SocketAddr, route: Route) {
        self.demux.borrow_mut().bind(port, remote, route);
    }

    pub fn forget(&self, node: NodeId) {
        self.demux.borrow_mut().forget(node);
    }

    /// Queues a datagram; it leaves when the pass is over.
    pub fn send(&self, datagram: Datagram, route: Route) {
        if is_stun(&datagram.bytes) {
            self.demux.borrow_mut().note_asked(datagram.port.number(), datagram.to, route);
        }
        self.outgoing.borrow_mut().push(datagram);
    }

    /// Lets a session write sealed packets into the worker's send buffer; they leave when the pass is over.
    pub fn fill<R>(&self, write: impl FnOnce(&mut SendBuffer) -> R) -> R {
        write(&mut self.buffer.borrow_mut())
    }

    /// Sends what this pass wrote. What the kernel has no room for waits its turn, up to a bound.
    pub(crate) fn flush(&self) {
        let outgoing = std::mem::take(&mut *self.outgoing.borrow_mut());
        let mut pending = self.pending.borrow_mut();
        let mut wait = |datagram| {
            if pending.len() < PENDING {
                pending.push_back(datagram);
            } else {
                self.dropped.set(self.dropped.get() + 1);
            }
        };
        for datagram in outgoing {
            if would_block(&datagram) {
                wait(datagram);
            }
        }
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.is_empty() {
            buffer.send(|port, from, to, bytes| wait(Datagram { port: port.clone(), from, to, bytes: bytes.to_vec() }));
        }
        if !pending.is_empty() {
            self.stuck.notify_one();
        }
    }

    fn receive_on(self: &Rc<Self>, port: Rc<UdpPort>) -> JoinHandle<()> {
        let net = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                port.readable().await;
                net.receive_turn(&port);
                // Let timers and commands in between two floods.
                tokio::task::yield_now().await;
            }
        })
    }

    fn receive_turn(&self, port: &Rc<UdpPort>) {
        let Some(shard) = self.shard.borrow().upgrade() else { return };
        let mut shard = shard.borrow_mut();
        let before = shard.next_deadline();
        for _ in 0..BATCHES_A_TURN {
            let mut room = self.room.borrow_mut();
            let count = port.receive(&mut room, |source, destination, bytes| {
                let route = self.demux.borrow().find(port.number(), source, bytes);
                let Some((node, transport)) = route else {
                    self.strangers.set(self.strangers.get() + 1);
                    return;
                };
                shard.enter::<WebRtcSession, _>(node, |session, out| {
                    session.receive(transport, port, source, destination, bytes, out);
                });
            });
            drop(room);
            if count == 0 {
                break;
            }
            shard.run();
            self.flush();
        }
        if shard.next_deadline() != before {
            self.rearm.notify_one();
        }
    }
}

/// Sends, and says whether the kernel had no room. Other failures cost this datagram only, as on any network.
fn would_block(datagram: &Datagram) -> bool {
    match datagram.port.send(datagram.from.ip(), datagram.to, &datagram.bytes, None) {
        Ok(()) => false,
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => true,
        Err(why) => {
            tracing::trace!(to = %datagram.to, "a datagram was not sent: {why}");
            false
        }
    }
}

/// Sends pending datagrams as soon as the kernel has room.
async fn retry(net: Rc<LocalNet>) {
    loop {
        net.stuck.notified().await;
        loop {
            let next = net.pending.borrow().front().map(|datagram| (datagram.port.clone(), datagram.to.ip()));
            let Some((port, ip)) = next else { break };
            port.writable(ip).await;
            let mut pending = net.pending.borrow_mut();
            while let Some(datagram) = pending.front() {
                if would_block(datagram) {
                    break;
                }
                pending.pop_front();
            }
        }
    }
}

fn random_u16() -> u16 {
    getrandom::u32().map_or(0, |random| random as u16)
}
