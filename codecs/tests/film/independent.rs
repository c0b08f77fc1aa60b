//! Recordings as readers without FFmpeg see them: codecs, durations, every frame at its time, and what seeking needs.

use crate::make::{Clip, at, clip, record_file};
use crate::readers::{self, Seen, SeenTrack};
use crate::{Room, assert_decodes};
use rivero_codecs::film::Format;
use rivero_engine::{Codec, MediaKind};
use std::path::Path;
use std::time::Duration;

/// Format, file, codecs, and how each of two readers calls them.
type Film = (Format, &'static str, [Codec; 2], [[&'static str; 2]; 2]);
const FILMS: [Film; 6] = [
    (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus], [["V_VP8", "A_OPUS"]; 2]),
    (Format::WebM, "b.webm", [Codec::Vp9, Codec::Opus], [["V_VP9", "A_OPUS"]; 2]),
    (Format::WebM, "c.webm", [Codec::Av1, Codec::Opus], [["V_AV1", "A_OPUS"]; 2]),
    (Format::Matroska, "a.mkv", [Codec::H264, Codec::Aac], [["V_MPEG4/ISO/AVC", "A_AAC"]; 2]),
    (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac], [["h264", "aac"], ["avc1", "?"]]),
    (Format::Mp4, "b.mp4", [Codec::H265, Codec::Opus], [["h265", "?"], ["hev1", "?"]]),
];

/// What containers round times to, and half a picture more where a track's end is told by its last step.
const TOLERANCE: Duration = Duration::from_millis(8);

fn read(path: &Path) -> [Seen; 2] {
    let seen: Result<Vec<_>, _> = readers::read(path).into_iter().collect();
    let seen: Result<[Seen; 2], _> = seen.unwrap_or_else(|error| panic!("{}: {error}", path.display())).try_into();
    seen.unwrap()
}

/// When a clip's last frame is over.
fn end(clip: &Clip) -> Duration {
    let [.., before, last] = &clip.frames[..] else { panic!("a clip of one frame") };
    at(last) + (at(last) - at(before))
}

fn near(is: Duration, was: Duration) -> bool {
    is.abs_diff(was) <= TOLERANCE
}

fn assert_frames(seen: &SeenTrack, clip: &Clip, what: &str) {
    assert_eq!(seen.times.len(), clip.frames.len(), "{what}");
    for (is, was) in seen.times.iter().zip(&clip.frames) {
        assert!(near(*is, at(was)), "{what}: {is:?} for {:?}", was.at);
    }
    let keys: Vec<_> = clip.frames.iter().filter(|frame| frame.key).map(at).collect();
    assert_eq!(seen.keys.len(), keys.len(), "{what}");
    assert!(seen.keys.iter().zip(keys).all(|(is, was)| near(*is, was)), "{what}: {:?}", seen.keys);
    // Start codes become lengths, and some units stand in the head only.
    let bytes = clip.frames.iter().map(|frame| frame.data.len()).sum::<usize>() as u64;
    assert!(seen.bytes.abs_diff(bytes) < 64 + 8 * clip.frames.len() as u64, "{what}: {} of {bytes} bytes", seen.bytes);
}

fn assert_seen(seen: &Seen, names: [&str; 2], clips: &[Clip; 2], file: &str) {
    let what = format!("{} of {file}", seen.reader);
    let whole = clips.iter().map(end).max().unwrap();
    assert!(
        seen.duration.is_some_and(|is| is.abs_diff(whole) <= 3 * TOLERANCE),
        "{what}: {:?} of {whole:?}",
        seen.duration
    );
    let codecs: Vec<_> = seen.tracks.iter().map(|track| &track.codec[..4.min(track.codec.len())]).collect();
    let names: Vec<_> = names.iter().map(|name| &name[..4.min(name.len())]).collect();
    assert_eq!(codecs, names, "{what}");
    for (track, clip) in seen.tracks.iter().zip(clips) {
        let what = format!("{what}: {:?}", clip.track.codec);
        match clip.track.codec.kind() {
            MediaKind::Video => assert_eq!(track.size, (160, 120), "{what}"),
            _ if track.rate > 0 => assert_eq!((track.rate, track.channels), (48_000, 2), "{what}"),
            _ => assert!(file.ends_with(".mp4"), "{what}: no rate"),
        }
        assert!(
            track.duration.is_none_or(|is| is.abs_diff(end(clip)) <= 3 * TOLERANCE),
            "{what}: {:?}",
            track.duration
        );
        if !track.times.is_empty() {
            assert_frames(track, clip, &what);
        }
    }
}

#[test]
fn all_readers_see_every_frame_at_its_time() {
    let room = Room::new("independent");
    for (format, name, pair, names) in FILMS {
        let clips = pair.map(|codec| clip(codec, 3.0));
        let path = room.path(name);
        record_file(&path, format, &clips);
        let seen = read(&path);
        for (seen, names) in seen.iter().zip(names) {
            assert_seen(seen, names, &clips, name);
        }
        assert!(seen[1].tracks.iter().all(|track| !track.times.is_empty()), "{name}: frames are read");
        if format != Format::Mp4 {
            // One for each key frame, which all come first in a cluster or within one.
            assert!(seen[1].cues.len() >= 3, "{name}: {:?}", seen[1].cues);
            for key in &seen[1].tracks[0].keys {
                assert!(
                    seen[1].cues.iter().any(|cue| near(*cue, *key)),
                    "{name}: no way to {key:?}: {:?}",
                    seen[1].cues
                );
            }
        }
    }
}

#[test]
fn a_head_tells_how_long_each_track_is() {
    let room = Room::new("durations");
    for late in [0, 1] {
        let mut clips = [Codec::H264, Codec::Aac].map(|codec| clip(codec, 3.0));
        // One begins a second late, the other ends a second early.
        clips[late] = clips[late].clone().later(Duration::from_secs(1));
        clips[1 - late].frames.retain(|frame| at(frame) < Duration::from_secs(2));
        let path = room.path("a.mp4");
        record_file(&path, Format::Mp4, &clips);
        assert_decodes(&path);
        let [tables, _] = read(&path);
        assert_seen(&tables, ["h264", "aac"], &clips, "a late track");
    }
}

#[test]
fn a_track_that_never_comes_is_not_there() {
    let room = Room::new("never");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Matroska, "a.mkv", [Codec::H264, Codec::Opus]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
    ] {
        for missing in [0, 1] {
            let mut clips = pair.map(|codec| clip(codec, 3.0));
            clips[missing].frames.clear();
            let path = room.path(name);
            record_file(&path, format, &clips);
            assert_decodes(&path);
            for seen in read(&path) {
                let what = format!("{} of {name} without {:?}", seen.reader, pair[missing]);
                assert!(
                    seen.duration.is_some_and(|is| near(is, end(&clips[1 - missing]))),
                    "{what}: {:?}",
                    seen.duration
                );
                assert_eq!(seen.tracks.len(), 1, "{what}");
            }
        }
    }
}
