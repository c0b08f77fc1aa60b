//! RTCP as bytes: compound packets read and written (RFC 3550 §6, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Enters: plain compound packets of a peer, facts of our own. Leaves: the facts of the peer, bytes of ours. It must never
//! know encryption, sessions, or what anyone does about a lost packet.
//!
//! [`parse`] goes through a compound packet without copying; the writers append to a buffer, and what is written one after
//! the other is a compound packet.

mod arrivals;
mod ntp;
mod write;

pub use arrivals::{ARRIVAL_TICK, ArrivalsHead, write_arrivals};
pub use ntp::NtpTime;
pub use write::{
    write_bye, write_cname, write_fir, write_nack, write_pli, write_receiver_report, write_remb, write_sender_report,
};

use std::marker::PhantomData;
use std::time::Duration;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Of transport feedback (RFC 4585 §6.2.1).
const NACK: u8 = 1;
/// Of payload feedback: RFC 4585 §6.3.1, RFC 5104 §4.3.1, RFC 4585 §6.4.
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;
const REMB: [u8; 4] = *b"REMB";

/// One packet of a compound packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rtcp<'a> {
    SenderReport {
        ssrc: u32,
        info: SenderInfo,
        /// At most 31.
        reports: Items<'a, ReportBlock>,
    },
    ReceiverReport {
        ssrc: u32,
        /// At most 31.
        reports: Items<'a, ReportBlock>,
    },
    /// Sequence numbers of `media` that did not arrive. One packet can name thousands: whoever resends sets a limit.
    Nack {
        sender: u32,
        media: u32,
        lost: Lost<'a>,
    },
    /// A key frame of `media` is wanted.
    Pli {
        sender: u32,
        media: u32,
    },
    /// Key frames are wanted of these, each with its command number: the same number again is the same request again, to be
    /// answered once (RFC 5104 §4.3.1.2).
    Fir {
        sender: u32,
        entries: Items<'a, (u32, u8)>,
    },
    /// The receiver's estimate of what these streams together may use. A value beyond 64 bits reads as the greatest.
    Remb {
        sender: u32,
        bps: u64,
        ssrcs: Items<'a, u32>,
    },
    Bye {
        ssrcs: Items<'a, u32>,
    },
    /// Well framed, but nothing that we read; `format` is the five bits beside the version.
    Other {
        kind: u8,
        format: u8,
    },
}

/// What a sender says of its stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    pub ntp: NtpTime,
    /// The same moment on the clock of the stream's time stamps.
    pub rtp_timestamp: u32,
    pub packets: u32,
    /// Payload without headers and padding.
    pub octets: u32,
}

/// What a receiver says of a stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Since the beginning, 24 bits with sign: duplicates can make it negative.
    pub lost: i32,
    /// With the count of rollovers, as this receiver counts them, in the upper half.
    pub highest_sequence: u32,
    /// In units of the stream's clock.
    pub jitter: u32,
    /// The middle of the time in the newest sender report, see [`NtpTime::middle`]; 0 without one.
    pub last_sr: u32,
    /// How long ago that came, in 65,536ths of a second.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// The time to the receiver and back, when this report arrives at `now`. `None` before it heard a sender report, and when
    /// the numbers give no sense.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        let span = now.middle().wrapping_sub(self.last_sr).wrapping_sub(self.delay_since_last_sr);
        let sensible = self.last_sr != 0 && span < 1 << 31;
        sensible.then(|| Duration::from_nanos((u64::from(span) * 1_000_000_000) >> 16))
    }
}

/// Reads a plain compound packet. Where a packet in it is badly framed or too short for what it says, reading ends there.
pub fn parse(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// The packets of a compound packet.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let rest = std::mem::take(&mut self.rest);
        let (&[first, kind, high, low], _) = rest.split_first_chunk()?;
        let len = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        if first >> 6 != 2 {
            return None;
        }
        let mut body = rest.get(4..len)?;
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            body = body.get(..body.len().checked_sub(padding.max(1))?)?;
        }
        let packet = read_packet(kind, first & 0x1f, body)?;
        self.rest = &rest[len..];
        Some(packet)
    }
}

fn read_packet(kind: u8, format: u8, body: &[u8]) -> Option<Rtcp<'_>> {
    let (ssrc, after) = match body.split_first_chunk() {
        Some((ssrc, after)) => (Some(u32::from_be_bytes(*ssrc)), after),
        None => (None, body),
    };
    Some(match kind {
        SENDER_REPORT => {
            let (info, reports) = after.split_at_checked(20)?;
            let info = SenderInfo {
                ntp: NtpTime(u64::from(word(info, 0)) << 32 | u64::from(word(info, 1))),
                rtp_timestamp: word(info, 2),
                packets: word(info, 3),
                octets: word(info, 4),
            };
            Rtcp::SenderReport { ssrc: ssrc?, info, reports: Items::counted(reports, format)? }
        }
        RECEIVER_REPORT => Rtcp::ReceiverReport { ssrc: ssrc?, reports: Items::counted(after, format)? },
        BYE => Rtcp::Bye { ssrcs: Items::counted(body, format)? },
        TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => {
            let (media, control) = after.split_first_chunk()?;
            read_feedback(kind, format, ssrc?, u32::from_be_bytes(*media), control)?
        }
        _ => Rtcp::Other { kind, format },
    })
}

