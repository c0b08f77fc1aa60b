//! Packets in the order in which they were sent.
//!
//! Enters: RTP packets as the network delivered them, the time. Leaves: the same in order, each once, with word of what is missing
//! and of where a new stream begins. It must never know a codec, nor what a timestamp means.
//!
//! What follows on leaves at once. At a gap it waits, for as long as lately helped (20 ms at least, 400 ms for video and 120 ms
//! for audio at most), then says what is lost and goes on. It does not wait where that is hopeless: when it is three quarters full, or
//! when the graph says that what is missing was left out on purpose, or before a key frame where nothing else is of any use.

use super::patience::Patience;
use rivero_engine::{Body, MediaKind, MediaTime, Packet};
use std::collections::{BTreeMap, VecDeque};

/// Packets that wait here at most, whatever happens: 400 ms of 20 Mbps, and room for a batch that is pushed before it is popped.
pub const MAX_PACKETS: usize = 1024;
/// Bytes of payload that wait here at most.
pub const MAX_BYTES: usize = 2 << 20;

/// From here on no gap is waited for.
const FULL_PACKETS: usize = MAX_PACKETS / 4 * 3;
const FULL_BYTES: usize = MAX_BYTES / 4 * 3;
/// A sequence number further away than this belongs to another numbering.
const JUMP: u64 = 1000;
/// So many old packets in a row, and none of the present: the numbering went back by less than a jump.
const STALE: u32 = 32;
/// Gaps given up that are remembered, so that what comes too late can still teach.
const REMEMBERED: usize = 64;

/// What leaves.
#[derive(Debug)]
pub enum Step {
    /// The next packet. After a `Lost` or a `Restart` it has its `discontinuity` set.
    Packet(Packet),
    /// These will not come: `count` packets from the number `first`.
    Lost { first: u64, count: u64 },
    /// Another stream begins: another SSRC, another clock, or another numbering. The first stream of all begins without it.
    Restart,
}

struct Stream {
    ssrc: u32,
    clock_rate: u32,
    /// The number that is to leave next.
    next: u64,
    highest: u64,
}

struct Held {
    packet: Packet,
    pushed: MediaTime,
}

struct GivenUp {
    first: u64,
    end: u64,
    missed: MediaTime,
    taught: bool,
}

/// Where a packet stands towards the stream.
enum Place {
    Begins,
    Fits,
    Old,
    /// Back by more than a jump: a new numbering, or a very late duplicate. The next packet will tell.
    FarBehind,
}

/// Puts the packets of one stream in order. Pop until `None` after each push or batch, and at [`due`](Reorder::due).
pub struct Reorder {
    stream: Option<Stream>,
    held: BTreeMap<u64, Held>,
    /// What is left of streams that ended, each with its `Restart`.
    ended: VecDeque<Step>,
    ended_packets: usize,
    /// Of everything that waits here.
    bytes: usize,
    /// When the gap before the first held packet was noticed.
    missed: MediaTime,
    given_up: VecDeque<GivenUp>,
    suspect: Option<Packet>,
    stale: u32,
    /// The next packet has something missing before it.
    broken: bool,
    /// What comes before the next key frame is of no use.
    wants_key: bool,
    patience: Patience,
    now: MediaTime,
}

impl Reorder {
    pub fn new(kind: MediaKind) -> Self {
        Reorder {
            stream: None,
            held: BTreeMap::new(),
            ended: VecDeque::new(),
            ended_packets: 0,
            bytes: 0,
            missed: MediaTime::ZERO,
            given_up: VecDeque::new(),
            suspect: None,
            stale: 0,
            broken: false,
            wants_key: false,
            patience: Patience::new(kind),
            now: MediaTime::ZERO,
        }
    }

    /// A packet came. What is no RTP, or a duplicate, or comes after it was given up, is dropped.
    pub fn push(&mut self, packet: Packet, now: MediaTime) {
        self.now = self.now.max(now);
        let Body::Rtp(rtp) = &packet.body else { return };
        let (ssrc, sequence, size) = (rtp.ssrc, rtp.sequence, rtp.payload.len());
        if size > MAX_BYTES {
            return;
        }
        match self.place(ssrc, packet.caps.clock_rate(), sequence) {
            Place::Fits => self.hold(sequence, packet),
            Place::Begins => self.begin(ssrc, sequence, packet),
            Place::Old => self.pass_over(ssrc, sequence, packet),
            Place::FarBehind => self.doubt(ssrc, sequence, packet),
        }
        self.shed();
    }

    /// Whether all that comes before the next key frame is of no use: then a key frame that is here waits for nothing before it.
    pub fn want_key(&mut self, wants_key: bool) {
        self.wants_key = wants_key;
    }

    /// What may leave now; call until `None`.
    pub fn pop(&mut self, now: MediaTime) -> Option<Step> {
        self.now = self.now.max(now);
        if self.due()? > self.now {
            return None;
        }
        match self.ended.pop_front() {
            Some(step) => {
                self.discount(&step);
                Some(step)
            }
            None => self.advance(),
        }
    }

    /// When the next step may leave; not later than the last `now` if it may already. `None` while nothing waits here.
    pub fn due(&self) -> Option<MediaTime> {
        if !self.ended.is_empty() {
            return Some(self.now);
        }
        let (stream, (first, held)) = (self.stream.as_ref()?, self.held.first_key_value()?);
        let full = self.held.len() >= FULL_PACKETS || self.bytes >= FULL_BYTES;
        let useless = || self.wants_key && self.held.values().any(|held| held.packet.key);
        let hopeless = held.packet.discontinuity || full || useless();
        let waits = *first > stream.next && !hopeless;
        Some(if waits { self.missed + self.patience.current() } else { self.now })
    }

