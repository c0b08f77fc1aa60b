//! Drives one shard of the graph on one thread: a current-thread runtime, the worker's sockets, its timers and commands.
//! Whatever arrives together is handed in together, the graph runs to completion, and what it wrote leaves together.
//!
//! Converters have threads of their own, so that no worker of media ever waits for a coder. Those have no sockets, and take one
//! batch at a time: a coder that is late sees how late it is before each.

use crate::net::{LocalNet, NetSettings};
use crate::webrtc::Certificate;
use rivero_engine::bitrate::BitratePolicy;
use rivero_engine::graph::{EngineParts, Placement, WorkerHandle};
use rivero_engine::notice::NoticeSink;
use rivero_engine::shard::{Batch, Command, Shard};
use rivero_engine::toolbox::EmptyToolbox;
use rivero_engine::{Clock, Engine, MediaTime, Toolbox};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot, watch};

/// Batches that fit between two workers, and commands that fit before a worker.
const QUEUE: usize = 64;
/// How far behind media the threads of converters stand, by the kernel's measure.
const NICE: i32 = 5;
/// How often a worker's load is measured.
const MEASURE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct WorkerSettings {
    pub workers: usize,
    /// Threads of converters.
    pub coders: usize,
    pub toolbox: Arc<dyn Toolbox>,
    pub converters_per_pipeline: usize,
    pub placement: Placement,
    /// Whose REMB governs a publisher with many viewers.
    pub bitrate_policy: BitratePolicy,
    pub net: NetSettings,
}

impl Default for WorkerSettings {
    /// One worker that converts nothing.
    fn default() -> Self {
        WorkerSettings {
            workers: 1,
            coders: 0,
            toolbox: Arc::new(EmptyToolbox),
            converters_per_pipeline: 0,
            placement: Placement::default(),
            bitrate_policy: BitratePolicy::default(),
            net: NetSettings::default(),
        }
    }
}

/// The running workers. Dropping it does not stop them; [`Workers::stop`] does.
pub struct Workers {
    pub engine: Engine,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    planner: tokio::task::JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no UDP port of the configured range is free: {0}")]
    NoPort(io::Error),
    #[error("a media worker cannot be started: {0}")]
    Thread(io::Error),
}

impl Workers {
    /// Starts the threads and waits until each has its port.
    pub async fn start(
        settings: &WorkerSettings,
        clock: Arc<dyn Clock>,
        notices: NoticeSink,
        certificate: Arc<Certificate>,
    ) -> Result<Self, StartError> {
        let (stop, stopped) = watch::channel(false);
        let all = settings.workers + settings.coders;
        let (roads, arrivals): (Vec<_>, Vec<_>) = (0..all).map(|_| mpsc::channel::<Batch>(QUEUE)).unzip();
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for (number, arrivals) in arrivals.into_iter().enumerate() {
            let (commands, receiver) = mpsc::channel(QUEUE);
            let busy = Arc::new(AtomicU32::new(0));
            let (ready, started) = oneshot::channel();
            let codes = number >= settings.workers;
            let worker = Worker {
                number: number as u16,
                codes,
                clock: clock.clone(),
                notices: notices.clone(),
                roads: roads.clone(),
                bitrate_policy: settings.bitrate_policy,
                net: settings.net.clone(),
                certificate: certificate.clone(),
                commands: receiver,
                arrivals,
                stopped: stopped.clone(),
                busy: busy.clone(),
            };
            let builder =
                std::thread::Builder::new().name(format!("{}-{number}", if codes { "coder" } else { "media" }));
            threads.push(builder.spawn(move || worker.run(ready)).map_err(StartError::Thread)?);
            match started.await {
                Ok(Ok(())) => handles.push(WorkerHandle { commands, busy }),
                Ok(Err(why)) => return Err(StartError::NoPort(why)),
                Err(_) => return Err(StartError::Thread(io::Error::other("it ended at once"))),
            }
        }
        let engine = Engine::new(EngineParts {
            workers: handles,
            coders: settings.coders,
            clock,
            placement: settings.placement,
            toolbox: settings.toolbox.clone(),
            converters_per_pipeline: settings.converters_per_pipeline,
            notices,
        });
        let planner = tokio::spawn(engine.clone().plan_forever());
        Ok(Workers { engine, stop, threads, planner })
    }

