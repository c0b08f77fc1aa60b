//! All clients on one thread: a loop that publishes what is due, receives what has come and lets timers run, a thousand times
//! a second. Latency is taken from the kernel's receive times, so that the loop's own pace does not show in it.
//!
//! Enters: commands of the thread that negotiates. Leaves: packets, and figures about a window of time.

use crate::clock::{Clock, thread_cpu_ns};
use crate::crypto::Crypto;
use crate::peer::{Peer, Role};
use crate::publish::Publisher;
use crate::schedule::Schedule;
use crate::sdp::{Local, Remote};
use crate::socket::{BatchSocket, ReceiveRoom};
use crate::srtp::Key;
use rustix::event::epoll;
use rustix::time::Timespec;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// ns between two rounds of the loop when nothing is due.
const TICK: u64 = 1_000_000;
/// Sockets served before it is looked whether something is to be published.
const TURN: usize = 32;
/// Descriptors looked at in one call.
const EVENTS: usize = 1024;

pub struct SwarmSettings {
    pub clock: Clock,
    /// Where clients live.
    pub ip: IpAddr,
    pub schedule: Schedule,
    /// 1 for the recorded pace.
    pub speed: f64,
    /// Wait for packets, instead of looking for them once a tick.
    pub wake: bool,
}

enum Command {
    Create { role: Role, group: usize, reply: SyncSender<io::Result<(usize, Local)>> },
    Connect { id: usize, remote: Box<Remote>, offered: bool },
    ConnectBare { id: usize, key: Box<Key>, to: SocketAddr },
    AddCandidate { id: usize, line: String },
    Remove { id: usize },
    Status { reply: SyncSender<Status> },
    OpenWindow { reply: SyncSender<()> },
    CloseWindow { reply: SyncSender<Window> },
}

/// How far the clients have come.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub viewers: usize,
    pub connected: usize,
    /// Viewers that have received media, and sampled ones only when they could have shown a picture.
    pub flowing: usize,
    pub publishers_connected: usize,
    pub troubles: Vec<String>,
    pub suites: Vec<String>,
    /// ms from the first word of signalling to the first whole key frame, of sampled viewers.
    pub joins_ms: Vec<u32>,
    /// Packets received by viewers so far.
    pub received: u64,
}

/// What happened between the opening and the closing of a window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub wall_ns: u64,
    /// CPU time of this thread.
    pub cpu_ns: u64,
    pub published: u64,
    /// What viewers would have received of it, had all of it reached all.
    pub expected: u64,
    pub received: u64,
    /// What senders numbered; more than received means loss.
    pub numbered: u64,
    pub bytes: u64,
    pub latencies_us: Vec<u32>,
    /// Viewers that had received nothing when it closed.
    pub unserved: usize,
    pub key_frame_requests: u64,
    /// µs by which the tool itself published late, at worst.
    pub latest_us: u64,
}

