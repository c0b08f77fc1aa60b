//! Wall clock times as RTCP writes them (RFC 3550 §4).
//!
//! Enters: a time of the system's clock, which somebody else read. Leaves: its 64 bits, or the middle 32 of them.
//! It must never read a clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// From 1900 to 1970, in seconds.
const UNIX_OFFSET: u64 = 2_208_988_800;

/// Seconds since 1900 in the upper half, which begin again in 2036, and their fraction in the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The 32 bits by which receivers refer to a sender report: 16 bits of seconds and 16 bits of fraction.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A time before 1970 counts as 1970.
impl From<SystemTime> for NtpTime {
    fn from(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime(since.as_secs().wrapping_add(UNIX_OFFSET) << 32 | fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_moments() {
        let ntp = |at: SystemTime| NtpTime::from(at).0;
        assert_eq!(ntp(UNIX_EPOCH), 2_208_988_800 << 32);
        assert_eq!(ntp(UNIX_EPOCH - Duration::from_secs(1)), 2_208_988_800 << 32);
        assert_eq!(ntp(UNIX_EPOCH + Duration::from_millis(500)), 2_208_988_800 << 32 | 1 << 31);
        let last = UNIX_EPOCH + Duration::new((1 << 32) - 2_208_988_800 - 1, 999_999_999);
        assert_eq!(ntp(last) >> 32, 0xffff_ffff);
        assert_eq!(ntp(last + Duration::from_nanos(1)), 0, "7 February 2036, 06:28:16");
        assert_eq!(NtpTime(0x1122_3344_5566_7788).middle(), 0x3344_5566);
    }
}
