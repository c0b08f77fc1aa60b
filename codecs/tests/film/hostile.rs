//! Bytes and texts that mean harm end in an error: no panic, no gigabytes, no other file.

use crate::make::{clip, record_file};
use crate::{Room, ffmpeg, open, patient};
use data_encoding::BASE64;
use rivero_codecs::coder::Largest;
use rivero_codecs::film::{FilmError, Format, OpenOptions, Reader, Roots, Scheme, TrackDecoder};
use rivero_engine::Codec;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Opens, reads, decodes and seeks; whatever comes of it.
fn try_all(path: &Path) -> Result<usize, FilmError> {
    let mut reader = open(path)?;
    let largest = Largest { width: 2048, height: 2048 };
    let mut decoders: Vec<_> = reader.tracks().iter().map(|track| TrackDecoder::new(track, largest)).collect();
    let mut count = 0;
    for pass in 0..2 {
        let mut out = Vec::new();
        while let Some(unit) = reader.read()? {
            count += 1;
            assert!(count < 100_000);
            if let Some(Ok(decoder)) = decoders.get_mut(unit.track) {
                let _ = decoder.decode(&unit, &mut out);
                out.clear();
            }
        }
        if pass == 0 {
            reader.seek(Duration::from_millis(500))?;
        }
    }
    Ok(count)
}

fn samples(room: &Room) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (format, name, pair) in [
        (Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]),
        (Format::Matroska, "a.mkv", [Codec::H265, Codec::Aac]),
        (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac]),
        (Format::Flv, "a.flv", [Codec::H264, Codec::Aac]),
    ] {
        let path = room.path(name);
        record_file(&path, format, &pair.map(|codec| clip(codec, 1.0)));
        paths.push(path);
    }
    let (video, audio) = ("testsrc=s=96x64:r=25:d=1", "sine=frequency=440:duration=1");
    for (name, codecs) in [
        ("b.mp4", ["libx264", "aac"]),
        ("b.ts", ["mpeg2video", "mp2"]),
        ("b.avi", ["mpeg4", "libmp3lame"]),
        ("b.ogv", ["libtheora", "libvorbis"]),
        ("b.asf", ["wmv2", "wmav2"]),
    ] {
        let path = room.path(name);
        let [v, a] = codecs;
        ffmpeg(&["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio, "-c:v", v, "-c:a", a], &path);
        paths.push(path);
    }
    paths
}

/// The most that this process has ever held, in bytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn truncated_files_end() {
    let room = Room::new("truncated");
    for path in samples(&room) {
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(1000) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let _ = try_all(&path);
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(try_all(&path).unwrap() > 20, "{}", path.display());
    }
    assert!(most_memory() < 1 << 30);
}

#[test]
fn flipped_bits_end() {
    let room = Room::new("flipped");
    let mut seed = 1_u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    for path in samples(&room) {
        let whole = std::fs::read(&path).unwrap();
        for round in 0..60 {
            let mut data = whole.clone();
            // Headers are where it hurts.
            let reach = if round % 2 == 0 { data.len().min(1500) } else { data.len() };
            for _ in 0..1 + round % 8 {
                data[next(reach)] ^= 1 << next(8);
            }
            std::fs::write(&path, data).unwrap();
            let _ = try_all(&path);
        }
    }
    assert!(most_memory() < 1 << 30);
}

