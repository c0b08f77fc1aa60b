//! The HTTP before the WebSocket: reading one request head and deciding what to answer.
//!
//! What enters: the bytes that a peer sends first. What leaves: an upgrade, a page, or a refusal, byte for byte as clients and
//! health checks of Kurento expect them. What it must never know: the protocol inside the WebSocket.

use super::branch::Branch;
use hyper::Request;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What the `Server` header says. Clients and scripts look for it.
pub const SERVER: &str = "WebSocket++/0.8.2";
/// Longest request head, in bytes.
pub const MAX_HEAD: usize = 16_000;

/// The web page that the server offers: content type and bytes by path (`/index.html`; `/` is a path as well), and what answers
/// for itself below a path.
#[derive(Clone, Default)]
pub struct Pages {
    leaves: BTreeMap<&'static str, (&'static str, Content)>,
    branches: BTreeMap<&'static str, Arc<dyn Branch>>,
}

#[derive(Clone)]
enum Content {
    Fixed(&'static [u8]),
    Written(Arc<dyn Fn() -> String + Send + Sync>),
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.leaves.keys()).entries(self.branches.keys()).finish()
    }
}

impl Pages {
    pub fn add(mut self, path: &'static str, content_type: &'static str, content: &'static [u8]) -> Self {
        self.leaves.insert(path, (content_type, Content::Fixed(content)));
        self
    }

    /// What answers for `path` and all that lies below it.
    pub fn branch(mut self, path: &'static str, branch: Arc<dyn Branch>) -> Self {
        self.branches.insert(path, branch);
        self
    }

    /// A page that is written anew each time.
    pub fn write(
        mut self,
        path: &'static str,
        content_type: &'static str,
        write: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.leaves.insert(path, (content_type, Content::Written(Arc::new(write))));
        self
    }
}

/// A request head, and what came behind it.
#[derive(Debug)]
pub struct Head {
    method: String,
    /// As written, with the query.
    target: String,
    /// 0 or 1 in `HTTP/1.x`.
    minor: u8,
    headers: Vec<(String, String)>,
    pub rest: Vec<u8>,
}

/// What reading a head came to.
#[derive(Debug)]
pub enum Reading {
    Head(Head),
    /// The peer left before its request was complete.
    Gone,
    /// To be answered with this, and closed.
    Refused(Vec<u8>),
}

/// What a request is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// To be written; then the WebSocket begins. The path still has to be judged, by Kurento's rules with a Close frame.
    Upgrade { answer: Vec<u8>, right_path: bool },
    /// To be written, then the connection ends.
    Close(Vec<u8>),
}

/// Reads up to the end of a request head.
pub async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Reading> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(reading) = parse(&mut bytes) {
            return Ok(reading);
        }
        if bytes.len() >= MAX_HEAD {
            return Ok(Reading::Refused(refusal("431 Request Header Fields Too Large")));
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await? {
            0 => return Ok(Reading::Gone),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// `None` while the head is incomplete.
fn parse(bytes: &mut Vec<u8>) -> Option<Reading> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(length)) => length,
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Reading::Refused(refusal("431 Request Header Fields Too Large")));
        }
        Err(_) => return Some(Reading::Refused(refusal("400 Bad Request"))),
    };
    if length > MAX_HEAD {
        return Some(Reading::Refused(refusal("431 Request Header Fields Too Large")));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        minor: request.version.unwrap_or(1),
        headers: request.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect(),
        rest: Vec::new(),
    };
    Some(Reading::Head(Head { rest: bytes.split_off(length), ..head }))
}

impl Head {
    /// All values of a header, in one list.
    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn names_token(&self, header: &str, token: &str) -> bool {
        self.header(header).is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
    }

    /// The target without query; always begins with a slash.
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn is_upgrade(&self) -> bool {
        self.names_token("upgrade", "websocket") && self.names_token("connection", "upgrade")
    }

    /// Who answers instead of [`reply`](Self::reply), if anybody does, and what it is asked: the path is what follows the branch's own.
    pub fn branch(&self, path: &str, pages: &Pages) -> Option<(Arc<dyn Branch>, Request<()>)> {
        let asked = self.path();
        let (branch, below) = pages.branches.iter().find_map(|(at, branch)| {
            let below = asked.strip_prefix(at).filter(|below| below.is_empty() || below.starts_with('/'))?;
            Some((branch, below))
        })?;
        if self.is_upgrade() || self.has_bad_host() || asked.strip_prefix('/') == Some(path) {
            return None;
        }
        let mut request =
            Request::builder().method(self.method.as_str()).uri(if below.is_empty() { "/" } else { below });
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Some((branch.clone(), request.body(()).ok()?))
    }

