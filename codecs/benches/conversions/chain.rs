//! Our side: a whole graph in one thread, source, decoder, encoder and sinks, as fast as it goes on a clock that is turned by hand.
//! Runs as a process of its own.

use crate::Outcome;
use crate::clip::{Clip, Conversion, HEIGHT, PICTURES, WIDTH, frames};
use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use rivero_codecs::convert::Converters;
use rivero_codecs::payload::{Frame, Loss, Piece, depayload, is_key, payload};
use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::testing::{Bench, BenchParts};
use rivero_engine::{Body, Caps, Codec, CodingSettings, Element, Input, MediaTime, Node, Outbox, Packet, Rtp, Takes};
use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The first argument of such a process.
pub const PLAY: &str = "play";

/// Bytes of payload in a packet of the clip.
const ROOM: usize = 1120;
/// When the clip begins; before, the chain is made.
const BEGIN: MediaTime = MediaTime::from_millis(1000);

/// This program as the other process: `play CONVERSION CLIP BITRATE SINKS [FILE]`.
pub fn command(clip: &Clip, conversion: Conversion, bitrate: u32, sinks: usize) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PLAY, &conversion.name()]).arg(&clip.path).args([bitrate.to_string(), sinks.to_string()]);
    Ok(command)
}

/// Converts; with a file, writes there what came out and says on standard output how long it was held.
pub fn play(arguments: &[String]) -> Outcome<()> {
    let [name, clip, bitrate, sinks, rest @ ..] = arguments else { return Err("play what?".into()) };
    let conversion = Conversion::named(name).ok_or("no such conversion")?;
    let mut units = packed(conversion, &frames(Path::new(clip))?)?;
    let count = units.len();
    let mut stage = Stage::new(conversion, bitrate.parse()?, sinks.parse()?, &mut units)?;
    let took = stage.play(count, conversion.rate());
    let lasts = stage.sinks.iter().map(|sink| sink.lock().map_or(0, |got| got.len())).collect::<Vec<_>>();
    if lasts.iter().any(|&last| last == 0 || last != lasts[0]) {
        return Err(format!("the sinks got {lasts:?} packets").into());
    }
    if let Some(file) = rest.first() {
        let got = std::mem::take(&mut *stage.sinks[0].lock().map_err(|_| "a sink panicked")?);
        let held = got.iter().map(|got| got.now.since(got.packet.entered)).max().unwrap_or_default();
        let frames = unpacked(conversion, &got)?;
        write(conversion.to(), &frames, Path::new(file))?;
        println!("{} {} {}", count, frames.len(), held.as_secs_f64() * 1e3);
        println!("{}", took.iter().map(|ms| format!("{ms:.3}")).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// What arrives together: the packets of a frame.
type Unit = (MediaTime, Vec<Packet>);

fn time(index: usize, rate: u32) -> MediaTime {
    BEGIN + Duration::from_nanos(index as u64 * 1_000_000_000 / u64::from(rate))
}

fn packed(conversion: Conversion, frames: &[Bytes]) -> Outcome<VecDeque<Unit>> {
    let caps = Conversion::caps(conversion.from());
    let mut writer = payload(&caps).ok_or("no payload format")?;
    let ticks = caps.clock_rate() / conversion.rate();
    let mut sequence = 100;
    let mut units = VecDeque::with_capacity(frames.len());
    let mut parts = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let at = time(index, conversion.rate());
        let key = is_key(conversion.from(), frame);
        writer.split(frame, ROOM, &mut parts)?;
        let last = parts.len().saturating_sub(1);
        let packet = |(part, found): (usize, rivero_codecs::payload::Part)| {
            sequence += 1;
            let timestamp = (index as u32 + 1).wrapping_mul(ticks);
            let rtp = Rtp { ssrc: 1, sequence, timestamp, marker: found.marker, payload: found.payload };
            let packet = Packet::new(caps.clone(), Body::Rtp(Arc::new(rtp)), at);
            packet.key(key && part == 0).frame_end(part == last)
        };
        units.push_back((at, parts.drain(..).enumerate().map(packet).collect()));
    }
    Ok(units)
}

/// The frames of what a sink got.
fn unpacked(conversion: Conversion, got: &[Got]) -> Outcome<Vec<Frame>> {
    let mut reader = depayload(&Conversion::caps(conversion.to())).ok_or("no payload format")?;
    let mut frames = Vec::new();
    for Got { packet, .. } in got {
        let Body::Rtp(rtp) = &packet.body else { return Err("something else than RTP".into()) };
        let piece =
            Piece { payload: &rtp.payload, marker: rtp.marker, timestamp: rtp.timestamp, sequence: rtp.sequence };
        if reader.push(piece, &mut frames) == Loss::Something {
            return Err("a packet is missing in what we made".into());
        }
    }
    Ok(frames)
}

fn write(codec: Codec, frames: &[Frame], file: &Path) -> Outcome<()> {
    let mut bytes = Vec::new();
    if codec == Codec::Vp8 {
        // IVF: a header of 32 bytes, then frames with length and time in twelve.
        bytes.extend(b"DKIF\0\0\x20\0VP80");
        bytes.extend((WIDTH as u16).to_le_bytes().into_iter().chain((HEIGHT as u16).to_le_bytes()));
        for number in [PICTURES, 1, frames.len() as u32, 0] {
            bytes.extend(number.to_le_bytes());
        }
    }
    for (index, frame) in (0u64..).zip(frames) {
        if codec == Codec::Vp8 {
            bytes.extend((frame.data.len() as u32).to_le_bytes());
            bytes.extend(index.to_le_bytes());
        }
        bytes.extend(&frame.data);
    }
    Ok(std::fs::write(file, bytes)?)
}

struct Stage {
    bench: Bench,
    sinks: Vec<Arc<Mutex<Vec<Got>>>>,
}

impl Stage {
    fn new(conversion: Conversion, bitrate: u32, sinks: usize, units: &mut VecDeque<Unit>) -> Outcome<Self> {
        let mut bench = Bench::with(BenchParts { toolbox: Arc::new(Converters), ..BenchParts::default() });
        let pipeline = bench.pipeline();
        let port = PortSpec::new(conversion.from().kind(), DEFAULT);
        // A packet beforehand, of which no frame comes, from which the graph learns what there is to convert.
        let first = units.front().and_then(|(_, packets)| packets.first()).ok_or("an empty clip")?;
        let herald = herald(first);
        let reel = Reel(std::mem::take(units));
        let source = bench.run(pipeline.add(spec("Reel", port, reel)))?;
        source.begin_coding_with(CodingSettings { bitrate, ..CodingSettings::default() });
        let mut seen = Vec::new();
        for _ in 0..sinks {
            let sink = Sink { takes: Conversion::caps(conversion.to()), got: Arc::default() };
            seen.push(sink.got.clone());
            let element: Element = bench.run(pipeline.add(spec("Sink", port, sink)))?;
            bench.run(element.tell(()))?;
            bench.run(source.connect(&element, &Selection::only(port.kind)))?;
        }
        bench.run(source.tell(herald))?;
        bench.settle();
        if !source.is_transcoding(port.kind) {
            return Err("nothing is converted".into());
        }
        Ok(Stage { bench, sinks: seen })
    }

    /// Plays so many frames, and says of each how many milliseconds of processor time it took.
    fn play(&mut self, frames: usize, rate: u32) -> Vec<f64> {
        let now = |bench: &Bench| bench.engine.clock().now();
        (0..frames)
            .map(|index| {
                let began = spent();
                let by = time(index, rate).since(now(&self.bench));
                self.bench.advance(by);
                (spent() - began) * 1e3
            })
            .collect()
    }
}

/// Seconds of processor time of this thread.
fn spent() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    Duration::from(time).as_secs_f64()
}

fn herald(first: &Packet) -> Packet {
    let Body::Rtp(rtp) = &first.body else { return first.clone() };
    let rtp = Rtp { ssrc: 1, sequence: rtp.sequence - 1, timestamp: 0, marker: false, payload: rtp.payload.clone() };
    Packet::new(first.caps.clone(), Body::Rtp(Arc::new(rtp)), MediaTime::ZERO)
}

fn spec(class: &'static str, port: PortSpec, node: impl Node + Send) -> NodeSpec {
    let (inputs, outputs) = (vec![port], vec![port]);
    NodeSpec { class, label: class.to_owned(), inputs, outputs, build: Box::new(move |_| Box::new(node)), worker: None }
}

/// Emits what it is told, then the clip, each frame at its time.
struct Reel(VecDeque<Unit>);

impl Node for Reel {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Command(command) => {
                if let Ok(packet) = command.downcast::<Packet>() {
                    out.media(0, *packet);
                }
            }
            Input::Deadline => {
                while let Some((_, packets)) = self.0.pop_front_if(|(at, _)| *at <= out.now()) {
                    packets.into_iter().for_each(|packet| out.media(0, packet));
                }
            }
            Input::Media { .. } | Input::Feedback { .. } => return,
        }
        out.wake_at(self.0.front().map(|(at, _)| *at));
    }
}

struct Got {
    packet: Packet,
    now: MediaTime,
}

/// Keeps what it gets of what it takes: until the graph knows what is to be converted, a source's packets come as they are.
struct Sink {
    takes: Caps,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Node for Sink {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { packet, .. } if packet.caps == self.takes => {
                self.got.lock().expect("nobody panics with it").push(Got { packet, now: out.now() });
            }
            Input::Command(_) => out.takes(0, Takes::just(self.takes.clone())),
            Input::Media { .. } | Input::Feedback { .. } | Input::Deadline => {}
        }
    }
}
