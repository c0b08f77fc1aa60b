//! Films that name other files and hosts: none is opened. What must not be opened is a pipe, at which somebody listens who
//! notices; and a server that must not be asked.

use crate::cinema::{play, play_posted, within_bounds};
use crate::{Room, alone, clip};
use data_encoding::BASE64;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A pipe that nobody may read, and a port that nobody may call.
struct Canary {
    pipe: PathBuf,
    port: TcpListener,
    sung: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Canary {
    fn new(room: &Room) -> Self {
        let pipe = room.path("secret.webm");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        port.set_nonblocking(true).unwrap();
        let sung = Arc::new(AtomicBool::new(false));
        let (path, sings) = (pipe.clone(), sung.clone());
        // Opening a pipe for writing waits until somebody opens it for reading.
        let listener = std::thread::spawn(move || {
            let _open = File::options().write(true).open(path);
            sings.store(true, Ordering::SeqCst);
        });
        Canary { pipe, port, sung, listener: Some(listener) }
    }

    #[track_caller]
    fn is_silent(&self, name: &str) {
        assert!(!self.sung.load(Ordering::SeqCst), "{name}: the file was opened");
        assert!(self.port.accept().is_err(), "{name}: the server was called");
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // Lets the listener go: both ends at once never wait.
        let _ = File::options().read(true).write(true).open(&self.pipe);
        let _ = self.listener.take().unwrap().join();
    }
}

/// Every form of text that names other media, leading to `target`.
fn lists(target: &str) -> Vec<(&'static str, String)> {
    let hls = |line: &str| format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{line}\n#EXT-X-ENDLIST\n");
    let mpd = |base: &str| {
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT4S\">\
             <Period><AdaptationSet mimeType=\"video/webm\"><Representation id=\"1\" bandwidth=\"1\">{base}\
             </Representation></AdaptationSet></Period></MPD>"
        )
    };
    vec![
        ("a.m3u8", hls(&format!("#EXTINF:1,\n{target}"))),
        ("b.m3u8", hls(&format!("#EXT-X-MAP:URI=\"{target}\"\n#EXTINF:1,\na.mp4"))),
        ("c.m3u8", hls(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{target}\"\n#EXTINF:1,\na.ts"))),
        ("d.m3u8", format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n{target}\n")),
        (
            "e.m3u8",
            format!(
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES,URI=\"{target}\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n{target}\n"
            ),
        ),
        ("a.ffconcat", format!("ffconcat version 1.0\nfile '{target}'\n")),
        ("b.ffconcat", "ffconcat version 1.0\nfile secret.webm\n".to_owned()),
        ("a.webm", format!("ffconcat version 1.0\nfile '{target}'\nduration 5\n")),
        ("a.mpd", mpd(&format!("<BaseURL>{target}</BaseURL>"))),
        (
            "b.mpd",
            mpd(&format!(
                "<SegmentList><Initialization sourceURL=\"{target}\"/><SegmentURL media=\"{target}\"/></SegmentList>"
            )),
        ),
        ("a.asx", format!("<asx version=\"3.0\"><entry><ref href=\"{target}\"/></entry></asx>")),
        ("a.pls", format!("[playlist]\nFile1={target}\nNumberOfEntries=1\n")),
        ("a.xspf", format!("<playlist><trackList><track><location>{target}</location></track></trackList></playlist>")),
        ("a.smil", format!("<smil><body><video src=\"{target}\"/></body></smil>")),
        ("a.ism", format!("<SmoothStreamingMedia><StreamIndex Url=\"{target}\"/></SmoothStreamingMedia>")),
        ("a.ref", format!("[Reference]\nRef1={target}\n")),
        ("a.rm", format!("{target}\n")),
        (
            "a.sdp",
            format!(
                "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\na=control:{target}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
            ),
        ),
        ("a.idx", format!("# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\nfile: {target}\n")),
        ("a.avs", format!("AVISource(\"{target}\")\n")),
        ("a.vpy", format!("open('{target}').read()\n")),
        ("a.lavfi", format!("movie={target}\n")),
        ("a.cpl.xml", format!("<CompositionPlaylist><Id>{target}</Id></CompositionPlaylist>")),
        ("a.%03d.png", format!("{target}\n")),
        ("a.svg", format!("<svg xmlns:xlink=\"http://www.w3.org/1999/xlink\"><image xlink:href=\"{target}\"/></svg>")),
    ]
}

