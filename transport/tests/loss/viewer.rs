//! A browser's receiving half: an independent stack that connects and asks for what is lost, and a decoder's view of the
//! media: which frame could be shown when. Media is opened here, since that stack takes nothing that comes late.

use crate::connection::{Connection, RTX, value};
use crate::publisher::FRAME;
use rivero_engine::MediaTime;
use rivero_engine::time::ManualClock;
use rivero_transport::net::OnWire;
use rivero_transport::srtp::RtpOpener;
use rivero_transport::testing::Peer;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use str0m::media::KeyframeRequestKind;
use str0m::rtp::Ssrc;

pub struct Viewer {
    pub connection: Connection,
    ssrc: Option<Ssrc>,
    /// Of retransmissions, where negotiated.
    rtx: Option<u32>,
    opener: Option<RtpOpener>,
    /// It asks for lost packets: then the stack has to see them as well.
    nack: bool,
    /// After how long without a picture it asks for a key frame; `None` for never.
    patience: Option<Duration>,
    asked: MediaTime,
    pub asks: u32,
    pub screen: Screen,
}

impl Viewer {
    pub fn new(clock: &Arc<ManualClock>, address: SocketAddr, patience: Option<Duration>) -> Self {
        let connection = Connection::new(clock, address);
        let (ssrc, rtx, opener, screen) = (None, None, None, Screen::default());
        Viewer { connection, ssrc, rtx, opener, nack: false, patience, asked: MediaTime::ZERO, asks: 0, screen }
    }

    /// Expects what an answer announces; `nack` says whether lost packets are asked for.
    pub fn expect(&mut self, answer: &str, nack: bool) {
        let ssrc = value(answer, "a=ssrc:").split(' ').next().expect("a number");
        let ssrc: u32 = ssrc.parse().expect("a number");
        let pair = answer.lines().find_map(|line| line.strip_prefix("a=ssrc-group:FID "));
        let pair = pair.and_then(|pair| pair.split_once(' '));
        self.rtx = pair.map(|(_, again)| again.parse().expect("a number"));
        let mut api = self.connection.rtc.direct_api();
        api.expect_stream_rx(ssrc.into(), self.rtx.map(Ssrc::from), "0".into(), None).suppress_nack(!nack);
        (self.ssrc, self.nack) = (Some(ssrc.into()), nack);
    }

    fn watch(&mut self, now: MediaTime) {
        self.connection.events.clear();
        let (Some(patience), Some(ssrc)) = (self.patience, self.ssrc) else { return };
        let last = self.screen.shown.last().map_or(MediaTime::ZERO, |shown| shown.at);
        if self.screen.packets > 0 && now.since(last.max(self.asked)) > patience {
            self.asked = now;
            self.asks += 1;
            let mut api = self.connection.rtc.direct_api();
            api.stream_rx(&ssrc).expect("it is expected").request_keyframe(KeyframeRequestKind::Pli);
            self.connection.due = now;
        }
    }
}

impl Peer for Viewer {
    fn address(&self) -> SocketAddr {
        self.connection.address
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        let media = matches!(datagram.bytes[..], [128..=191, 0..=191 | 224.., ..]);
        if media {
            let opener = self.opener.get_or_insert_with(|| self.connection.rtp_opener());
            self.screen.open(now, &datagram.bytes, opener, self.rtx);
        }
        if !media || self.nack {
            self.connection.receive(now, datagram, out);
        }
        self.watch(now);
    }

    fn due(&self) -> MediaTime {
        self.connection.due
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        self.connection.wake(now, out);
        self.watch(now);
    }
}

/// A frame that could be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub frame: u32,
    pub at: MediaTime,
}

/// What a decoder makes of packets: a frame is shown when all its packets are there and the one before it was shown; or it is
/// a key frame.
#[derive(Default)]
pub struct Screen {
    pub packets: u64,
    /// The publisher sends packets of padding, which are left out.
    pub pads: bool,
    /// Packets without payload.
    pub empty: u64,
    /// Packets that came on the retransmission stream.
    pub resent: u64,
    /// Packets that came twice, the same each time.
    pub repeated: u64,
    /// Packets that came after one with a higher number.
    pub late: u64,
    /// Frames that were never shown, because a later key frame was.
    pub skipped: u32,
    pub shown: Vec<Shown>,
    next: u32,
    frames: BTreeMap<u32, Frame>,
    /// What came, by our number: the publisher's.
    numbers: HashMap<u64, u32>,
    highest: u64,
    /// Our numbers less the publisher's.
    shifts: BTreeSet<i64>,
}

