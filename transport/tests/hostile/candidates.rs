//! Remote candidates, as an application passes them on: too many, and such as are none.

use crate::scene::{MS, SECOND, Scene};
use rivero_engine::MediaTime;
use rivero_transport::net::OnWire;
use rivero_transport::sdp::Candidate;
use rivero_transport::testing::{Peer, Quality};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// Counts what arrives.
pub struct Mute(pub SocketAddr, pub usize);

impl Peer for Mute {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn receive(&mut self, _: MediaTime, _: &OnWire, _: &mut Vec<OnWire>) {
        self.1 += 1;
    }

    fn due(&self) -> MediaTime {
        MediaTime::from_nanos(u64::MAX)
    }

    fn wake(&mut self, _: MediaTime, _: &mut Vec<OnWire>) {}
}

fn host(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 2, (n >> 8) as u8, n as u8], 7000))
}

pub fn candidate(at: SocketAddr) -> Candidate {
    format!("candidate:1 1 UDP 1 {} {} typ host", at.ip(), at.port()).parse().expect("a candidate")
}

#[test]
fn ten_thousand_candidates_cost_no_more_than_a_few() {
    let mut scene = Scene::open("actpass");
    let before = scene.simulation.remembered();
    let mutes = [0, 9999].map(|n| Rc::new(RefCell::new(Mute(host(n), 0))));
    for mute in &mutes {
        scene.simulation.place(mute.clone(), Quality::perfect(MS), 5);
    }
    let add = |scene: &mut Scene, range: std::ops::Range<u16>| {
        for n in range {
            let added = scene.endpoints[0].add_ice_candidate(candidate(host(n)), Some(0));
            scene.simulation.run(added).expect("alive");
        }
    };
    add(&mut scene, 0..1000);
    let memory = allocation_counter::measure(|| add(&mut scene, 1000..10_000));
    assert!(memory.bytes_current < 64 << 10, "{memory:?}");
    scene.undisturbed(2 * SECOND);
    assert!(scene.simulation.remembered() <= before + 128);
    scene.undisturbed(60 * SECOND);
    let [first, last] = mutes.map(|mute| mute.borrow().1);
    assert!((1..100).contains(&first), "the first is tried for a while: {first}");
    assert_eq!(last, 0, "the last is not");
    assert!(scene.enemy.borrow().heard.is_empty());
    scene.close();
}

/// Kurento takes it without a word. What stands is neither told again nor taken apart.
#[test]
fn gathering_again_changes_nothing() {
    let mut scene = Scene::open("actpass");
    let before = scene.endpoints.each_ref().map(|endpoint| endpoint.local_description());
    for endpoint in 0..2 {
        for _ in 0..3 {
            let again = scene.endpoints[endpoint].gather_candidates();
            scene.simulation.run(again).expect("it is no error");
        }
    }
    scene.undisturbed(10 * SECOND);
    assert_eq!(scene.endpoints.each_ref().map(|endpoint| endpoint.local_description()), before);
    scene.close();
}

#[test]
fn early_candidates_are_bounded_as_well() {
    let mut scene = Scene::open("actpass");
    let options = rivero_transport::webrtc::EndpointOptions::default();
    let made = rivero_transport::webrtc::WebRtcEndpoint::create(
        &scene.pipeline,
        "early".into(),
        options,
        scene.config.clone(),
    );
    let early = scene.simulation.run(made).expect("a worker takes it");
    let add = |scene: &mut Scene, count: u16| {
        for n in 0..count {
            scene.simulation.run(early.add_ice_candidate(candidate(host(n)), Some(0))).expect("alive");
        }
    };
    let long = format!("{}{}", candidate(host(0)), " name value".repeat(10_000)).parse::<Candidate>().expect("one");
    let memory = allocation_counter::measure(|| {
        for _ in 0..100 {
            scene.simulation.run(early.add_ice_candidate(long.clone(), None)).expect("alive");
        }
    });
    assert!(memory.bytes_current < 64 << 10, "{memory:?}");
    add(&mut scene, 1000);
    let memory = allocation_counter::measure(|| add(&mut scene, 10_000));
    assert!(memory.bytes_current < 16 << 10, "{memory:?}");
    scene.close();
}

#[test]
fn junk_is_refused_or_ignored() {
    for junk in ["", "candidate:", "a=candidate:1 1 UDP", "candidate:1 0 UDP 1 1.2.3.4 5 typ host", "\0", "💣 💣 💣"]
    {
        assert!(junk.parse::<Candidate>().is_err(), "{junk:?}");
    }
    let mut scene = Scene::open("actpass");
    let before = scene.simulation.remembered();
    let long = format!("candidate:1 1 UDP 1 10.3.0.1 7000 typ host{}", " name value".repeat(100_000));
    let junk = [
        "candidate:1 1 UDP 1 10.3.0.2 0 typ host",
        "candidate:1 1 UDP 4294967295 0.0.0.0 7000 typ host",
        "candidate:1 1 UDP 1 255.255.255.255 7000 typ host",
        "candidate:1 1 UDP 1 224.0.0.1 7000 typ host",
        "candidate:1 1 UDP 1 :: 7000 typ host",
        "candidate:1 1 UDP 1 ff02::1 7000 typ host",
        "candidate:1 1 UDP 1 ::ffff:10.0.0.1 5001 typ host",
        "candidate:1 1 UDP 1 fe80::1 5001 typ host",
        "candidate:1 1 UDP 1 fe80::1%eth0 5001 typ host",
        "candidate:1 1 UDP 1 fe80::1%25 5001 typ srflx raddr fe80::2%wlan0 rport 7",
        "candidate:1 1 UDP 1 169.254.1.2 5001 typ host",
        "candidate:1 1 UDP 4294967295 127.0.0.1 40000 typ host",
        "candidate:1 1 UDP 1 a-name-of-mdns.local 7000 typ host",
        "candidate:1 2 UDP 1 10.3.0.3 7000 typ host",
        "candidate:1 256 UDP 1 10.3.0.3 7000 typ host",
        "candidate:1 1 TCP 1 10.3.0.4 9 typ host",
        "candidate:1 1 TCP 1 10.3.0.4 9 typ host tcptype active",
        "candidate:1 1 SCTP 1 10.3.0.5 7000 typ host",
        "candidate:1 1 UDP 1 10.3.0.6 7000 typ something",
        "candidate:1 1 UDP 1 10.3.0.7 7000 typ srflx raddr 0.0.0.0 rport 0",
        "candidate:1 1 UDP 1 10.3.0.8 7000 typ prflx raddr a.local rport 65535",
        "candidate:x/y+z 1 UDP 0 10.3.0.9 65535 typ relay ufrag someone generation -1",
        &long,
    ];
    for endpoint in 0..2 {
        for text in &junk {
            for index in [None, Some(0), Some(1), Some(usize::MAX)] {
                let candidate = text.parse().expect("it can be read");
                let added = scene.endpoints[endpoint].add_ice_candidate(candidate, index);
                scene.simulation.run(added).expect("alive");
            }
        }
        scene.undisturbed(SECOND);
    }
    scene.undisturbed(60 * SECOND);
    assert!(scene.simulation.remembered() <= before + 2 * 128);
    scene.close();
}
