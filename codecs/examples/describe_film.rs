//! Prints, as JSON, what readers in plain Rust make of a recording: `describe_film FILE`. The tests of the running server use it.

#[path = "../tests/readers/mod.rs"]
mod readers;

use readers::{Seen, SeenTrack};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("describe_film FILE");
        return ExitCode::from(2);
    };
    let seen = readers::read(&path).into_iter();
    let told: Vec<_> =
        seen.map(|seen| seen.map_or_else(|error| json!({ "error": error }), |seen| describe(&seen))).collect();
    println!("{}", Json::Array(told));
    ExitCode::SUCCESS
}

/// Times in seconds, sizes in pixels and bytes.
fn describe(seen: &Seen) -> Json {
    json!({
        "reader": seen.reader, "duration": seen.duration.map(|d| d.as_secs_f64()),
        "tracks": seen.tracks.iter().map(describe_track).collect::<Vec<_>>(), "cues": seconds(&seen.cues),
    })
}

fn describe_track(track: &SeenTrack) -> Json {
    json!({
        "codec": track.codec, "width": track.size.0, "height": track.size.1, "rate": track.rate,
        "channels": track.channels, "duration": track.duration.map(|d| d.as_secs_f64()),
        "times": seconds(&track.times), "keys": seconds(&track.keys), "bytes": track.bytes,
    })
}

fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}
