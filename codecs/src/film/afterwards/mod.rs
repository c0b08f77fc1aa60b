//! What a file's head says of it once all is known: FFmpeg writes it at the beginning and comes back to little of it.
//!
//! Enters: a complete file, and what each track came to. Leaves: the same file, not a byte longer. Tracks that never came are taken
//! out of the head: readers wait for them in vain (Chromium does not seek in such a WebM, FFmpeg's tool converts no such MP4). In an
//! MP4 of fragments stands how long it is, for readers that do not go through all of them. What is not as FFmpeg writes it is left as
//! it is, and what cannot be written to twice has no such second word.

mod matroska;
mod mp4;

use super::Format;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// A head is not longer than this, in bytes.
const MOST_HEAD: u64 = 1 << 20;

/// What a track came to.
pub(super) struct Came {
    pub units: u64,
    /// When the last unit ends.
    pub end: Duration,
}

/// The tracks in the order of the head.
pub(super) fn correct(file: &File, format: Format, tracks: &[Came]) -> io::Result<()> {
    let fill = match format {
        Format::Mp4 => mp4::fill,
        Format::WebM | Format::Matroska => matroska::fill,
        Format::Flv | Format::Jpeg => return Ok(()),
    };
    let mut head = Vec::new();
    io::copy(&mut io::Read::take(At { file, at: 0 }, MOST_HEAD), &mut head)?;
    let was = head.clone();
    if fill(&mut head, tracks).is_some() {
        let differs = |(is, was)| is != was;
        if let Some(first) = head.iter().zip(&was).position(differs)
            && let Some(last) = head.iter().zip(&was).rposition(differs)
        {
            file.write_all_at(&head[first..=last], first as u64)?;
        }
    }
    Ok(())
}

/// Reads a file without moving its place.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::film::{Target, Writer, WriterOptions, WriterTrack};
    use bytes::Bytes;
    use rivero_engine::{Codec, MediaTime};

    const CAME: [Came; 2] =
        [Came { units: 0, end: Duration::ZERO }, Came { units: 50, end: Duration::from_millis(1000) }];

    /// A second of sound, with pictures that never came.
    fn recorded(format: Format, video: Codec) -> Vec<u8> {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a");
        let tracks = vec![WriterTrack::video(video), WriterTrack::audio(Codec::Opus, 48_000, 2)];
        let mut writer = Writer::create(Target::Path(path.clone()), format, tracks, WriterOptions::default()).unwrap();
        for number in 0..50 {
            let at = MediaTime::from_millis(20 * number);
            writer.write(1, Bytes::from_static(&[0xfc, 0xff, 0xfe]), at, true).unwrap();
        }
        writer.finish().unwrap();
        std::fs::read(path).unwrap()
    }

    fn count(data: &[u8], what: &[u8]) -> usize {
        data.windows(what.len()).filter(|part| part == &what).count()
    }

    #[test]
    fn an_mp4_says_how_long_it_is_and_what_it_has() {
        let data = recorded(Format::Mp4, Codec::H264);
        assert_eq!([count(&data, b"trak"), count(&data, b"trex"), count(&data, b"mehd")], [1; 3]);
        assert_eq!(count(&data, b"avcC"), 1, "the stand-in is in a box that is free");
        // mvhd's and mehd's, in milliseconds.
        let after = |name: &[u8], skip: usize, size: usize| {
            let at = data.windows(4).position(|four| four == name).unwrap() + 4 + skip;
            number(&data[at..at + size])
        };
        assert_eq!([after(b"mvhd", 16, 4), after(b"mehd", 4, 8)], [1000; 2]);
        assert_eq!(after(b"mdhd", 16, 4), 0, "of the track that is free");
    }

    #[test]
    fn what_is_corrected_already_stays() {
        for (format, video, fill) in [
            (Format::Mp4, Codec::H264, mp4::fill as fn(&mut [u8], &[Came]) -> Option<()>),
            (Format::WebM, Codec::Vp8, matroska::fill),
        ] {
            let data = recorded(format, video);
            let mut again = data.clone();
            let sound = &CAME[1..];
            assert_eq!(fill(&mut again, sound), Some(()), "{format:?}");
            assert!(again == data, "{format:?}");
        }
    }

    #[test]
    fn nothing_else_panics() {
        for (format, video) in [(Format::Mp4, Codec::H264), (Format::WebM, Codec::Vp8), (Format::Matroska, Codec::Vp8)]
        {
            let whole = recorded(format, video);
            let head = &whole[..whole.len().min(2000)];
            for cut in 0..head.len() {
                let _ = mp4::fill(&mut head[..cut].to_vec(), &CAME);
                let _ = matroska::fill(&mut head[..cut].to_vec(), &CAME);
                for value in [0, 1, 0x7f, 0xff] {
                    let mut spoiled = head.to_vec();
                    spoiled[cut] = value;
                    let _ = mp4::fill(&mut spoiled.clone(), &CAME);
                    let _ = matroska::fill(&mut spoiled, &CAME);
                }
            }
        }
    }
}
