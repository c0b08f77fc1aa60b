//! A reel goes on with the very picture that is shown at the place that was sought, in every order that codings put pictures in: as a
//! picture up to the next key frame, and coded from there on.

use crate::{Room, ffmpeg, patient};
use rivero_codecs::film::OpenOptions;
use rivero_codecs::player::{Content, FilmReel, Frame, Reel};
use rivero_engine::{MediaKind, Picture};
use std::path::Path;
use std::time::Duration;

/// 25 pictures a second.
const STEP: u64 = 40;
const BITS: usize = 8;
/// Sound may begin a little before the first picture, and some containers round times to a millisecond.
const ROUNDED: u64 = 3;

/// Six seconds, a key frame each two.
fn make(path: &Path, coding: &str) {
    let bars = format!(
        "color=black:s=160x48:r=25:d=6,format=gray,geq=lum='if(mod(floor(N/pow(2,floor(X*{BITS}/W))),2),235,16)',format=yuv420p"
    );
    let mut words = vec!["-f", "lavfi", "-i", &bars, "-f", "lavfi", "-i", "sine=440:r=48000:d=6", "-g", "50"];
    words.extend(coding.split(' '));
    ffmpeg(&words, path);
}

/// The number that it carries.
fn number(picture: &Picture) -> u64 {
    let plane = &picture.planes[0];
    let light = |bit: usize| plane.data[24 * plane.stride + (2 * bit + 1) * 160 / (2 * BITS)] > 125;
    (0..BITS).map(|bit| u64::from(light(bit)) << bit).sum()
}

fn millis(time: Duration) -> u64 {
    (time.as_micros() as u64 + 500) / 1000
}

/// Of each kind, up to so many pictures; what is of no use left out.
fn frames(reel: &mut FilmReel, pictures: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(frame) = reel.next().unwrap() {
        if !matches!(frame.content, Content::Nothing) {
            frames.push(frame);
        }
        if frames.iter().filter(|frame| frame.kind == MediaKind::Video).count() == pictures {
            break;
        }
    }
    frames
}

#[test]
fn a_seek_goes_on_with_the_picture_that_is_shown_there() {
    let room = Room::new("sought");
    for (coding, container) in [
        ("-c:v libvpx -deadline realtime -c:a libopus", "webm"),
        ("-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -c:a libopus", "webm"),
        ("-c:v libvpx-vp9 -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -c:a libopus", "webm"),
        ("-c:v libx264 -profile:v baseline -sc_threshold 0 -c:a aac", "mp4"),
        ("-c:v libx264 -bf 3 -sc_threshold 0 -c:a aac", "mp4"),
        ("-c:v libx264 -bf 3 -sc_threshold 0 -x264-params open-gop=1 -c:a aac", "mkv"),
        ("-c:v libx264 -bf 3 -sc_threshold 0 -c:a aac", "ts"),
        ("-c:v libx265 -preset superfast -x265-params log-level=none:keyint=50:open-gop=1:scenecut=0 -c:a aac", "mkv"),
        ("-c:v mpeg4 -bf 2 -sc_threshold 1000000000 -b:v 1M -c:a aac", "mp4"),
        ("-c:v mpeg2video -bf 2 -sc_threshold 1000000000 -b:v 1M -c:a mp2", "ts"),
        ("-c:v mpeg2video -bf 2 -sc_threshold 1000000000 -b:v 1M -c:a mp2", "mpg"),
        ("-c:v mpeg4 -bf 0 -sc_threshold 1000000000 -b:v 1M -c:a libmp3lame", "avi"),
        ("-c:v libtheora -q:v 8 -c:a libvorbis", "ogv"),
    ] {
        let path = room.path(&format!("a.{container}"));
        make(&path, coding);
        let mut reel = FilmReel::open(path.to_str().unwrap(), &OpenOptions::default(), patient()).unwrap();
        for to in [3140, 500, 2000, 3990, 5990, 0] {
            let what = format!("{coding} in {container}, to {to} ms");
            reel.seek(Duration::from_millis(to)).unwrap();
            let frames = frames(&mut reel, 60);
            let (pictures, sound): (Vec<_>, Vec<_>) = frames.iter().partition(|frame| frame.kind == MediaKind::Video);
            let first = pictures.first().unwrap_or_else(|| panic!("{what}: no picture"));
            assert!(
                millis(first.at).abs_diff(to) <= STEP && first.at + first.duration > Duration::from_millis(to),
                "{what}: {:?}",
                first.at
            );
            assert!(
                sound.iter().all(|frame| frame.at + frame.duration > Duration::from_millis(to)),
                "{what}: {sound:?}"
            );
            let mut times: Vec<u64> = pictures.iter().map(|frame| millis(frame.at)).collect();
            times.sort_unstable();
            times.dedup();
            assert_eq!(times.len(), pictures.len(), "{what}: none twice: {times:?}");
            // Those that rest on pictures before a key frame are missing where the film goes on as it is coded.
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 4 * STEP + 1), "{what}: {times:?}");
            let mut coded = false;
            for frame in &pictures {
                if let Content::Picture(picture) = &frame.content {
                    let due = (millis(frame.at) + ROUNDED) / STEP;
                    // FFmpeg leaves a hole behind the first picture in this container.
                    let off = u64::from(container == "avi");
                    assert!(number(picture).abs_diff(due) <= off, "{what}: {} at {:?}", number(picture), frame.at);
                    assert!(!coded, "{what}: no way back to pictures");
                } else {
                    assert!(coded || frame.key, "{what}: {:?}", frame.at);
                    coded = true;
                }
            }
        }
    }
}
