//! Connections over loopback: who is let in, what is routed, and what is refused.

use super::*;
use crate::net::Route;
use crate::net::tcp::{FrameReader, FrameTooLong, MOST_WAITING_EACH};
use std::cell::RefCell;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::task::LocalSet;

#[derive(Default)]
struct Nobody {
    asked: RefCell<usize>,
    came: Notify,
}

impl Receiver for Nobody {
    fn owner(&self, _: &[u8]) -> Option<Route> {
        *self.asked.borrow_mut() += 1;
        self.came.notify_one();
        None
    }

    fn receive(&self, _: &Rc<TcpLink>, _: Route, _: &mut FrameReader) -> Result<(), FrameTooLong> {
        panic!("there is no route");
    }
}

#[tokio::test]
async fn the_port_of_udp_is_taken_where_free_and_otherwise_one_of_the_range() {
    let first = TcpPort::bind((20_000, 30_000), 25_000).expect("a port is free");
    assert!((20_000..=30_000).contains(&first.number()));
    let second = TcpPort::bind((20_000, 30_000), first.number()).expect("a port is free");
    assert_ne!(first.number(), second.number());
    assert!(first.serves([127, 0, 0, 1].into()));
    let only = (first.number(), first.number());
    assert!(TcpPort::bind(only, first.number()).is_err(), "it is taken");
    let number = first.number();
    drop(first);
    assert_eq!(TcpPort::bind(only, number).expect("free again").number(), number);
    assert_eq!(TcpPort::bind((number, number), 1).expect("a start outside the range is no error").number(), number);
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_it_may() {
    let port = TcpPort::bind((1024, 65_535), 30_000).expect("a port is free");
    let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
    let (admission, nobody) = (Rc::<Admission>::default(), Rc::<Nobody>::default());
    let (held, serving) = (admission.clone(), nobody.clone());
    LocalSet::new()
        .run_until(async move {
            tokio::task::spawn_local(async move { port.serve(held, serving).await });
            let mut peers = Vec::new();
            for _ in 0..MOST_WAITING_EACH {
                peers.push(TcpStream::connect(address).await.expect("it listens"));
            }
            let mut refused = TcpStream::connect(address).await.expect("it listens");
            assert_eq!(refused.read(&mut [0; 1]).await.expect("it is closed in order"), 0);
            // One that is sent away makes room for another.
            peers[0].try_write(&[0, 1, b'?']).expect("a fresh connection takes three bytes");
            nobody.came.notified().await;
            while let Ok(1..) = peers[0].read(&mut [0; 1]).await {}
            let mut late = TcpStream::connect(address).await.expect("it listens");
            late.try_write(&[0, 1, b'?']).expect("a fresh connection takes three bytes");
            nobody.came.notified().await;
            while let Ok(1..) = late.read(&mut [0; 1]).await {}
            assert_eq!(*nobody.asked.borrow(), 2);
        })
        .await;
}
