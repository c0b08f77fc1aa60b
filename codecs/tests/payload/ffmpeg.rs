//! FFmpeg at the other end: what it sends must come out as it stands in the file, and what we send must arrive there.
//! Left out where the `ffmpeg` command is not installed. AMR is missing, for FFmpeg has no encoder; AV1, for its version 5 has no
//! payload format for it.

use crate::{Sent, receive, send};
use bytes::Bytes;
use rivero_codecs::payload::{Frame, Loss};
use rivero_engine::{Caps, Codec, MediaKind};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How two streams of bytes are held against each other.
#[derive(Clone, Copy, PartialEq)]
enum Compare {
    Bytes,
    /// FFmpeg keeps back what does not fill its last packet: up to so many bytes.
    AllBut(usize),
    /// NAL units: start codes may have three bytes or four, and parameter sets may stand before or behind what tells of the
    /// encoder, which is sent or not.
    Units,
    /// What is decoded: headers are written anew.
    Pixels,
}

struct Case {
    codec: Codec,
    source: &'static str,
    encode: &'static str,
    /// What writes the frames and nothing else.
    muxer: &'static str,
    compare: Compare,
}

const PICTURES: &str = "testsrc2=s=352x288:r=25:d=0.6";
const TONE: &str = "aevalsrc=sin(2000*t*t):d=0.6:s=";

const CASES: [Case; 12] = [
    case(Codec::Vp8, PICTURES, "libvpx -deadline realtime -cpu-used 8 -b:v 1M", "data", Compare::Bytes),
    case(Codec::Vp9, PICTURES, "libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M", "data", Compare::Bytes),
    case(Codec::H264, PICTURES, "libx264 -preset ultrafast -bf 2 -g 6 -x264-params slices=2", "h264", Compare::Units),
    case(
        Codec::H265,
        PICTURES,
        "libx265 -preset ultrafast -x265-params keyint=6:log-level=error",
        "hevc",
        Compare::Units,
    ),
    case(Codec::H263, PICTURES, "h263p -g 6 -ps 500 -b:v 1M", "data", Compare::Bytes),
    case(Codec::Mjpeg, PICTURES, "mjpeg -huffman default -q:v 5 -pix_fmt yuvj420p", "data", Compare::Pixels),
    case(Codec::Opus, TONE, "libopus -ac 2", "data", Compare::Bytes),
    case(Codec::Pcmu, TONE, "pcm_mulaw -ar 8000", "data", Compare::Bytes),
    case(Codec::G722, TONE, "g722 -ar 16000", "data", Compare::Bytes),
    case(Codec::Speex, TONE, "libspeex -ar 16000", "data", Compare::Bytes),
    case(Codec::Aac, TONE, "aac -b:a 256k -ac 2", "data", Compare::AllBut(1200)),
    case(Codec::Mp3, TONE, "libmp3lame", "data", Compare::AllBut(1200)),
];

const fn case(codec: Codec, source: &'static str, encode: &'static str, muxer: &'static str, compare: Compare) -> Case {
    Case { codec, source, encode, muxer, compare }
}

fn ffmpeg(arguments: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments.split_whitespace()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn run(arguments: &str) {
    assert!(ffmpeg(arguments).wait().unwrap().success(), "ffmpeg {arguments}");
}

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("payload-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Two neighbouring ports of which the first is even; the second is for RTCP.
fn ports() -> (UdpSocket, UdpSocket) {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(second) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            return (first, second);
        }
    }
    panic!("no two ports are free");
}

/// An RTP packet (RFC 3550, 5.1) without extensions, as FFmpeg writes it.
fn parse(packet: &[u8], rolled: &mut u64) -> Sent {
    assert_eq!(packet[0], 0x80);
    let low = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
    // Once past 65,535 all that is low has rolled over.
    *rolled = if low + 0x8000 < (*rolled & 0xffff) { *rolled + 0x10000 } else { *rolled };
    *rolled = *rolled & !0xffff | low;
    Sent {
        payload: Bytes::copy_from_slice(&packet[12..]),
        marker: packet[1] & 0x80 != 0,
        timestamp: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
        sequence: *rolled,
    }
}

