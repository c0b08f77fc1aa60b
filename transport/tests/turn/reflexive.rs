//! A NAT in simulated time: a STUN server in memory sees the endpoint elsewhere, answers late, refuses, or says nothing.

use super::house::webrtc_config;
use rivero_engine::{MediaTime, What};
use rivero_transport::net::OnWire;
use rivero_transport::sdp::{self, CandidateType};
use rivero_transport::testing::{Peer, Quality, Simulation};
use rivero_transport::webrtc::{EndpointOptions, WebRtcEndpoint, WebRtcEvent};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use stun_types::attribute::{ErrorCode, XorMappedAddress};
use stun_types::message::{Message, MessageWriteVec};
use stun_types::prelude::{MessageWrite, MessageWriteExt};

/// On the loopback, from where no way leads elsewhere.
const SERVER: ([u8; 4], u16) = ([127, 0, 0, 9], 3478);
const MAPPED: ([u8; 4], u16) = ([203, 0, 113, 7], 61_000);

/// Answers from the `first` request on.
struct Stun {
    first: usize,
    says: Says,
    asked: Vec<(MediaTime, OnWire)>,
}

#[derive(Clone, Copy)]
enum Says {
    Mapped,
    /// There is no NAT.
    Same,
    Error,
}

impl Peer for Stun {
    fn address(&self) -> SocketAddr {
        SERVER.into()
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        self.asked.push((now, datagram.clone()));
        if self.asked.len() < self.first {
            return;
        }
        let request = Message::from_bytes(&datagram.bytes).expect("a STUN message");
        let bytes = if let Says::Error = self.says {
            let mut response = Message::builder_error(&request, MessageWriteVec::new());
            response.add_attribute(&ErrorCode::new(500, "no").expect("a code")).expect("it fits");
            response.finish()
        } else {
            let seen = if let Says::Same = self.says { datagram.from } else { MAPPED.into() };
            let mut response = Message::builder_success(&request, MessageWriteVec::new());
            response.add_attribute(&XorMappedAddress::new(seen, request.transaction_id())).expect("it fits");
            response.finish()
        };
        let answer = OnWire { from: datagram.to, to: datagram.from, bytes };
        // Networks may say things twice.
        out.extend([answer.clone(), answer]);
    }

    fn due(&self) -> MediaTime {
        MediaTime::from_millis(u64::MAX / 2_000_000)
    }

    fn wake(&mut self, _now: MediaTime, _out: &mut Vec<OnWire>) {}
}

/// An endpoint that has offered and gathers, at the time 0.
struct Gathers {
    simulation: Simulation,
    endpoint: WebRtcEndpoint,
    stun: Rc<RefCell<Stun>>,
    candidates: Vec<sdp::Candidate>,
    done: usize,
}

impl Gathers {
    fn new(first: usize, says: Says) -> Self {
        let mut simulation = Simulation::new();
        let stun = Rc::new(RefCell::new(Stun { first, says, asked: Vec::new() }));
        simulation.place(stun.clone(), Quality::perfect(Duration::from_millis(20)), 1);
        let pipeline = simulation.engine.pipeline("gathers");
        let options = EndpointOptions {
            network_interfaces: vec!["lo".into()],
            stun: Some(SocketAddr::from(SERVER).into()),
            ..EndpointOptions::default()
        };
        let config = webrtc_config(simulation.certificate.clone());
        let made =
            simulation.run(WebRtcEndpoint::create(&pipeline, "endpoint".into(), options.clone(), config.clone()));
        let caller = made.expect("the worker takes it");
        let offer = caller.generate_offer(true, true).expect("a fresh endpoint");
        let made = simulation.run(WebRtcEndpoint::create(&pipeline, "callee".into(), options, config));
        // One that answers uses the worker's port, which is simulated.
        let endpoint = made.expect("the worker takes it");
        simulation.run(endpoint.process_offer(&offer)).expect("our own offer can be answered");
        // Without a runtime there is no timer; an address needs no resolving.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let guard = runtime.enter();
        simulation.run(endpoint.gather_candidates()).expect("there is a loopback interface");
        drop(guard);
        let mut gathers = Gathers { simulation, endpoint, stun, candidates: Vec::new(), done: 0 };
        gathers.listen();
        gathers
    }

    fn listen(&mut self) {
        for notice in self.simulation.notices() {
            let What::Other(other) = notice.what else { continue };
            match other.downcast_ref::<WebRtcEvent>() {
                Some(WebRtcEvent::CandidateFound { candidate, index: 0, .. }) => {
                    self.candidates.push(candidate.parse().expect("our own candidates can be read"));
                }
                Some(WebRtcEvent::GatheringDone) => self.done += 1,
                _ => {}
            }
        }
    }

    fn advance(&mut self, millis: u64) {
        self.simulation.advance(Duration::from_millis(millis));
        self.listen();
    }

    fn reflexive(&self) -> Vec<String> {
        let found = self.candidates.iter().filter(|candidate| candidate.typ == CandidateType::ServerReflexive);
        found.map(ToString::to_string).collect()
    }

    fn asked_at(&self) -> Vec<u64> {
        self.stun.borrow().asked.iter().map(|(at, _)| at.as_nanos() / 1_000_000).collect()
    }
}

#[test]
fn a_public_address_is_offered_and_ends_the_gathering() {
    let mut gathers = Gathers::new(1, Says::Mapped);
    assert!(!gathers.candidates.is_empty() && gathers.reflexive().is_empty() && gathers.done == 0, "only hosts so far");
    assert!(!gathers.endpoint.local_description().expect("negotiated").contains("srflx"));
    gathers.advance(39);
    assert_eq!((gathers.reflexive().len(), gathers.done), (0, 0), "the answer is on its way");
    gathers.advance(1);
    let number = gathers.candidates.len();
    let port = gathers.simulation.server().port();
    let wanted =
        format!("candidate:{number} 1 UDP 1694498815 203.0.113.7 61000 typ srflx raddr 127.0.0.1 rport {port}");
    assert_eq!((gathers.reflexive(), gathers.done), (vec![wanted.clone()], 1));
    let described = gathers.endpoint.local_description().expect("negotiated");
    assert_eq!(described.matches(&format!("a={wanted}\r\n")).count(), 2, "in both lines of {described}");
    assert!(described.contains("m=audio 61000 ") && described.contains("c=IN IP4 203.0.113.7\r\n"), "{described}");
    gathers.advance(20_000);
    assert_eq!((gathers.asked_at(), gathers.reflexive().len(), gathers.done), (vec![20], 1, 1), "nothing twice");
}

#[test]
fn a_lost_question_is_asked_again() {
    let mut gathers = Gathers::new(3, Says::Mapped);
    gathers.advance(1539);
    assert_eq!((gathers.reflexive().len(), gathers.done), (0, 0));
    gathers.advance(1);
    assert_eq!((gathers.reflexive().len(), gathers.done), (1, 1));
    assert_eq!(gathers.asked_at(), [20, 520, 1520]);
}

#[test]
fn a_server_without_news_ends_the_gathering_too() {
    let mut gathers = Gathers::new(usize::MAX, Says::Mapped);
    gathers.advance(7499);
    assert_eq!(gathers.done, 0);
    gathers.advance(1);
    assert_eq!((gathers.done, gathers.reflexive().len()), (1, 0));
    assert_eq!(gathers.asked_at(), [20, 520, 1520, 3520]);

    for says in [Says::Error, Says::Same] {
        let mut gathers = Gathers::new(1, says);
        gathers.advance(40);
        assert_eq!((gathers.done, gathers.reflexive().len(), gathers.asked_at().len()), (1, 0, 1));
    }
}
