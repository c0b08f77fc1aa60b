//! Two endpoints of one server talk to each other over loopback: one offers, one answers, on two workers, and what goes into
//! the one comes out of the other. Nothing here waits for a time: every step waits for the notice that it depends on.

use bytes::Bytes;
use rivero_engine::graph::{Placement, Selection};
use rivero_engine::notice::{ElementId, NoticeSink};
use rivero_engine::testing::{Seen, Tell, probe};
use rivero_engine::time::SystemClock;
use rivero_engine::{
    Body, Caps, Clock, Codec, Element, Feedback, MediaKind, MediaTime, Notice, Packet, Pipeline, Rtp, What,
};
use rivero_transport::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_transport::webrtc::{
    Certificate, EndpointOptions, IceState, NegotiationError, StreamReport, WebRtcConfig, WebRtcEndpoint, WebRtcEvent,
};
use rivero_transport::worker::{WorkerSettings, Workers};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A call that takes longer than this is broken.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    workers: Workers,
    notices: mpsc::Receiver<Notice>,
    /// Heard while waiting for something else.
    heard: VecDeque<Notice>,
    config: Arc<WebRtcConfig>,
}

impl House {
    async fn open() -> Self {
        let (sender, notices) = mpsc::channel(1024);
        let sink: NoticeSink = Arc::new(move |notice| sender.try_send(notice).expect("a test reads its notices"));
        let certificate = Arc::new(Certificate::generate().expect("a certificate"));
        let settings = WorkerSettings { workers: 2, placement: Placement::Spread, ..WorkerSettings::default() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let workers = Workers::start(&settings, clock, sink, certificate.clone()).await.expect("the workers start");
        let config = WebRtcConfig {
            certificate,
            audio_codecs: vec!["opus/48000/2".parse().expect("a codec")],
            video_codecs: vec!["VP8/90000".parse().expect("a codec")],
            audio_lines: 1,
            video_lines: 1,
            modern: true,
        };
        House { workers, notices, heard: VecDeque::new(), config: Arc::new(config) }
    }

    async fn endpoint(&self, pipeline: &Pipeline, label: &str) -> WebRtcEndpoint {
        let options = EndpointOptions { network_interfaces: vec!["lo".into()], ..EndpointOptions::default() };
        let made = WebRtcEndpoint::create(pipeline, label.into(), options, self.config.clone()).await;
        made.expect("a worker takes it")
    }

    async fn probe(&self, pipeline: &Pipeline, label: &str) -> (Element, Seen) {
        let (spec, seen) = probe(label);
        (pipeline.add(spec).await.expect("a worker takes it"), seen)
    }

    /// The first notice of an element for which `pick` has something to say.
    async fn hear<T>(&mut self, of: ElementId, pick: impl Fn(&What) -> Option<T>) -> T {
        for at in 0..self.heard.len() {
            if self.heard[at].element == of
                && let Some(found) = pick(&self.heard[at].what)
            {
                self.heard.remove(at);
                return found;
            }
        }
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
            let notice = heard.expect("it comes in time").expect("the workers live");
            if notice.element == of
                && let Some(found) = pick(&notice.what)
            {
                return found;
            }
            self.heard.push_back(notice);
        }
    }

    async fn hear_event<T>(&mut self, of: &WebRtcEndpoint, pick: impl Fn(&WebRtcEvent) -> Option<T>) -> T {
        let inner = |what: &What| match what {
            What::Other(other) => other.downcast_ref::<WebRtcEvent>().and_then(&pick),
            _ => None,
        };
        self.hear(of.element().id(), inner).await
    }

    /// Hands every candidate of one endpoint to the other.
    async fn trickle(&mut self, from: &WebRtcEndpoint, to: &WebRtcEndpoint) {
        from.gather_candidates().await.expect("there is a loopback interface");
        loop {
            let next = self.hear_event(from, |event| match event {
                WebRtcEvent::CandidateFound { candidate, index, .. } => Some(Some((candidate.clone(), *index))),
                WebRtcEvent::GatheringDone => Some(None),
                _ => None,
            });
            let Some((candidate, index)) = next.await else { break };
            let candidate = candidate.parse().expect("our own candidates can be read");
            to.add_ice_candidate(candidate, Some(index)).await.expect("the worker lives");
        }
    }

    async fn video_arrives(&mut self, at: &Element) {
        let starts =
            |what: &What| matches!(what, What::FlowIn { kind: MediaKind::Video, flowing: true, .. }).then_some(());
        self.hear(at.id(), starts).await;
        // Commands are taken in turn: when this one is answered, the packet has been handed in.
        at.report().await.expect("alive");
    }

