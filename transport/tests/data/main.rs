//! Data channels on simulated time: two peers of an independent stack, each behind a network to an endpoint of one server, and
//! the endpoints connected. Seeds are fixed, so that every run is the same.

mod browser;

use browser::{Browser, Got};
use rivero_engine::graph::Selection;
use rivero_engine::{MediaTime, Pipeline, What};
use rivero_transport::testing::{Quality, Simulation};
use rivero_transport::webrtc::{
    ChannelOptions, ChannelState, DataChannelError, DataReport, EndpointOptions, MOST_CHANNELS, WebRtcConfig,
    WebRtcEndpoint, WebRtcEvent,
};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use str0m::channel::{ChannelConfig, Reliability};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const LONGEST: usize = 256 * 1024;

struct Scene {
    simulation: Simulation,
    pipeline: Pipeline,
    config: Arc<WebRtcConfig>,
    browsers: Vec<Rc<RefCell<Browser>>>,
    endpoints: Vec<WebRtcEndpoint>,
    /// Data channel events and errors of each endpoint so far.
    told: Vec<Vec<Told>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Opened(u16),
    Closed(u16),
    Error(String),
}

fn channel(label: &str) -> ChannelConfig {
    ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() }
}

fn options(label: &str) -> ChannelOptions {
    ChannelOptions { label: label.to_owned(), ..ChannelOptions::default() }
}

impl Scene {
    fn new() -> Self {
        let simulation = Simulation::new();
        let pipeline = simulation.engine.pipeline("data");
        let config = Arc::new(WebRtcConfig {
            certificate: simulation.certificate.clone(),
            audio_codecs: vec![],
            video_codecs: vec![],
            audio_lines: 0,
            video_lines: 0,
            modern: true,
        });
        Scene { simulation, pipeline, config, browsers: vec![], endpoints: vec![], told: vec![] }
    }

    fn endpoint(&mut self, use_data_channels: bool) -> WebRtcEndpoint {
        let options =
            EndpointOptions { network_interfaces: vec!["lo".into()], use_data_channels, ..EndpointOptions::default() };
        let made = WebRtcEndpoint::create(&self.pipeline, "endpoint".into(), options, self.config.clone());
        self.simulation.run(made).expect("a worker takes it")
    }

    /// Adds a peer that opens these channels, with an endpoint of its own, 20 ms away.
    fn join(&mut self, channels: &[ChannelConfig], takes: u32) {
        let number = self.browsers.len() as u8 + 1;
        let address = SocketAddr::from(([10, 0, 0, number], 5000 + u16::from(number)));
        let mut browser = Browser::new(&self.simulation.clock, address, takes);
        let offer = browser.offer(channels);
        let endpoint = self.endpoint(true);
        let answer = self.simulation.run(endpoint.process_offer(&offer)).expect("an answer");
        self.simulation.run(endpoint.gather_candidates()).expect("there is a loopback interface");
        browser.join(&answer, self.simulation.server());
        let browser = Rc::new(RefCell::new(browser));
        let place = self.simulation.place(browser.clone(), Quality::perfect(20 * MS), u64::from(number));
        assert_eq!(place, self.browsers.len());
        self.browsers.push(browser);
        self.endpoints.push(endpoint);
        self.told.push(Vec::new());
    }

    /// Two peers with such channels, and their endpoints connected both ways.
    fn pair(first: &[ChannelConfig], second: &[ChannelConfig]) -> Self {
        let mut scene = Scene::new();
        scene.join(first, LONGEST as u32);
        scene.join(second, LONGEST as u32);
        let [one, two] = [0, 1].map(|at| scene.endpoints[at].element().clone());
        scene.simulation.run(one.connect(&two, &Selection::all())).expect("one pipeline");
        scene.simulation.run(two.connect(&one, &Selection::all())).expect("one pipeline");
        scene.advance(2 * SECOND);
        assert_eq!(scene.browsers[0].borrow().open.len(), first.len());
        assert_eq!(scene.browsers[1].borrow().open.len(), second.len());
        scene
    }

    fn advance(&mut self, by: Duration) {
        self.simulation.advance(by);
        for notice in self.simulation.notices() {
            let Some(at) = self.endpoints.iter().position(|e| e.element().id() == notice.element) else { continue };
            let told = match notice.what {
                What::Error { description, .. } => Told::Error(description),
                What::Other(other) => match other.downcast_ref::<WebRtcEvent>() {
                    Some(WebRtcEvent::DataChannelOpened { stream }) => Told::Opened(*stream),
                    Some(WebRtcEvent::DataChannelClosed { stream }) => Told::Closed(*stream),
                    _ => continue,
                },
                _ => continue,
            };
            self.told[at].push(told);
        }
    }

