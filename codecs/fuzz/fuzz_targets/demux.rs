//! Films from a stranger, in memory and as a stream: nothing panics, units lie in their tracks and in order, and what is read ahead
//! stays within its bound. FFmpeg beneath is not instrumented: begin with a corpus of small films.
#![no_main]

use data_encoding::BASE64;
use libfuzzer_sys::fuzz_target;
use rivero_codecs::coder::Largest;
use rivero_codecs::film::{FilmError, Interrupt, OpenOptions, Reader, SpoolRoom, TrackDecoder};
use rivero_engine::MediaTime;
use rivero_engine::time::ManualClock;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

/// Units that are taken of one film.
const MOST: usize = 400;
const LARGEST: Largest = Largest { width: 256, height: 256 };

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (way, to, bytes) = input;
    let options = OpenOptions { largest: LARGEST, ..OpenOptions::default() };
    let interrupt = Interrupt::new(Arc::new(ManualClock::new()));
    let opened = if way & 1 == 0 {
        Reader::open(&format!("data:;base64,{}", BASE64.encode(bytes)), &options, interrupt)
    } else {
        let room = SpoolRoom::new(1 << 20, 1 << 20);
        Reader::from_stream(Box::new(Cursor::new(bytes.to_vec())), &room, &options, interrupt)
    };
    if let Ok(mut reader) = opened {
        let _ = read(&mut reader, way & 2 == 2);
        if reader.is_seekable() && reader.seek(Duration::from_millis(to.into())).is_ok() {
            let _ = read(&mut reader, false);
        }
    }
});

fn read(reader: &mut Reader, decoded: bool) -> Result<(), FilmError> {
    let mut decoders: Vec<_> = reader.tracks().iter().map(|track| TrackDecoder::new(track, LARGEST)).collect();
    for _ in 0..MOST {
        let Some(unit) = reader.read()? else { break };
        assert!(unit.track < reader.tracks().len() && !unit.data.is_empty());
        if decoded && let Some(Ok(decoder)) = decoders.get_mut(unit.track) {
            let _ = decoder.decode(&unit.data, MediaTime::ZERO + unit.at, &mut Vec::new());
        }
    }
    Ok(())
}
