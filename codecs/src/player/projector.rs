//! The thread that reads a reel ahead of its player, within bounds.

use super::reel::{Frame, Reel, ReelInfo};
use crate::film::{FilmError, Interrupt};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

/// Opens the reel; called on the projector's thread.
pub type OpenReel = Arc<dyn Fn(&Interrupt) -> Result<Box<dyn Reel>, FilmError> + Send + Sync>;

/// Frames read ahead: a second or two of a film with sound.
const AHEAD: usize = 128;
/// Orders that wait for the thread: it looks for them after each frame.
const ORDERS: usize = 16;
/// While nothing more fits, orders are looked for this often.
const FULL: Duration = Duration::from_millis(20);

/// What the node asks of the thread.
enum Order {
    Seek { to: Duration, run: u64 },
}

/// What the thread has to say.
pub enum Reading {
    Opened(ReelInfo),
    /// `run` counts the seeks: what was read before the last one is of no use. A seek that fails leads to where the film stood.
    Frame {
        run: u64,
        frame: Frame,
    },
    End {
        run: u64,
    },
    Failed(FilmError),
}

/// The node's end. Dropping it ends the thread.
pub struct Projector {
    orders: SyncSender<Order>,
    film: Receiver<Reading>,
    interrupt: Interrupt,
}

impl Projector {
    /// Errors: no thread can be started.
    pub fn start(open: OpenReel, interrupt: Interrupt) -> io::Result<Self> {
        let (orders, their_orders) = sync_channel(ORDERS);
        let (their_film, film) = sync_channel(AHEAD);
        let theirs = interrupt.clone();
        std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
            let mut booth = Booth { orders: their_orders, film: their_film, run: 0 };
            if let Err(why) = booth.show(&open, &theirs) {
                // Whoever does not listen any more does not want to know.
                let _ = booth.film.send(Reading::Failed(why));
            }
        })?;
        Ok(Projector { orders, film, interrupt })
    }

    /// What was read, if anything; never waits.
    pub fn take(&self) -> Option<Reading> {
        self.film.try_recv().ok()
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
    run: u64,
}

/// The player is gone.
struct Gone;

impl Booth {
    fn show(&mut self, open: &OpenReel, interrupt: &Interrupt) -> Result<(), FilmError> {
        let mut reel = open(interrupt)?;
        if self.film.send(Reading::Opened(reel.info().clone())).is_err() {
            return Ok(());
        }
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order, &mut *reel),
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            let run = self.run;
            let given = match reel.next()? {
                Some(frame) => self.give(Reading::Frame { run, frame }, &mut *reel),
                None => self.give(Reading::End { run }, &mut *reel).and_then(|()| {
                    // At the end only an order leads on.
                    let order = if self.run == run { self.orders.recv().map_err(|_| Gone)? } else { return Ok(()) };
                    self.obey(order, &mut *reel);
                    Ok(())
                }),
            };
            if given.is_err() {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, Order::Seek { to, run }: Order, reel: &mut dyn Reel) {
        if let Err(why) = reel.seek(to) {
            tracing::warn!("a film cannot be sought: {why}");
        }
        self.run = run;
    }

    /// Waits for room, unless an order makes what was read useless.
    fn give(&mut self, mut reading: Reading, reel: &mut dyn Reel) -> Result<(), Gone> {
        loop {
            match self.film.try_send(reading) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Gone),
                Err(TrySendError::Full(back)) => reading = back,
            }
            match self.orders.recv_timeout(FULL) {
                Ok(order) => {
                    self.obey(order, reel);
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
