//! Holding a sender back: what a peer sends on data channels is left unread for a while when a consumer of it is nearly full.
//!
//! SCTP here knows no pause, but it acknowledges what it is given and nothing else: datagrams that wait here are not acknowledged,
//! so their sender stops by itself when its window is used up. A consumer asks for a wait each time it gets more while it
//! holds much, for the longer the fuller it is; when the time is over the next few datagrams are read, and so on. Nothing has to be
//! taken back. Acknowledgements of what we send to that peer wait too, for no longer.
//!
//! A consumer on another worker asks late: what crosses while that worker is kept from running has to fit all the same, which is
//! why holding back begins at a sixteenth of the room that there is.

use super::{Transport, WebRtcSession};
use rivero_engine::{MediaTime, Outbox};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use str0m::Input;
use str0m::net::{Protocol, Receive};

/// Bytes of datagrams that wait. More than a sender's window; what comes beyond is lost, and sent again.
const MOST_HELD: usize = 2 << 20;
/// Datagrams that are read at once, and the time between.
const SLICE: usize = 16;
const BETWEEN: Duration = Duration::from_millis(1);
/// What one consumer may ask for: a message of 64 KiB in that time still keeps a path of 128 kbps busy.
const LONGEST: Duration = Duration::from_secs(4);

/// Datagrams of one transport that wait to be read.
#[derive(Default)]
pub(super) struct Intake {
    until: MediaTime,
    held: VecDeque<Held>,
    bytes: usize,
}

pub(super) struct Held {
    pub protocol: Protocol,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Intake {
    fn wait(&mut self, until: MediaTime) {
        self.until = self.until.max(until);
    }

    fn holds(&self, now: MediaTime) -> bool {
        now < self.until || !self.held.is_empty()
    }

    fn keep(&mut self, datagram: Held) {
        if self.bytes + datagram.bytes.len() <= MOST_HELD {
            self.bytes += datagram.bytes.len();
            self.held.push_back(datagram);
        }
    }

    /// When something is to be read.
    pub fn due(&self) -> Option<MediaTime> {
        (!self.held.is_empty()).then_some(self.until)
    }

    /// The next few datagrams; nothing before it is time.
    fn release(&mut self, now: MediaTime) -> Vec<Held> {
        if now < self.until {
            return Vec::new();
        }
        let slice: Vec<Held> = self.held.drain(..self.held.len().min(SLICE)).collect();
        self.bytes -= slice.iter().map(|datagram| datagram.bytes.len()).sum::<usize>();
        self.until = now + BETWEEN;
        slice
    }
}

/// For how long a consumer that holds `filled` of `room` bytes wants no more; `None` while that is less than a sixteenth.
///
/// It grows as the square, up to half of the room: a fast consumer that was late for a moment costs its sender milliseconds, a
/// slow one is fed at its own pace with little waiting for it.
pub(super) fn wait_for(filled: usize, room: usize) -> Option<Duration> {
    let (begin, most) = (room / 16, room / 2);
    let over = filled.checked_sub(begin)? as f64 / (most - begin) as f64;
    Some(LONGEST.mul_f64(over.min(1.0).powi(2)))
}

impl WebRtcSession {
    /// The consumer of our data wants no more for a while.
    pub(super) fn wait_with_data(&mut self, time: Duration, now: MediaTime) {
        for data in self.transports.iter_mut().filter_map(|transport| transport.data.as_mut()) {
            data.intake.wait(now + time.min(LONGEST));
        }
    }

    /// Keeps a datagram from SCTP for now. False when it may be read at once.
    pub(super) fn hold_back(&mut self, transport: usize, datagram: impl FnOnce() -> Held, now: MediaTime) -> bool {
        let data = self.transports[transport].data.as_mut();
        let Some(data) = data.filter(|data| data.intake.holds(now)) else { return false };
        let datagram = datagram();
        if !is_application_data(&datagram.bytes) {
            return false;
        }
        data.intake.keep(datagram);
        true
    }

    /// Reads a few of the datagrams that waited, if it is time.
    pub(super) fn read_held(&mut self, transport: usize, out: &mut Outbox) {
        let data = self.transports[transport].data.as_mut();
        let slice = data.map(|data| data.intake.release(out.now())).unwrap_or_default();
        for held in slice {
            let Ok(receive) = Receive::new(held.protocol, held.source, held.destination, &held.bytes) else { continue };
            let this = &mut self.transports[transport];
            let input = Input::Receive(self.net.clock.instant(out.now()), receive);
            if !this.alive || !this.rtc.accepts(&input) {
                continue;
            }
            if let Err(why) = this.rtc.handle_input(input) {
                return self.fail(transport, &why.to_string(), out);
            }
            self.drain(transport, out);
        }
    }
}

impl Transport {
    /// When something that waited is to be read.
    pub(super) fn held_due(&self) -> Option<MediaTime> {
        self.data.as_ref().filter(|_| self.alive)?.intake.due()
    }
}

/// Of DTLS: the content type until version 1.2 (RFC 6347, section 4.1), and the records of 1.3, whose type is not told
/// (RFC 9147, section 4).
fn is_application_data(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(23 | 32..=63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, length: usize) -> Held {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut bytes = vec![0; length];
        bytes[0] = first;
        Held { protocol: Protocol::Udp, source: address, destination: address, bytes }
    }

    #[test]
    fn what_waits_is_read_in_slices_and_in_order() {
        let at = MediaTime::from_millis;
        let mut intake = Intake::default();
        assert!(!intake.holds(at(0)));
        intake.wait(at(100));
        intake.wait(at(50));
        for n in 0..40 {
            assert!(intake.holds(at(10)));
            intake.keep(datagram(n, 1000));
        }
        assert_eq!(intake.due(), Some(at(100)));
        assert!(intake.release(at(99)).is_empty());
        let firsts = |slice: Vec<Held>| slice.iter().map(|held| held.bytes[0]).collect::<Vec<u8>>();
        assert_eq!(firsts(intake.release(at(100))), Vec::from_iter(0..16));
        assert_eq!((intake.due(), intake.holds(at(100))), (Some(at(101)), true), "what comes now waits behind");
        intake.wait(at(300));
        assert_eq!(intake.due(), Some(at(300)));
        assert_eq!(firsts(intake.release(at(300))), Vec::from_iter(16..32));
        assert_eq!(firsts(intake.release(at(301))), Vec::from_iter(32..40));
        assert_eq!((intake.due(), intake.bytes), (None, 0));
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let mut intake = Intake::default();
        (0..3000).for_each(|_| intake.keep(datagram(23, 1200)));
        assert_eq!(intake.held.len(), MOST_HELD / 1200);
    }

    #[test]
    fn the_fuller_the_longer() {
        assert_eq!(wait_for(99, 1600), None);
        assert_eq!(wait_for(100, 1600), Some(Duration::ZERO));
        assert_eq!(wait_for(450, 1600), Some(LONGEST / 4));
        assert_eq!(wait_for(800, 1600), Some(LONGEST));
        assert_eq!(wait_for(2000, 1600), Some(LONGEST));
    }
}
