//! Files there and back: what is recorded is read by our own reader and by FFmpeg's tools, whole, cut off and spoiled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod hostile;
mod independent;
mod killed;
mod make;
mod matrix;
#[path = "../readers/mod.rs"]
mod readers;
mod recording;
mod seeking;
#[path = "../signal/mod.rs"]
mod signal;
mod web;

use rivero_codecs::film::{FilmError, Interrupt, OpenOptions, Reader, Unit};
use rivero_engine::time::{ManualClock, SystemClock};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A directory that goes away with its owner.
pub struct Room(PathBuf);

impl Room {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("film-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Room(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A clock that stands still: nothing local waits.
pub fn patient() -> Interrupt {
    Interrupt::new(Arc::new(ManualClock::new()))
}

/// The machine's clock, for what waits for a server.
pub fn timed() -> Interrupt {
    Interrupt::new(Arc::new(SystemClock::new()))
}

pub fn open(path: &Path) -> Result<Reader, FilmError> {
    Reader::open(path.to_str().unwrap(), &OpenOptions::default(), patient())
}

pub fn read_all(reader: &mut Reader) -> Result<Vec<Unit>, FilmError> {
    let mut units = Vec::new();
    while let Some(unit) = reader.read()? {
        units.push(unit);
    }
    Ok(units)
}

/// What ffprobe says, by its flat names (`streams.stream.0.codec_name`).
pub fn probe(path: &Path) -> HashMap<String, String> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-of", "flat", "-show_streams", "-show_format", "-count_packets"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// Decodes the whole file with FFmpeg's own tool, which must find nothing to complain about.
pub fn assert_decodes(path: &Path) {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && complaints.is_empty(), "{}: {complaints}", path.display());
}

pub fn ffmpeg(arguments: &[&str], path: &Path) {
    let out = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(path).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}