    fn take_told(&mut self, at: usize) -> Vec<Told> {
        std::mem::take(&mut self.told[at])
    }

    fn send(&mut self, from: usize, label: &str, binary: bool, bytes: Vec<u8>) {
        self.browsers[from].borrow_mut().send(label, binary, bytes);
    }

    fn take(&mut self, at: usize) -> Vec<Got> {
        self.browsers[at].borrow_mut().take()
    }

    fn create(&mut self, at: usize, options: ChannelOptions) -> Result<(), DataChannelError> {
        self.simulation.run(self.endpoints[at].create_data_channel(options))
    }

    fn close(&mut self, at: usize, stream: u16) -> Result<(), DataChannelError> {
        self.simulation.run(self.endpoints[at].close_data_channel(stream))
    }

    fn report(&mut self, at: usize) -> DataReport {
        let report = self.simulation.run(self.endpoints[at].report()).expect("alive");
        report.data.expect("data channels are negotiated")
    }

    /// Both directions of a peer's network.
    fn network(&mut self, of: usize, quality: Quality) {
        self.simulation.up(of).quality = quality;
        self.simulation.down(of).quality = quality;
    }
}

/// Bytes that tell where they stand.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

/// A message that begins with its number.
fn numbered(number: u32, length: usize) -> Vec<u8> {
    let mut bytes = pattern(length, number as usize);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number(got: &Got) -> u32 {
    let number = u32::from_be_bytes(got.bytes[..4].try_into().expect("four bytes"));
    assert!(got.bytes[4..] == numbered(number, got.bytes.len())[4..], "message {number} is whole");
    number
}

#[test]
fn text_and_binary_of_every_size_arrive_in_order_both_ways() {
    let mut scene = Scene::pair(&[channel("chat")], &[channel("chat")]);
    let sizes = [1, 2, 100, 1150, 1200, 16_384, 65_535, 65_536, 65_537, 200_000, LONGEST - 1, LONGEST];
    for (from, to) in [(0, 1), (1, 0)] {
        let mut sent = Vec::new();
        for (seed, size) in sizes.into_iter().enumerate() {
            for binary in [true, false] {
                // Text of one-byte characters, so that it is valid UTF-8.
                let bytes = match binary {
                    true => pattern(size, seed),
                    false => pattern(size, seed).into_iter().map(|byte| byte & 0x7f).collect(),
                };
                scene.send(from, "chat", binary, bytes.clone());
                sent.push((binary, bytes));
            }
        }
        scene.advance(20 * SECOND);
        let got = scene.take(to);
        assert_eq!(got.len(), sent.len());
        for (got, (binary, bytes)) in got.into_iter().zip(sent) {
            assert_eq!((got.binary, got.bytes.len()), (binary, bytes.len()));
            assert!(got.bytes == bytes, "{} bytes are the same", bytes.len());
            assert_eq!(got.label, "chat");
        }
        assert!(scene.take(from).is_empty(), "nothing comes back");
    }
    let bytes: usize = sizes.iter().sum::<usize>() * 2;
    for at in [0, 1] {
        let report = scene.report(at);
        assert_eq!((report.opened, report.closed, report.dropped), (1, 0, 0));
        let channel = &report.channels[0];
        assert_eq!((channel.messages_sent, channel.messages_received), (24, 24));
        assert_eq!((channel.bytes_sent, channel.bytes_received), (bytes as u64, bytes as u64));
        assert_eq!((channel.state, &*channel.label), (ChannelState::Open, "chat"));
        assert!(scene.take_told(at).iter().all(|told| matches!(told, Told::Opened(_))));
    }
}

#[test]
fn channels_find_each_other_by_label_and_one_channel_takes_everything() {
    let mut scene = Scene::pair(&[channel("chat"), channel("files")], &[channel("files"), channel("chat")]);
    scene.join(&[channel("one")], LONGEST as u32);
    let [one, three] = [0, 2].map(|at| scene.endpoints[at].element().clone());
    scene.simulation.run(one.connect(&three, &Selection::all())).expect("one pipeline");
    scene.advance(2 * SECOND);
    for label in ["chat", "files"] {
        scene.send(0, label, false, label.as_bytes().to_vec());
    }
    scene.advance(SECOND);
    for (at, labels) in [(1, ["chat", "files"]), (2, ["one", "one"])] {
        let mut got: Vec<_> = scene.take(at).into_iter().map(|got| (got.label, got.bytes)).collect();
        // Between channels there is no order.
        got.sort_by(|one, two| one.1.cmp(&two.1));
        let expected = [(labels[0].to_owned(), b"chat".to_vec()), (labels[1].to_owned(), b"files".to_vec())];
        assert_eq!(got, expected);
    }
}

#[test]
fn the_server_opens_and_closes_channels_with_all_properties() {
    let mut scene = Scene::pair(&[channel("theirs")], &[channel("theirs")]);
    // The server has the active part in DTLS: its streams are even, the peer's odd.
    assert_eq!(scene.take_told(0), [Told::Opened(1)]);
    let limited =
        ChannelOptions { protocol: "proto".into(), ordered: false, max_retransmits: Some(3), ..options("ours") };
    scene.create(0, limited).expect("a wish that can be met");
    assert_eq!(scene.report(0).channels[1].state, ChannelState::Connecting);
    scene.create(0, ChannelOptions { max_packet_lifetime: Some(500), ..options("short") }).expect("another");
    scene.create(0, options("plain")).expect("another");
    scene.advance(SECOND);
    assert_eq!(scene.take_told(0), [Told::Opened(0), Told::Opened(2), Told::Opened(4)]);
    let seen: Vec<ChannelConfig> = scene.browsers[0].borrow().open.iter().map(|(_, config)| config.clone()).collect();
    let expected = [
        channel("theirs"),
        ChannelConfig {
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 3 },
            protocol: "proto".into(),
            ..channel("ours")
        },
        ChannelConfig { reliability: Reliability::MaxPacketLifetime { lifetime: 500 }, ..channel("short") },
        channel("plain"),
    ];
    assert_eq!(seen, expected);
    let ours = &scene.report(0).channels[1];
    assert_eq!((ours.stream, &*ours.label, &*ours.protocol), (Some(0), "ours", "proto"));

    scene.close(0, 0).expect("it is there");
    scene.browsers[0].borrow_mut().close("theirs");
    scene.advance(SECOND);
    assert_eq!(scene.take_told(0), [Told::Closed(0), Told::Closed(1)]);
    let report = scene.report(0);
    assert_eq!((report.opened, report.closed, report.channels.len()), (4, 2, 2));
    assert_eq!(scene.browsers[0].borrow().closed.len(), 2, "the peer saw both");
    scene.close(0, 0).expect("closing again is no error");
    scene.close(0, 99).expect("nor is what never was");

    // Streams are used again, and carry messages.
    scene.create(0, options("again")).expect("there is room");
    scene.advance(SECOND);
    assert_eq!(scene.take_told(0), [Told::Opened(0)]);
    scene.send(0, "again", false, b"hello".to_vec());
    scene.advance(SECOND);
    assert_eq!(scene.take(1).len(), 1);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut scene = Scene::pair(&[channel("chat")], &[channel("chat")]);
    let both = ChannelOptions { max_packet_lifetime: Some(1), max_retransmits: Some(1), ..options("x") };
    assert!(matches!(scene.create(0, both.clone()), Err(DataChannelError::BothLimits)));
    assert!(matches!(scene.create(0, options(&"x".repeat(2000))), Err(DataChannelError::TooLong)));
    // An endpoint that has not negotiated, one that did so without data channels, and one that has offered them.
    let fresh = scene.endpoint(true);
    let mut asked = |endpoint: &WebRtcEndpoint, options| scene.simulation.run(endpoint.create_data_channel(options));
    assert!(matches!(asked(&fresh, both), Err(DataChannelError::NotNegotiated)));
    assert!(matches!(scene.simulation.run(fresh.close_data_channel(1)), Err(DataChannelError::NotNegotiated)));
    let without = scene.endpoint(false);
    let mut browser = Browser::new(&scene.simulation.clock, SocketAddr::from(([10, 0, 0, 9], 9)), LONGEST as u32);
    let offer = browser.offer(&[channel("chat")]);
    let answer = scene.simulation.run(without.process_offer(&offer)).expect("an answer");
    assert!(answer.contains("m=application 0 "), "{answer}");
    assert!(matches!(
        scene.simulation.run(without.create_data_channel(options("x"))),
        Err(DataChannelError::NotNegotiated)
    ));
    let offering = scene.endpoint(true);
    offering.generate_offer(true, true).expect("an offer");
    scene.simulation.run(offering.create_data_channel(options("later"))).expect("the answer may still come");
}

