//! The server behind real sockets: HTTP answers, WebSocket rules, TLS, the registrar. Loopback only, on free ports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::{SinkExt, StreamExt};
use rivero_engine::time::SystemClock;
use rivero_rpc::limits::ThisProcess;
use rivero_rpc::server::http::Pages;
use rivero_rpc::server::listen::{ListenOptions, Listener, Security};
use rivero_rpc::server::registrar::{Registration, register_forever};
use rivero_rpc::server::tls;
use rivero_rpc::{Bindings, Made, Server, ServerOptions, api};
use serde_json::{Map, Value as Json, json};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

struct House {
    server: Arc<Server>,
    address: SocketAddr,
    /// The operation `getGstreamerDot` of a pipeline waits for this.
    go: Arc<Notify>,
    _stop: watch::Sender<bool>,
}

fn open_house(security: Security) -> House {
    let go = Arc::new(Notify::new());
    let mut bindings = Bindings::new();
    bindings.factory("MediaPipeline", |_| async { Ok(Made::new(())) });
    let wait = go.clone();
    bindings.method("MediaPipeline", "getGstreamerDot", move |_| {
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Ok(Json::from("digraph {}"))
        }
    });
    let server = Server::new(ServerOptions {
        version: "7.3.0".into(),
        generation_time: String::new(),
        api: Arc::new(api::kurento()),
        bindings,
        metadata: String::new(),
        gc_period: Duration::from_secs(240),
        request_cache: true,
        probe: Box::new(ThisProcess),
        exception_limit: 1.0,
        clock: Arc::new(SystemClock::new()),
    });
    let listener = Listener::bind(ListenOptions {
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ipv6: false,
        port: 0,
        backlog: 100,
        path: "kurento".into(),
        pages: Pages::default().add("/", "text/html; charset=utf-8", b"<p>hello</p>"),
    })
    .unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(listener.serve(server.clone(), security, stopped));
    House { server, address, go, _stop: stop }
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("within the test's patience")
}

