//! Headers that claim what cannot be: giant pictures, tracks without number, times that no clock has.

use crate::cinema::{play, play_posted, within_bounds};
use crate::ebml::Claims;
use crate::{Room, alone, clip, made};

/// A key frame of VP8 that claims this size (RFC 6386, section 9.1), and little else.
fn vp8(width: u16, height: u16) -> Vec<u8> {
    let mut frame = vec![0x10, 1, 0, 0x9d, 1, 0x2a];
    frame.extend(width.to_le_bytes());
    frame.extend(height.to_le_bytes());
    frame.extend([0; 40]);
    frame
}

/// The place behind a box's four letters, of the last such box.
fn inside(file: &[u8], kind: &[u8; 4]) -> usize {
    file.windows(4).rposition(|window| window == kind).unwrap_or_else(|| panic!("no {kind:?}")) + 4
}

fn patched(file: &[u8], kind: &[u8; 4], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let at = inside(file, kind) + offset;
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn matroska_that_claims_too_much() {
    let _alone = alone();
    let room = Room::new("ebml");
    let usual = Claims::default();
    let (good, giant) = (vp8(96, 64), vp8(16_383, 16_383));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing special", usual.file(&good)),
        ("a size of 100,000", Claims { width: 100_000, height: 100_000, ..usual.clone() }.file(&good)),
        ("a size without end", Claims { width: u64::MAX, height: u64::MAX, ..usual.clone() }.file(&good)),
        ("giant frames", Claims { width: 100_000, height: 100_000, ..usual.clone() }.file(&giant)),
        (
            "giant frames to be decoded",
            Claims { codec: "V_MPEG4/ISO/ASP", width: 100_000, ..usual.clone() }.file(&giant),
        ),
        ("a tick of nothing", Claims { scale: 0, ..usual.clone() }.file(&good)),
        ("a tick of centuries", Claims { scale: u64::MAX, ..usual.clone() }.file(&good)),
        ("a tick of years", Claims { scale: 1 << 55, ..usual.clone() }.file(&good)),
        ("track number a billion", Claims { first_number: 1_000_000_000, ..usual.clone() }.file(&good)),
        ("500 tracks", Claims { tracks: 500, ..usual.clone() }.file(&good)),
        ("100,000 tracks", Claims { tracks: 100_000, ..usual.clone() }.file(&good)),
        ("a cluster at 2^63", Claims { cluster: 1 << 63, ..usual.clone() }.file(&good)),
        ("a cluster at 2^64", Claims { cluster: u64::MAX, ..usual.clone() }.file(&good)),
        ("a cluster at 2^62 ns", Claims { cluster: (1 << 62) / 1_000_000, ..usual.clone() }.file(&good)),
        ("blocks backwards", Claims { step: -3000, ..usual.clone() }.file(&good)),
        ("blocks that last for ever", Claims { block: Some(u64::MAX), ..usual.clone() }.file(&good)),
        ("blocks that last 2^62", Claims { block: Some(1 << 62), ..usual.clone() }.file(&good)),
        ("a duration below zero", Claims { duration: -1e300, ..usual.clone() }.file(&good)),
        ("no duration", Claims { duration: f64::NAN, ..usual.clone() }.file(&good)),
        ("an endless duration", Claims { duration: f64::INFINITY, ..usual }.file(&good)),
    ];
    within_bounds(|| {
        for (name, file) in cases {
            play(&room.put("a.webm", &file)).is_documented(name);
            play_posted(&file).is_documented(name);
        }
    });
}

#[test]
fn mp4_that_claims_too_much() {
    let _alone = alone();
    let room = Room::new("mp4");
    let whole = clip(&room, "a.mp4", ["libx264", "aac"], &[]);
    let opaque = clip(&room, "b.mp4", ["mpeg4", "aac"], &[]);
    let (most, zero) = ([0xff; 4], [0; 4]);
    let sized = |file: &[u8], name| patched(&patched(file, b"tkhd", 76, &[0x7f; 8]), name, 24, &[0xff; 4]);
    let billion = 1_000_000_000_u32.to_be_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a giant size", sized(&whole, b"avc1")),
        ("a giant size to be decoded", sized(&opaque, b"mp4v")),
        ("a tick of nothing", patched(&patched(&whole, b"mdhd", 12, &zero), b"mvhd", 12, &zero)),
        ("ticks below zero", patched(&patched(&whole, b"mdhd", 12, &most), b"mvhd", 12, &most)),
        ("an endless duration", patched(&patched(&whole, b"mdhd", 16, &most), b"mvhd", 16, &most)),
        ("a billion samples", patched(&whole, b"stsz", 8, &billion)),
        ("a billion times", patched(&whole, b"stts", 4, &billion)),
        ("samples that last for ever", patched(&whole, b"stts", 12, &most)),
        ("times below zero", patched(&whole, b"stts", 12, &[0x80, 0, 0, 0])),
        ("a billion chunks", patched(&whole, b"stsc", 4, &billion)),
        ("a billion samples in a chunk", patched(&whole, b"stsc", 12, &billion)),
        ("a billion places", patched(&whole, b"stco", 4, &billion)),
        ("places behind the end", patched(&whole, b"stco", 8, &most)),
        ("a billion edits", patched(&whole, b"elst", 4, &billion)),
        ("an edit below zero", patched(&whole, b"elst", 12, &[0x80, 0, 0, 0])),
        ("an edit behind the end", patched(&whole, b"elst", 8, &[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff])),
        ("a billion descriptions", patched(&whole, b"stsd", 4, &billion)),
        ("a configuration of gigabytes", patched(&whole, b"esds", 5, &[0xff, 0xff, 0xff, 0x7f])),
    ];
    within_bounds(|| {
        for (name, file) in cases {
            play(&room.put("a.mp4", &file)).is_documented(name);
            play_posted(&file).is_documented(name);
        }
    });
}

