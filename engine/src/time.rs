//! Where *now* comes from. Everything below takes the time as an argument or reads this clock; nothing else in the house
//! may ask the system, so that any graph can be run by hand, second by second, in a test.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since the clock's origin. Monotonic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(u64);

impl MediaTime {
    pub const ZERO: MediaTime = MediaTime(0);

    pub const fn from_nanos(nanos: u64) -> Self {
        MediaTime(nanos)
    }

    pub const fn from_millis(millis: u64) -> Self {
        MediaTime(millis * 1_000_000)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: MediaTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for MediaTime {
    type Output = MediaTime;

    fn add(self, by: Duration) -> MediaTime {
        MediaTime(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for MediaTime {
    type Output = MediaTime;

    fn sub(self, by: Duration) -> MediaTime {
        MediaTime(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.0 as f64 / 1e9)
    }
}

pub trait Clock: Send + Sync {
    fn now(&self) -> MediaTime;

    /// The calendar time of a media time, for time stamps that people and clients read.
    fn wall(&self, at: MediaTime) -> SystemTime;

    /// The system's monotonic instant of a media time, for libraries that ask for one.
    fn instant(&self, at: MediaTime) -> Instant;
}

/// The machine's own clocks, tied together once at start.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
    wall: SystemTime,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        SystemClock { origin: Instant::now(), wall: SystemTime::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> MediaTime {
        MediaTime::ZERO + Instant::now().saturating_duration_since(self.origin)
    }

    fn wall(&self, at: MediaTime) -> SystemTime {
        self.wall + at.since(MediaTime::ZERO)
    }

    fn instant(&self, at: MediaTime) -> Instant {
        self.origin + at.since(MediaTime::ZERO)
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock {
    nanos: AtomicU64,
    origin: Instant,
    wall: SystemTime,
}

impl ManualClock {
    /// Starts at 2020-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::starting(SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800))
    }

    /// Starts at a time of day.
    #[allow(clippy::disallowed_methods, reason = "an origin for libraries that want an Instant; no test reads it")]
    pub fn starting(wall: SystemTime) -> Self {
        ManualClock { nanos: AtomicU64::new(0), origin: Instant::now(), wall }
    }

    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(by, Ordering::Relaxed);
    }

    /// Moves to `at`, never backwards.
    pub fn advance_to(&self, at: MediaTime) {
        self.nanos.fetch_max(at.as_nanos(), Ordering::Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> MediaTime {
        MediaTime(self.nanos.load(Ordering::Relaxed))
    }

    fn wall(&self, at: MediaTime) -> SystemTime {
        self.wall + at.since(MediaTime::ZERO)
    }

    fn instant(&self, at: MediaTime) -> Instant {
        self.origin + at.since(MediaTime::ZERO)
    }
}
