//! One row's course: start a server, let publishers and viewers join, wait until all see a picture, measure, stop.

use crate::args::{Options, Server};
use crate::bare::BareLoop;
use crate::clock::{Clock, process_cpu_ns, thread_cpu_ns};
use crate::measure::{Machine, Size, full_buffers, size};
use crate::peer::Role;
use crate::progress::Progress;
use crate::row::{Load, Readings, Row, Shape};
use crate::schedule::Schedule;
use crate::sdp::{self, Local};
use crate::sfu::{Janus, JanusOptions, Kurento, Negotiator, RiveroOptions, Seat, Sfu, SfuError};
use crate::srtp::{Key, Suite, TAG};
use crate::swarm::{Status, Swarm, SwarmSettings};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(20);
/// ns that publishers, and then all viewers, have to get there; each viewer adds some.
const CONNECT: u64 = 15_000_000_000;
const CONNECT_A_VIEWER: u64 = 200_000_000;
/// Between the last viewer's first picture and the measurement.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Sfu(#[from] SfuError),
    #[error("a client: {0}")]
    Client(#[from] std::io::Error),
    #[error("{0}")]
    Late(String),
    #[error("the server ended while it was measured")]
    Gone,
    #[error("rooms are not measured with the bare loop")]
    NoRooms,
}

/// Where everything happens.
#[derive(Clone, Debug)]
pub struct Place {
    pub clock: Clock,
    pub ip: IpAddr,
    pub interface: String,
    /// For configurations and logs of servers.
    pub folder: PathBuf,
    pub binary: PathBuf,
    /// The suite of the bare loop: what Rivero negotiates.
    pub suite: Suite,
}

pub struct Run<'a> {
    pub options: &'a Options,
    pub place: &'a Place,
    pub progress: &'a Progress,
}

/// What forwards, and how its CPU time is read.
enum Forwarder {
    Server(Box<dyn Sfu>),
    Bare(BareLoop),
}

impl Forwarder {
    fn cpu_ns(&self) -> Result<u64, RunError> {
        match self {
            Forwarder::Server(sfu) => process_cpu_ns(sfu.pid()).map_err(|_| RunError::Gone),
            Forwarder::Bare(bare) => Ok(bare.progress.cpu_ns()),
        }
    }

    fn size(&self) -> Size {
        match self {
            Forwarder::Server(sfu) => size(sfu.pid()),
            Forwarder::Bare(_) => Size { threads: 1, ..Size::default() },
        }
    }
}

/// A viewer that joined.
struct Viewer {
    id: usize,
    group: usize,
    seat: Seat,
}

struct Stage<'a> {
    run: &'a Run<'a>,
    shape: Shape,
    swarm: Swarm,
    forwarder: Forwarder,
    publishers: Vec<Seat>,
    viewers: Vec<Viewer>,
}

impl Run<'_> {
    /// Measures one server under one load.
    pub fn row(&self, server: Server, load: &Load, schedule: &Schedule) -> Result<Row, RunError> {
        self.progress.say("starting");
        let clock = self.place.clock;
        let settings = SwarmSettings {
            clock,
            ip: self.place.ip,
            schedule: schedule.clone(),
            speed: load.speed,
            wake: self.options.wake,
        };
        let swarm = Swarm::start(settings)?;
        let forwarder = self.start(server, load.shape)?;
        let shape = load.shape;
        let mut stage = Stage { run: self, shape, swarm, forwarder, publishers: Vec::new(), viewers: Vec::new() };
        let outcome = stage.measure();
        if let Forwarder::Server(sfu) = &mut stage.forwarder {
            sfu.stop();
        }
        let mut readings = outcome?;
        if matches!(stage.forwarder, Forwarder::Bare(_)) {
            readings.status.suites = vec![self.place.suite.name().to_owned()];
        }
        Ok(Row::new(&self.name_of(server), load, readings))
    }

    /// The name in the report: Rivero with more than one worker says so.
    fn name_of(&self, server: Server) -> String {
        match server {
            Server::Rivero if self.options.workers > 1 => {
                format!("rivero {} {}", self.options.workers, self.options.placement)
            }
            _ => server.name().to_owned(),
        }
    }

    fn start(&self, server: Server, shape: Shape) -> Result<Forwarder, RunError> {
        let (options, place) = (self.options, self.place);
        let janus = |event_loops| {
            let binary = options.janus.clone();
            let (interface, folder) = (place.interface.clone(), place.folder.clone());
            Janus::start(&JanusOptions { binary, ip: place.ip, interface, event_loops, folder }, place.clock)
        };
        let bare = |segments| {
            if matches!(shape, Shape::Rooms(..)) {
                return Err(RunError::NoRooms);
            }
            let key = Key::new(place.suite, &secret(0));
            Ok(Forwarder::Bare(BareLoop::start(place.ip, place.clock, key, segments)?))
        };
        let sfu: Box<dyn Sfu> = match server {
            Server::Bare => return bare(false),
            Server::BareGso => return bare(true),
            Server::Rivero => Box::new(Kurento::start_rivero(&self.rivero(), place.clock)?),
            Server::Janus => Box::new(janus(0)?),
            Server::JanusLoops => Box::new(janus(2)?),
            Server::Kurento => {
                Box::new(Kurento::connect(options.kurento.as_deref().unwrap_or_default(), options.kurento_pid)?)
            }
        };
        Ok(Forwarder::Server(sfu))
    }

    fn rivero(&self) -> RiveroOptions {
        RiveroOptions {
            binary: self.place.binary.clone(),
            ip: self.place.ip,
            interface: self.place.interface.clone(),
            workers: self.options.workers,
            placement: self.options.placement.clone(),
            folder: self.place.folder.clone(),
        }
    }
}

