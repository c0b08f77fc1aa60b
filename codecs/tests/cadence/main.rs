//! Sound and pictures stay together: a source that flashes and beeps each second is recorded and played, as it is coded or converted,
//! through pauses, seeks, other sources in its midst, tracks that come late or end early, and pictures that change their size.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../signal/mod.rs"]
mod signal;
#[path = "../chain/streams.rs"]
#[allow(dead_code, clippy::unwrap_or_default, reason = "it makes packets here, and no more")]
mod streams;

mod cinema;
mod measure;
mod studio;

use cinema::{Cinema, Order};
use measure::Watch;
use rivero_codecs::film::{Format, Summary};
use rivero_codecs::recorder::Gaps;
use rivero_engine::{Body, Codec, MediaKind, MediaTime, Packet};
use std::path::PathBuf;
use std::time::Duration;
use studio::{BEGIN, Jump, Studio};

/// What may lie between a flash and its beep, in milliseconds.
const MOST: f64 = 20.0;

/// How often a visitor looks where the film is.
const LOOK: Duration = Duration::from_millis(20);

/// How the tracks come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Late {
    Neither,
    Audio,
    Video,
}

/// What is recorded, and how it comes.
#[derive(Clone, Copy)]
struct Story {
    format: Format,
    video: Codec,
    audio: Codec,
    late: Late,
}

/// Places in the recording at which it flashes and beeps, in milliseconds.
struct Recorded {
    path: PathBuf,
    marks: Vec<u64>,
    /// The first of both tracks.
    first: u64,
    summary: Summary,
    studio: Studio,
}