/// RFC 4585 §6.1: all feedback names its sender and a stream before what it says.
fn read_feedback(kind: u8, format: u8, sender: u32, media: u32, control: &[u8]) -> Option<Rtcp<'_>> {
    Some(match (kind, format) {
        (TRANSPORT_FEEDBACK, NACK) => Rtcp::Nack { sender, media, lost: Lost::new(control) },
        (PAYLOAD_FEEDBACK, PLI) => Rtcp::Pli { sender, media },
        (PAYLOAD_FEEDBACK, FIR) => Rtcp::Fir { sender, entries: Items::all(control) },
        (PAYLOAD_FEEDBACK, APPLICATION) if control.starts_with(&REMB) => {
            let (&[count, high, middle, low], ssrcs) = control[REMB.len()..].split_first_chunk()?;
            let mantissa = u64::from(u32::from_be_bytes([0, high & 3, middle, low]));
            let exponent = u32::from(high >> 2);
            let fits = exponent <= mantissa.leading_zeros();
            let bps = if fits { mantissa.checked_shl(exponent).unwrap_or(0) } else { u64::MAX };
            Rtcp::Remb { sender, bps, ssrcs: Items::counted(ssrcs, count)? }
        }
        _ => Rtcp::Other { kind, format },
    })
}

/// The n-th 32-bit word.
fn word(bytes: &[u8], n: usize) -> u32 {
    u32::from_be_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
}

/// Something of fixed length that is repeated in a packet.
pub trait Item: Sized {
    /// In bytes.
    const LEN: usize;
    /// From exactly [`LEN`](Self::LEN) bytes.
    fn read(bytes: &[u8]) -> Self;
}

impl Item for u32 {
    const LEN: usize = 4;
    fn read(bytes: &[u8]) -> u32 {
        word(bytes, 0)
    }
}

/// An entry of a FIR: SSRC and command number.
impl Item for (u32, u8) {
    const LEN: usize = 8;
    fn read(bytes: &[u8]) -> (u32, u8) {
        (word(bytes, 0), bytes[4])
    }
}

impl Item for ReportBlock {
    const LEN: usize = 24;
    fn read(bytes: &[u8]) -> ReportBlock {
        ReportBlock {
            ssrc: word(bytes, 0),
            fraction_lost: bytes[4],
            // Up and down again: the shift back carries the sign.
            lost: (word(bytes, 1) << 8) as i32 >> 8,
            highest_sequence: word(bytes, 2),
            jitter: word(bytes, 3),
            last_sr: word(bytes, 4),
            delay_since_last_sr: word(bytes, 5),
        }
    }
}

/// Goes through the repeated part of a packet, where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Items<'a, T> {
    bytes: &'a [u8],
    item: PhantomData<T>,
}

impl<'a, T: Item> Items<'a, T> {
    /// The first `count`; `None` when there are not so many.
    fn counted(bytes: &'a [u8], count: u8) -> Option<Self> {
        bytes.get(..usize::from(count) * T::LEN).map(Self::all)
    }

    fn all(bytes: &'a [u8]) -> Self {
        Items { bytes, item: PhantomData }
    }
}

impl<T: Item> Iterator for Items<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let (item, rest) = self.bytes.split_at_checked(T::LEN)?;
        self.bytes = rest;
        Some(T::read(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.bytes.len() / T::LEN;
        (len, Some(len))
    }
}

impl<T: Item> ExactSizeIterator for Items<'_, T> {}

/// The sequence numbers of a NACK, in the order in which it names them (RFC 4585 §6.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<'a> {
    /// A sequence number and the sixteen bits for those after it, in one word.
    pairs: Items<'a, u32>,
    /// The next number to look at, and a bit for it and for each one after it.
    base: u16,
    bits: u32,
}

impl<'a> Lost<'a> {
    fn new(control: &'a [u8]) -> Self {
        Lost { pairs: Items::all(control), base: 0, bits: 0 }
    }
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.bits == 0 {
            let pair = self.pairs.next()?;
            self.base = (pair >> 16) as u16;
            self.bits = (pair & 0xffff) << 1 | 1;
        }
        let offset = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.base.wrapping_add(offset as u16))
    }
}

#[cfg(test)]
mod tests;
