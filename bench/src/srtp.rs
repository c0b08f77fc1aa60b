//! SRTP with AES in Galois counter mode (RFC 7714), sealed and opened in place: what the bare loop and its receivers need, and
//! no more. Keys are session keys; nothing is derived or negotiated here.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;

/// Bytes that sealing adds.
pub const TAG: usize = 16;
pub const HEADER: usize = 12;

/// Which of the two, by the size of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Gcm128,
    Gcm256,
}

impl Suite {
    pub fn name(self) -> &'static str {
        match self {
            Suite::Gcm128 => "AEAD_AES_128_GCM",
            Suite::Gcm256 => "AEAD_AES_256_GCM",
        }
    }
}

/// One direction's key and salt.
pub struct Key {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Key {
    /// A key made of the bytes of a secret, which must be 44 long: key and salt.
    pub fn new(suite: Suite, secret: &[u8; 44]) -> Self {
        let (algorithm, length) = match suite {
            Suite::Gcm128 => (&AES_128_GCM, 16),
            Suite::Gcm256 => (&AES_256_GCM, 32),
        };
        let key = UnboundKey::new(algorithm, &secret[..length]).expect("the length is the algorithm's own");
        let mut salt = [0; 12];
        salt.copy_from_slice(&secret[32..]);
        Key { key: LessSafeKey::new(key), salt }
    }

    /// RFC 7714, section 8.1.
    fn nonce(&self, ssrc: u32, rollover: u32, sequence: u16) -> Nonce {
        let mut iv = self.salt;
        let number = (u64::from(ssrc) << 32 | u64::from(rollover)).to_be_bytes();
        iv[2..10].iter_mut().zip(number).for_each(|(byte, part)| *byte ^= part);
        iv[10..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, part)| *byte ^= part);
        Nonce::assume_unique_for_key(iv)
    }

    /// Seals a packet without extensions; its last [`TAG`] bytes are where the tag goes. `index` is the extended sequence
    /// number, whose low bits already stand in the header.
    pub fn seal(&self, packet: &mut [u8], index: u64) {
        let nonce = self.nonce(ssrc(packet), (index >> 16) as u32, index as u16);
        let (header, rest) = packet.split_at_mut(HEADER);
        let (body, tag) = rest.split_at_mut(rest.len() - TAG);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body);
        tag.copy_from_slice(sealed.expect("a packet is far from the cipher's limits").as_ref());
    }

    /// Opens a packet without extensions; what is left is header and payload.
    ///
    /// Errors: it was not sealed with this key, or it was changed.
    pub fn open<'a>(&self, packet: &'a mut [u8], index: u64) -> Result<&'a mut [u8], Unspecified> {
        if packet.len() < HEADER + TAG {
            return Err(Unspecified);
        }
        let nonce = self.nonce(ssrc(packet), (index >> 16) as u32, index as u16);
        let length = packet.len() - TAG;
        let (header, rest) = packet.split_at_mut(HEADER);
        self.key.open_in_place(nonce, Aad::from(&*header), rest)?;
        Ok(&mut packet[..length])
    }
}

pub fn ssrc(packet: &[u8]) -> u32 {
    packet[8..12].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

pub fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// Writes the fixed header (RFC 3550, section 5.1).
pub fn write_header(packet: &mut [u8], marker: bool, payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) {
    packet[0] = 0x80;
    packet[1] = u8::from(marker) << 7 | payload_type;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_what_was_changed_does_not() {
        for suite in [Suite::Gcm128, Suite::Gcm256] {
            let key = Key::new(suite, &[7; 44]);
            let mut packet = vec![1; 12 + 50 + TAG];
            write_header(&mut packet, true, 96, 9, 1234, 77);
            key.seal(&mut packet, 1 << 16 | 9);
            assert_ne!(packet[12..62], [1; 50]);
            let mut broken = packet.clone();
            broken[20] ^= 1;
            assert!(key.open(&mut broken, 1 << 16 | 9).is_err());
            assert!(key.open(&mut packet.clone(), 9).is_err(), "another rollover is another packet");
            assert_eq!(key.open(&mut packet, 1 << 16 | 9).unwrap()[12..], [1; 50]);
        }
        assert!(Key::new(Suite::Gcm128, &[7; 44]).open(&mut [0; 20], 0).is_err());
    }

    /// RFC 7714, section 16.1.1: the nonce and the sealed packet of AEAD_AES_128_GCM.
    #[test]
    fn the_example_of_the_standard_is_met() {
        let hex = |text: &str| -> Vec<u8> {
            let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        };
        let mut secret = [0; 44];
        secret[..16].copy_from_slice(&hex("000102030405060708090a0b0c0d0e0f"));
        secret[32..].copy_from_slice(&hex("517569642070726f2071756f"));
        let mut packet = hex(
            "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573",
        );
        packet.extend([0; TAG]);
        Key::new(Suite::Gcm128, &secret).seal(&mut packet, 0xf17b);
        let sealed = hex(
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
        assert_eq!(packet, sealed);
    }
}
