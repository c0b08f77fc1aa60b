//! The physical limit: one thread that receives, opens once, and for each receiver copies, rewrites the header, seals and
//! sends. Nothing else: no sessions, no RTCP, no retransmission. Its packets per CPU-second are what 100 % means.
//!
//! Sends one packet a call, or (`segments`) what arrived together for one receiver in as few calls as its lengths allow:
//! segments of one call must be equally long but for the last, so packets that differ by a few bytes are padded (RFC 3550,
//! section 5.1), as the equal cuts of one frame do.

use crate::clock::{Clock, thread_cpu_ns};
use crate::payload::VP8;
use crate::socket::{BatchSocket, ReceiveRoom};
use crate::srtp::{self, HEADER, Key, Suite, TAG};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes by which packets of one call may differ before padding.
const PADDING: usize = 8;
/// What the kernel takes in one call.
const MOST_SEGMENTS: usize = 64;
const MOST_BYTES: usize = 65_000;

/// What the loop has done so far, readable from outside.
#[derive(Default)]
pub struct Progress {
    cpu_ns: AtomicU64,
    sent: AtomicU64,
    calls: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// CPU time of the loop's thread, in ns.
    pub fn cpu_ns(&self) -> u64 {
        self.cpu_ns.load(Ordering::Relaxed)
    }

    /// Packets sent, and calls to the kernel that it took.
    pub fn sent(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.calls.load(Ordering::Relaxed))
    }
}

struct Target {
    key: Key,
    to: SocketAddr,
    /// Audio and video.
    ssrcs: [u32; 2],
    next: [u64; 2],
}

/// The running loop.
pub struct BareLoop {
    pub address: SocketAddr,
    pub progress: Arc<Progress>,
    targets: SyncSender<Target>,
    thread: Option<JoinHandle<()>>,
}

impl BareLoop {
    /// Starts the thread. `key` is the publisher's.
    ///
    /// Errors: there is no port or thread left.
    pub fn start(ip: IpAddr, clock: Clock, key: Key, segments: bool) -> io::Result<Self> {
        let socket = BatchSocket::bind(ip)?;
        socket.enlarge();
        let address = socket.address();
        let progress = Arc::new(Progress::default());
        let (targets, queue) = sync_channel(256);
        let mut worker = Worker {
            socket,
            clock,
            key,
            segments,
            progress: progress.clone(),
            targets: Vec::new(),
            highest: [1 << 16; 2],
            batch: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("bare loop".to_owned()).spawn(move || worker.run(&queue))?;
        Ok(BareLoop { address, progress, targets, thread: Some(thread) })
    }

    /// Adds a receiver with a key of its own.
    pub fn add(&self, suite: Suite, secret: &[u8; 44], to: SocketAddr, ssrcs: [u32; 2]) {
        // Gone only when the thread has panicked, which shows as a viewer without media.
        let _ = self.targets.send(Target { key: Key::new(suite, secret), to, ssrcs, next: [1000; 2] });
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed already.
            let _ = thread.join();
        }
    }
}

/// A packet as opened: header and payload.
struct Plain {
    video: bool,
    bytes: Vec<u8>,
}

struct Worker {
    socket: BatchSocket,
    clock: Clock,
    key: Key,
    segments: bool,
    progress: Arc<Progress>,
    targets: Vec<Target>,
    /// Extended sequence numbers of the publisher's streams.
    highest: [u64; 2],
    batch: Vec<Plain>,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Target>) {
        let mut room = ReceiveRoom::default();
        let mut out = Vec::with_capacity(MOST_BYTES);
        let patience = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while !self.progress.stop.load(Ordering::Relaxed) {
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            // Whatever it says, the socket is looked at.
            let _ = poll(&mut waiting, Some(&patience));
            self.targets.extend(queue.try_iter());
            loop {
                let more = self.take(&mut room);
                self.forward(&mut out);
                if !more {
                    break;
                }
            }
            self.progress.cpu_ns.store(thread_cpu_ns(), Ordering::Relaxed);
        }
    }

    /// Receives a batch and opens it.
    fn take(&mut self, room: &mut ReceiveRoom) -> bool {
        let Worker { socket, clock, key, highest, batch, .. } = self;
        batch.clear();
        socket.receive(clock, room, |datagram, _, _| {
            if datagram.len() < HEADER + TAG {
                return;
            }
            let video = datagram[1] & 0x7f == VP8;
            let index = &mut highest[usize::from(video)];
            let ahead = srtp::sequence(datagram).wrapping_sub(*index as u16) as i16;
            let number = index.wrapping_add_signed(i64::from(ahead));
            *index = number.max(*index);
            // The publisher's rollovers count from zero.
            if let Ok(plain) = key.open(datagram, number - (1 << 16)) {
                batch.push(Plain { video, bytes: plain.to_vec() });
            }
        })
    }

    fn forward(&mut self, out: &mut Vec<u8>) {
        let Worker { socket, targets, batch, segments, progress, .. } = self;
        let runs = if *segments { runs(&lengths(batch)) } else { (0..batch.len()).map(Run::of_one).collect() };
        let mut calls = 0;
        for target in targets.iter_mut() {
            for run in &runs {
                out.clear();
                let packets = &batch[run.first..run.first + run.count];
                let longest = packets.iter().map(|packet| packet.bytes.len()).max().unwrap_or(0);
                for (position, packet) in packets.iter().enumerate() {
                    let short = longest - packet.bytes.len();
                    let last = position + 1 == run.count;
                    target.seal(packet, if last { 0 } else { short }, out);
                }
                // A full socket loses packets, which the receivers see.
                let _ = match run.count {
                    1 => socket.send(out, target.to),
                    _ => socket.send_segments(out, longest + TAG, target.to),
                };
                calls += 1;
            }
        }
        progress.sent.fetch_add((batch.len() * targets.len()) as u64, Ordering::Relaxed);
        progress.calls.fetch_add(calls, Ordering::Relaxed);
    }
}

