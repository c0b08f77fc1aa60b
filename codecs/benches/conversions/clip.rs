//! What is converted, and the clips that are made for it once: moving pictures with noise in 1280x720 at 30 Hz, two tones and noise.

use crate::{Outcome, ffmpeg};
use bytes::Bytes;
use rivero_engine::{Caps, Codec, MediaKind};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const WIDTH: u32 = 1280;
pub const HEIGHT: u32 = 720;
/// Pictures a second.
pub const PICTURES: u32 = 30;
/// Packets of sound a second.
const SOUNDS: u32 = 50;
/// The clips' own, in bits a second.
const BITRATE: u32 = 1_500_000;
/// Sound is converted so much faster that a longer clip is needed for the same certainty.
const SOUND_LASTS: u32 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion(Codec, Codec);

impl Conversion {
    pub const ALL: [Conversion; 4] = [
        Conversion(Codec::Vp8, Codec::H264),
        Conversion(Codec::H264, Codec::Vp8),
        Conversion(Codec::Vp9, Codec::Vp8),
        Conversion(Codec::Opus, Codec::Pcmu),
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|conversion| conversion.name() == name)
    }

    pub fn name(self) -> String {
        format!("{}-{}", self.0.name(), self.1.name())
    }

    pub fn from(self) -> Codec {
        self.0
    }

    pub fn to(self) -> Codec {
        self.1
    }

    pub fn is_video(self) -> bool {
        self.0.kind() == MediaKind::Video
    }

    /// Of what enters, or of what leaves.
    pub fn caps(codec: Codec) -> Caps {
        match codec {
            Codec::Opus => Caps::audio(codec, 48_000, 2),
            Codec::Pcmu => Caps::audio(codec, 8000, 1),
            Codec::H264 => Caps::video(codec, Some("packetization-mode=1")),
            _ => Caps::video(codec, None),
        }
    }

    /// Of what enters: frames a second.
    pub fn rate(self) -> u32 {
        if self.is_video() { PICTURES } else { SOUNDS }
    }
}

pub struct Clip {
    pub path: PathBuf,
    pub codec: Codec,
}

impl Clip {
    /// The clip in the folder, which is written if it is not there yet.
    pub fn make(codec: Codec, seconds: u32, folder: &Path) -> Outcome<Self> {
        let path = folder.join(format!("clip-{seconds}s.{}", container(codec)?));
        if !path.exists() {
            // A clip that was only half written must not be found the next time.
            let unfinished = folder.join(format!("unfinished.{}", container(codec)?));
            let mut command = match codec.kind() {
                MediaKind::Video => pictures(codec, seconds),
                _ => tones(seconds * SOUND_LASTS),
            };
            ffmpeg::run(command.arg(&unfinished))?;
            std::fs::rename(&unfinished, &path)?;
        }
        Ok(Clip { path, codec })
    }
}

/// File formats that FFmpeg tells by their names, and which keep frames as RTP wants them.
fn container(codec: Codec) -> Outcome<&'static str> {
    Ok(match codec {
        Codec::Vp8 => "vp8.ivf",
        Codec::Vp9 => "vp9.ivf",
        Codec::H264 => "h264",
        Codec::Opus => "ogg",
        _ => return Err(format!("no clip is made in {}", codec.name()).into()),
    })
}

fn pictures(codec: Codec, seconds: u32) -> Command {
    let scene = format!("testsrc2=size={WIDTH}x{HEIGHT}:rate={PICTURES}:duration={seconds},noise=alls=4:allf=t");
    let rate = BITRATE.to_string();
    let mut command = ffmpeg::command();
    command.args(["-f", "lavfi", "-i", &scene, "-pix_fmt", "yuv420p", "-g", "120"]);
    command.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate]);
    command.args(match codec {
        Codec::H264 => ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "main"],
        Codec::Vp9 => ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
        _ => ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
    });
    command
}

fn tones(seconds: u32) -> Command {
    let mut command = ffmpeg::command();
    for source in
        ["sine=frequency=440:beep_factor=4", "sine=frequency=1234", "anoisesrc=color=pink:amplitude=0.1:seed=1"]
    {
        command.args(["-f", "lavfi", "-i", &format!("{source}:sample_rate=48000:duration={seconds}")]);
    }
    command.args(["-filter_complex", "amix=inputs=3:normalize=0", "-ac", "2"]);
    command.args(["-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20"]);
    command
}

/// The frames of a file, as RTP carries them.
pub fn frames(path: &Path) -> Outcome<Vec<Bytes>> {
    ffmpeg_next::init()?;
    let mut input = ffmpeg_next::format::input(path)?;
    let packets = input.packets().filter_map(|(_, packet)| packet.data().map(Bytes::copy_from_slice));
    Ok(packets.collect())
}
