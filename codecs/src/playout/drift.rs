//! Samples of a foreign clock as one continuous sound on ours.
//!
//! Enters: for each block of decoded samples when it is wanted and how long it is; how many samples were written. Leaves: by how
//! much the resampler must stretch, how many samples to put in and to leave out. It must never know a sample or a resampler.
//!
//! The output is a count of samples: its clock is when it began plus what was written since. Where that runs away from the wanted
//! times, the next samples are stretched, by 200 ppm for each millisecond and by no more than 2,000 ppm. That is 3.5 hundredths of a
//! semitone, where the ear begins to notice at about 5; it is five times what two bad crystals differ by, and twice the greatest
//! speed of a [`Timeline`](super::Timeline). It changes by 500 ppm in a second at most: a glide, not a step.
//!
//! A hole in the wanted times is filled, and what is filled in has whatever length makes the clocks agree: a hole is the one place
//! where nobody hears a correction. Without a hole samples are put in or left out only beyond 200 ms.

use rivero_engine::MediaTime;

const MICROSECOND: i64 = 1000;
const MILLISECOND: i64 = 1000 * MICROSECOND;
const SECOND: i64 = 1000 * MILLISECOND;

/// Nanoseconds of error that call for one ppm.
const PER_PPM: i64 = MILLISECOND / 200;
/// ppm
const MOST_PPM: i64 = 2000;
/// Thousandths of a ppm by which the rate changes in a millisecond: 500 ppm in a second.
const CHANGE: i64 = 500;
/// The error is looked at through a mean of about so long.
const MEAN: i64 = SECOND;
/// Blocks this much further apart than they are long have a hole between them. The shortest of Opus is longer.
const HOLE: i64 = 2 * MILLISECOND;
/// Beyond this stretching takes too long.
const RESYNC: i64 = 200 * MILLISECOND;
/// Beyond this the output begins anew.
const ANEW: i64 = SECOND;

/// What to do with a block, in this order. All samples are samples of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The output's clock begins anew with this block: [`Drift::clock`] has jumped to its time, and what waits in the resampler belongs
    /// to the time before.
    pub restarted: bool,
    /// So many samples of silence, or of what conceals a loss, go before the block. At most a second.
    pub insert: usize,
    /// So many samples of the block's beginning are left out. At most the block.
    pub drop: usize,
    /// From n samples make n + n × ppm / 1,000,000.
    pub ppm: i32,
}

/// Fits one stream of sound into the pipeline's clock. For each block call [`plan`](Drift::plan), do as it says, and tell how much came
/// of it with [`wrote`](Drift::wrote).
pub struct Drift {
    rate: i64,
    output: Option<Output>,
}

struct Output {
    /// When the first sample is heard, and how many were written since.
    began: i64,
    written: u64,
    /// When the next block is wanted if nothing is missing.
    expected: i64,
    /// The mean of wanted minus written, in nanoseconds.
    error: i64,
    /// Thousandths of a ppm.
    milli_ppm: i64,
    /// Samples that are still to be left out.
    surplus: usize,
}

impl Drift {
    /// `rate` in Hz, of the output; if the resampler also converts the rate, all samples here are counted behind it.
    pub fn new(rate: u32) -> Self {
        Drift { rate: i64::from(rate.max(1)), output: None }
    }

    /// What to do with a block of `samples` that is wanted at `at`.
    pub fn plan(&mut self, at: MediaTime, samples: usize) -> Plan {
        let at = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        let duration = self.nanos(u64::try_from(samples).unwrap_or(u64::MAX));
        let clock = self.nanos_written();
        let rate = self.rate;
        let Some(output) = self.output.as_mut().filter(|_| at.abs_diff(clock) <= ANEW as u64) else {
            return self.begin(at, duration);
        };
        let mut plan = Plan::default();
        let hole = at - output.expected;
        let mut error = at - clock;
        if error > 0 {
            output.surplus = 0;
        }
        if error > 0 && (hole >= HOLE || error > RESYNC) {
            // No longer than twice the hole, unless it must: a small hole should stay one.
            let fill = if error > RESYNC { error } else { error.min(hole.saturating_mul(2)) };
            plan.insert = to_samples(fill, rate);
            error -= fill;
            output.error = output.error.min(error);
        } else if output.surplus > 0 || error < -RESYNC {
            output.surplus = to_samples(-error, rate);
            plan.drop = output.surplus.min(samples);
            output.surplus -= plan.drop;
            error = 0;
            output.error = 0;
        }
        output.expected = at.saturating_add(duration);
        plan.ppm = output.steer(error, duration);
        plan
    }

    /// So many samples were added to the output, with what was put in.
    pub fn wrote(&mut self, samples: usize) {
        if let Some(output) = &mut self.output {
            output.written = output.written.saturating_add(u64::try_from(samples).unwrap_or(u64::MAX));
        }
    }

    /// When the next sample of the output is heard; zero before the first block.
    pub fn clock(&self) -> MediaTime {
        MediaTime::from_nanos(u64::try_from(self.nanos_written()).unwrap_or(0))
    }

    fn begin(&mut self, at: i64, duration: i64) -> Plan {
        let milli_ppm = self.output.as_ref().map_or(0, |output| output.milli_ppm);
        let expected = at.saturating_add(duration);
        self.output = Some(Output { began: at, written: 0, expected, error: 0, milli_ppm, surplus: 0 });
        let mut plan = Plan { restarted: true, ..Plan::default() };
        if let Some(output) = &mut self.output {
            plan.ppm = output.steer(0, duration);
        }
        plan
    }

    fn nanos_written(&self) -> i64 {
        self.output.as_ref().map_or(0, |output| output.began.saturating_add(self.nanos(output.written)))
    }

    fn nanos(&self, samples: u64) -> i64 {
        let nanos = u128::from(samples) * SECOND as u128 / self.rate as u128;
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

impl Output {
    /// The rate for a block of this length.
    fn steer(&mut self, error: i64, duration: i64) -> i32 {
        let duration = duration.min(MEAN);
        self.error += (error - self.error) * (duration / MICROSECOND) / (MEAN / MICROSECOND);
        let wanted = (self.error / (PER_PPM / 1000)).clamp(-MOST_PPM * 1000, MOST_PPM * 1000);
        let change = CHANGE * duration / MILLISECOND;
        self.milli_ppm += (wanted - self.milli_ppm).clamp(-change, change);
        i32::try_from(self.milli_ppm / 1000).unwrap_or(0)
    }
}

/// Samples of a duration that is no longer than [`ANEW`].
fn to_samples(nanos: i64, rate: i64) -> usize {
    usize::try_from(nanos.clamp(0, ANEW) * rate / SECOND).unwrap_or(0)
}

#[cfg(test)]
mod tests;
