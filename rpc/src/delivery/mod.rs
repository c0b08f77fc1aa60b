//! Recordings that go to a server on the web, by HTTP PUT, while they are being made.
//!
//! Enters: bytes of a recording, in their order. Leaves: one request with all of them. What was written stays in a temporary file
//! without a name until the server has accepted it: when the connection fails, the request is made again from the beginning, so
//! that the outage of a minute loses nothing. A recording that outgrows the room for that file is sent on all the same, but an
//! outage ends it then. Nothing is left of the file when the process ends. It must never know what the bytes mean, or who records.
//!
//! - `spool`: the file between the one who writes and the one who sends.
//! - `courier`: the thread that sends, again and again.
//! - `request`: one time, wherever the server redirects it.
//! - `credentials`: what is told to a server of who sends.

mod courier;
mod credentials;
mod request;
mod spool;
#[cfg(test)]
mod tests;

use courier::Courier;
pub use courier::{Pace, RealPace};
use request::Sender;
use rivero_codecs::film::SpoolRoom;
use spool::Spool;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Where the recording is written to. Dropping it says that this was all.
pub struct Delivery(Arc<Spool>);

/// What becomes of it.
pub struct Arrival(Receiver<io::Result<()>>);

/// Begins a request to `url`, whose `user:password@` is sent as Basic authentication (RFC 7617), or Digest (RFC 7616) where the
/// server asks for that.
///
/// # Errors
/// There is no temporary file, or no thread, to be had.
pub fn send(url: &str, room: &SpoolRoom, pace: Arc<dyn Pace>) -> io::Result<(Delivery, Arrival)> {
    let spool = Arc::new(Spool::new(room)?);
    let (theirs, url) = (spool.clone(), url.to_owned());
    let (tell, arrival) = sync_channel(1);
    std::thread::Builder::new().name("courier".to_owned()).spawn(move || {
        let courier = Courier { sender: Sender::new(&url), spool: &theirs, pace: &*pace };
        let outcome = courier.deliver();
        if let Err(why) = &outcome {
            theirs.refuse(why.to_string());
        }
        // Whoever recorded may have gone.
        let _ = tell.send(outcome);
    })?;
    Ok((Delivery(spool), Arrival(arrival)))
}

impl Write for Delivery {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Arrival {
    /// Waits until the server has accepted the whole, after [`Delivery`] has been dropped.
    ///
    /// # Errors
    /// It has not, for good.
    pub fn wait(self) -> io::Result<()> {
        self.0.recv().unwrap_or_else(|_| Err(io::Error::other("the courier's thread broke")))
    }
}
