//! How fast the producer of an output may be, by what its consumers said that their paths carry.
//!
//! Enters: what each consumer wishes, with its name and the time; that a consumer left. Leaves: the one value that the producer
//! must hear, when it must. It must never know what a consumer is, or how a wish travelled.
//!
//! A wish is remembered for [`MEMORY`]: whoever does not repeat it has stopped caring. Any number of consumers costs one entry
//! each; a new wish costs a few steps down ordered trees, and a packet that goes by costs nothing.
//!
//! # Who governs
//!
//! [`BitratePolicy::Slowest`] is Kurento's rule: everybody gets what the slowest can take. That is right for a call of four. With a
//! thousand viewers there is always one in a tunnel, and there is always somebody who has just come and still asks for the cautious
//! value that everyone begins with: the picture is bad for all, always.
//!
//! [`BitratePolicy::Most`] sets aside a tenth of the consumers at most, and of that tenth only those who ask for less than half of
//! what all the others can take. So with fewer than ten consumers it is Kurento's rule; whoever is a little slow is still waited
//! for, since that costs the others little; and only whoever would cost the many more than half of their rate is left to lose
//! packets on his own path.

use crate::MediaTime;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For how long a wish counts.
pub const MEMORY: Duration = Duration::from_secs(10);
/// What a producer hears when nobody wishes anything any more.
pub const NO_LIMIT: u64 = u64::MAX;

/// A producer hears a value that hardly changed as often as this: often enough that it is not forgotten further west.
const REPEAT: Duration = Duration::from_secs(1);
/// A change by less than this part of the value can wait for the repetition.
const NOTICEABLE: u64 = 32;
/// One consumer in so many may be set aside.
const SET_ASIDE: usize = 10;

/// Which consumers govern the producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BitratePolicy {
    /// The slowest, as in Kurento.
    #[default]
    Slowest,
    /// The slowest, without those few that are far behind everybody else.
    Most,
}

/// What the consumers of one output wish. `Id` names a consumer.
pub struct Demand<Id> {
    wishes: BTreeMap<Id, (u64, MediaTime)>,
    /// The slowest tenth, rounded down, by rate; all of these are no faster than any of `others`.
    slowest: BTreeSet<(u64, Id)>,
    others: BTreeSet<(u64, Id)>,
    /// By age.
    ages: BTreeSet<(MediaTime, Id)>,
    /// What the producer heard last, and when.
    told: Option<(u64, MediaTime)>,
}

impl<Id> Default for Demand<Id> {
    fn default() -> Self {
        Demand {
            wishes: BTreeMap::new(),
            slowest: BTreeSet::new(),
            others: BTreeSet::new(),
            ages: BTreeSet::new(),
            told: None,
        }
    }
}

impl<Id: Copy + Ord> Demand<Id> {
    pub fn knows(&self, id: Id) -> bool {
        self.wishes.contains_key(&id)
    }

    /// A consumer's path carries `bps`.
    pub fn wish(&mut self, id: Id, bps: u64, now: MediaTime) {
        self.take_out(id);
        self.wishes.insert(id, (bps, now));
        self.ages.insert((now, id));
        if self.slowest.last().is_some_and(|last| (bps, id) < *last) {
            self.slowest.insert((bps, id));
        } else {
            self.others.insert((bps, id));
        }
        self.balance();
    }

    /// A consumer left.
    pub fn forget(&mut self, id: Id) {
        self.take_out(id);
        self.balance();
    }

    /// What the producer may send, in bps; `None` when nobody wishes anything.
    pub fn governing(&mut self, policy: BitratePolicy, now: MediaTime) -> Option<u64> {
        self.forget_old(now);
        let rate = |entry: &(u64, Id)| entry.0;
        // The slowest tenth is rounded down: where anybody wishes anything there are others.
        let others = self.others.first().map(rate)?;
        let slow = match policy {
            BitratePolicy::Slowest => self.slowest.first().map(rate),
            BitratePolicy::Most => self.slowest.iter().map(rate).find(|bps| *bps >= others / 2),
        };
        Some(slow.unwrap_or(others))
    }

    /// What the producer must hear now, in bps: a value that changed, one that must not be forgotten, or [`NO_LIMIT`] after the last
    /// wish is gone. `None` when it knows already.
    pub fn news(&mut self, policy: BitratePolicy, now: MediaTime) -> Option<u64> {
        let Some(bps) = self.governing(policy, now) else {
            return self.told.take().map(|_| NO_LIMIT);
        };
        let known =
            self.told.is_some_and(|(told, at)| bps.abs_diff(told) <= told / NOTICEABLE && now.since(at) < REPEAT);
        if known {
            return None;
        }
        self.told = Some((bps, now));
        Some(bps)
    }

    fn forget_old(&mut self, now: MediaTime) {
        while let Some((_, id)) = self.ages.first().copied().filter(|(at, _)| now.since(*at) >= MEMORY) {
            self.forget(id);
        }
    }

    fn take_out(&mut self, id: Id) {
        let Some((bps, at)) = self.wishes.remove(&id) else { return };
        self.ages.remove(&(at, id));
        if !self.slowest.remove(&(bps, id)) {
            self.others.remove(&(bps, id));
        }
    }

