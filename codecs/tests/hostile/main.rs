//! Films that are broken, or mean harm, through the element that plays them: each is told to have ended or to be no film, in
//! bounded time and memory; nothing that they name is opened, and no thread stays behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cinema;
mod claims;
mod ebml;
mod elsewhere;
mod spoiled;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

/// One at a time: threads and memory are counted.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A directory that goes away with its owner.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Room(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes it, and returns where.
    fn put(&self, name: &str, data: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, data).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What FFmpeg's own tool makes of these arguments.
fn made(room: &Room, name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = room.path(name);
    let out = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(&path).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    std::fs::read(path).unwrap()
}

/// Half a second of a test picture and a tone, in these codings, and what else the muxer is to be told.
fn clip(room: &Room, name: &str, codings: [&str; 2], more: &[&str]) -> Vec<u8> {
    let [video, audio] = codings;
    let mut arguments = vec!["-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=0.6", "-f", "lavfi", "-i"];
    arguments.extend(["sine=frequency=440:duration=0.6:sample_rate=48000", "-c:v", video, "-c:a", audio]);
    arguments.extend(["-pix_fmt", "yuv420p", "-g", "8", "-b:v", "300k", "-ac", "2"]);
    arguments.extend(more);
    made(room, name, &arguments)
}
