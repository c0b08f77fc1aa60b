//! Our own sending half: packets that came together are sealed straight into the worker's send buffer and leave with one
//! system call where their lengths allow.
//!
//! What one consumer costs beside its keys: the numbers in its [`History`]. Lost packets are sent again byte for byte (same
//! header, same padding): the nonce of an RTP packet is its number, and must never be used for other bytes (RFC 7714,
//! section 8.1). A peer that negotiated RTX gets them on that source instead, with numbers of its own (RFC 4588).

use super::Scratch;
use super::history::{History, Record};
use super::rewrite::Rewriter;
use crate::net::{SendBuffer, Way};
use crate::srtp::{Opener, Sealer};
use rivero_engine::{Caps, MediaTime};

/// Packets are padded by at most this much so that they can leave in one piece: padding costs bytes, a system call costs more.
const MOST_PADDING: usize = 48;
/// Segments that the kernel takes in one piece, and the bytes of it.
const MOST_SEGMENTS: usize = 64;
const MOST_BYTES: usize = 60_000;

/// The keys of a transport, once its handshake is done, and what waits to be sent with them.
pub(crate) struct Outgoing {
    pub sealer: Sealer,
    pub opener: Opener,
    /// What came together so far, for one line. Its room is the worker's, lent while a session is being visited.
    pending: Vec<(u64, Record)>,
    /// When the next sender report is due; `None` while nothing was sent since the last.
    pub report_due: Option<MediaTime>,
    /// Of sealed datagrams, in bytes.
    pub sent: u64,
}

/// All that sending a packet touches of a line, side by side: with hundreds of viewers it is memory that costs.
pub(crate) struct SendLine {
    pub ssrc: u32,
    /// The payload type in use, with the caps that chose it; `None` inside for caps that the peer does not take.
    pub chosen: Option<(Caps, Option<u8>)>,
    pub rewriter: Rewriter,
    pub packets: u64,
    /// Of payload.
    pub bytes: u64,
    /// Packets sent when the last report was written.
    pub reported: u64,
    pub abs_send_time: Option<u8>,
    /// The first sequence number without the line's tag.
    pub mid_before: u64,
    pub mid: Option<Box<Mid>>,
    /// `None` when the peer cannot ask for lost packets.
    pub history: Option<History>,
    pub rtx: Option<Rtx>,
}

/// The source on which lost packets are sent again (RFC 4588).
pub(crate) struct Rtx {
    pub ssrc: u32,
    /// The payload type of resends for each that may be resent.
    pub payload_types: Vec<(u8, u8)>,
    pub next_sequence: u64,
    /// The first sequence number without the line's tag.
    pub mid_before: u64,
}

/// The tag of a line as an element of the header extension (RFC 9143, section 15): id and length, then the text.
pub(crate) struct Mid {
    element: [u8; 17],
    length: usize,
}

impl Mid {
    /// `None` for what the short form of header extensions cannot tell (RFC 8285, section 4.2).
    pub fn new(id: u8, tag: &str) -> Option<Box<Self>> {
        let fits = (1..=14).contains(&id) && (1..=16).contains(&tag.len());
        fits.then(|| {
            let mut element = [0; 17];
            element[0] = id << 4 | (tag.len() - 1) as u8;
            element[1..=tag.len()].copy_from_slice(tag.as_bytes());
            Box::new(Mid { element, length: tag.len() + 1 })
        })
    }
}

impl Outgoing {
    pub fn new(sealer: Sealer, opener: Opener) -> Self {
        Outgoing { sealer, opener, pending: Vec::new(), report_due: None, sent: 0 }
    }

