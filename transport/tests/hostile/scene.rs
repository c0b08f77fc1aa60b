//! One publisher, one viewer, and somebody at an address of their own who may write any address as the sender.

use crate::connection::{Connection, value};
use crate::publisher::{Frames, Publisher, SSRC};
use crate::viewer::Viewer;
use rivero_engine::graph::Selection;
use rivero_engine::{MediaTime, Pipeline, What};
use rivero_transport::net::OnWire;
use rivero_transport::testing::{Peer, Quality, Simulation};
use rivero_transport::webrtc::{DtlsState, EndpointOptions, SessionReport, WebRtcConfig, WebRtcEndpoint, WebRtcEvent};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
const NEVER: MediaTime = MediaTime::from_nanos(u64::MAX);

/// Passes everything on, and keeps what its peer sends.
pub struct Tap {
    peer: Rc<RefCell<dyn Peer>>,
    pub sent: Vec<OnWire>,
}

impl Peer for Tap {
    fn address(&self) -> SocketAddr {
        self.peer.borrow().address()
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        let before = out.len();
        self.peer.borrow_mut().receive(now, datagram, out);
        self.sent.extend_from_slice(&out[before..]);
    }

    fn due(&self) -> MediaTime {
        self.peer.borrow().due()
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        let before = out.len();
        self.peer.borrow_mut().wake(now, out);
        self.sent.extend_from_slice(&out[before..]);
    }
}

/// Sends what it is given, and remembers what reaches its own address.
pub struct Enemy {
    pub address: SocketAddr,
    pub heard: Vec<OnWire>,
    waiting: Vec<OnWire>,
    due: MediaTime,
}

impl Peer for Enemy {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn receive(&mut self, _: MediaTime, datagram: &OnWire, _: &mut Vec<OnWire>) {
        self.heard.push(datagram.clone());
    }

    fn due(&self) -> MediaTime {
        self.due
    }

    fn wake(&mut self, _: MediaTime, out: &mut Vec<OnWire>) {
        self.due = NEVER;
        out.append(&mut self.waiting);
    }
}

pub struct Scene {
    pub simulation: Simulation,
    pub pipeline: Pipeline,
    pub config: Arc<WebRtcConfig>,
    pub publisher: Rc<RefCell<Publisher>>,
    pub viewer: Rc<RefCell<Viewer>>,
    pub enemy: Rc<RefCell<Enemy>>,
    /// Of publisher and viewer, as are places, endpoints and answers.
    pub taps: [Rc<RefCell<Tap>>; 2],
    pub places: [usize; 2],
    pub endpoints: [WebRtcEndpoint; 2],
    pub answers: [String; 2],
}

pub fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 5000 + u16::from(n)))
}

fn link() -> Quality {
    Quality::perfect(5 * MS)
}

impl Scene {
    /// Everyone is connected, and media has flowed for five seconds. `setup` is the publisher's part in DTLS, as its offer has it.
    pub fn open(setup: &str) -> Self {
        let mut simulation = Simulation::new();
        let pipeline = simulation.engine.pipeline("hostile");
        let config = Arc::new(WebRtcConfig {
            certificate: simulation.certificate.clone(),
            audio_codecs: vec![],
            video_codecs: vec!["VP8/90000".parse().expect("a codec")],
            audio_lines: 0,
            video_lines: 1,
            modern: true,
        });
        let (clock, server) = (simulation.clock.clone(), simulation.server());
        let frames = Frames { inter: 2, key: 5 };
        let publisher = Rc::new(RefCell::new(Publisher::new(&clock, address(1), server, frames)));
        let viewer = Rc::new(RefCell::new(Viewer::new(&clock, address(2), None)));
        let enemy = Enemy { address: address(9), heard: Vec::new(), waiting: Vec::new(), due: NEVER };
        let enemy = Rc::new(RefCell::new(enemy));
        let offers = [
            publisher.borrow().connection.offer("sendonly", Some(SSRC)).replace("actpass", setup),
            viewer.borrow().connection.offer("recvonly", None).replace("actpass", setup),
        ];
        let [(input, first), (output, second)] =
            offers.map(|offer| answer(&mut simulation, &pipeline, &config, &offer));
        publisher.borrow_mut().connection.join(&first, server);
        viewer.borrow_mut().connection.join(&second, server);
        viewer.borrow_mut().expect(&second, true);
        let tap = |peer: Rc<RefCell<dyn Peer>>| Rc::new(RefCell::new(Tap { peer, sent: Vec::new() }));
        let taps = [tap(publisher.clone()), tap(viewer.clone())];
        let places = [1, 2].map(|n| simulation.place(taps[n - 1].clone(), link(), n as u64));
        simulation.place(enemy.clone(), Quality::perfect(MS), 3);
        simulation.run(input.element().connect(output.element(), &Selection::all())).expect("one pipeline");
        simulation.advance(2 * SECOND);
        assert!(publisher.borrow().connection.connected && viewer.borrow().connection.connected);
        publisher.borrow_mut().start(simulation.now());
        // The viewer's first report comes within that time.
        simulation.advance(5 * SECOND);
        assert!(viewer.borrow().screen.shown.len() > 4 * 30, "the picture is there");
        let (endpoints, answers) = ([input, output], [first, second]);
        let mut scene =
            Scene { simulation, pipeline, config, publisher, viewer, enemy, taps, places, endpoints, answers };
        scene.events();
        scene
    }

