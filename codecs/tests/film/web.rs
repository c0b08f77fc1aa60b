//! Media from a server: by ranges, and from servers that stall, break off, refuse or lead elsewhere.

use crate::make::{clip, record_file};
use crate::{Room, ffmpeg, read_all, timed};
use rivero_codecs::film::{FilmError, Format, OpenOptions, Reader, RtspTransport};
use rivero_engine::Codec;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server does with a request for this path.
#[derive(Clone)]
enum Page {
    /// Serves it, by ranges if asked.
    File(Vec<u8>),
    /// The same, but breaks off before this byte.
    Part(Vec<u8>, usize),
    /// As a file, but not by ranges.
    Stream(Vec<u8>),
    /// Announces it whole, and goes silent after so many bytes.
    Stall(Vec<u8>, usize),
    /// Announces it whole, and breaks off after so many bytes.
    Break(Vec<u8>, usize),
    Status(&'static str),
    Redirect(String),
    /// Not even a status.
    Silence,
}

/// Path and range of every request.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

type Pages = Arc<dyn Fn(&str) -> Page + Send + Sync>;

/// Serves until it is dropped; one thread a connection.
struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    asked: Asked,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(pages: impl Fn(&str) -> Page + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (pages, over, log): (Pages, _, _) = (Arc::new(pages), ended.clone(), asked.clone());
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (pages, log) = (pages.clone(), log.clone());
                std::thread::spawn(move || {
                    let _ = serve(connection.unwrap(), &pages, &log);
                });
            }
        });
        Server { address, ended, asked, thread: Some(thread) }
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// What was asked for, but nothing from the byte `until` on.
fn part(out: &mut TcpStream, data: &[u8], until: usize, range: Option<String>) -> std::io::Result<()> {
    let from = range.and_then(|r| r.strip_prefix("bytes=")?.split('-').next()?.parse().ok()).unwrap_or(0_usize);
    let (last, length) = (data.len() - 1, data.len());
    write!(
        out,
        "HTTP/1.1 206 Partial Content\r\nAccept-Ranges: bytes\r\nContent-Range: bytes {from}-{last}/{length}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        length.saturating_sub(from)
    )?;
    let from = from.min(length);
    out.write_all(&data[from..until.clamp(from, length)])
}

