//! What had been handed to the system when the server died plays up to a second before that.

use crate::make::{Clip, clip, in_order, tracks};
use crate::{Room, assert_decodes, open};
use rivero_codecs::film::{Format, Medium, Target, Writer, WriterOptions};
use rivero_engine::{Codec, MediaTime};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file in memory that remembers how it came to be.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Tape>>);

#[derive(Default)]
struct Tape {
    content: Vec<u8>,
    at: usize,
    /// Where each write went and what it wrote.
    writes: Vec<(usize, Vec<u8>)>,
    /// How many writes there were at each sync.
    syncs: Vec<usize>,
}

fn put(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    let length = content.len().max(at + data.len());
    content.resize(length, 0);
    content[at..at + data.len()].copy_from_slice(data);
}

impl Write for Disk {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut tape = self.0.lock().unwrap();
        let at = tape.at;
        put(&mut tape.content, at, data);
        tape.writes.push((at, data.to_owned()));
        tape.at += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut tape = self.0.lock().unwrap();
        let to = match to {
            SeekFrom::Start(to) => to as i64,
            SeekFrom::Current(by) => tape.at as i64 + by,
            SeekFrom::End(by) => tape.content.len() as i64 + by,
        };
        tape.at = usize::try_from(to).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(to as u64)
    }
}

impl Medium for Disk {
    fn sync(&mut self) -> io::Result<()> {
        let mut tape = self.0.lock().unwrap();
        let writes = tape.writes.len();
        tape.syncs.push(writes);
        Ok(())
    }

    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What became of a recording that nobody ended.
struct Killed {
    tape: Tape,
    /// After each unit: its time, and how many writes there had been.
    delivered: Vec<(Duration, usize)>,
}

impl Killed {
    fn content(&self) -> &[u8] {
        &self.tape.content
    }

    /// The content when so many writes were done, and so many bytes of the next.
    fn after(&self, writes: usize, bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for (at, data) in &self.tape.writes[..writes] {
            put(&mut content, *at, data);
        }
        if let Some((at, data)) = self.tape.writes.get(writes) {
            put(&mut content, *at, &data[..bytes]);
        }
        content
    }

    /// What had been delivered when the write with this number began.
    fn delivered_at(&self, write: usize) -> Duration {
        let (last, _) = self.delivered.last().expect("something was delivered");
        self.delivered.iter().find(|(_, writes)| *writes > write).map_or(*last, |(at, _)| *at)
    }
}

/// Writes without ending it.
fn killed(format: Format, clips: &[Clip], ticks: Option<Duration>, options: WriterOptions) -> Killed {
    let disk = Disk::default();
    let writes = || disk.0.lock().unwrap().writes.len();
    let mut writer = Writer::create(Target::File(Box::new(disk.clone())), format, tracks(clips), options).unwrap();
    let mut delivered = Vec::new();
    for (track, frame) in in_order(clips) {
        writer.write(track, frame.data.clone(), frame.at, frame.key).unwrap();
        delivered.push((frame.at.since(MediaTime::ZERO), writes()));
    }
    if let Some(by) = ticks {
        let last = delivered.last().unwrap().0;
        writer.tick(MediaTime::ZERO + last + by).unwrap();
        delivered.push((last, writes()));
    }
    let before = writes();
    drop(writer);
    assert_eq!(before, writes(), "whoever only drops a writer writes nothing more");
    Killed { tape: std::mem::take(&mut *disk.0.lock().unwrap()), delivered }
}

/// Where each track ends that can be read.
fn ends(path: &Path, count: usize) -> Vec<Duration> {
    let mut ends = vec![Duration::ZERO; count];
    // What is spoiled at the cut may be told as an error; what is before it counts.
    let Ok(mut reader) = open(path) else { return ends };
    while let Ok(Some(unit)) = reader.read() {
        ends[unit.track] = ends[unit.track].max(unit.at + unit.duration);
    }
    ends
}

/// Where FFmpeg opens no MP4 that ends there: within a fragment's head, before its media. Nothing that breaks off while a file is
/// written leaves that behind; whoever shortens it afterwards might.
fn blind_spots(content: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut spots, mut at) = (Vec::new(), 0);
    while let Some(head) = content.get(at..at + 8) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if head[4..] == *b"moof" {
            spots.push(at + 9..at + size + 9);
        }
        at += size.max(8);
    }
    spots
}

const KINDS: [(Format, &str, &[Codec]); 7] = [
    (Format::WebM, "a.webm", &[Codec::Vp8, Codec::Opus]),
    (Format::WebM, "b.webm", &[Codec::Opus]),
    (Format::Matroska, "a.mkv", &[Codec::H264, Codec::Aac]),
    (Format::Mp4, "a.mp4", &[Codec::H264, Codec::Aac]),
    (Format::Mp4, "b.mp4", &[Codec::H265]),
    (Format::Mp4, "c.mp4", &[Codec::Aac]),
    (Format::Flv, "a.flv", &[Codec::H264, Codec::Aac]),
];