#[test]
fn one_channel_too_many_is_closed_at_once() {
    let most: Vec<ChannelConfig> = (0..MOST_CHANNELS).map(|n| channel(&n.to_string())).collect();
    let mut scene = Scene::pair(&most, &[channel("0")]);
    assert_eq!(scene.take_told(0).len(), MOST_CHANNELS);
    assert!(matches!(scene.create(0, options("more")), Err(DataChannelError::TooMany)));
    let more = scene.browsers[0].borrow_mut().create(channel("more"));
    scene.advance(2 * SECOND);
    assert!(scene.browsers[0].borrow().closed.contains(&more));
    assert_eq!(scene.take_told(0), [], "nothing is told of it");
    // The others work on.
    scene.send(0, "7", true, vec![7]);
    scene.advance(SECOND);
    assert_eq!(scene.take(1)[0].bytes, [7]);
}

#[test]
fn a_message_longer_than_the_peer_takes_is_told_once_and_the_next_goes_through() {
    let mut scene = Scene::new();
    scene.join(&[channel("chat")], LONGEST as u32);
    scene.join(&[channel("chat")], 20_000);
    let [one, two] = [0, 1].map(|at| scene.endpoints[at].element().clone());
    scene.simulation.run(one.connect(&two, &Selection::all())).expect("one pipeline");
    scene.advance(2 * SECOND);
    scene.take_told(1);
    for size in [20_001, 20_000, 30_000, 5] {
        scene.send(0, "chat", true, pattern(size, 1));
    }
    scene.advance(2 * SECOND);
    let sizes: Vec<usize> = scene.take(1).iter().map(|got| got.bytes.len()).collect();
    assert_eq!(sizes, [20_000, 5]);
    let told = scene.take_told(1);
    assert!(matches!(&told[..], [Told::Error(why)] if why.contains("20001 bytes")), "{told:?}");
    assert_eq!(scene.report(1).dropped, 2);
}