/// Bits, the first one highest.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(mut self, value: u64, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Exponential Golomb (ITU-T H.264, section 9.1).
    fn golomb(self, value: u64) -> Self {
        let length = 64 - (value + 1).leading_zeros();
        self.put(0, length - 1).put(value + 1, length)
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0
            .chunks(8)
            .map(|byte| (0..8).fold(0, |all, bit| all << 1 | u8::from(byte.get(bit) == Some(&true))))
            .collect()
    }
}

/// An H.264 stream whose parameter set claims so many macroblocks each way.
fn h264(across: u64, down: u64) -> Vec<u8> {
    let set = Bits::default().put(66, 8).put(0, 8).put(52, 8).golomb(0).golomb(0).golomb(2).golomb(1).put(0, 1);
    let set = set.golomb(across - 1).golomb(down - 1).put(1, 1).put(1, 1).put(0, 1).put(0, 1).bytes();
    let picture = Bits::default().golomb(0).golomb(0).put(0, 1).put(0, 1).golomb(0).golomb(0).golomb(0).put(0, 1);
    let picture = picture.golomb(0).put(0, 1).put(0, 1).put(0, 1).golomb(0).golomb(0).golomb(0).golomb(0).bytes();
    let slice =
        Bits::default().golomb(0).golomb(7).golomb(0).put(0, 4).golomb(0).golomb(0).golomb(0).put(0, 2).golomb(0);
    let slice = [slice.bytes(), vec![0x55; 60]].concat();
    let start: &[u8] = &[0, 0, 0, 1];
    let picture_of = [start, &[0x65], &slice].concat();
    [[start, &[0x67], &set, start, &[0x68], &picture].concat(), picture_of.repeat(10)].concat()
}

/// What zlib makes of so many zeros, without a checksum: a zero, and copies of 258 of it (RFC 1951, section 3.2.6).
fn zeros(count: usize) -> Vec<u8> {
    // A literal 0 is 00110000; length 258 is 11000101, distance one 00000. Codes begin at the lowest bit of a byte.
    let mut bits = vec![true, true, false];
    bits.extend([0, 0, 1, 1, 0, 0, 0, 0].map(|bit| bit == 1));
    for _ in 0..count / 258 {
        bits.extend([1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0].map(|bit| bit == 1));
    }
    bits.extend([false; 7]);
    let bytes = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |all, &bit| all << 1 | u8::from(bit)));
    [0x78, 1].into_iter().chain(bytes).collect()
}

fn png(width: u32, height: u32, more: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let mut file = Vec::from(*b"\x89PNG\r\n\x1a\n");
    for (kind, body) in [(b"IHDR", head)].iter().chain(more).chain(&[(b"IEND", Vec::new())]) {
        // Decoders that mind a wrong checksum refuse it all the sooner: FFmpeg does not.
        file.extend([&(body.len() as u32).to_be_bytes()[..], &kind[..], body, &[0; 4]].concat());
    }
    file
}

#[test]
fn giant_pictures_are_no_media() {
    let _alone = alone();
    let room = Room::new("giants");
    let gif =
        [&b"GIF89a"[..], &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 255, 255, 255], &[0x2c, 0, 0, 0, 0]].concat();
    let gif = [&gif[..], &[0xff, 0xff, 0xff, 0xff, 0, 2, 2, 0x4c, 1, 0, 0x3b]].concat();
    let small = made(&room, "small.jpg", &["-f", "lavfi", "-i", "testsrc=s=96x64:d=0.04", "-frames:v", "1"]);
    // The frame header: its length, bits a sample, height and width.
    let frame = small.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    let mut jpeg = small;
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xf0, 0xff, 0xf0]);
    let stream = room.put("giant.h264", h264(6250, 6250));
    let wide = Claims { width: 100_000, height: 100_000, ..Claims::default() };
    let old = Claims { codec: "V_MPEG4/ISO/ASP", ..wide.clone() };
    let cases = [
        ("a.h264", h264(6250, 6250)),
        ("b.h264", h264(1 << 20, 1 << 20)),
        ("a.ts", made(&room, "giant.ts", &["-f", "h264", "-i", &stream, "-c", "copy"])),
        ("a.webm", wide.file(&vp8(16_383, 16_383))),
        ("b.webm", old.file(&vp8(16_383, 16_383))),
        ("a.gif", gif),
        ("a.jpg", jpeg.clone()),
        ("a.mjpeg", jpeg.repeat(10)),
        ("a.png", png(30_000, 30_000, &[(b"IDAT", zeros(900_000_000))])),
    ];
    within_bounds(|| {
        for (name, data) in cases {
            play(&room.put(name, &data)).is_refused(name);
            play_posted(&data).is_refused(name);
        }
    });
}