impl Target {
    /// Appends the packet as this receiver gets it.
    fn seal(&mut self, packet: &Plain, padding: usize, out: &mut Vec<u8>) {
        let kind = usize::from(packet.video);
        let number = self.next[kind];
        self.next[kind] += 1;
        let start = out.len();
        out.extend_from_slice(&packet.bytes);
        out[start + 2..start + 4].copy_from_slice(&(number as u16).to_be_bytes());
        out[start + 8..start + 12].copy_from_slice(&self.ssrcs[kind].to_be_bytes());
        if padding > 0 {
            out[start] |= 0x20;
            out.resize(out.len() + padding, 0);
            if let Some(last) = out.last_mut() {
                *last = padding as u8;
            }
        }
        out.resize(out.len() + TAG, 0);
        self.key.seal(&mut out[start..], number);
    }
}

fn lengths(batch: &[Plain]) -> Vec<usize> {
    batch.iter().map(|packet| packet.bytes.len()).collect()
}

/// Packets of a batch that one call can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: usize,
    count: usize,
}

impl Run {
    fn of_one(first: usize) -> Self {
        Run { first, count: 1 }
    }
}

/// Cuts a batch into runs: lengths within [`PADDING`] of each other, then at most one shorter packet that ends the run.
fn runs(lengths: &[usize]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut first = 0;
    while first < lengths.len() {
        let (mut low, mut high, mut count) = (lengths[first], lengths[first], 1);
        for &length in &lengths[first + 1..] {
            let fits = count < MOST_SEGMENTS && (high.max(length) + TAG) * (count + 1) <= MOST_BYTES;
            if !fits || length > low + PADDING {
                break;
            }
            count += 1;
            if length + PADDING < high {
                break;
            }
            (low, high) = (low.min(length), high.max(length));
        }
        runs.push(Run { first, count });
        first += count;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::write_header;

    fn cut(lengths: &[usize]) -> Vec<usize> {
        runs(lengths).iter().map(|run| run.count).collect()
    }

    #[test]
    fn runs_are_as_long_as_the_kernel_and_padding_allow() {
        assert_eq!(cut(&[1000, 1000, 1001, 1001]), [4], "equal cuts differ by one byte");
        assert_eq!(cut(&[1000, 1000, 160, 1000]), [3, 1], "a shorter one ends a run");
        assert_eq!(cut(&[160, 1000, 1000]), [1, 2], "a longer one begins one");
        assert_eq!(cut(&[900; 130]), [64, 64, 2]);
        assert_eq!(cut(&[1500; 50]), [42, 8]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn every_segment_of_a_run_opens_at_its_receiver() {
        let secret = [3; 44];
        let key = Key::new(Suite::Gcm128, &secret);
        let to = "127.0.0.1:9".parse().unwrap();
        let mut target = Target { key: Key::new(Suite::Gcm128, &secret), to, ssrcs: [5, 6], next: [65_535; 2] };
        let mut out = Vec::new();
        for (length, padding) in [(50, 2), (52, 0), (20, 0)] {
            let mut bytes = vec![9; HEADER + length];
            write_header(&mut bytes, false, VP8, 1, 2, 3);
            target.seal(&Plain { video: true, bytes }, padding, &mut out);
        }
        let mut opened = Vec::new();
        for (number, segment) in (65_535..).zip(out.chunks_mut(HEADER + 52 + TAG)) {
            assert_eq!((srtp::sequence(segment), srtp::ssrc(segment)), (number as u16, 6));
            opened.push(key.open(segment, number).unwrap().to_vec());
        }
        assert_eq!(opened.len(), 3);
        assert_eq!((opened[0][0], opened[0].len(), opened[0][HEADER + 50..].to_vec()), (0xa0, HEADER + 52, vec![0, 2]));
        assert_eq!((opened[2][0], opened[2].len()), (0x80, HEADER + 20));
    }
}