#[derive(Default)]
struct Frame {
    key: bool,
    count: u8,
    /// One bit a packet.
    seen: [u128; 2],
}

impl Frame {
    fn is_whole(&self) -> bool {
        self.seen.iter().map(|bits| bits.count_ones()).sum::<u32>() == u32::from(self.count)
    }
}

impl Screen {
    fn open(&mut self, now: MediaTime, packet: &[u8], opener: &RtpOpener, rtx: Option<u32>) {
        let source = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        if rtx == Some(source) {
            return self.open_again(now, packet, opener);
        }
        // A header without sources or extensions is what was negotiated.
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let behind = (self.highest as u16).wrapping_sub(number) as i16;
        let sequence =
            if self.packets == 0 { u64::from(number) } else { self.highest.wrapping_sub(behind as i64 as u64) };
        let mut room = Vec::new();
        let payload = opener.open(packet, 12, (sequence >> 16) as u32, &mut room).expect("what comes is authentic");
        self.take(now, sequence, packet[1] & 0x80 != 0, payload);
    }

    /// A packet of the retransmission stream, of which fewer than 65,536 come: its own number, then the original one.
    fn open_again(&mut self, now: MediaTime, packet: &[u8], opener: &RtpOpener) {
        assert_eq!(packet[1] & 0x7f, RTX);
        let mut room = Vec::new();
        let payload = opener.open(packet, 12, 0, &mut room).expect("what comes is authentic");
        let number = u16::from_be_bytes([payload[0], payload[1]]);
        let behind = (self.highest as u16).wrapping_sub(number) as i16;
        self.resent += 1;
        self.take(now, self.highest.wrapping_sub(behind as i64 as u64), packet[1] & 0x80 != 0, &payload[2..]);
    }

    fn take(&mut self, now: MediaTime, sequence: u64, marker: bool, bytes: &[u8]) {
        if bytes.is_empty() {
            assert!(self.pads && self.numbers.insert(sequence, u32::MAX).is_none());
            self.empty += 1;
            return;
        }
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (number, index, count, key, original) = (word(2), bytes[6], bytes[7], bytes[8] == 1, word(9));
        if let Some(before) = self.numbers.insert(sequence, original) {
            assert_eq!(before, original, "a number stands for one packet only");
            self.repeated += 1;
            return;
        }
        self.packets += 1;
        self.late += u64::from(sequence < self.highest);
        self.highest = self.highest.max(sequence);
        self.shifts.insert(sequence as i64 - i64::from(original));
        assert!(
            self.pads || self.shifts.len() == 1,
            "every packet keeps its place among the others, however late it comes"
        );
        assert_eq!(marker, index + 1 == count);
        let frame = self.frames.entry(number).or_default();
        (frame.key, frame.count) = (key, count);
        frame.seen[usize::from(index / 128)] |= 1 << (index % 128);
        self.show(now);
    }

    fn show(&mut self, now: MediaTime) {
        loop {
            let decodable = |(number, frame): &(&u32, &Frame)| {
                frame.is_whole()
                    && **number >= self.next
                    && (**number == self.next && !self.shown.is_empty() || frame.key)
            };
            let Some(frame) = self.frames.iter().find(decodable).map(|(number, _)| *number) else { break };
            self.skipped += if self.shown.is_empty() { 0 } else { frame - self.next };
            self.shown.push(Shown { frame, at: now });
            self.next = frame + 1;
            self.frames = self.frames.split_off(&self.next);
        }
    }

    /// The longest time without a new frame between `from` and `until`.
    pub fn longest_gap(&self, from: MediaTime, until: MediaTime) -> Duration {
        let times = self.shown.iter().map(|shown| shown.at).filter(|at| (from..until).contains(at));
        let mut last = from;
        times.chain([until]).map(|at| at.since(std::mem::replace(&mut last, at))).max().unwrap_or_default()
    }

    /// Since when every frame has come, each a frame's time after the one before, up to the newest of so many.
    pub fn steady_since(&self, ended: MediaTime, frames: u32) -> MediaTime {
        let newest = self.shown.last().expect("something was shown");
        assert!(newest.frame + 4 >= frames, "the newest picture is on its way: {} of {frames}", newest.frame);
        let steady = |pair: &&[Shown]| {
            let [before, after] = pair else { return false };
            after.frame == before.frame + 1 && after.at.since(before.at) <= FRAME + Duration::from_millis(1)
        };
        let count = self.shown.windows(2).rev().take_while(steady).count();
        let first = self.shown[self.shown.len() - 1 - count];
        first.at.max(ended)
    }
}