impl Story {
    fn path(self, what: &str) -> PathBuf {
        let Story { format, video, audio, late } = self;
        let name = format!("cadence-{what}-{format:?}-{}-{}-{late:?}.film", video.name(), audio.name());
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    /// Another source, of other codecs: of its tracks one at least goes into no file as it is.
    fn other(self) -> (Codec, Codec) {
        let video = if self.video == Codec::Vp8 { Codec::H264 } else { Codec::Vp8 };
        (video, if self.audio == Codec::Pcmu { Codec::Opus } else { Codec::Pcmu })
    }

    /// 15 s from 1 s on: a pause from 5.3 s to 7.44 s, another stream at 8.7 s and other time stamps at 9.7 s though nothing says so,
    /// another source at 11.1 s, whose numbers jump at 13.1 s. What is late comes at 4.4 s.
    fn record(self, name: &str) -> Recorded {
        let path = self.path(name);
        let mut studio = Studio::new(self.format, path.clone(), Gaps::Stay);
        let first = studio.source(self.video, self.audio);
        studio.connect(
            first,
            match self.late {
                Late::Neither => None,
                Late::Audio => Some(MediaKind::Video),
                Late::Video => Some(MediaKind::Audio),
            },
        );
        studio.record();
        studio.run_until(4360);
        studio.key_frame(first);
        studio.run_until(4400);
        match self.late {
            Late::Neither => {}
            Late::Audio => studio.connect(first, Some(MediaKind::Audio)),
            Late::Video => studio.connect(first, Some(MediaKind::Video)),
        }
        studio.run_until(5300);
        studio.pause();
        studio.run_until(7440);
        studio.record();
        studio.run_until(8700);
        studio.jump(first, Jump::Stream);
        studio.run_until(9700);
        studio.jump(first, Jump::Stamps);
        studio.run_until(11_100);
        let (video, audio) = self.other();
        let second = studio.source(video, audio);
        studio.connect(second, None);
        studio.run_until(13_100);
        studio.jump(second, Jump::Numbers);
        studio.run_until(16_000);
        let summary = studio.stop();
        let first = if self.late == Late::Neither { 1520 } else { 4520 };
        let before = (1520..5300).step_by(1000).map(|at| at - BEGIN);
        // The pause is cut out.
        let after = (7520..16_000).step_by(1000).map(|at| at - BEGIN - (7440 - 5300));
        Recorded { path, marks: before.chain(after).collect(), first: first - BEGIN, summary, studio }
    }
}

/// Records it, and plays it with a pause and two seeks: every mark is there, at its time, seen and heard together.
fn keeps_time(story: Story) {
    let Recorded { path, marks, first, summary, studio } = story.record("story");
    let seconds = summary.duration.as_secs_f64();
    assert!((12.75..12.96).contains(&seconds), "15 s without the pause: {summary:?}");
    let ms = Duration::from_millis;
    let orders = [(3100, Order::Pause(ms(730))), (6200, Order::Seek(ms(2300))), (8200, Order::Seek(ms(10_150)))];
    let mut played: Vec<Packet> = Vec::new();
    Cinema::open(&path, None).play(LOOK, &orders.map(|(at, order)| (ms(at), order)), |packet| played.push(packet));
    std::fs::remove_file(&path).unwrap();
    let watch = Watch::all(&played);
    let together = watch.pairs();
    let label = format!("{:?}, {} and {}, late {:?}", story.format, story.video.name(), story.audio.name(), story.late);
    println!("{label}: {} marks, {:.1} ms apart at worst", together.len(), watch.worst());
    assert!(watch.worst().abs() <= MOST, "{label}: {together:?}");
    // As they are shown, with the time between them.
    let parts = [(0, 6200), (2300, 8200), (10_150, u64::MAX)].into_iter();
    let all = parts.flat_map(|(from, until)| marks.iter().copied().filter(move |at| (from..until).contains(at)));
    let (alone, shown): (Vec<u64>, Vec<u64>) = all.partition(|at| *at < first);
    assert_eq!(together.len(), shown.len(), "{label}: {shown:?}: flashes {:?}, beeps {:?}", watch.flashes, watch.beeps);
    let once = marks.iter().filter(|at| (first..6200).contains(*at)).count();
    // What is not late is there from the beginning, and where it is sought.
    let (seen, heard) = match story.late {
        Late::Neither => (0, 0),
        Late::Audio => (alone.len(), 0),
        Late::Video => (0, alone.len()),
    };
    let counts = (watch.flashes.len() - together.len(), watch.beeps.len() - together.len());
    assert_eq!(counts, (seen, heard), "{label}: flashes {:?}, beeps {:?}", watch.flashes, watch.beeps);
    for (n, pair) in together.windows(2).enumerate() {
        let passed = pair[1].0.since(pair[0].0).as_millis() as i64;
        let (from, to) = (shown[n] as i64, shown[n + 1] as i64);
        let expected = match (from, to) {
            _ if to < from => 6200 - from + to - 2300,
            _ if (from..to).contains(&8200) => 8200 - from + to - 10_150,
            _ if n < once && (from..to).contains(&3100) => to - from + 730,
            _ => to - from,
        };
        // The seam of a pause, and a look each 20 ms.
        assert!(
            (passed - expected).abs() <= 100,
            "{label}: {passed} ms from {from} to {to} of {shown:?}: {together:?}"
        );
    }
    as_it_came(story, &studio, &played, &label);
}

/// What the file takes is in it as it was sent.
fn as_it_came(story: Story, studio: &Studio, played: &[Packet], label: &str) {
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let coded = |packet: &&Packet| matches!(packet.body, Body::Coded(_));
        let of = || played.iter().filter(move |packet| packet.kind() == kind).filter(coded);
        let (codec, late) = match kind {
            MediaKind::Video => (story.video, Late::Video),
            _ => (story.audio, Late::Audio),
        };
        // What a track holds that has not come is guessed.
        if story.late != late && codings(story.format).iter().all(|[_, anew]| *anew != codec) {
            assert!(of().all(|packet| packet.caps.codec() == codec), "{label}");
            let (as_sent, all) = (studio.count_as_sent(0, of()), of().count());
            assert!(as_sent * 2 > all, "{label}: {as_sent} of {all} {kind:?}");
        } else {
            assert!(of().all(|packet| story.format.takes(packet.caps.codec())), "{label}");
            assert!(story.late == late || of().all(|packet| packet.caps.codec() != codec), "{label}");
        }
    }
}

/// Codecs that are copied, and such as are coded anew.
fn codings(format: Format) -> [[Codec; 2]; 2] {
    match format {
        Format::WebM => [[Codec::Vp8, Codec::H264], [Codec::Opus, Codec::Pcmu]],
        Format::Matroska => [[Codec::H264, Codec::Mjpeg], [Codec::Opus, Codec::Pcmu]],
        _ => [[Codec::H264, Codec::Vp8], [Codec::Aac, Codec::Opus]],
    }
}

fn every_coding(format: Format, late: Late) {
    let [videos, audios] = codings(format);
    for video in videos {
        for audio in audios {
            keeps_time(Story { format, video, audio, late });
        }
    }
}

