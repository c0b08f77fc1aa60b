//! The transforms themselves: one set of session keys at work on one packet.
//!
//! Enters: a packet with its index. Leaves: the packet protected or opened in place. It must never know counters, replay
//! windows or directions; a nonce that comes twice is the caller's fault.

use super::Profile;
use super::keys::{Master, Purpose};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

/// The part of an RTCP packet that stays readable: its first header and the sender's SSRC.
pub(super) const RTCP_CLEAR_LEN: usize = 8;
/// The flag of encryption and the index behind it (RFC 3711 §3.4).
pub(super) const RTCP_INDEX_LEN: usize = 4;
const ENCRYPTED: u32 = 0x8000_0000;
const AUTH_KEY_LEN: usize = 20;
/// Of SRTCP in counter mode, whatever that of SRTP is (RFC 4568 §6.2.2).
const CM_RTCP_TAG_LEN: usize = Profile::Aes128CmSha1_80.tag_len();
const GCM_TAG_LEN: usize = Profile::AeadAes128Gcm.tag_len();

pub(super) enum Cipher {
    /// RFC 3711 §4.1.1 and §4.2.1. Boxed because these hold their state inline, 1.7 KB of it, which the usual profiles lack.
    Cm {
        key: Box<EncryptingKey>,
        auth: Box<hmac::Key>,
        salt: [u8; 14],
        tag_len: usize,
        /// Of the key's identifier that stands before the tag of what is opened (RFC 3711 §3.1); 0 for none.
        mki_len: usize,
    },
    /// No protection at all.
    Plain,
    /// RFC 7714.
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

impl Cipher {
    pub fn new(profile: Profile, master: &Master, purpose: Purpose) -> Self {
        let [key_label, auth_label, salt_label] = purpose.labels();
        let mut key = [0; 32];
        let key = &mut key[..profile.key_len()];
        let mut auth = [0; AUTH_KEY_LEN];
        let mut salt = [0; 14];
        let salt = &mut salt[..profile.salt_len()];
        master.derive(key_label, key);
        master.derive(auth_label, &mut auth);
        master.derive(salt_label, salt);
        Self::from_session(profile, key, &auth, salt)
    }

    /// What is opened carries an identifier of its key, which nothing but its length is asked of: under another key nothing opens.
    /// Only keys from session descriptions have one, and those are never AEAD keys here.
    pub fn identified(mut self, length: usize) -> Self {
        if let Cipher::Cm { mki_len, .. } = &mut self {
            *mki_len = length;
        }
        self
    }

