//! How long to wait for a missing packet, learnt from how late missing packets came.
//!
//! It rises at once to what would have sufficed, and falls slowly: a packet given up too early is a picture spoilt until the next
//! key frame, one waited for in vain is a short delay.

use rivero_engine::{MediaKind, MediaTime};
use std::time::Duration;

const LEAST: Duration = Duration::from_millis(20);
const FIRST: Duration = Duration::from_millis(80);
/// A round trip across an ocean and the time in which a loss is noticed there.
const MOST_VIDEO: Duration = Duration::from_millis(400);
/// Whoever talks notices a longer delay, and sound can be concealed.
const MOST_AUDIO: Duration = Duration::from_millis(120);
/// Stands above what is waited for, for the jitter of the next one.
const MARGIN: Duration = Duration::from_millis(10);
/// One step down takes this part of what is too much.
const FALL: u32 = 32;
/// Between two steps down: a burst of losses is one experience, not thirty.
const FALL_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Patience {
    current: Duration,
    most: Duration,
    fell: MediaTime,
}

impl Patience {
    pub fn new(kind: MediaKind) -> Self {
        let most = if kind == MediaKind::Video { MOST_VIDEO } else { MOST_AUDIO };
        Patience { current: FIRST, most, fell: MediaTime::ZERO }
    }

    pub fn current(&self) -> Duration {
        self.current
    }

    /// A missing packet came so long after it was first missed, whether or not it was still waited for.
    pub fn came(&mut self, late: Duration, now: MediaTime) {
        if late > self.most {
            // No permitted patience would have met it.
            return;
        }
        let wanted = (late + late / 4 + MARGIN).clamp(LEAST, self.most);
        if wanted >= self.current {
            self.current = wanted;
            self.fell = now;
        } else {
            self.fall(wanted, now);
        }
    }

    /// Waited in vain.
    pub fn gave_up(&mut self, now: MediaTime) {
        self.fall(LEAST, now);
    }

    fn fall(&mut self, towards: Duration, now: MediaTime) {
        if now.since(self.fell) >= FALL_EVERY {
            self.current -= self.current.saturating_sub(towards) / FALL;
            self.fell = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_rises_at_once_to_what_would_have_sufficed_and_no_further_than_permitted() {
        let mut patience = Patience::new(MediaKind::Video);
        assert_eq!(patience.current(), ms(80));
        patience.came(ms(200), MediaTime::ZERO);
        assert_eq!(patience.current(), ms(260));
        patience.came(ms(390), MediaTime::ZERO);
        assert_eq!(patience.current(), ms(400));
        let mut patience = Patience::new(MediaKind::Audio);
        patience.came(ms(119), MediaTime::ZERO);
        assert_eq!(patience.current(), ms(120));
    }

    #[test]
    fn what_comes_after_any_patience_teaches_nothing() {
        let mut patience = Patience::new(MediaKind::Audio);
        patience.came(ms(121), MediaTime::ZERO);
        assert_eq!(patience.current(), ms(80));
    }

    #[test]
    fn it_falls_slowly_and_by_experiences_not_by_packets() {
        let mut patience = Patience::new(MediaKind::Video);
        patience.came(ms(300), MediaTime::ZERO);
        let high = patience.current();
        for packet in 0..100 {
            patience.gave_up(MediaTime::from_millis(300 + packet));
        }
        assert!(patience.current() > high - ms(12), "{:?}", patience.current());
        for second in 1..=10 {
            patience.gave_up(MediaTime::from_millis(1000 * second));
        }
        assert!(patience.current() > ms(250), "{:?}", patience.current());
        for second in 11..=400 {
            patience.gave_up(MediaTime::from_millis(1000 * second));
        }
        assert!(patience.current() >= LEAST && patience.current() < ms(21), "{:?}", patience.current());
    }

    #[test]
    fn small_lateness_pulls_it_down_to_itself_only() {
        let mut patience = Patience::new(MediaKind::Video);
        for second in 1..=1000 {
            patience.came(ms(40), MediaTime::from_millis(1000 * second));
        }
        assert!(patience.current() >= ms(60) && patience.current() < ms(61), "{:?}", patience.current());
    }
}
