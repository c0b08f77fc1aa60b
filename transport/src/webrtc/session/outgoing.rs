//! Our own sending half: packets wait for the end of the pass, are sealed straight into the worker's send buffer, one consumer's
//! packets side by side, and leave with one system call where their lengths allow.
//!
//! What one consumer costs beside its keys: the numbers of [`History`], which shares the packets themselves with everyone
//! else they were sent to. Lost packets are sent again byte for byte (same header, same padding): the nonce of an RTP packet is
//! its number, and must never be used for other bytes (RFC 7714, section 8.1).

use crate::net::{SendBuffer, UdpPort};
use crate::srtp::{Opener, Sealer};
use crate::webrtc::rewrite::Rewriter;
use rivero_engine::{Caps, MediaTime, Rtp};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// How many packets of a line may be asked for again.
const HISTORY: usize = 512;
/// Packets are padded by at most this much so that they can leave in one piece: padding costs bytes, a system call costs more.
const MOST_PADDING: usize = 48;
/// Segments that the kernel takes in one piece, and the bytes of it.
const MOST_SEGMENTS: usize = 64;
const MOST_BYTES: usize = 60_000;

/// The keys of a transport, once its handshake is done, and what waits to be sent with them.
pub(super) struct Outgoing {
    pub sealer: Sealer,
    pub opener: Opener,
    /// What incoming RTCP is opened into.
    pub room: Vec<u8>,
    pending: Vec<Pending>,
    /// When the next sender report is due; `None` while nothing was sent since the last.
    pub report_due: Option<MediaTime>,
}

/// A packet of a line, as it is numbered for the peer.
#[derive(Clone)]
pub(super) struct Record {
    pub rtp: Arc<Rtp>,
    pub sequence: u64,
    pub timestamp: u32,
    pub payload_type: u8,
    pub entered: MediaTime,
    /// Bytes of padding, decided when it is first sent.
    pub padding: u8,
}

struct Pending {
    line: usize,
    record: Record,
}

/// All that sending a packet touches of a line, side by side: with hundreds of viewers it is memory that costs.
pub(super) struct SendLine {
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
    /// The peer may ask for lost packets: without that nothing is kept for it.
    pub resends: bool,
    pub history: History,
}

/// The last packets of a line.
#[derive(Default)]
pub(super) struct History {
    records: Vec<Option<Record>>,
}

impl History {
    fn keep(&mut self, record: Record) {
        if self.records.is_empty() {
            self.records.resize_with(HISTORY, || None);
        }
        let at = record.sequence as usize % HISTORY;
        self.records[at] = Some(record);
    }

    /// The packet of a 16-bit sequence number, if it is still known.
    pub fn find(&self, sequence: u16) -> Option<&Record> {
        let at = usize::from(sequence) % HISTORY;
        // 65,536 is a multiple of the history's length, so that the place tells everything but the upper bits.
        self.records.get(at)?.as_ref().filter(|record| record.sequence as u16 == sequence)
    }
}

/// Where a transport's datagrams go.
pub(super) struct Way<'a> {
    pub port: &'a Rc<UdpPort>,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

impl Outgoing {
    pub fn new(sealer: Sealer, opener: Opener) -> Self {
        Outgoing { sealer, opener, room: Vec::new(), pending: Vec::new(), report_due: None }
    }

