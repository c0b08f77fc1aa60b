//! Transport-wide feedback: when packets arrived, told by the numbers that they carry for all streams of their transport
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
//!
//! Enters: arrival times in the order of the numbers. Leaves: one packet. It must never know what the sender makes of it.

use super::{TRANSPORT_FEEDBACK, write};
use std::time::Duration;

/// The unit of arrival times.
pub const ARRIVAL_TICK: Duration = Duration::from_micros(250);

/// The format of this feedback.
const FORMAT: u8 = 15;
/// Packets of which one feedback tells at most: then it fits into one datagram.
const MOST: usize = 400;
/// Ticks in a unit of the reference time: 64 ms.
const REFERENCE: u64 = 256;
/// The longest run that a chunk can tell.
const MOST_ALIKE: usize = 0x1fff;

/// What became of a packet, in two bits.
const LOST: u16 = 0;
const SMALL: u16 = 1;
const LARGE: u16 = 2;

/// What stands before the arrival times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalsHead {
    /// Who tells.
    pub sender: u32,
    /// Any stream of the transport.
    pub media: u32,
    /// The number of the first packet that is told of.
    pub base: u16,
    /// Counts the feedback packets, so that their loss is seen.
    pub count: u8,
}

/// Tells when packets arrived, one after the other from number `head.base`: in [`ARRIVAL_TICK`]s since any moment, or `None` for
/// what did not arrive. Returns of how many it tells: fewer than given when they are too many for one packet or lie too far
/// apart in time. Where none of these arrived nothing is written. It may be padded, and must be the last packet of a compound
/// packet (RFC 3550 §6.4.1).
pub fn write_arrivals(out: &mut Vec<u8>, head: ArrivalsHead, arrivals: impl Iterator<Item = Option<u64>>) -> usize {
    let mut symbols = Vec::new();
    let mut deltas = Vec::new();
    let mut times: Option<(u64, u64)> = None;
    for arrival in arrivals.take(MOST) {
        let Some(tick) = arrival else {
            symbols.push(LOST);
            continue;
        };
        let (reference, before) = times.unwrap_or((tick / REFERENCE, tick / REFERENCE * REFERENCE));
        let Ok(delta) = i16::try_from(tick.cast_signed() - before.cast_signed()) else { break };
        times = Some((reference, tick));
        match u8::try_from(delta) {
            Ok(small) => {
                symbols.push(SMALL);
                deltas.push(small);
            }
            Err(_) => {
                symbols.push(LARGE);
                deltas.extend_from_slice(&delta.to_be_bytes());
            }
        }
    }
    if let Some((reference, _)) = times {
        let start = out.len();
        write::write_packet(out, TRANSPORT_FEEDBACK, FORMAT, |out| {
            write::put(out, head.sender);
            write::put(out, head.media);
            write::put(out, u32::from(head.base) << 16 | symbols.len() as u32);
            write::put(out, (reference as u32) << 8 | u32::from(head.count));
            write_chunks(out, &symbols);
            out.extend_from_slice(&deltas);
            let padding = (4 - (out.len() - start) % 4) % 4;
            if padding > 0 {
                out.resize(out.len() + padding - 1, 0);
                out.push(padding as u8);
                out[start] |= 0x20;
            }
        });
    }
    symbols.len()
}

