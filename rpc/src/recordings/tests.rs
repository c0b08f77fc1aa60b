//! Requests against a directory, without a socket.

use super::*;
use crate::server::branch::Body;
use hyper::{Response, StatusCode};
use rivero_engine::time::SystemClock;
use serde_json::Value as Json;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tokio::io::AsyncReadExt;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

struct Scene {
    _all: tempfile::TempDir,
    folder: PathBuf,
    outside: PathBuf,
    recordings: Arc<Recordings>,
}

fn scene(audience: Audience) -> Scene {
    let all = tempfile::tempdir().expect("a temporary directory");
    let folder = all.path().join("a b/recordings");
    let recordings = Recordings::new(&folder, audience, Arc::new(SystemClock::new())).expect("a path");
    let outside = all.path().join("secret.webm");
    fs::write(&outside, "secret").expect("written");
    Scene { folder, outside, recordings: Arc::new(recordings), _all: all }
}

/// A scene with a recording of the digits.
fn with_digits() -> Scene {
    let scene = scene(Audience::Everyone);
    fs::create_dir_all(&scene.folder).expect("made");
    fs::write(scene.folder.join("digits.webm"), "0123456789").expect("written");
    scene
}

impl Scene {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], peer: IpAddr) -> Response<Body> {
        let request = headers.iter().fold(Request::builder().method(method).uri(path), |r, (n, v)| r.header(*n, *v));
        self.recordings.clone().answer(request.body(()).expect("a request"), peer).await
    }

    /// The status, `Content-Range` and bytes of what a stranger gets.
    async fn get(&self, path: &str, range: Option<&str>) -> (u16, String, String) {
        let headers: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
        let answer = self.ask("GET", path, &headers, ELSEWHERE).await;
        let status = answer.status().as_u16();
        let range = answer.headers().get(header::CONTENT_RANGE).map_or("", |range| range.to_str().expect("text"));
        (status, range.to_owned(), text(answer).await)
    }
}

async fn text(answer: Response<Body>) -> String {
    match answer.into_body() {
        Body::Bytes(bytes) => String::from_utf8(bytes).expect("text"),
        Body::File { file, bytes, .. } => {
            let mut text = String::new();
            file.take(bytes).read_to_string(&mut text).await.expect("read");
            text
        }
        Body::Length(bytes) => format!("{bytes} bytes"),
    }
}

#[tokio::test]
async fn the_list_has_recordings_and_nothing_else() {
    let scene = scene(Audience::Everyone);
    let empty: Json = serde_json::from_str(&scene.get("/", None).await.2).expect("JSON");
    let folder = scene.folder.to_str().expect("text").replace(' ', "%20");
    assert_eq!(empty, serde_json::json!({ "uri": format!("file://{folder}/"), "recordings": [] }));
    let mode = fs::metadata(&scene.folder).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "what it makes is for this user alone");

    for name in ["a.webm", "b.MP4", ".hidden.webm", "notes.txt", "webm", ".webm"] {
        fs::write(scene.folder.join(name), "12345").expect("written");
    }
    fs::create_dir(scene.folder.join("folder.webm")).expect("made");
    symlink(&scene.outside, scene.folder.join("link.webm")).expect("made");
    let (status, _, list) = scene.get("/", None).await;
    let list: Json = serde_json::from_str(&list).expect("JSON");
    let mut names: Vec<_> = list["recordings"].as_array().expect("a list").iter().map(|r| r["name"].as_str()).collect();
    names.sort();
    assert_eq!((status, names), (200, vec![Some("a.webm"), Some("b.MP4")]));
    let first = &list["recordings"][0];
    assert_eq!((&first["bytes"], &first["duration"]), (&Json::from(5), &Json::Null), "no film has no length");
    assert!(first["modified"].as_u64() > Some(1_600_000_000_000));
}

#[tokio::test]
async fn the_latest_hundred_are_listed() {
    let scene = scene(Audience::Everyone);
    fs::create_dir_all(&scene.folder).expect("made");
    for number in 0..120 {
        let file = fs::File::create(scene.folder.join(format!("{number:03}.flv"))).expect("made");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + number)).expect("set");
    }
    let list: Json = serde_json::from_str(&scene.get("/", None).await.2).expect("JSON");
    let list = list["recordings"].as_array().expect("a list");
    assert_eq!((list.len(), &list[0]["name"], &list[99]["name"]), (100, &"119.flv".into(), &"020.flv".into()));
    assert_eq!(list[0]["modified"], 1_119_000);
}

#[tokio::test]
async fn ranges_are_what_players_ask_for() {
    let scene = with_digits();
    let all = (200, String::new(), "0123456789".to_owned());
    let some = |range: &str, text: &str| (206, format!("bytes {range}/10"), text.to_owned());
    let none = (416, "bytes */10".to_owned(), "0 bytes".to_owned());
    for (range, expected) in [
        (None, &all),
        (Some("bytes=0-"), &some("0-9", "0123456789")),
        (Some("bytes=3-5"), &some("3-5", "345")),
        (Some("bytes=9-9"), &some("9-9", "9")),
        (Some("bytes=8-100"), &some("8-9", "89")),
        (Some("bytes=-4"), &some("6-9", "6789")),
        (Some("bytes=-400"), &some("0-9", "0123456789")),
        (Some("bytes=0-1,5-6"), &all),
        (Some("lines=0-1"), &all),
        (Some("bytes=10-"), &none),
        (Some("bytes=-0"), &none),
        (Some("bytes=5-3"), &none),
        (Some("bytes=a-b"), &none),
        (Some("bytes="), &none),
        (Some("bytes=99999999999999999999-"), &none),
    ] {
        assert_eq!(&scene.get("/digits.webm", range).await, expected, "{range:?}");
    }
    let unchanged = [("Range", "bytes=0-1"), ("If-Range", "\"x\"")];
    let answer = scene.ask("GET", "/digits.webm", &unchanged, ELSEWHERE).await;
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::OK, "0123456789"));
    fs::write(scene.folder.join("empty.webm"), "").expect("written");
    assert_eq!(scene.get("/empty.webm", None).await, (200, String::new(), String::new()));
    assert_eq!(scene.get("/empty.webm", Some("bytes=0-")).await.0, 416);
}

