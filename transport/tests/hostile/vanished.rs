//! A peer that is gone without a word, or never was there. The times are those of `transport/src/webrtc/limits.md`.

use crate::candidates::{Mute, candidate};
use crate::connection::value;
use crate::publisher::{Frames, Publisher};
use crate::scene::{MS, SECOND, Scene, address};
use rivero_engine::MediaTime;
use rivero_transport::net::OnWire;
use rivero_transport::testing::Peer;
use rivero_transport::testing::Quality;
use rivero_transport::webrtc::{DtlsState, IceState, WebRtcEvent};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_peer_that_vanishes_is_noticed_in_time_and_leaves_nothing() {
    let mut scene = Scene::open("actpass");
    let place = scene.places[0];
    scene.simulation.up(place).quality = Quality::default().losing(1.0);
    scene.simulation.down(place).quality = Quality::default().losing(1.0);
    let gone = scene.simulation.now();
    scene.simulation.advance(90 * SECOND);
    let events = scene.events();
    assert!(events.iter().all(|(by, ..)| *by == 0), "the viewer's session goes on");
    let told: Vec<_> = events.into_iter().map(|(_, at, event)| (at.since(gone), event)).collect();
    let wanted = [
        WebRtcEvent::DtlsState { stream: 1, state: DtlsState::Failed },
        WebRtcEvent::IceState { stream: 1, state: IceState::Failed },
        WebRtcEvent::Media { connected: false },
        WebRtcEvent::Connection { connected: false },
    ];
    let (times, kinds): (Vec<Duration>, Vec<WebRtcEvent>) = told.into_iter().unzip();
    assert_eq!(kinds, wanted);
    assert!(times.iter().all(|time| *time >= 5 * SECOND && *time <= 30 * SECOND), "{times:?}");

    // What is left of it goes when the endpoint is released.
    let both = scene.simulation.remembered();
    scene.simulation.run(scene.endpoints[0].element().release());
    let one = scene.simulation.remembered();
    assert!(one > 0 && one < both, "{one} of {both}");
    scene.close();
}

#[test]
fn nothing_is_sent_to_a_peer_whose_consent_has_expired() {
    let mut scene = Scene::open("actpass");
    let place = scene.places[0];
    scene.simulation.up(place).quality = Quality::default().losing(1.0);
    let gone = scene.simulation.now();
    scene.simulation.advance(60 * SECOND);
    let events = scene.events();
    let ended = |event: &WebRtcEvent| *event == WebRtcEvent::DtlsState { stream: 1, state: DtlsState::Failed };
    let end = events.iter().find(|(by, _, event)| *by == 0 && ended(event)).map(|(_, at, _)| *at).expect("it is told");
    assert!(end.since(gone) <= 30 * SECOND);
    // RFC 7675, section 5.1: not even what others wish of it.
    let before = scene.simulation.down(place).counts.taken;
    for _ in 0..10 {
        assert!(scene.simulation.run(scene.endpoints[1].request_key_frame()).expect("alive"));
        scene.simulation.advance(SECOND);
    }
    assert_eq!(scene.simulation.down(place).counts.taken, before);
    scene.close();
}

/// The states of the endpoint that is neither the publisher's nor the viewer's, with the time since `from`.
fn told(scene: &mut Scene, from: MediaTime) -> Vec<(Duration, WebRtcEvent)> {
    let events = scene.events().into_iter();
    events.filter(|(by, ..)| *by == 2).map(|(_, at, event)| (at.since(from), event)).collect()
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let mut scene = Scene::open("actpass");
    let (endpoint, _) = scene.waiting_endpoint("actpass");
    scene.undisturbed(120 * SECOND);
    let report = scene.simulation.run(endpoint.report()).expect("alive");
    assert_eq!(report.status.transports[0].ice, IceState::Connecting, "without candidates it waits");
    scene.events();
    let began = scene.simulation.now();
    let nobody = SocketAddr::from(([10, 4, 0, 1], 7000));
    scene.simulation.place(Rc::new(RefCell::new(Mute(nobody, 0))), Quality::perfect(MS), 9);
    scene.simulation.run(endpoint.add_ice_candidate(candidate(nobody), Some(0))).expect("alive");
    scene.simulation.advance(90 * SECOND);
    let told = told(&mut scene, began);
    let failed = told.iter().find(|(_, event)| *event == WebRtcEvent::IceState { stream: 1, state: IceState::Failed });
    let (after, _) = failed.expect("it is told");
    assert!(*after >= 5 * SECOND && *after <= 30 * SECOND, "{after:?}");
    scene.close();
}