    fn has_bad_host(&self) -> bool {
        let Some(host) = self.header("host") else { return false };
        let port = match host.rsplit_once(']') {
            Some((_, port)) => port.strip_prefix(':'), // [::1]:8888
            None => host.split_once(':').map(|(_, port)| port),
        };
        port.is_some_and(|port| port.parse::<u16>().is_err())
    }

    /// Decides. `path` is the configured one, without its leading slash.
    pub fn reply(&self, path: &str, pages: &Pages) -> Reply {
        if !self.is_upgrade() {
            return Reply::Close(self.plain(path, pages));
        }
        let bad_request = || Reply::Close(refusal("400 Bad Request"));
        let version: u32 = match self.header("sec-websocket-version").map(|version| version.parse()) {
            // Taken for the oldest draft, whose key is missing. Health checks rely on this answer.
            None | Some(Ok(0)) => return Reply::Close(refusal("500 Internal Server Error")),
            Some(Ok(version)) => version,
            Some(Err(_)) => return bad_request(),
        };
        if ![7, 8, 13].contains(&version) {
            let head =
                format!("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 0,7,8,13\r\nServer: {SERVER}\r\n\r\n");
            return Reply::Close(head.into_bytes());
        }
        let key = self.header("sec-websocket-key").filter(|key| !key.is_empty());
        let Some(key) = key.filter(|_| self.method == "GET" && self.minor == 1 && !self.has_bad_host()) else {
            return bad_request();
        };
        let accept = derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
             Server: {SERVER}\r\nUpgrade: websocket\r\n\r\n"
        );
        let asked = self.path();
        Reply::Upgrade { answer: answer.into_bytes(), right_path: asked.strip_prefix('/').unwrap_or(asked) == path }
    }

    fn plain(&self, path: &str, pages: &Pages) -> Vec<u8> {
        if self.has_bad_host() {
            return refusal("400 Bad Request");
        }
        let asked = self.path();
        let page = pages.leaves.get(asked).filter(|_| self.method == "GET" && asked.strip_prefix('/') != Some(path));
        let Some((content_type, content)) = page else { return refusal("426 Upgrade Required") };
        let content = match content {
            Content::Fixed(bytes) => Cow::Borrowed(*bytes),
            Content::Written(write) => Cow::Owned(write().into_bytes()),
        };
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: {content_type}\r\nServer: {SERVER}\r\n\r\n",
            content.len()
        )
        .into_bytes();
        answer.extend_from_slice(&content);
        answer
    }
}

