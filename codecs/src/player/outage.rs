//! When a stream that has no end of its own, and broke off, is opened anew.
//!
//! Enters: why it broke off, and that media came. Leaves: the time of the next attempt, and whether there is news to tell. It must
//! never know how a stream is opened.

use crate::film::FilmError;
use rivero_engine::MediaTime;
use std::time::Duration;

/// The first attempt comes so long after the stream broke off; each further one after twice the time of the one before, up to
/// the longest.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);
/// What came for so long is no longer about to break off again.
const STEADY: Duration = Duration::from_secs(10);

/// What to do about a stream that broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Another attempt leads nowhere.
    GiveUp,
    /// It is opened anew; `news` if that has not been told yet.
    Again { news: bool },
}

#[derive(Default)]
pub struct Outage {
    /// It has been told, and nothing has come since.
    away: bool,
    again: Option<MediaTime>,
    /// Before the last attempt.
    waited: Duration,
    /// Since when media comes.
    coming: Option<MediaTime>,
}

impl Outage {
    /// `endless`: it was open, and is a stream without an end.
    pub fn plan(&mut self, endless: bool, why: &FilmError, now: MediaTime) -> Plan {
        if !(endless || self.away) || !may_pass(why) {
            return Plan::GiveUp;
        }
        if self.coming.take().is_some_and(|since| now.since(since) >= STEADY) {
            self.waited = Duration::ZERO;
        }
        self.waited = (self.waited * 2).clamp(SHORTEST, LONGEST);
        self.again = Some(now + self.waited);
        Plan::Again { news: !std::mem::replace(&mut self.away, true) }
    }

    /// When the next attempt is due, if one is planned.
    pub fn next(&self) -> Option<MediaTime> {
        self.again
    }

    /// Whether an attempt was planned: whoever asks makes it now.
    pub fn take(&mut self) -> bool {
        self.again.take().is_some()
    }

    /// Whether it has broken off and not come back.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Media comes.
    pub fn is_over(&mut self, now: MediaTime) {
        self.away = false;
        self.coming.get_or_insert(now);
    }
}

/// Whether the same may succeed later. A wrong password does not become right, and asking again and again locks accounts.
fn may_pass(why: &FilmError) -> bool {
    use FilmError::*;
    match why {
        Connection { .. } | Gone | Timeout | NotFound | Io { .. } | Invalid { .. } | Failed { .. } => true,
        BadUri(_)
        | Scheme(_)
        | Outside
        | Denied
        | Interrupted
        | Unsupported(_)
        | TooLarge { .. }
        | Full
        | Refused(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_millis(seconds * 1000)
    }

    #[test]
    fn attempts_grow_rare_and_frequent_again_once_it_is_steady() {
        let mut outage = Outage::default();
        let mut now = at(100);
        let mut waits = Vec::new();
        for round in 0..7 {
            assert_eq!(outage.plan(round == 0, &FilmError::Gone, now), Plan::Again { news: round == 0 });
            let next = outage.next().unwrap();
            waits.push(next.since(now).as_secs());
            assert!(outage.take() && !outage.take());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 16, 16]);
        // It comes and breaks off again at once: that is news, and no reason to hurry.
        outage.is_over(now);
        now = now + Duration::from_secs(1);
        assert_eq!(outage.plan(true, &FilmError::Timeout, now), Plan::Again { news: true });
        assert_eq!(outage.next(), Some(now + LONGEST));
        outage.is_over(now);
        now = now + STEADY;
        assert_eq!(outage.plan(true, &FilmError::Timeout, now), Plan::Again { news: true });
        assert_eq!(outage.next(), Some(now + SHORTEST));
    }

    #[test]
    fn a_film_and_a_wrong_password_are_given_up() {
        let mut outage = Outage::default();
        assert_eq!(outage.plan(false, &FilmError::Gone, at(1)), Plan::GiveUp);
        assert_eq!(outage.plan(true, &FilmError::Gone, at(1)), Plan::Again { news: true });
        assert_eq!(outage.plan(false, &FilmError::Denied, at(1)), Plan::GiveUp);
    }
}