#[test]
fn whatever_else_claims_too_much() {
    let _alone = alone();
    let room = Room::new("others");
    let whole = clip(&room, "a.avi", ["mpeg4", "libmp3lame"], &[]);
    let first = whole.windows(4).position(|window| window == b"strf").unwrap() + 4;
    let mut giant_avi = whole.clone();
    giant_avi[first + 8..first + 16].copy_from_slice(&[0xa0, 0x86, 1, 0, 0xa0, 0x86, 1, 0]);
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        (
            "b.png",
            "a text of 200 million",
            png(64, 64, &[(b"zTXt", [b"a\0\0".to_vec(), zeros(200_000_000)].concat()), (b"IDAT", zeros(65 * 64))]),
        ),
        (
            "c.png",
            "a profile of 200 million",
            png(64, 64, &[(b"iCCP", [b"a\0\0".to_vec(), zeros(200_000_000)].concat()), (b"IDAT", zeros(65 * 64))]),
        ),
        ("a.avi", "100,000 pixels each way", giant_avi),
        ("b.avi", "sound at no rate", patched(&whole, b"strf", 4, &[0; 8])),
        ("c.avi", "no time between frames", patched(&patched(&whole, b"avih", 4, &[0; 4]), b"strh", 24, &[0; 8])),
        ("d.avi", "a billion streams", patched(&whole, b"avih", 28, &[0, 0xca, 0x9a, 0x3b])),
        (
            "a.mp3",
            "a label of 256 MB",
            [&b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..], &b"APIC\x7f\x7f\x7f\x7f\0\0"[..], &[0; 500]].concat(),
        ),
        ("a.flac", "a comment of 16 MB", [&b"fLaC\x04\xff\xff\xff"[..], &[0xff; 400]].concat()),
        (
            "a.wav",
            "sound at no rate",
            [
                &b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\xff\xff"[..],
                &[0; 12],
                b"data\xff\xff\xff\xff",
                &[0; 400],
            ]
            .concat(),
        ),
        (
            "a.caf",
            "packets without number",
            [
                &b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20"[..],
                &[0x40; 32],
                b"pakt\x7f\xff\xff\xff\xff\xff\xff\xff",
                &[0x7f; 40],
            ]
            .concat(),
        ),
    ];
    within_bounds(|| {
        for (file, name, data) in cases {
            play(&room.put(file, &data)).is_documented(&format!("{file}, {name}"));
            play_posted(&data).is_documented(&format!("{file}, {name}, posted"));
        }
    });
}

#[test]
fn streams_that_come_late_or_without_end() {
    let _alone = alone();
    let room = Room::new("late");
    let lavfi = ["-f", "lavfi", "-i"];
    let silent = made(&room, "v.ts", &[&lavfi[..], &["testsrc=s=96x64:r=25:d=3", "-c:v", "libx264"]].concat());
    let both = clip(&room, "b.ts", ["libx264", "aac"], &["-streamid", "0:300", "-streamid", "1:301"]);
    let other = clip(&room, "c.ts", ["mpeg2video", "mp2"], &["-streamid", "0:256", "-streamid", "1:300"]);
    // The same streams under new numbers, again and again.
    let mut many = Vec::new();
    for number in 0..80 {
        let mut piece = both.clone();
        // Each packet's number, but for the tables (ISO/IEC 13818-1, section 2.4.3.2).
        for packet in piece.chunks_exact_mut(188) {
            if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) >= 300 {
                packet[1] = packet[1] & 0xe0 | 2;
                packet[2] = number * 3;
            }
        }
        many.extend(piece);
    }
    // Nothing but stuffing behind a good beginning.
    let stuffing = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
    within_bounds(|| {
        for (name, data) in [
            ("sound that comes late", [silent.clone(), both.clone()].concat()),
            ("codings that change", [both.clone(), other].concat()),
            ("ever new streams", [silent, many].concat()),
            ("stuffing", [both, stuffing.repeat(200_000)].concat()),
            ("only stuffing", stuffing.repeat(200_000)),
        ] {
            play(&room.put("late.ts", &data)).is_documented(name);
            play_posted(&data).is_documented(name);
        }
    });
}