    async fn connected(&mut self, endpoint: &WebRtcEndpoint) {
        self.hear_event(endpoint, |event| matches!(event, WebRtcEvent::Connection { connected: true }).then_some(()))
            .await;
    }
}

/// An inter or key frame of VP8 in one packet.
fn vp8(sequence: u64, key: bool) -> Packet {
    let payload = Bytes::from(vec![0x10, u8::from(!key), 0xaa, sequence as u8]);
    let rtp = Rtp { ssrc: 7, sequence, timestamp: sequence as u32 * 3000, marker: true, payload };
    Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::ZERO).key(key)
}

impl House {
    /// Two endpoints that have called each other: the one that offered, and the one that answered.
    async fn call(&mut self, pipeline: &Pipeline) -> (WebRtcEndpoint, WebRtcEndpoint) {
        let caller = self.endpoint(pipeline, "caller").await;
        let callee = self.endpoint(pipeline, "callee").await;
        let offer = caller.generate_offer(true, true).expect("a fresh endpoint");
        let answer = callee.process_offer(&offer).await.expect("our own offer can be answered");
        caller.process_answer(&answer).await.expect("our own answer can be taken");
        self.trickle(&caller, &callee).await;
        self.trickle(&callee, &caller).await;
        self.connected(&caller).await;
        self.connected(&callee).await;
        (caller, callee)
    }
}

