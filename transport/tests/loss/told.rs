//! Transport-wide feedback as a sender reads it, after the text of draft-holmer-rmcat-transport-wide-cc-extensions-01.

use std::collections::BTreeMap;

/// What became of each packet, by the number that it carried: when it arrived, in units of 250 µs since some moment, or `None`.
#[derive(Default)]
pub struct Told {
    pub packets: BTreeMap<u16, Option<i64>>,
    /// Feedback packets so far, and those that were lost before the newest of them.
    pub count: u64,
    pub lost: u64,
}

impl Told {
    /// Reads what there is of it in a compound packet.
    pub fn read(&mut self, compound: &[u8]) {
        let mut rest = compound;
        while let [first, kind, high, low, ..] = *rest {
            let (packet, next) = rest.split_at(4 * (usize::from(u16::from_be_bytes([high, low])) + 1));
            if (first & 0x1f, kind) == (15, 205) {
                self.read_packet(packet);
            }
            rest = next;
        }
    }

    fn read_packet(&mut self, packet: &[u8]) {
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        self.lost += u64::from(packet[19].wrapping_sub((self.count + self.lost) as u8));
        self.count += 1;
        let (base, count) = (word(12), word(14));
        let mut time = i64::from(u32::from_be_bytes([0, packet[16], packet[17], packet[18]])) * 256;
        let (mut at, mut symbols) = (20, Vec::new());
        while symbols.len() < usize::from(count) {
            let chunk = word(at);
            at += 2;
            match chunk >> 14 {
                0 | 1 => symbols.extend(std::iter::repeat_n(chunk >> 13, usize::from(chunk & 0x1fff))),
                2 => symbols.extend((0..14).rev().map(|bit| chunk >> bit & 1)),
                _ => symbols.extend((0..7).rev().map(|pair| chunk >> (2 * pair) & 3)),
            }
        }
        for (n, symbol) in (0..count).zip(symbols) {
            time += match symbol {
                0 => 0,
                1 => i64::from(packet[at]),
                _ => i64::from(word(at).cast_signed()),
            };
            at += usize::from(symbol);
            let known = self.packets.entry(base.wrapping_add(n)).or_default();
            *known = known.or((symbol > 0).then_some(time));
        }
    }
}