impl Stage<'_> {
    fn measure(&mut self) -> Result<Readings, RunError> {
        let clock = self.run.place.clock;
        let publishers = self.shape.publishers();
        for group in 0..publishers {
            let seat = self.join(Role::Publisher, group)?.seat;
            self.publishers.push(seat);
        }
        self.wait_for("publishers connected", publishers, CONNECT, |status| status.publishers_connected)?;
        clock.sleep(Duration::from_millis(300));
        let seal_ns = calibrate(self.run.place.suite);
        let mut readings = Readings { before: self.forwarder.size(), seal_ns, ..Readings::default() };
        let (began, cpu) = (clock.now(), self.forwarder.cpu_ns()?);
        let consumers = self.shape.consumers();
        for number in 0..consumers {
            self.run.progress.say(&format!("joining {}/{consumers}", number + 1));
            let role =
                if is_sampled(number, consumers, self.run.options.sampled) { Role::Sampled } else { Role::Counting };
            let viewer = self.join(role, number / self.shape.audience())?;
            self.viewers.push(viewer);
        }
        readings.join_wall_ns = clock.now() - began;
        let patience = CONNECT + CONNECT_A_VIEWER * consumers as u64;
        readings.status = self.wait_for("viewers with a picture", consumers, patience, |status| status.flowing)?;
        readings.join_cpu_ns = self.forwarder.cpu_ns()? - cpu;
        readings.join_packets = self.swarm.status().received;
        clock.sleep(SETTLE);
        self.window(&mut readings)?;
        readings.after = self.forwarder.size();
        let troubles = self.swarm.status().troubles;
        match troubles.first() {
            Some(first) => Err(RunError::Late(format!("{} clients broke; {first}", troubles.len()))),
            None => Ok(readings),
        }
    }

    fn window(&mut self, readings: &mut Readings) -> Result<(), RunError> {
        let clock = self.run.place.clock;
        let seconds = self.run.options.seconds;
        let (machine, own) = (Machine::now(), thread_cpu_ns());
        let (sent, full) = (self.sent(), full_buffers());
        self.swarm.open_window();
        let cpu = self.forwarder.cpu_ns()?;
        let end = clock.now() + seconds * 1_000_000_000;
        let churn = self.run.options.churn as u64;
        let mut changes = 0;
        while clock.now() < end {
            let left = (end - clock.now()).div_ceil(1_000_000_000);
            self.run.progress.say(&format!("measuring, {left} s"));
            if churn > 0 && matches!(self.forwarder, Forwarder::Server(_)) {
                self.change_one(changes)?;
                changes += 1;
            }
            let pause = 1_000_000_000u64.checked_div(churn).unwrap_or(200_000_000);
            clock.sleep_until((clock.now() + pause).min(end));
        }
        readings.server_cpu_ns = self.forwarder.cpu_ns()? - cpu;
        readings.window = self.swarm.close_window();
        readings.own_cpu_ns = thread_cpu_ns() - own;
        readings.churned = changes;
        readings.full_buffers = full_buffers() - full;
        (readings.idle_percent, readings.stolen_percent) = Machine::now().idle_and_stolen_since(&machine);
        readings.packets_a_call = self.sent().zip(sent).map(|((packets, calls), (packets_before, calls_before))| {
            (packets - packets_before) as f64 / (calls - calls_before).max(1) as f64
        });
        Ok(())
    }

    fn sent(&self) -> Option<(u64, u64)> {
        match &self.forwarder {
            Forwarder::Bare(bare) => Some(bare.progress.sent()),
            Forwarder::Server(_) => None,
        }
    }

    /// One viewer leaves and another comes in its place; sampled ones stay.
    fn change_one(&mut self, turn: usize) -> Result<(), RunError> {
        let consumers = self.viewers.len();
        let index = (0..consumers)
            .map(|step| (turn + step) % consumers)
            .find(|index| !is_sampled(*index, consumers, self.run.options.sampled));
        let Some(index) = index else { return Ok(()) };
        let (id, group) = (self.viewers[index].id, self.viewers[index].group);
        if let Forwarder::Server(sfu) = &mut self.forwarder {
            sfu.leave(&self.viewers[index].seat)?;
        }
        self.swarm.remove(id);
        self.viewers[index] = self.join(Role::Counting, group)?;
        Ok(())
    }

    fn join(&mut self, role: Role, group: usize) -> Result<Viewer, RunError> {
        let (id, local) = self.swarm.create(role, group)?;
        let seat = match &mut self.forwarder {
            Forwarder::Bare(bare) => {
                let suite = self.run.place.suite;
                match role {
                    Role::Publisher => self.swarm.connect_bare(id, Key::new(suite, &secret(0)), bare.address),
                    Role::Sampled | Role::Counting => {
                        bare.add(suite, &secret(id), local.address, local.ssrcs);
                        self.swarm.connect_bare(id, Key::new(suite, &secret(id)), bare.address);
                    }
                }
                Seat(String::new())
            }
            Forwarder::Server(sfu) => {
                let mut client = Client { swarm: &self.swarm, id, local };
                match role {
                    Role::Publisher => sfu.publish(&mut client)?,
                    Role::Sampled | Role::Counting => sfu.view(&self.publishers[group], &mut client)?,
                }
            }
        };
        Ok(Viewer { id, group, seat })
    }

    /// Waits until `reached` says `wanted`.
    fn wait_for(
        &self,
        what: &str,
        wanted: usize,
        patience: u64,
        reached: impl Fn(&Status) -> usize,
    ) -> Result<Status, RunError> {
        let clock = self.run.place.clock;
        let end = clock.now() + patience;
        loop {
            let status = self.swarm.status();
            let count = reached(&status);
            if count >= wanted {
                return Ok(status);
            }
            self.run.progress.say(&format!("{count}/{wanted} {what}"));
            if clock.now() > end || !status.troubles.is_empty() {
                let first = status.troubles.first().map_or("no client has broken", String::as_str);
                let Status { connected, viewers, .. } = status;
                return Err(RunError::Late(format!(
                    "{count} of {wanted} {what}; {connected} of {viewers} viewers connected; {first}"
                )));
            }
            clock.sleep(STEP);
        }
    }
}