    /// `auth` is of no use to the AEAD profiles.
    fn from_session(profile: Profile, key: &[u8], auth: &[u8], salt: &[u8]) -> Self {
        const LENGTH: &str = "a session key has the length of its profile";
        let gcm = |algorithm| Cipher::Gcm {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key).expect(LENGTH)),
            salt: salt.try_into().expect(LENGTH),
        };
        let cm = |algorithm| Cipher::Cm {
            key: UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::ctr).map(Box::new).expect(LENGTH),
            auth: Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth)),
            salt: salt.try_into().expect(LENGTH),
            tag_len: profile.tag_len(),
            mki_len: 0,
        };
        match profile {
            Profile::Aes128CmSha1_80 | Profile::Aes128CmSha1_32 => cm(&AES_128),
            Profile::Aes256CmSha1_80 | Profile::Aes256CmSha1_32 => cm(&AES_256),
            Profile::AeadAes128Gcm => gcm(&AES_128_GCM),
            Profile::AeadAes256Gcm => gcm(&AES_256_GCM),
        }
    }

    /// Encrypts what follows `header_len` bytes in `out[start..]` and appends the tag.
    pub fn seal_rtp(&self, out: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) {
        let (header, payload) = out[start..].split_at_mut(header_len);
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let index = u64::from(roc) << 16 | u64::from(sequence);
        match self {
            Cipher::Plain => {}
            Cipher::Cm { key, auth, salt, tag_len, .. } => {
                run_counter_mode(key, salt, ssrc, index, payload);
                let tag = sign(auth, &[&out[start..], &roc.to_be_bytes()]);
                out.extend_from_slice(&tag.as_ref()[..*tag_len]);
            }
            Cipher::Gcm { key, salt } => {
                let tag = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(&*header), payload)
                    .expect("a packet is far shorter than what GCM takes");
                out.extend_from_slice(tag.as_ref());
            }
        }
    }

    /// Encrypts the compound packet in `out[start..]` and appends tag and index, in the order of the profile.
    pub fn seal_rtcp(&self, out: &mut Vec<u8>, start: usize, index: u32) {
        let word = (ENCRYPTED | index).to_be_bytes();
        let (clear, body) = out[start..].split_at_mut(RTCP_CLEAR_LEN);
        let ssrc = rtcp_sender(clear);
        match self {
            Cipher::Plain => {}
            Cipher::Cm { key, auth, salt, .. } => {
                run_counter_mode(key, salt, ssrc, index.into(), body);
                out.extend_from_slice(&word);
                let tag = sign(auth, &[&out[start..]]);
                out.extend_from_slice(&tag.as_ref()[..CM_RTCP_TAG_LEN]);
            }
            Cipher::Gcm { key, salt } => {
                let tag = key
                    .seal_in_place_separate_tag(
                        gcm_nonce(salt, ssrc, index.into()),
                        Aad::from(rtcp_aad(clear, word)),
                        body,
                    )
                    .expect("a packet is far shorter than what GCM takes");
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&word);
            }
        }
    }

    /// Authenticates an RTP packet whose header has `header_len` bytes, and leaves its plain payload in `room`. `None` when it
    /// is forged or cut; what `room` holds then means nothing.
    pub fn open_rtp(&self, packet: &[u8], header_len: usize, roc: u32, room: &mut Vec<u8>) -> Option<()> {
        let header = packet.get(..header_len).filter(|header| header.len() >= 12)?;
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let index = u64::from(roc) << 16 | u64::from(sequence);
        room.clear();
        match self {
            Cipher::Plain => room.extend_from_slice(&packet[header_len..]),
            Cipher::Cm { key, auth, salt, tag_len, mki_len } => {
                let (signed, tag) = split_tag(packet, *tag_len, *mki_len)?;
                let text = signed.get(header_len..)?;
                let expected = sign(auth, &[signed, &roc.to_be_bytes()]);
                verify_slices_are_equal(&expected.as_ref()[..*tag_len], tag).ok()?;
                room.extend_from_slice(text);
                run_counter_mode(key, salt, ssrc, index, room);
            }
            Cipher::Gcm { key, salt } => {
                let rest = &packet[header_len..];
                let (text, tag) = rest.split_at(rest.len().checked_sub(GCM_TAG_LEN)?);
                room.extend_from_slice(text);
                key.open_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(header), tag, room).ok()?;
            }
        }
        Some(())
    }

    /// Sender's SSRC and index of a protected compound packet, both unauthenticated. `None` when it is too short.
    pub fn read_rtcp_index(&self, packet: &[u8]) -> Option<(u32, u32)> {
        let (tag_len, word_end) = match self {
            Cipher::Plain => return None,
            Cipher::Cm { mki_len, .. } => {
                (CM_RTCP_TAG_LEN + mki_len, packet.len().checked_sub(CM_RTCP_TAG_LEN + mki_len)?)
            }
            Cipher::Gcm { .. } => (GCM_TAG_LEN, packet.len()),
        };
        if packet.len() < RTCP_CLEAR_LEN + RTCP_INDEX_LEN + tag_len {
            return None;
        }
        let word = packet[..word_end].last_chunk().copied().map(u32::from_be_bytes)?;
        Some((rtcp_sender(packet), word & !ENCRYPTED))
    }

    /// Authenticates a compound packet and leaves its plain text in `room`; whether the sender encrypted it is his affair.
    /// `None` when it is forged; what `room` holds then means nothing.
    pub fn open_rtcp(&self, packet: &[u8], room: &mut Vec<u8>) -> Option<()> {
        let (ssrc, index) = self.read_rtcp_index(packet)?;
        room.clear();
        match self {
            Cipher::Plain => return None,
            Cipher::Cm { key, auth, salt, mki_len, .. } => {
                let (signed, tag) = split_tag(packet, CM_RTCP_TAG_LEN, *mki_len)?;
                let expected = sign(auth, &[signed]);
                verify_slices_are_equal(&expected.as_ref()[..CM_RTCP_TAG_LEN], tag).ok()?;
                let (plain, word) = signed.split_at(signed.len() - RTCP_INDEX_LEN);
                room.extend_from_slice(plain);
                if word[0] & 0x80 != 0 {
                    run_counter_mode(key, salt, ssrc, index.into(), &mut room[RTCP_CLEAR_LEN..]);
                }
            }
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, index.into());
                let (rest, word) = packet.split_last_chunk::<RTCP_INDEX_LEN>()?;
                let (text, tag) = rest.split_at(rest.len() - GCM_TAG_LEN);
                room.extend_from_slice(text);
                if word[0] & 0x80 != 0 {
                    let (clear, body) = room.split_at_mut(RTCP_CLEAR_LEN);
                    let aad = Aad::from(rtcp_aad(clear, *word));
                    key.open_in_place_separate_tag(nonce, aad, tag, body).ok()?;
                } else {
                    room.extend_from_slice(word);
                    key.open_in_place_separate_tag(nonce, Aad::from(&room[..]), tag, &mut []).ok()?;
                    room.truncate(text.len());
                }
            }
        }
        Some(())
    }
}