fn refusal(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nServer: {SERVER}\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(request: &str) -> Reply {
        let pages = Pages::default().add("/", "text/html", b"<p>").add("/kurento", "text/html", b"never");
        let mut bytes = request.replace('\n', "\r\n").into_bytes();
        match parse(&mut bytes) {
            Some(Reading::Head(head)) => head.reply("kurento", &pages),
            Some(Reading::Refused(answer)) => Reply::Close(answer),
            other => panic!("{other:?}"),
        }
    }

    fn closed(request: &str) -> String {
        match reply(request) {
            Reply::Close(answer) => String::from_utf8(answer).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const PLAIN_426: &str = "HTTP/1.1 426 Upgrade Required\r\nServer: WebSocket++/0.8.2\r\n\r\n";
    const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nServer: WebSocket++/0.8.2\r\n\r\n";

    #[test]
    fn plain_requests_get_426_or_a_page() {
        assert_eq!(closed("GET /kurento HTTP/1.1\nHost: x:8888\n\n"), PLAIN_426);
        assert_eq!(closed("POST / HTTP/1.1\nHost: x\n\n"), PLAIN_426);
        assert_eq!(closed("GET /other HTTP/1.0\n\n"), PLAIN_426);
        assert_eq!(closed("GET / HTTP/1.1\nHost: x:port\n\n"), BAD_REQUEST);
        assert_eq!(
            closed("GET /?a=b HTTP/1.1\nHost: [::1]:8888\n\n"),
            "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Length: 3\r\n\
             Content-Type: text/html\r\nServer: WebSocket++/0.8.2\r\n\r\n<p>"
        );
    }

    #[test]
    fn the_health_check_gets_500() {
        let answer = closed(
            "GET /kurento HTTP/1.1\nHost: 127.0.0.1:8888\nConnection: Upgrade\nUpgrade: websocket\nOrigin: 127.0.0.1\n\n",
        );
        assert_eq!(answer, "HTTP/1.1 500 Internal Server Error\r\nServer: WebSocket++/0.8.2\r\n\r\n");
    }

    #[test]
    fn incomplete_handshakes_get_400() {
        let upgrade =
            |first: &str, rest: &str| format!("{first}\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n{rest}\n");
        let get = "GET /kurento HTTP/1.1";
        let key = "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
        assert_eq!(closed(&upgrade(get, "Sec-WebSocket-Version: 13\n")), BAD_REQUEST);
        assert_eq!(closed(&upgrade("POST /kurento HTTP/1.1", key)), BAD_REQUEST);
        assert_eq!(closed(&upgrade("GET /kurento HTTP/1.0", key)), BAD_REQUEST);
        assert_eq!(closed(&upgrade(get, "Sec-WebSocket-Version: new\n")), BAD_REQUEST);
        assert_eq!(
            closed(&upgrade(get, "Sec-WebSocket-Version: 14\n")),
            "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 0,7,8,13\r\nServer: WebSocket++/0.8.2\r\n\r\n"
        );
        assert_eq!(closed("not http\n\n"), BAD_REQUEST);
    }

    #[test]
    fn upgrades_with_kurentos_headers_and_judges_the_path() {
        let request = |path: &str| {
            reply(&format!(
                "GET {path} HTTP/1.1\nHost: x\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\n\
                 Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\
                 Sec-WebSocket-Protocol: foo\nSec-WebSocket-Extensions: permessage-deflate\n\n"
            ))
        };
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: WebSocket++/0.8.2\r\nUpgrade: websocket\r\n\r\n";
        for (path, right_path) in [("/kurento", true), ("/kurento?token=1", true), ("/kurento/", false), ("/", false)] {
            assert_eq!(request(path), Reply::Upgrade { answer: answer.to_vec(), right_path }, "{path}");
        }
    }

    /// Answers nothing.
    struct Twig;

    impl Branch for Twig {
        fn answer(self: Arc<Self>, _: Request<()>, _: std::net::IpAddr) -> crate::server::branch::Answering {
            unreachable!("nobody asks it here")
        }
    }

    #[test]
    fn a_branch_is_asked_for_what_lies_below_it() {
        let pages = Pages::default().branch("/films", Arc::new(Twig)).branch("/kurento", Arc::new(Twig));
        let below = |request: &str| {
            let mut bytes = request.replace('\n', "\r\n").into_bytes();
            let Some(Reading::Head(head)) = parse(&mut bytes) else { panic!("no head") };
            head.branch("kurento", &pages).map(|(_, asked)| (asked.uri().to_string(), asked))
        };
        for (path, expected) in [
            ("/films", Some("/")),
            ("/films?a=b", Some("/")),
            ("/films/", Some("/")),
            ("/films/..%2fa", Some("/..%2fa")),
            ("/films//a", Some("//a")),
            ("/filmsx", None),
            ("/x/films", None),
            ("/%66ilms", None),
            ("http://x/films", None),
            ("/kurento", None),
        ] {
            let found = below(&format!("GET {path} HTTP/1.1\nHost: x\n\n"));
            assert_eq!(found.map(|(uri, _)| uri).as_deref(), expected, "{path}");
        }
        let (_, asked) = below("HEAD /films HTTP/1.0\nRange: bytes=0-\nRange: bytes=1-\n\n").expect("below");
        assert_eq!((asked.method().as_str(), asked.headers().get_all("range").iter().count()), ("HEAD", 2));
        assert!(below("GET /films HTTP/1.1\nHost: x:port\n\n").is_none());
        assert!(below("GET /films HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket\n\n").is_none());
    }

    #[test]
    fn a_long_head_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let Some(Reading::Refused(answer)) = parse(&mut long.into_bytes()) else { panic!("not refused") };
        assert!(answer.starts_with(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    }
}