#[test]
fn lists_in_files_and_in_uris_lead_nowhere() {
    let _alone = alone();
    let room = Room::new("lists");
    let canary = Canary::new(&room);
    let (file, port) = (canary.pipe.display(), canary.port.local_addr().unwrap());
    let targets = [
        format!("file://{file}"),
        file.to_string(),
        format!("http://{port}/secret.webm"),
        format!("concat:{file}|{file}"),
        format!("subfile,,start,0,end,0,,:{file}"),
        format!("crypto:{file}"),
        format!("tcp://{port}"),
        format!("rtsp://{port}/a"),
    ];
    within_bounds(|| {
        for target in &targets {
            for (name, text) in lists(target) {
                let name = format!("{name} to {target}");
                play(&room.put(name.split(' ').next().unwrap(), &text)).is_refused(&name);
                play(&format!("data:application/x;base64,{}", BASE64.encode(text.as_bytes()))).is_refused(&name);
                play_posted(text.as_bytes()).is_refused(&name);
                canary.is_silent(&name);
            }
        }
    });
}

/// The same file with `more` at the end of its first `dref`, as one more entry.
fn referring(file: &[u8], kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let place = |kind: &[u8; 4], before: usize| file[..before].windows(4).rposition(|window| window == kind).unwrap();
    let dref = place(b"dref", file.len());
    let mut out = file.to_vec();
    // In the place of "this file": a box of another length, so that all around it grow.
    let old = u32::from_be_bytes(file[dref + 12..dref + 16].try_into().unwrap()) as usize;
    let entry = [&(body.len() as u32 + 12).to_be_bytes()[..], kind, &[0; 4], body].concat();
    let (mut inner, mut before) = (vec![dref], dref);
    for kind in [b"dinf", b"minf", b"mdia", b"trak", b"moov"] {
        before = place(kind, before);
        inner.push(before);
    }
    for kind in inner {
        let size = u32::from_be_bytes(file[kind - 4..kind].try_into().unwrap()) + entry.len() as u32 - old as u32;
        out[kind - 4..kind].copy_from_slice(&size.to_be_bytes());
    }
    out.splice(dref + 12..dref + 12 + old, entry);
    out
}

/// What QuickTime calls an alias, of this path (as FFmpeg and others read it).
fn alias(path: &str) -> Vec<u8> {
    let mut body = vec![0; 10];
    body.extend([1, b'v']);
    body.extend([0; 26 + 12]);
    body.extend([1, b'f']);
    body.extend([0; 62 + 16]);
    body.extend([0, 1, 0, 1]);
    body.extend([0; 16]);
    for kind in [2_u16, 18] {
        body.extend(kind.to_be_bytes());
        body.extend((path.len() as u16).to_be_bytes());
        body.extend(path.as_bytes());
        body.extend(vec![0; path.len() % 2]);
    }
    body.extend([0xff, 0xff, 0, 0]);
    body
}

#[test]
fn films_that_name_others_are_played_without_them() {
    let _alone = alone();
    let room = Room::new("named");
    let canary = Canary::new(&room);
    let (file, port) = (canary.pipe.to_str().unwrap(), canary.port.local_addr().unwrap());
    let whole = clip(&room, "a.mp4", ["libx264", "aac"], &[]);
    let list = room.put("list.m3u8", format!("#EXTM3U\n#EXTINF:1,\nfile://{file}\n"));
    let attached = ["-attach", &list, "-metadata:s:t", "mimetype=application/x-mpegurl"];
    let matroska = clip(&room, "a.mkv", ["libx264", "aac"], &attached);
    within_bounds(|| {
        for (name, data) in [
            ("a.mov", referring(&whole, b"alis", &alias(file))),
            ("b.mov", referring(&whole, b"alis", &alias("secret.webm"))),
            ("c.mov", referring(&whole, b"url ", format!("file://{file}\0").as_bytes())),
            ("d.mov", referring(&whole, b"url ", format!("http://{port}/secret.webm\0").as_bytes())),
            ("a.mkv", matroska),
        ] {
            let shown = play(&room.put(name, &data));
            shown.is_documented(name);
            assert!(shown.end.is_ok(), "{name}: {shown:?}");
            play_posted(&data).is_documented(name);
            canary.is_silent(name);
        }
    });
}