    pub fn push(&mut self, sequence: u64, record: Record, scratch: &Scratch) {
        if self.pending.capacity() == 0 {
            self.pending = scratch.sending.take();
        }
        self.pending.push((sequence, record));
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Seals and sends everything that waits, and keeps what may be asked for again.
    pub fn transmit(&mut self, way: &Way, line: &mut SendLine, buffer: &mut SendBuffer) {
        let mut rest = self.pending.as_mut_slice();
        while !rest.is_empty() {
            let (count, longest) = run(rest.iter().map(|(sequence, record)| line.length(*sequence, record)));
            let (now, later) = rest.split_at_mut(count);
            let mut segment = 0;
            for (at, (sequence, record)) in now.iter_mut().enumerate() {
                if at + 1 < count {
                    // All but the last must be equally long.
                    record.padding = (longest - line.length(*sequence, record)) as u8;
                }
                let before = buffer.bytes.len();
                seal(&mut buffer.bytes, &mut self.sealer, line, *sequence, record);
                segment = segment.max(buffer.bytes.len() - before);
            }
            self.sent += buffer.bytes.len() as u64;
            buffer.send(way, segment);
            rest = later;
        }
        if let Some(history) = &mut line.history {
            self.pending.drain(..).for_each(|(sequence, record)| history.keep(sequence, record));
        }
    }

    /// After [`Outgoing::transmit`]: nothing waits, so the next session may use the room.
    pub fn give_room_back(&mut self, scratch: &Scratch) {
        self.pending.clear();
        scratch.sending.set(std::mem::take(&mut self.pending));
    }

    /// Sends a packet again. False when it is no longer known.
    pub fn resend(&mut self, way: &Way, line: &mut SendLine, sequence: u16, buffer: &mut SendBuffer) -> bool {
        let found = line.history.as_ref().and_then(|history| history.find(sequence));
        let Some((sequence, record)) = found else { return false };
        let rtx = line.rtx.as_mut().and_then(|rtx| Some((rtx.payload_type_for(record.payload_type)?, rtx)));
        match rtx {
            Some((payload_type, rtx)) => {
                let number = rtx.next_sequence;
                rtx.next_sequence += 1;
                let (ssrc, tagged) = (rtx.ssrc, number < rtx.mid_before);
                let mid = line.mid.as_deref().filter(|_| tagged);
                let of_media = header(line, sequence, record);
                let header = Header { ssrc, sequence: number, payload_type, mid, ..of_media };
                let original = (sequence as u16).to_be_bytes();
                write(&mut buffer.bytes, &mut self.sealer, &header, &[&original, &record.rtp.payload], 0);
            }
            None => seal(&mut buffer.bytes, &mut self.sealer, line, sequence, record),
        }
        self.sent += buffer.bytes.len() as u64;
        buffer.send(way, buffer.bytes.len());
        true
    }

    /// Seals and sends one compound RTCP packet; nothing when nothing is written.
    pub fn send_rtcp(&mut self, way: &Way, buffer: &mut SendBuffer, compose: impl FnOnce(&mut Vec<u8>)) {
        compose(&mut buffer.bytes);
        if buffer.bytes.is_empty() {
            return;
        }
        self.sealer.seal_rtcp(&mut buffer.bytes, 0);
        self.sent += buffer.bytes.len() as u64;
        buffer.send(way, buffer.bytes.len());
    }
}

impl Rtx {
    fn payload_type_for(&self, original: u8) -> Option<u8> {
        self.payload_types.iter().find(|(of, _)| *of == original).map(|(_, rtx)| *rtx)
    }
}

impl SendLine {
    /// Of a packet without padding.
    fn length(&self, sequence: u64, record: &Record) -> usize {
        let mid = self.mid_of(sequence).map_or(0, |mid| mid.length);
        let elements = if self.abs_send_time.is_some() { 4 + mid } else { mid };
        let extension = if elements > 0 { 4 + elements.next_multiple_of(4) } else { 0 };
        12 + extension + record.rtp.payload.len()
    }

