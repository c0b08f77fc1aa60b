//! Two endpoints of one server talk to each other over loopback: one offers, one answers, on two workers, and what goes into
//! the one comes out of the other. Nothing here waits for a time: every step waits for the notice that it depends on.

mod house;

use bytes::Bytes;
use house::{House, on_loopback, pictures, vp8};
use rivero_engine::graph::Selection;
use rivero_engine::testing::Tell;
use rivero_engine::{Body, Caps, Codec, Element, Feedback, MediaKind, MediaTime, Packet, Pipeline, Rtp, What};
use rivero_transport::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_transport::webrtc::{IceState, NegotiationError, StreamReport, WebRtcEndpoint, WebRtcEvent};
use std::sync::Arc;
use std::time::Duration;

impl House {
    /// Hands every candidate of one endpoint to the other.
    async fn trickle(&mut self, from: &WebRtcEndpoint, to: &WebRtcEndpoint) {
        for (candidate, index) in self.gather(from).await {
            to.add_ice_candidate(candidate, Some(index)).await.expect("the worker lives");
        }
    }

    /// Two endpoints that have called each other: the one that offered, and the one that answered.
    async fn call(&mut self, pipeline: &Pipeline) -> (WebRtcEndpoint, WebRtcEndpoint) {
        let caller = self.endpoint(pipeline, on_loopback()).await;
        let callee = self.endpoint(pipeline, on_loopback()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn two_endpoints_of_one_server_call_each_other() {
    let mut house = House::open().await;
    let pipeline = house.workers.engine.pipeline("call");
    let caller = house.endpoint(&pipeline, on_loopback()).await;
    let callee = house.endpoint(&pipeline, on_loopback()).await;
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
    assert_eq!(pictures(&east), [(1, true)]);

    // A late viewer is served from the group of pictures: nothing crosses the network for it.
    let (late, late_seen) = house.probe(&pipeline, "late").await;
    callee.element().connect(&late, &Selection::all()).await.expect("one pipeline");
    house.video_arrives(&late).await;
    assert_eq!(pictures(&late_seen), [(1, true)]);
    assert_eq!(west.key_requests(), 0);

    // One that lost the picture asks: PLI crosses the network, and the source hears of it.
    late.tell(Tell::Say(Feedback::KeyFrame)).await.expect("the worker lives");
    let asked = |what: &What| match what {
        What::Other(other) => other.downcast_ref::<Feedback>().filter(|f| **f == Feedback::KeyFrame).map(|_| ()),
        _ => None,
    };
    house.forget();
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
    house.forget();
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
