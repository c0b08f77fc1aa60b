//! Posts over real sockets, with the test in the place of an element.

use super::*;
use crate::bindings::Pending;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Hands every post to the test.
struct Hands(mpsc::Sender<(Body, Receipt)>, AtomicU64);

impl Expects for Hands {
    fn session_started(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    fn session_terminated(&self) {}

    fn play(&self, body: Body, receipt: Receipt) -> Pending<()> {
        let sender = self.0.clone();
        Box::pin(async move {
            // The test may be over.
            let _ = sender.send((body, receipt)).await;
        })
    }
}

struct House {
    uploads: Uploads,
    who: Arc<Hands>,
    posts: mpsc::Receiver<(Body, Receipt)>,
}

fn house() -> House {
    let settings = HttpSettings { server_address: Some("127.0.0.1".into()), port: 0, announced_address: None };
    let (sender, posts) = mpsc::channel(4);
    House { uploads: Uploads::new(settings), who: Arc::new(Hands(sender, AtomicU64::new(0))), posts }
}

impl House {
    async fn expect(&self) -> Registration {
        self.uploads.expect(Duration::from_secs(60), self.who.clone()).await.unwrap()
    }
}

/// A connection to a URL, on which the head of a post has been sent.
async fn post(url: &str, headers: &str) -> TcpStream {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut peer = TcpStream::connect(host).await.unwrap();
    peer.write_all(format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes()).await.unwrap();
    peer
}

async fn answer(mut peer: TcpStream) -> String {
    let mut answer = String::new();
    timeout(Duration::from_secs(10), peer.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_is_not_received_either() {
    let mut house = house();
    let site = house.expect().await;
    let mut peer = post(site.url(), "Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n").await;
    let (body, receipt) = house.posts.recv().await.unwrap();
    let piece = vec![7; 1 << 20];
    let mut sent = 0;
    // It stands still once the sockets' own buffers are full.
    while sent < 64 {
        let chunk = async {
            peer.write_all(b"100000\r\n").await?;
            peer.write_all(&piece).await?;
            peer.write_all(b"\r\n").await
        };
        match timeout(Duration::from_millis(500), chunk).await {
            Err(_) => break,
            Ok(written) => written.unwrap(),
        }
        sent += 1;
    }
    assert!(sent < 32, "{sent} MiB went to nobody");
    // The end of the one who expects it is the end of the post, and of who waits for it.
    drop(site);
    let read = std::thread::spawn(move || {
        let (mut body, _receipt) = (body, receipt);
        let mut all = Vec::new();
        body.read_to_end(&mut all).map(|_| all.len())
    });
    assert!(read.join().unwrap().unwrap() < 32 << 20);
    let mut rest = Vec::new();
    // A connection that is reset is closed as well.
    let _ = timeout(Duration::from_secs(10), peer.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_waits_for_the_one_before() {
    let mut house = house();
    let site = house.expect().await;
    let mut first = post(site.url(), "Content-Type: a/b\r\nContent-Length: 5\r\n").await;
    first.write_all(b"first").await.unwrap();
    let (body, mut receipt) = house.posts.recv().await.unwrap();
    receipt.opened(true);
    let told = answer(first).await;
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let cookie = told.split("HttpEPCookie=").nth(1).unwrap().split(';').next().unwrap();
    let headers = format!("Content-Type: a/b\r\nContent-Length: 6\r\nCookie: HttpEPCookie={cookie}\r\n");
    let mut second = post(site.url(), &headers).await;
    second.write_all(b"second").await.unwrap();
    assert!(timeout(Duration::from_millis(100), house.posts.recv()).await.is_err(), "not yet");
    drop((body, receipt));
    let (mut body, mut receipt) = house.posts.recv().await.unwrap();
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        body.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(text.join().unwrap().unwrap(), "second");
    receipt.opened(false);
    assert!(answer(second).await.starts_with("HTTP/1.1 415 "));
    assert_eq!(house.who.1.load(Ordering::Relaxed), 1, "one session");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_of_a_form_arrive() {
    let mut house = house();
    let site = house.expect().await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ntext\r\n\
                --x\r\nContent-Disposition: form-data; name=\"b\"; filename=\"b.webm\"\r\nContent-Type: video/webm\r\n\r\n\
                film --x film\r\n--x--\r\n";
    let length = form.len();
    let headers = format!("Content-Type: multipart/mixed; boundary=x\r\nContent-Length: {length}\r\n");
    let mut peer = post(site.url(), &headers).await;
    // However it is cut into pieces.
    for byte in form.as_bytes() {
        peer.write_all(&[*byte]).await.unwrap();
        peer.flush().await.unwrap();
    }
    let (mut body, mut receipt) = house.posts.recv().await.unwrap();
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        body.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(text.join().unwrap().unwrap(), "film --x film");
    receipt.opened(true);
    assert!(answer(peer).await.starts_with("HTTP/1.1 200 "));
}

#[test]
fn urls_name_what_peers_can_reach() {
    assert_eq!(host(Some("192.0.2.7".parse().unwrap())), "192.0.2.7");
    assert!(!host(Some("::".parse().unwrap())).starts_with("::"));
}