fn serve(connection: TcpStream, pages: &Pages, log: &Asked) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut out = connection;
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range:") {
            range = Some(value.trim().to_owned());
        }
    }
    log.lock().unwrap().push((path.clone(), range.clone()));
    let whole = |out: &mut TcpStream, data: &[u8], until: usize| -> std::io::Result<()> {
        write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", data.len())?;
        out.write_all(&data[..until])
    };
    match pages(&path) {
        Page::File(data) => part(&mut out, &data, usize::MAX, range),
        Page::Part(data, until) => part(&mut out, &data, until, range),
        Page::Stream(data) => {
            write!(out, "HTTP/1.1 200 OK\r\nAccept-Ranges: none\r\nConnection: close\r\n\r\n")?;
            out.write_all(&data)
        }
        Page::Stall(data, until) => {
            whole(&mut out, &data, until)?;
            // Until the other side gives up.
            reader.read_to_end(&mut Vec::new()).map(|_| ())
        }
        Page::Break(data, until) => whole(&mut out, &data, until),
        Page::Status(status) => write!(out, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Page::Redirect(to) => {
            write!(out, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Page::Silence => reader.read_to_end(&mut Vec::new()).map(|_| ()),
    }
}

fn impatient() -> OpenOptions {
    let patience = Duration::from_millis(400);
    OpenOptions { open_patience: patience, read_patience: patience, ..OpenOptions::default() }
}

fn webm(room: &Room, seconds: f64) -> Vec<u8> {
    let path = room.path("a.webm");
    record_file(&path, Format::WebM, &[clip(Codec::Vp8, seconds), clip(Codec::Opus, seconds)]);
    std::fs::read(path).unwrap()
}

#[test]
fn a_file_on_a_server_is_read_and_sought_by_ranges() {
    let room = Room::new("ranges");
    let data = webm(&room, 12.0);
    assert!(data.len() > 400_000, "too small to make anybody seek: {}", data.len());
    let server = Server::new(
        move |path| if path == "/a.webm" { Page::File(data.clone()) } else { Page::Status("404 Not Found") },
    );
    let mut reader = Reader::open(&server.uri("/a.webm"), &OpenOptions::default(), timed()).unwrap();
    assert!(reader.is_seekable() && !reader.is_live());
    assert!(reader.duration().unwrap().abs_diff(Duration::from_secs(12)) < Duration::from_millis(100));
    let landed = reader.seek(Duration::from_millis(9_500)).unwrap();
    assert!(landed.abs_diff(Duration::from_secs(9)) < Duration::from_millis(10), "{landed:?}");
    let rest = read_all(&mut reader).unwrap();
    assert!((220..260).contains(&rest.len()), "{}", rest.len());
    let asked = server.asked.lock().unwrap();
    assert!(
        asked.iter().any(|(_, range)| range.as_ref().is_some_and(|range| !range.starts_with("bytes=0-"))),
        "{asked:?}"
    );
}

#[test]
fn a_stream_without_end_or_ranges_is_read_as_it_comes() {
    let room = Room::new("stream");
    let data = webm(&room, 2.0);
    let server = Server::new(move |_| Page::Stream(data.clone()));
    let mut reader = Reader::open(&server.uri("/"), &OpenOptions::default(), timed()).unwrap();
    assert!(!reader.is_seekable());
    assert!(matches!(reader.seek(Duration::ZERO), Err(FilmError::Unsupported(_))));
    assert_eq!(read_all(&mut reader).unwrap().len(), 160);
}

#[test]
fn a_server_that_stalls_is_not_waited_for_without_bound() {
    let room = Room::new("stall");
    let data = webm(&room, 5.0);
    let half = data.len() / 2;
    let server = Server::new(move |path| match path {
        "/half" => Page::Stall(data.clone(), half),
        "/head" => Page::Stall(data.clone(), 100),
        _ => Page::Silence,
    });
    for path in ["/head", "/silence"] {
        let told = Reader::open(&server.uri(path), &impatient(), timed()).err();
        assert!(matches!(told, Some(FilmError::Timeout)), "{path}: {told:?}");
    }
    let mut reader = Reader::open(&server.uri("/half"), &impatient(), timed()).unwrap();
    let mut count = 0;
    let told = loop {
        match reader.read() {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("a stall is no end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(told, FilmError::Timeout) && count > 50, "{told:?} after {count}");
}

#[test]
fn whoever_waits_can_be_stopped() {
    let server = Server::new(|_| Page::Silence);
    let interrupt = timed();
    let (uri, stop) = (server.uri("/"), interrupt.clone());
    let waiting = std::thread::spawn(move || Reader::open(&uri, &OpenOptions::default(), interrupt).err());
    // It has asked, and waits for an answer that never comes.
    while server.asked.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    stop.stop();
    let told = waiting.join().unwrap();
    assert!(matches!(told, Some(FilmError::Interrupted)), "{told:?}");
}

#[test]
fn a_connection_that_breaks_is_no_end() {
    let room = Room::new("break");
    let data = webm(&room, 5.0);
    let half = data.len() / 2;
    let server = Server::new(move |_| Page::Break(data.clone(), half));
    let mut reader = Reader::open(&server.uri("/"), &impatient(), timed()).unwrap();
    let told = read_all(&mut reader).err();
    assert!(matches!(told, Some(FilmError::Connection { .. } | FilmError::Timeout)), "{told:?}");
}

#[test]
fn a_server_that_comes_back_is_read_on() {
    let room = Room::new("back");
    let data = webm(&room, 5.0);
    let half = data.len() / 2;
    let visits = AtomicUsize::new(0);
    let server = Server::new(move |_| match visits.fetch_add(1, Ordering::Relaxed) {
        0 => Page::Part(data.clone(), half),
        _ => Page::File(data.clone()),
    });
    let mut reader = Reader::open(&server.uri("/"), &OpenOptions::default(), timed()).unwrap();
    assert_eq!(read_all(&mut reader).unwrap().len(), 150 + 250);
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[1].1.as_deref(), Some(format!("bytes={half}-").as_str()), "{asked:?}");
}

#[test]
fn refusals_are_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::new(|path| match path {
        "/401" => Page::Status("401 Unauthorized"),
        "/403" => Page::Status("403 Forbidden"),
        "/404" => Page::Status("404 Not Found"),
        "/500" => Page::Status("500 Internal Server Error"),
        _ => Page::File(b"no media at all, just some words in a row, on and on".to_vec()),
    });
    let told = |uri: &str| Reader::open(uri, &impatient(), timed()).err().unwrap();
    assert!(matches!(told(&server.uri("/404")), FilmError::NotFound));
    for path in ["/401", "/403"] {
        assert!(matches!(told(&server.uri(path)), FilmError::Denied), "{path}");
    }
    assert!(matches!(told(&server.uri("/500")), FilmError::Connection { .. }));
    assert!(matches!(told(&server.uri("/words")), FilmError::Invalid { .. } | FilmError::Unsupported(_)));
    assert!(matches!(told(&format!("http://{gone}/")), FilmError::Connection { .. }));
    let tcp = OpenOptions { rtsp_transport: RtspTransport::Tcp, ..impatient() };
    let rtsp = Reader::open(&format!("rtsp://user:word@{gone}/a"), &tcp, timed()).err().unwrap();
    assert!(matches!(rtsp, FilmError::Connection { .. }), "{rtsp:?}");
}

#[test]
fn playlists_of_servers_lead_to_servers_only() {
    let room = Room::new("hls");
    let segment = room.path("a.ts");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=2", "-c:v", "libx264"], &segment);
    let data = std::fs::read(&segment).unwrap();
    let here = segment.display().to_string();
    let server = Server::new(move |path| {
        let list = |what: &str| {
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{what}\n#EXT-X-ENDLIST\n");
            Page::Stream(text.into_bytes())
        };
        match path {
            "/a.ts" => Page::File(data.clone()),
            "/good.m3u8" => list("a.ts"),
            "/file.m3u8" => list(&format!("file://{here}")),
            "/path.m3u8" => list(&here),
            "/tcp.m3u8" => list("tcp://127.0.0.1:9/a.ts"),
            "/concat.m3u8" => list(&format!("concat:{here}|{here}")),
            "/subfile.m3u8" => list(&format!("subfile,,start,0,end,0,,:{here}")),
            "/redirect.m3u8" => Page::Redirect(format!("file://{here}")),
            "/redirect.ts" => Page::Redirect("/a.ts".to_owned()),
            "/list.ffconcat" => Page::Stream(format!("ffconcat version 1.0\nfile '{here}'\n").into_bytes()),
            _ => Page::Status("404 Not Found"),
        }
    });
    for path in ["/good.m3u8", "/redirect.ts"] {
        let mut reader = Reader::open(&server.uri(path), &OpenOptions::default(), timed()).unwrap();
        assert_eq!(read_all(&mut reader).unwrap().len(), 50, "{path}");
    }
    for path in
        ["/file.m3u8", "/path.m3u8", "/tcp.m3u8", "/concat.m3u8", "/subfile.m3u8", "/redirect.m3u8", "/list.ffconcat"]
    {
        let opened = Reader::open(&server.uri(path), &impatient(), timed());
        let units = opened.and_then(|mut reader| read_all(&mut reader)).map(|units| units.len());
        assert!(matches!(units, Err(_) | Ok(0)), "{path}: {units:?}");
    }
}
