//! The thread that reads a reel ahead of its player, within bounds. When it is as far ahead as it may be it sleeps until half of that has
//! been played: waking it costs more than reading a frame does.

use super::reel::{Content, Frame, Reel, ReelInfo};
use crate::film::{FilmError, Interrupt};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// Opens the reel; called on the projector's thread.
pub type OpenReel = Arc<dyn Fn(&Interrupt) -> Result<Box<dyn Reel>, FilmError> + Send + Sync>;

/// Frames and bytes read ahead: a second or two of a film with sound, less of one whose pictures are decoded here.
const AHEAD: usize = 128;
const BYTES_AHEAD: usize = 16 << 20;
/// Of what is live and waits for its time, which may be seconds.
const LIVE_AHEAD: usize = 2000;
const LIVE_BYTES_AHEAD: usize = 128 << 20;
/// What else there is to say.
const WORDS: usize = 8;
/// Orders that wait for the thread: it looks for them after each frame, and only the last one counts.
const ORDERS: usize = 16;

/// What the node asks of the thread.
enum Order {
    Seek {
        to: Duration,
        run: u64,
    },
    /// There is room again.
    ReadOn,
}

/// What the thread has to say.
pub enum Reading {
    Opened(ReelInfo),
    /// `run` counts the seeks: what was read before the last one is of no use.
    Frame {
        run: u64,
        frame: Frame,
    },
    /// A seek failed: what follows is from where the film stood.
    Astray {
        run: u64,
    },
    End {
        run: u64,
    },
    Failed(FilmError),
}

/// What is read ahead, as both ends count it.
#[derive(Default)]
struct Ahead {
    frames: AtomicUsize,
    bytes: AtomicUsize,
    /// The place at which the newest frame is decoded, in nanoseconds since the film's beginning.
    newest: AtomicU64,
    /// Fewer frames than that wake the thread, which sleeps; 0 while it does not.
    wakes_below: AtomicUsize,
}

impl Ahead {
    /// Before the thread sleeps. False if it has no reason to any more.
    fn sleeps(&self) -> bool {
        let few = self.frames.load(Ordering::SeqCst) / 2 + 1;
        self.wakes_below.store(few, Ordering::SeqCst);
        // What was taken just now has not woken it.
        self.frames.load(Ordering::SeqCst) >= few
    }

    /// Whether it is to be woken; true once.
    fn wakes(&self) -> bool {
        self.frames.load(Ordering::SeqCst) < self.wakes_below.load(Ordering::SeqCst)
            && self.wakes_below.swap(0, Ordering::SeqCst) > 0
    }

    fn has_room(&self, live: bool) -> bool {
        let (frames, bytes) = if live { (LIVE_AHEAD, LIVE_BYTES_AHEAD) } else { (AHEAD, BYTES_AHEAD) };
        self.frames.load(Ordering::Relaxed) < frames && self.bytes.load(Ordering::Relaxed) < bytes
    }

    fn add(&self, frame: &Frame) {
        self.frames.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(frame.content.len(), Ordering::Relaxed);
        self.newest.store(u64::try_from(frame.decoded.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn subtract(&self, frame: &Frame) {
        self.frames.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(frame.content.len(), Ordering::Relaxed);
    }
}

/// The node's end. Dropping it ends the thread.
pub struct Projector {
    orders: SyncSender<Order>,
    film: Receiver<Reading>,
    ahead: Arc<Ahead>,
    interrupt: Interrupt,
}

impl Projector {
    /// Errors: no thread can be started.
    pub fn start(open: OpenReel, interrupt: Interrupt) -> io::Result<Self> {
        let (orders, their_orders) = sync_channel(ORDERS);
        let (their_film, film) = sync_channel(LIVE_AHEAD + WORDS);
        let ahead = Arc::new(Ahead::default());
        let (theirs, counts) = (interrupt.clone(), ahead.clone());
        std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
            let mut booth = Booth { orders: their_orders, film: their_film, ahead: counts, run: 0, live: false };
            if let Err(why) = booth.show(&open, &theirs) {
                // Whoever does not listen any more does not want to know.
                let _ = booth.film.send(Reading::Failed(why));
            }
        })?;
        Ok(Projector { orders, film, ahead, interrupt })
    }

    /// What was read, if anything; never waits.
    pub fn take(&self) -> Option<Reading> {
        let reading = self.film.try_recv().ok()?;
        if let Reading::Frame { frame, .. } = &reading {
            self.ahead.subtract(frame);
            if self.ahead.wakes() {
                // Where many orders wait already, they wake it.
                let _ = self.orders.try_send(Order::ReadOn);
            }
        }
        Some(reading)
    }

    /// The place at which the newest frame is decoded that was read, since the film's beginning.
    pub fn newest(&self) -> Duration {
        Duration::from_nanos(self.ahead.newest.load(Ordering::Relaxed))
    }

    /// False when it cannot be ordered now: many orders wait already, or the thread has ended.
    pub fn seek(&self, to: Duration, run: u64) -> bool {
        self.orders.try_send(Order::Seek { to, run }).is_ok()
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.interrupt.stop();
    }
}

struct Booth {
    orders: Receiver<Order>,
    film: SyncSender<Reading>,
    ahead: Arc<Ahead>,
    run: u64,
    live: bool,
}

/// The player is gone.
struct Gone;

impl Booth {
    fn show(&mut self, open: &OpenReel, interrupt: &Interrupt) -> Result<(), FilmError> {
        let mut reel = open(interrupt)?;
        self.live = reel.info().live;
        if self.film.send(Reading::Opened(reel.info().clone())).is_err() {
            return Ok(());
        }
        loop {
            match self.orders.try_recv() {
                Ok(order) => {
                    if self.obey(order, &mut *reel).is_err() {
                        return Ok(());
                    }
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            let run = self.run;
            let given = match reel.next()? {
                Some(Frame { content: Content::Nothing, .. }) => Ok(()),
                Some(frame) => self.give(Reading::Frame { run, frame }, &mut *reel),
                None => self.give(Reading::End { run }, &mut *reel).and_then(|()| {
                    // At the end only an order leads on.
                    while self.run == run {
                        let order = self.orders.recv().map_err(|_| Gone)?;
                        self.obey(order, &mut *reel)?;
                    }
                    Ok(())
                }),
            };
            if given.is_err() {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, order: Order, reel: &mut dyn Reel) -> Result<(), Gone> {
        let seeks = std::iter::once(order).chain(self.orders.try_iter()).filter_map(|order| match order {
            Order::Seek { to, run } => Some((to, run)),
            Order::ReadOn => None,
        });
        let Some((to, run)) = seeks.last() else { return Ok(()) };
        self.run = run;
        let Err(why) = reel.seek(to) else { return Ok(()) };
        tracing::warn!("a film cannot be sought: {why}");
        self.film.send(Reading::Astray { run }).map_err(|_| Gone)
    }

    /// Waits for room, unless an order makes what was read useless.
    fn give(&mut self, reading: Reading, reel: &mut dyn Reel) -> Result<(), Gone> {
        loop {
            if self.ahead.has_room(self.live) {
                if let Reading::Frame { frame, .. } = &reading {
                    self.ahead.add(frame);
                }
                return self.film.send(reading).map_err(|_| Gone);
            }
            if !self.ahead.sleeps() {
                continue;
            }
            let (run, order) = (self.run, self.orders.recv().map_err(|_| Gone)?);
            self.obey(order, reel)?;
            if self.run != run {
                return Ok(());
            }
        }
    }
}