/// What is signed, and the tag: the identifier between them is not authenticated (RFC 3711 §3.1, §3.4). `None` for less than that.
fn split_tag(packet: &[u8], tag_len: usize, mki_len: usize) -> Option<(&[u8], &[u8])> {
    let (rest, tag) = packet.split_at(packet.len().checked_sub(tag_len)?);
    Some((rest.get(..rest.len().checked_sub(mki_len)?)?, tag))
}

fn rtcp_sender(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

/// What an encrypted SRTCP packet authenticates beside its cipher text (RFC 7714 §9.2).
fn rtcp_aad(clear: &[u8], word: [u8; RTCP_INDEX_LEN]) -> [u8; RTCP_CLEAR_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_CLEAR_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_CLEAR_LEN].copy_from_slice(&clear[..RTCP_CLEAR_LEN]);
    aad[RTCP_CLEAR_LEN..].copy_from_slice(&word);
    aad
}

/// The salt with SSRC and a 48-bit index folded into its last ten bytes: the one rule behind all four initial values.
fn fold<const N: usize>(salt: &[u8; N], ssrc: u32, index: u64) -> [u8; N] {
    let mut folded = *salt;
    let low = u128::from(ssrc) << 48 | u128::from(index);
    for (byte, other) in folded[N - 10..].iter_mut().zip(&low.to_be_bytes()[6..]) {
        *byte ^= other;
    }
    folded
}

/// RFC 7714 §8.1 and §9.1.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    Nonce::assume_unique_for_key(fold(salt, ssrc, index))
}

/// RFC 3711 §4.1.1. Encrypts and decrypts alike.
fn run_counter_mode(key: &EncryptingKey, salt: &[u8; 14], ssrc: u32, index: u64, text: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..14].copy_from_slice(&fold(salt, ssrc, index));
    key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(counter)))
        .expect("counter mode takes any length");
}

