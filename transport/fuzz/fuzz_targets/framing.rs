//! A stream from a hostile peer, read in pieces as the peer likes: the packets are those that a plain reading of the whole finds,
//! there is always room for more, and what is held is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::net::tcp::FrameReader;

const LIMIT: usize = 2048;

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (pieces, mut stream) = input;
    let wanted = plain(stream);
    let mut found = Vec::new();
    let mut reader = FrameReader::new(LIMIT);
    let mut pieces = pieces.iter().cycle();
    'stream: while !stream.is_empty() {
        let room = reader.room();
        assert!(!room.is_empty() && room.len() <= 16 << 10);
        let count = pieces.next().map_or(1, |piece| usize::from(*piece) * 8 + 1).min(room.len()).min(stream.len());
        room[..count].copy_from_slice(&stream[..count]);
        reader.filled(count);
        stream = &stream[count..];
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => found.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
    }
    assert_eq!(found, wanted);
});

fn plain(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let [high, low, rest @ ..] = stream {
        let length = usize::from(*high) << 8 | usize::from(*low);
        let Some((frame, rest)) = rest.split_at_checked(length).filter(|_| length <= LIMIT) else { break };
        if length > 0 {
            frames.push(frame.to_vec());
        }
        stream = rest;
    }
    frames
}