#[test]
fn a_reliable_channel_loses_nothing_on_a_bad_network() {
    let mut scene = Scene::pair(&[channel("chat")], &[channel("chat")]);
    let bad = Quality::perfect(20 * MS).losing(0.1).jittering(10 * MS).reordering(0.05, 15 * MS).duplicating(0.02);
    scene.network(0, bad);
    scene.network(1, bad);
    for n in 0..300 {
        scene.send(0, "chat", n % 2 == 0, numbered(n, 4 + (n as usize * 97) % 3000));
        scene.advance(20 * MS);
    }
    scene.advance(60 * SECOND);
    let got: Vec<u32> = scene.take(1).iter().map(number).collect();
    assert_eq!(got, Vec::from_iter(0..300));
    assert!(scene.simulation.down(1).counts.lost > 20, "the network was bad");
}

/// Sends 1000 messages, one in 50 ms, to a channel of the server's over a network that loses a tenth; what came, with the time
/// that each took.
fn over_loss(options: ChannelOptions) -> Vec<(u32, Duration)> {
    let label = options.label.clone();
    let mut scene = Scene::pair(&[channel(&label)], &[channel("other")]);
    scene.create(1, options).expect("a wish that can be met");
    scene.advance(SECOND);
    scene.network(1, Quality::perfect(20 * MS).losing(0.1));
    let mut sent: Vec<MediaTime> = Vec::new();
    for n in 0..1000 {
        sent.push(scene.simulation.now());
        scene.send(0, &label, true, numbered(n, 200));
        scene.advance(50 * MS);
    }
    // Good again: the last messages are acknowledged or given up, and what comes then goes through.
    scene.network(1, Quality::perfect(20 * MS));
    scene.advance(30 * SECOND);
    let got = scene.take(1);
    assert!(got.iter().all(|got| got.label == label));
    scene.send(0, &label, true, numbered(1000, 200));
    scene.advance(SECOND);
    assert_eq!(scene.take(1).iter().map(number).collect::<Vec<_>>(), [1000]);
    got.iter().map(|got| (number(got), got.at.since(sent[number(got) as usize]))).collect()
}

