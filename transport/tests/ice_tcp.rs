//! A peer that has TCP and nothing else: media goes both ways over one connection, whichever side opens it.
//!
//! The peer is str0m with sockets and framing of the test's own. Nothing here waits for a time: every step waits for what it
//! depends on.

mod house;

use bytes::Bytes;
use house::{House, PATIENCE, on_loopback};
use rivero_engine::graph::Selection;
use rivero_engine::testing::{Seen, Tell};
use rivero_engine::{Body, Caps, Codec, Element, MediaKind, MediaTime, Packet, Pipeline, Rtp, What};
use rivero_transport::sdp::{self, Address, TcpType};
use rivero_transport::webrtc::{EndpointOptions, WebRtcEndpoint};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind as RtcKind, Mid};
use str0m::net::{Protocol, Receive, TcpType as RtcTcpType};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Packets that go each way.
const PACKETS: u8 = 50;

/// What an endpoint offers as candidates.
async fn gather(house: &mut House, endpoint: &WebRtcEndpoint) -> Vec<sdp::Candidate> {
    house.gather(endpoint).await.into_iter().map(|(candidate, _)| candidate).collect()
}

fn options(ice_tcp: bool) -> EndpointOptions {
    EndpointOptions { ice_tcp, ..on_loopback() }
}

// The peer.

/// What the peer has to tell.
#[derive(Debug)]
enum Told {
    Connected,
    Video(Vec<u8>),
}

struct Peer {
    rtc: Rtc,
    mid: Mid,
    sent: u64,
}

/// The peer at work, in a task of its own.
struct Call {
    told: mpsc::Receiver<Told>,
    say: mpsc::Sender<Vec<u8>>,
}

#[expect(clippy::disallowed_methods, reason = "the peer is not of the house: it has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}

impl Peer {
    /// Offers video, and takes the answer.
    async fn call(endpoint: &WebRtcEndpoint) -> Self {
        let mut rtc = RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_vp8(true).build(now());
        let mut api = rtc.sdp_api();
        let mid = api.add_media(RtcKind::Video, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("there is something to offer");
        let answer = endpoint.process_offer(&offer.to_sdp_string()).await.expect("it can be answered");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("our answer can be read");
        rtc.sdp_api().accept_answer(pending, answer).expect("our answer is one");
        Peer { rtc, mid, sent: 0 }
    }

    fn add_local(&mut self, address: SocketAddr, role: RtcTcpType) {
        let candidate = Candidate::builder().tcp().host(address).tcptype(role).build().expect("a usable address");
        self.rtc.add_local_candidate(candidate).expect("the only one");
    }

    fn start(self, stream: TcpStream, local: SocketAddr, remote: SocketAddr) -> Call {
        let (teller, told) = mpsc::channel(256);
        let (say, words) = mpsc::channel(256);
        let (reading, writing) = stream.into_split();
        let (frames, came) = mpsc::channel(256);
        tokio::spawn(read_frames(reading, frames));
        tokio::spawn(self.run(writing, came, [local, remote], words, teller));
        Call { told, say }
    }

    /// Talks until the connection or the test ends.
    async fn run(
        mut self,
        mut writing: OwnedWriteHalf,
        mut came: mpsc::Receiver<Vec<u8>>,
        [local, remote]: [SocketAddr; 2],
        mut words: mpsc::Receiver<Vec<u8>>,
        teller: mpsc::Sender<Told>,
    ) {
        loop {
            let due = loop {
                match self.rtc.poll_output().expect("the peer stays healthy") {
                    Output::Timeout(due) => break due,
                    Output::Transmit(transmit) => {
                        let way = (transmit.proto, transmit.source, transmit.destination);
                        assert_eq!(way, (Protocol::Tcp, local, remote), "there is no other way");
                        let length = (transmit.contents.len() as u16).to_be_bytes();
                        // The other side may have hung up.
                        let _ = writing.write_all(&[&length[..], &transmit.contents].concat()).await;
                    }
                    Output::Event(Event::Connected) => drop(teller.send(Told::Connected).await),
                    Output::Event(Event::RtpPacket(packet)) => {
                        drop(teller.send(Told::Video(packet.payload.to_vec())).await);
                    }
                    Output::Event(_) => {}
                }
            };
            tokio::select! {
                frame = came.recv() => {
                    let Some(frame) = frame else { return };
                    let receive = Receive::new(Protocol::Tcp, remote, local, &frame).expect("a packet");
                    self.rtc.handle_input(Input::Receive(now(), receive)).expect("the peer stays healthy");
                }
                payload = words.recv() => {
                    let Some(payload) = payload else { return };
                    self.write(payload);
                }
                () = tokio::time::sleep_until(due.into()) => {}
            }
            self.rtc.handle_input(Input::Timeout(now())).expect("the peer stays healthy");
        }
    }

    fn write(&mut self, payload: Vec<u8>) {
        self.sent += 1;
        let pt = self.rtc.media(self.mid).expect("it was negotiated").remote_pts()[0];
        let time = self.sent as u32 * 3000;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).expect("it sends");
        stream.write_rtp(RtpWrite::new(pt, self.sent.into(), time, now(), payload).marker(true));
    }
}