/// Sampled viewers are spread evenly over the order in which viewers join.
fn is_sampled(number: usize, of: usize, sampled: usize) -> bool {
    number == 0 && sampled > 0 || number * sampled / of != number.saturating_sub(1) * sampled / of || sampled >= of
}

/// ns of CPU time that sealing a packet of 1,100 bytes takes at this moment.
fn calibrate(suite: Suite) -> u64 {
    const TIMES: u64 = 2000;
    let key = Key::new(suite, &secret(0));
    let mut packet = vec![0x80; 1100 + TAG];
    let began = thread_cpu_ns();
    (0..TIMES).for_each(|index| key.seal(&mut packet, index));
    (thread_cpu_ns() - began) / TIMES
}

/// The bare loop's keys: any will do, as long as both ends have the same.
fn secret(id: usize) -> [u8; 44] {
    let mut secret = [0x5a; 44];
    secret[..8].copy_from_slice(&(id as u64).to_be_bytes());
    secret[32..40].copy_from_slice(&(id as u64).to_be_bytes());
    secret
}

struct Client<'a> {
    swarm: &'a Swarm,
    id: usize,
    local: Local,
}

impl Negotiator for Client<'_> {
    fn offer(&mut self) -> Result<String, SfuError> {
        Ok(sdp::offer(&self.local))
    }

    fn take_answer(&mut self, answer: &str) -> Result<(), SfuError> {
        self.swarm.connect(self.id, sdp::parse(answer)?, true);
        Ok(())
    }

    fn answer(&mut self, offer: &str) -> Result<String, SfuError> {
        let remote = sdp::parse(offer)?;
        let answer = sdp::answer(&self.local, &remote)?;
        self.swarm.connect(self.id, remote, false);
        Ok(answer)
    }

    fn add_candidate(&mut self, line: &str) {
        self.swarm.add_candidate(self.id, line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampled_viewers_are_spread_over_the_order() {
        let chosen = |of, sampled| (0..of).filter(|number| is_sampled(*number, of, sampled)).collect::<Vec<_>>();
        assert_eq!(chosen(100, 10), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(chosen(5, 10).len(), 5);
        assert_eq!(chosen(56, 10).len(), 10);
        assert_eq!(chosen(10, 0).len(), 0);
        assert_eq!(chosen(1, 10), [0]);
    }
}
