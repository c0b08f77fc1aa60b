//! A browser whose pictures are made longer before they are sent than its sound: its reports say so, and what enters the graph does.

use crate::connection::{Connection, VP8};
use crate::{MS, SECOND, answer, link};
use rivero_engine::graph::Selection;
use rivero_engine::testing::probe;
use rivero_engine::time::ManualClock;
use rivero_engine::{MediaKind, MediaTime};
use rivero_transport::net::OnWire;
use rivero_transport::rtcp::{self, NtpTime, SenderInfo};
use rivero_transport::srtp::Sealer;
use rivero_transport::testing::{Peer, Simulation};
use rivero_transport::webrtc::WebRtcConfig;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const OPUS: u8 = 111;
/// What a camera takes.
const CAMERA: Duration = Duration::from_millis(80);
/// A packet of each stream.
const TICK: Duration = Duration::from_millis(20);

/// One line's stream.
struct Stream {
    ssrc: u32,
    payload_type: u8,
    /// Hz
    rate: u64,
    /// From being made to being sent.
    takes: Duration,
    next_report: MediaTime,
    /// Between two reports, as browsers do.
    every: Duration,
}

impl Stream {
    fn packet(&self, sequence: u16, now: MediaTime) -> Vec<u8> {
        let mut bytes = vec![0x80, self.payload_type | 0x80];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp(now).to_be_bytes());
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(&[0x10, 0, 1, 2, 3]);
        bytes
    }

    /// Of what is sent now.
    fn timestamp(&self, now: MediaTime) -> u32 {
        let made = now.since(MediaTime::ZERO).saturating_sub(self.takes);
        (made.as_nanos() as u64 * self.rate / 1_000_000_000) as u32 ^ 0x8000_0000
    }

    /// The report of what is made now, by a clock that was never set.
    fn report(&self, now: MediaTime) -> Vec<u8> {
        let made_now = now + self.takes;
        let ntp = NtpTime((100 << 32) + ((u128::from(now.as_nanos()) << 32) / 1_000_000_000) as u64);
        let info = SenderInfo { ntp, rtp_timestamp: self.timestamp(made_now), ..SenderInfo::default() };
        let mut bytes = Vec::new();
        rtcp::write_sender_report(&mut bytes, self.ssrc, &info, "peer");
        bytes
    }
}

struct Browser {
    connection: Connection,
    server: SocketAddr,
    sealer: Option<Sealer>,
    streams: [Stream; 2],
    sequence: u16,
    next: MediaTime,
}

impl Browser {
    fn new(clock: &Arc<ManualClock>, server: SocketAddr) -> Self {
        let stream = |ssrc, payload_type, rate, takes, every| {
            let next_report = MediaTime::ZERO;
            Stream { ssrc, payload_type, rate, takes, next_report, every }
        };
        Browser {
            connection: Connection::new(clock, SocketAddr::from(([10, 0, 0, 1], 5001))),
            server,
            sealer: None,
            streams: [stream(1, OPUS, 48_000, Duration::ZERO, 5 * SECOND), stream(2, VP8, 90_000, CAMERA, SECOND)],
            sequence: 0,
            next: MediaTime::ZERO,
        }
    }

    /// With a line of sound beside that of pictures.
    fn offer(&self) -> String {
        let offer = self.connection.offer("sendonly", None);
        let at = offer.find("m=video").expect("a line of video");
        let kept = |line: &&str| !line.contains(&VP8.to_string()) && !line.starts_with("m=");
        let common: String = offer[at..].lines().filter(kept).map(|line| format!("{line}\r\n")).collect();
        let sound = format!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}\r\n{common}a=rtpmap:{OPUS} opus/48000/2\r\n");
        format!("{}{sound}", offer.replace("BUNDLE 0", "BUNDLE 0 1")).replace(&sound, &sound.replace("mid:0", "mid:1"))
    }

    fn start(&mut self, now: MediaTime) {
        self.sealer = Some(self.connection.keys().0);
        self.next = now;
    }
}

impl Peer for Browser {
    fn address(&self) -> SocketAddr {
        self.connection.address
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        if !matches!(datagram.bytes[..], [128..=191, ..]) {
            self.connection.receive(now, datagram, out);
        }
    }

    fn due(&self) -> MediaTime {
        self.sealer.as_ref().map_or(self.connection.due, |_| self.next.min(self.connection.due))
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        if self.connection.due <= now {
            self.connection.wake(now, out);
        }
        let Some(sealer) = self.sealer.as_mut().filter(|_| self.next <= now) else { return };
        let (from, to) = (self.connection.address, self.server);
        for stream in &mut self.streams {
            let mut bytes = stream.packet(self.sequence, now);
            sealer.seal_rtp(&mut bytes, 0, 12, 0);
            out.push(OnWire { from, to, bytes });
            if stream.next_report <= now {
                stream.next_report = now + stream.every;
                let mut bytes = stream.report(now);
                sealer.seal_rtcp(&mut bytes, 0);
                out.push(OnWire { from, to, bytes });
            }
        }
        self.sequence += 1;
        self.next = now + TICK;
    }
}

#[test]
fn the_sound_of_a_browser_says_how_much_earlier_it_comes_than_the_pictures() {
    let mut simulation = Simulation::new();
    let pipeline = simulation.engine.pipeline("together");
    let config = Arc::new(WebRtcConfig {
        certificate: simulation.certificate.clone(),
        audio_codecs: vec!["opus/48000/2".parse().expect("a codec")],
        video_codecs: vec!["VP8/90000".parse().expect("a codec")],
        audio_lines: 1,
        video_lines: 1,
        modern: true,
    });
    let browser = Rc::new(RefCell::new(Browser::new(&simulation.clock.clone(), simulation.server())));
    let offer = browser.borrow().offer();
    let (endpoint, answer) = answer(&mut simulation, &pipeline, &config, &offer);
    let server = simulation.server();
    browser.borrow_mut().connection.join(&answer, server);
    let (spec, seen) = probe("sink");
    let sink = simulation.run(pipeline.add(spec)).expect("a worker takes it");
    simulation.run(endpoint.element().connect(&sink, &Selection::all())).expect("one pipeline");
    // A network in which every other packet is late.
    simulation.place(browser.clone(), link().jittering(30 * MS), 7);
    for _ in 0..100 {
        simulation.advance(50 * MS);
        if browser.borrow().connection.connected {
            break;
        }
    }
    browser.borrow_mut().start(simulation.now());
    let mut skews = |by: Duration| {
        simulation.advance(by);
        let mut skews = [0; 2];
        seen.packets().iter().for_each(|packet| skews[usize::from(packet.kind() == MediaKind::Video)] = packet.skew);
        skews
    };
    assert_eq!(skews(SECOND), [0, 0], "it has only begun");
    let [sound, pictures] = skews(10 * SECOND);
    assert!(sound.abs_diff(80) <= 5 && pictures == 0, "{sound} and {pictures} ms");
    browser.borrow_mut().streams[1].takes = Duration::ZERO;
    let [sound, pictures] = skews(20 * SECOND);
    assert!(sound <= 5 && pictures <= 5, "{sound} and {pictures} ms");
    simulation.run(pipeline.release());
}