#[test]
fn giant_pictures_are_refused() {
    let room = Room::new("giant");
    let mut ivf = Vec::from(*b"DKIF\0\0\x20\0VP80\xff\xff\xff\xff");
    ivf.extend([30, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    ivf.extend([30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // A key frame of 16383x16383 (RFC 6386, section 9.1).
    ivf.extend([0x10, 1, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f]);
    ivf.extend([0; 20]);
    let mut bmp = Vec::from(*b"BM\x7a\0\0\0\0\0\0\0\x7a\0\0\0\x28\0\0\0");
    bmp.extend(100_000_u32.to_le_bytes());
    bmp.extend(100_000_u32.to_le_bytes());
    bmp.extend([1, 0, 24, 0]);
    bmp.extend([0; 200]);
    let mut png = Vec::from(*b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0");
    png.extend([0; 100]);
    for (name, data) in [
        ("a.y4m", Vec::from(&b"YUV4MPEG2 W100000 H100000 F25:1 Ip A1:1 C420\nFRAME\nabc"[..])),
        ("a.ivf", ivf),
        ("a.bmp", bmp),
        ("a.png", png),
        ("a.ppm", Vec::from(&b"P6\n100000 100000\n255\nabcdefghijklmnop"[..])),
    ] {
        let path = room.path(name);
        std::fs::write(&path, data).unwrap();
        let opened = open(&path).and_then(|mut reader| {
            let mut decoder = TrackDecoder::new(&reader.tracks()[0], Largest::default())?;
            let mut out = Vec::new();
            while let Some(unit) = reader.read()? {
                decoder.decode(&unit, &mut out)?;
            }
            decoder.flush(&mut out)?;
            Ok(out.len())
        });
        assert!(!matches!(opened, Ok(1..)), "{name}: {opened:?}");
    }
    assert!(most_memory() < 1 << 30);
}

#[test]
fn playlists_lead_nowhere() {
    let room = Room::new("lists");
    let secret = room.path("secret.webm");
    record_file(&secret, Format::WebM, &[clip(Codec::Vp8, 1.0)]);
    let secret = secret.to_str().unwrap();
    for (name, text) in [
        ("a.m3u8", format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n")),
        ("b.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.webm\n#EXT-X-ENDLIST\n".to_owned()),
        ("c.ffconcat", format!("ffconcat version 1.0\nfile '{secret}'\n")),
        ("d.webm", "ffconcat version 1.0\nfile secret.webm\n".to_owned()),
        (
            "e.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 45678 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
                .to_owned(),
        ),
        (
            "f.mpd",
            format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><Period><AdaptationSet mimeType=\"video/webm\"><Representation id=\"1\"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>"
            ),
        ),
        ("g%03d.png", "x".to_owned()),
        ("h.asx", format!("<asx><entry><ref href=\"file://{secret}\"/></entry></asx>")),
        ("i.m3u", format!("{secret}\n")),
        ("j.idx", "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n".to_owned()),
    ] {
        let path = room.path(name);
        std::fs::write(&path, &text).unwrap();
        assert!(open(&path).is_err(), "{name}");
        // The same as a body that came from elsewhere.
        let uri = format!("data:application/x;base64,{}", BASE64.encode(text.as_bytes()));
        assert!(Reader::open(&uri, &OpenOptions::default(), patient()).is_err(), "{name}");
    }
    for uri in [
        "concat:{}|{}",
        "subfile,,start,0,end,0,,:{}",
        "crypto:{}",
        "cache:{}",
        "async:file:{}",
        "pipe:0",
        "fd:0",
        "md5:{}",
        "tee:{}",
        "unix:{}",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "tcp://127.0.0.1:9",
        "udp://127.0.0.1:9",
        "lavfi:testsrc",
    ] {
        let uri = uri.replace("{}", secret);
        let told = Reader::open(&uri, &OpenOptions::default(), patient()).err();
        assert!(matches!(told, Some(FilmError::Scheme(_) | FilmError::NotFound)), "{uri}: {told:?}");
    }
}

#[test]
fn files_lie_below_the_root() {
    let room = Room::new("root");
    let inside = room.path("inside");
    std::fs::create_dir(&inside).unwrap();
    record_file(&inside.join("a b.webm"), Format::WebM, &[clip(Codec::Opus, 0.5)]);
    record_file(&room.path("out.webm"), Format::WebM, &[clip(Codec::Opus, 0.5)]);
    std::os::unix::fs::symlink(room.path("out.webm"), inside.join("link.webm")).unwrap();
    std::os::unix::fs::symlink(inside.join("a b.webm"), inside.join("good.webm")).unwrap();
    let options = OpenOptions { roots: Roots::below(vec![inside.clone()]), ..OpenOptions::default() };
    let try_open = |uri: &str| Reader::open(uri, &options, patient()).map(|_| ());
    let (root, outside) = (inside.display(), room.path("out.webm"));
    for uri in ["a b.webm", "good.webm", &format!("file://{root}/a%20b.webm"), &format!("{root}/a b.webm")] {
        assert!(try_open(uri).is_ok(), "{uri}");
    }
    for uri in ["../out.webm", "link.webm", outside.to_str().unwrap(), &format!("file://{root}/%2e%2e/out.webm")] {
        assert!(matches!(try_open(uri), Err(FilmError::Outside)), "{uri}");
    }
    assert!(matches!(try_open("none.webm"), Err(FilmError::NotFound)));
    assert!(try_open(".").is_err());
    let no_files = OpenOptions { schemes: vec![Scheme::Https], ..OpenOptions::default() };
    for uri in ["a b.webm", "file:///a", "http://127.0.0.1/", "data:,x", "rtsp://127.0.0.1/"] {
        assert!(matches!(Reader::open(uri, &no_files, patient()), Err(FilmError::Scheme(_))), "{uri}");
    }
}

#[test]
fn what_blocks_or_is_no_media_is_refused() {
    let room = Room::new("odd");
    std::fs::write(room.path("text.webm"), "nothing of the sort, only some words in a row").unwrap();
    std::fs::write(room.path("empty.webm"), "").unwrap();
    for name in ["text.webm", "empty.webm"] {
        let told = open(&room.path(name)).err();
        assert!(matches!(told, Some(FilmError::Invalid { .. } | FilmError::Unsupported(_))), "{name}: {told:?}");
    }
    assert!(matches!(open(Path::new("/dev/zero")), Err(FilmError::Unsupported(_))));
    assert!(matches!(open(&room.path("no/such/file")), Err(FilmError::NotFound)));
    for uri in ["", "file:", "file://host/x", "http:x", "http://a\r\nX: y/"] {
        let told = Reader::open(uri, &OpenOptions::default(), patient()).err();
        assert!(matches!(told, Some(FilmError::BadUri(_))), "{uri:?}: {told:?}");
    }
    let stopped = patient();
    stopped.stop();
    let path = room.path("a.webm");
    record_file(&path, Format::WebM, &[clip(Codec::Opus, 0.5)]);
    let told = Reader::open(path.to_str().unwrap(), &OpenOptions::default(), stopped).err();
    assert!(matches!(told, Some(FilmError::Interrupted)), "{told:?}");
}

#[test]
fn data_is_played_from_the_uri_itself() {
    let room = Room::new("data");
    let path = room.path("a.webm");
    record_file(&path, Format::WebM, &[clip(Codec::Opus, 1.0)]);
    let uri = format!("data:audio/webm;base64,{}", BASE64.encode(&std::fs::read(path).unwrap()));
    let mut reader = Reader::open(&uri, &OpenOptions::default(), patient()).unwrap();
    assert_eq!(crate::read_all(&mut reader).unwrap().len(), 50);
}
