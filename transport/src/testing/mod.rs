//! A media worker on simulated time, and peers behind simulated networks: minutes of loss, jitter and reordering in a second,
//! the same in every run. For tests of this floor and of those above, which is why it is not hidden behind `cfg(test)`.
//!
//! A [`Simulation`] owns a clock that jumps from event to event, one worker (a shard, its network on a wire without sockets)
//! and [`Peer`]s, each behind a [`Path`] to the server and one back. Sessions and graph are those of the product; only
//! sockets and the worker's loop are not.

mod path;

pub use path::{Dice, Path, PathCounts, Quality};

use crate::net::{LocalNet, NetSettings, OnWire, UdpPort, Wire};
use crate::webrtc::Certificate;
use rivero_engine::graph::{Engine, EngineParts, Placement, WorkerHandle};
use rivero_engine::notice::NoticeSink;
use rivero_engine::shard::{Command, Shard};
use rivero_engine::time::ManualClock;
use rivero_engine::toolbox::EmptyToolbox;
use rivero_engine::{Clock, MediaTime, Notice};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;

/// The port of the simulated worker.
const PORT: u16 = 40_000;

/// Something at the far end of a network. It has no clock: it is told the time, and says when it wants to be told again.
pub trait Peer {
    /// Where datagrams reach it; no two peers have the same.
    fn address(&self) -> SocketAddr;

    /// A datagram has come. What it sends goes to `out`.
    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>);

    /// When it wants to be woken.
    fn due(&self) -> MediaTime;

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>);
}

/// A peer and its two paths.
struct Place {
    peer: Rc<RefCell<dyn Peer>>,
    address: SocketAddr,
    up: Path,
    down: Path,
}

/// To whom a datagram on its way goes.
#[derive(Clone, Copy)]
enum End {
    Server,
    Peer(usize),
}

pub struct Simulation {
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    planner: Pin<Box<dyn Future<Output = ()>>>,
    pub certificate: Arc<Certificate>,
    shard: Rc<RefCell<Shard>>,
    commands: mpsc::Receiver<Command>,
    net: Rc<LocalNet>,
    wire: Wire,
    notices: Arc<Mutex<Vec<Notice>>>,
    places: Vec<Place>,
    /// By the time of arrival; the number keeps apart, and in order, what arrives at once.
    flying: BTreeMap<(MediaTime, u64), (End, OnWire)>,
    next: u64,
    /// What peers have just sent; kept for its room.
    sent: Vec<OnWire>,
}