    /// Ends all workers and waits for them. Release the pipelines first; what is left is dropped.
    pub fn stop(self) {
        self.planner.abort();
        // The receivers live as long as their threads.
        let _ = self.stop.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a media worker ended with a panic");
            }
        }
    }
}

struct Worker {
    number: u16,
    /// For converters, not for media.
    codes: bool,
    clock: Arc<dyn Clock>,
    notices: NoticeSink,
    roads: Vec<mpsc::Sender<Batch>>,
    bitrate_policy: BitratePolicy,
    net: NetSettings,
    certificate: Arc<Certificate>,
    commands: mpsc::Receiver<Command>,
    arrivals: mpsc::Receiver<Batch>,
    stopped: watch::Receiver<bool>,
    busy: Arc<AtomicU32>,
}

impl Worker {
    fn run(self, ready: oneshot::Sender<io::Result<()>>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().build_local(LocalOptions::default());
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(why) => return drop(ready.send(Err(why))),
        };
        // A task of its own: waking the outermost future goes through the kernel, waking a task does not.
        let served = runtime.block_on(async {
            if self.codes {
                tokio::task::spawn_local(self.convert(ready)).await
            } else {
                tokio::task::spawn_local(self.serve(ready)).await
            }
        });
        if let Err(panic) = served {
            std::panic::resume_unwind(panic.into_panic());
        }
    }

    async fn serve(mut self, ready: oneshot::Sender<io::Result<()>>) {
        let net = match LocalNet::new(self.clock.clone(), self.net.clone(), self.certificate.clone()) {
            Ok(net) => net,
            Err(why) => return drop(ready.send(Err(why))),
        };
        let port = net.shared_port().number();
        let roads = std::mem::take(&mut self.roads);
        let offered = Rc::new(net.clone());
        let mut shard = Shard::new(self.number, self.clock.clone(), self.notices.clone(), roads, offered);
        shard.set_bitrate_policy(self.bitrate_policy);
        let shard = Rc::new(RefCell::new(shard));
        net.start(&shard);
        tracing::info!(worker = self.number, port, "media worker listens on a UDP port");
        let _ = ready.send(Ok(()));

        let mut load = Load::new(self.clock.now());
        loop {
            let deadline = shard.borrow().next_deadline();
            let wake = load.wake(deadline, shard.borrow().is_shedding());
            tokio::select! {
                biased;
                _ = self.stopped.changed() => break,
                command = self.commands.recv() => match command {
                    Some(command) => {
                        take_commands(&mut self.commands, &shard, command);
                        // What reads the sockets of nodes that are gone ends now, before anybody wants their ports.
                        tokio::task::yield_now().await;
                    }
                    None => break,
                },
                Some(batch) = self.arrivals.recv() => self.take_batches(&shard, batch),
                () = net.rearm.notified() => {}
                () = sleep_until(wake, &*self.clock) => {}
            }
            shard.borrow_mut().run();
            net.flush();
            if let Some(busy) = load.measure(self.clock.now(), &self.busy) {
                shard.borrow_mut().note_load(busy);
            }
        }
        tracing::debug!(worker = self.number, dropped = net.dropped(), strangers = net.strangers.get(), "ended");
    }

    async fn convert(mut self, ready: oneshot::Sender<io::Result<()>>) {
        let roads = std::mem::take(&mut self.roads);
        let shard = Shard::new(self.number, self.clock.clone(), self.notices.clone(), roads, Rc::new(()));
        let shard = RefCell::new(shard);
        // Where cores are short, forwarding goes first: pictures can be left out, packets cannot wait.
        if let Err(why) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
            tracing::debug!("a thread of converters is as important as those of media: {why}");
        }
        // Whoever started this may have given up.
        let _ = ready.send(Ok(()));
        let mut load = Load::new(self.clock.now());
        loop {
            let wake = load.wake(shard.borrow().next_deadline(), false);
            tokio::select! {
                biased;
                _ = self.stopped.changed() => break,
                command = self.commands.recv() => match command {
                    Some(command) => take_commands(&mut self.commands, &shard, command),
                    None => break,
                },
                Some(batch) = self.arrivals.recv() => shard.borrow_mut().accept(batch),
                () = sleep_until(wake, &*self.clock) => {}
            }
            shard.borrow_mut().run();
            load.measure(self.clock.now(), &self.busy);
        }
    }

    fn take_batches(&mut self, shard: &RefCell<Shard>, first: Batch) {
        let mut shard = shard.borrow_mut();
        shard.accept(first);
        for _ in 0..QUEUE {
            let Ok(batch) = self.arrivals.try_recv() else { break };
            shard.accept(batch);
        }
    }
}