/// What became of each packet, in words of 16 bits: a run of what is alike, or fourteen or seven one by one (§3.1.3, §3.1.4).
fn write_chunks(out: &mut Vec<u8>, symbols: &[u16]) {
    let mut rest = symbols;
    while let Some(&first) = rest.first() {
        let alike = rest.iter().take(MOST_ALIKE).take_while(|symbol| **symbol == first).count();
        let narrow = rest.iter().take(14).all(|symbol| *symbol != LARGE);
        let (room, bits, mark) = if narrow { (14, 1, 0x8000) } else { (7, 2, 0xc000) };
        let (chunk, taken) = if alike >= room.min(rest.len()) {
            (first << 13 | alike as u16, alike)
        } else {
            let taken = room.min(rest.len());
            let told = rest[..taken].iter().fold(0, |told, symbol| told << bits | symbol);
            (mark | told << (bits * (room - taken)), taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = &rest[taken..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: ArrivalsHead = ArrivalsHead { sender: 1, media: 2, base: 10, count: 7 };

    fn written(arrivals: &[Option<u64>]) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let told = write_arrivals(&mut out, HEAD, arrivals.iter().copied());
        (out, told)
    }

    /// As a sender reads it, after the text of the draft: the reference time, and each packet's time in ticks.
    fn read(packet: &[u8]) -> (u64, Vec<Option<u64>>) {
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!((packet[0] & 0xdf, packet[1], usize::from(word(2))), (0x8f, 205, packet.len() / 4 - 1));
        assert_eq!((&packet[4..12], word(12), packet[19]), (&[0, 0, 0, 1, 0, 0, 0, 2][..], 10, 7));
        let count = usize::from(word(14));
        let reference = u64::from(u32::from_be_bytes([0, packet[16], packet[17], packet[18]]));
        let end = packet.len() - if packet[0] & 0x20 == 0 { 0 } else { usize::from(packet[packet.len() - 1]) };
        let (mut at, mut symbols) = (20, Vec::new());
        while symbols.len() < count {
            let chunk = word(at);
            at += 2;
            match chunk >> 14 {
                0 | 1 => symbols.extend(std::iter::repeat_n(chunk >> 13, usize::from(chunk & 0x1fff))),
                2 => symbols.extend((0..14).rev().map(|bit| chunk >> bit & 1)),
                _ => symbols.extend((0..7).rev().map(|pair| chunk >> (2 * pair) & 3)),
            }
        }
        assert!(symbols[count..].iter().all(|symbol| *symbol == 0));
        let mut time = (reference * 256).cast_signed();
        let mut times = Vec::new();
        for symbol in &symbols[..count] {
            time += match symbol {
                0 => 0,
                1 => i64::from(packet[at]),
                2 => i64::from(word(at).cast_signed()),
                _ => panic!("reserved"),
            };
            at += usize::from(*symbol);
            times.push((*symbol > 0).then_some(time.cast_unsigned()));
        }
        assert_eq!(at, end, "nothing but padding follows");
        (reference, times)
    }

    #[test]
    fn three_packets_byte_by_byte() {
        // After one second, lost, and 10 ms later.
        let wanted: [&[u8]; 6] = [
            &[0x8f, 205, 0, 5],
            &[0, 0, 0, 1, 0, 0, 0, 2],
            &[0, 10, 0, 3],
            &[0, 0, 15, 7],
            // A bit each: 1, 0, 1.
            &[0xa8, 0x00],
            // 4,000 ticks are 160 more than 15 times 64 ms.
            &[160, 40],
        ];
        assert_eq!(written(&[Some(4000), None, Some(4040)]), (wanted.concat(), 3));
    }

    #[test]
    fn runs_take_one_word() {
        let steady: Vec<_> = (0..300).map(|n| Some(100_000 + 4 * n)).collect();
        let (packet, told) = written(&steady);
        assert_eq!((told, packet.len()), (300, 20 + 2 + 300 + 2));
        assert_eq!(packet[20..22], [0x21, 0x2c], "a run of 300 small ones");
        assert_eq!(packet[packet.len() - 2..], [0, 2], "padded to a whole word");
        assert_eq!(read(&packet).1, steady);
    }

    #[test]
    fn what_came_late_has_a_time_before_the_others() {
        let arrivals = [Some(1000), Some(900), None, Some(30_000), Some(1001)];
        assert_eq!(read(&written(&arrivals).0).1, arrivals);
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_next() {
        assert_eq!(written(&[Some(0), None, Some(40_000)]).1, 2, "ten seconds later");
        assert_eq!(written(&vec![Some(1); 500]).1, 400);
        let (nothing, told) = written(&[None; 500]);
        assert!(nothing.is_empty() && told == 400);
        assert_eq!(written(&[]), (vec![], 0));
    }

    #[test]
    fn the_longest_fits_into_a_datagram() {
        let far: Vec<_> = (0..400).map(|n| Some(1_000_000 + (n % 2) * 20_000)).collect();
        let (packet, told) = written(&far);
        assert!(told == 400 && packet.len() < 1000, "{}", packet.len());
    }

    proptest! {
        #[test]
        fn all_that_is_told_is_read(gaps in prop::collection::vec((0u8..4, 0u64..600), 1..400)) {
            let mut time = 50_000;
            let arrivals: Vec<Option<u64>> = gaps.into_iter().map(|(what, gap)| {
                if what == 0 {
                    return None;
                }
                time = if what == 1 { time - gap / 3 } else { time + gap };
                Some(time)
            }).collect();
            let (packet, told) = written(&arrivals);
            prop_assert_eq!(told, arrivals.len());
            match arrivals.iter().flatten().next() {
                Some(first) => {
                    let (reference, times) = read(&packet);
                    prop_assert_eq!(reference, first / 256);
                    prop_assert_eq!(times, arrivals);
                }
                None => prop_assert!(packet.is_empty()),
            }
        }
    }
}
