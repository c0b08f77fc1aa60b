//! Single bits of headers, most significant first. Reading past the end gives nothing, never a panic.

pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0 }
    }

    /// At most 32 bits.
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        if self.left() < count {
            return None;
        }
        let mut value = 0u32;
        for at in self.at..self.at + count {
            value = value << 1 | u32::from(self.data[at / 8] >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        (self.left() >= count).then(|| self.at += count)
    }

    /// An unsigned Exp-Golomb code, `ue(v)` of H.264 (9.1) and H.265 (9.2).
    pub(super) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    /// Bits read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.data.len() * 8 - self.at
    }

    /// To the next whole byte.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// Bits to bytes.
#[derive(Default)]
pub(super) struct BitsOut {
    bytes: Vec<u8>,
    /// Bits written.
    count: usize,
}

impl BitsOut {
    /// The lower `count` bits of `value`; at most 32.
    pub(super) fn put(&mut self, value: u32, count: usize) {
        for bit in (0..count).rev() {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.count % 8);
            self.count += 1;
        }
    }

    /// The next `count` bits of `from`, as far as there are any.
    pub(super) fn copy(&mut self, from: &mut Bits<'_>, count: usize) {
        let mut left = count;
        while left > 0 {
            let some = left.min(32);
            let Some(value) = from.take(some) else { return };
            self.put(value, some);
            left -= some;
        }
    }

    /// Bits that are missing to a whole byte.
    pub(super) fn room(&self) -> usize {
        self.bytes.len() * 8 - self.count
    }

    /// The last byte is filled with zeros.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