/// The other end: held by the thread that negotiates.
pub struct Swarm {
    commands: SyncSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Swarm {
    /// Starts the thread.
    ///
    /// Errors: the system has no thread or descriptor left.
    pub fn start(settings: SwarmSettings) -> io::Result<Self> {
        let (commands, queue) = sync_channel(256);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
            Loop::new(settings, epoll).run(&queue);
        })?;
        Ok(Swarm { commands, thread: Some(thread) })
    }

    fn tell(&self, command: Command) {
        // The thread ends only after this end has gone, or by a panic, which `ask` reports.
        let _ = self.commands.send(command);
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> T {
        let (reply, answer) = sync_channel(1);
        self.tell(command(reply));
        answer.recv().expect("the clients' thread lives as long as its handle")
    }

    /// Makes a client, which then waits for the server's description.
    ///
    /// Errors: there is no port or descriptor left.
    pub fn create(&self, role: Role, group: usize) -> io::Result<(usize, Local)> {
        self.ask(|reply| Command::Create { role, group, reply })
    }

    /// `offered`: the client made the offer.
    pub fn connect(&self, id: usize, remote: Remote, offered: bool) {
        self.tell(Command::Connect { id, remote: Box::new(remote), offered });
    }

    pub fn connect_bare(&self, id: usize, key: Key, to: SocketAddr) {
        self.tell(Command::ConnectBare { id, key: Box::new(key), to });
    }

    pub fn add_candidate(&self, id: usize, line: String) {
        self.tell(Command::AddCandidate { id, line });
    }

    pub fn remove(&self, id: usize) {
        self.tell(Command::Remove { id });
    }

    pub fn status(&self) -> Status {
        self.ask(|reply| Command::Status { reply })
    }

    pub fn open_window(&self) {
        self.ask(|reply| Command::OpenWindow { reply });
    }

    pub fn close_window(&self) -> Window {
        self.ask(|reply| Command::CloseWindow { reply })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let (gone, _) = sync_channel(1);
        self.commands = gone;
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed already.
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Opening {
    at_ns: u64,
    cpu_ns: u64,
    requests: u64,
}

struct Loop {
    settings: SwarmSettings,
    epoll: OwnedFd,
    crypto: Crypto,
    peers: Vec<Option<Box<Peer>>>,
    publishers: Vec<usize>,
    room: ReceiveRoom,
    opening: Opening,
    /// What each group's publisher had sent when the window opened.
    sent_before: HashMap<usize, u64>,
    /// Figures of viewers that left while the window was open.
    gone: Window,
}

impl Loop {
    fn new(settings: SwarmSettings, epoll: OwnedFd) -> Self {
        Loop {
            settings,
            epoll,
            crypto: Crypto::new(),
            peers: Vec::new(),
            publishers: Vec::new(),
            room: ReceiveRoom::default(),
            opening: Opening::default(),
            sent_before: HashMap::new(),
            gone: Window::default(),
        }
    }

    fn run(mut self, queue: &Receiver<Command>) {
        let clock = self.settings.clock;
        loop {
            let began = clock.now();
            loop {
                match queue.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.publish();
            self.receive();
            self.run_timers(began);
            let next = self.next_round(began);
            if self.settings.wake {
                self.wait_for_packets(next.saturating_sub(clock.now()));
            } else {
                clock.sleep_until(next);
            }
        }
    }

    /// Waits at most so many ns.
    fn wait_for_packets(&self, ns: u64) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        let timeout = Timespec { tv_sec: 0, tv_nsec: ns.min(TICK) as i64 };
        // However it ends, the next round looks at every socket.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout));
    }

    fn next_round(&self, began: u64) -> u64 {
        let schedule = &self.settings.schedule;
        let dues = self.publishers.iter().filter_map(|id| self.peers[*id].as_ref()?.publisher.as_ref());
        dues.map(|publisher| publisher.due(schedule)).fold(began + TICK, u64::min)
    }

    fn obey(&mut self, command: Command) {
        let clock = self.settings.clock;
        match command {
            Command::Create { role, group, reply } => drop(reply.send(self.create(role, group))),
            Command::Connect { id, remote, offered } => {
                if let Some(peer) = &mut self.peers[id] {
                    peer.connect(&self.crypto, &clock, &remote, offered);
                }
            }
            Command::ConnectBare { id, key, to } => {
                if let Some(peer) = &mut self.peers[id] {
                    peer.connect_bare(*key, to, clock.now());
                }
            }
            Command::AddCandidate { id, line } => {
                if let Some(peer) = &mut self.peers[id] {
                    peer.add_candidate(&line, &clock);
                }
            }
            Command::Remove { id } => {
                self.receive();
                if let Some(peer) = &self.peers[id] {
                    let sent = self.published().map(|(group, publisher)| (group, publisher.sent())).collect();
                    let mut gone = std::mem::take(&mut self.gone);
                    self.account(peer, &sent, &mut gone);
                    self.gone = gone;
                }
                self.publishers.retain(|publisher| *publisher != id);
                self.peers[id] = None;
            }
            Command::Status { reply } => drop(reply.send(self.status())),
            Command::OpenWindow { reply } => {
                self.open_window();
                let _ = reply.send(());
            }
            Command::CloseWindow { reply } => drop(reply.send(self.close_window())),
        }
    }

    fn create(&mut self, role: Role, group: usize) -> io::Result<(usize, Local)> {
        let socket = BatchSocket::bind(self.settings.ip)?;
        let id = self.peers.len();
        let flags = epoll::EventFlags::IN;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(id as u64), flags)?;
        let creds = str0m::IceCreds::new();
        let local = Local {
            ufrag: creds.ufrag,
            password: creds.pass,
            fingerprint: self.crypto.fingerprint.clone(),
            address: socket.address(),
            ssrcs: [id as u32 * 2 + 10_001, id as u32 * 2 + 10_002],
            publishes: role == Role::Publisher,
        };
        let now = self.settings.clock.now();
        if role == Role::Publisher {
            socket.enlarge();
            self.publishers.push(id);
        }
        self.peers.push(Some(Box::new(Peer::new(socket, role, group, local.clone(), now))));
        Ok((id, local))
    }

    fn publish(&mut self) {
        let clock = self.settings.clock;
        let mut due = Vec::new();
        for id in &self.publishers {
            let Some(peer) = &mut self.peers[*id] else { continue };
            let now = clock.now();
            if peer.publisher.is_none() && peer.connected_ns.is_some() {
                peer.publisher = Some(Publisher::new(now, self.settings.speed));
            }
            let Some(publisher) = &mut peer.publisher else { continue };
            publisher.take_due(&self.settings.schedule, now, &mut due);
            if !due.is_empty() {
                peer.publish(&due, &clock);
                due.clear();
            }
        }
    }

    fn receive(&mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let buffer = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.epoll, buffer, Some(&at_once)).is_err() {
            // Cut short by a signal; the next round comes within a millisecond.
            return;
        }
        for turn in events.chunks(TURN) {
            for event in turn {
                self.receive_on(event.data.u64() as usize);
            }
            self.publish();
        }
    }

    fn receive_on(&mut self, id: usize) {
        let clock = self.settings.clock;
        let Some(Some(peer)) = self.peers.get_mut(id) else { return };
        let socket = peer.socket.clone();
        while socket.receive(&clock, &mut self.room, |datagram, source, at_ns| {
            peer.receive(datagram, source, at_ns, &clock);
        }) {}
        if peer.entered_at.is_none() && peer.received() > 0 {
            let group = peer.group;
            let entered_at = self.published().find(|(other, _)| *other == group).map(|(_, p)| p.sent());
            self.peers[id].iter_mut().for_each(|peer| peer.entered_at = entered_at);
        }
    }

    fn run_timers(&mut self, now: u64) {
        let clock = self.settings.clock;
        let mut asked = false;
        for peer in self.peers.iter_mut().flatten() {
            if peer.due <= now {
                peer.wake(&clock);
            }
            asked |= peer.ask_if_dark(now, &clock);
        }
        if asked {
            // The bare loop passes nothing back to its publisher.
            self.peers
                .iter_mut()
                .flatten()
                .filter_map(|peer| peer.publisher.as_mut())
                .for_each(Publisher::ask_key_frame);
        }
    }

    fn viewers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().flatten().map(|peer| &**peer).filter(|peer| peer.role != Role::Publisher)
    }

    fn status(&self) -> Status {
        let mut status = Status::default();
        for (id, peer) in self.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            status.troubles.extend(peer.trouble.iter().map(|why| format!("client {id}: {why}")));
            if let Some(suite) = peer.suite()
                && !status.suites.contains(&suite)
            {
                status.suites.push(suite);
            }
            if peer.role == Role::Publisher {
                status.publishers_connected += usize::from(peer.connected_ns.is_some());
            }
        }
        for peer in self.viewers() {
            status.viewers += 1;
            status.connected += usize::from(peer.connected_ns.is_some());
            status.received += peer.received();
            let sees = peer.role == Role::Counting || peer.sampler.first_frame_ns.is_some();
            status.flowing += usize::from(sees && peer.received() > 0);
            let joined = peer.sampler.first_frame_ns.map(|at| (at.saturating_sub(peer.created_ns) / 1_000_000) as u32);
            status.joins_ms.extend(joined);
        }
        status
    }

    fn published(&self) -> impl Iterator<Item = (usize, &Publisher)> {
        let peers = self.publishers.iter().filter_map(|id| self.peers[*id].as_ref());
        peers.filter_map(|peer| Some((peer.group, peer.publisher.as_ref()?)))
    }

    fn open_window(&mut self) {
        // What has come belongs to the time before.
        self.receive();
        self.sent_before = self.published().map(|(group, publisher)| (group, publisher.sent())).collect();
        let requests = self.published().map(|(_, publisher)| publisher.requests).sum();
        for peer in self.peers.iter_mut().flatten() {
            peer.sampler.latencies_us.clear();
            peer.streams.iter_mut().for_each(|stream| stream.before = stream.count);
            if let Some(publisher) = &mut peer.publisher {
                publisher.forget_lateness();
            }
        }
        self.gone = Window::default();
        self.opening = Opening { at_ns: self.settings.clock.now(), cpu_ns: thread_cpu_ns(), requests };
    }

    /// Adds what a viewer has received since the window opened.
    fn account(&self, peer: &Peer, sent: &HashMap<usize, u64>, window: &mut Window) {
        let before = self.sent_before.get(&peer.group).copied().unwrap_or(0).max(peer.entered_at.unwrap_or(u64::MAX));
        window.expected += sent.get(&peer.group).copied().unwrap_or(0).saturating_sub(before);
        for stream in &peer.streams {
            window.received += stream.count.packets - stream.before.packets;
            window.bytes += stream.count.bytes - stream.before.bytes;
            window.numbered += stream.count.numbered_since(&stream.before);
        }
        window.latencies_us.extend(&peer.sampler.latencies_us);
    }

    fn close_window(&mut self) -> Window {
        self.receive();
        let sent: HashMap<usize, u64> = self.published().map(|(group, p)| (group, p.sent())).collect();
        let before: u64 = self.sent_before.values().sum();
        let mut window = Window {
            wall_ns: self.settings.clock.now() - self.opening.at_ns,
            cpu_ns: thread_cpu_ns() - self.opening.cpu_ns,
            published: sent.values().sum::<u64>() - before,
            key_frame_requests: self.published().map(|(_, p)| p.requests).sum::<u64>() - self.opening.requests,
            latest_us: self.published().map(|(_, p)| p.latest_us).max().unwrap_or(0),
            unserved: self.viewers().filter(|peer| peer.received() == 0).count(),
            ..std::mem::take(&mut self.gone)
        };
        for peer in self.viewers() {
            self.account(peer, &sent, &mut window);
        }
        window
    }
}
