//! Calls whose relays all vanish: coturn crashes, and comes back or does not. The endpoints have no other address.

use super::coturn::Coturn;
use super::house::{House, PATIENCE, pictures, vp8};
use super::sessions::{only_relay, trickle};
use rivero_engine::graph::Selection;
use rivero_engine::testing::{Seen, Tell};
use rivero_engine::{Element, Pipeline};
use rivero_transport::webrtc::{DtlsState, IceState, WebRtcEndpoint, WebRtcEvent};

/// How many go before the crash, and how many after it.
const PICTURES: u8 = 20;

/// Pictures go from the caller to the callee.
struct Call {
    pipeline: Pipeline,
    ends: [WebRtcEndpoint; 2],
    source: Element,
    seen: Seen,
}

impl Call {
    async fn open(house: &mut House, port: u16, transport: &str) -> Self {
        let pipeline = house.workers.engine.pipeline("call");
        let caller = house.endpoint(&pipeline, only_relay("127.0.0.1", port, transport)).await;
        let callee = house.endpoint(&pipeline, only_relay("127.0.0.1", port, transport)).await;
        let (source, _) = house.probe(&pipeline, "source").await;
        let (sink, seen) = house.probe(&pipeline, "sink").await;
        source.connect(caller.element(), &Selection::all()).await.expect("one pipeline");
        callee.element().connect(&sink, &Selection::all()).await.expect("one pipeline");
        let offer = caller.generate_offer(true, true).expect("a fresh endpoint");
        let answer = callee.process_offer(&offer).await.expect("our own offer can be answered");
        caller.process_answer(&answer).await.expect("our own answer can be taken");
        trickle(house, &caller, &callee).await;
        trickle(house, &callee, &caller).await;
        house.connected(&caller).await;
        house.connected(&callee).await;
        let call = Call { pipeline, ends: [caller, callee], source, seen };
        call.pass(1).await;
        house.forget();
        call
    }

    /// Sends pictures from this number on, and waits for the last.
    async fn pass(&self, first: u8) {
        for number in first..first + PICTURES {
            self.source.tell(Tell::Emit(vp8(number.into(), true))).await.expect("the worker lives");
        }
        let last = async {
            while !pictures(&self.seen).iter().any(|(number, _)| *number == first + PICTURES - 1) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, last).await.expect("what is sent arrives");
    }

    /// The relayed address that each end's selected pair begins with.
    async fn addresses(&self) -> [String; 2] {
        let mut addresses = [String::new(), String::new()];
        for (end, address) in self.ends.iter().zip(&mut addresses) {
            let status = end.report().await.expect("alive").status;
            let pair = status.transports[0].pair.clone().expect("a pair is selected");
            assert!(pair.local.contains(" typ relay "), "{pair:?}");
            *address = pair.local.split(' ').skip(4).take(2).collect::<Vec<_>>().join(" ");
        }
        addresses
    }
}

/// The next candidate of an endpoint, once for each m-line.
async fn next_candidate(house: &mut House, endpoint: &WebRtcEndpoint) -> String {
    let mut found = Vec::new();
    for line in 0..2 {
        let of_line = |event: &WebRtcEvent| match event {
            WebRtcEvent::CandidateFound { candidate, index, .. } if *index == line => Some(candidate.clone()),
            _ => None,
        };
        found.push(house.hear_event(endpoint, of_line).await);
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_through_new_relays_when_the_server_comes_back() {
    let Some(mut coturn) = Coturn::start("").await else { return };
    let mut house = House::open().await;
    for transport in ["udp", "tcp"] {
        let call = Call::open(&mut house, coturn.port, transport).await;
        let before = call.addresses().await;
        coturn.crash();
        coturn.start_again().await;
        for (from, to) in [(0, 1), (1, 0)] {
            let text = next_candidate(&mut house, &call.ends[from]).await;
            assert!(text.contains(" typ relay "), "{transport}: {text}");
            let described = call.ends[from].local_description().expect("it has negotiated");
            assert_eq!(described.matches(&format!("a={text}\r\n")).count(), 2, "{text} in both lines of {described}");
            assert_eq!(described.matches(" typ relay ").count(), 2, "the lost one is gone from {described}");
            call.ends[to].add_ice_candidate(text.parse().expect("one"), Some(0)).await.expect("the worker lives");
        }
        for end in &call.ends {
            let mut states = Vec::new();
            while states.last() != Some(&IceState::Ready) {
                let state = |event: &WebRtcEvent| match event {
                    WebRtcEvent::IceState { stream: 1, state } => Some(*state),
                    WebRtcEvent::DtlsState { .. } | WebRtcEvent::Connection { .. } => panic!("{event:?}"),
                    _ => None,
                };
                states.push(house.hear_event(end, state).await);
            }
            assert_eq!(states, [IceState::Connecting, IceState::Connected, IceState::Ready], "{transport}");
        }
        call.pass(1 + PICTURES).await;
        let after = call.addresses().await;
        assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
        call.pipeline.release().await;
        house.forget();
    }
    house.workers.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_come_back_is_told_when_consent_ends() {
    let Some(mut coturn) = Coturn::start("").await else { return };
    let mut house = House::open().await;
    let calls =
        [Call::open(&mut house, coturn.port, "udp").await, Call::open(&mut house, coturn.tls_port, "tls").await];
    coturn.crash();
    for end in calls.iter().flat_map(|call| &call.ends) {
        let wanted = [
            WebRtcEvent::DtlsState { stream: 1, state: DtlsState::Failed },
            WebRtcEvent::IceState { stream: 1, state: IceState::Failed },
            WebRtcEvent::Connection { connected: false },
        ];
        for event in wanted {
            house.hear_event(end, |told| (*told == event).then_some(())).await;
        }
    }
    house.workers.stop();
}