fn sign(auth: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(auth);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    const GCM_RTP: &str = "8040f17b 8041f8d3 5501a0b2
        47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";
    const GCM_RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930
        4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef";

    /// RFC 7714 §16 and §17: plain text above, and by profile what becomes of RTP, RTCP, and RTCP that is only signed.
    const GCM_VECTORS: [(Profile, &str, &str, &str); 2] = [
        (
            Profile::AeadAes128Gcm,
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
             36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            "63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
             4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
            "841dd968 3dd78ec9 2ae58790 125f62b3",
        ),
        (
            Profile::AeadAes256Gcm,
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
             1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            "d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be
             8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
            "91db4afb feee5a97 8fab4393 ed2615fe",
        ),
    ];

    fn gcm(profile: Profile) -> Cipher {
        let key: Vec<u8> = (0..profile.key_len() as u8).collect();
        Cipher::from_session(profile, &key, &[], &hex("51756964 2070726f 2071756f"))
    }

    #[test]
    fn gcm_seals_as_rfc_7714_shows() {
        for (profile, rtp, rtcp, _) in GCM_VECTORS {
            // Something that stands before the packet is none of its business.
            let mut out = [&b"before"[..], &hex(GCM_RTP)].concat();
            gcm(profile).seal_rtp(&mut out, 6, 12, 0);
            assert_eq!(out, [b"before", &hex(GCM_RTP)[..12], &hex(rtp)].concat(), "{profile:?}");
            let mut out = [&b"before"[..], &hex(GCM_RTCP)].concat();
            gcm(profile).seal_rtcp(&mut out, 6, 0x5d4);
            assert_eq!(out, [b"before", &hex(GCM_RTCP)[..8], &hex(rtcp)].concat(), "{profile:?}");
        }
    }

    #[test]
    fn gcm_opens_rtcp_as_rfc_7714_shows() {
        for (profile, _, rtcp, tag) in GCM_VECTORS {
            let encrypted = [&hex(GCM_RTCP)[..8], &hex(rtcp)].concat();
            let signed = [hex(GCM_RTCP), hex(tag), hex("000005d4")].concat();
            for packet in [encrypted, signed] {
                let mut room = Vec::new();
                assert_eq!(gcm(profile).read_rtcp_index(&packet), Some((0x4d61_7273, 0x5d4)));
                gcm(profile).open_rtcp(&packet, &mut room).expect("it is authentic");
                assert_eq!(room, hex(GCM_RTCP), "{profile:?}");
            }
        }
    }

    #[test]
    fn counter_mode_is_that_of_rfc_3711_b_2() {
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd");
        let Cipher::Cm { key, salt, .. } = Cipher::from_session(Profile::Aes128CmSha1_80, &key, &[0; 20], &salt) else {
            unreachable!("the profile says so")
        };
        let mut text = [0; 48];
        run_counter_mode(&key, &salt, 0, 0, &mut text);
        let stream =
            "e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab 41e95b3bb0a2e8dd477901e4fca894c0";
        assert_eq!(text[..], hex(stream));
    }

    /// Whole packets with the master key of RFC 3711 B.3, as other implementations protect them.
    #[test]
    fn counter_mode_with_its_tag_on_whole_packets() {
        let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
        let master = Master { key: &key, salt: &salt };
        let cipher = |purpose| Cipher::new(Profile::Aes128CmSha1_80, &master, purpose);
        let mut out = hex("800f1234 decafbad cafebabe abababababababababababababababab");
        cipher(Purpose::Rtp).seal_rtp(&mut out, 0, 12, 0);
        assert_eq!(out, hex("800f1234 decafbad cafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb"));
        let plain = hex("81c8000b cafebabe abababababababababababababababab");
        let mut out = plain.clone();
        cipher(Purpose::Rtcp).seal_rtcp(&mut out, 0, 1);
        assert_eq!(out, hex("81c8000b cafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798"));
        let mut room = Vec::new();
        cipher(Purpose::Rtcp).open_rtcp(&out, &mut room).expect("it is authentic");
        assert_eq!(room, plain);
    }

    #[test]
    fn the_rollover_count_is_authenticated() {
        for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm] {
            let master = Master { key: &vec![1; profile.key_len()], salt: &vec![2; profile.salt_len()] };
            let cipher = Cipher::new(profile, &master, Purpose::Rtp);
            let sealed = [0, 1].map(|roc| {
                let mut out = hex("800f1234 decafbad cafebabe");
                cipher.seal_rtp(&mut out, 0, 12, roc);
                assert_eq!(out.len(), 12 + profile.tag_len());
                out
            });
            assert_ne!(sealed[0], sealed[1], "{profile:?}");
        }
    }
}
