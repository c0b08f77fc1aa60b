//! Which packets of a source are missing, when each is asked for, and when it is no use to ask any more.
//!
//! Enters: the number of every packet that came, and the time. Leaves: numbers to ask for, when to look again, and whether
//! something is lost for good that a key frame must heal. It must never know RTCP or who asks.

use rivero_engine::MediaTime;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a packet may be overtaken before it counts as lost; losses of one moment are asked for together.
const PATIENCE: Duration = Duration::from_millis(5);
/// What a round trip takes until it is known.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// The answer to a request may be later than the round trip by this, or by an eighth of that.
const MARGIN: Duration = Duration::from_millis(5);
/// Of the requests for a packet the second comes when the first can no longer be answered. Then either the network loses much, or
/// luck was bad: the next ones wait for half as long, so that the packet still comes in time at the price of coming twice now
/// and then. The last ones take their time, so that a network that is gone for a moment is outlived.
const QUICK: u8 = 7;
const SLOWER: Duration = Duration::from_millis(50);
/// After so many requests a packet is given up.
const MOST_ASKED: u8 = 12;
/// When more is missing than this, a key frame costs less, and comes sooner.
const MOST: usize = 300;

/// The losses of one source. Nothing of it is as long as a packet: a stream without losses costs a comparison.
#[derive(Debug, Default)]
pub struct Missing {
    newest: Option<u64>,
    /// In order.
    gaps: VecDeque<Gap>,
    /// Where the newest key frame begins.
    key: Option<u64>,
    /// The newest number that was given up and that is needed.
    hole: Option<u64>,
    due: Option<MediaTime>,
}

#[derive(Debug)]
struct Gap {
    sequence: u64,
    asked: u8,
    due: MediaTime,
}

impl Missing {
    /// A packet came; `key` says that a key frame begins with it.
    pub fn note(&mut self, sequence: u64, key: bool, now: MediaTime) {
        if key {
            self.key = self.key.max(Some(sequence));
            // Whoever decodes can go on from here.
            self.hole = self.hole.filter(|hole| *hole > sequence);
        }
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            return;
        };
        if sequence <= newest {
            if let Ok(at) = self.gaps.binary_search_by_key(&sequence, |gap| gap.sequence) {
                self.gaps.remove(at);
            }
            return;
        }
        self.newest = Some(sequence);
        let count = sequence - newest - 1;
        if count > MOST as u64 || self.gaps.len() + count as usize > MOST {
            self.gaps.clear();
            self.give_up(sequence - 1);
        } else if count > 0 {
            let due = now + PATIENCE;
            self.gaps.extend((newest + 1..sequence).map(|sequence| Gap { sequence, asked: 0, due }));
            self.due = Some(self.due.map_or(due, |other| other.min(due)));
        }
    }

    /// When [`Missing::ask`] should be called.
    pub fn due(&self) -> Option<MediaTime> {
        self.due.filter(|_| !self.gaps.is_empty())
    }

    /// What should be asked for now, in order, as the lower 16 bits of each number.
    pub fn ask(&mut self, now: MediaTime, round_trip: Option<Duration>, lost: &mut Vec<u16>) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        let round_trip = round_trip.unwrap_or(ROUND_TRIP);
        let quick = round_trip + MARGIN.max(round_trip / 8);
        let mut given_up = None;
        self.gaps.retain_mut(|gap| {
            if gap.due > now {
                return true;
            }
            if gap.asked == MOST_ASKED {
                given_up = Some(gap.sequence);
                return false;
            }
            gap.asked += 1;
            gap.due = now
                + match gap.asked {
                    1 => quick,
                    2..=QUICK => quick / 2,
                    _ => quick.max(SLOWER),
                };
            lost.push(gap.sequence as u16);
            true
        });
        if let Some(sequence) = given_up {
            self.give_up(sequence);
        }
        self.due = self.gaps.iter().map(|gap| gap.due).min();
    }

    /// Something was lost for good since the last key frame: only another one heals that.
    pub fn is_broken(&self) -> bool {
        self.hole.is_some()
    }

    fn give_up(&mut self, sequence: u64) {
        if self.key.is_none_or(|key| key <= sequence) {
            self.hole = self.hole.max(Some(sequence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(50));

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn asked(missing: &mut Missing, ms: u64) -> Vec<u16> {
        let mut lost = Vec::new();
        missing.ask(at(ms), RTT, &mut lost);
        lost
    }

    fn after(numbers: &[u64]) -> Missing {
        let mut missing = Missing::default();
        numbers.iter().for_each(|number| missing.note(*number, *number == numbers[0], at(0)));
        missing
    }

    #[test]
    fn nothing_is_asked_for_that_was_only_overtaken() {
        let mut missing = after(&[65_534, 65_537]);
        assert_eq!(missing.due(), Some(at(5)));
        assert_eq!(asked(&mut missing, 4), []);
        missing.note(65_535, false, at(4));
        assert_eq!(asked(&mut missing, 5), [0]);
        missing.note(65_536, false, at(40));
        assert_eq!((missing.due(), missing.is_broken()), (None, false));
    }

    #[test]
    fn it_is_asked_for_again_as_soon_as_an_answer_could_have_come_and_not_for_ever() {
        let mut missing = after(&[1, 3]);
        let mut times = Vec::new();
        while let Some(due) = missing.due() {
            let ms = due.as_nanos() / 1_000_000;
            times.extend(asked(&mut missing, ms + 1).iter().map(|_| ms));
        }
        assert_eq!(times.len(), usize::from(MOST_ASKED));
        assert_eq!(times[..4], [5, 62, 91, 120], "then twice as often");
        assert!(missing.is_broken(), "given up");
        missing.note(4, false, at(2000));
        assert!(missing.is_broken());
        missing.note(5, true, at(2001));
        assert!(!missing.is_broken(), "a key frame heals it");
    }

    #[test]
    fn a_loss_before_the_key_frame_breaks_nothing() {
        let mut missing = after(&[1, 3]);
        missing.note(4, true, at(0));
        (0..40).for_each(|n| drop(asked(&mut missing, n * 100)));
        assert_eq!((missing.due(), missing.is_broken()), (None, false));
    }

    #[test]
    fn where_too_much_is_missing_a_key_frame_is_wanted_instead() {
        let mut missing = after(&[1, 302]);
        assert_eq!((missing.is_broken(), asked(&mut missing, 10).len()), (false, 300));
        missing.note(304, false, at(10));
        assert_eq!((missing.is_broken(), missing.due()), (true, None));
        assert!(after(&[1, 1_000_000]).is_broken());
    }

    proptest! {
        #[test]
        fn it_stays_small_and_asks_only_for_what_has_not_come(numbers in prop::collection::vec(0u64..2000, 1..300)) {
            let mut missing = Missing::default();
            let mut come = std::collections::HashSet::new();
            for (ms, number) in numbers.iter().enumerate() {
                missing.note(*number, number % 7 == 0, at(ms as u64));
                come.insert(*number as u16);
                for lost in asked(&mut missing, ms as u64) {
                    prop_assert!(!come.contains(&lost));
                }
                prop_assert!(missing.gaps.len() <= MOST);
            }
        }
    }
}