/// A peer that answers checks and never speaks DTLS. It leaves before its own stack gives up.
struct Muffled {
    peer: Publisher,
    leaves: MediaTime,
}

impl Peer for Muffled {
    fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        if now < self.leaves {
            self.peer.receive(now, datagram, out);
            out.retain(|datagram| datagram.bytes[0] < 2);
        }
    }

    fn due(&self) -> MediaTime {
        let due = self.peer.due();
        if due < self.leaves { due } else { MediaTime::from_nanos(u64::MAX) }
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        self.peer.wake(now, out);
        out.retain(|datagram| datagram.bytes[0] < 2);
    }
}

#[test]
fn a_peer_that_never_speaks_dtls_is_given_up_where_we_speak_first() {
    // Where the peer is to begin, nothing is wrong until it leaves.
    for (setup, bounds) in [("passive", [15, 45]), ("active", [20 + 15, 20 + 40])] {
        let mut scene = Scene::open("actpass");
        let (clock, server) = (scene.simulation.clock.clone(), scene.simulation.server());
        let mut peer = Publisher::new(&clock, address(4), server, Frames { inter: 1, key: 1 });
        let offer = peer.connection.offer("sendonly", Some(1)).replace("actpass", setup);
        let (endpoint, answer) = scene.endpoint_for(&offer);
        assert_ne!(value(&answer, "a=setup:"), setup);
        peer.connection.join(&answer, server);
        let began = scene.simulation.now();
        let muffled = Muffled { peer, leaves: began + 20 * SECOND };
        scene.simulation.place(Rc::new(RefCell::new(muffled)), Quality::perfect(MS), 9);
        scene.simulation.advance(90 * SECOND);
        let told = told(&mut scene, began);
        let at = |state| told.iter().find(|(_, event)| *event == WebRtcEvent::DtlsState { stream: 1, state });
        assert!(at(DtlsState::Connecting).is_some_and(|(after, _)| *after < SECOND), "ICE comes first");
        let (failed, _) = at(DtlsState::Failed).expect("it is told");
        assert!((bounds[0]..bounds[1]).contains(&failed.as_secs()), "{setup}: {failed:?}");
        assert!(!scene.simulation.run(endpoint.report()).expect("alive").status.connected);
        scene.close();
    }
}

#[test]
fn a_peer_that_comes_after_minutes_is_connected() {
    for setup in ["passive", "active"] {
        let mut scene = Scene::open("actpass");
        let (clock, server) = (scene.simulation.clock.clone(), scene.simulation.server());
        let peer = Publisher::new(&clock, address(4), server, Frames { inter: 1, key: 1 });
        let offer = peer.connection.offer("sendonly", Some(1)).replace("actpass", setup);
        let peer = Rc::new(RefCell::new(peer));
        let (endpoint, answer) = scene.endpoint_for(&offer);
        scene.undisturbed(300 * SECOND);
        let now = scene.simulation.now();
        {
            let connection = &mut peer.borrow_mut().connection;
            // Its own handshake begins now.
            connection.wake(now, &mut Vec::new());
            connection.join(&answer, server);
            connection.due = now;
        }
        scene.simulation.place(peer.clone(), Quality::perfect(MS), 9);
        scene.simulation.advance(2 * SECOND);
        assert!(peer.borrow().connection.connected, "{setup}");
        assert!(scene.simulation.run(endpoint.report()).expect("alive").status.connected, "{setup}");
        scene.close();
    }
}