impl Simulation {
    /// # Panics
    /// When no certificate can be made.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = notices.clone();
        let post: NoticeSink =
            Arc::new(move |notice| sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(notice));
        let (sender, commands) = mpsc::channel(64);
        let certificate = Arc::new(Certificate::generate().expect("the machine has random numbers"));
        let wire = Wire::default();
        let port = UdpPort::on_wire(PORT, wire.clone());
        let net = LocalNet::with_port(port, clock.clone(), NetSettings::default(), certificate.clone());
        let shard = Shard::new(0, clock.clone(), post.clone(), Vec::new(), Rc::new(net.clone()));
        let shard = Rc::new(RefCell::new(shard));
        net.attach(&shard);
        let worker = WorkerHandle { commands: sender, busy: Arc::default() };
        let engine = Engine::new(EngineParts {
            workers: vec![worker],
            coders: 0,
            clock: clock.clone(),
            placement: Placement::Spread,
            toolbox: Arc::new(EmptyToolbox),
            converters_per_pipeline: 0,
            notices: post,
        });
        let planner = Box::pin(engine.clone().plan_forever());
        Simulation {
            clock,
            engine,
            planner,
            certificate,
            shard,
            commands,
            net,
            wire,
            notices,
            places: Vec::new(),
            flying: BTreeMap::new(),
            next: 0,
            sent: Vec::new(),
        }
    }

    /// Where peers reach the server.
    pub fn server(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)
    }

    pub fn now(&self) -> MediaTime {
        self.clock.now()
    }

    /// Puts a peer behind two paths, and says which place it has.
    pub fn place(&mut self, peer: Rc<RefCell<dyn Peer>>, quality: Quality, seed: u64) -> usize {
        let address = peer.borrow().address();
        let (up, down) = (Path::new(quality, seed), Path::new(quality, !seed));
        self.places.push(Place { peer, address, up, down });
        self.places.len() - 1
    }

    /// How many names, addresses and questions the worker's demultiplexer remembers, of all sessions.
    pub fn remembered(&self) -> usize {
        self.net.remembered()
    }

    /// Datagrams that came and belonged to nobody.
    pub fn strangers(&self) -> u64 {
        self.net.strangers.get()
    }

    /// From the peer to the server.
    pub fn up(&mut self, place: usize) -> &mut Path {
        &mut self.places[place].up
    }

    /// From the server to the peer.
    pub fn down(&mut self, place: usize) -> &mut Path {
        &mut self.places[place].down
    }

    /// Runs a future of the control side to its end, without letting time pass.
    ///
    /// # Panics
    /// When it waits for something that does not come by itself.
    pub fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            let poll = future.as_mut().poll(&mut context);
            self.settle();
            if let Poll::Ready(value) = poll {
                return value;
            }
        }
        panic!("the future waits for something that does not come");
    }

    /// Lets time pass, from event to event.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now() + by;
        self.settle();
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.clock.advance_to(at);
            self.arrive();
            self.wake_peers();
            self.settle();
        }
        self.clock.advance_to(end);
    }

    /// Takes what was said since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn next_event(&self) -> Option<MediaTime> {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.shard.borrow().next_deadline();
        let peers = self.places.iter().map(|place| place.peer.borrow().due()).min();
        [arrival, deadline, peers].into_iter().flatten().min()
    }

    /// Hands over what arrives now. What reaches the server at one moment is received in one batch.
    fn arrive(&mut self) {
        let now = self.now();
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= now) {
            let (end, datagram) = entry.remove();
            match end {
                End::Server => self.wire.arrive(datagram),
                End::Peer(place) => {
                    self.places[place].peer.borrow_mut().receive(now, &datagram, &mut self.sent);
                    self.send_up(place);
                }
            }
        }
        while self.wire.waits() {
            self.net.receive_turn(self.net.shared_port());
        }
    }

    fn wake_peers(&mut self) {
        let now = self.now();
        for place in 0..self.places.len() {
            if self.places[place].peer.borrow().due() <= now {
                self.places[place].peer.borrow_mut().wake(now, &mut self.sent);
                self.send_up(place);
            }
        }
    }

    /// Turns the worker until it has nothing left to do at this time, and puts what it sent on its way.
    fn settle(&mut self) {
        let now = self.now();
        loop {
            let _ = self.planner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let mut shard = self.shard.borrow_mut();
            let mut busy = shard.next_deadline().is_some_and(|at| at <= now);
            while let Ok(command) = self.commands.try_recv() {
                shard.apply(command);
                busy = true;
            }
            shard.run();
            drop(shard);
            self.net.flush();
            if !busy {
                break;
            }
        }
        while let Some(datagram) = self.wire.take() {
            let Some(place) = self.places.iter().position(|place| place.address == datagram.to) else { continue };
            let times = self.places[place].down.carry(now, datagram.bytes.len());
            self.fly(times, End::Peer(place), datagram);
        }
    }

    fn send_up(&mut self, place: usize) {
        let now = self.now();
        for datagram in std::mem::take(&mut self.sent) {
            let times = self.places[place].up.carry(now, datagram.bytes.len());
            self.fly(times, End::Server, datagram);
        }
    }

    fn fly(&mut self, times: [Option<MediaTime>; 2], end: End, datagram: OnWire) {
        for at in times.into_iter().flatten() {
            self.next += 1;
            self.flying.insert((at, self.next), (end, datagram.clone()));
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}
