//! Endpoints behind relays of Debian's coturn, over UDP, TCP and TLS: they have no other address, so that whatever arrives came
//! through both relays.

use super::coturn::{Coturn, PASSWORD, USER};
use super::house::{House, PATIENCE, pictures, vp8};
use rivero_engine::graph::Selection;
use rivero_engine::testing::Tell;
use rivero_transport::sdp::{Address, CandidateType};
use rivero_transport::webrtc::{EndpointOptions, IceState, WebRtcEndpoint, WebRtcEvent};
use std::net::{Ipv4Addr, UdpSocket};
use tokio::net::TcpStream;

/// How many go each way.
const PICTURES: u8 = 50;

/// An endpoint's options that leave it a relay and nothing else.
pub fn only_relay(host: &str, port: u16, transport: &str) -> EndpointOptions {
    let url = format!("{USER}:{PASSWORD}@{host}:{port}?transport={transport}");
    EndpointOptions {
        network_interfaces: vec!["no such interface".into()],
        ice_tcp: true,
        turn: Some(url.parse().expect("a URL")),
        ..EndpointOptions::default()
    }
}

/// Gathers, checks that there is a relay and nothing else, and hands it to the other.
pub async fn trickle(house: &mut House, from: &WebRtcEndpoint, to: &WebRtcEndpoint) {
    let candidates = house.gather(from).await;
    let kinds: Vec<_> = candidates.iter().map(|(candidate, index)| (&candidate.typ, *index)).collect();
    assert_eq!(kinds, [(&CandidateType::Relayed, 0), (&CandidateType::Relayed, 1)], "once for each m-line");
    let described = from.local_description().expect("it has negotiated");
    for (candidate, index) in candidates {
        let text = candidate.to_string();
        assert_eq!(described.matches(&format!("a={text}\r\n")).count(), 2, "{text} in both lines of {described}");
        // Over a stream, coturn sees the stream's own address.
        assert!(candidate.related.is_some_and(|related| related.address == Address::Ip(Ipv4Addr::LOCALHOST.into())));
        to.add_ice_candidate(text.parse().expect("it can be read"), Some(index)).await.expect("the worker lives");
    }
}

