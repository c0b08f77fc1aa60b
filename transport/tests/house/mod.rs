//! A server of two workers with endpoints, and what they tell. Nothing here waits for a time: every step waits for the notice
//! that it depends on. Shared by all tests with workers of their own.

#![allow(dead_code, reason = "each test needs another part of it")]

use bytes::Bytes;
use rivero_engine::graph::Placement;
use rivero_engine::notice::{ElementId, NoticeSink};
use rivero_engine::testing::{Seen, probe};
use rivero_engine::time::SystemClock;
use rivero_engine::{Body, Caps, Clock, Codec, Element, MediaKind, MediaTime, Notice, Packet, Pipeline, Rtp, What};
use rivero_transport::sdp;
use rivero_transport::webrtc::{Certificate, EndpointOptions, WebRtcConfig, WebRtcEndpoint, WebRtcEvent};
use rivero_transport::worker::{WorkerSettings, Workers};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What takes longer than this is broken: a peer that is not reached any longer is noticed within 30 s (RFC 7675).
pub const PATIENCE: Duration = Duration::from_secs(40);

pub struct House {
    pub workers: Workers,
    notices: mpsc::Receiver<Notice>,
    /// Heard while waiting for something else.
    heard: VecDeque<Notice>,
    config: Arc<WebRtcConfig>,
}

pub fn webrtc_config(certificate: Arc<Certificate>) -> Arc<WebRtcConfig> {
    Arc::new(WebRtcConfig {
        certificate,
        audio_codecs: vec!["opus/48000/2".parse().expect("a codec")],
        video_codecs: vec!["VP8/90000".parse().expect("a codec")],
        audio_lines: 1,
        video_lines: 1,
        modern: true,
    })
}

impl House {
    pub async fn open() -> Self {
        let (sender, notices) = mpsc::channel(1024);
        let sink: NoticeSink = Arc::new(move |notice| sender.try_send(notice).expect("a test reads its notices"));
        let certificate = Arc::new(Certificate::generate().expect("a certificate"));
        let settings = WorkerSettings { workers: 2, placement: Placement::Spread, ..WorkerSettings::default() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let workers = Workers::start(&settings, clock, sink, certificate.clone()).await.expect("the workers start");
        House { workers, notices, heard: VecDeque::new(), config: webrtc_config(certificate) }
    }

    pub async fn endpoint(&self, pipeline: &Pipeline, options: EndpointOptions) -> WebRtcEndpoint {
        let made = WebRtcEndpoint::create(pipeline, "endpoint".into(), options, self.config.clone()).await;
        made.expect("a worker takes it")
    }

    pub async fn probe(&self, pipeline: &Pipeline, label: &str) -> (Element, Seen) {
        let (spec, seen) = probe(label);
        (pipeline.add(spec).await.expect("a worker takes it"), seen)
    }

    /// The first notice of an element for which `pick` has something to say.
    pub async fn hear<T>(&mut self, of: ElementId, pick: impl Fn(&What) -> Option<T>) -> T {
        for at in 0..self.heard.len() {
            if self.heard[at].element == of
                && let Some(found) = pick(&self.heard[at].what)
            {
                self.heard.remove(at);
                return found;
            }
        }
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
            let notice = heard.expect("it comes in time").expect("the workers live");
            if notice.element == of
                && let Some(found) = pick(&notice.what)
            {
                return found;
            }
            self.heard.push_back(notice);
        }
    }

    pub async fn hear_event<T>(&mut self, of: &WebRtcEndpoint, pick: impl Fn(&WebRtcEvent) -> Option<T>) -> T {
        let inner = |what: &What| match what {
            What::Other(other) => other.downcast_ref::<WebRtcEvent>().and_then(&pick),
            _ => None,
        };
        self.hear(of.element().id(), inner).await
    }

    /// Forgets what it has heard so far.
    pub fn forget(&mut self) {
        self.heard.clear();
    }

    /// What an endpoint offers until it says that there is no more: with the m-lines, as told.
    pub async fn gather(&mut self, endpoint: &WebRtcEndpoint) -> Vec<(sdp::Candidate, usize)> {
        endpoint.gather_candidates().await.expect("it gathers");
        let mut candidates = Vec::new();
        loop {
            let next = self.hear_event(endpoint, |event| match event {
                WebRtcEvent::CandidateFound { candidate, index, .. } => Some(Some((candidate.clone(), *index))),
                WebRtcEvent::GatheringDone => Some(None),
                _ => None,
            });
            let Some((candidate, index)) = next.await else { return candidates };
            candidates.push((candidate.parse().expect("our own candidates can be read"), index));
        }
    }

    pub async fn connected(&mut self, endpoint: &WebRtcEndpoint) {
        let connected = |event: &WebRtcEvent| matches!(event, WebRtcEvent::Connection { connected: true });
        self.hear_event(endpoint, |event| connected(event).then_some(())).await;
    }

    pub async fn video_arrives(&mut self, at: &Element) {
        let starts =
            |what: &What| matches!(what, What::FlowIn { kind: MediaKind::Video, flowing: true, .. }).then_some(());
        self.hear(at.id(), starts).await;
        // Commands are taken in turn: when this one is answered, the packet has been handed in.
        at.report().await.expect("alive");
    }
}

/// With the loopback interface alone.
pub fn on_loopback() -> EndpointOptions {
    EndpointOptions { network_interfaces: vec!["lo".into()], ..EndpointOptions::default() }
}

/// A key frame or another of VP8 in one packet.
pub fn vp8(sequence: u64, key: bool) -> Packet {
    let payload = Bytes::from(vec![0x10, u8::from(!key), 0xaa, sequence as u8]);
    let rtp = Rtp { ssrc: 7, sequence, timestamp: sequence as u32 * 3000, marker: true, payload };
    Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), MediaTime::ZERO).key(key)
}

/// The numbers inside the pictures that came out, and which of them are key frames.
pub fn pictures(seen: &Seen) -> Vec<(u8, bool)> {
    let number = |packet: &Packet| match &packet.body {
        Body::Rtp(rtp) => (rtp.payload[3], packet.key),
        _ => panic!("only RTP was sent"),
    };
    seen.packets().iter().filter(|packet| packet.kind() == MediaKind::Video).map(number).collect()
}