    /// One more endpoint, which nobody has connected to yet, and its answer.
    pub fn waiting_endpoint(&mut self, setup: &str) -> (WebRtcEndpoint, String) {
        let peer = Connection::new(&self.simulation.clock, address(3));
        let offer = peer.offer("sendonly", None).replace("actpass", setup);
        self.endpoint_for(&offer)
    }

    /// One more endpoint, and its answer to an offer.
    pub fn endpoint_for(&mut self, offer: &str) -> (WebRtcEndpoint, String) {
        answer(&mut self.simulation, &self.pipeline, &self.config, offer)
    }

    /// Puts a datagram on its way to the server.
    pub fn send(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        let to = self.simulation.server();
        let mut enemy = self.enemy.borrow_mut();
        enemy.waiting.push(OnWire { from, to, bytes });
        enemy.due = self.simulation.now();
    }

    /// What the peer, 0 for the publisher, sent so far of one kind.
    pub fn sent(&self, peer: usize, of: Sort) -> Vec<Vec<u8>> {
        let tap = self.taps[peer].borrow();
        tap.sent.iter().map(|datagram| &datagram.bytes).filter(|bytes| sort(bytes) == of).cloned().collect()
    }

    pub fn report(&mut self, endpoint: usize) -> SessionReport {
        let report = self.endpoints[endpoint].report();
        self.simulation.run(report).expect("alive")
    }

    /// What was told since the last call, by whom (2 for somebody else) and when.
    pub fn events(&mut self) -> Vec<(usize, MediaTime, WebRtcEvent)> {
        let ids = self.endpoints.each_ref().map(|endpoint| endpoint.element().id());
        let mut events = Vec::new();
        for notice in self.simulation.notices() {
            match notice.what {
                What::Other(other) => {
                    let by = ids.iter().position(|id| *id == notice.element).unwrap_or(2);
                    events.extend(other.downcast::<WebRtcEvent>().ok().map(|event| (by, notice.at, *event)));
                }
                What::Error { kind, description } => panic!("{kind:?}: {description}"),
                _ => {}
            }
        }
        events
    }

    /// Lets time pass in which every frame reaches the viewer on time, every packet is counted once, nothing is asked for
    /// again, and no state changes.
    pub fn undisturbed(&mut self, by: Duration) {
        let began = self.simulation.now();
        let asked = |publisher: &Publisher| (publisher.plis, publisher.nacked);
        let before = asked(&self.publisher.borrow());
        self.simulation.advance(by);
        let now = self.simulation.now();
        {
            let (publisher, viewer) = (self.publisher.borrow(), self.viewer.borrow());
            let gap = viewer.screen.longest_gap(began, now);
            assert!(gap <= 40 * MS, "the picture stood for {gap:?}");
            assert_eq!((viewer.screen.skipped, viewer.screen.repeated), (0, 0));
            assert_eq!(asked(&publisher), before);
        }
        let packets = self.publisher.borrow().packets() as u64;
        let on_the_way = 2 * 5;
        for (at, count) in [self.report(0).inbound[0].packets, self.report(1).outbound[0].packets].iter().enumerate() {
            assert!(*count <= packets && *count + on_the_way >= packets, "{at}: {count} of {packets}");
        }
        let events = self.events();
        assert!(events.iter().all(|(by, ..)| *by == 2), "{now:?}: {events:?}");
        let states = [0, 1].map(|at| self.report(at).status);
        assert!(states.iter().all(|status| status.connected && status.transports[0].dtls == DtlsState::Connected));
    }

    pub fn close(mut self) {
        self.simulation.run(self.pipeline.release());
        assert_eq!(self.simulation.remembered(), 0, "nothing is left of anybody");
    }
}

/// An endpoint that answers an offer and has gathered.
fn answer(
    simulation: &mut Simulation,
    pipeline: &Pipeline,
    config: &Arc<WebRtcConfig>,
    offer: &str,
) -> (WebRtcEndpoint, String) {
    let options = EndpointOptions { network_interfaces: vec!["lo".into()], ..EndpointOptions::default() };
    let made = WebRtcEndpoint::create(pipeline, "endpoint".into(), options, config.clone());
    let endpoint = simulation.run(made).expect("a worker takes it");
    let answer = simulation.run(endpoint.process_offer(offer)).expect("an answer");
    simulation.run(endpoint.gather_candidates()).expect("there is a loopback interface");
    (endpoint, answer)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    StunRequest,
    StunResponse,
    Dtls,
    Rtp,
    Rtcp,
}

impl Sort {
    pub const ALL: [Sort; 5] = [Sort::StunRequest, Sort::StunResponse, Sort::Dtls, Sort::Rtp, Sort::Rtcp];
}

pub fn sort(datagram: &[u8]) -> Sort {
    match *datagram {
        [0, ..] => Sort::StunRequest,
        [1, ..] => Sort::StunResponse,
        [20..=63, ..] => Sort::Dtls,
        [128..=191, 192..=223, ..] => Sort::Rtcp,
        _ => Sort::Rtp,
    }
}

/// A request with USE-CANDIDATE for the endpoint that answered so, from the peer of that user name.
pub fn stun_request(answer: &str, peer: &str, password: &str) -> Vec<u8> {
    let user = format!("{}:{peer}", value(answer, "a=ice-ufrag:"));
    let message = StunMessage::binding_request(&user, TransId::new(), true, 7, 0x6e00_1eff, true);
    let mut bytes = vec![0; 500];
    let hmac = from_feature_flags().sha1_hmac_provider;
    let sha1 = |key: &[u8], payloads: &[&[u8]]| hmac.sha1_hmac(key, payloads);
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, sha1).expect("it fits");
    bytes.truncate(length);
    bytes
}
