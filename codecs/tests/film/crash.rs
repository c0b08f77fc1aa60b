//! What had been handed to the system when the server died plays up to a second before that.

use crate::make::{Clip, clip, in_order, tracks};
use crate::{Room, assert_decodes, open};
use rivero_codecs::film::{Format, Target, Writer, WriterOptions};
use rivero_engine::{Codec, MediaTime};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file in memory that a test can look at while it is written.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk {
    fn len(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }
}

impl Write for Disk {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        let (content, at) = &mut *inner;
        let end = *at + data.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[*at..end].copy_from_slice(data);
        *at = end;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut inner = self.0.lock().unwrap();
        let to = match to {
            SeekFrom::Start(to) => to as i64,
            SeekFrom::Current(by) => inner.1 as i64 + by,
            SeekFrom::End(by) => inner.0.len() as i64 + by,
        };
        inner.1 = usize::try_from(to).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(to as u64)
    }
}

/// Writes without ending it: the content, and (time, bytes) after each unit.
fn killed(format: Format, clips: &[Clip], ticks: Option<Duration>) -> (Vec<u8>, Vec<(Duration, usize)>) {
    let disk = Disk::default();
    let target = Target::File(Box::new(disk.clone()));
    let mut writer = Writer::create(target, format, tracks(clips), WriterOptions::default()).unwrap();
    let mut written = Vec::new();
    for (track, frame) in in_order(clips) {
        writer.write(track, frame.data.clone(), frame.at, frame.key).unwrap();
        written.push((frame.at.since(MediaTime::ZERO), disk.len()));
    }
    if let Some(by) = ticks {
        let last = written.last().unwrap().0;
        writer.tick(MediaTime::ZERO + last + by).unwrap();
        written.push((last, disk.len()));
    }
    let content = disk.0.lock().unwrap().0.clone();
    drop(writer);
    assert_eq!(disk.len(), content.len(), "whoever only drops a writer writes nothing more");
    (content, written)
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

/// Where FFmpeg opens no MP4 that ends there: within a fragment's head, before its media. A head and its media are written in one
/// call, so that a server that dies does not leave that behind; a disk that loses its power might.
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

#[test]
fn a_recording_cut_off_anywhere_plays_up_to_a_second_before() {
    let room = Room::new("crash");
    for (format, name, pair) in [
        (Format::WebM, "a.webm", &[Codec::Vp8, Codec::Opus][..]),
        (Format::WebM, "b.webm", &[Codec::Opus]),
        (Format::Matroska, "a.mkv", &[Codec::H264, Codec::Aac]),
        (Format::Mp4, "a.mp4", &[Codec::H264, Codec::Aac]),
        (Format::Mp4, "b.mp4", &[Codec::H265]),
        (Format::Mp4, "c.mp4", &[Codec::Aac]),
        (Format::Flv, "a.flv", &[Codec::H264, Codec::Aac]),
    ] {
        let clips: Vec<_> = pair.iter().map(|&codec| clip(codec, 4.0)).collect();
        let (content, written) = killed(format, &clips, None);
        let path = room.path(name);
        let spots = if format == Format::Mp4 { blind_spots(&content) } else { Vec::new() };
        // After every write, and in the midst of one.
        let mut cuts: Vec<_> = written.iter().map(|(_, bytes)| *bytes).collect();
        cuts.dedup();
        assert!(cuts.len() >= 8, "{name}: {cuts:?}");
        assert!(!cuts.iter().any(|cut| spots.iter().any(|spot| spot.contains(cut))), "{name}: {cuts:?} {spots:?}");
        cuts.extend((0..content.len()).step_by(content.len() / 60));
        for cut in cuts {
            if spots.iter().any(|spot| spot.contains(&cut)) {
                continue;
            }
            let Some((died, _)) = written.iter().rev().take_while(|(_, bytes)| *bytes >= cut).last() else { continue };
            std::fs::write(&path, &content[..cut]).unwrap();
            for (track, end) in ends(&path, clips.len()).into_iter().enumerate() {
                let lost = died.saturating_sub(end);
                assert!(
                    lost <= Duration::from_secs(1),
                    "{name} at byte {cut}, {died:?}: track {track} ends at {end:?}"
                );
            }
        }
        std::fs::write(&path, &content).unwrap();
        assert_decodes(&path);
    }
}

#[test]
fn what_waits_goes_out_when_nothing_comes_any_more() {
    let room = Room::new("tick");
    for (format, name, codec) in [(Format::WebM, "a.webm", Codec::Vp8), (Format::Mp4, "a.mp4", Codec::H264)] {
        let clips = [clip(codec, 1.2)];
        let (content, _) = killed(format, &clips, Some(Duration::from_millis(800)));
        let path = room.path(name);
        std::fs::write(&path, content).unwrap();
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
            let (content, _) = killed(format, &clips, None);
            let path = room.path(name);
            std::fs::write(&path, content).unwrap();
            let end = ends(&path, 2).into_iter().max().unwrap();
            assert!(end >= Duration::from_secs(3), "{name} without track {silent} ends at {end:?}");
        }
    }
}
