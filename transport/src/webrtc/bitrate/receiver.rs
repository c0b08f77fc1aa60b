//! The bitrate that we ask of a publisher: Kurento's estimate, moved by what arrived in each interval.
//!
//! Enters: what an [`Interval`] brought, what the application allows, what the consumers of the stream wish. Leaves: the value of
//! the next REMB, in bps. It must never know a clock or a packet.
//!
//! The estimate begins with the bitrate that arrives first. Without losses it grows: by a part of itself up to a threshold, by a
//! constant above it, and never beyond twice of the most that ever arrived. With few losses it stays where it is proved, with more it
//! halves, and the threshold remembers where that was.

use super::{BandwidthLimits, LEAST, RembParams};

/// Where estimate and threshold begin, in bps.
const FIRST: u32 = 2_000_000;
/// Growth in a step above the threshold, before losses told more, in bps.
const FIRST_LINEAL: u32 = 50;
/// The estimate goes no further ahead of what arrived.
const AHEAD: u32 = 2;

/// What arrived since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Of payload and headers.
    pub bytes: u64,
    /// Packets that the peer sent, by their numbers.
    pub expected: u64,
    /// Those of them that did not arrive.
    pub lost: u64,
    /// Its length in ns.
    pub nanos: u64,
}

impl Interval {
    /// bps.
    fn rate(&self) -> u32 {
        let bits = u128::from(self.bytes) * 8_000_000_000;
        bits.checked_div(u128::from(self.nanos)).map_or(0, |rate| u32::try_from(rate).unwrap_or(u32::MAX))
    }

    /// Losses in 256ths of what was expected.
    fn fraction_lost(&self) -> u64 {
        (u128::from(self.lost) * 256).checked_div(u128::from(self.expected)).map_or(0, |fraction| fraction.min(255))
            as u64
    }
}

/// Kurento's estimate of what the path from a publisher carries.
#[derive(Clone, Debug)]
pub struct ReceiveRate {
    params: RembParams,
    /// bps, as all rates here.
    estimate: u32,
    threshold: u32,
    lineal: u32,
    /// Something arrived.
    probed: bool,
    /// Average of losses, in 256ths.
    losses: u64,
    /// The most that arrived in an interval since losses were heavy, and the average.
    most: u32,
    average: u32,
}

impl ReceiveRate {
    pub fn new(params: RembParams) -> Self {
        ReceiveRate {
            params,
            estimate: FIRST,
            threshold: FIRST,
            lineal: FIRST_LINEAL,
            probed: false,
            losses: 0,
            most: 0,
            average: 0,
        }
    }

    /// Takes what an interval brought. `None` until anything arrived at all.
    pub fn observe(&mut self, interval: &Interval, limits: &BandwidthLimits) -> Option<u32> {
        let rate = interval.rate();
        if !self.probed {
            if rate == 0 {
                return None;
            }
            self.estimate = rate;
            self.probed = true;
        }
        self.record(interval);
        self.most = self.most.max(rate);
        self.average = match self.average {
            0 => rate,
            average => ((u64::from(average) * 7 + u64::from(rate)) / 8) as u32,
        };
        if self.losses == 0 {
            self.grow();
        } else {
            self.give_way();
        }
        let (_, most) = limits.recv();
        self.estimate = self.estimate.min(u32::try_from(most).unwrap_or(u32::MAX));
        Some(self.estimate)
    }

    /// A window of packets goes by: the losses of the interval replace their part of the record.
    fn record(&mut self, interval: &Interval) {
        let window = u64::from(self.params.packets_recv_interval_top).max(interval.expected).max(1);
        let kept = u128::from(self.losses) * u128::from(window - interval.expected);
        let added = u128::from(interval.fraction_lost()) * u128::from(interval.expected);
        self.losses = ((kept + added) / u128::from(window)) as u64;
    }

    fn grow(&mut self) {
        let base = self.estimate.max(self.most);
        let grown = if base < self.threshold {
            scale(base, 1.0 + self.params.exponential_factor)
        } else {
            base.saturating_add(self.lineal)
        };
        self.estimate = self.estimate.max(grown.min(self.most.saturating_mul(AHEAD)));
    }

    fn give_way(&mut self) {
        let base = self.estimate.max(self.average);
        self.threshold = scale(base, self.params.threshold_factor);
        let back = base.saturating_sub(self.threshold) as f32 / self.params.lineal_factor_grade;
        // A grade of zero, or below, names no number of steps.
        let step = if back.is_finite() { back as u32 } else { 0 };
        self.lineal = self.params.lineal_factor_min.max(step);
        if self.losses < u64::from(self.params.up_losses) {
            self.estimate = self.estimate.min(self.most);
        } else {
            self.estimate = scale(base, self.params.decrement_factor);
            (self.losses, self.most, self.average) = (0, 0, 0);
        }
    }
}

