//! How the streams of one peer lie to each other: sound that was made together with a picture mostly arrives before it.
//!
//! Enters: time stamps and arrivals of a stream's packets, its sender reports (RFC 3550, section 6.4.1). Leaves: by how much each
//! stream arrives earlier than the latest of them. It must never know what a stream holds.
//!
//! A report tells when on the sender's wall clock a time stamp was; arrival minus that is the latency of a packet, plus the distance
//! of two wall clocks, which is the same for all streams of a sender: only differences mean something. Jitter, queues and
//! retransmissions only ever add to a latency, so the least of ten seconds counts, as it does where times of presentation are made.

use crate::rtcp::SenderInfo;
use rivero_engine::MediaTime;
use std::collections::VecDeque;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;
/// The window of the least, in parts of a second each.
const PARTS: usize = 10;
/// The middle one of so many reports counts: senders read their clocks in haste.
const REPORTS: usize = 5;
/// In its beginning a path is busy with key frames and with what waited for it: the least is not known yet.
const BEGINNING: i64 = 2 * SECOND;
/// A report or a packet that is so far from those before was not made on the same clock.
const JUMP: i64 = 200 * MILLISECOND;
/// Streams further apart were not made together, or their reports are wrong.
const MOST: i64 = 2 * SECOND;
/// A skew that changes by less, in milliseconds, stays what it is: nobody notices, and sound that is bent for it has a cost.
const STEADY: u16 = 5;

/// One stream's.
#[derive(Default)]
pub(crate) struct Latency {
    stream: Option<Stream>,
    skew: u16,
}

struct Stream {
    /// Hz
    clock_rate: i64,
    /// Of the packet that came last, as sent and unwrapped, in units of the clock.
    timestamp: u32,
    units: i64,
    /// The least of arrival minus media time in a second of arrivals, in nanoseconds.
    parts: [Option<(i64, i64)>; PARTS],
    began: i64,
    /// The latest arrival; packets in order did not always arrive in order.
    latest: i64,
    /// Wall clock minus media time as the newest reports have it, in nanoseconds.
    reports: VecDeque<i64>,
    /// How many of them must agree.
    needed: usize,
}

impl Latency {
    /// In milliseconds.
    pub fn skew(&self) -> u16 {
        self.skew
    }

    /// Another stream takes this one's place. Until its own reports come the skew is most likely that of the one before.
    pub fn begin(&mut self) {
        self.stream = None;
    }

    /// A packet came; `clock_rate` in Hz.
    pub fn note(&mut self, timestamp: u32, clock_rate: u32, now: MediaTime) {
        let clock_rate = i64::from(clock_rate.max(1));
        let arrival = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        if self.stream.as_mut().is_none_or(|stream| !stream.note(timestamp, clock_rate, arrival)) {
            self.stream = Some(Stream::begin(timestamp, clock_rate, arrival));
        }
    }

    /// Nanoseconds, plus what is the same for all streams of the sender.
    fn latency(&self) -> Option<i64> {
        let stream = self.stream.as_ref()?;
        let ripe = stream.latest - stream.began >= BEGINNING && stream.reports.len() >= stream.needed;
        Some(stream.least()?.wrapping_sub(stream.wall().filter(|_| ripe)?))
    }
}

/// The stream `at` is reported on; `streams` are all of its sender.
pub(crate) fn note_report(streams: &mut [&mut Latency], at: usize, info: &SenderInfo) {
    let Some(stream) = streams.get_mut(at).and_then(|latency| latency.stream.as_mut()) else { return };
    if stream.note_report(info) {
        // A wall clock that was set is set for all.
        let others = streams.iter_mut().enumerate().filter(|(other, _)| *other != at);
        others.filter_map(|(_, other)| other.stream.as_mut()).for_each(Stream::doubt);
        return;
    }
    align(streams);
}