    /// What a packet carries again when it is sent again: its number decides alone.
    fn mid_of(&self, sequence: u64) -> Option<&Mid> {
        if sequence < self.mid_before { self.mid.as_deref() } else { None }
    }
}

/// How many of the next packets can leave in one piece, and the longest of them: all but the last are padded to that.
fn run(lengths: impl Iterator<Item = usize>) -> (usize, usize) {
    let (mut shortest, mut longest, mut count) = (usize::MAX, 0, 0);
    let mut last_may_be_short = false;
    for length in lengths {
        if count == MOST_SEGMENTS || last_may_be_short || (count + 1) * longest.max(length) > MOST_BYTES {
            break;
        }
        let fits = length.max(longest) - shortest.min(length) <= MOST_PADDING;
        if count > 0 && !fits {
            if length > longest {
                break;
            }
            // Shorter than the rest: it may be the last of them, as it is.
            last_may_be_short = true;
        } else {
            shortest = shortest.min(length);
            longest = longest.max(length);
        }
        count += 1;
    }
    (count, longest)
}

/// What a header says (RFC 3550, section 5.1; RFC 8285, section 4.2).
struct Header<'a> {
    ssrc: u32,
    sequence: u64,
    timestamp: u32,
    payload_type: u8,
    marker: bool,
    /// The id of the extension, and the time.
    abs_send_time: Option<(u8, [u8; 3])>,
    mid: Option<&'a Mid>,
}

fn header<'a>(line: &'a SendLine, sequence: u64, record: &Record) -> Header<'a> {
    Header {
        ssrc: line.ssrc,
        sequence,
        timestamp: record.timestamp,
        payload_type: record.payload_type,
        marker: record.rtp.marker,
        abs_send_time: line.abs_send_time.map(|id| (id, record.abs_send_time())),
        mid: line.mid_of(sequence),
    }
}

fn seal(out: &mut Vec<u8>, sealer: &mut Sealer, line: &SendLine, sequence: u64, record: &Record) {
    write(out, sealer, &header(line, sequence, record), &[&record.rtp.payload], record.padding);
}

