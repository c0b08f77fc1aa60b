//! Whether media flows through a port. Kurento's rule: FLOWING with the first packet, NOT_FLOWING when a 2 s tick finds that
//! none came since the tick before.

use crate::MediaTime;
use std::time::Duration;

pub const TICK: Duration = Duration::from_secs(2);

/// Weight of a new sample in Kurento's moving average of latencies.
const EWMA_WEIGHT: f64 = 0.25;

#[derive(Debug, Default)]
pub struct FlowMeter {
    flowing: bool,
    seen: bool,
    pub packets: u64,
    pub bytes: u64,
    /// Moving average in ns of the time since packets entered the pipeline; `None` before the first sample.
    pub latency: Option<f64>,
}

impl FlowMeter {
    /// Counts a packet; true when media starts to flow with it.
    pub fn count(&mut self, bytes: usize) -> bool {
        self.packets += 1;
        self.bytes += bytes as u64;
        self.seen = true;
        !std::mem::replace(&mut self.flowing, true)
    }

    /// True when media ceased to flow.
    pub fn tick(&mut self) -> bool {
        let stopped = self.flowing && !self.seen;
        self.flowing &= self.seen;
        self.seen = false;
        stopped
    }

    pub fn is_flowing(&self) -> bool {
        self.flowing
    }

    pub fn sample_latency(&mut self, entered: MediaTime, now: MediaTime) {
        let sample = now.since(entered).as_nanos() as f64;
        self.latency = Some(match self.latency {
            None => sample,
            Some(average) => average * (1.0 - EWMA_WEIGHT) + sample * EWMA_WEIGHT,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_with_the_first_packet_and_stops_two_to_four_seconds_after_the_last() {
        let mut meter = FlowMeter::default();
        assert!(meter.count(100), "the first packet starts the flow");
        assert!(!meter.count(100));
        assert!(!meter.tick(), "a packet came since the last tick");
        assert!(meter.is_flowing());
        assert!(meter.tick(), "none came for a whole tick");
        assert!(!meter.tick(), "said once");
        assert!(meter.count(1), "and flows again");
        assert_eq!((meter.packets, meter.bytes), (3, 201));
    }

    #[test]
    fn the_average_moves_a_quarter_of_the_way() {
        let mut meter = FlowMeter::default();
        meter.sample_latency(MediaTime::ZERO, MediaTime::from_nanos(1000));
        meter.sample_latency(MediaTime::ZERO, MediaTime::from_nanos(2000));
        assert_eq!(meter.latency, Some(1250.0));
    }
}
