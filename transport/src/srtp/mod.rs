//! SRTP and SRTCP (RFC 3711, RFC 6188, RFC 7714), keyed by DTLS (RFC 5764) or by the session description (RFC 4568); or plain
//! RTP and RTCP through the same doors, for peers that have no keys.
//!
//! Enters: the keying material of a finished handshake, plain RTP and RTCP that we send, protected RTCP of the peer.
//! Leaves: the same packets protected, or opened. It must never know sockets, str0m, or what a packet is for.
//!
//! [`Sealer`] protects what we send, in place; [`Opener`] opens the peer's RTCP. The peer's RTP is opened elsewhere.

mod cipher;
mod keys;
mod open;
mod seal;

pub use open::{Opener, RtpOpener};
pub use seal::Sealer;

/// The protection profiles that we negotiate (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES in counter mode with 128 bits, HMAC-SHA1 cut to 80 bits.
    Aes128CmSha1_80,
    /// The same, cut to 32 bits; SRTCP keeps 80 (RFC 4568 §6.2.2).
    Aes128CmSha1_32,
    /// With 256 bits (RFC 6188).
    Aes256CmSha1_80,
    Aes256CmSha1_32,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl Profile {
    #[cfg(test)]
    const ALL: [Profile; 6] = [
        Profile::Aes128CmSha1_80,
        Profile::Aes128CmSha1_32,
        Profile::Aes256CmSha1_80,
        Profile::Aes256CmSha1_32,
        Profile::AeadAes128Gcm,
        Profile::AeadAes256Gcm,
    ];

    /// Length of a master key, and of the session key for encryption, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 | Profile::Aes128CmSha1_32 | Profile::AeadAes128Gcm => 16,
            Profile::Aes256CmSha1_80 | Profile::Aes256CmSha1_32 | Profile::AeadAes256Gcm => 32,
        }
    }

    /// Length of a master salt, and of a session salt, in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 12,
            _ => 14,
        }
    }

    /// Length of the authentication tag, in bytes: what protection adds to an RTP packet.
    pub const fn tag_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 | Profile::Aes256CmSha1_80 => 10,
            Profile::Aes128CmSha1_32 | Profile::Aes256CmSha1_32 => 4,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 16,
        }
    }

    /// Length of what the handshake has to export, in bytes.
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SrtpError {
    #[error("{profile:?} wants {} bytes of keying material, not {got}", profile.keying_material_len())]
    KeyingMaterialLength { profile: Profile, got: usize },
    #[error("{profile:?} wants {} bytes of key and salt, not {got}", profile.key_len() + profile.salt_len())]
    MasterKeyLength { profile: Profile, got: usize },
}