/// RFC 4571, as plainly as it can be read.
async fn read_frames(mut reading: OwnedReadHalf, frames: mpsc::Sender<Vec<u8>>) {
    while let Ok(length) = reading.read_u16().await {
        let mut frame = vec![0; usize::from(length)];
        if reading.read_exact(&mut frame).await.is_err() || frames.send(frame).await.is_err() {
            return;
        }
    }
}

impl Call {
    async fn hear(&mut self) -> Told {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("it comes in time").expect("the peer lives")
    }

    async fn connected(&mut self) {
        while !matches!(self.hear().await, Told::Connected) {}
    }
}

// What is proved of both.

/// An inter or key frame of VP8 in one packet.
fn picture(number: u8) -> Vec<u8> {
    let mut payload = vec![number; 1000];
    payload[..3].copy_from_slice(&[0x10, u8::from(number > 0), number]);
    payload
}

fn packet(number: u8) -> Packet {
    let payload = Bytes::from(picture(number));
    let sequence = u64::from(number);
    let rtp = Rtp { ssrc: 7, sequence, timestamp: u32::from(number) * 3000, marker: true, payload };
    Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::ZERO).key(number == 0)
}

struct Ends {
    source: Element,
    sink: Element,
    seen: Seen,
}

/// A source that feeds an endpoint, and a sink that is fed by it.
async fn join(house: &House, pipeline: &Pipeline, endpoint: &WebRtcEndpoint) -> Ends {
    let (source, _) = house.probe(pipeline, "source").await;
    let (sink, seen) = house.probe(pipeline, "sink").await;
    source.connect(endpoint.element(), &Selection::all()).await.expect("one pipeline");
    endpoint.element().connect(&sink, &Selection::all()).await.expect("one pipeline");
    Ends { source, sink, seen }
}

/// Every packet arrives, in order and unchanged: a stream loses none.
async fn media_flows_both_ways(house: &mut House, ends: &Ends, call: &mut Call) {
    for number in 0..PACKETS {
        ends.source.tell(Tell::Emit(packet(number))).await.expect("the worker lives");
    }
    for number in 0..PACKETS {
        let Told::Video(payload) = call.hear().await else { panic!("it is connected already") };
        assert!(payload == picture(number), "packet {number} of {PACKETS} to the peer");
    }
    for number in 0..PACKETS {
        call.say.send(picture(number)).await.expect("the peer lives");
    }
    let begins = |what: &What| matches!(what, What::FlowIn { kind: MediaKind::Video, flowing: true, .. }).then_some(());
    house.hear(ends.sink.id(), begins).await;
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    let mut arrived = Vec::new();
    while arrived.len() < usize::from(PACKETS) {
        tokio::select! {
            // Commands are taken in turn with packets: each answer is a moment later than the last.
            report = ends.sink.report() => drop(report.expect("alive")),
            () = &mut deadline => panic!("{} of {PACKETS} packets arrived from the peer", arrived.len()),
        }
        arrived.extend(ends.seen.packets().iter().map(payload));
    }
    assert!(arrived.iter().zip(0..).all(|(payload, number)| *payload == picture(number)));
}

fn payload(packet: &Packet) -> Vec<u8> {
    match &packet.body {
        Body::Rtp(rtp) => rtp.payload.to_vec(),
        _ => panic!("only RTP was sent"),
    }
}

fn only(candidates: &[sdp::Candidate], role: TcpType) -> &sdp::Candidate {
    let mut found = candidates.iter().filter(|candidate| candidate.tcptype == Some(role));
    let (one, none) = (found.next(), found.next());
    assert!(none.is_none(), "one for the only interface's only address of this family");
    one.expect("it is offered")
}

fn v4(candidates: Vec<sdp::Candidate>) -> Vec<sdp::Candidate> {
    candidates.into_iter().filter(|c| matches!(c.address, Address::Ip(ip) if ip.is_ipv4())).collect()
}