fn receive_from_ffmpeg(clip: &str, description: &str) -> Vec<Sent> {
    let (socket, _rtcp) = ports();
    let port = socket.local_addr().unwrap().port();
    let mut child = ffmpeg(&format!(
        "-re -i {clip} -c copy -strict experimental -sdp_file {description} -f rtp rtp://127.0.0.1:{port}?pkt_size=1200"
    ));
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut sent, mut rolled, mut buffer) = (Vec::new(), 0, [0; 2048]);
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => sent.push(parse(&buffer[..length], &mut rolled)),
            Err(_) if child.try_wait().unwrap().is_some() => return sent,
            Err(_) => {}
        }
    }
}

/// What the description says behind the name and the payload type.
fn attribute<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    let line = description.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name));
    line.and_then(|line| line.split_once(' ')).map(|(_, value)| value.trim())
}

fn caps(codec: Codec, description: &str) -> Caps {
    let format = attribute(description, "fmtp:");
    match attribute(description, "rtpmap:") {
        _ if description.contains("m=video") => Caps::video(codec, format),
        Some(map) => {
            let mut parts = map.split('/').skip(1).map(|number| number.parse::<u32>().unwrap());
            Caps::audio(codec, parts.next().unwrap(), parts.next().unwrap_or(1) as u8).with_format(format)
        }
        // The static payload types: 0, 9, 14.
        None => crate::audio(codec),
    }
}

/// NAL units but for supplemental information (SEI).
pub fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| w == &[0, 0, 1]).map(|(at, _)| at).collect();
    starts.push(stream.len());
    let unit = |pair: &[usize]| stream[pair[0] + 3..pair[1]].trim_end_zeros();
    starts.windows(2).map(unit).filter(|unit| !matches!(unit.first(), Some(0x06 | 0x4e))).collect()
}

trait TrimZeros {
    fn trim_end_zeros(&self) -> &[u8];
}

