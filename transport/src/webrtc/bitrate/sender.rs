//! The bitrate that a viewer's path carries, as the viewer tells it by REMB, and what is made of it before it goes west.
//!
//! Enters: the value of each REMB, what the application allows. Leaves: what to tell whoever feeds us, in bps. It must never know
//! a clock or a packet.
//!
//! A browser begins with a cautious estimate, and cannot do better than what it is sent: held to it, it would never find out more.
//! So it is taken to carry a value from the settings until it has said at least so much, or has begun to go down.

use super::{BandwidthLimits, RembParams};

#[derive(Clone, Debug)]
pub struct SendRate {
    on_connect: u64,
    /// The last REMB.
    last: u64,
    probed: bool,
}

impl SendRate {
    pub fn new(params: &RembParams) -> Self {
        SendRate { on_connect: u64::from(params.remb_on_connect), last: 0, probed: false }
    }

    /// What to tell west when the viewer is connected and has said nothing yet.
    pub fn begin(&self, limits: &BandwidthLimits) -> u64 {
        within(self.on_connect, limits)
    }

    /// What to tell west after a REMB.
    pub fn take(&mut self, bps: u64, limits: &BandwidthLimits) -> u64 {
        self.probed |= bps >= self.on_connect || bps < self.last;
        self.last = bps;
        within(if self.probed { bps } else { self.on_connect }, limits)
    }
}

fn within(bps: u64, limits: &BandwidthLimits) -> u64 {
    let (least, most) = limits.send();
    bps.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDE: BandwidthLimits =
        BandwidthLimits { min_recv_kbps: 0, max_recv_kbps: 0, min_send_kbps: 0, max_send_kbps: 0 };

    #[test]
    fn a_cautious_viewer_is_held_to_carry_more_until_it_has_proved_itself() {
        let mut rate = SendRate::new(&RembParams::default());
        assert_eq!(rate.begin(&WIDE), 300_000);
        assert_eq!(rate.take(50_000, &WIDE), 300_000);
        assert_eq!(rate.take(50_000, &WIDE), 300_000, "not lower than before");
        assert_eq!(rate.take(200_000, &WIDE), 300_000);
        assert_eq!(rate.take(300_000, &WIDE), 300_000);
        assert_eq!(rate.take(250_000, &WIDE), 250_000, "it is probed now");
        assert_eq!(rate.take(260_000, &WIDE), 260_000);
    }

    #[test]
    fn a_viewer_that_goes_down_is_believed() {
        let mut rate = SendRate::new(&RembParams::default());
        rate.take(200_000, &WIDE);
        assert_eq!(rate.take(199_999, &WIDE), 199_999);
        assert_eq!(rate.take(220_000, &WIDE), 220_000);
    }

    #[test]
    fn the_application_sets_the_bounds() {
        let mut rate = SendRate::new(&RembParams { remb_on_connect: 2_000_000, ..RembParams::default() });
        let kurento = BandwidthLimits::default();
        assert_eq!(rate.begin(&kurento), 500_000);
        assert_eq!(rate.take(3_000_000, &kurento), 500_000);
        assert_eq!(rate.take(20_000, &kurento), 100_000);
        assert_eq!(rate.take(3_000_000, &WIDE), 3_000_000, "no limit");
        let crossed = BandwidthLimits { min_send_kbps: 700, max_send_kbps: 400, ..kurento };
        assert_eq!(rate.take(1, &crossed), 400_000, "a minimum above the maximum is the maximum");
    }

    proptest! {
        #[test]
        fn what_is_told_keeps_to_the_bounds(
            values in prop::collection::vec(any::<u64>(), 0..30), on_connect: u32, min: u32, max: u32
        ) {
            let limits = BandwidthLimits { min_send_kbps: min, max_send_kbps: max, ..BandwidthLimits::default() };
            let (least, most) = limits.send();
            let mut rate = SendRate::new(&RembParams { remb_on_connect: on_connect, ..RembParams::default() });
            prop_assert!((least..=most).contains(&rate.begin(&limits)));
            for bps in values {
                prop_assert!((least..=most).contains(&rate.take(bps, &limits)));
            }
        }
    }
}