/// Takes what waits, the first being out of the queue already: no more than fits at a time, and nothing behind one that removes.
fn take_commands(commands: &mut mpsc::Receiver<Command>, shard: &RefCell<Shard>, first: Command) {
    let mut shard = shard.borrow_mut();
    let mut command = first;
    for left in (0..=QUEUE).rev() {
        let removes = matches!(command, Command::Remove { .. });
        shard.apply(command);
        // What is taken out of the queue must be done: the last looks for no other.
        if removes || left == 0 {
            break;
        }
        let Ok(next) = commands.try_recv() else { break };
        command = next;
    }
}

/// Sleeps until a media time; for ever without one.
async fn sleep_until(at: Option<MediaTime>, clock: &dyn Clock) {
    match at {
        Some(at) => tokio::time::sleep_until(clock.instant(at).into()).await,
        None => std::future::pending().await,
    }
}

/// How busy the thread is, from its CPU time over the last second. An idle thread is not woken to be measured.
struct Load {
    since: MediaTime,
    cpu: Duration,
    busy: u32,
}

impl Load {
    fn new(now: MediaTime) -> Self {
        Load { since: now, cpu: thread_cpu(), busy: 0 }
    }

    /// When the worker should wake: at its deadline, or to notice that it is no longer busy. `shedding`: it leaves out video
    /// until it has noticed that there is room.
    fn wake(&self, deadline: Option<MediaTime>, shedding: bool) -> Option<MediaTime> {
        let measure = (self.busy > 0 || shedding).then(|| self.since + MEASURE);
        [deadline, measure].into_iter().flatten().min()
    }

    /// Measures once a second, and then says how busy the thread was, in thousandths of a core.
    fn measure(&mut self, now: MediaTime, busy: &AtomicU32) -> Option<u32> {
        let elapsed = now.since(self.since);
        if elapsed < MEASURE {
            return None;
        }
        let cpu = thread_cpu();
        let share = cpu.saturating_sub(self.cpu).as_micros() * 1000 / elapsed.as_micros().max(1);
        self.busy = if share < 10 { 0 } else { share.min(1000) as u32 };
        busy.store(self.busy, Ordering::Relaxed);
        self.since = now;
        self.cpu = cpu;
        Some(self.busy)
    }
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::node::NodeId;
    use rivero_engine::time::ManualClock;

    #[test]
    fn no_command_is_lost_however_many_come_at_once() {
        let shard = Shard::new(0, Arc::new(ManualClock::default()), Arc::new(|_| {}), Vec::new(), Rc::new(()));
        let shard = RefCell::new(shard);
        // As when more come while these are taken.
        let (sender, mut commands) = mpsc::channel(4 * QUEUE);
        let nobody = NodeId { worker: 0, index: 7, generation: 7 };
        let mut answers = Vec::new();
        for number in 0..4 * QUEUE {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            let report = Command::Report { node: nobody, reply };
            sender.try_send(report).unwrap_or_else(|_| panic!("there is room for {number}"));
        }
        let mut turns = 0;
        while let Ok(first) = commands.try_recv() {
            take_commands(&mut commands, &shard, first);
            turns += 1;
        }
        for (number, mut answer) in answers.into_iter().enumerate() {
            assert!(matches!(answer.try_recv(), Ok(None)), "command {number} is answered: there is no such node");
        }
        assert!(turns > 1, "packets have their turn between");
    }
}