async fn media_passes(house: &mut House, options: EndpointOptions) {
    let pipeline = house.workers.engine.pipeline("call");
    let caller = house.endpoint(&pipeline, options.clone()).await;
    let callee = house.endpoint(&pipeline, options).await;
    let mut ends = Vec::new();
    for (near, far) in [(&caller, &callee), (&callee, &caller)] {
        let (source, west) = house.probe(&pipeline, "source").await;
        let (sink, east) = house.probe(&pipeline, "sink").await;
        source.connect(near.element(), &Selection::all()).await.expect("one pipeline");
        far.element().connect(&sink, &Selection::all()).await.expect("one pipeline");
        ends.push((source, west, sink, east));
    }
    let offer = caller.generate_offer(true, true).expect("a fresh endpoint");
    let answer = callee.process_offer(&offer).await.expect("our own offer can be answered");
    caller.process_answer(&answer).await.expect("our own answer can be taken");
    trickle(house, &caller, &callee).await;
    trickle(house, &callee, &caller).await;
    house.connected(&caller).await;
    house.connected(&callee).await;
    for endpoint in [&caller, &callee] {
        let status = endpoint.report().await.expect("alive").status;
        let pair = status.transports[0].pair.clone().expect("a pair is selected");
        assert!(pair.local.contains("typ relay") && pair.remote.contains(" typ "), "{pair:?}");
        let mut states = Vec::new();
        while states.last() != Some(&IceState::Ready) {
            let state = |event: &WebRtcEvent| match event {
                WebRtcEvent::IceState { stream: 1, state } => Some(*state),
                _ => None,
            };
            states.push(house.hear_event(endpoint, state).await);
        }
        assert_eq!(states, [IceState::Gathering, IceState::Connecting, IceState::Connected, IceState::Ready]);
    }
    for (source, _, sink, east) in &ends {
        for number in 1..=PICTURES {
            source.tell(Tell::Emit(vp8(number.into(), true))).await.expect("the worker lives");
        }
        house.video_arrives(sink).await;
        let mut arrived = Vec::new();
        let all = async {
            while arrived.len() < PICTURES.into() {
                arrived.extend(pictures(east).into_iter().map(|(number, _)| number));
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("what flows arrives");
        assert_eq!(arrived, (1..=PICTURES).collect::<Vec<_>>());
    }
    // Hanging up reaches the other side through the relays, which are given back afterwards.
    caller.element().release().await;
    let gone = |event: &WebRtcEvent| matches!(event, WebRtcEvent::Connection { connected: false }).then_some(());
    house.hear_event(&callee, gone).await;
    pipeline.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_talk_through_relays_over_udp_tcp_and_tls() {
    let Some(coturn) = Coturn::start("").await else { return };
    let mut house = House::open().await;
    for (transport, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
        media_passes(&mut house, only_relay("127.0.0.1", port, transport)).await;
    }
    // Each session took one address, and gave it back.
    let given_back = async {
        while coturn.log().matches("REFRESH processed, success").count() < 6 {
            TcpStream::connect(("127.0.0.1", coturn.port)).await.expect("coturn lives");
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("each is given back");
    house.workers.stop();
}

/// On the loopback there is no NAT, and so no other address.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_offered_beside_what_there_is() {
    let Some(coturn) = Coturn::start("").await else { return };
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("stun");
    for own_port in [true, false] {
        let options = EndpointOptions {
            network_interfaces: vec!["lo".into()],
            stun: Some(std::net::SocketAddr::from(([127, 0, 0, 1], coturn.port)).into()),
            turn: only_relay("localhost", coturn.port, "udp").turn,
            ..EndpointOptions::default()
        };
        let endpoint = house.endpoint(&pipeline, options).await;
        let offer = endpoint.generate_offer(true, false).expect("a fresh endpoint");
        let endpoint = if own_port {
            endpoint
        } else {
            let options = endpoint.options().clone();
            let other = house.endpoint(&pipeline, options).await;
            other.process_offer(&offer).await.expect("our own offer can be answered");
            other
        };
        let candidates = house.gather(&endpoint).await;
        let count = |typ| candidates.iter().filter(|(candidate, _)| candidate.typ == typ).count();
        assert!(count(CandidateType::Host) >= 1, "{candidates:?}");
        assert_eq!((count(CandidateType::ServerReflexive), count(CandidateType::Relayed)), (0, 1), "{candidates:?}");
    }
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn gathering_ends_when_no_server_is_there() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("nobody");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let closed = silent.local_addr().expect("a bound socket").port();
    drop(silent);
    for transport in ["udp", "tcp", "tls"] {
        let options =
            EndpointOptions { network_interfaces: vec!["lo".into()], ..only_relay("127.0.0.1", closed, transport) };
        let endpoint = house.endpoint(&pipeline, options).await;
        endpoint.generate_offer(true, true).expect("a fresh endpoint");
        let candidates = house.gather(&endpoint).await;
        assert!(!candidates.is_empty());
        assert!(candidates.iter().all(|(candidate, _)| candidate.typ == CandidateType::Host), "{candidates:?}");
    }
    // A name that does not exist is no reason to wait either.
    let options = EndpointOptions {
        network_interfaces: vec!["lo".into()],
        stun: Some(rivero_transport::net::nat::ServerAddress {
            host: "stun.invalid".parse().expect("a name"),
            port: 1,
        }),
        ..EndpointOptions::default()
    };
    let endpoint = house.endpoint(&pipeline, options).await;
    endpoint.generate_offer(true, true).expect("a fresh endpoint");
    assert!(!house.gather(&endpoint).await.is_empty());
    pipeline.release().await;
    house.workers.stop();
}