    /// Moves the border between the slowest tenth and the others, by one entry or two.
    fn balance(&mut self) {
        let tenth = self.wishes.len() / SET_ASIDE;
        while self.slowest.len() < tenth
            && let Some(entry) = self.others.pop_first()
        {
            self.slowest.insert(entry);
        }
        while self.slowest.len() > tenth
            && let Some(entry) = self.slowest.pop_last()
        {
            self.others.insert(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BitratePolicy::{Most, Slowest};
    use proptest::prelude::*;

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn demand(wishes: impl IntoIterator<Item = u64>) -> Demand<usize> {
        let mut demand = Demand::default();
        wishes.into_iter().enumerate().for_each(|(id, bps)| demand.wish(id, bps, at(0)));
        demand
    }

    #[test]
    fn the_slowest_governs_until_it_leaves_or_falls_silent() {
        let mut demand = demand([2_000_000, 300_000, 900_000]);
        assert_eq!(demand.governing(Slowest, at(0)), Some(300_000));
        demand.forget(1);
        assert_eq!(demand.governing(Slowest, at(0)), Some(900_000));
        demand.wish(0, 1_500_000, at(5_000));
        assert_eq!(demand.governing(Slowest, at(9_999)), Some(900_000));
        assert_eq!(demand.governing(Slowest, at(10_000)), Some(1_500_000), "ten seconds of silence");
        assert_eq!(demand.governing(Slowest, at(15_000)), None);
        assert!(!demand.knows(0));
    }

    #[test]
    fn a_straggler_among_hundreds_is_not_waited_for() {
        let mut demand = demand((0..200).map(|n| 2_000_000 + n));
        demand.wish(7, 100_000, at(0));
        assert_eq!(demand.governing(Slowest, at(0)), Some(100_000));
        assert_eq!(demand.governing(Most, at(0)), Some(2_000_000));
        demand.wish(7, 1_200_000, at(0));
        assert_eq!(demand.governing(Most, at(0)), Some(1_200_000), "it is slow, but not far behind");
    }

    #[test]
    fn more_than_a_tenth_cannot_be_set_aside() {
        let mut one_of_nine = demand([100_000, 9, 9, 9, 9, 9, 9, 9, 9].map(|bps| bps * 1_000));
        one_of_nine.wish(0, 1_000, at(0));
        assert_eq!(one_of_nine.governing(Most, at(0)), Some(1_000), "a small round waits for everybody");
        let mut two_of_ten = demand([1, 2, 9, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(two_of_ten.governing(Most, at(0)), Some(1), "half of what the second can take");
        two_of_ten.wish(1, 4, at(0));
        assert_eq!(two_of_ten.governing(Most, at(0)), Some(4));
    }

    #[test]
    fn the_producer_hears_what_changed_and_is_reminded_of_what_did_not() {
        let mut demand = demand([1_000_000]);
        assert_eq!(demand.news(Slowest, at(0)), Some(1_000_000));
        demand.wish(0, 1_010_000, at(100));
        assert_eq!(demand.news(Slowest, at(100)), None, "one percent");
        demand.wish(0, 950_000, at(200));
        assert_eq!(demand.news(Slowest, at(200)), Some(950_000));
        assert_eq!(demand.news(Slowest, at(1_199)), None);
        assert_eq!(demand.news(Slowest, at(1_200)), Some(950_000));
        demand.forget(0);
        assert_eq!(demand.news(Slowest, at(1_300)), Some(NO_LIMIT));
        assert_eq!(demand.news(Slowest, at(1_300)), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wish(u8, u64),
        Forget(u8),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0u8..40, 0u64..4_000_000).prop_map(|(id, bps)| Step::Wish(id, bps)),
            2 => (0u8..40).prop_map(Step::Forget),
            1 => (0u64..4_000).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// The same from a plain list.
    fn plainly(wishes: &BTreeMap<u8, (u64, MediaTime)>, policy: BitratePolicy, now: MediaTime) -> Option<u64> {
        let live = wishes.values().filter(|(_, at)| now.since(*at) < MEMORY);
        let mut rates: Vec<u64> = live.map(|(bps, _)| *bps).collect();
        rates.sort_unstable();
        let others = *rates.get(rates.len() / SET_ASIDE)?;
        match policy {
            Slowest => rates.first().copied(),
            Most => rates.into_iter().find(|bps| *bps >= others / 2),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_a_plain_list_says(steps in steps()) {
            let (mut demand, mut list, mut now) = (Demand::default(), BTreeMap::new(), at(0));
            for step in steps {
                match step {
                    Step::Wish(id, bps) => {
                        demand.wish(id, bps, now);
                        list.insert(id, (bps, now));
                    }
                    Step::Forget(id) => {
                        demand.forget(id);
                        list.remove(&id);
                    }
                    Step::Wait(ms) => now = now + Duration::from_millis(ms),
                }
                for policy in [Slowest, Most] {
                    prop_assert_eq!(demand.governing(policy, now), plainly(&list, policy, now));
                }
                prop_assert_eq!(demand.slowest.len(), demand.wishes.len() / SET_ASIDE);
                prop_assert_eq!(demand.slowest.len() + demand.others.len(), demand.wishes.len());
                prop_assert_eq!(demand.ages.len(), demand.wishes.len());
            }
        }
    }
}
