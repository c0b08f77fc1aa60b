//! Real sockets, a real server, a real clock; and once a real server with a simulated one.

use super::coturn::{Coturn, PASSWORD, USER};
use rivero_engine::time::SystemClock;
use rivero_engine::{Clock, MediaTime};
use rivero_transport::net::nat::reflexive::response_id;
use rivero_transport::net::nat::{
    Allocation, Query, QueryOutput, RelayError, RelayHandle, RelayNews, RelayOutput, RelaySettings, TurnUrl, open_relay,
};
use rivero_transport::net::{Mark, Relay, UdpPort};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum News {
    Allocated(SocketAddr),
    Received(SocketAddr, Vec<u8>),
    Lost(RelayError),
    Failed(RelayError),
}

/// A relay whose news can be waited for.
struct Relaying {
    handle: RelayHandle,
    news: mpsc::Receiver<News>,
}

impl Relaying {
    fn open(host: &str, port: u16, transport: &str, password: &str) -> Self {
        let url: TurnUrl = format!("{USER}:{password}@{host}:{port}?transport={transport}").parse().expect("a URL");
        let (tell, news) = mpsc::channel(1000);
        let tell = move |one| tell.try_send(one).expect("there is room");
        let handle = open_relay(url, Mark::NONE, Arc::new(SystemClock::new()), move |news| match news {
            RelayNews::Allocated { relayed, server, .. } => {
                assert_eq!(server.port(), port);
                tell(News::Allocated(relayed));
            }
            RelayNews::Received(batch) => {
                batch.iter().for_each(|one| tell(News::Received(one.peer, one.bytes.clone())))
            }
            RelayNews::Lost(why) => tell(News::Lost(why)),
            RelayNews::Failed(why) => tell(News::Failed(why)),
        });
        Relaying { handle, news }
    }

    async fn next(&mut self) -> News {
        timeout(PATIENCE, self.news.recv()).await.expect("in time").expect("the relay lives")
    }

    async fn allocated(&mut self) -> SocketAddr {
        match self.next().await {
            News::Allocated(relayed) => relayed,
            other => panic!("{other:?}"),
        }
    }