#[tokio::test]
async fn heads_and_other_methods() {
    let scene = with_digits();
    let head = scene.ask("HEAD", "/digits.webm", &[], ELSEWHERE).await;
    assert_eq!((head.status(), head.headers()["content-type"].as_bytes()), (StatusCode::OK, &b"video/webm"[..]));
    assert_eq!(text(head).await, "10 bytes");
    let list = scene.ask("HEAD", "/", &[], ELSEWHERE).await;
    assert!(matches!(list.body(), Body::Length(length) if *length > 20));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NEW"] {
        let answer = scene.ask(method, "/digits.webm", &[], ELSEWHERE).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].as_bytes()),
            (405, &b"GET, HEAD"[..]),
            "{method}"
        );
    }
    assert!(scene.folder.join("digits.webm").exists());
}

#[tokio::test]
async fn no_name_leads_anywhere_else() {
    let scene = with_digits();
    symlink(&scene.outside, scene.folder.join("link.webm")).expect("made");
    symlink("digits.webm", scene.folder.join("inner.webm")).expect("made");
    fs::create_dir(scene.folder.join("folder.webm")).expect("made");
    let pipe = std::process::Command::new("mkfifo").arg(scene.folder.join("pipe.webm")).status();
    assert!(pipe.is_ok_and(|status| status.success()), "a pipe");
    let absolute = scene.outside.display().to_string();
    let long = format!("/{}.webm", "x".repeat(10_000));
    for path in [
        "/nothing.webm",
        "/../secret.webm",
        "/..%2fsecret.webm",
        "/..%2F..%2fsecret.webm",
        "/%2e%2e/secret.webm",
        "/..%5csecret.webm",
        "/./digits.webm",
        "/digits.webm/",
        "/digits.webm%00",
        "/digits.webm%00.webm",
        "/link.webm",
        "/inner.webm",
        "/folder.webm",
        "/folder.webm/digits.webm",
        "/pipe.webm",
        "/%ff.webm",
        "/notes.txt",
        "/.webm",
        &absolute,
        &format!("/{}", absolute.replace('/', "%2f")),
        &format!("/{absolute}"),
        &long,
    ] {
        let (status, _, body) = scene.get(path, None).await;
        assert_eq!((status, body.contains("secret")), (404, false), "{path}");
    }
    assert_eq!(scene.get("/digits%2Ewebm?a=b", None).await.0, 200);
}

#[tokio::test]
async fn what_nobody_configured_is_for_this_machine_alone() {
    let scene = scene(Audience::ThisMachine);
    let v6 = "::1".parse().expect("an address");
    for (peer, headers, status) in [
        (HERE, &[("Host", "localhost:8888")][..], 200),
        (HERE, &[("Host", "LOCALHOST")], 200),
        (HERE, &[("Host", "127.0.0.1:8888")], 200),
        (v6, &[("Host", "[::1]:8888")], 200),
        (ELSEWHERE, &[("Host", "localhost:8888")], 403),
        (HERE, &[("Host", "localhost.example:8888")], 403),
        (HERE, &[("Host", "rivero.example:8888")], 403),
        (HERE, &[("Host", "10.0.0.7:8888")], 403),
        (HERE, &[("Host", "[::1")], 403),
        (HERE, &[], 403),
        (HERE, &[("Host", "localhost:8888"), ("X-Forwarded-For", "10.0.0.7")], 403),
    ] {
        assert_eq!(scene.ask("GET", "/", headers, peer).await.status(), status, "{peer} {headers:?}");
    }
}

#[tokio::test]
async fn no_more_than_so_many_are_served_at_once() {
    let scene = with_digits();
    let mut open = Vec::new();
    for _ in 0..MOST_ANSWERS {
        open.push(scene.ask("GET", "/digits.webm", &[], ELSEWHERE).await);
    }
    assert!(open.iter().all(|answer| answer.status() == 200));
    assert_eq!(scene.get("/digits.webm", None).await.0, 503);
    open.pop();
    assert_eq!(scene.get("/digits.webm", None).await.0, 200);
}

#[tokio::test]
async fn answers_forbid_all_that_is_not_showing_films() {
    let scene = with_digits();
    for path in ["/", "/digits.webm", "/nothing.webm"] {
        let answer = scene.ask("GET", path, &[], ELSEWHERE).await;
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{path}");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_told() {
    let scene = scene(Audience::Everyone);
    fs::create_dir_all(scene.folder.parent().expect("it has one")).expect("made");
    fs::write(&scene.folder, "a file").expect("written");
    let (status, _, body) = scene.get("/", None).await;
    assert_eq!(status, 503);
    assert!(body.contains("cannot be read"), "{body}");
}
