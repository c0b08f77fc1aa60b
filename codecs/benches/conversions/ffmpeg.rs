//! The `ffmpeg` command line, given what `codecs/src/coder/tables.rs` gives our coders: the same decoders and encoders, one thread.

use crate::Outcome;
use crate::clip::{Clip, Conversion};
use rivero_engine::Codec;
use std::path::Path;
use std::process::{Command, Stdio};

pub fn command() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-y", "-v", "error"]).stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Outcome<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("this failed: {command:?}").into()),
    }
}

/// Decodes and encodes the clip into a file.
pub fn transcode(clip: &Clip, conversion: Conversion, bitrate: u32, to: &Path) -> Command {
    let mut command = command();
    command.args(["-threads", "1", "-flags", "low_delay"]);
    read(&mut command, clip);
    command.args(["-threads", "1", "-filter_threads", "1"]);
    write(&mut command, conversion.to(), bitrate);
    command.arg(to);
    command
}

/// A clip as input, by the decoder that we use.
pub fn read(command: &mut Command, clip: &Clip) {
    match clip.codec {
        Codec::Opus => command.args(["-c:a", "libopus"]),
        Codec::H264 => command.args(["-framerate", &crate::clip::PICTURES.to_string(), "-c:v", "h264"]),
        Codec::Vp9 => command.args(["-c:v", "vp9"]),
        _ => command.args(["-c:v", "vp8"]),
    };
    command.arg("-i").arg(&clip.path);
}

fn write(command: &mut Command, codec: Codec, bitrate: u32) {
    let rate = bitrate.to_string();
    match codec {
        Codec::H264 => {
            let buffer = (u64::from(bitrate) * 600 / 1000).to_string();
            command.args(["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-forced-idr", "1"]);
            command.args(["-profile:v", "baseline", "-g", "60", "-bf", "0", "-thread_type", "slice"]);
            command.args(["-b:v", &rate, "-bt", &rate, "-maxrate", &rate, "-bufsize", &buffer]);
            command.args(["-fps_mode", "passthrough", "-f", "h264"]);
        }
        // FFmpeg has no word for libvpx's resize-allowed.
        Codec::Vp8 => {
            command.args(["-c:v", "libvpx", "-deadline", "200000", "-cpu-used", "16", "-lag-in-frames", "0"]);
            command.args(["-g", "128", "-b:v", &rate, "-minrate", &rate, "-maxrate", &rate]);
            command.args(["-fps_mode", "passthrough", "-f", "ivf"]);
        }
        _ => {
            command.args(["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1", "-f", "mulaw"]);
        }
    }
}
