//! The switches of the command line.

use crate::Outcome;

const HELP: &str = "\
What a conversion costs beside the ffmpeg command line.
  --seconds N    length of the pictures (10); the sound is thirty times as long
  --runs N       turns that each side takes (3)
  --bitrate N    of the pictures that are made, in bits a second (1500000)
  --only TEXT    conversions whose name contains it, e.g. VP8-H264
  --strict       exit with 2 if a conversion misses what is asked of it";

pub struct Switches {
    pub seconds: u32,
    pub runs: usize,
    /// Bits a second.
    pub bitrate: u32,
    pub only: Option<String>,
    pub strict: bool,
}

impl Switches {
    /// `None` if only help was wanted, which then has been given.
    pub fn read(arguments: &[String]) -> Outcome<Option<Self>> {
        let mut switches = Switches { seconds: 10, runs: 3, bitrate: 1_500_000, only: None, strict: false };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{name} wants a value"));
            match name.as_str() {
                "--seconds" => switches.seconds = value()?.parse::<u32>()?.clamp(1, 600),
                "--runs" => switches.runs = value()?.parse::<usize>()?.clamp(1, 99),
                "--bitrate" => switches.bitrate = value()?.parse()?,
                "--only" => switches.only = Some(value()?.clone()),
                "--strict" => switches.strict = true,
                // Cargo says so to whatever it runs as a benchmark.
                "--bench" => {}
                "--help" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(format!("{other} is not known\n{HELP}").into()),
            }
        }
        Ok(Some(switches))
    }
}
