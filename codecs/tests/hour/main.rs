//! An hour of a source whose clocks are wrong by 200 ppm, each its own way: it is recorded and played, and in every second of it sound and
//! pictures are together, on the pipeline's clock. Nobody waits for that hour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../cadence/cinema.rs"]
#[allow(dead_code, reason = "here nobody pauses or seeks")]
mod cinema;
#[path = "../cadence/measure.rs"]
#[allow(dead_code, reason = "here films are too long to be kept")]
mod measure;
#[path = "../chain/network.rs"]
#[allow(dead_code, reason = "here nothing is lost")]
mod network;
#[path = "../signal/mod.rs"]
mod signal;
#[path = "../chain/streams.rs"]
#[allow(dead_code, clippy::unwrap_or_default, reason = "it makes packets here, and no more")]
mod streams;
#[path = "../cadence/studio.rs"]
#[allow(dead_code, reason = "here what is sent is made beforehand")]
mod studio;
mod tapes;

use bytes::Bytes;
use cinema::Cinema;
use measure::Watch;
use rivero_codecs::film::Format;
use rivero_codecs::payload::{Depayload, Loss, Piece, depayload};
use rivero_codecs::recorder::Gaps;
use rivero_engine::graph::Selection;
use rivero_engine::{Body, Caps, Codec, Coded, MediaKind, MediaTime, Packet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use studio::{Studio, described};
use tapes::{BEGIN, Tapes};

/// In seconds.
const HOUR: u64 = 3600;
/// Of a film so much is played at a time.
const LOOK: Duration = Duration::from_millis(100);
/// What may lie between a flash and its beep.
const MOST: Duration = Duration::from_millis(20);
/// How far a flash may be from where it belongs, as of the first after so many seconds: until then nobody can know how long the path is.
const ASTRAY: Duration = Duration::from_millis(10);
const SETTLED: usize = 3;
/// By so many bytes memory may grow in three quarters of a film; what is in the film is more.
const GROWTH: u64 = 24 << 20;
/// What a container's times are rounded to, and what the sender's clock is followed by.
const UNEVEN: Duration = Duration::from_micros(2100);

struct Film {
    format: Format,
    video: Codec,
    audio: Codec,
    /// By how much the microphone's clock is fast, and the camera's.
    ppm: (i64, i64),
    /// Seconds.
    long: u64,
    /// What leaves the player goes out in packets, as to a browser.
    wire: bool,
}

/// Puts frames together that were packed for the wire; their times are those of their stamps.
struct Wire([(Caps, Box<dyn Depayload>); 2]);

impl Wire {
    fn new(takes: &[Caps; 2]) -> Self {
        Wire(takes.clone().map(|caps| (caps.clone(), depayload(&caps).unwrap())))
    }

    fn read(&mut self, packet: &Packet) -> Vec<Packet> {
        // Until it is known what the film holds it comes as it is.
        let Body::Rtp(rtp) = &packet.body else { return Vec::new() };
        let (caps, format) = &mut self.0[usize::from(packet.kind() == MediaKind::Video)];
        let mut frames = Vec::new();
        let piece =
            Piece { payload: &rtp.payload, marker: rtp.marker, timestamp: rtp.timestamp, sequence: rtp.sequence };
        assert_eq!(format.push(piece, &mut frames), Loss::Nothing);
        let coded = |data: Bytes, timestamp: u32| {
            let at = MediaTime::from_nanos(u64::from(timestamp) * 1_000_000_000 / u64::from(caps.clock_rate()));
            Packet::new(caps.frames(), Body::Coded(Arc::new(Coded { data, at })), at)
        };
        frames.into_iter().map(|frame| coded(frame.data, frame.timestamp)).collect()
    }
}

/// How sound follows on itself.
#[derive(Default)]
struct Sounds {
    count: u64,
    last: Option<MediaTime>,
    least: Option<Duration>,
    most: Option<Duration>,
}

impl Sounds {
    fn note(&mut self, at: MediaTime) {
        if let Some(last) = self.last.replace(at) {
            let step = at.since(last);
            self.least = Some(self.least.map_or(step, |least| least.min(step)));
            self.most = self.most.max(Some(step));
        }
        self.count += 1;
    }
}

/// Bytes of memory that this process has.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Returns the marks, and how long it is.
fn record(film: &Film, path: PathBuf) -> (Tapes, Duration) {
    let mut studio = Studio::new(film.format, path, Gaps::Stay);
    let mut tapes = Tapes::new(film.video, film.audio, film.ppm, 7);
    let (source, _) = studio.mouth();
    studio.connect_to(&source, &Selection::all());
    studio.record();
    let mut before = None;
    for step in 1..=film.long * 2 {
        let until = BEGIN + Duration::from_millis(step * 500);
        for (at, packet) in tapes.arrivals(until) {
            studio.send(&source, at, vec![packet]);
        }
        studio.wait_for_disk();
        if step == film.long / 2 {
            before = Some(memory());
        }
    }
    let grown = memory().saturating_sub(before.unwrap());
    let duration = studio.stop().duration;
    println!("{:?}: {duration:?}; memory grew by {} KiB in the last three quarters", film.format, grown >> 10);
    assert!(grown < GROWTH, "{grown} bytes");
    (tapes, duration)
}

fn stays_together(film: &Film) {
    let name = format!("hour-{:?}-{}-{}.film", film.format, film.video.name(), film.audio.name());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (tapes, duration) = record(film, path.clone());
    let takes = film.wire.then(|| [described(Codec::Opus), described(Codec::Vp8)]);
    let mut wire = takes.as_ref().map(Wire::new);
    let (mut watch, mut sounds) = (Watch::default(), Sounds::default());
    let mut step = Duration::ZERO;
    Cinema::open(&path, takes).play(LOOK, &[], |packet| {
        let frames = wire.as_mut().map_or_else(|| vec![packet.clone()], |wire| wire.read(&packet));
        for packet in frames {
            let Body::Coded(frame) = &packet.body else { panic!("{packet:?}") };
            if packet.kind() == MediaKind::Audio {
                sounds.note(frame.at);
                let samples = if packet.caps.codec() == Codec::Aac { 1024 } else { 960 };
                step = Duration::from_nanos(samples * 1_000_000_000 / 48_000);
            }
            watch.note(&packet);
        }
    });
    std::fs::remove_file(&path).unwrap();
    judge(film, &tapes, &watch, &sounds);
    let (least, most) = (sounds.least.unwrap(), sounds.most.unwrap());
    assert!(least + UNEVEN >= step && most <= step + UNEVEN, "sound without a gap: {least:?} to {most:?}");
    let off = duration.as_millis().abs_diff(Duration::from_secs(film.long).as_millis());
    assert!(off < 100, "{duration:?} of {} s", film.long);
}

/// In every second: together, and where they belong.
fn judge(film: &Film, tapes: &Tapes, watch: &Watch, sounds: &Sounds) {
    let (flashes, pairs) = (&watch.flashes, watch.pairs());
    let nanos = |one: MediaTime, other: MediaTime| Duration::from_nanos(one.as_nanos().abs_diff(other.as_nanos()));
    let worst = pairs.iter().map(|(flash, beep)| nanos(*flash, *beep)).max().unwrap();
    let (shown, was) = (flashes[SETTLED], tapes.mark(SETTLED as u64));
    let belongs = |number: usize| shown + tapes.mark(number as u64).since(was);
    let astray = (SETTLED..flashes.len()).map(|number| nanos(flashes[number], belongs(number))).max().unwrap();
    let Film { format, video, audio, ppm, .. } = film;
    println!(
        "{format:?}, {} and {}, {ppm:?} ppm: {} marks, {:.1} ms apart at worst, {:.1} ms from where they belong; {} frames of sound, \
         {:?} to {:?} apart",
        video.name(),
        audio.name(),
        pairs.len(),
        worst.as_secs_f64() * 1000.0,
        astray.as_secs_f64() * 1000.0,
        sounds.count,
        sounds.least.unwrap(),
        sounds.most.unwrap()
    );
    // Each second of the camera, which counts another number of them.
    for seen in [pairs.len(), flashes.len(), watch.beeps.len()] {
        assert!(seen.abs_diff(film.long as usize) <= 1, "{seen} of {}", film.long);
    }
    assert!(worst <= MOST && astray <= ASTRAY, "{worst:?} {astray:?}");
}

#[test]
fn webm_as_it_comes() {
    let (format, video, audio) = (Format::WebM, Codec::Vp8, Codec::Opus);
    stays_together(&Film { format, video, audio, ppm: (200, -200), long: HOUR, wire: true });
}

#[test]
fn mp4_as_it_comes() {
    let (format, video, audio) = (Format::Mp4, Codec::H264, Codec::Aac);
    stays_together(&Film { format, video, audio, ppm: (-200, 200), long: HOUR, wire: false });
}

// To code sound anew takes its time: less than an hour of it.
#[test]
fn webm_coded_anew() {
    let (format, video, audio) = (Format::WebM, Codec::H264, Codec::Pcmu);
    stays_together(&Film { format, video, audio, ppm: (-200, 200), long: HOUR / 2, wire: false });
}

#[test]
fn mp4_coded_anew() {
    let (format, video, audio) = (Format::Mp4, Codec::Vp8, Codec::Opus);
    stays_together(&Film { format, video, audio, ppm: (200, -200), long: HOUR / 4, wire: false });
}
