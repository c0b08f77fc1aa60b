//! The peer's RTP of one line, opened: authentic where there are keys, each packet once (RFC 3711 §3.3.2, RFC 3550 appendix A.1).
//!
//! Enters: datagrams. Leaves: packets, and what is reported of their sources. It must never know where they came from.

use crate::rtcp::ReportBlock;
use crate::rtp::header::{Arrived, Header, header_length};
use crate::rtp::source::Source;
use crate::srtp::RtpOpener;
use rivero_engine::MediaTime;

/// How many sources are remembered; the one unheard for longest makes room.
const SOURCES: usize = 8;
/// So many packets in order that all look old are no replay: their sender has started anew. Only without keys.
const RESTARTED: u8 = 5;

pub struct Sources {
    opener: RtpOpener,
    authenticates: bool,
    known: Vec<Known>,
}

struct Known {
    source: Source,
    /// How often it has started anew.
    epoch: u32,
    /// The last number that looked old, and how many came in order.
    strange: (u16, u8),
}

impl Sources {
    pub fn plain() -> Self {
        Sources { opener: RtpOpener::plain(), authenticates: false, known: Vec::new() }
    }

    pub fn secured(opener: RtpOpener) -> Self {
        Sources { opener, authenticates: true, known: Vec::new() }
    }

    /// Whether what is opened is proved to be the peer's.
    pub fn authenticates(&self) -> bool {
        self.authenticates
    }

    /// The packet in a datagram; `clock_rate` in Hz is that of its payload type. `None` when it is broken, forged, or came before.
    pub fn open(&mut self, datagram: &[u8], clock_rate: u32, now: MediaTime) -> Option<Arrived> {
        let header = Header::read(datagram)?;
        let Header { ssrc, number, .. } = header;
        let known = self.known.iter().position(|known| known.source.ssrc == ssrc);
        let sequence = match known {
            Some(at) => self.known[at].place(number, self.authenticates, clock_rate)?,
            None => number.into(),
        };
        let mut payload = Vec::with_capacity(datagram.len());
        self.opener.open(datagram, header_length(datagram)?, (sequence >> 16) as u32, &mut payload)?;
        let at = known.unwrap_or_else(|| self.welcome(ssrc, clock_rate));
        let found = &mut self.known[at];
        found.source.note(sequence, header.timestamp, now);
        found.strange = (0, 0);
        let stream = ssrc.wrapping_add(found.epoch.wrapping_mul(0x9e37_79b9));
        Some(Arrived { stream, ..header.arrived(sequence, payload)? })
    }

    fn welcome(&mut self, ssrc: u32, clock_rate: u32) -> usize {
        if self.known.len() >= SOURCES
            && let Some((at, _)) = self.known.iter().enumerate().min_by_key(|(_, known)| known.source.heard)
        {
            self.known.remove(at);
        }
        self.known.push(Known { source: Source::new(ssrc, clock_rate), epoch: 0, strange: (0, 0) });
        self.known.len() - 1
    }

    pub fn note_sender_report(&mut self, ssrc: u32, middle: u32, now: MediaTime) {
        if let Some(known) = self.known.iter_mut().find(|known| known.source.ssrc == ssrc) {
            known.source.note_sender_report(middle, now);
        }
    }

    /// The peer has taken leave of a source (RFC 3550 §6.6). With keys it is only the first to make room: without its window
    /// somebody could play its packets again.
    pub fn dismiss(&mut self, ssrc: u32) {
        if self.authenticates {
            let gone = self.known.iter_mut().filter(|known| known.source.ssrc == ssrc);
            gone.for_each(|known| known.source.heard = MediaTime::ZERO);
        } else {
            self.known.retain(|known| known.source.ssrc != ssrc);
        }
    }

    /// Reports on every source that was heard since the last report, each with its jitter in seconds.
    pub fn report(&mut self, now: MediaTime) -> Vec<(ReportBlock, f64)> {
        let active = self.known.iter_mut().map(|known| &mut known.source).filter(|source| source.is_active());
        active.map(|source| (source.report(now), source.jitter())).collect()
    }
}

impl Known {
    /// The whole number of a packet; `None` for one that came before.
    fn place(&mut self, number: u16, authenticates: bool, clock_rate: u32) -> Option<u64> {
        if let Some(whole) = self.source.whole(number).filter(|whole| self.source.is_new(*whole)) {
            return Some(whole);
        }
        if authenticates {
            return None;
        }
        let (last, count) = self.strange;
        let count = if count > 0 && number == last.wrapping_add(1) { count + 1 } else { 1 };
        self.strange = (number, count);
        if count < RESTARTED {
            return None;
        }
        self.epoch += 1;
        self.source = Source::new(self.source.ssrc, clock_rate);
        Some(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::{Profile, Sealer};

    fn packet(number: u16) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        [&[0x80, 96, high, low, 0, 0, 0, 1, 0, 0, 0, 9][..], b"payload"].concat()
    }

    fn open(sources: &mut Sources, datagram: &[u8]) -> Option<(u64, u32)> {
        let arrived = sources.open(datagram, 90_000, MediaTime::ZERO)?;
        assert_eq!(&arrived.payload[..], b"payload");
        Some((arrived.sequence, arrived.stream))
    }

    #[test]
    fn each_packet_once_and_a_sender_that_starts_anew_is_heard_again() {
        let mut sources = Sources::plain();
        assert_eq!(open(&mut sources, &packet(30_000)), Some((30_000, 9)));
        assert_eq!(open(&mut sources, &packet(30_000)), None);
        assert_eq!(open(&mut sources, &packet(29_999)), Some((29_999, 9)), "late");
        for number in 100..104 {
            assert_eq!(open(&mut sources, &packet(number)), None);
        }
        let (sequence, stream) = open(&mut sources, &packet(104)).expect("the fifth in order");
        assert_eq!(sequence, 104);
        assert_ne!(stream, 9, "another count of numbers");
        assert_eq!(open(&mut sources, &packet(105)), Some((105, stream)));
    }

    #[test]
    fn duplicates_of_a_network_are_no_new_start() {
        let mut sources = Sources::plain();
        for number in 0..100 {
            assert_eq!(open(&mut sources, &packet(number)), Some((number.into(), 9)));
            assert_eq!(open(&mut sources, &packet(number)), None);
        }
    }

    #[test]
    fn with_keys_nothing_is_taken_twice_however_often_it_comes() {
        let (profile, key) = (Profile::Aes256CmSha1_32, [7; 46]);
        let mut sealer = Sealer::with_master(profile, &key).expect("46 bytes");
        let mut seal = |number| {
            let mut out = packet(number);
            sealer.seal_rtp(&mut out, 0, 12, 0);
            out
        };
        let opener = RtpOpener::with_master(profile, &key, 0).expect("46 bytes");
        let mut sources = Sources::secured(opener);
        for number in 0..20 {
            assert_eq!(open(&mut sources, &seal(number)), Some((number.into(), 9)));
        }
        for number in 0..20 {
            assert_eq!(open(&mut sources, &seal(number)), None);
        }
        assert_eq!(open(&mut sources, &packet(21)), None, "and nothing without a tag");
    }
}
