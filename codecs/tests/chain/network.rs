//! A path that loses, delays and reorders, by dice with fixed seeds.

use rivero_engine::{MediaTime, Packet};
use std::collections::BTreeMap;
use std::time::Duration;

/// From one end to the other and back.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);
/// At most, on top of the way.
pub const JITTER: Duration = Duration::from_millis(8);

/// The same chances in each run (splitmix64, by Steele, Lea and Flood).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

pub struct Network {
    dice: Dice,
    /// Of each packet, in thousandths.
    loss: u64,
    /// Packets that are lost together.
    burst: u64,
    /// What is lost is sent again after a round trip, unless it is lost again.
    again: bool,
    burning: u64,
    under_way: BTreeMap<(MediaTime, u64), Packet>,
    sent: u64,
    /// Packets that never come.
    pub lost: u64,
}

impl Network {
    /// `loss` in percent, in bursts of so many packets.
    pub fn new(seed: u64, loss: u64, burst: u64, again: bool) -> Self {
        let dice = Dice(seed);
        Network {
            dice,
            loss: loss * 10 / burst,
            burst,
            again,
            burning: 0,
            under_way: BTreeMap::new(),
            sent: 0,
            lost: 0,
        }
    }

    /// Answers whether it will arrive.
    pub fn send(&mut self, mut packet: Packet, now: MediaTime) -> bool {
        let mut leaves = now;
        while self.loses() {
            if !self.again || leaves > now + ROUND_TRIP {
                self.lost += 1;
                return false;
            }
            leaves = leaves + ROUND_TRIP;
        }
        let at = leaves + ROUND_TRIP / 2 + Duration::from_micros(self.dice.below(JITTER.as_micros() as u64));
        packet.entered = at;
        self.sent += 1;
        self.under_way.insert((at, self.sent), packet);
        true
    }

    fn loses(&mut self) -> bool {
        if self.burning == 0 && self.dice.below(1000) < self.loss {
            self.burning = self.burst;
        }
        let loses = self.burning > 0;
        self.burning = self.burning.saturating_sub(1);
        loses
    }

    /// The next packet that arrives until `end`, with the time.
    pub fn next(&mut self, end: MediaTime) -> Option<(MediaTime, Packet)> {
        let entry = self.under_way.first_entry()?;
        let at = entry.key().0;
        (at <= end).then(|| (at, entry.remove()))
    }
}
