//! Sound and pictures of one sender, each delayed to where the latest of them is.
//!
//! Enters: times of one stream on the pipeline's clock, each the earliest at which its packet could have come, and by how much the
//! stream arrives earlier than its sender's latest. Leaves: times that belong together. It must never know the other streams.
//!
//! The delay is that from the beginning on, where it is known then. Where it changes it is followed by 20 milliseconds in a second,
//! so that times increase in both directions. Far upwards it goes in one step, which is a hole in the sound, and holes are filled:
//! by stretching alone it would be apart from its pictures for most of a minute (see [`Drift`](super::Drift)).

use super::Mapped;
use rivero_engine::MediaTime;
use std::time::Duration;

/// The delay changes by this part of the time that passes.
const SPEED: u32 = 50;
/// From so much upwards it changes at once: nobody overlooks it.
const STEP: Duration = Duration::from_millis(40);

/// Delays one stream.
#[derive(Default)]
pub struct Together {
    /// The delay, and the newest time to which it was added.
    run: Option<(Duration, MediaTime)>,
}

impl Together {
    /// The time at which to show or play what the timeline maps so; `skew` as its packet has it, in milliseconds.
    pub fn delay(&mut self, mapped: Mapped, skew: u16) -> MediaTime {
        let wanted = Duration::from_millis(skew.into());
        let (delay, newest) = self.run.take_if(|_| !mapped.restarted).unwrap_or((wanted, mapped.at));
        // Pictures are not always sent in the order in which they are shown: what is older moves nothing.
        let most = mapped.at.since(newest) / SPEED;
        let delay = if mapped.at <= newest {
            delay
        } else if wanted >= delay + STEP {
            wanted
        } else {
            wanted.clamp(delay.saturating_sub(most), delay + most)
        };
        self.run = Some((delay, newest.max(mapped.at)));
        mapped.at + delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(ms: u64) -> Mapped {
        Mapped { at: MediaTime::from_millis(ms), restarted: false }
    }

    /// By how many microseconds the last of these is delayed, one each 20 ms.
    fn run(together: &mut Together, from: u64, to: u64, skew: u16) -> u64 {
        let delay = |ms| together.delay(mapped(ms), skew).as_nanos() / 1000 - ms * 1000;
        (from..to).step_by(20).map(delay).last().unwrap_or_default()
    }

    #[test]
    fn what_is_known_at_the_beginning_holds_from_there() {
        let mut together = Together::default();
        assert_eq!(run(&mut together, 0, 20, 80), 80_000);
        assert_eq!(run(&mut together, 20, 2000, 80), 80_000);
        let restarted = Mapped { restarted: true, ..mapped(2000) };
        assert_eq!(together.delay(restarted, 30), MediaTime::from_millis(2030));
    }

    #[test]
    fn much_more_is_a_step_and_all_else_a_glide() {
        let mut together = Together::default();
        assert_eq!(run(&mut together, 0, 2000, 0), 0);
        assert_eq!(run(&mut together, 2000, 2020, 80), 80_000);
        assert_eq!(run(&mut together, 2020, 3000, 100), 80_000 + 980_000 / 50);
        assert_eq!(run(&mut together, 3000, 4000, 100), 100_000);
        assert_eq!(run(&mut together, 4000, 5000, 0), 80_000);
        assert_eq!(run(&mut together, 5000, 12_000, 0), 0);
    }

    #[test]
    fn pictures_out_of_order_have_the_delay_of_those_around() {
        let mut together = Together::default();
        let at = |together: &mut Together, ms, skew| together.delay(mapped(ms), skew).as_nanos() / 1_000_000;
        assert_eq!([0, 80, 40, 80].map(|ms| at(&mut together, ms, 50)), [50, 130, 90, 130]);
        assert_eq!(at(&mut together, 60, 500), 110, "what is older moves nothing");
        assert_eq!(at(&mut together, 120, 500), 620);
    }

    proptest! {
        #[test]
        fn times_increase(steps in prop::collection::vec((1u64..5000, any::<u16>()), 1..200)) {
            let (mut together, mut at, mut before) = (Together::default(), 0, None);
            for (passed, skew) in steps {
                at += passed;
                let delayed = together.delay(mapped(at), skew);
                prop_assert!(before.is_none_or(|before| before < delayed));
                before = Some(delayed);
            }
        }
    }
}
