//! Sound and pictures stay together: a source that flashes and beeps each second is recorded and played, as it is coded or converted,
//! through pauses, another source in its midst and a track that comes late.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../signal/mod.rs"]
mod signal;
#[path = "../chain/streams.rs"]
#[allow(dead_code, clippy::unwrap_or_default, reason = "it makes packets here, and no more")]
mod streams;

mod cinema;
mod measure;
mod studio;

use rivero_codecs::film::Format;
use rivero_engine::Codec;
use std::path::PathBuf;
use std::time::Duration;

/// What may lie between a flash and its beep.
const MOST: Duration = Duration::from_millis(20);

/// How the tracks come.
#[derive(Clone, Copy, PartialEq)]
enum Late {
    Neither,
    Audio,
    Video,
}

/// Records 14 s: a pause from 4.3 s to 6.44 s, another source at 9.1 s. Then plays them, with a pause.
fn keeps_time(format: Format, video: Codec, audio: Codec, late: Late) {
    let name = format!("cadence-{format:?}-{}-{}-{}.film", video.name(), audio.name(), late as u8);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut studio = studio::Studio::new(format, path.clone());
    let first = studio.source(video, audio);
    match late {
        Late::Neither => studio.connect(first, None),
        Late::Audio => studio.connect(first, Some(rivero_engine::MediaKind::Video)),
        Late::Video => studio.connect(first, Some(rivero_engine::MediaKind::Audio)),
    }
    studio.record();
    studio.run_until(3400);
    if late != Late::Neither {
        studio.connect(first, None);
    }
    studio.run_until(4300);
    studio.pause();
    studio.run_until(6440);
    studio.record();
    studio.run_until(9100);
    // Of other codecs than the one before, where there is one that the file takes only converted.
    let second = studio.source(if video == Codec::Vp8 { Codec::H264 } else { Codec::Vp8 }, audio);
    studio.connect(second, None);
    studio.run_until(14_000);
    let summary = studio.stop();
    let seconds = summary.duration.as_secs_f64();
    assert!((11.3..12.4).contains(&seconds), "14 s without the pause: {summary:?}");

    let played = cinema::play(&path, Duration::from_millis(5200));
    std::fs::remove_file(&path).unwrap();
    let (flashes, beeps) = (measure::flashes(&played), measure::beeps(&played));
    let together = measure::pairs(&flashes, &beeps);
    let fewest = if late == Late::Neither { 11 } else { 8 };
    assert!(together.len() >= fewest, "{format:?}: {together:?} of flashes {flashes:?}, beeps {beeps:?}");
    for (flash, beep) in &together {
        let offset = flash.as_nanos().abs_diff(beep.as_nanos());
        assert!(u128::from(offset) <= MOST.as_nanos(), "{format:?}: flash {flash:?}, beep {beep:?} of {together:?}");
    }
    let alone = flashes.len() + beeps.len() - 2 * together.len();
    let expected = if late == Late::Neither { 0 } else { 4 };
    assert!(alone <= expected, "{format:?}: {alone} alone of flashes {flashes:?}, beeps {beeps:?}");
}

#[test]
fn webm_as_it_comes() {
    keeps_time(Format::WebM, Codec::Vp8, Codec::Opus, Late::Neither);
}

#[test]
fn webm_coded_anew() {
    keeps_time(Format::WebM, Codec::H264, Codec::Pcmu, Late::Neither);
}

#[test]
fn webm_whose_sound_comes_late() {
    keeps_time(Format::WebM, Codec::Vp8, Codec::Opus, Late::Audio);
}

#[test]
fn webm_whose_pictures_come_late() {
    keeps_time(Format::WebM, Codec::Vp8, Codec::Opus, Late::Video);
}

#[test]
fn mp4_as_it_comes() {
    keeps_time(Format::Mp4, Codec::H264, Codec::Opus, Late::Neither);
}

#[test]
fn mp4_coded_anew() {
    keeps_time(Format::Mp4, Codec::Vp8, Codec::Pcmu, Late::Neither);
}

#[test]
fn mp4_whose_sound_comes_late() {
    keeps_time(Format::Mp4, Codec::H264, Codec::Opus, Late::Audio);
}

#[test]
fn matroska_as_it_comes() {
    keeps_time(Format::Matroska, Codec::H264, Codec::Opus, Late::Neither);
}

#[test]
fn flv() {
    keeps_time(Format::Flv, Codec::H264, Codec::Opus, Late::Neither);
}
