//! A publisher whose page is loaded anew, again and again: the peer is gone without a word and comes back as another, to a new
//! endpoint, which the application connects in the old one's place. The old endpoint lingers until consent ends, is told of as
//! `limits.md` says, and is then released, as applications do that hear of it.

use crate::publisher::{Frames, Publisher, SSRC};
use crate::scene::{MS, SECOND, Scene, address};
use rivero_engine::graph::Selection;
use rivero_engine::{MediaTime, What};
use rivero_transport::net::OnWire;
use rivero_transport::testing::{Peer, Quality};
use rivero_transport::webrtc::{DtlsState, IceState, WebRtcEndpoint, WebRtcEvent};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

const RELOADS: usize = 50;

/// A page in a tab: none while it is being loaded.
struct Tab(SocketAddr, Option<Publisher>);

impl Peer for Tab {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        if let Some(page) = &mut self.1 {
            page.receive(now, datagram, out);
        }
    }

    fn due(&self) -> MediaTime {
        self.1.as_ref().map_or(MediaTime::from_nanos(u64::MAX), |page| page.due())
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        if let Some(page) = &mut self.1 {
            page.wake(now, out);
        }
    }
}

struct Room {
    scene: Scene,
    /// One for each page, so that each has an address of its own; how many have had theirs.
    tabs: Vec<Rc<RefCell<Tab>>>,
    loaded: usize,
    /// Endpoints that are still there, the oldest first, with what was told of each.
    endpoints: VecDeque<(WebRtcEndpoint, Vec<WebRtcEvent>)>,
    most: usize,
}

impl Room {
    /// The viewer is there, and the scene's own publisher is not.
    fn open() -> Self {
        let mut scene = Scene::open("actpass");
        scene.simulation.run(scene.endpoints[0].element().release());
        let (clock, server) = (scene.simulation.clock.clone(), scene.simulation.server());
        *scene.publisher.borrow_mut() = Publisher::new(&clock, address(1), server, Frames { inter: 1, key: 1 });
        scene.publisher.borrow_mut().connection.due = MediaTime::from_nanos(u64::MAX);
        let tabs = (0..RELOADS as u16).map(|number| {
            let tab = Rc::new(RefCell::new(Tab(SocketAddr::from(([10, 6, 0, 1], 10_000 + number)), None)));
            scene.simulation.place(tab.clone(), Quality::perfect(5 * MS), number.into());
            tab
        });
        let tabs = tabs.collect();
        Room { scene, tabs, loaded: 0, endpoints: VecDeque::new(), most: 0 }
    }

    /// The page in front is gone without a word.
    fn vanish(&mut self) {
        if let Some(tab) = self.loaded.checked_sub(1).map(|at| &self.tabs[at]) {
            tab.borrow_mut().1 = None;
        }
    }

    /// The page is gone; another is loaded, publishes, and is seen by the viewer.
    fn reload(&mut self) {
        self.vanish();
        let tab = self.tabs[self.loaded].clone();
        self.loaded += 1;
        let at = tab.borrow().0;
        let simulation = &mut self.scene.simulation;
        let (clock, server) = (simulation.clock.clone(), simulation.server());
        let mut page = Publisher::new(&clock, at, server, Frames { inter: 2, key: 5 });
        let offer = page.connection.offer("sendonly", Some(SSRC));
        let (endpoint, answer) = self.scene.endpoint_for(&offer);
        let all = Selection::all();
        let viewed = endpoint.element().connect(self.scene.endpoints[1].element(), &all);
        self.scene.simulation.run(viewed).expect("one pipeline");
        page.connection.join(&answer, server);
        tab.borrow_mut().1 = Some(page);
        self.endpoints.push_back((endpoint, Vec::new()));
        self.pass();
        let now = self.scene.simulation.now();
        if let Some(page) = &mut tab.borrow_mut().1 {
            assert!(page.connection.connected, "page {}", self.loaded);
            page.start(now);
        }
        self.scene.viewer.borrow_mut().screen = Default::default();
        (0..4).for_each(|_| self.pass());
        let viewer = self.scene.viewer.borrow();
        assert!(viewer.screen.shown.len() > 3 * 30, "page {}: {} pictures", self.loaded, viewer.screen.shown.len());
    }

    /// Lets a second pass, and releases what is told to be disconnected.
    fn pass(&mut self) {
        self.scene.simulation.advance(SECOND);
        for notice in self.scene.simulation.notices() {
            let What::Other(other) = notice.what else { continue };
            let Ok(event) = other.downcast::<WebRtcEvent>() else { continue };
            if let Some((_, told)) = self.endpoints.iter_mut().find(|(one, _)| one.element().id() == notice.element) {
                told.push(*event);
            }
        }
        self.most = self.most.max(self.endpoints.len());
        let gone = |told: &[WebRtcEvent]| told.last() == Some(&WebRtcEvent::Connection { connected: false });
        while let Some((endpoint, told)) = self.endpoints.pop_front_if(|(_, told)| gone(told)) {
            let wanted = [
                WebRtcEvent::DtlsState { stream: 1, state: DtlsState::Failed },
                WebRtcEvent::IceState { stream: 1, state: IceState::Failed },
                WebRtcEvent::Media { connected: false },
                WebRtcEvent::Connection { connected: false },
            ];
            assert_eq!(told[told.len() - wanted.len()..], wanted);
            let ended = |event: &WebRtcEvent| wanted.contains(event);
            assert_eq!(told.iter().filter(|event| ended(event)).count(), wanted.len(), "each once: {told:?}");
            self.scene.simulation.run(endpoint.element().release());
        }
    }

    /// Waits until the last page is forgotten too. Says how many names and addresses are remembered.
    fn settle(&mut self) -> usize {
        self.vanish();
        (0..35).for_each(|_| self.pass());
        assert!(self.endpoints.is_empty(), "all were told and released");
        // What the test itself has collected.
        self.scene.viewer.borrow_mut().screen = Default::default();
        self.scene.taps.iter().for_each(|tap| tap.borrow_mut().sent = Vec::new());
        self.scene.simulation.remembered()
    }
}

#[test]
fn fifty_reloads_leave_no_more_than_ten() {
    let mut room = Room::open();
    (0..10).for_each(|_| room.reload());
    let remembered = room.settle();
    let memory = allocation_counter::measure(|| {
        (10..RELOADS).for_each(|_| room.reload());
        assert_eq!(room.settle(), remembered, "names and addresses");
    });
    println!("{} reloads more: {} bytes, {} endpoints at once", RELOADS - 10, memory.bytes_current, room.most);
    assert!((4..=8).contains(&room.most), "five seconds a page, and 15 to 30 until consent ends: {}", room.most);
    assert!(memory.bytes_current < 16 << 10, "{memory:?}");
    room.scene.close();
}
