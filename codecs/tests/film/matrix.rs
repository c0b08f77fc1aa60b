//! Whatever FFmpeg writes is read and decoded here: containers by codecs.

use crate::{Room, ffmpeg, open, read_all};
use rivero_codecs::coder::Largest;
use rivero_codecs::film::{Decoded, Reader, TrackDecoder};
use rivero_engine::{Codec, MediaKind, MediaTime};
use std::path::Path;
use std::time::Duration;

/// Pictures (and their last time), and seconds of sound.
fn decode(reader: &mut Reader, what: &str) -> (Vec<Duration>, f64) {
    let mut decoders: Vec<_> =
        reader.tracks().iter().map(|track| TrackDecoder::new(track, Largest::default()).unwrap()).collect();
    let (mut out, mut pictures, mut sound) = (Vec::new(), Vec::new(), 0.0);
    for unit in read_all(reader).unwrap() {
        let told = decoders[unit.track].decode(&unit, &mut out);
        assert!(told.is_ok(), "{what}: {told:?}");
    }
    decoders.iter_mut().for_each(|decoder| decoder.flush(&mut out).unwrap());
    for decoded in out {
        match decoded {
            Decoded::Picture(picture) => {
                assert_eq!((picture.width, picture.height), (176, 144), "{what}");
                pictures.push(picture.at.since(MediaTime::ZERO));
            }
            Decoded::Sound(samples) => sound += samples.frames() as f64 / f64::from(samples.rate),
        }
    }
    (pictures, sound)
}

fn make(path: &Path, video: Option<&str>, audio: Option<&str>) {
    let mut arguments = Vec::new();
    if video.is_some() {
        arguments.extend(["-f", "lavfi", "-i", "testsrc=s=176x144:r=25:d=2,format=yuv420p"]);
    }
    if audio.is_some() {
        arguments.extend(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]);
    }
    for (option, words) in [("-c:v", video), ("-c:a", audio)] {
        if let Some(words) = words {
            arguments.push(option);
            arguments.extend(words.split(' '));
        }
    }
    arguments.extend(["-strict", "-2"]);
    ffmpeg(&arguments, path);
}

#[test]
fn every_container_and_codec_is_read_and_decoded() {
    let room = Room::new("matrix");
    let both = [
        ("mpeg2video", "mp2", "ts"),
        ("libx264 -bf 2", "aac", "ts"),
        ("libx265", "aac", "ts"),
        ("libx264", "libopus", "ts"),
        ("mpeg1video", "mp2", "mpg"),
        ("libx264 -bf 2", "aac", "mp4"),
        ("libx265", "libopus", "mp4"),
        ("mpeg4", "libmp3lame", "mp4"),
        ("libvpx-vp9 -deadline realtime -cpu-used 8", "flac", "mp4"),
        ("h263", "libopencore_amrnb", "skip"),
        ("libx264", "pcm_s16le", "mov"),
        ("prores_ks", "alac", "mov"),
        ("libvpx -deadline realtime", "libvorbis", "webm"),
        ("libvpx-vp9 -deadline realtime -cpu-used 8", "libopus", "webm"),
        ("ffv1", "flac", "mkv"),
        ("libx264 -bf 2", "ac3", "mkv"),
        ("mjpeg -pix_fmt yuvj420p", "pcm_mulaw", "mkv"),
        ("libtheora", "libvorbis", "ogv"),
        ("mpeg4", "libmp3lame", "avi"),
        ("mjpeg -pix_fmt yuvj420p", "pcm_s16le", "avi"),
        ("flv", "libmp3lame", "flv"),
        ("libx264", "aac", "flv"),
        ("wmv2", "wmav2", "asf"),
        ("mpeg2video", "pcm_s16le", "mxf"),
        ("rawvideo", "pcm_s16le", "nut"),
    ];
    for (video, audio, container) in both.into_iter().filter(|(.., container)| *container != "skip") {
        let what = format!("{video} and {audio} in {container}");
        let path = room.path(&format!("a.{container}"));
        make(&path, Some(video), Some(audio));
        let mut reader = open(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let kinds: Vec<_> = reader.tracks().iter().map(|track| track.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == MediaKind::Video).count(), 1, "{what}");
        let track = reader.best(MediaKind::Video).map(|track| &reader.tracks()[track]).unwrap();
        assert_eq!((track.width, track.height), (176, 144), "{what}");
        let duration = reader.duration().unwrap().as_secs_f64();
        assert!((1.8..2.4).contains(&duration), "{what}: {duration} s");
        let (pictures, sound) = decode(&mut reader, &what);
        assert!((49..=51).contains(&pictures.len()), "{what}: {} pictures", pictures.len());
        assert!(pictures.is_sorted() && pictures[0] < Duration::from_millis(200), "{what}: {pictures:?}");
        assert!((1.9..2.2).contains(&sound), "{what}: {sound} s of sound");
    }
}

