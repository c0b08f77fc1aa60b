//! Packets in a stream (RFC 4571, section 2): each has its length before it, in two bytes.
//!
//! Enters: bytes as they were read, in pieces of any size. Leaves: whole packets, where they stand in the buffer; and, the other
//! way, the two bytes before a packet. It must never know sockets, nor what a packet is.

use std::collections::VecDeque;

/// Bytes before each packet.
pub const HEADER: usize = 2;
/// The longest packet that the two bytes can announce.
pub const MOST: usize = u16::MAX as usize;
/// Bytes that are read at once, while nothing longer is announced.
const ROOM: usize = 8 << 10;

/// A peer announced a packet that is longer than it may be. What follows cannot be trusted to be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {length} bytes was announced, {limit} are allowed")]
pub struct FrameTooLong {
    pub length: usize,
    pub limit: usize,
}

/// Finds the packets of a stream. Holds at most one announced packet and what was read behind it.
pub struct FrameReader {
    held: Vec<u8>,
    /// What is held and not yet taken.
    start: usize,
    end: usize,
    limit: usize,
}

impl FrameReader {
    /// Packets of more than `limit` bytes are refused.
    pub fn new(limit: usize) -> Self {
        FrameReader { held: Vec::new(), start: 0, end: 0, limit }
    }

    /// From now on packets may be this long.
    pub fn allow(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where the next bytes of the stream belong: never empty once all whole packets are taken.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let wanted = self.announced().unwrap_or(0).min(self.limit) + HEADER;
        if self.start + wanted > self.held.len() || self.held.len() - self.end < ROOM / 4 {
            self.held.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.held.resize(self.held.len().max(wanted).max(ROOM), 0);
        }
        &mut self.held[self.end..]
    }

    /// The first `count` bytes of [`FrameReader::room`] were filled.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.held.len());
    }

    /// Takes the next whole packet. Empty ones carry nothing and are passed over.
    ///
    /// Errors: [`FrameTooLong`], from then on always.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let Some(length) = self.whole()? else { return Ok(None) };
        let from = self.start + HEADER;
        self.start = from + length;
        Ok(Some(&self.held[from..from + length]))
    }

    /// Looks at the packet that [`FrameReader::next_frame`] would take.
    ///
    /// Errors: [`FrameTooLong`].
    pub fn peek_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let Some(length) = self.whole()? else { return Ok(None) };
        let from = self.start + HEADER;
        Ok(Some(&self.held[from..from + length]))
    }

    /// The length of the next packet, if all of it is there.
    fn whole(&mut self) -> Result<Option<usize>, FrameTooLong> {
        while let Some(length) = self.announced() {
            if length > self.limit {
                return Err(FrameTooLong { length, limit: self.limit });
            }
            if length > 0 {
                return Ok((self.end - self.start >= HEADER + length).then_some(length));
            }
            self.start += HEADER;
        }
        Ok(None)
    }

    /// The length that stands at the beginning of what is held.
    fn announced(&self) -> Option<usize> {
        match self.held[self.start..self.end] {
            [high, low, ..] => Some(usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        }
    }
}

/// The bytes before a packet; `None` for one that is empty or too long to be framed.
pub fn header(packet: &[u8]) -> Option<[u8; HEADER]> {
    u16::try_from(packet.len()).ok().filter(|length| *length > 0).map(u16::to_be_bytes)
}

/// Writes a packet behind others, leaving out the first `skip` bytes, which have already left.
pub(super) fn push(queue: &mut VecDeque<u8>, header: [u8; HEADER], packet: &[u8], skip: usize) {
    queue.extend(&header[skip.min(HEADER)..]);
    queue.extend(&packet[skip.saturating_sub(HEADER)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = VecDeque::new();
        for packet in packets {
            push(&mut stream, header(packet).unwrap_or_default(), packet, 0);
        }
        stream.into()
    }

    /// Feeds a stream in pieces of the given sizes, and takes what comes.
    fn read(mut stream: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut reader = FrameReader::new(limit);
        let mut frames = Vec::new();
        let mut pieces = pieces.iter().cycle();
        while !stream.is_empty() {
            let room = reader.room();
            assert!(!room.is_empty(), "there is always room for more");
            let count = pieces.next().map_or(1, |size| (*size).max(1)).min(room.len()).min(stream.len());
            room[..count].copy_from_slice(&stream[..count]);
            reader.filled(count);
            stream = &stream[count..];
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    #[test]
    fn the_length_stands_in_network_order_before_each_packet() {
        assert_eq!(stream(&[vec![7; 1], vec![8; 258]])[..6], [0, 1, 7, 1, 2, 8]);
        assert_eq!(header(&[0; MOST]), Some([0xff, 0xff]));
        assert_eq!(header(&[0; MOST + 1]), None);
        assert_eq!(header(&[]), None, "an empty packet says nothing");
    }

    #[test]
    fn a_packet_that_may_not_be_so_long_ends_the_stream() {
        let bytes = stream(&[vec![1; 100], vec![2; 101], vec![3; 1]]);
        let refused = FrameTooLong { length: 101, limit: 100 };
        assert_eq!(read(&bytes, &[1000], 100), Err(refused));
        let mut reader = FrameReader::new(100);
        reader.room()[..2].copy_from_slice(&[0, 101]);
        reader.filled(2);
        assert_eq!(reader.next_frame(), Err(refused));
        assert_eq!(reader.peek_frame(), Err(refused), "and stays so");
        reader.allow(101);
        assert_eq!(reader.next_frame(), Ok(None), "until it may be");
    }

    #[test]
    fn empty_packets_are_passed_over_and_looking_takes_nothing() {
        let mut reader = FrameReader::new(MOST);
        reader.room()[..7].copy_from_slice(&[0, 0, 0, 0, 0, 1, 9]);
        reader.filled(7);
        assert_eq!(reader.peek_frame(), Ok(Some(&[9][..])));
        assert_eq!(reader.next_frame(), Ok(Some(&[9][..])));
        assert_eq!(reader.next_frame(), Ok(None));
    }

    #[test]
    fn the_longest_packet_fits_and_room_for_it_comes_only_when_it_is_announced() {
        let bytes = stream(&[vec![5; MOST], vec![6; 3], vec![7; MOST]]);
        let frames = read(&bytes, &[3, 1400], MOST).expect("all are allowed");
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [MOST, 3, MOST]);
        let mut reader = FrameReader::new(MOST);
        assert_eq!(reader.room().len(), ROOM);
    }

    #[test]
    fn what_has_left_in_part_is_completed() {
        let packet = [1, 2, 3];
        let whole = stream(&[packet.to_vec()]);
        for skip in 0..whole.len() {
            let mut rest = VecDeque::new();
            push(&mut rest, [0, 3], &packet, skip);
            assert_eq!(Vec::from(rest), whole[skip..]);
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_packets(
            lengths in prop::collection::vec(prop_oneof![8 => 0usize..1500, 1 => 0usize..=MOST], 0..20),
            pieces in prop::collection::vec(1usize..3000, 1..10),
        ) {
            let packets: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, l)| vec![n as u8; *l]).collect();
            let frames = read(&stream(&packets), &pieces, MOST);
            let wanted: Vec<Vec<u8>> = packets.into_iter().filter(|packet| !packet.is_empty()).collect();
            prop_assert_eq!(frames, Ok(wanted));
        }
    }
}