fn align(streams: &mut [&mut Latency]) {
    let Some(first) = streams.iter().find_map(|stream| stream.latency()) else { return };
    let relative = |stream: &Latency| stream.latency().map(|latency| latency.wrapping_sub(first));
    let known = || streams.iter().filter_map(|stream| relative(stream));
    let (Some(least), Some(most)) = (known().min(), known().max()) else { return };
    if known().count() < 2 || most.checked_sub(least).is_none_or(|apart| apart > MOST) {
        return;
    }
    for stream in streams {
        let Some(own) = relative(stream) else { continue };
        let skew = u16::try_from((most - own) / MILLISECOND).unwrap_or(0);
        if skew.abs_diff(stream.skew) >= STEADY {
            stream.skew = skew;
        }
    }
}

impl Stream {
    fn begin(timestamp: u32, clock_rate: i64, arrival: i64) -> Self {
        let mut parts = [None; PARTS];
        let second = arrival / SECOND;
        parts[second as usize % PARTS] = Some((second, arrival));
        let (began, latest) = (arrival, arrival);
        Stream { clock_rate, timestamp, units: 0, parts, began, latest, reports: VecDeque::new(), needed: 1 }
    }

    /// False for a packet of another stream.
    fn note(&mut self, timestamp: u32, clock_rate: i64, arrival: i64) -> bool {
        if clock_rate != self.clock_rate {
            return false;
        }
        self.units = self.units_of(timestamp);
        self.timestamp = timestamp;
        let delay = arrival.wrapping_sub(self.nanos(self.units));
        if self.least().is_some_and(|least| delay.wrapping_sub(least) < -JUMP) {
            // Earlier than it can be: its clock stepped.
            return false;
        }
        self.latest = self.latest.max(arrival);
        let now = self.latest / SECOND;
        match &mut self.parts[now as usize % PARTS] {
            Some((second, least)) if *second == now => *least = (*least).min(delay),
            part => *part = Some((now, delay)),
        }
        true
    }

    fn least(&self) -> Option<i64> {
        let within = |(second, _): &&(i64, i64)| self.latest / SECOND - second < PARTS as i64;
        self.parts.iter().flatten().filter(within).map(|(_, least)| *least).min()
    }

    /// The middle one of what was reported.
    fn wall(&self) -> Option<i64> {
        let mut sorted: Vec<i64> = self.reports.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// True if it contradicts those before.
    fn note_report(&mut self, info: &SenderInfo) -> bool {
        if info.ntp.0 == 0 {
            // The sender has no wall clock (RFC 3550, section 6.4.1).
            return false;
        }
        let (seconds, fraction) = ((info.ntp.0 >> 32) as i64, (info.ntp.0 & 0xffff_ffff) as i64);
        let ntp = seconds * SECOND + ((fraction * SECOND) >> 32);
        let wall = ntp.wrapping_sub(self.nanos(self.units_of(info.rtp_timestamp)));
        let jumped = self.wall().is_some_and(|known| wall.wrapping_sub(known).unsigned_abs() > JUMP as u64);
        if jumped {
            self.doubt();
            // It may as well be the time stamps that stepped.
            self.parts = [None; PARTS];
        }
        self.reports.push_back(wall);
        if self.reports.len() > REPORTS {
            self.reports.pop_front();
        }
        jumped
    }

    /// What was reported no longer holds, and one report alone may be wrong.
    fn doubt(&mut self) {
        self.reports.clear();
        self.needed = 2;
    }

    /// Half the circle forwards, half backwards.
    fn units_of(&self, timestamp: u32) -> i64 {
        self.units.wrapping_add(i64::from(timestamp.wrapping_sub(self.timestamp) as i32))
    }

    /// Wraps beyond some 290 years, as all sums here: differences hold nevertheless.
    fn nanos(&self, units: i64) -> i64 {
        let (seconds, rest) = (units.div_euclid(self.clock_rate), units.rem_euclid(self.clock_rate));
        seconds.wrapping_mul(SECOND).wrapping_add(rest * SECOND / self.clock_rate)
    }
}

#[cfg(test)]
mod tests;
