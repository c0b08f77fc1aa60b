//! The tool's clock: nanoseconds of CLOCK_MONOTONIC, the CPU time of threads and processes, and waiting.
//!
//! The only room that reads a clock. Send times travel inside packets as these nanoseconds; the kernel's receive times,
//! which are wall-clock times, are brought to the same scale here.

use nix::unistd::Pid;
use rustix::thread::ClockId;
use rustix::time::Timespec;
use std::time::{Duration, Instant};

const NANOS: u64 = 1_000_000_000;

/// Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The same moment on three scales: str0m's, ours, and ns between the wall clock and ours.
    origin: Instant,
    origin_ns: u64,
    wall_ahead_ns: i128,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        let origin_ns = monotonic_ns();
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Clock {
            origin: Instant::now(),
            origin_ns,
            wall_ahead_ns: i128::from(wall.tv_sec) * i128::from(NANOS) + i128::from(wall.tv_nsec)
                - i128::from(origin_ns),
        }
    }

    /// ns of CLOCK_MONOTONIC.
    pub fn now(&self) -> u64 {
        monotonic_ns()
    }

    /// The same moment as str0m counts.
    pub fn instant(&self, ns: u64) -> Instant {
        self.origin + Duration::from_nanos(ns.saturating_sub(self.origin_ns))
    }

    /// An instant of str0m's as ns; far ones are cut to a day from the origin.
    pub fn ns(&self, instant: Instant) -> u64 {
        let span = instant.saturating_duration_since(self.origin).min(Duration::from_secs(86_400));
        self.origin_ns + span.as_nanos() as u64
    }

    /// A wall-clock time (since 1970, as the kernel stamps datagrams) as ns of ours.
    pub fn of_wall(&self, since_epoch: Duration) -> u64 {
        (since_epoch.as_nanos() as i128 - self.wall_ahead_ns).max(0) as u64
    }

    /// Waits until the moment has come.
    pub fn sleep_until(&self, ns: u64) {
        let at = Timespec { tv_sec: (ns / NANOS) as i64, tv_nsec: (ns % NANOS) as i64 };
        // Cut short by a signal, the caller's loop comes round again.
        let _ = rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &at);
    }

    /// Waits for a while.
    pub fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span.as_nanos() as u64);
    }
}

fn monotonic_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// CPU time of the calling thread, in ns.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}

/// CPU time of another process, user and system, all its threads, in ns.
///
/// Errors: there is no such process.
pub fn process_cpu_ns(pid: u32) -> nix::Result<u64> {
    let clock = nix::time::clock_getcpuclockid(Pid::from_raw(pid as i32))?;
    let at = nix::time::clock_gettime(clock)?;
    Ok(at.tv_sec() as u64 * NANOS + at.tv_nsec() as u64)
}

fn nanoseconds(at: Timespec) -> u64 {
    at.tv_sec as u64 * NANOS + at.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_agree() {
        let clock = Clock::new();
        let ns = clock.origin_ns + 1_500_000_000;
        assert_eq!(clock.ns(clock.instant(ns)), ns);
        let wall = Duration::from_nanos((i128::from(ns) + clock.wall_ahead_ns) as u64);
        assert_eq!(clock.of_wall(wall), ns);
        assert!(process_cpu_ns(std::process::id()).is_ok_and(|cpu| cpu >= thread_cpu_ns() / 2));
    }
}
