//! What a conversion costs: our chain beside the `ffmpeg` command line with the same decoder, encoder and settings, on the same clip.
//!
//! Enters: nothing but switches (`--help`). Leaves: tables in Markdown on standard output: processor time and instructions of both
//! processes, how true both results are to the clip, what ten viewers cost instead of one, by how much a picture is delayed. It must
//! never know how a coder works: it compares results.
//!
//! Each side is a process of its own that reads the clip from a file and does all of its work on one thread, and both are counted whole:
//! start, reading, and here also packing the clip into RTP. They take turns; medians are shown. Wall time is not looked at.

mod chain;
mod clip;
mod cost;
mod ffmpeg;
mod quality;
mod report;
mod switches;

use clip::{Clip, Conversion};
use cost::Cost;
use report::{Delay, Row};
use std::error::Error;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use switches::Switches;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many viewers of one target are set beside a single one.
const MANY: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        // As the other process of a comparison.
        Some((first, rest)) if first == chain::PLAY => chain::play(rest).map(|()| true),
        _ => Switches::read(&arguments).and_then(|switches| switches.map_or(Ok(true), |switches| compare(&switches))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it should, as far as that is asked for.
fn compare(switches: &Switches) -> Outcome<bool> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conversions");
    std::fs::create_dir_all(&folder)?;
    let counter = cost::Counter::find(&folder);
    let mut rows = Vec::new();
    for conversion in Conversion::ALL {
        if switches.only.as_ref().is_none_or(|only| conversion.name().contains(only.as_str())) {
            eprintln!("{} ...", conversion.name());
            rows.push(row(conversion, switches, &folder, &counter)?);
        }
    }
    report::print(&rows, switches, counter.is_exact());
    Ok(!switches.strict || rows.iter().all(Row::is_met))
}

fn row(conversion: Conversion, switches: &Switches, folder: &Path, counter: &cost::Counter) -> Outcome<Row> {
    let clip = Clip::make(conversion.from(), switches.seconds, folder)?;
    let bitrate = switches.bitrate;
    let (mut ours, mut theirs, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..switches.runs {
        ours.push(counter.run(&mut chain::command(&clip, conversion, bitrate, 1)?)?);
        theirs.push(counter.run(&mut ffmpeg::transcode(&clip, conversion, bitrate, Path::new("/dev/null")))?);
        many.push(counter.run(&mut chain::command(&clip, conversion, bitrate, MANY)?)?);
    }
    let files = ["ours", "ffmpeg"].map(|whose| folder.join(format!("{}.{whose}", conversion.name())));
    let delay = written_by_us(&clip, conversion, bitrate, &files[0])?;
    ffmpeg::run(&mut ffmpeg::transcode(&clip, conversion, bitrate, &files[1]))?;
    let [our_quality, their_quality] = quality::judge(&clip, conversion, &files)?;
    Ok(Row {
        conversion,
        ours: Cost::median(ours),
        theirs: Cost::median(theirs),
        many: Cost::median(many),
        our_quality,
        their_quality,
        delay,
    })
}

/// Once more, into a file, with an eye on each picture.
fn written_by_us(clip: &Clip, conversion: Conversion, bitrate: u32, file: &Path) -> Outcome<Delay> {
    let mut command = chain::command(clip, conversion, bitrate, 1)?;
    let output = command.arg(file).stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Delay::read(&String::from_utf8_lossy(&output.stdout)),
        false => Err(format!("our own process failed: {}", output.status).into()),
    }
}
