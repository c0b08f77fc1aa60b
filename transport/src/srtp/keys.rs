//! From the exported keying material to session keys (RFC 3711 §4.3, RFC 7714 §11, RFC 5764 §4.2).
//!
//! Enters: the exporter's bytes. Leaves: master keys by direction, session keys by purpose. It must never know packets.

use super::{Profile, SrtpError};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// The master key and salt of one direction.
pub(super) struct Master<'a> {
    pub key: &'a [u8],
    pub salt: &'a [u8],
}

impl<'a> Master<'a> {
    /// Cuts the exported bytes: client key, server key, client salt, server salt.
    pub fn cut(profile: Profile, material: &'a [u8], of_client: bool) -> Result<Self, SrtpError> {
        if material.len() != profile.keying_material_len() {
            return Err(SrtpError::KeyingMaterialLength { profile, got: material.len() });
        }
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        Ok(if of_client {
            Master { key: client_key, salt: client_salt }
        } else {
            Master { key: server_key, salt: server_salt }
        })
    }

    /// Of a master key and salt that stand one behind the other.
    pub fn of(profile: Profile, key_and_salt: &'a [u8]) -> Result<Self, SrtpError> {
        if key_and_salt.len() != profile.key_len() + profile.salt_len() {
            return Err(SrtpError::MasterKeyLength { profile, got: key_and_salt.len() });
        }
        let (key, salt) = key_and_salt.split_at(profile.key_len());
        Ok(Master { key, salt })
    }

    /// Fills `key` with the session key of a label, at a key derivation rate of zero.
    ///
    /// The generator is AES in counter mode over zeros, so the counter mode itself serves. A salt of 96 bits counts as one
    /// of 112 bits that ends in zeros.
    pub fn derive(&self, label: u8, key: &mut [u8]) {
        let algorithm = if self.key.len() == AES_256_KEY_LEN { &AES_256 } else { &AES_128 };
        let generator = UnboundCipherKey::new(algorithm, self.key)
            .and_then(EncryptingKey::ctr)
            .expect("a master key has the length of its profile");
        let mut counter = [0; 16];
        counter[..self.salt.len()].copy_from_slice(self.salt);
        counter[7] ^= label;
        key.fill(0);
        generator
            .less_safe_encrypt(key, EncryptionContext::Iv128(FixedLength::from(counter)))
            .expect("counter mode takes any length");
    }
}

const AES_256_KEY_LEN: usize = 32;

/// The two sets of session keys that come from one master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Rtp,
    Rtcp,
}

impl Purpose {
    /// The labels of the encryption key, the authentication key and the salt (RFC 3711 §4.3.1).
    pub fn labels(self) -> [u8; 3] {
        match self {
            Purpose::Rtp => [0, 1, 2],
            Purpose::Rtcp => [3, 4, 5],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cipher::tests::hex;
    use super::*;

    fn derived(master: &Master, label: u8, len: usize) -> Vec<u8> {
        let mut key = vec![0xff; len];
        master.derive(label, &mut key);
        key
    }

    #[test]
    fn session_keys_of_rfc_3711_b_3() {
        let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
        let master = Master { key: &key, salt: &salt };
        assert_eq!(derived(&master, 0, 16), hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(derived(&master, 2, 14), hex("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(derived(&master, 1, 20), hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
    }

    #[test]
    fn session_keys_of_rfc_6188_7_2() {
        let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt = hex("3b04803de51ee7c96423ab5b78d2");
        let master = Master { key: &key, salt: &salt };
        let cipher_key = hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4");
        assert_eq!(derived(&master, 0, 32), cipher_key);
        assert_eq!(derived(&master, 2, 14), hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(derived(&master, 1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }

    #[test]
    fn the_material_is_cut_by_direction_and_its_length_is_checked() {
        for profile in Profile::ALL {
            let (k, s) = (profile.key_len(), profile.salt_len());
            let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
            let client = Master::cut(profile, &material, true).unwrap();
            let server = Master::cut(profile, &material, false).unwrap();
            assert_eq!((client.key, client.salt), (&material[..k], &material[2 * k..2 * k + s]));
            assert_eq!((server.key, server.salt), (&material[k..2 * k], &material[2 * k + s..]));
            let got = material.len() - 1;
            let cut = Master::cut(profile, &material[1..], true).err();
            assert_eq!(cut, Some(SrtpError::KeyingMaterialLength { profile, got }));
        }
    }
}
