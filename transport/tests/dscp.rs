//! What an endpoint sends is marked as its application asked: a peer's socket sees the code point on the checks of ICE, which are the
//! first that comes. Bursts of media are marked in the tests of the sending call itself.

use nix::sys::socket::sockopt::IpRecvTos;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt};
use rivero_engine::notice::NoticeSink;
use rivero_engine::time::SystemClock;
use rivero_engine::{Clock, Pipeline};
use rivero_transport::webrtc::{Certificate, EndpointOptions, WebRtcConfig, WebRtcEndpoint};
use rivero_transport::worker::{WorkerSettings, Workers};
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// A check that takes longer than this to come is lost for good.
const PATIENCE: Duration = Duration::from_secs(20);

fn offer(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=setup:actpass\r\n\
         a=ice-ufrag:peer\r\na=ice-pwd:a-password-that-is-long-enough\r\na=fingerprint:sha-256 {}\r\n\
         a=rtpmap:96 VP8/90000\r\na=candidate:1 1 udp 2122260223 127.0.0.1 {port} typ host\r\n",
        ["AB"; 32].join(":")
    )
}

/// The byte that the next datagram is marked with.
fn received(peer: &UdpSocket) -> u8 {
    let mut room = [0; 2000];
    let mut control = nix::cmsg_space!(u8);
    let mut parts = [IoSliceMut::new(&mut room)];
    let message = recvmsg::<SockaddrIn>(peer.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
    let message = message.expect("a check of ICE comes");
    let tos = message.cmsgs().expect("there was room").find_map(|told| match told {
        ControlMessageOwned::Ipv4Tos(byte) => Some(byte),
        _ => None,
    });
    tos.expect("it tells the mark of each")
}

async fn mark_of(pipeline: &Pipeline, config: &Arc<WebRtcConfig>, dscp: Option<u8>) -> u8 {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    setsockopt(&peer, IpRecvTos, &true).expect("Linux tells it");
    peer.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
    let options = EndpointOptions { network_interfaces: vec!["lo".into()], dscp, ..EndpointOptions::default() };
    let endpoint = WebRtcEndpoint::create(pipeline, "marked".into(), options, config.clone()).await;
    let endpoint = endpoint.expect("a worker takes it");
    let port = peer.local_addr().expect("it is bound").port();
    endpoint.process_offer(&offer(port)).await.expect("an answer");
    endpoint.gather_candidates().await.expect("there is a loopback interface");
    let byte = tokio::task::spawn_blocking(move || received(&peer)).await;
    byte.expect("the peer looks at it")
}

#[tokio::test]
async fn an_endpoint_marks_what_it_sends() {
    let certificate = Arc::new(Certificate::generate().expect("a certificate"));
    let settings = WorkerSettings::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sink: NoticeSink = Arc::new(|_| {});
    let workers = Workers::start(&settings, clock, sink, certificate.clone()).await.expect("the workers start");
    let config = Arc::new(WebRtcConfig {
        certificate,
        audio_codecs: vec![],
        video_codecs: vec!["VP8/90000".parse().expect("a codec")],
        audio_lines: 0,
        video_lines: 1,
        modern: true,
    });
    let pipeline = workers.engine.pipeline("marks");
    // EF, AF41, and none: side by side on one port.
    for (dscp, byte) in [(Some(46), 184), (Some(34), 136), (None, 0)] {
        assert_eq!(mark_of(&pipeline, &config, dscp).await, byte, "{dscp:?}");
    }
    pipeline.release().await;
}
