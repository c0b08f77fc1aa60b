//! What goes into a recording comes out of it.

use crate::make::{self, Clip, at, audio, clip, record_file, video};
use crate::{Room, assert_decodes, open, probe, read_all};
use rivero_codecs::film::{FilmError, Format, Reader, Target, Writer, WriterOptions, WriterTrack};
use rivero_engine::{Codec, MediaTime};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

const ALL: [(Format, &str, &[Codec]); 4] = [
    (Format::WebM, "webm", &[Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus, Codec::Vorbis]),
    (
        Format::Matroska,
        "mkv",
        &[
            Codec::Vp8,
            Codec::Vp9,
            Codec::Av1,
            Codec::H264,
            Codec::H265,
            Codec::Mjpeg,
            Codec::Opus,
            Codec::Vorbis,
            Codec::Aac,
            Codec::Mp3,
            Codec::Pcmu,
            Codec::Pcma,
        ],
    ),
    (Format::Mp4, "mp4", &[Codec::H264, Codec::H265, Codec::Vp9, Codec::Av1, Codec::Aac, Codec::Mp3, Codec::Opus]),
    (Format::Flv, "flv", &[Codec::H264, Codec::Aac, Codec::Mp3]),
];

fn ffmpegs_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::Av1 => "av1",
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
        Codec::Mjpeg => "mjpeg",
        Codec::Opus => "opus",
        Codec::Vorbis => "vorbis",
        Codec::Aac => "aac",
        Codec::Mp3 => "mp3",
        Codec::Pcmu => "pcm_mulaw",
        Codec::Pcma => "pcm_alaw",
        other => panic!("{other:?} is in no container here"),
    }
}

/// A start code may have three bytes or four.
fn same(codec: Codec, one: &[u8], other: &[u8]) -> bool {
    let plain = |data: &[u8]| {
        let mut out: Vec<u8> = Vec::with_capacity(data.len());
        for byte in data {
            out.push(*byte);
            if out.ends_with(&[0, 0, 0, 1]) {
                out.truncate(out.len() - 2);
                out.push(1);
            }
        }
        out
    };
    if matches!(codec, Codec::H264 | Codec::H265) { plain(one) == plain(other) } else { one == other }
}

/// Our reader finds the same frames at the same times.
fn assert_same(reader: &mut Reader, clips: &[Clip], tolerance: Duration, what: &str) {
    let units = read_all(reader).unwrap();
    for (index, clip) in clips.iter().enumerate() {
        let codec = clip.track.codec;
        let track =
            reader.tracks().iter().position(|t| t.codec == Some(codec)).unwrap_or_else(|| panic!("{what}: {codec:?}"));
        let ours: Vec<_> = units.iter().filter(|unit| unit.track == track).collect();
        assert_eq!(ours.len(), clip.frames.len(), "{what}: {codec:?} {index}");
        for (unit, frame) in ours.iter().zip(&clip.frames) {
            assert!(same(codec, &unit.data, &frame.data), "{what}: {codec:?} at {:?}", unit.at);
            assert_eq!(unit.key, frame.key, "{what}: {codec:?} at {:?}", unit.at);
            assert!(unit.at.abs_diff(at(frame)) <= tolerance, "{what}: {codec:?} at {:?} for {:?}", unit.at, frame.at);
        }
    }
}

#[test]
fn every_codec_comes_back_from_every_container_that_takes_it() {
    let room = Room::new("every");
    for (format, extension, codecs) in ALL {
        for &codec in codecs {
            assert!(format.takes(codec));
            let clips = [clip(codec, 2.0)];
            let path = room.path(&format!("{codec:?}.{extension}"));
            let what = format!("{codec:?} in {extension}");
            let summary = record_file(&path, format, &clips);
            assert_eq!(summary.units, [clips[0].frames.len() as u64], "{what}");
            assert!(
                summary.duration.abs_diff(Duration::from_secs(2)) < Duration::from_millis(100),
                "{what}: {summary:?}"
            );
            let probed = probe(&path);
            assert_eq!(probed["streams.stream.0.codec_name"], ffmpegs_name(codec), "{what}");
            assert_eq!(probed["streams.stream.0.nb_read_packets"], clips[0].frames.len().to_string(), "{what}");
            let duration: f64 = probed["format.duration"].parse().unwrap();
            assert!((duration - 2.0).abs() < 0.15, "{what}: {duration} s");
            assert_decodes(&path);
            let mut reader = open(&path).unwrap();
            assert!(reader.is_seekable() && !reader.is_live());
            assert_same(&mut reader, &clips, Duration::from_millis(8), &what);
        }
    }
}

