//! One connection over loopback: frames both ways, bounds, and how it ends.

use super::*;
use crate::net::tcp::Admission;
use rivero_engine::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// Belongs to everyone whose first packet begins with `S`; trusts whoever sends a `T`.
#[derive(Default)]
struct Desk {
    seen: RefCell<Vec<Vec<u8>>>,
    batches: Cell<usize>,
    came: Notify,
}

const ROUTE: Route = (NodeId { worker: 0, index: 1, generation: 1 }, 0);

impl Receiver for Desk {
    fn owner(&self, first: &[u8]) -> Option<Route> {
        (first[0] == b'S').then_some(ROUTE)
    }

    fn receive(&self, link: &Rc<TcpLink>, route: Route, frames: &mut FrameReader) -> Result<(), FrameTooLong> {
        assert_eq!(route, ROUTE);
        while let Some(frame) = frames.next_frame()? {
            if frame[0] == b'T' {
                link.trust();
            }
            self.seen.borrow_mut().push(frame.to_vec());
        }
        self.batches.set(self.batches.get() + 1);
        self.came.notify_one();
        Ok(())
    }
}

impl Desk {
    async fn packets(&self, count: usize) -> Vec<Vec<u8>> {
        while self.seen.borrow().len() < count {
            self.came.notified().await;
        }
        self.seen.borrow().clone()
    }
}

struct Pair {
    peer: TcpStream,
    link: Rc<TcpLink>,
    desk: Rc<Desk>,
    admission: Rc<Admission>,
}

async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (stream, remote) = accepted.expect("somebody comes");
    let (desk, admission) = (Rc::<Desk>::default(), Rc::<Admission>::default());
    let waiting = admission.admit(remote.ip()).expect("there is room");
    let link = TcpLink::accept(stream, address, remote, waiting, desk.clone());
    Pair { peer: peer.expect("it listens"), link, desk, admission }
}

fn framed(packets: &[&[u8]]) -> Vec<u8> {
    let framed = packets.iter().flat_map(|p| [&framing::header(p).expect("short")[..], p].concat());
    framed.collect()
}

/// Runs a test on one thread, as a worker does. Time stands still unless everyone waits, and then jumps.
fn alone<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new()
        .block_on(&runtime, async { timeout(Duration::from_secs(300), test).await.expect("it ends in time") })
}

