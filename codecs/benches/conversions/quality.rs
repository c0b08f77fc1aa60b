//! How true a result is to the clip that it was made of, by FFmpeg's decoders.

use crate::Outcome;
use crate::clip::{Clip, Conversion, HEIGHT, WIDTH, frames};
use crate::ffmpeg;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Frames, or seconds of sound.
    pub amount: f64,
    /// Peak signal to noise of pictures; of sound, signal to noise.
    pub db: f64,
    /// Bits a second.
    pub bitrate: f64,
}

pub fn judge(clip: &Clip, conversion: Conversion, files: &[PathBuf; 2]) -> Outcome<[Quality; 2]> {
    match conversion.is_video() {
        true => Ok([pictures(clip, &files[0])?, pictures(clip, &files[1])?]),
        false => {
            let mut original = ffmpeg::command();
            // Nothing is cut off that RTP would carry.
            original.args(["-flags2", "skip_manual"]);
            ffmpeg::read(&mut original, clip);
            original.args(["-ar", "8000", "-ac", "1", "-f", "s16le", "-"]);
            let original = samples(&mut original)?;
            Ok([sound(&original, &files[0])?, sound(&original, &files[1])?])
        }
    }
}

fn pictures(clip: &Clip, file: &Path) -> Outcome<Quality> {
    let mut command = ffmpeg::command();
    // FFmpeg cannot tell a stream of H.264 by our name.
    if file.to_string_lossy().contains("-H264.") {
        command.args(["-f", "h264", "-framerate", &crate::clip::PICTURES.to_string()]);
    }
    command.args(["-v", "info"]).arg("-i").arg(file);
    ffmpeg::read(&mut command, clip);
    // Encoders may have made the pictures smaller; times are those of the files, which do not matter.
    let number = format!("settb=1/{0},setpts=N", crate::clip::PICTURES);
    let filter = format!("[0:v]scale={WIDTH}:{HEIGHT}:flags=bicubic,{number}[a];[1:v]{number}[b];[a][b]psnr");
    let output = command.args(["-lavfi", &filter, "-f", "null", "-"]).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let average = told.rsplit("average:").next().and_then(|rest| rest.split_whitespace().next());
    let db = average.and_then(|text| text.parse().ok()).ok_or_else(|| format!("FFmpeg does not say PSNR: {told}"))?;
    let frames = frames(file)?;
    let bytes: usize = frames.iter().map(bytes::Bytes::len).sum();
    let seconds = frames.len() as f64 / f64::from(crate::clip::PICTURES);
    Ok(Quality { amount: frames.len() as f64, db, bitrate: bytes as f64 * 8.0 / seconds })
}

fn samples(command: &mut Command) -> Outcome<Vec<f64>> {
    let output = command.output()?;
    let told = output.stdout.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])));
    Ok(told.collect())
}

fn sound(original: &[f64], file: &Path) -> Outcome<Quality> {
    let mut command = ffmpeg::command();
    command.args(["-f", "mulaw", "-ar", "8000", "-ac", "1", "-i"]).arg(file).args(["-f", "s16le", "-"]);
    let found = samples(&mut command)?;
    // Decoders are ahead of each other by some milliseconds, as they leave out an encoder's run-up or do not.
    let nearest = (-400..=400).map(|ahead| ratio(original, &found, ahead, 16_000)).enumerate();
    let (best, _) = nearest.max_by(|(_, one), (_, other)| one.total_cmp(other)).ok_or("no sound")?;
    let db = ratio(original, &found, best as isize - 400, usize::MAX);
    let amount = found.len() as f64 / 8000.0;
    Ok(Quality { amount, db, bitrate: 64_000.0 })
}

/// Signal to noise in dB, if what was found comes so many samples later.
fn ratio(original: &[f64], found: &[f64], later: isize, most: usize) -> f64 {
    let from = 4000;
    let (mut signal, mut noise) = (0.0, 0.0);
    for (index, sample) in original.iter().enumerate().skip(from).take(most) {
        if let Some(other) = index.checked_add_signed(later).and_then(|index| found.get(index)) {
            signal += sample * sample;
            noise += (sample - other) * (sample - other);
        }
    }
    10.0 * (signal / noise.max(1e-9)).log10()
}