impl TrimZeros for [u8] {
    fn trim_end_zeros(&self) -> &[u8] {
        &self[..self.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
    }
}

fn decode(folder: &Folder, stream: &[u8]) -> Vec<u8> {
    let (coded, raw) = (folder.file("coded.mjpeg"), folder.file("raw"));
    std::fs::write(&coded, stream).unwrap();
    run(&format!("-f mjpeg -i {coded} -f rawvideo {raw}"));
    std::fs::read(&raw).unwrap()
}

fn assert_same(case: &Case, folder: &Folder, found: &[u8], wanted: &[u8], what: &str) {
    let same = match case.compare {
        Compare::Bytes => found == wanted,
        Compare::AllBut(rest) => wanted.starts_with(found) && found.len() + rest >= wanted.len(),
        Compare::Units => units(found) == units(wanted),
        Compare::Pixels => decode(folder, found) == decode(folder, wanted),
    };
    assert!(same, "{:?} {what}: {} bytes, wanted {}", case.codec, found.len(), wanted.len());
}

/// FFmpeg 5 reads VP9 as a draft of 2012 had it, though it writes what the RFC says: GStreamer reads ours, if it is there.
fn receiver(case: &Case, folder: &Folder, description: &str, port: u16, count: usize) -> Option<Child> {
    let written = folder.file("written");
    if case.codec == Codec::Vp9 {
        let caps = "application/x-rtp,media=video,encoding-name=VP9,clock-rate=90000,payload=96";
        let elements = format!(
            "-q udpsrc port={port} num-buffers={count} caps={caps} ! rtpvp9depay ! filesink location={written}"
        );
        let mut command = Command::new("gst-launch-1.0");
        return command.args(elements.split_whitespace()).stdin(Stdio::null()).spawn().ok();
    }
    let moved = |line: &str| match line.strip_prefix("m=") {
        Some(line) => {
            let words: Vec<&str> = line.split(' ').collect();
            format!("m={} {port} {}\n", words[0], words[2..].join(" "))
        }
        None => format!("{line}\n"),
    };
    let here = folder.file("here.sdp");
    // In front of the session there is a remark.
    let lines = description.lines().filter(|line| line.as_bytes().get(1) == Some(&b'='));
    std::fs::write(&here, lines.map(moved).collect::<String>()).unwrap();
    let input = format!("-protocol_whitelist file,udp,rtp -listen_timeout 2 -i {here}");
    Some(ffmpeg(&format!("{input} -map 0:0 -c copy -f {} {written}", case.muxer)))
}

/// Our packets to another, and what it wrote of them.
fn send_to(case: &Case, folder: &Folder, description: &str, packets: &[Sent]) -> Option<Vec<u8>> {
    let (socket, rtcp) = ports();
    let port = socket.local_addr().unwrap().port();
    drop((socket, rtcp));
    let mut child = receiver(case, folder, description, port, packets.len())?;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pause = |ms| {
        socket.set_read_timeout(Some(Duration::from_millis(ms))).unwrap();
        let _ = socket.recv(&mut [0]);
    };
    // To try the port ourselves could take it from them just then.
    let mark = format!(":{port:04X} ");
    while !std::fs::read_to_string("/proc/net/udp").unwrap().contains(&mark) {
        assert!(child.try_wait().unwrap().is_none(), "{:?}: nobody listens", case.codec);
        pause(10);
    }
    pause(50);
    let kind = description.lines().find(|line| line.starts_with("m=")).and_then(|line| line.rsplit(' ').next());
    let kind: u8 = kind.unwrap().trim().parse().unwrap();
    for packet in packets {
        let mut bytes = vec![0x80, kind | u8::from(packet.marker) << 7];
        bytes.extend((packet.sequence as u16).to_be_bytes());
        bytes.extend(packet.timestamp.to_be_bytes());
        bytes.extend([0, 0, 0, 7]);
        bytes.extend(&packet.payload);
        socket.send_to(&bytes, ("127.0.0.1", port)).unwrap();
        pause(1);
    }
    pause(200);
    // RTCP: farewell of this source, with a reason, for FFmpeg wants twelve bytes.
    socket.send_to(&[0x81, 203, 0, 2, 0, 0, 0, 7, 3, b'e', b'n', b'd'], ("127.0.0.1", port + 1)).unwrap();
    assert!(child.wait().unwrap().success());
    Some(std::fs::read(folder.file("written")).unwrap())
}

/// Audio follows upon audio: each frame comes as much later as the one before is long, but for the clip's milliseconds.
fn assert_steady(case: &Case, caps: &Caps, frames: &[Frame]) {
    let ticks = |frame: &Frame| match case.codec {
        Codec::Opus => 960,
        Codec::Speex => 320,
        Codec::Aac => 1024,
        Codec::Mp3 => 2160,
        _ => frame.data.len() as i32,
    };
    if caps.kind() == MediaKind::Audio {
        for (number, pair) in frames.windows(2).enumerate() {
            let found = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
            let off = (found - ticks(&pair[0])).unsigned_abs();
            assert!(off <= caps.clock_rate() / 1000 + 1, "{:?}: {found} ticks after frame {number}", case.codec);
        }
    }
}

fn check(case: &Case) {
    let folder = Folder::new(case.codec.name());
    let (clip, description, reference) = (folder.file("clip.mkv"), folder.file("clip.sdp"), folder.file("reference"));
    let source = if case.source == TONE { format!("{TONE}48000") } else { case.source.to_owned() };
    // G.722 has no place in Matroska.
    let clip = if case.codec == Codec::G722 { clip.replace(".mkv", ".nut") } else { clip };
    let kind = if case.source == TONE { 'a' } else { 'v' };
    run(&format!("-f lavfi -i {source} -c:{kind} {} {clip}", case.encode));
    run(&format!("-i {clip} -map 0:0 -c copy -f {} {reference}", case.muxer));
    let wanted = std::fs::read(&reference).unwrap();

    let packets = receive_from_ffmpeg(&clip, &description);
    let description = std::fs::read_to_string(&description).unwrap();
    let caps = caps(case.codec, &description);
    let (frames, loss) = receive(&caps, &packets);
    assert_eq!(loss, Loss::Nothing, "{:?}: {} packets", case.codec, packets.len());
    assert!(frames[0].key);
    assert_steady(case, &caps, &frames);
    let frames: Vec<Bytes> = frames.into_iter().map(|frame| frame.data).collect();
    assert_same(case, &folder, &frames.concat(), &wanted, "from FFmpeg");

    let packets = send(&caps, &frames, 1000);
    if let Some(found) = send_to(case, &folder, &description, &packets) {
        assert_same(case, &folder, &found, &frames.concat(), "to another");
    }
}

#[test]
fn ffmpeg_and_we_understand_each_other() {
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    std::thread::scope(|scope| {
        let checks = CASES.iter().map(|case| (case, scope.spawn(|| check(case)))).collect::<Vec<_>>();
        let failed = checks.into_iter().filter_map(|(case, check)| check.join().is_err().then_some(case.codec));
        assert_eq!(failed.collect::<Vec<_>>(), []);
    });
}