fn clips(codecs: &[Codec]) -> Vec<Clip> {
    codecs.iter().map(|&codec| clip(codec, 4.0)).collect()
}

fn assert_plays(path: &Path, content: &[u8], count: usize, delivered: Duration, what: &str) {
    std::fs::write(path, content).unwrap();
    for (track, end) in ends(path, count).into_iter().enumerate() {
        let lost = delivered.saturating_sub(end);
        assert!(lost <= Duration::from_secs(1), "{what}: track {track} ends at {end:?} of {delivered:?}");
    }
}

#[test]
fn a_write_that_breaks_off_anywhere_leaves_what_plays_up_to_a_second_before() {
    let room = Room::new("crash");
    for (format, name, codecs) in KINDS {
        let clips = clips(codecs);
        let killed = killed(format, &clips, None, WriterOptions::default());
        let writes = &killed.tape.writes;
        assert!(writes.len() >= 8, "{name}: {} writes", writes.len());
        for (number, (_, data)) in writes.iter().enumerate() {
            let among = (0..data.len()).step_by(data.len() / 12 + 1);
            for bytes in among.chain([1, 4, 7, 8, 9, 40, data.len() - 1]).filter(|bytes| *bytes < data.len()) {
                let what = format!("{name}, {bytes} bytes of write {number}");
                let content = killed.after(number, bytes);
                assert_plays(&room.path(name), &content, clips.len(), killed.delivered_at(number), &what);
            }
        }
        std::fs::write(room.path(name), killed.content()).unwrap();
        assert_decodes(&room.path(name));
    }
}

#[test]
fn a_recording_that_is_shortened_anywhere_plays_up_to_there() {
    let room = Room::new("shortened");
    for (format, name, codecs) in KINDS {
        let clips = clips(codecs);
        let killed = killed(format, &clips, None, WriterOptions::default());
        let content = killed.content();
        let spots = if format == Format::Mp4 { blind_spots(content) } else { Vec::new() };
        for cut in (0..content.len()).step_by(content.len() / 60) {
            if spots.iter().any(|spot| spot.contains(&cut)) {
                continue;
            }
            let reaches = |(at, data): &(usize, Vec<u8>)| at + data.len() > cut;
            let delivered = killed.delivered_at(killed.tape.writes.iter().position(reaches).unwrap());
            assert_plays(&room.path(name), &content[..cut], clips.len(), delivered, &format!("{name} at byte {cut}"));
        }
    }
}

#[test]
fn what_is_synced_is_so_at_least_each_second_and_plays() {
    let room = Room::new("synced");
    for (format, name, codecs) in KINDS {
        let clips = clips(codecs);
        let lazy = killed(format, &clips, None, WriterOptions::default());
        assert!(lazy.tape.syncs.is_empty(), "nobody waits for the disk unasked");
        let killed = killed(format, &clips, None, WriterOptions { sync: true, ..WriterOptions::default() });
        // The power goes after each unit: only what was synced by then is there.
        for (at, writes) in &killed.delivered {
            let synced = killed.tape.syncs.iter().rev().find(|synced| *synced <= writes).copied().unwrap_or(0);
            let what = format!("{name}, {synced} of {writes} writes at {at:?}");
            assert_plays(&room.path(name), &killed.after(synced, 0), clips.len(), *at, &what);
        }
    }
}

#[test]
fn what_waits_goes_out_when_nothing_comes_any_more() {
    let room = Room::new("tick");
    for (format, name, codec) in [(Format::WebM, "a.webm", Codec::Vp8), (Format::Mp4, "a.mp4", Codec::H264)] {
        let clips = [clip(codec, 1.2)];
        let killed = killed(format, &clips, Some(Duration::from_millis(800)), WriterOptions::default());
        let path = room.path(name);
        std::fs::write(&path, killed.content()).unwrap();
        let last = clips[0].frames.last().unwrap().at.since(MediaTime::ZERO);
        assert!(ends(&path, 1)[0] >= last, "{name}");
    }
}

#[test]
fn a_header_does_not_wait_for_a_silent_track_for_ever() {
    let room = Room::new("silent");
    for (format, name, pair) in
        [(Format::WebM, "a.webm", [Codec::Vp8, Codec::Opus]), (Format::Mp4, "a.mp4", [Codec::H264, Codec::Aac])]
    {
        for silent in 0..2 {
            let mut clips = pair.map(|codec| clip(codec, 4.0));
            clips[silent].frames.clear();
            let killed = killed(format, &clips, None, WriterOptions::default());
            let path = room.path(name);
            std::fs::write(&path, killed.content()).unwrap();
            let end = ends(&path, 2).into_iter().max().unwrap();
            assert!(end >= Duration::from_secs(3), "{name} without track {silent} ends at {end:?}");
        }
    }
}