#[test]
fn webm() {
    every_coding(Format::WebM, Late::Neither);
}

#[test]
fn webm_whose_sound_comes_late() {
    every_coding(Format::WebM, Late::Audio);
}

#[test]
fn webm_whose_pictures_come_late() {
    every_coding(Format::WebM, Late::Video);
}

#[test]
fn matroska() {
    every_coding(Format::Matroska, Late::Neither);
}

#[test]
fn matroska_whose_sound_comes_late() {
    every_coding(Format::Matroska, Late::Audio);
}

#[test]
fn matroska_whose_pictures_come_late() {
    every_coding(Format::Matroska, Late::Video);
}

#[test]
fn mp4() {
    every_coding(Format::Mp4, Late::Neither);
}

#[test]
fn mp4_whose_sound_comes_late() {
    every_coding(Format::Mp4, Late::Audio);
}

#[test]
fn mp4_whose_pictures_come_late() {
    every_coding(Format::Mp4, Late::Video);
}

#[test]
fn flv() {
    every_coding(Format::Flv, Late::Neither);
}

#[test]
fn flv_whose_sound_comes_late() {
    every_coding(Format::Flv, Late::Audio);
}

#[test]
fn flv_whose_pictures_come_late() {
    every_coding(Format::Flv, Late::Video);
}

#[test]
fn what_else_is_copied() {
    use Codec::*;
    for (format, video, audio) in [
        (Format::WebM, Vp9, Opus),
        (Format::WebM, Av1, Opus),
        (Format::Matroska, Vp8, Opus),
        (Format::Matroska, H265, Aac),
        (Format::Mp4, H265, Aac),
    ] {
        keeps_time(Story { format, video, audio, late: Late::Neither });
    }
}

#[test]
fn the_beginning_is_sought_where_pictures_come_late() {
    for format in [Format::WebM, Format::Matroska, Format::Mp4, Format::Flv] {
        let story = Story { late: Late::Video, ..simple(format)[0] };
        let Recorded { path, marks, first, .. } = story.record("beginning");
        let (at, mut played) = (Duration::from_millis(6200), Vec::new());
        Cinema::open(&path, None).play(LOOK, &[(at, Order::Seek(Duration::ZERO))], |packet| played.push(packet));
        std::fs::remove_file(&path).unwrap();
        let watch = Watch::all(&played);
        // Up to the seek, and then all.
        let shown =
            |from: u64| [6200, u64::MAX].map(|until| marks.iter().filter(|at| (from..until).contains(*at)).count());
        let (flashes, beeps) = (shown(first).iter().sum(), shown(0).iter().sum());
        assert_eq!((watch.flashes.len(), watch.beeps.len()), (flashes, beeps), "{format:?}: {:?}", watch.beeps);
        assert!(watch.worst().abs() <= MOST, "{format:?}: {:?}", watch.pairs());
    }
}

/// Nine seconds from 1 s on, of which something happens at 5.3 s.
fn simply(name: &str, story: Story, gaps: Gaps, change: impl FnOnce(&mut Studio, usize)) -> (Summary, Vec<Packet>) {
    let path = story.path(name);
    let mut studio = Studio::new(story.format, path.clone(), gaps);
    let source = studio.source(story.video, story.audio);
    studio.connect(source, None);
    studio.record();
    studio.run_until(5300);
    change(&mut studio, source);
    studio.run_until(10_000);
    let summary = studio.stop();
    let mut played = Vec::new();
    Cinema::open(&path, None).play(LOOK, &[], |packet| played.push(packet));
    std::fs::remove_file(&path).unwrap();
    (summary, played)
}

/// As it comes, and coded anew.
fn simple(format: Format) -> [Story; 2] {
    let [videos, audios] = codings(format);
    [0, 1].map(|n| Story { format, video: videos[n], audio: audios[n], late: Late::Neither })
}

#[test]
fn sound_that_ends_early() {
    for format in [Format::WebM, Format::Matroska, Format::Mp4, Format::Flv] {
        let (summary, played) = simply("silence", simple(format)[0], Gaps::Stay, Studio::mute);
        let watch = Watch::all(&played);
        println!(
            "{format:?}: {} flashes, {} beeps, {:.1} ms apart at worst",
            watch.flashes.len(),
            watch.beeps.len(),
            watch.worst()
        );
        assert!((8.9..9.1).contains(&summary.duration.as_secs_f64()), "{format:?}: {summary:?}");
        assert_eq!((watch.flashes.len(), watch.beeps.len()), (9, 4), "{format:?}");
        assert!(watch.worst().abs() <= MOST && watch.pairs().len() == 4, "{format:?}: {:?}", watch.pairs());
        assert!(each_second(&watch.flashes), "{format:?}: {:?}", watch.flashes);
    }
}