/// The peer's socket comes to its end.
async fn is_ended(peer: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match peer.read_to_end(&mut rest).await {
        Ok(_) => rest.is_empty(),
        Err(why) => why.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn packets_that_came_together_are_handed_in_together() {
    alone(async {
        let Pair { mut peer, link, desk, .. } = pair().await;
        peer.write_all(&framed(&[b"S1", b"T2", b"x3"])).await.expect("it is open");
        assert_eq!(desk.packets(3).await, [b"S1", b"T2", b"x3"]);
        assert_eq!(desk.batches.get(), 1);
        assert!(link.is_trusted() && !link.is_active());
    });
}

#[test]
fn a_burst_arrives_as_packets() {
    alone(async {
        let Pair { mut peer, link, desk, .. } = pair().await;
        peer.write_all(&framed(&[b"S"])).await.expect("it is open");
        desk.packets(1).await;
        let burst: Vec<u8> = (0..100u8).flat_map(|n| [n; 10]).chain([200; 3]).collect();
        link.send(&burst, 10);
        let mut wanted: Vec<u8> = Vec::new();
        burst.chunks(10).for_each(|packet| wanted.extend(framed(&[packet])));
        let mut got = vec![0; wanted.len()];
        peer.read_exact(&mut got).await.expect("it comes");
        assert_eq!(got, wanted);
    });
}

#[test]
fn a_peer_that_does_not_read_loses_whole_packets_and_costs_a_bound() {
    alone(async {
        let Pair { mut peer, link, desk, .. } = pair().await;
        peer.write_all(&framed(&[b"ST"])).await.expect("it is open");
        desk.packets(1).await;
        // More than all the buffers on the way together have room for.
        let mut sent = 0u32;
        while link.dropped() < 1000 {
            let burst: Vec<u8> = (sent..sent + 20).flat_map(|n| n.to_be_bytes().repeat(300)).collect();
            link.send(&burst, 1200);
            sent += 20;
            assert!(link.queue.borrow().len() <= MOST_QUEUED);
            assert!(sent < 1_000_000, "the queue has no bound");
        }
        let dropped = link.dropped() as u32;
        link.close();
        let mut reader = FrameReader::new(1200);
        let (mut last, mut count) = (None, 0);
        loop {
            let read = peer.read(reader.room()).await.expect("it is ended in order");
            if read == 0 {
                break;
            }
            reader.filled(read);
            while let Some(frame) = reader.next_frame().expect("no packet is cut") {
                assert_eq!(frame.len(), 1200);
                assert!(frame.chunks(4).all(|part| part == &frame[..4]), "no packet is mixed with another");
                let number = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
                assert!(last.replace(number).is_none_or(|last| last < number), "in order");
                count += 1;
            }
        }
        assert_eq!(count, sent - dropped, "what was not dropped arrives, up to the end");
    });
}

#[test]
fn who_belongs_to_nobody_is_sent_away_at_once() {
    alone(async {
        let Pair { mut peer, link, desk, admission } = pair().await;
        peer.write_all(&framed(&[b"?"])).await.expect("it is open");
        assert!(is_ended(&mut peer).await);
        assert!(link.is_closed() && desk.seen.borrow().is_empty());
        drop(link);
        tokio::task::yield_now().await;
        assert!(admission.admit([127, 0, 0, 1].into()).is_some());
    });
}

#[test]
fn who_proves_nothing_is_sent_away_after_a_while() {
    // Nothing else happens, so that the clock jumps from one timer to the next.
    for words in [&b""[..], b"S", b"S not T"] {
        alone(async {
            let Pair { mut peer, desk, .. } = pair().await;
            if !words.is_empty() {
                peer.write_all(&framed(&[words])).await.expect("it is open");
                desk.packets(1).await;
            }
            tokio::time::pause();
            let before = tokio::time::Instant::from_std(std_now());
            assert!(is_ended(&mut peer).await);
            assert!(before.elapsed() >= FIRST_WORD - Duration::from_secs(1));
        });
    }
}

/// The virtual clock of the runtime, which the house otherwise hides behind its own.
#[allow(clippy::disallowed_methods, reason = "the test turns this clock by hand")]
fn std_now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[test]
fn who_talks_without_proving_anything_is_cut_short() {
    alone(async {
        let Pair { mut peer, desk, .. } = pair().await;
        let noise = framed(&[&[b"S"[0]; 1000]]);
        // It may be cut before everything is written.
        for _ in 0..=FIRST_BYTES / 1000 {
            let _ = peer.write_all(&noise).await;
        }
        assert!(is_ended(&mut peer).await);
        assert!(desk.seen.borrow().len() * 1002 <= FIRST_BYTES + 2 * (8 << 10), "no more than it may, and one read");
        let Pair { mut peer, .. } = pair().await;
        peer.write_all(&[0xff, 0xff, b'S']).await.expect("it is open");
        assert!(is_ended(&mut peer).await, "nobody proves himself with a packet of 64 KiB");
    });
}

#[test]
fn a_trusted_peer_may_send_long_packets_and_is_ended_when_silent() {
    alone(async {
        let Pair { mut peer, link, desk, .. } = pair().await;
        peer.write_all(&framed(&[b"S", b"T"])).await.expect("it is open");
        desk.packets(2).await;
        peer.write_all(&framed(&[&[9; framing::MOST]])).await.expect("it is open");
        assert_eq!(desk.packets(3).await[2].len(), framing::MOST);
        tokio::time::pause();
        assert!(!link.is_closed());
        let before = tokio::time::Instant::from_std(std_now());
        // Beyond the patience of the test's own guard no clock may jump: only the link's timers are in between.
        tokio::select! {
            ended = is_ended(&mut peer) => assert!(ended),
            () = sleep(IDLE * 3) => panic!("it is kept for ever"),
        }
        assert!(before.elapsed() > IDLE, "but not too soon");
    });
}

#[test]
fn connecting_waits_with_what_is_sent_and_gives_up() {
    alone(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let remote = listener.local_addr().expect("it is bound");
        let desk = Rc::<Desk>::default();
        let local = SocketAddr::from(([127, 0, 0, 1], 5));
        let link = TcpLink::connect(local, remote, ROUTE, desk.clone());
        assert_eq!((link.local(), link.remote(), link.is_active()), (local, remote, true));
        link.mark(Mark::dscp(46));
        link.send(b"early", 1200);
        let (mut peer, from) = listener.accept().await.expect("it comes");
        assert_ne!(from.port(), 5, "the local port is only a name");
        let mut got = [0; 7];
        peer.read_exact(&mut got).await.expect("what waited comes first");
        assert_eq!(&got, b"\0\x05early");
        let byte =
            || SockRef::from(&**link.stream.borrow().as_ref().expect("it is open")).tos_v4().expect("Linux tells it");
        assert_eq!(byte(), 46 << 2, "as it was told before it was open");
        link.mark(Mark::dscp(10));
        assert_eq!(byte(), 10 << 2);
        peer.write_all(&framed(&[b"any"])).await.expect("it is open");
        assert_eq!(desk.packets(1).await, [b"any"], "whom it is for was known before");
        link.close();
        assert!(is_ended(&mut peer).await);
        drop(listener);
        let refused = TcpLink::connect(local, remote, ROUTE, desk);
        while !refused.is_closed() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn what_is_said_in_the_same_turn_as_goodbye_still_leaves() {
    alone(async {
        let Pair { mut peer, link, desk, .. } = pair().await;
        peer.write_all(&framed(&[b"ST"])).await.expect("it is open");
        desk.packets(1).await;
        link.close();
        link.send(b"bye", 3);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.expect("it is ended in order");
        assert_eq!(rest, b"\0\x03bye");
        link.send(b"ghost", 5);
        assert_eq!(link.queue.borrow().len(), 0, "nothing is kept for one who is gone");
    });
}
