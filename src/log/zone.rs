//! Local time: the system's clock comes in, the fields of a calendar go out.
//!
//! `tz-rs` reads the zone database in plain Rust, since the C library's way cannot be used safely beside threads.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tz::{TimeZone, UtcDateTime};

/// A zone, read once at the start.
#[derive(Debug, Clone)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// The zone that `TZ` names, or the system's if `None`. What cannot be found is UTC, as in the C library.
    pub fn named(name: Option<&str>) -> Self {
        Self(match name {
            None => TimeZone::local().ok(),
            Some(name) => TimeZone::from_posix_tz(name).ok(),
        })
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the log tells the time of day, before and beside any clock of the house"
    )]
    pub fn now(&self) -> LocalTime {
        self.at(SystemTime::now())
    }

    /// The local time at an instant. Instants before 1970 count as 1970.
    pub fn at(&self, time: SystemTime) -> LocalTime {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let local = self.0.as_ref().and_then(|zone| zone.find_local_time_type(seconds).ok());
        let offset = local.map_or(0, |local| i64::from(local.ut_offset()));
        let fields = UtcDateTime::from_timespec(seconds.saturating_add(offset), since.subsec_nanos());
        match fields {
            Ok(fields) => LocalTime {
                date: (fields.year(), fields.month(), fields.month_day()),
                time: (fields.hour(), fields.minute(), fields.second()),
                micros: since.subsec_micros(),
            },
            Err(_) => LocalTime { date: (1970, 1, 1), time: (0, 0, 0), micros: 0 },
        }
    }
}

/// A point in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Year, month from 1, day from 1.
    pub date: (i32, u8, u8),
    /// Hour, minute, second.
    pub time: (u8, u8, u8),
    /// Microseconds within the second.
    pub micros: u32,
}

/// As lines begin: `2018-06-14T19:44:26,918243`.
impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02},{:06}", self.micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str, micros: u64) -> String {
        Zone::named(Some(zone)).at(UNIX_EPOCH + Duration::from_micros(micros)).to_string()
    }

    #[test]
    fn the_zone_moves_the_fields() {
        // 2018-06-14 17:44:26.918243 UTC
        let instant = 1_528_998_266_918_243;
        assert_eq!(at("UTC0", instant), "2018-06-14T17:44:26,918243");
        assert_eq!(at("CET-1CEST,M3.5.0,M10.5.0/3", instant), "2018-06-14T19:44:26,918243");
        assert_eq!(at("NST3:30", instant), "2018-06-14T14:14:26,918243");
        assert_eq!(at("CET-1CEST,M3.5.0,M10.5.0/3", 0), "1970-01-01T01:00:00,000000");
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        assert_eq!(at("No/Such/Zone", 1_000_000), "1970-01-01T00:00:01,000000");
        assert_eq!(at("", 1_000_000), "1970-01-01T00:00:01,000000");
    }
}