/// In single precision, as Kurento. Negative and nonsensical factors give zero, great ones the greatest value.
fn scale(rate: u32, factor: f32) -> u32 {
    (rate as f32 * factor) as u32
}

/// The value of a REMB: our estimate, held back by what the consumers wish and by what the application allows.
pub fn advertise(estimate: u32, wished: Option<u64>, limits: &BandwidthLimits) -> u32 {
    let (least, most) = limits.recv();
    let rate = u64::from(estimate).min(wished.unwrap_or(u64::MAX)).min(most).max(least);
    u32::try_from(rate).unwrap_or(u32::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NO_LIMITS: BandwidthLimits =
        BandwidthLimits { min_recv_kbps: 0, max_recv_kbps: 0, min_send_kbps: 0, max_send_kbps: 0 };

    /// Half a second at so many bps, in packets of a thousand bytes.
    fn half_second(bps: u32, lost: u64) -> Interval {
        let bytes = u64::from(bps) / 16;
        Interval { bytes, expected: bytes / 1000 + lost, lost, nanos: 500_000_000 }
    }

    fn rate() -> ReceiveRate {
        ReceiveRate::new(RembParams::default())
    }

    /// A publisher that sends what it may.
    fn follow(rate: &mut ReceiveRate, steps: usize) -> u32 {
        let mut now = rate.estimate;
        for _ in 0..steps {
            now = rate.observe(&half_second(now, 0), &NO_LIMITS).expect("it is probed");
        }
        now
    }

    #[test]
    fn nothing_is_asked_before_anything_arrived() {
        let mut rate = rate();
        for _ in 0..10 {
            assert_eq!(rate.observe(&half_second(0, 0), &NO_LIMITS), None);
        }
        assert_eq!(rate.observe(&half_second(400_000, 0), &NO_LIMITS), Some(416_000), "the first value, and a step");
    }

    #[test]
    fn it_grows_by_a_part_of_itself_and_then_in_a_line() {
        let mut rate = rate();
        let first = rate.observe(&half_second(300_000, 0), &NO_LIMITS);
        assert_eq!(first, Some(312_000));
        assert_eq!(follow(&mut rate, 1), 324_480);
        assert_eq!(follow(&mut rate, 1), 337_459);
        let above = follow(&mut rate, 60);
        assert!((2_000_000..2_100_000).contains(&above), "{above}");
        let base = rate.estimate.max(rate.most);
        let later = follow(&mut rate, 100);
        assert_eq!(later, base + 100 * FIRST_LINEAL, "in a line");
    }

    #[test]
    fn it_stays_within_twice_of_what_arrives() {
        let mut rate = rate();
        let mut last = 0;
        for _ in 0..100 {
            last = rate.observe(&half_second(400_000, 0), &NO_LIMITS).expect("it is probed");
        }
        assert_eq!(last, 800_000);
    }

    #[test]
    fn a_few_losses_take_it_back_to_what_is_proved() {
        let mut rate = rate();
        for _ in 0..100 {
            rate.observe(&half_second(1_600_000, 0), &NO_LIMITS);
        }
        assert!(rate.estimate > 1_900_000);
        // One of a hundred: two 256ths.
        let held = rate.observe(&half_second(1_600_000, 1), &NO_LIMITS);
        assert_eq!(held, Some(1_600_000));
    }

    #[test]
    fn heavy_losses_halve_it_and_it_comes_back_slowly_at_the_end() {
        let mut rate = rate();
        rate.observe(&half_second(1_000_000, 0), &NO_LIMITS);
        let before = follow(&mut rate, 5);
        let after = rate.observe(&half_second(before, before as u64 / 16_000 / 4), &NO_LIMITS).expect("it is probed");
        assert_eq!(after, before / 2);
        assert_eq!(rate.threshold, scale(before, 0.8));
        assert_eq!(rate.lineal, (before - rate.threshold) / 30);
        // By 4 percent a step from half to 80 percent: twelve steps, then thirty in a line.
        let threshold = rate.threshold;
        let mut steps = 0;
        while rate.estimate < threshold {
            follow(&mut rate, 1);
            steps += 1;
        }
        assert_eq!(steps, 12);
        let back = follow(&mut rate, 30);
        assert!(back.abs_diff(before) < before / 25, "{back} of {before}");
    }

    #[test]
    fn losses_are_averaged_over_a_window_of_packets() {
        let mut rate = rate();
        let few = |lost| Interval { bytes: 12_500, expected: 10, lost, nanos: 500_000_000 };
        rate.observe(&few(0), &NO_LIMITS);
        rate.observe(&few(2), &NO_LIMITS);
        assert_eq!(rate.losses, 51 * 10 / 100, "a fifth of ten packets, in a window of a hundred");
        let params = RembParams { packets_recv_interval_top: 10, ..RembParams::default() };
        let mut short = ReceiveRate::new(params);
        short.observe(&few(0), &NO_LIMITS);
        assert_eq!(short.observe(&few(2), &NO_LIMITS), Some(104_000), "half of 208,000 at once");
    }

    #[test]
    fn the_settings_rule() {
        let params =
            RembParams { exponential_factor: 0.5, decrement_factor: 0.25, up_losses: 0, ..RembParams::default() };
        let mut rate = ReceiveRate::new(params);
        assert_eq!(rate.observe(&half_second(400_000, 0), &NO_LIMITS), Some(600_000));
        assert_eq!(rate.observe(&half_second(400_000, 1), &NO_LIMITS), Some(150_000));
        let mut steep = ReceiveRate::new(RembParams { lineal_factor_min: 70_000, threshold_factor: 0.1, ..params });
        steep.observe(&half_second(400_000, 0), &NO_LIMITS);
        steep.observe(&half_second(400_000, 1), &NO_LIMITS);
        assert_eq!(steep.observe(&half_second(150_000, 0), &NO_LIMITS), Some(220_000));
    }

    #[test]
    fn what_is_asked_keeps_to_consumers_and_limits() {
        let limits = BandwidthLimits { min_recv_kbps: 200, max_recv_kbps: 900, ..BandwidthLimits::default() };
        assert_eq!(advertise(2_000_000, None, &limits), 900_000);
        assert_eq!(advertise(2_000_000, Some(500_000), &limits), 500_000);
        assert_eq!(advertise(2_000_000, Some(100_000), &limits), 200_000);
        assert_eq!(advertise(100_000, Some(500_000), &limits), 200_000);
        assert_eq!(advertise(2_000_000, Some(7), &NO_LIMITS), LEAST);
        assert_eq!(advertise(1_234_567, None, &NO_LIMITS), 1_234_567);
        let crossed = BandwidthLimits { min_recv_kbps: 900, max_recv_kbps: 300, ..limits };
        assert_eq!(advertise(2_000_000, None, &crossed), 300_000);
        let mut rate = rate();
        for _ in 0..50 {
            rate.observe(&half_second(1_600_000, 0), &limits);
        }
        assert_eq!(rate.observe(&half_second(1_600_000, 0), &limits), Some(900_000));
    }

    fn params() -> impl Strategy<Value = RembParams> {
        let sensible = Just(RembParams::default());
        let any = (any::<[u32; 4]>(), any::<[f32; 4]>()).prop_map(|(n, f)| RembParams {
            packets_recv_interval_top: n[0],
            exponential_factor: f[0],
            lineal_factor_min: n[1],
            lineal_factor_grade: f[1],
            decrement_factor: f[2],
            threshold_factor: f[3],
            up_losses: n[2],
            remb_on_connect: n[3],
        });
        prop_oneof![sensible, any]
    }

    fn intervals() -> impl Strategy<Value = Vec<Interval>> {
        let likely = (0u32..4_000_000, 0u64..20).prop_map(|(bps, lost)| half_second(bps, lost));
        let any =
            any::<[u64; 4]>().prop_map(|[bytes, expected, lost, nanos]| Interval { bytes, expected, lost, nanos });
        prop::collection::vec(prop_oneof![8 => likely, 1 => any], 1..100)
    }

    proptest! {
        #[test]
        fn any_settings_and_any_intervals_keep_to_the_limits(
            params in params(), intervals in intervals(), min in 0u32..3000, max in 0u32..3000, wished: Option<u64>
        ) {
            let limits = BandwidthLimits { min_recv_kbps: min, max_recv_kbps: max, ..BandwidthLimits::default() };
            let mut rate = ReceiveRate::new(params);
            for interval in &intervals {
                let Some(estimate) = rate.observe(interval, &limits) else { continue };
                let told = advertise(estimate, wished, &limits);
                prop_assert!(told >= LEAST);
                prop_assert!(max == 0 || told <= (max * 1000).max(LEAST));
                prop_assert!(max != 0 && min > max || told >= min * 1000);
                prop_assert!(wished.is_none_or(|wished| u64::from(told) <= wished.max(u64::from(LEAST.max(min * 1000)))));
            }
        }

        #[test]
        fn it_never_runs_ahead_of_what_arrived(rates in prop::collection::vec((1u32..4_000_000, 0u64..10), 1..100)) {
            let mut rate = rate();
            let mut most = 0;
            for (bps, lost) in rates {
                let interval = half_second(bps.max(16_000), lost);
                most = most.max(interval.rate());
                let estimate = rate.observe(&interval, &NO_LIMITS).expect("something arrives");
                prop_assert!(estimate <= most * AHEAD);
            }
        }
    }
}