    async fn failed(&mut self) -> RelayError {
        match self.next().await {
            News::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

async fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut room = [0; 2000];
    let (count, from) = timeout(PATIENCE, socket.recv_from(&mut room)).await.expect("in time").expect("a datagram");
    (room[..count].to_vec(), from)
}

/// A check as ICE sends it, then media both ways in all lengths, which a stream must pad; then the address is given back.
async fn exchange(mut relay: Relaying, ips: &[&str]) {
    let relayed = relay.allocated().await;
    assert!(ips.contains(&relayed.ip().to_string().as_str()), "{relayed}");
    let peer = UdpSocket::bind((relayed.ip(), 0)).await.expect("a port");
    let at = peer.local_addr().expect("a bound socket");

    relay.handle.send(at, &[0, 1, 0, 0]);
    assert_eq!(received(&peer).await, (vec![0, 1, 0, 0], relayed));
    for length in 1..=60usize {
        let bytes = vec![0x80 + (length as u8 & 0x3f); length];
        relay.handle.send(at, &bytes);
        assert_eq!(received(&peer).await, (bytes.clone(), relayed));
        peer.send_to(&bytes, relayed).await.expect("sent");
        match relay.next().await {
            News::Received(from, got) => assert_eq!((from, got), (at, bytes)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(relay.handle.dropped(), 0);

    assert!(UdpSocket::bind(relayed).await.is_err(), "coturn holds its port");
    drop(relay.handle);
    let given_back = async {
        while UdpSocket::bind(relayed).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Far sooner than the ten minutes after which the server would take it back by itself.
    timeout(PATIENCE, given_back).await.expect("dropping the handle gives the address back");
    assert!(relay.news.recv().await.is_none(), "and nothing is told any longer");
}

#[test]
fn media_passes_over_udp_tcp_and_tls() {
    run(async {
        let Some(coturn) = Coturn::start("").await else { return };
        for (transport, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
            exchange(Relaying::open("127.0.0.1", port, transport, PASSWORD), &["127.0.0.1"]).await;
        }
        exchange(Relaying::open("localhost", coturn.port, "tcp", PASSWORD), &["127.0.0.1", "::1"]).await;
    });
}

#[test]
fn media_passes_over_ipv6() {
    run(async {
        if UdpSocket::bind("[::1]:0").await.is_err() {
            return eprintln!("SKIPPED: there is no IPv6 here");
        }
        let Some(coturn) = Coturn::start("").await else { return };
        for (transport, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
            exchange(Relaying::open("[::1]", port, transport, PASSWORD), &["::1"]).await;
        }
    });
}

#[test]
fn why_there_is_no_relay_is_told() {
    run(async {
        let Some(coturn) = Coturn::start("user-quota=1").await else { return };
        for (transport, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
            let why = Relaying::open("127.0.0.1", port, transport, "wrong").failed().await;
            assert!(matches!(why, RelayError::WrongCredentials), "{transport}: {why:?}");
        }
        let mut first = Relaying::open("127.0.0.1", coturn.port, "udp", PASSWORD);
        first.allocated().await;
        let why = Relaying::open("127.0.0.1", coturn.port, "udp", PASSWORD).failed().await;
        assert!(matches!(why, RelayError::Quota), "{why:?}");

        let why = Relaying::open("127.0.0.1", coturn.port, "tls", PASSWORD).failed().await;
        // coturn takes TLS on every port that it listens on.
        assert!(matches!(why, RelayError::Quota), "{why:?}");
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let closed = silent.local_addr().expect("a bound socket").port();
        drop(silent);
        for transport in ["udp", "tcp", "tls"] {
            let why = Relaying::open("127.0.0.1", closed, transport, PASSWORD).failed().await;
            assert!(matches!(why, RelayError::Unreachable(..)), "{transport}: {why:?}");
        }
    });
}

/// As long as coturn is away: nothing passes. Over UDP the loss shows when nothing comes back, over a stream at once.
#[test]
fn another_relay_is_lent_by_a_server_that_was_restarted() {
    run(async {
        let Some(mut coturn) = Coturn::start("").await else { return };
        for (transport, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
            let mut relay = Relaying::open("127.0.0.1", port, transport, PASSWORD);
            relay.allocated().await;
            let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let at = peer.local_addr().expect("a bound socket");
            relay.handle.send(at, &[0, 1, 0, 0]);
            received(&peer).await;
            coturn.crash();
            coturn.start_again().await;
            relay.handle.send(at, &[0, 1, 0, 0]);
            match relay.next().await {
                News::Lost(RelayError::Lost) if transport == "udp" => {}
                News::Lost(RelayError::Closed(_)) if transport != "udp" => {}
                other => panic!("{transport}: {other:?}"),
            }
            exchange(relay, &["127.0.0.1"]).await;
        }
    });
}

#[test]
fn whoever_is_let_go_by_a_dead_server_asks_no_longer() {
    run(async {
        let Some(mut coturn) = Coturn::start("").await else { return };
        let mut relay = Relaying::open("127.0.0.1", coturn.tls_port, "tls", PASSWORD);
        relay.allocated().await;
        coturn.crash();
        let lost = relay.next().await;
        assert!(matches!(lost, News::Lost(RelayError::Closed(_))), "{lost:?}");
        // The task that asks owns the other end.
        drop(relay.handle);
        assert!(relay.news.recv().await.is_none());
    });
}

/// Two questions on one port, as two sessions of one worker ask them, each from both families.
#[test]
fn a_port_learns_its_public_address() {
    run(async {
        let Some(coturn) = Coturn::start("").await else { return };
        let port = Rc::new(UdpPort::bind((1024, 65_535), 43_210).expect("a free port"));
        let clock = SystemClock::new();
        for ip in ["127.0.0.1", "::1"] {
            let ip = ip.parse().expect("an address");
            if !port.serves(ip) {
                continue;
            }
            let server = SocketAddr::new(ip, coturn.port);
            let mut queries = [Query::new(clock.now()), Query::new(clock.now())];
            let mut answers = BTreeMap::new();
            while answers.len() < 2 {
                let now = clock.now();
                for query in &mut queries {
                    port.writable(ip).await;
                    match query.poll(now) {
                        QueryOutput::Transmit(bytes) => port.send(ip, server, Mark::NONE, bytes, None).expect("sent"),
                        QueryOutput::Wait(_) => {}
                        QueryOutput::Unanswered => panic!("coturn is silent"),
                    }
                }
                let _ = timeout(Duration::from_millis(100), port.readable()).await;
                port.receive(&mut Default::default(), |source, _, bytes| {
                    assert_eq!(source, server);
                    let id = response_id(bytes).expect("an answer");
                    let query = queries.iter().find(|query| query.id() == id).expect("to one of the two");
                    answers.insert(id, query.receive(bytes).expect("its own").expect("an address"));
                });
            }
            assert!(answers.values().all(|mapped| *mapped == SocketAddr::new(ip, port.number())), "{answers:?}");
        }
    });
}

/// Coturn's clock runs as it does, ours as fast as coturn answers: it takes every refresh of ten minutes and more.
#[test]
fn coturn_takes_every_refresh_of_half_an_hour() {
    run(async {
        let Some(coturn) = Coturn::start("").await else { return };
        for stream in [false, true] {
            refresh_for_half_an_hour(coturn.port, stream);
        }
        let log = coturn.log();
        assert!(log.contains("CHANNEL_BIND processed, success") && log.contains("REFRESH processed, success"), "{log}");
        let refused = log.lines().find(|line| line.contains("processed, error") && !line.contains("401"));
        assert_eq!(refused, None);
    });
}

fn refresh_for_half_an_hour(port: u16, stream: bool) {
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.connect(server).expect("connected");
    udp.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut tcp = std::net::TcpStream::connect(server).expect("connected");
    tcp.set_read_timeout(Some(PATIENCE)).expect("set");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    peer.set_read_timeout(Some(PATIENCE)).expect("set");
    let at = peer.local_addr().expect("a bound socket");

    let settings = RelaySettings { user: USER.to_owned(), password: PASSWORD.to_owned(), stream, ipv6: false };
    let mut now = MediaTime::ZERO;
    let mut relay = Allocation::new(settings, now);
    let (mut unanswered, mut requests, mut arrived) = (0, BTreeMap::<u8, u32>::new(), 0);
    let (mut room, mut open, mut second) = ([0; 2000], false, 0);
    while second < 1800 {
        match relay.poll(now) {
            RelayOutput::Transmit(bytes) => {
                // A request: bits 0 and 1 of the first byte and bit 4 of the second say the class.
                if bytes[0] == 0 && matches!(bytes[1], 3 | 4 | 8 | 9) {
                    unanswered += 1;
                    *requests.entry(bytes[1]).or_default() += 1;
                }
                if stream { tcp.write_all(&bytes) } else { udp.send(&bytes).map(drop) }.expect("sent");
            }
            RelayOutput::Allocated { .. } => open = true,
            // Time stands still until coturn has answered everything.
            RelayOutput::Wait(_) if unanswered > 0 => {
                let count = if stream { tcp.read(&mut room) } else { udp.recv(&mut room) };
                let count = count.unwrap_or_else(|why| panic!("second {second}: no answer to {requests:?}: {why}"));
                assert!(count > 0, "second {second}: coturn hung up");
                relay.receive(now, &room[..count]);
                let mut rest = &room[..count];
                while let [class, _, high, low, ..] = rest {
                    unanswered -= i32::from(*class == 1);
                    rest = &rest[20 + usize::from(u16::from_be_bytes([*high, *low]))..];
                }
            }
            RelayOutput::Wait(_) if open => {
                if second > 0 {
                    peer.recv(&mut room).expect("the datagram of the second before");
                    arrived += 1;
                }
                second += 1;
                now = MediaTime::from_millis(second * 1000);
                relay.send(now, at, &[0x80; 7]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(arrived, 1799);
    for (kind, least) in [(4, 3), (8, 5), (9, 4)] {
        assert!(requests.get(&kind).is_some_and(|count| *count >= least), "{requests:?}");
    }
}
