//! STUN from anywhere finds a session only by a name that is known, from an address that was asked in the same transaction, or from
//! one that is bound; whatever was found authentic, no more is remembered than is bounded, and nothing once a session is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_engine::NodeId;
use rivero_transport::net::Demux;
use rivero_transport::net::nat::reflexive::response_id;
use std::net::SocketAddr;

const PORT: u16 = 4000;

fuzz_target!(|datagrams: Vec<(u8, bool, &[u8])>| {
    let node = |index: u8| NodeId { worker: 0, index: u32::from(index), generation: 1 };
    let mut demux = Demux::default();
    demux.add_name("name".to_owned(), (node(0), 0));
    demux.add_name("other".to_owned(), (node(1), 1));
    for (n, outward, datagram) in &datagrams {
        let address = SocketAddr::from(([192, 0, 2, n % 4], 5000));
        let route = (node(n % 2), usize::from(n % 2));
        let is_stun = datagram.first().is_some_and(|first| *first < 4);
        if *outward {
            demux.note_asked(PORT, address, datagram, route);
        } else if let Some(found) = demux.find(PORT, address, datagram) {
            assert!(found.0 == node(0) || found.0 == node(1));
            if is_stun {
                demux.bind(PORT, address, datagram, found);
            }
        }
        let named = demux.find_name(datagram);
        assert!(named.is_none() || demux.find(PORT + 1, address, datagram) == named, "a name counts everywhere");
        if let Some(id) = response_id(datagram) {
            assert_eq!(demux.find_query(&id), None);
        }
        assert!(demux.size() <= 2 + 4 + 2 * 128);
    }
    demux.forget(node(0));
    demux.forget(node(1));
    assert_eq!(demux.size(), 0);
});