#[test]
fn sound_and_pictures_stay_together() {
    let room = Room::new("together");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Matroska, "a.mkv", [Codec::H264, Codec::Aac]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
        (Format::Mp4, "b.mp4", [Codec::H265, Codec::Opus]),
        (Format::Flv, "a.flv", [Codec::H264, Codec::Aac]),
    ] {
        let clips = pair.map(|codec| clip(codec, 3.0));
        let path = room.path(name);
        record_file(&path, format, &clips);
        assert_decodes(&path);
        let mut reader = open(&path).unwrap();
        assert_same(&mut reader, &clips, Duration::from_millis(8), name);
        // To the key frame at that time or before, and from there on.
        for (to, lands) in [(2500, 2000), (1020, 1000), (0, 0), (1990, 1000)] {
            let landed = reader.seek(Duration::from_millis(to)).unwrap();
            assert!(
                landed.abs_diff(Duration::from_millis(lands)) <= Duration::from_millis(8),
                "{name}: {to} -> {landed:?}"
            );
            let video = reader.tracks().iter().position(|t| t.codec == Some(pair[0])).unwrap();
            let first = std::iter::from_fn(|| reader.read().unwrap()).find(|unit| unit.track == video).unwrap();
            assert!(first.key && first.at == landed, "{name}: {to}");
        }
    }
}

#[test]
fn a_track_that_begins_late_keeps_its_time() {
    let room = Room::new("late");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Matroska, "a.mkv", [Codec::H264, Codec::Aac]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
        (Format::Mp4, "b.mp4", [Codec::H265, Codec::Opus]),
        (Format::Mp4, "c.mp4", [Codec::Av1, Codec::Opus]),
        (Format::Flv, "a.flv", [Codec::H264, Codec::Aac]),
    ] {
        let whole = pair.map(|codec| clip(codec, 4.0));
        for (which, seconds) in [(0, 1), (1, 1), (0, 3), (1, 3)] {
            let mut clips = whole.clone();
            let late = &mut clips[which];
            late.frames.truncate(late.frames.len() / 2);
            late.frames.iter_mut().for_each(|frame| frame.at = frame.at + Duration::from_secs(seconds));
            let path = room.path(name);
            record_file(&path, format, &clips);
            let what = format!("{name}: {:?} {seconds} s late", pair[which]);
            assert_same(&mut open(&path).unwrap(), &clips, Duration::from_millis(8), &what);
            assert_decodes(&path);
        }
    }
}

#[test]
fn gaps_stay_gaps() {
    let room = Room::new("gaps");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
        (Format::Flv, "a.flv", [Codec::H264, Codec::Aac]),
    ] {
        let mut clips = pair.map(|codec| clip(codec, 3.0));
        // Sound is lost for a second, pictures end early.
        let lost = MediaTime::from_millis(1000)..MediaTime::from_millis(2000);
        clips[1].frames.retain(|frame| !lost.contains(&frame.at));
        clips[0].frames.truncate(45);
        let path = room.path(name);
        record_file(&path, format, &clips);
        assert_same(&mut open(&path).unwrap(), &clips, Duration::from_millis(8), name);
        assert_decodes(&path);
    }
}

