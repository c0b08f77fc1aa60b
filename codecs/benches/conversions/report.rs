//! The tables, and what is asked of a conversion.

use crate::clip::{Conversion, PICTURES};
use crate::cost::Cost;
use crate::quality::Quality;
use crate::switches::Switches;
use crate::{MANY, Outcome};

/// How much more than FFmpeg's a conversion may cost.
const MOST_COST: f64 = 1.10;
/// How much less true to the clip it may be, in dB.
const MOST_LOSS: f64 = 0.2;
/// How much more than one viewer many may cost.
const MOST_FOR_MANY: f64 = 1.10;
/// Frames by which a conversion may delay.
const MOST_DELAY: f64 = 2.0;

pub struct Row {
    pub conversion: Conversion,
    pub ours: Cost,
    pub theirs: Cost,
    pub many: Cost,
    pub our_quality: Quality,
    pub their_quality: Quality,
    pub delay: Delay,
}

/// How long frames were on the way.
pub struct Delay {
    entered: usize,
    left: usize,
    /// The most that a packet was held back waiting for others, in milliseconds of the stream's time.
    held: f64,
    /// Milliseconds of processor time that most frames take at most, and that 99 of 100 do.
    median: f64,
    high: f64,
}

impl Delay {
    pub fn read(told: &str) -> Outcome<Self> {
        let (counts, times) = told.split_once('\n').ok_or("our own process says nothing")?;
        let counts: Vec<f64> = counts.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let mut times: Vec<f64> = times.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        times.sort_by(f64::total_cmp);
        let (&[entered, left, held], false) = (counts.as_slice(), times.is_empty()) else {
            return Err("our own process says something else".into());
        };
        let (median, high) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        Ok(Delay { entered: entered as usize, left: left as usize, held, median, high })
    }

    /// In frames of the stream.
    fn frames(&self, rate: u32) -> f64 {
        (self.held + self.high) * f64::from(rate) / 1000.0
    }
}

impl Row {
    pub fn is_met(&self) -> bool {
        self.cost_is_met() && self.quality_is_met() && self.many_is_met() && self.delay_is_met()
    }

    fn cost_is_met(&self) -> bool {
        self.ours.of(self.theirs) <= MOST_COST
    }

    fn quality_is_met(&self) -> bool {
        let whole = match self.conversion.is_video() {
            true => self.our_quality.amount == self.their_quality.amount && self.delay.entered == self.delay.left,
            // FFmpeg leaves out the run-up of Opus, of which RTP cannot tell.
            false => (self.our_quality.amount - self.their_quality.amount).abs() < 0.1,
        };
        whole && self.our_quality.db >= self.their_quality.db - MOST_LOSS
    }

    fn many_is_met(&self) -> bool {
        self.many.of(self.ours) <= MOST_FOR_MANY
    }

    fn delay_is_met(&self) -> bool {
        self.delay.frames(self.conversion.rate()) < MOST_DELAY
    }
}

pub fn print(rows: &[Row], switches: &Switches, exact: bool) {
    let Switches { seconds, runs, bitrate, .. } = switches;
    let pictures = f64::from(*bitrate) / 1e6;
    println!(
        "1280x720 at {PICTURES} Hz, {seconds} s, made at {pictures} Mbps; one thread each; medians of {runs} turns."
    );
    costs(rows, if exact { "instructions" } else { "CPU" });
    qualities(rows);
    delays(rows);
}

fn costs(rows: &[Row], by: &str) {
    println!("\n| conversion | CPU s | ffmpeg | 10⁹ instructions | ffmpeg | {by} / ffmpeg's | met |");
    println!("|---|---|---|---|---|---|---|");
    let counted = |cost: Cost| cost.instructions.map_or("–".to_owned(), |n| format!("{:.2}", n as f64 / 1e9));
    for row in rows {
        let (name, ours, theirs) = (row.conversion.name(), row.ours, row.theirs);
        let (one, other) = (counted(ours), counted(theirs));
        let (part, met) = (100.0 * ours.of(theirs), word(row.cost_is_met()));
        println!("| {name} | {:.2} | {:.2} | {one} | {other} | {part:.1} % | {met} |", ours.cpu, theirs.cpu);
    }
}

fn qualities(rows: &[Row]) {
    println!("\n| conversion | frames | ffmpeg | kbps | ffmpeg | PSNR, dB (sound: SNR) | ffmpeg | difference | met |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let (ours, theirs) = (row.our_quality, row.their_quality);
        let rates = format!("{:.0} | {:.0}", ours.bitrate / 1e3, theirs.bitrate / 1e3);
        let frames = match row.conversion.is_video() {
            true => format!("{} | {}", ours.amount, theirs.amount),
            false => format!("{:.2} s | {:.2} s", ours.amount, theirs.amount),
        };
        let (name, off, met) = (row.conversion.name(), ours.db - theirs.db, word(row.quality_is_met()));
        println!("| {name} | {frames} | {rates} | {:.2} | {:.2} | {off:+.2} | {met} |", ours.db, theirs.db);
    }
}

fn delays(rows: &[Row]) {
    println!(
        "\n| conversion | {MANY} sinks / one | met | held back, frames | CPU ms a frame, median / p99 | delay, frames | met |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let (delay, rate) = (&row.delay, row.conversion.rate());
        let (name, many, met) = (row.conversion.name(), 100.0 * row.many.of(row.ours), word(row.many_is_met()));
        let times = format!("{:.2} / {:.2}", delay.median, delay.high);
        let (held, frames) = (delay.held * f64::from(rate) / 1000.0, delay.frames(rate));
        let on_time = word(row.delay_is_met());
        println!("| {name} | {many:.1} % | {met} | {held:.1} | {times} | {frames:.2} | {on_time} |");
    }
}

fn word(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}