#[test]
fn partial_reliability_under_loss() {
    let outcome = |name: &str, options| {
        let got = over_loss(options);
        let mut took: Vec<Duration> = got.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let [median, late, last] = [took.len() / 2, took.len() * 95 / 100, took.len() - 1].map(|at| took[at]);
        println!(
            "{name}: {} of 1000 came; half within {median:?}, 95 % within {late:?}, the last after {last:?}",
            got.len()
        );
        (got, late)
    };
    let (reliable, held_up) = outcome("reliable and ordered", options("state"));
    assert_eq!(reliable.len(), 1000, "nothing is lost where nothing may be");
    assert!(reliable.is_sorted_by_key(|(number, _)| *number));

    let never = ChannelOptions { ordered: false, max_retransmits: Some(0), ..options("state") };
    let (mut never, in_time) = outcome("unordered, never again", never);
    assert!((860..=940).contains(&never.len()), "a tenth is lost for good: {} came", never.len());
    never.sort_unstable();
    never.dedup_by_key(|(number, _)| *number);
    assert!(never.len() >= 860, "none comes twice");
    assert!(in_time * 2 < held_up, "nothing waits for what is lost");

    let brief = ChannelOptions { max_packet_lifetime: Some(100), ..options("state") };
    let (brief, _) = outcome("ordered, for 100 ms", brief);
    assert!((700..1000).contains(&brief.len()), "{} came", brief.len());
    assert!(brief.is_sorted_by_key(|(number, _)| *number), "an ordered channel keeps the order of what arrives");
}

/// A peer behind so many bits a second, with a channel of these properties, and who writes to it.
fn slow(options: ChannelOptions, bps: u64) -> Scene {
    let mut scene = Scene::pair(&[channel(&options.label)], &[channel("other")]);
    scene.create(1, options).expect("a wish that can be met");
    scene.advance(SECOND);
    scene.take_told(1);
    scene.network(1, Quality::perfect(20 * MS).limited(bps, SECOND));
    scene
}

/// Sends 100 messages of 240,000 bytes and waits until the server has them.
fn flood(scene: &mut Scene, label: &str) {
    for n in 0..100 {
        scene.send(0, label, true, numbered(n, 240_000));
    }
    for _ in 0..100 {
        scene.advance(SECOND);
        if scene.report(0).channels[0].messages_received == 100 {
            return;
        }
    }
    panic!("the sender is held back: {:?}", scene.report(0));
}

#[test]
fn a_slow_reader_holds_back_whoever_writes_to_it_alone() {
    let mut scene = slow(options("file"), 2_000_000);
    for n in 0..50 {
        scene.send(0, "file", true, numbered(n, 200_000));
    }
    // 10 MB on 2 Mbps are 40 s and more.
    let mut most = 0;
    for _ in 0..60 {
        scene.advance(SECOND);
        let received = scene.report(0).channels[0].bytes_received;
        let got: usize = scene.browsers[1].borrow().got.iter().map(|got| got.bytes.len()).sum();
        most = most.max(received - got as u64);
    }
    let got = scene.take(1);
    println!("10 MB over 2 Mbps: done after {:?}, at most {most} bytes in the server", got.last().map(|got| got.at));
    assert_eq!(got.iter().map(number).collect::<Vec<_>>(), Vec::from_iter(0..50));
    assert_eq!(scene.take_told(1), []);
    assert!(most < 5 << 20, "{most} bytes waited in the server");
    // And it is quick again.
    scene.network(1, Quality::perfect(20 * MS));
    scene.send(0, "file", true, numbered(50, 1000));
    scene.advance(SECOND);
    assert_eq!(scene.take(1).len(), 1);
}

#[test]
fn a_reliable_channel_that_runs_over_is_closed_and_told_and_others_get_everything() {
    let mut scene = slow(options("state"), 500_000);
    scene.join(&[channel("state")], LONGEST as u32);
    let [one, three] = [0, 2].map(|at| scene.endpoints[at].element().clone());
    scene.simulation.run(one.connect(&three, &Selection::all())).expect("one pipeline");
    scene.advance(2 * SECOND);
    flood(&mut scene, "state");
    let told = scene.take_told(1);
    let [Told::Error(why), Told::Closed(0)] = &told[..] else { panic!("{told:?}") };
    assert!(why.contains("too slowly"), "{why}");
    let report = scene.report(1);
    assert!(report.dropped > 0 && report.channels.iter().all(|channel| channel.label != "state"));
    scene.advance(20 * SECOND);
    assert_eq!(scene.take(2).iter().map(number).collect::<Vec<_>>(), Vec::from_iter(0..100));
}

#[test]
fn a_channel_that_may_lose_messages_loses_the_newest() {
    let mut scene = slow(ChannelOptions { ordered: false, max_retransmits: Some(0), ..options("state") }, 500_000);
    flood(&mut scene, "state");
    assert_eq!(scene.take_told(1), [], "that is what it is for");
    let report = scene.report(1);
    let state = report.channels.iter().find(|channel| channel.label == "state").expect("it stays open");
    assert_eq!(state.messages_sent + report.dropped, 100, "every message is accounted for");
    assert!(state.bytes_sent < 16 << 20, "{} bytes were taken", state.bytes_sent);
}
