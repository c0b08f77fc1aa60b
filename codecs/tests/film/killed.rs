//! Recorders whose process is killed at random moments, while they record in real time.
//!
//! The test starts itself once more for each: that child plays two clips into two recorders and says what it has delivered. Whatever
//! the parent has heard of by the time that it kills the child must be in the files, but for the last second.

use crate::make::{clip, in_order, tracks};
use crate::{Room, assert_decodes, open, read_all};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use rivero_codecs::film::{Format, Reader, Target, Writer, WriterOptions};
use rivero_codecs::recorder::{Gaps, OpenTarget, Profile, RecorderCommand, recorder, take_what_fits};
use rivero_engine::graph::Selection;
use rivero_engine::testing::{Bench, Tell, probe};
use rivero_engine::time::SystemClock;
use rivero_engine::{Body, Caps, Clock, Codec, Coded, Element, MediaKind, MediaTime, Packet};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const CHILD: &str = "RIVERO_TEST_RECORDS_IN";
const MOMENTS: usize = 50;
/// Children at the same time.
const AT_ONCE: usize = 25;
/// Seconds that there are to be recorded.
const LENGTH: f64 = 5.0;

const FILMS: [(&str, Format, Codec, Codec); 2] =
    [("webm", Format::WebM, Codec::Vp8, Codec::Opus), ("mp4", Format::Mp4, Codec::H264, Codec::Aac)];

/// Numbers that are always the same for a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What is played into the recorders, in the order of time: which film, its kind, data, when, and whether it is a key frame.
fn script(folder: &Path) -> Vec<(usize, MediaKind, Bytes, Duration, bool)> {
    let mut script = Vec::new();
    for (film, (name, ..)) in FILMS.iter().enumerate() {
        let mut reader: Reader = open(&folder.join(format!("clip-{name}.mkv"))).unwrap();
        let kinds: Vec<_> = reader.tracks().iter().map(|track| track.kind).collect();
        for unit in read_all(&mut reader).unwrap() {
            script.push((film, kinds[unit.track], unit.data, unit.at, unit.key));
        }
    }
    script.sort_by_key(|(_, _, _, at, _)| *at);
    script
}

/// A source, and a recorder of it.
fn stage(bench: &mut Bench, folder: &Path, (name, format, ..): (&str, Format, Codec, Codec)) -> Element {
    let pipeline = bench.pipeline();
    let profile = Profile { format, audio: true, video: true };
    let path: PathBuf = folder.join(format!("{}.{name}", std::process::id()));
    let open: OpenTarget = Arc::new(move || Ok(Target::Path(path.clone()).into()));
    let recorder = bench
        .run(pipeline.add(recorder(name.to_owned(), profile, open, WriterOptions::default(), Gaps::Stay)))
        .unwrap();
    take_what_fits(&recorder, profile);
    let source = bench.run(pipeline.add(probe("source").0)).unwrap();
    bench.run(source.connect(&recorder, &Selection::all())).unwrap();
    bench.run(recorder.tell(RecorderCommand::Record)).unwrap();
    source
}

/// What a child does until it is killed.
#[test]
fn records_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut bench = Bench::new(1);
    let sources = FILMS.map(|film| stage(&mut bench, &folder, film));
    let aac = open(&folder.join("clip-mp4.mkv")).unwrap();
    let config = HEXLOWER.encode(&aac.tracks()[aac.best(MediaKind::Audio).unwrap()].config);
    let caps = |film: usize, kind| match (film, kind) {
        (0, MediaKind::Video) => Caps::video(Codec::Vp8, None).frames(),
        (0, _) => Caps::audio(Codec::Opus, 48_000, 2).frames(),
        (_, MediaKind::Video) => Caps::video(Codec::H264, None).frames(),
        _ => Caps::audio(Codec::Aac, 48_000, 2).with_format(Some(&format!("config={config}"))).frames(),
    };
    let clock = SystemClock::new();
    let mut out = std::io::stdout();
    for (film, kind, data, at, key) in script(&folder) {
        let due = MediaTime::ZERO + at;
        #[allow(clippy::disallowed_methods, reason = "plays in real time")]
        std::thread::sleep(due.since(clock.now()));
        let elapsed = due.since(bench.clock.now());
        bench.advance(elapsed);
        let packet = Packet::new(caps(film, kind), Body::Coded(Arc::new(Coded { data, at: due })), due);
        let packet = packet.key(key || kind == MediaKind::Audio).frame_end(true);
        bench.run(sources[film].tell(Tell::Emit(packet))).unwrap();
        bench.settle();
        writeln!(out, "delivered {film} {} {}", kind.name(), at.as_millis()).unwrap();
        out.flush().unwrap();
    }
    // The parent's turn.
    std::thread::park();
}