/// What came out, by the number inside.
fn numbers(seen: &Seen, kind: MediaKind) -> Vec<(u8, bool)> {
    let number = |packet: &Packet| match &packet.body {
        Body::Rtp(rtp) => (rtp.payload[3], packet.key),
        _ => panic!("only RTP was sent"),
    };
    seen.packets().iter().filter(|packet| packet.kind() == kind).map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_endpoints_of_one_server_call_each_other() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("call");
    let caller = house.endpoint(&pipeline, "caller").await;
    let callee = house.endpoint(&pipeline, "callee").await;
    let (source, west) = house.probe(&pipeline, "source").await;
    let (sink, east) = house.probe(&pipeline, "sink").await;
    assert_ne!(caller.element().node().worker, callee.element().node().worker, "spread over both workers");
    source.connect(caller.element(), &Selection::all()).await.expect("one pipeline");
    callee.element().connect(&sink, &Selection::all()).await.expect("one pipeline");

    let offer = caller.generate_offer(true, true).expect("a fresh endpoint");
    let answer = callee.process_offer(&offer).await.expect("our own offer can be answered");
    caller.process_answer(&answer).await.expect("our own answer can be taken");
    assert!(matches!(callee.process_offer(&offer).await, Err(NegotiationError::AlreadyNegotiated)));
    assert!(matches!(caller.process_answer(&answer).await, Err(NegotiationError::AnswerAlreadyProcessed)));
    house.trickle(&caller, &callee).await;
    house.trickle(&callee, &caller).await;
    house.connected(&caller).await;
    house.connected(&callee).await;
    let pair = caller.report().await.expect("alive").status.transports[0].pair.clone().expect("a pair is selected");
    // The far side's requests may arrive before its candidates do: then it is known as peer reflexive.
    assert!(pair.local.contains("typ host") && pair.remote.contains("typ "), "{pair:?}");

    // A key frame through; the sink's gate opens with it.
    west.take();
    source.tell(Tell::Emit(vp8(1, true))).await.expect("the worker lives");
    house.video_arrives(&sink).await;
    assert_eq!(numbers(&east, MediaKind::Video), [(1, true)]);

    // A late viewer is served from the group of pictures: nothing crosses the network for it.
    let (late, late_seen) = house.probe(&pipeline, "late").await;
    callee.element().connect(&late, &Selection::all()).await.expect("one pipeline");
    house.video_arrives(&late).await;
    assert_eq!(numbers(&late_seen, MediaKind::Video), [(1, true)]);
    assert_eq!(west.key_requests(), 0);

    // One that lost the picture asks: PLI crosses the network, and the source hears of it.
    late.tell(Tell::Say(Feedback::KeyFrame)).await.expect("the worker lives");
    let asked = |what: &What| match what {
        What::Other(other) => other.downcast_ref::<Feedback>().filter(|f| **f == Feedback::KeyFrame).map(|_| ()),
        _ => None,
    };
    house.heard.clear();
    house.hear(source.id(), asked).await;
    source.tell(Tell::Emit(vp8(2, true))).await.expect("the worker lives");
    let report = callee.report().await.expect("alive");
    assert!(report.inbound.iter().any(|stream| stream.kind == Some(MediaKind::Video) && stream.packets > 0));

    // Hanging up is heard at the other end.
    caller.element().release().await;
    house
        .hear_event(&callee, |event| matches!(event, WebRtcEvent::Connection { connected: false }).then_some(()))
        .await;
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_tells_the_states_of_ice_in_order_and_each_once() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("states");
    let (caller, callee) = house.call(&pipeline).await;
    for endpoint in [&caller, &callee] {
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
    pipeline.release().await;
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_viewers_that_ask_at_once_cost_the_publisher_one_request() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("storm");
    let (publisher, server) = house.call(&pipeline).await;
    let (source, _) = house.probe(&pipeline, "source").await;
    source.connect(publisher.element(), &Selection::all()).await.expect("one pipeline");
    let mut viewers = Vec::new();
    for n in 0..100 {
        let (viewer, _) = house.probe(&pipeline, &format!("viewer {n}")).await;
        server.element().connect(&viewer, &Selection::all()).await.expect("one pipeline");
        viewers.push(viewer);
    }
    source.tell(Tell::Emit(vp8(1, true))).await.expect("the worker lives");
    house.video_arrives(&viewers[99]).await;
    house.heard.clear();
    for viewer in &viewers {
        viewer.tell(Tell::Say(Feedback::KeyFrame)).await.expect("the worker lives");
    }
    // The publisher's own part hears of it once, and answers with a key frame.
    house.hear(source.id(), |what| matches!(what, What::Other(other) if other.is::<Feedback>()).then_some(())).await;
    source.tell(Tell::Emit(vp8(2, true))).await.expect("the worker lives");
    let seen = publisher.report().await.expect("alive");
    let video = seen.outbound.iter().find(|stream| stream.kind == Some(MediaKind::Video)).expect("it sends video");
    assert_eq!((video.pli, video.fir), (1, 0), "what the publisher heard");
    pipeline.release().await;
    house.workers.stop();
}

/// Plays key frames of a kilobyte from `source`, a hundred a second, while each of `viewers` says again and again what its path
/// carries, as browsers do.
async fn play(source: Element, viewers: Vec<(Element, u64)>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for sequence in 1.. {
        ticks.tick().await;
        let payload = Bytes::from([&[0x10, 0][..], &[0; 1000]].concat());
        let rtp = Rtp { ssrc: 7, sequence, timestamp: sequence as u32 * 900, marker: true, payload };
        let packet = Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::ZERO).key(true);
        source.tell(Tell::Emit(packet)).await.expect("the worker lives");
        if sequence % 50 == 1 {
            for (viewer, bps) in &viewers {
                viewer.tell(Tell::Say(Feedback::Bitrate(*bps))).await.expect("the worker lives");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_viewer_governs_the_publisher_by_remb() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("bitrate");
    // The publisher's leg, and the leg of a viewer; each from end to end.
    let (publisher, server) = house.call(&pipeline).await;
    let (leg, viewer) = house.call(&pipeline).await;
    let (source, _) = house.probe(&pipeline, "source").await;
    let (window, _) = house.probe(&pipeline, "window").await;
    let (beside, _) = house.probe(&pipeline, "beside").await;
    for (from, to) in [
        (&source, publisher.element()),
        (server.element(), leg.element()),
        (server.element(), &beside),
        (viewer.element(), &window),
    ] {
        from.connect(to, &Selection::all()).await.expect("one pipeline");
    }
    let playing = tokio::spawn(play(source.clone(), vec![(window.clone(), 350_000), (beside.clone(), 450_000)]));
    let told = |wanted: u64| {
        move |what: &What| match what {
            What::Other(other) => {
                other.downcast_ref::<Feedback>().filter(|f| **f == Feedback::Bitrate(wanted)).map(|_| ())
            }
            _ => None,
        }
    };
    // What the window can take crosses two networks.
    house.hear(source.id(), told(350_000)).await;
    let video = |streams: &[StreamReport]| {
        let video = streams.iter().find(|stream| stream.kind == Some(MediaKind::Video));
        video.expect("it has video").remb
    };
    assert_eq!(video(&publisher.report().await.expect("alive").outbound), 350_000, "what came by REMB");
    assert_eq!(video(&server.report().await.expect("alive").inbound), 350_000, "what was sent");

    // The slowest leaves.
    server.element().disconnect(leg.element(), &Selection::all()).await;
    house.hear(source.id(), told(450_000)).await;

    // The application allows less.
    let limits = BandwidthLimits { max_recv_kbps: 400, ..BandwidthLimits::default() };
    server.set_bandwidths(limits, RembParams::default()).await.expect("the worker lives");
    house.hear(source.id(), told(400_000)).await;
    // And the publisher's own side allows less than that, whatever REMB says.
    let limits = BandwidthLimits { max_send_kbps: 250, ..BandwidthLimits::default() };
    publisher.set_bandwidths(limits, RembParams::default()).await.expect("the worker lives");
    house.hear(source.id(), told(250_000)).await;
    playing.abort();
    pipeline.release().await;
    house.workers.stop();
}