/// Appends one packet and seals it where it stands.
fn write(out: &mut Vec<u8>, sealer: &mut Sealer, header: &Header<'_>, payload: &[&[u8]], padding: u8) {
    let start = out.len();
    let extended = header.abs_send_time.is_some() || header.mid.is_some();
    let mut bytes = [0; 40];
    bytes[0] = 0x80 | u8::from(padding > 0) << 5 | u8::from(extended) << 4;
    bytes[1] = u8::from(header.marker) << 7 | header.payload_type;
    bytes[2..4].copy_from_slice(&(header.sequence as u16).to_be_bytes());
    bytes[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    bytes[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
    let mut length = 12;
    if extended {
        bytes[12..14].copy_from_slice(&[0xbe, 0xde]);
        length = 16;
        if let Some((id, [high, middle, low])) = header.abs_send_time {
            bytes[16..20].copy_from_slice(&[id << 4 | 2, high, middle, low]);
            length = 20;
        }
        if let Some(mid) = header.mid {
            bytes[length..length + mid.length].copy_from_slice(&mid.element[..mid.length]);
            length = (length + mid.length).next_multiple_of(4);
        }
        bytes[15] = ((length - 16) / 4) as u8;
    }
    out.extend_from_slice(&bytes[..length]);
    payload.iter().for_each(|part| out.extend_from_slice(part));
    if padding > 0 {
        out.resize(out.len() + usize::from(padding) - 1, 0);
        out.push(padding);
    }
    sealer.seal_rtp(out, start, length, (header.sequence >> 16) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Mark, Path, UdpPort};
    use crate::rtp::history::Numbers;
    use crate::srtp::Profile;
    use proptest::prelude::*;
    use rivero_engine::Rtp;
    use std::net::SocketAddr;
    use std::rc::Rc;
    use std::sync::Arc;

    #[test]
    fn packets_of_nearly_one_length_leave_in_one_piece() {
        let run = |lengths: &[usize]| super::run(lengths.iter().copied());
        assert_eq!(run(&[1100, 1101, 1100, 700]), (4, 1101), "the last may be shorter");
        assert_eq!(run(&[1100, 700, 1100]), (2, 1100), "but only the last");
        assert_eq!(run(&[160, 1100]), (1, 160), "and never longer");
        assert_eq!(run(&[1000, 1040]), (2, 1040), "padding evens out");
        assert_eq!(run(&[1100; 100]), (54, 1100), "as many as the kernel takes");
        assert_eq!(run(&[50; 100]), (64, 50));
    }

    fn record(number: u64, length: usize) -> Record {
        let payload = vec![number as u8; length].into();
        let rtp = Rtp { ssrc: 1, sequence: 900 + number, timestamp: 0, marker: false, payload };
        let numbers = Numbers { timestamp: 3000, entered: MediaTime::from_millis(7), payload_type: 96 };
        Record::new(Arc::new(rtp), numbers)
    }

    struct Sending {
        outgoing: Outgoing,
        line: SendLine,
        buffer: SendBuffer,
        scratch: Scratch,
        way: Way,
        peer: std::net::UdpSocket,
    }

    impl Sending {
        async fn begin() -> Self {
            let keys = [7; 56];
            let sealer =
                Sealer::new(Profile::AeadAes128Gcm, &keys, true).expect("56 bytes are what this profile wants");
            let opener = Opener::new(Profile::AeadAes128Gcm, &keys, true).expect("the same");
            let port = Rc::new(UdpPort::bind((1024, 65535), 40_000).expect("a port is free"));
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            let to = peer.local_addr().expect("it is bound");
            port.writable(to.ip()).await;
            let line = SendLine {
                ssrc: 5,
                chosen: None,
                rewriter: Rewriter::new(90_000, 0),
                packets: 0,
                bytes: 0,
                reported: 0,
                abs_send_time: Some(3),
                mid_before: 0,
                mid: None,
                history: Some(History::default()),
                rtx: None,
            };
            let from = SocketAddr::from(([127, 0, 0, 1], 9));
            let way = Way { path: Path::Udp(port), from, to, mark: Mark::NONE };
            let outgoing = Outgoing::new(sealer, opener);
            Sending { outgoing, line, buffer: SendBuffer::default(), scratch: Scratch::default(), way, peer }
        }

        fn push(&mut self, sequence: u64, record: Record) {
            self.outgoing.push(sequence, record, &self.scratch);
        }

        fn transmit(&mut self) {
            self.outgoing.transmit(&self.way, &mut self.line, &mut self.buffer);
            self.outgoing.give_room_back(&self.scratch);
            assert!(self.buffer.pending.is_empty(), "an empty socket has room");
        }

        fn resend(&mut self, sequence: u16) -> bool {
            self.outgoing.resend(&self.way, &mut self.line, sequence, &mut self.buffer)
        }

        fn received(&self) -> Vec<u8> {
            let mut room = vec![0; 2000];
            let length = self.peer.recv(&mut room).expect("it was sent over loopback");
            room.truncate(length);
            room
        }
    }

    #[tokio::test]
    async fn a_packet_in_steady_state_allocates_nothing() {
        let mut sending = Sending::begin().await;
        let packet = record(0, 1100);
        let mut sequence = 0;
        let mut burst = || {
            for _ in 0..10 {
                sequence += 1;
                sending.push(sequence, packet.clone());
            }
            sending.transmit();
        };
        // The history grows to its whole length first.
        (0..300).for_each(|_| burst());
        let measured = allocation_counter::measure(|| (0..100).for_each(|_| burst()));
        assert_eq!(measured.count_total, 0, "for a thousand packets, sealed and sent");
    }

    #[tokio::test]
    async fn what_is_sent_again_is_the_same_byte_for_byte() {
        let mut sending = Sending::begin().await;
        for (sequence, length) in [(65_535, 100), (65_536, 110), (65_537, 60)] {
            sending.push(sequence, record(sequence, length));
        }
        sending.transmit();
        let sent = [(); 3].map(|()| sending.received());
        let lengths = sent.each_ref().map(Vec::len);
        assert_eq!(lengths, [20 + 110 + 16, 20 + 110 + 16, 20 + 60 + 16], "the first is padded to the second");
        for (sequence, sent) in [65_535, 0, 1].into_iter().zip(sent) {
            assert!(sending.resend(sequence));
            assert_eq!(sending.received(), sent);
        }
        assert!(!sending.resend(2), "never sent");
    }

    #[tokio::test]
    async fn the_first_packets_carry_the_tag_of_the_line_and_again_when_sent_again() {
        let mut sending = Sending::begin().await;
        sending.line.mid = Mid::new(5, "video0");
        sending.line.mid_before = 302;
        for sequence in 300..304 {
            sending.push(sequence, record(sequence, 100));
        }
        sending.transmit();
        let sent = [(); 4].map(|()| sending.received());
        // Its time takes 4 bytes, the tag 7 and one to fill.
        let tagged = [0xbe, 0xde, 0, 3, 3 << 4 | 2, 0, 7, 43, 5 << 4 | 5, b'v', b'i', b'd', b'e', b'o', b'0', 0];
        assert_eq!((&sent[0][12..28], &sent[1][12..28]), (&tagged[..], &tagged[..]));
        assert_eq!(sent[3][12..16], [0xbe, 0xde, 0, 1]);
        let lengths = sent.each_ref().map(Vec::len);
        assert_eq!(lengths, [28 + 100 + 16, 28 + 100 + 16, 28 + 100 + 16, 20 + 100 + 16], "all leave in one piece");
        for (sequence, sent) in (300..304).zip(sent) {
            assert!(sending.resend(sequence));
            assert_eq!(sending.received(), sent);
        }
        sending.line.rtx = Some(Rtx { ssrc: 6, payload_types: vec![(96, 97)], next_sequence: 7, mid_before: 8 });
        assert!(sending.resend(303) && sending.resend(303));
        assert_eq!((sending.received()[15], sending.received()[15]), (3, 1), "the other source begins with it as well");
        // Without the time of sending.
        (sending.line.abs_send_time, sending.line.rtx) = (None, None);
        assert!(sending.resend(300));
        assert_eq!(sending.received()[12..24], [0xbe, 0xde, 0, 2, 0x55, b'v', b'i', b'd', b'e', b'o', b'0', 0]);
        assert!(Mid::new(15, "a").is_none() && Mid::new(1, "").is_none() && Mid::new(1, "seventeen-letters").is_none());
    }

    #[tokio::test]
    async fn a_peer_with_rtx_gets_lost_packets_on_that_source() {
        let mut sending = Sending::begin().await;
        let payload_types = vec![(96, 97)];
        sending.line.rtx = Some(Rtx { ssrc: 6, payload_types, next_sequence: 65_535, mid_before: 0 });
        sending.push(300, record(44, 100));
        sending.transmit();
        let mut sent = sending.received();
        // The same packet twice is two packets of the other source.
        for number in [65_535u64, 65_536] {
            assert!(sending.resend(300));
            let again = sending.received();
            assert_eq!((again[1], again[2..4].to_vec()), (97, (number as u16).to_be_bytes().to_vec()));
            assert_eq!((&again[4..8], &again[8..12], &again[12..20]), (&sent[4..8], &[0, 0, 0, 6][..], &sent[12..20]));
            let mut expected = again[..20].to_vec();
            expected.extend([&[1, 44][..], &[44; 100]].concat());
            sending.outgoing.sealer.seal_rtp(&mut expected, 0, 20, (number >> 16) as u32);
            assert_eq!(again, expected, "the original number stands before the payload");
        }
        // A payload type that has no other is sent as it was.
        sending.line.rtx = Some(Rtx { ssrc: 6, payload_types: vec![(98, 99)], next_sequence: 0, mid_before: 0 });
        assert!(sending.resend(300));
        assert_eq!(sending.received(), std::mem::take(&mut sent));
    }

    proptest! {
        #[test]
        fn a_run_never_needs_more_padding_than_allowed(lengths in prop::collection::vec(1usize..1500, 1..200)) {
            let (count, longest) = super::run(lengths.iter().copied());
            prop_assert!((1..=MOST_SEGMENTS).contains(&count) && count * longest <= MOST_BYTES.max(longest));
            for length in &lengths[..count - 1] {
                prop_assert!(longest - length <= MOST_PADDING);
            }
            prop_assert!(lengths[count - 1] <= longest);
        }
    }
}