/// Sends bytes on a fresh connection and reads until the server ends it.
async fn exchange(house: &House, request: &str) -> String {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

type Client = WebSocketStream<TcpStream>;

async fn client(house: &House) -> Client {
    client_at(house, "/kurento").await
}

async fn client_at(house: &House, path: &str) -> Client {
    let stream = TcpStream::connect(house.address).await.unwrap();
    soon(client_async(format!("ws://{}{path}", house.address), stream)).await.unwrap().0
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(client: &mut WebSocketStream<S>) -> String {
    loop {
        match soon(client.next()).await.expect("a frame").expect("a frame") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("no text: {other:?}"),
        }
    }
}

/// The close code and reason that the server gives.
async fn farewell(client: &mut Client) -> (CloseCode, String) {
    loop {
        match soon(client.next()).await.expect("a close frame").expect("a close frame") {
            Message::Close(Some(frame)) => return (frame.code, frame.reason.to_string()),
            Message::Text(_) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

fn request(id: u32, method: &str, params: Json) -> Message {
    Message::text(json!({ "id": id, "jsonrpc": "2.0", "method": method, "params": params }).to_string())
}

async fn ask(client: &mut Client, id: u32, method: &str, params: Json) -> Json {
    client.send(request(id, method, params)).await.unwrap();
    serde_json::from_str(&next(client).await).unwrap()
}

async fn new_pipeline(client: &mut Client, session: &str) -> String {
    let answer = ask(client, 1, "create", json!({ "type": "MediaPipeline", "sessionId": session })).await;
    answer["result"]["value"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_requests_are_answered_as_by_kurento() {
    let house = open_house(Security::None);
    let health =
        "GET /kurento HTTP/1.1\nHost: 127.0.0.1:8888\nConnection: Upgrade\nUpgrade: websocket\nOrigin: 127.0.0.1\n\n";
    assert_eq!(
        exchange(&house, health).await,
        "HTTP/1.1 500 Internal Server Error\r\nServer: WebSocket++/0.8.2\r\n\r\n"
    );
    let plain = "HTTP/1.1 426 Upgrade Required\r\nServer: WebSocket++/0.8.2\r\n\r\n";
    assert_eq!(exchange(&house, "GET /kurento HTTP/1.1\nHost: x\n\n").await, plain);
    assert_eq!(exchange(&house, "POST /kurento HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello").await, plain);
    assert!(exchange(&house, "GET / HTTP/1.1\nHost: x\n\n").await.ends_with("\r\n\r\n<p>hello</p>"));
    let long = format!("GET / HTTP/1.1\nX: {}\n\n", "x".repeat(20_000));
    assert!(exchange(&house, &long).await.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_has_kurentos_headers_and_may_bring_the_first_frame() {
    let house = open_house(Security::None);
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let mut bytes = b"GET /kurento?access_token=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    let ping = br#"{"id":1,"jsonrpc":"2.0","method":"ping"}"#;
    bytes.extend([0x81, 0x80 | u8::try_from(ping.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(ping);
    stream.write_all(&bytes).await.unwrap();
    let pong = br#"{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}"#;
    let mut expected = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: WebSocket++/0.8.2\r\nUpgrade: websocket\r\n\r\n"
        .to_vec();
    expected.extend([0x81, u8::try_from(pong.len()).unwrap()]);
    expected.extend(pong);
    let mut answer = vec![0; expected.len()];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_path_is_closed_with_1002() {
    let house = open_house(Security::None);
    for path in ["/other", "/kurento/", "/"] {
        let mut client = client_at(&house, path).await;
        assert_eq!(farewell(&mut client).await, (CloseCode::Protocol, "Invalid path".into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_order_also_to_binary_frames() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    let pipeline = new_pipeline(&mut client, "s").await;
    let slow = json!({ "object": pipeline, "operation": "getGstreamerDot" });
    client.send(request(2, "invoke", slow)).await.unwrap();
    let ping = Bytes::from_static(br#"{"id":3,"jsonrpc":"2.0","method":"ping"}"#);
    client.send(Message::Binary(ping)).await.unwrap();
    client.send(request(4, "ping", json!({ "sessionId": "t" }))).await.unwrap();
    let mut other = self::client(&house).await;
    assert_eq!(ask(&mut other, 9, "ping", json!({})).await["result"]["value"], "pong", "others do not wait");
    house.go.notify_one();
    assert!(next(&mut client).await.starts_with(r#"{"id":2,"#));
    assert_eq!(next(&mut client).await, r#"{"id":3,"jsonrpc":"2.0","result":{"sessionId":"s","value":"pong"}}"#);
    assert!(next(&mut client).await.starts_with(r#"{"id":4,"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_do_not_wait_for_a_slow_operation() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    let pipeline = new_pipeline(&mut client, "s").await;
    ask(&mut client, 2, "subscribe", json!({ "object": pipeline, "type": "Error" })).await;
    let slow = json!({ "object": pipeline, "operation": "getGstreamerDot" });
    client.send(request(3, "invoke", slow)).await.unwrap();
    let object = house.server.object(&pipeline).unwrap();
    house.server.emit(&object, "Error", Map::new(), SystemTime::UNIX_EPOCH);
    assert!(next(&mut client).await.contains(r#""method":"onEvent""#));
    house.go.notify_one();
    assert!(next(&mut client).await.starts_with(r#"{"id":3,"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_utf8_is_closed_with_1007() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    client.get_mut().write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await.unwrap();
    assert_eq!(farewell(&mut client).await, (CloseCode::Invalid, "Invalid UTF8 encoding".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmasked_frame_is_closed_with_1002() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    client.get_mut().write_all(&[0x81, 0x02, b'{', b'}']).await.unwrap();
    assert_eq!(farewell(&mut client).await.0, CloseCode::Protocol);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_message_is_closed_with_1009_and_harms_nobody() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    let pipeline = new_pipeline(&mut client, "s").await;
    let long = "x".repeat(33 << 20);
    // The server may refuse before everything is sent.
    let _ = soon(client.send(Message::text(long))).await;
    assert_eq!(farewell(&mut client).await, (CloseCode::Size, "A message was too large".into()));
    let mut again = self::client(&house).await;
    let described = ask(&mut again, 2, "describe", json!({ "object": pipeline, "sessionId": "s" })).await;
    assert_eq!(described["result"]["type"], "MediaPipeline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_almost_32_mb_is_a_parse_error_only() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    let text = format!("[{}1]", "1,".repeat(15_000_000));
    client.send(Message::text(text)).await.unwrap();
    assert!(next(&mut client).await.contains("-32700"));
    assert_eq!(ask(&mut client, 1, "ping", json!({})).await["result"]["value"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_events_is_closed_and_may_come_back() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    let pipeline = new_pipeline(&mut client, "s").await;
    ask(&mut client, 2, "subscribe", json!({ "object": pipeline, "type": "Error" })).await;
    let object = house.server.object(&pipeline).unwrap();
    let data = Map::from_iter([("description".to_owned(), Json::from("x".repeat(20_000)))]);
    soon(async {
        // 60 MB: more than the sockets and the queue hold together.
        for _ in 0..3000 {
            house.server.emit(&object, "Error", data.clone(), SystemTime::UNIX_EPOCH);
            tokio::task::yield_now().await;
        }
        // What was already on its way still arrives; then the connection ends.
        while let Some(Ok(_)) = client.next().await {}
    })
    .await;
    let mut again = self::client(&house).await;
    let connected = ask(&mut again, 3, "connect", json!({ "sessionId": "s" })).await;
    assert_eq!(connected["result"]["sessionId"], "s");
    house.server.emit(&object, "Error", Map::new(), SystemTime::UNIX_EPOCH);
    assert!(next(&mut again).await.contains(r#""type":"Error""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_and_a_close_is_returned() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    client.send(Message::Ping(Bytes::from_static(b"abc"))).await.unwrap();
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"abc")));
    client.close(None).await.unwrap();
    assert!(matches!(soon(client.next()).await, Some(Ok(Message::Close(_)))));
    assert!(soon(client.next()).await.is_none());
}

fn certificate() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/localhost.pem")
}

#[tokio::test(flavor = "multi_thread")]
async fn wss_shares_sessions_with_ws() {
    let house = open_house(Security::Tls(tls::server_config(&certificate()).unwrap()));
    let stream = TcpStream::connect(house.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(tls::trusting_client_config().unwrap());
    let stream = soon(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
    let (mut client, _) = soon(client_async("wss://localhost/kurento", stream)).await.unwrap();
    client.send(request(1, "ping", json!({}))).await.unwrap();
    assert_eq!(next(&mut client).await, r#"{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_certificate_fails_handshakes_and_no_more() {
    assert!(tls::server_config(Path::new("/nonexistent.pem")).is_err());
    assert!(tls::server_config(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/README.md")).is_err());
    let house = open_house(Security::Broken);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let mut answer = Vec::new();
        // The end may come as a reset, when the server closes with our bytes unread.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registrar_hears_of_us_again_after_a_loss() {
    let registrar = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let registration = Registration {
        registrar: format!("ws://{}", registrar.local_addr().unwrap()),
        local_address: "127.0.0.1".into(),
        port: 8888,
        secure_port: None,
        path: "kurento".into(),
    };
    let registering = tokio::spawn(register_forever(registration, stopped));
    for _ in 0..2 {
        let (stream, _) = soon(registrar.accept()).await.unwrap();
        let mut socket = soon(accept_async(stream)).await.unwrap();
        assert_eq!(
            next(&mut socket).await,
            r#"{"jsonrpc":"2.0","method":"register","params":{"ws":"ws://127.0.0.1:8888/kurento"}}"#
        );
    }
    let (stream, _) = soon(registrar.accept()).await.unwrap();
    let mut socket = soon(accept_async(stream)).await.unwrap();
    next(&mut socket).await;
    stop.send(true).unwrap();
    assert_eq!(farewell(&mut socket).await, (CloseCode::Away, "terminating".into()));
    soon(registering).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_drops_every_client() {
    let house = open_house(Security::None);
    let mut client = client(&house).await;
    assert_eq!(ask(&mut client, 1, "ping", json!({})).await["result"]["value"], "pong");
    house._stop.send(true).unwrap();
    assert!(!matches!(soon(client.next()).await, Some(Ok(_))), "no Close frame");
    soon(house.server.shutdown()).await;
}