/// Four fields: the brightness of each, in the studio range, of every picture.
#[test]
fn pictures_of_every_format_look_as_they_should() {
    let room = Room::new("formats");
    let source = "color=black:s=176x144:r=25:d=1.6,format=rgb24,drawbox=0:0:88:72:red:fill,drawbox=88:0:88:72:lime:fill,\
                  drawbox=0:72:88:72:blue:fill,drawbox=88:72:88:72:white:fill[a];color=black:s=12x12:r=25:d=1.6[b];\
                  [a][b]overlay=x='82+22*sin(8*t)':y=66,format=yuv420p";
    for (codec, format) in
        [("png", "gray"), ("png", "pal8"), ("png", "gray16be"), ("png", "rgb24"), ("ffv1", "gray12le")]
    {
        let path = room.path("a.mov");
        let path = if codec == "ffv1" { path.with_extension("mkv") } else { path };
        ffmpeg(&["-filter_complex", source, "-c:v", codec, "-pix_fmt", format], &path);
        let mut reader = open(&path).unwrap();
        let mut decoder = TrackDecoder::new(&reader.tracks()[0], Largest::default()).unwrap();
        let mut out = Vec::new();
        for unit in read_all(&mut reader).unwrap() {
            decoder.decode(&unit, &mut out).unwrap();
        }
        decoder.flush(&mut out).unwrap();
        for (number, decoded) in out.iter().enumerate() {
            let Decoded::Picture(picture) = decoded else { panic!("{decoded:?}") };
            let y = |x: usize, line: usize| i32::from(picture.planes[0].data[line * picture.planes[0].stride + x]);
            let is = [y(20, 20), y(150, 20), y(20, 120), y(150, 120)];
            let near = is.iter().zip([82, 145, 41, 235]).all(|(is, wanted)| (is - wanted).abs() < 8);
            assert!(near, "{format} in {codec}: picture {number} of {}: {is:?}", out.len());
        }
        assert_eq!(out.len(), 40, "{format} in {codec}");
    }
}

#[test]
fn sound_alone_is_read_and_decoded() {
    let room = Room::new("sounds");
    for (audio, container) in [
        ("pcm_s16le", "wav"),
        ("pcm_alaw", "wav"),
        ("adpcm_ms", "wav"),
        ("libmp3lame", "mp3"),
        ("aac", "aac"),
        ("aac", "m4a"),
        ("flac", "flac"),
        ("libopus", "opus"),
        ("libvorbis", "ogg"),
        ("libspeex -ar 16000", "ogg"),
        ("pcm_mulaw -ar 8000", "au"),
        ("pcm_s16be", "aiff"),
        ("ac3", "ac3"),
        ("wmav2", "wma"),
        ("libgsm -ar 8000 -f gsm", "gsm"),
        ("g722 -ar 16000 -f g722", "g722"),
    ] {
        let what = format!("{audio} in {container}");
        let path = room.path(&format!("a.{container}"));
        make(&path, None, Some(audio));
        let mut reader = open(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let track = reader.tracks()[0].clone();
        assert_eq!(track.kind, MediaKind::Audio, "{what}");
        assert!(track.rate > 0 && track.channels > 0, "{what}");
        if track.codec == Some(Codec::Aac) {
            assert!(track.config.len() >= 2, "{what}: {:?}", track.config);
        }
        let (_, sound) = decode(&mut reader, &what);
        assert!((1.8..2.2).contains(&sound), "{what}: {sound} s of sound");
    }
}

#[test]
fn a_seek_lands_on_a_key_frame_at_that_time_or_before() {
    let room = Room::new("seek");
    for (video, audio, container) in [
        ("libx264 -g 25 -bf 2", "aac", "mp4"),
        ("libx264 -g 25 -bf 2", "aac", "ts"),
        ("libx264 -g 25 -bf 2", "aac", "flv"),
        ("libvpx -g 25 -deadline realtime", "libopus", "webm"),
        ("mpeg4 -g 25", "libmp3lame", "avi"),
        ("mpeg2video -g 12", "mp2", "mpg"),
        ("libtheora -g 16", "libvorbis", "ogv"),
    ] {
        let path = room.path(&format!("a.{container}"));
        make(&path, Some(video), Some(audio));
        let mut reader = open(&path).unwrap();
        assert!(reader.is_seekable(), "{container}");
        let video = reader.best(MediaKind::Video).unwrap();
        for to in [1500, 300, 1990, 0, 1100] {
            let to = Duration::from_millis(to);
            let landed = reader.seek(to).unwrap_or_else(|error| panic!("{container} to {to:?}: {error}"));
            let first = std::iter::from_fn(|| reader.read().unwrap())
                .find(|unit| unit.track == video)
                .unwrap_or_else(|| panic!("{container} to {to:?}: {landed:?}"));
            assert!(first.key && first.at == landed, "{container} to {to:?}: {landed:?}, {first:?}");
            assert!(landed <= to || to.is_zero(), "{container} to {to:?}: {landed:?}");
            assert!(to.saturating_sub(landed) <= Duration::from_millis(1100), "{container} to {to:?}: {landed:?}");
        }
        // After the end as well.
        read_all(&mut reader).unwrap();
        reader.seek(Duration::ZERO).unwrap();
        assert!(read_all(&mut reader).unwrap().len() > 50, "{container}");
    }
}

#[test]
fn only_the_tracks_that_are_wanted_come() {
    let room = Room::new("keep");
    let path = room.path("a.mkv");
    make(&path, Some("libx264"), Some("aac"));
    let mut reader = open(&path).unwrap();
    let audio = reader.best(MediaKind::Audio).unwrap();
    reader.keep(&[audio]);
    let units = read_all(&mut reader).unwrap();
    assert!(units.len() > 80 && units.iter().all(|unit| unit.track == audio));
}