#[test]
fn pictures_may_change_in_size() {
    let room = Room::new("sizes");
    for (format, name, codec) in [
        (Format::WebM, "a.webm", Codec::Vp8),
        (Format::WebM, "b.webm", Codec::Vp9),
        (Format::WebM, "c.webm", Codec::Av1),
        (Format::Matroska, "a.mkv", Codec::H264),
        (Format::Mp4, "a.mp4", Codec::H264),
        (Format::Mp4, "b.mp4", Codec::H265),
        (Format::Flv, "a.flv", Codec::H264),
    ] {
        let mut whole = video(codec, 160, 120, 1.0);
        for (number, (width, height)) in [(320, 240), (96, 64)].into_iter().enumerate() {
            let next = video(codec, width, height, 1.0).later(Duration::from_secs(number as u64 + 1));
            whole.frames.extend(next.frames);
        }
        let path = room.path(name);
        record_file(&path, format, &[whole]);
        let mut reader = open(&path).unwrap();
        let mut decoder = rivero_codecs::film::TrackDecoder::new(&reader.tracks()[0], Default::default()).unwrap();
        let mut out = Vec::new();
        for unit in read_all(&mut reader).unwrap() {
            decoder.decode(&unit, &mut out).unwrap();
        }
        decoder.flush(&mut out).unwrap();
        let sizes: Vec<_> = out
            .iter()
            .map(|decoded| match decoded {
                rivero_codecs::film::Decoded::Picture(picture) => (picture.width, picture.height),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes.len(), 90, "{name}");
        assert_eq!([sizes[0], sizes[45], sizes[89]], [(160, 120), (320, 240), (96, 64)], "{name}");
    }
}

#[test]
fn pictures_out_of_order_are_shown_in_order() {
    let room = Room::new("order");
    let source = room.path("b.mkv");
    crate::ffmpeg(
        &["-f", "lavfi", "-i", "testsrc=s=160x120:r=25:d=3", "-c:v", "libx264", "-bf", "3", "-g", "25"],
        &source,
    );
    let units = read_all(&mut open(&source).unwrap()).unwrap();
    assert!(units.windows(2).any(|pair| pair[1].at < pair[0].at), "the clip has B-frames");
    for (format, name) in [(Format::Matroska, "a.mkv"), (Format::Mp4, "a.mp4"), (Format::Flv, "a.flv")] {
        let path = room.path(name);
        let target = Target::Path(path.clone());
        let tracks = vec![WriterTrack::video(Codec::H264)];
        let mut writer = Writer::create(target, format, tracks, WriterOptions::default()).unwrap();
        for unit in &units {
            writer.write(0, unit.data.clone(), MediaTime::ZERO + unit.at, unit.key).unwrap();
        }
        writer.finish().unwrap();
        assert_decodes(&path);
        let again = read_all(&mut open(&path).unwrap()).unwrap();
        assert_eq!(again.len(), units.len());
        for (is, was) in again.iter().zip(&units) {
            assert!(is.at.abs_diff(was.at) <= Duration::from_millis(2), "{name}: {:?} for {:?}", is.at, was.at);
        }
    }
}

#[test]
fn jpegs_follow_each_other() {
    let room = Room::new("jpeg");
    let path = room.path("a.jpg");
    let clips = [clip(Codec::Mjpeg, 0.5)];
    record_file(&path, Format::Jpeg, &clips);
    assert_eq!(std::fs::read(&path).unwrap(), make::bytes(&clips[0]).concat());
}

#[test]
fn what_a_container_cannot_hold_is_refused() {
    let room = Room::new("refused");
    let create = |format, track| {
        Writer::create(Target::Path(room.path("x")), format, vec![track], WriterOptions::default()).err().unwrap()
    };
    assert!(matches!(create(Format::WebM, WriterTrack::video(Codec::H264)), FilmError::Unsupported(_)));
    assert!(matches!(create(Format::Mp4, WriterTrack::video(Codec::Vp8)), FilmError::Unsupported(_)));
    assert!(matches!(create(Format::Mp4, WriterTrack::audio(Codec::Aac, 48_000, 2)), FilmError::Refused(_)));
    assert!(matches!(create(Format::WebM, WriterTrack::audio(Codec::Opus, 48_000, 0)), FilmError::Refused(_)));
    assert!(Writer::create(Target::Path(room.path("x")), Format::WebM, vec![], WriterOptions::default()).is_err());
    let below_a_file = room.path("file");
    std::fs::write(&below_a_file, "x").unwrap();
    let tracks = vec![WriterTrack::video(Codec::Vp8)];
    let target = Target::Path(below_a_file.join("a.webm"));
    assert!(matches!(
        Writer::create(target, Format::WebM, tracks, WriterOptions::default()),
        Err(FilmError::Io { .. })
    ));
}

#[test]
fn a_full_disk_is_told_as_such() {
    let full = Path::new("/dev/full");
    for (format, codec) in [(Format::WebM, Codec::Vp8), (Format::Mp4, Codec::H264)] {
        let clips = [clip(codec, 2.0)];
        let device = std::fs::OpenOptions::new().write(true).open(full).unwrap();
        let target = Target::Stream(Box::new(device));
        let mut writer = Writer::create(target, format, make::tracks(&clips), WriterOptions::default()).unwrap();
        let told = clips[0].frames.iter().find_map(|f| writer.write(0, f.data.clone(), f.at, f.key).err());
        assert!(matches!(told, Some(FilmError::Full)), "{format:?}: {told:?}");
    }
}

/// Where everything that was written is to be seen.
#[derive(Clone, Default)]
pub struct Tape(pub std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Tape {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_cannot_be_rewritten_is_recorded_all_the_same() {
    let room = Room::new("pipe");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
        (Format::Flv, "a.flv", [Codec::H264, Codec::Aac]),
    ] {
        let clips = pair.map(|codec| clip(codec, 2.0));
        let tape = Tape::default();
        let summary = make::record(Target::Stream(Box::new(tape.clone())), format, &clips);
        let data = tape.0.lock().unwrap().clone();
        assert_eq!(summary.bytes, data.len() as u64, "{name}");
        let path = room.path(name);
        std::fs::write(&path, data).unwrap();
        assert_same(&mut open(&path).unwrap(), &clips, Duration::from_millis(8), name);
        assert_decodes(&path);
    }
}

#[test]
fn what_is_synced_is_the_same() {
    let room = Room::new("sync");
    let clips = [clip(Codec::Vp8, 2.0)];
    // Below directories that do not exist yet.
    let path = room.path("deep/down/a.webm");
    let options = WriterOptions { sync: true, ..WriterOptions::default() };
    let mut writer = Writer::create(Target::Path(path.clone()), Format::WebM, make::tracks(&clips), options).unwrap();
    for frame in &clips[0].frames {
        writer.write(0, frame.data.clone(), frame.at, frame.key).unwrap();
    }
    writer.finish().unwrap();
    assert_same(&mut open(&path).unwrap(), &clips, Duration::from_millis(8), "synced");
}

#[test]
fn pictures_before_the_first_key_frame_are_left_out() {
    let room = Room::new("key");
    let mut clip = video(Codec::Vp8, 160, 120, 2.0);
    clip.frames.drain(..10);
    let path = room.path("a.webm");
    let summary = record_file(&path, Format::WebM, &[clip]);
    assert_eq!((summary.left_out, &summary.units[..]), (20, &[30][..]));
    let mut reader = open(&path).unwrap();
    let first = reader.read().unwrap().unwrap();
    assert!(first.key && first.at == Duration::ZERO);
}

#[test]
fn a_recording_without_media_ends_without_a_fuss() {
    let room = Room::new("empty");
    for format in [Format::WebM, Format::Mp4] {
        let path = room.path("a");
        let clip = Clip { frames: Vec::new(), ..audio(Codec::Opus, 0.1) };
        let summary = record_file(&path, format, &[clip]);
        assert_eq!((summary.bytes, summary.duration), (0, Duration::ZERO));
        assert!(open(&path).is_err());
    }
}