#[test]
fn pictures_that_change_their_size() {
    for format in [Format::WebM, Format::Matroska, Format::Mp4, Format::Flv] {
        let (_, played) = simply("size", simple(format)[0], Gaps::Stay, |studio, source| studio.resize(source, 96, 80));
        let watch = Watch::all(&played);
        println!("{format:?}: {} marks, {:.1} ms apart at worst", watch.pairs().len(), watch.worst());
        assert!(watch.worst().abs() <= MOST && watch.pairs().len() == 9, "{format:?}: {:?}", watch.pairs());
        assert!(each_second(&watch.flashes), "{format:?}: {:?}", watch.flashes);
    }
}

/// For two seconds nothing arrives of the one or the other, or only nothing of the sound.
#[test]
fn gaps_stay_or_are_closed() {
    for format in [Format::WebM, Format::Matroska, Format::Mp4, Format::Flv] {
        for (story, gaps) in simple(format).into_iter().flat_map(|story| [(story, Gaps::Stay), (story, Gaps::Close)]) {
            let (summary, played) = simply("gaps", story, gaps, |studio, source| {
                studio.cut_off(source, true);
                studio.run_until(7300);
                studio.cut_off(source, false);
            });
            let watch = Watch::all(&played);
            let (codings, pairs) = (format!("{} and {}", story.video.name(), story.audio.name()), watch.pairs());
            println!("{format:?}, {codings}, {gaps:?}: {:?}, {:.1} ms apart at worst", summary.duration, watch.worst());
            assert!(watch.worst().abs() <= MOST && pairs.len() == 7, "{format:?}, {codings}, {gaps:?}: {pairs:?}");
            let passed = pairs[4].0.since(pairs[3].0).as_millis();
            let (gap, whole) = if gaps == Gaps::Stay { (3000, 9000) } else { (1000, 7000) };
            assert!(passed.abs_diff(gap) <= 60, "{format:?}, {codings}, {gaps:?}: {pairs:?}");
            assert!(
                summary.duration.as_millis().abs_diff(whole) <= 100,
                "{format:?}, {codings}, {gaps:?}: {summary:?}"
            );
        }
    }
}

/// Pictures take 80 ms longer than their sound. Whoever is told so records them together: from the beginning, or from where it is told.
#[test]
fn pictures_that_take_longer_than_their_sound() {
    for format in [Format::WebM, Format::Matroska, Format::Mp4, Format::Flv] {
        for story in simple(format) {
            for told in [None, Some(BEGIN), Some(3000)] {
                let path = story.path(&format!("detour-{told:?}"));
                let mut studio = Studio::new(format, path.clone(), Gaps::Stay);
                let source = studio.source(story.video, story.audio);
                studio.detour(source, 80);
                studio.connect(source, None);
                studio.record();
                studio.run_until(told.unwrap_or(BEGIN));
                studio.skew(source, if told.is_some() { 80 } else { 0 });
                studio.run_until(8000);
                studio.stop();
                let mut watch = Watch::default();
                Cinema::open(&path, None).play(LOOK, &[], |packet| watch.note(&packet));
                std::fs::remove_file(&path).unwrap();
                let codings = format!("{format:?}, {} and {}, told {told:?}", story.video.name(), story.audio.name());
                assert_eq!(watch.pairs().len(), 7, "{codings}");
                if told == Some(3000) {
                    // From before it was told.
                    watch.flashes.drain(..2);
                }
                println!("{codings}: {:.1} ms apart at worst", watch.worst());
                match told {
                    None => assert!((watch.worst() + 80.0).abs() <= MOST, "{codings}: {:?}", watch.pairs()),
                    Some(_) => assert!(watch.worst().abs() <= MOST, "{codings}: {:?}", watch.pairs()),
                }
            }
        }
    }
}

fn each_second(marks: &[MediaTime]) -> bool {
    marks.windows(2).all(|pair| pair[1].since(pair[0]).as_millis().abs_diff(1000) <= 40)
}
