//! How long a key may be used, and when its end is near (RFC 3711, section 9.2).
//!
//! Enters: how many packets were protected with a key. Leaves: once, that it needs to be replaced. It must never know the key.

/// Packets of SRTP and of SRTCP that a key may protect; the two are counted apart.
const LIFE: (u64, u64) = (1 << 48, 1 << 31);
/// The end is told when this part of the life is left.
const SOFT_PART: u64 = 16;

pub struct KeyUse {
    life: (u64, u64),
    told: bool,
}

impl KeyUse {
    /// `lifetime` is what the key's owner allows (RFC 4568, section 6.1), of SRTP and of SRTCP.
    pub fn new(lifetime: Option<u64>) -> Self {
        let within = |most: u64| lifetime.map_or(most, |lifetime| lifetime.min(most));
        KeyUse { life: (within(LIFE.0), within(LIFE.1)), told: false }
    }

    /// No more than so many packets of SRTCP.
    pub fn with_rtcp(mut self, most: u64) -> Self {
        self.life.1 = self.life.1.min(most);
        self
    }

    /// True once: when the end has come near, with so many packets of each until now.
    pub fn ends(&mut self, rtp: u64, rtcp: u64) -> bool {
        let near = |used: u64, life: u64| used >= life - life / SOFT_PART;
        !self.told && (near(rtp, self.life.0) || near(rtcp, self.life.1)) && !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_once_and_before_it_comes() {
        let mut key = KeyUse::new(Some(64));
        assert!(!key.ends(59, 0) && key.ends(60, 0) && !key.ends(61, 61));
        let mut key = KeyUse::new(Some(64));
        assert!(!key.ends(0, 59) && key.ends(0, 60), "SRTCP uses it up as well");
        let mut key = KeyUse::new(None).with_rtcp(1 << 30);
        assert!(!key.ends(1 << 47, 1 << 29) && key.ends(0, (1 << 30) - (1 << 26)));
        assert!(KeyUse::new(Some(u64::MAX)).ends((1 << 48) - (1 << 44), 0), "never longer than RFC 3711 allows");
    }
}
