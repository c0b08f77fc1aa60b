//! On real sockets: the port of an endpoint that offered comes back.

use rivero_engine::time::SystemClock;
use rivero_transport::sdp::{Candidate, Transport};
use rivero_transport::webrtc::{Certificate, EndpointOptions, WebRtcConfig, WebRtcEndpoint};
use rivero_transport::worker::{WorkerSettings, Workers};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_an_endpoint_comes_back_when_it_is_released() {
    let certificate = Arc::new(Certificate::generate().expect("a certificate"));
    let settings = WorkerSettings::default();
    let clock = Arc::new(SystemClock::new());
    let workers = Workers::start(&settings, clock, Arc::new(|_| {}), certificate.clone()).await.expect("workers start");
    let video_codecs = vec!["VP8/90000".parse().expect("a codec")];
    let config =
        WebRtcConfig { certificate, audio_codecs: vec![], video_codecs, audio_lines: 0, video_lines: 1, modern: true };
    let pipeline = workers.engine.pipeline("ports");
    let options = EndpointOptions { network_interfaces: vec!["lo".into()], ..EndpointOptions::default() };
    let made = WebRtcEndpoint::create(&pipeline, "offers".into(), options, Arc::new(config)).await;
    let endpoint = made.expect("a worker takes it");
    endpoint.generate_offer(false, true).expect("a fresh endpoint");
    endpoint.gather_candidates().await.expect("there is a loopback interface");
    let description = endpoint.local_description().expect("it offered");
    let shown = description.lines().filter_map(|line| line.strip_prefix("a=candidate:")?.parse::<Candidate>().ok());
    let port = shown.filter(|shown| shown.transport == Transport::Udp).map(|shown| shown.port).next().expect("one");
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
    assert!(bind().is_err(), "the endpoint has it");
    endpoint.element().release().await;
    let free = async {
        while bind().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("the port comes back");
}
