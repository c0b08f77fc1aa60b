//! REMB to a publisher: what it may send.
//!
//! Enters: that a packet arrived, what our consumers wish. Leaves: a value, twice a second while media arrives. The rules are in
//! [`bitrate`](crate::webrtc::bitrate).

use crate::webrtc::bitrate::{BandwidthLimits, ReceiveRate, Reception, RembParams, advertise};
use rivero_engine::MediaTime;
use rivero_engine::bitrate::{MEMORY, NO_LIMIT};
use std::time::Duration;

/// Between two REMBs.
const INTERVAL: Duration = Duration::from_millis(500);
/// The same when the publisher has become too fast for somebody.
const HURRIED: Duration = Duration::from_millis(200);

/// Of a video line for which REMB is negotiated.
pub(crate) struct Bitrates {
    estimate: ReceiveRate,
    reception: Reception,
    /// When the interval began, and when it ends; `None` while nothing arrives.
    interval: Option<(MediaTime, MediaTime)>,
    /// The last REMB, in bps.
    told: u64,
    /// What our consumers wish together, in bps, and when they said so.
    wished: Option<(u64, MediaTime)>,
}

impl Bitrates {
    pub fn new(params: &RembParams) -> Self {
        Bitrates {
            estimate: ReceiveRate::new(*params),
            reception: Reception::default(),
            interval: None,
            told: 0,
            wished: None,
        }
    }

    /// A packet of the publisher came.
    pub fn arrived(&mut self, ssrc: u32, sequence: u64, bytes: usize, now: MediaTime) {
        self.interval.get_or_insert((now, now + INTERVAL));
        self.reception.count(ssrc, sequence, bytes);
    }

    /// When the next REMB is due.
    pub fn due(&self) -> Option<MediaTime> {
        self.interval.map(|(_, end)| end)
    }

    pub fn wish(&mut self, bps: u64, now: MediaTime) {
        self.wished = (bps != NO_LIMIT).then_some((bps, now));
        if bps < self.told
            && let Some((began, end)) = &mut self.interval
        {
            *end = (*end).min(*began + HURRIED);
        }
    }

    /// The value of a REMB that is due, in bps.
    pub fn next(&mut self, limits: &BandwidthLimits, now: MediaTime) -> Option<u32> {
        let (began, _) = self.interval.filter(|(_, end)| *end <= now)?;
        if self.reception.is_empty() {
            self.interval = None;
            return None;
        }
        self.interval = Some((now, now + INTERVAL));
        let nanos = u64::try_from(now.since(began).as_nanos()).unwrap_or(u64::MAX);
        let estimate = self.estimate.observe(&self.reception.take(nanos), limits)?;
        let wished = self.wished.filter(|(_, at)| now.since(*at) < MEMORY).map(|(bps, _)| bps);
        let value = advertise(estimate, wished, limits);
        self.told = u64::from(value);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BandwidthLimits =
        BandwidthLimits { min_recv_kbps: 0, max_recv_kbps: 0, min_send_kbps: 0, max_send_kbps: 0 };

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// A packet of a thousand bytes every ten milliseconds, and the REMBs that they bring.
    fn play(bitrates: &mut Bitrates, from: u64, until: u64) -> Vec<(u64, u32)> {
        let mut told = Vec::new();
        for ms in (from..until).step_by(10) {
            if bitrates.due().is_some_and(|due| due <= at(ms)) {
                told.extend(bitrates.next(&LIMITS, at(ms)).map(|bps| (ms, bps)));
            }
            bitrates.arrived(7, ms / 10, 1000, at(ms));
        }
        told
    }

    #[test]
    fn twice_a_second_while_media_arrives() {
        let mut bitrates = Bitrates::new(&RembParams::default());
        assert_eq!(bitrates.due(), None);
        assert_eq!(play(&mut bitrates, 0, 1_010), [(500, 832_000), (1_000, 865_279)]);
        assert_eq!(bitrates.due(), Some(at(1_500)));
        assert!(bitrates.next(&LIMITS, at(1_500)).is_some(), "the last packets");
        assert_eq!(bitrates.next(&LIMITS, at(2_000)), None);
        assert_eq!(bitrates.due(), None, "nothing arrives any more");
    }

    #[test]
    fn consumers_hold_it_back_at_once_and_for_ten_seconds() {
        let mut bitrates = Bitrates::new(&RembParams::default());
        play(&mut bitrates, 0, 510);
        bitrates.wish(200_000, at(510));
        assert_eq!(play(&mut bitrates, 510, 800), [(700, 200_000)], "200 ms after the last");
        bitrates.wish(400_000, at(800));
        assert_eq!(play(&mut bitrates, 800, 1_300), [(1_200, 400_000)], "more has time");
        let told = play(&mut bitrates, 1_300, 12_000);
        let held = told.iter().rfind(|(_, bps)| *bps == 400_000).map(|(ms, _)| *ms);
        assert_eq!(held, Some(10_700), "the last before ten seconds were over");
        assert!(told.last().is_some_and(|(_, bps)| *bps > 800_000));
        bitrates.wish(200_000, at(12_000));
        bitrates.wish(NO_LIMIT, at(12_000));
        assert!(play(&mut bitrates, 12_000, 12_600).iter().all(|(_, bps)| *bps > 800_000), "nobody wishes anything");
    }
}