    pub fn push(&mut self, line: usize, record: Record) {
        self.pending.push(Pending { line, record });
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Seals everything that waits into the worker's send buffer.
    pub fn transmit(&mut self, way: &Way<'_>, lines: &mut [SendLine], buffer: &mut SendBuffer) {
        let mut rest = self.pending.as_mut_slice();
        while !rest.is_empty() {
            let (count, longest) = run(rest.iter().map(|pending| length(&pending.record, &lines[pending.line])));
            let (now, later) = rest.split_at_mut(count);
            equalise(now, longest, lines);
            let start = buffer.bytes.len();
            let mut segment = 0;
            for pending in now.iter() {
                let before = buffer.bytes.len();
                seal(&mut buffer.bytes, &mut self.sealer, &lines[pending.line], &pending.record);
                segment = segment.max(buffer.bytes.len() - before);
            }
            push(buffer, way, start, segment);
            rest = later;
        }
        for pending in self.pending.drain(..) {
            let line = &mut lines[pending.line];
            if line.resends {
                line.history.keep(pending.record);
            }
        }
    }

    /// Sends a packet again, exactly as it was. False when it is no longer known.
    pub fn resend(&mut self, way: &Way<'_>, line: &SendLine, sequence: u16, buffer: &mut SendBuffer) -> bool {
        let Some(record) = line.history.find(sequence) else { return false };
        let start = buffer.bytes.len();
        seal(&mut buffer.bytes, &mut self.sealer, line, record);
        push(buffer, way, start, buffer.bytes.len() - start);
        true
    }

    /// Seals and sends one compound RTCP packet.
    pub fn send_rtcp(&mut self, way: &Way<'_>, buffer: &mut SendBuffer, write: impl FnOnce(&mut Vec<u8>)) {
        let start = buffer.bytes.len();
        write(&mut buffer.bytes);
        self.sealer.seal_rtcp(&mut buffer.bytes, start);
        push(buffer, way, start, buffer.bytes.len() - start);
    }
}

fn push(buffer: &mut SendBuffer, way: &Way<'_>, start: usize, segment: usize) {
    buffer.push(way.port, way.from, way.to, start, segment);
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

/// Pads all but the last packet to the longest.
fn equalise(run: &mut [Pending], longest: usize, lines: &[SendLine]) {
    let Some((_, but_last)) = run.split_last_mut() else { return };
    for pending in but_last {
        let missing = longest - length(&pending.record, &lines[pending.line]);
        pending.record.padding = missing as u8;
    }
}

/// Bytes before sealing and padding.
fn length(record: &Record, line: &SendLine) -> usize {
    header_length(line) + record.rtp.payload.len()
}

fn header_length(line: &SendLine) -> usize {
    if line.abs_send_time.is_some() { 20 } else { 12 }
}

/// Writes one packet (RFC 3550, section 5.1; RFC 8285, section 4.2) and seals it where it stands.
fn seal(out: &mut Vec<u8>, sealer: &mut Sealer, line: &SendLine, record: &Record) {
    let start = out.len();
    let padding = record.padding;
    let extended = line.abs_send_time.is_some();
    out.push(0x80 | u8::from(padding > 0) << 5 | u8::from(extended) << 4);
    out.push(u8::from(record.rtp.marker) << 7 | record.payload_type);
    out.extend_from_slice(&(record.sequence as u16).to_be_bytes());
    out.extend_from_slice(&record.timestamp.to_be_bytes());
    out.extend_from_slice(&line.ssrc.to_be_bytes());
    if let Some(id) = line.abs_send_time {
        let time = abs_send_time(record.entered).to_be_bytes();
        out.extend_from_slice(&[0xbe, 0xde, 0, 1, id << 4 | 2, time[1], time[2], time[3]]);
    }
    out.extend_from_slice(&record.rtp.payload);
    if padding > 0 {
        out.resize(out.len() + usize::from(padding) - 1, 0);
        out.push(padding);
    }
    sealer.seal_rtp(out, start, header_length(line), (record.sequence >> 16) as u32);
}

/// Seconds in 6.18 bits fixed point. Told is the time at which the packet entered the pipeline, which is the same for all
/// consumers and for a packet that is sent again.
fn abs_send_time(entered: MediaTime) -> u32 {
    let fraction = (u128::from(entered.as_nanos()) << 18) / 1_000_000_000;
    (fraction & 0x00ff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Profile;
    use proptest::prelude::*;

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

    fn record(sequence: u64, length: usize) -> Record {
        let payload = vec![sequence as u8; length].into();
        let rtp = Rtp { ssrc: 1, sequence: 900 + sequence, timestamp: 0, marker: false, payload };
        Record {
            rtp: Arc::new(rtp),
            sequence,
            timestamp: 3000,
            payload_type: 96,
            entered: MediaTime::from_millis(7),
            padding: 0,
        }
    }

    fn sending() -> (Outgoing, [SendLine; 1], Rc<UdpPort>) {
        let keys = [7; 56];
        let sealer = Sealer::new(Profile::AeadAes128Gcm, &keys, true).expect("56 bytes are what this profile wants");
        let opener = Opener::new(Profile::AeadAes128Gcm, &keys, true).expect("the same");
        let port = Rc::new(UdpPort::bind((1024, 65535), 40_000).expect("a port is free"));
        let line = SendLine {
            ssrc: 5,
            chosen: None,
            rewriter: Rewriter::new(90_000, 0),
            packets: 0,
            bytes: 0,
            reported: 0,
            abs_send_time: Some(3),
            resends: true,
            history: History::default(),
        };
        (Outgoing::new(sealer, opener), [line], port)
    }

    #[tokio::test]
    async fn a_packet_in_steady_state_allocates_nothing() {
        let (mut outgoing, mut lines, port) = sending();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let way = Way { port: &port, from: nowhere, to: nowhere };
        port.writable(nowhere.ip()).await;
        let mut buffer = SendBuffer::default();
        let packet = record(0, 1100);
        let mut sequence = 0;
        let mut burst = || {
            for _ in 0..10 {
                sequence += 1;
                outgoing.push(0, Record { sequence, ..packet.clone() });
            }
            outgoing.transmit(&way, &mut lines, &mut buffer);
            buffer.send(|_, _, _, _| panic!("an empty socket has room"));
        };
        burst();
        let measured = allocation_counter::measure(|| (0..100).for_each(|_| burst()));
        assert_eq!(measured.count_total, 0, "for a thousand packets, sealed and sent");
    }

    #[tokio::test]
    async fn what_is_sent_again_is_the_same_byte_for_byte() {
        let (mut outgoing, mut lines, port) = sending();
        let somewhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let way = Way { port: &port, from: somewhere, to: somewhere };
        let mut buffer = SendBuffer::default();
        for (sequence, length) in [(65_535, 100), (65_536, 110), (65_537, 60)] {
            outgoing.push(0, record(sequence, length));
        }
        outgoing.transmit(&way, &mut lines, &mut buffer);
        let sent = std::mem::take(&mut buffer.bytes);
        let segment = 20 + 110 + 16;
        assert_eq!(sent.len(), 2 * segment + 20 + 60 + 16, "the first is padded to the second, the last stays short");
        for (at, sequence) in [65_535u16, 0, 1].into_iter().enumerate() {
            assert!(outgoing.resend(&way, &lines[0], sequence, &mut buffer));
            let again = std::mem::take(&mut buffer.bytes);
            assert_eq!(again, sent[at * segment..][..again.len()]);
        }
        assert!(!outgoing.resend(&way, &lines[0], 2, &mut buffer), "never sent");
        for sequence in 65_538..65_538 + HISTORY as u64 {
            outgoing.push(0, record(sequence, 10));
        }
        outgoing.transmit(&way, &mut lines, &mut buffer);
        assert!(!outgoing.resend(&way, &lines[0], 1, &mut buffer), "too long ago");
    }

    #[test]
    fn the_time_of_sending_has_18_bits_of_fraction() {
        assert_eq!(abs_send_time(MediaTime::from_millis(1500)), 3 << 17);
        assert_eq!(abs_send_time(MediaTime::from_millis(64_000)), 0, "and wraps every 64 seconds");
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