fn address(candidate: &sdp::Candidate) -> SocketAddr {
    match &candidate.address {
        Address::Ip(ip) => SocketAddr::new(*ip, candidate.port),
        Address::Name(name) => panic!("{name} is no address"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_udp_comes_to_us() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("passive");
    let endpoint = house.endpoint(&pipeline, options(true)).await;
    let ends = join(&house, &pipeline, &endpoint).await;
    let mut peer = Peer::call(&endpoint).await;
    // Told as browsers tell it: there is nothing to connect to.
    let told = "candidate:1 1 tcp 1518214911 127.0.0.1 9 typ host tcptype active generation 0";
    endpoint.add_ice_candidate(told.parse().expect("a candidate"), Some(0)).await.expect("the worker lives");
    let candidates = v4(gather(&mut house, &endpoint).await);
    let offered = only(&candidates, TcpType::Passive);
    let remote = address(offered);
    let stream = TcpStream::connect(remote).await.expect("it listens");
    let local = stream.local_addr().expect("it is connected");
    peer.add_local(local, RtcTcpType::Active);
    peer.rtc.add_remote_candidate(Candidate::from_sdp_string(&offered.to_string()).expect("a candidate"));
    let mut call = peer.start(stream, local, remote);
    call.connected().await;
    house.connected(&endpoint).await;
    let pair = endpoint.report().await.expect("alive").status.transports[0].pair.clone().expect("a pair is selected");
    assert_eq!(pair.local, offered.to_string());
    assert!(pair.remote.contains(" TCP ") && pair.remote.contains(" typ prflx"), "{}", pair.remote);
    media_flows_both_ways(&mut house, &ends, &mut call).await;
    pipeline.release().await;
    // Our last words come through, and then the connection ends.
    while tokio::time::timeout(PATIENCE, call.told.recv()).await.expect("the connection ends").is_some() {}
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn we_go_to_a_peer_that_listens() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("active");
    let endpoint = house.endpoint(&pipeline, options(true)).await;
    let ends = join(&house, &pipeline, &endpoint).await;
    let mut peer = Peer::call(&endpoint).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let local = listener.local_addr().expect("it is bound");
    let told = format!("candidate:1 1 tcp 1518149375 127.0.0.1 {} typ host tcptype passive", local.port());
    endpoint.add_ice_candidate(told.parse().expect("a candidate"), Some(0)).await.expect("the worker lives");
    // Our candidates are kept from the peer: it can only wait.
    let candidates = v4(gather(&mut house, &endpoint).await);
    peer.add_local(local, RtcTcpType::Passive);
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("somebody comes in time");
    let (stream, remote) = accepted.expect("somebody comes");
    assert_ne!(remote, address(only(&candidates, TcpType::Passive)), "it leaves from a port of its own");
    let mut call = peer.start(stream, local, remote);
    call.connected().await;
    house.connected(&endpoint).await;
    let pair = endpoint.report().await.expect("alive").status.transports[0].pair.clone().expect("a pair is selected");
    assert_eq!(pair.local, only(&candidates, TcpType::Active).to_string());
    assert!(pair.remote.ends_with("tcptype passive"), "{}", pair.remote);
    media_flows_both_ways(&mut house, &ends, &mut call).await;
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_are_worded_as_peers_of_kurento_expect() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("candidates");
    let endpoint = house.endpoint(&pipeline, options(true)).await;
    Peer::call(&endpoint).await;
    let all = gather(&mut house, &endpoint).await;
    let candidates = v4(all.clone());
    let [udp, active, passive] = &candidates[..] else { panic!("three for the only address: {candidates:?}") };
    assert_eq!((udp.transport.clone(), udp.tcptype), (sdp::Transport::Udp, None));
    assert_eq!((active.tcptype, active.port), (Some(TcpType::Active), 9), "the discard port: nobody listens");
    assert_eq!(passive.tcptype, Some(TcpType::Passive));
    assert!(passive.port >= 1024);
    assert!(udp.priority > active.priority && active.priority > passive.priority);
    let mut foundations: Vec<_> = all.iter().map(|candidate| candidate.foundation.clone()).collect();
    foundations.sort();
    foundations.dedup();
    assert_eq!(foundations.len(), all.len(), "none is frozen because of another");
    let described = endpoint.local_description().expect("it has answered");
    assert!(all.iter().all(|candidate| described.contains(&format!("a={candidate}"))), "{described}");

    let without = house.endpoint(&pipeline, options(false)).await;
    Peer::call(&without).await;
    let udp_alone = gather(&mut house, &without).await;
    assert!(!udp_alone.is_empty() && udp_alone.iter().all(|candidate| candidate.transport == sdp::Transport::Udp));

    // Whoever says nothing that belongs to a session is sent away.
    let mut stranger = TcpStream::connect(address(passive)).await.expect("it listens");
    stranger.write_all(b"\0\x05hello").await.expect("it is open");
    let ended = tokio::time::timeout(PATIENCE, stranger.read(&mut [0; 1])).await.expect("it ends in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    pipeline.release().await;
    house.workers.stop();
}
