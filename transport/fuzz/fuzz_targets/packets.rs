//! What is read of a packet before anything about it is known: where it belongs, and whether a key frame begins in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_engine::Codec;
use rivero_transport::net::Demux;
use rivero_transport::webrtc::starts_key_frame;

fuzz_target!(|datagram: &[u8]| {
    let from = std::net::SocketAddr::from(([192, 0, 2, 1], 5000));
    assert_eq!(Demux::default().find(4000, from, datagram), None, "a stranger belongs to nobody");
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
        starts_key_frame(codec, datagram);
    }
});