type Delivered = HashMap<(usize, String), Duration>;

/// A child that records, and what it says of it.
fn start(folder: &Path) -> (Child, JoinHandle<Delivered>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::records_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // From its first word on it records.
    let first = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("delivered"))).unwrap().unwrap();
    let listener = std::thread::spawn(move || {
        let mut delivered = Delivered::new();
        for line in std::iter::once(Ok(first)).chain(lines) {
            let line = line.unwrap();
            // The test's own words may stand before the first; the last may be torn.
            let Some((_, words)) = line.split_once("delivered ") else { continue };
            let words: Vec<_> = words.split(' ').collect();
            let [film, kind, at] = words[..] else { continue };
            delivered.insert((film.parse().unwrap(), kind.to_owned()), Duration::from_millis(at.parse().unwrap()));
        }
        delivered
    });
    (child, listener)
}

/// Each track's end.
fn ends(path: &Path) -> HashMap<String, Duration> {
    let mut reader = open(path).unwrap();
    let kinds: Vec<_> = reader.tracks().iter().map(|track| track.kind.name().to_owned()).collect();
    let mut ends = HashMap::new();
    for unit in read_all(&mut reader).unwrap() {
        let end = ends.entry(kinds[unit.track].clone()).or_default();
        *end = (unit.at + unit.duration).max(*end);
    }
    ends
}

/// A child that was killed.
struct Killed {
    id: u32,
    moment: Duration,
    delivered: Delivered,
}

fn kill_after(moment: Duration, folder: &Path) -> Killed {
    let (mut child, listener) = start(folder);
    #[allow(clippy::disallowed_methods, reason = "a moment of the real time in which the child records")]
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    Killed { id: child.id(), moment, delivered: listener.join().unwrap() }
}

/// What the children play.
fn make_clips(room: &Room) {
    for (name, _, video, audio) in FILMS {
        let clips = [clip(video, LENGTH), clip(audio, LENGTH)];
        let path = room.path(&format!("clip-{name}.mkv"));
        let mut writer =
            Writer::create(Target::Path(path), Format::Matroska, tracks(&clips), WriterOptions::default()).unwrap();
        for (track, frame) in in_order(&clips) {
            writer.write(track, frame.data.clone(), frame.at, frame.key).unwrap();
        }
        writer.finish().unwrap();
    }
}

/// How much is lost of each recording; none of one that had just begun, which need not be there.
fn losses(room: &Room, killed: &Killed) -> Vec<Duration> {
    let mut losses = Vec::new();
    for (film, (name, ..)) in FILMS.iter().enumerate() {
        let delivered = |kind: &str| killed.delivered.get(&(film, kind.to_owned())).copied().unwrap_or_default();
        let (sound, pictures) = (delivered("AUDIO"), delivered("VIDEO"));
        if sound.max(pictures) < Duration::from_secs(1) {
            continue;
        }
        let path = room.path(&format!("{}.{name}", killed.id));
        assert_decodes(&path);
        let ends = ends(&path);
        for (kind, delivered) in [("AUDIO", sound), ("VIDEO", pictures)] {
            let end = ends.get(kind).copied().unwrap_or_default();
            let lost = delivered.saturating_sub(end);
            let moment = killed.moment;
            assert!(
                lost <= Duration::from_secs(1),
                "{name}, killed after {moment:?}: {kind} ends at {end:?} of {delivered:?}"
            );
            losses.push(lost);
        }
    }
    losses
}

#[test]
fn whatever_was_delivered_up_to_a_second_before_a_kill_plays() {
    let seed = std::env::var("RIVERO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    println!("RIVERO_SEED={seed}");
    let mut dice = Dice(seed);
    let room = Room::new("killed");
    make_clips(&room);
    let mut lost = Vec::new();
    for _ in 0..MOMENTS / AT_ONCE {
        let batch: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (moment, folder) = (Duration::from_millis(300 + dice.below(4_500)), room.path(""));
                std::thread::spawn(move || kill_after(moment, &folder))
            })
            .collect();
        for killed in batch {
            lost.extend(losses(&room, &killed.join().unwrap()));
        }
    }
    println!("{} tracks, at most {:?} lost", lost.len(), lost.iter().max());
    // Two recordings with two tracks each; some are killed within their first second.
    assert!(lost.len() >= MOMENTS * 3, "most children were killed while they recorded: {} tracks", lost.len());
}