    /// Packets that wait here.
    pub fn len(&self) -> usize {
        self.held.len() + self.ended_packets
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of payload that wait here.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn place(&self, ssrc: u32, clock_rate: u32, sequence: u64) -> Place {
        let Some(stream) = &self.stream else { return Place::Begins };
        if stream.ssrc != ssrc || stream.clock_rate != clock_rate || sequence > stream.highest.saturating_add(JUMP) {
            Place::Begins
        } else if sequence >= stream.next {
            Place::Fits
        } else if stream.next - sequence <= JUMP {
            Place::Old
        } else {
            Place::FarBehind
        }
    }

    fn begin(&mut self, ssrc: u32, sequence: u64, packet: Packet) {
        if self.stream.is_some() {
            while let Some(step) = self.advance() {
                self.count(&step);
                self.ended.push_back(step);
            }
            self.ended.push_back(Step::Restart);
            self.broken = true;
        }
        self.given_up.clear();
        let clock_rate = packet.caps.clock_rate();
        self.stream = Some(Stream { ssrc, clock_rate, next: sequence, highest: sequence });
        self.hold(sequence, packet);
    }

    fn hold(&mut self, sequence: u64, packet: Packet) {
        self.suspect = None;
        self.stale = 0;
        let now = self.now;
        if self.held.contains_key(&sequence) {
            return;
        }
        if let Some(missed) = self.held.range(sequence..).map(|(_, held)| held.pushed).min() {
            self.patience.came(now.since(missed), now);
        }
        if self.held.is_empty() {
            self.missed = now;
        }
        if let Some(stream) = &mut self.stream {
            stream.highest = stream.highest.max(sequence);
        }
        self.bytes += packet.body.len();
        self.held.insert(sequence, Held { packet, pushed: now });
    }

    /// Something older than what already left.
    fn pass_over(&mut self, ssrc: u32, sequence: u64, packet: Packet) {
        let now = self.now;
        if let Some(gap) = self.given_up.iter_mut().find(|gap| (gap.first..gap.end).contains(&sequence)) {
            if !std::mem::replace(&mut gap.taught, true) {
                self.patience.came(now.since(gap.missed), now);
            }
            return;
        }
        self.stale += 1;
        if self.stale >= STALE {
            self.begin(ssrc, sequence, packet);
        }
    }

    /// A numbering begins where two packets in a row agree about it (RFC 3550, appendix A.1).
    fn doubt(&mut self, ssrc: u32, sequence: u64, packet: Packet) {
        let earlier = self.suspect.take();
        let Some((earlier, other)) = earlier.and_then(|earlier| sequence_of(&earlier).map(|other| (earlier, other)))
        else {
            self.suspect = Some(packet);
            return;
        };
        if other == sequence || other.abs_diff(sequence) > JUMP {
            self.suspect = Some(packet);
        } else if other < sequence {
            self.begin(ssrc, other, earlier);
            self.hold(sequence, packet);
        } else {
            self.begin(ssrc, sequence, packet);
            self.hold(other, earlier);
        }
    }

    /// The next step of the present stream, whether or not a gap was waited for.
    fn advance(&mut self) -> Option<Step> {
        let stream = self.stream.as_mut()?;
        let entry = self.held.first_entry()?;
        let sequence = *entry.key();
        if sequence > stream.next {
            let (first, count) = (stream.next, sequence - stream.next);
            stream.next = sequence;
            self.broken = true;
            if self.given_up.len() >= REMEMBERED {
                self.given_up.pop_front();
            }
            self.given_up.push_back(GivenUp { first, end: sequence, missed: self.missed, taught: false });
            self.patience.gave_up(self.now);
            return Some(Step::Lost { first, count });
        }
        let mut packet = entry.remove().packet;
        self.bytes -= packet.body.len();
        packet.discontinuity |= std::mem::take(&mut self.broken);
        stream.next = sequence.saturating_add(1);
        if self.held.first_key_value().is_some_and(|(first, _)| *first > stream.next) {
            // The next gap: whatever was seen beyond it told of it.
            self.missed = self.held.values().map(|held| held.pushed).min().unwrap_or(self.now);
        }
        Some(Step::Packet(packet))
    }

    /// Keeps the bounds against whoever pushes and does not pop: the oldest goes.
    fn shed(&mut self) {
        let mut cut = false;
        while self.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            if let Some(step) = self.ended.pop_front() {
                self.discount(&step);
                cut = true;
            } else if let Some((_, held)) = self.held.pop_first() {
                self.bytes -= held.packet.body.len();
            } else {
                break;
            }
        }
        if cut && !matches!(self.ended.front(), Some(Step::Restart)) {
            self.ended.push_front(Step::Restart);
        }
    }

    fn count(&mut self, step: &Step) {
        if let Step::Packet(packet) = step {
            self.ended_packets += 1;
            self.bytes += packet.body.len();
        }
    }

    fn discount(&mut self, step: &Step) {
        if let Step::Packet(packet) = step {
            self.ended_packets -= 1;
            self.bytes -= packet.body.len();
        }
    }
}

fn sequence_of(packet: &Packet) -> Option<u64> {
    match &packet.body {
        Body::Rtp(rtp) => Some(rtp.sequence),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
