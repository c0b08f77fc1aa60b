//! `a=crypto`: keys for SRTP in the description (RFC 4568).
//!
//! Enters: the value of an attribute, or a suite with its key. Leaves: the other. It must never know packets.

use super::base64;
use crate::srtp::Profile;
use std::fmt;
use std::str::FromStr;

/// The suites that we have, with their names (RFC 4568 §6.2, RFC 6188 §4).
const SUITES: [(Profile, &str); 4] = [
    (Profile::Aes128CmSha1_80, "AES_CM_128_HMAC_SHA1_80"),
    (Profile::Aes128CmSha1_32, "AES_CM_128_HMAC_SHA1_32"),
    (Profile::Aes256CmSha1_80, "AES_256_CM_HMAC_SHA1_80"),
    (Profile::Aes256CmSha1_32, "AES_256_CM_HMAC_SHA1_32"),
];

/// One `a=crypto` line with its first key.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    pub tag: u32,
    pub suite: Profile,
    /// Master key and salt, in one.
    pub key: Vec<u8>,
    /// How many packets may be protected with the key, if that was said.
    pub lifetime: Option<u64>,
    /// Bytes of the key's identifier in each packet; 0 for none.
    pub mki_length: usize,
}

impl Crypto {
    /// A key of our own for a suite.
    ///
    /// Errors: the machine gives no random numbers.
    pub fn random(suite: Profile) -> Result<Self, getrandom::Error> {
        let mut key = vec![0; suite.key_len() + suite.salt_len()];
        getrandom::fill(&mut key)?;
        Ok(Crypto { tag: 1, suite, key, lifetime: None, mki_length: 0 })
    }
}

impl fmt::Debug for Crypto {
    /// Without the key: descriptions of a state may come into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crypto({} {:?})", self.tag, self.suite)
    }
}

impl FromStr for Crypto {
    type Err = ();

    /// A suite that is not ours, a key of another length and session parameters that would change packets are errors.
    fn from_str(value: &str) -> Result<Self, ()> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().ok_or(())?.parse().map_err(|_| ())?;
        let name = words.next().ok_or(())?;
        let (suite, _) = SUITES.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).ok_or(())?;
        // Of several keys the first is the one in use.
        let inline = words.next().and_then(|word| word.split(';').next()).and_then(|word| word.strip_prefix("inline:"));
        let changes = |word: &str| {
            word.starts_with("UNENCRYPTED")
                || word.starts_with("UNAUTHENTICATED")
                || word.starts_with("KDR=")
                || word.starts_with("FEC_")
        };
        if words.any(changes) {
            return Err(());
        }
        let mut parts = inline.ok_or(())?.split('|');
        let key = base64::decode(parts.next().unwrap_or_default()).ok_or(())?;
        if key.len() != suite.key_len() + suite.salt_len() {
            return Err(());
        }
        let (mut lifetime, mut mki_length) = (None, 0);
        for part in parts {
            match part.split_once(':') {
                Some((_, length)) => mki_length = length.parse().ok().filter(|length| *length <= 128).ok_or(())?,
                None => lifetime = Some(read_lifetime(part).ok_or(())?),
            }
        }
        Ok(Crypto { tag, suite, key, lifetime, mki_length })
    }
}

/// `2^20`, or a number.
fn read_lifetime(text: &str) -> Option<u64> {
    match text.strip_prefix("2^") {
        Some(power) => 1u64.checked_shl(power.parse().ok()?),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Crypto {
    /// As our own key is told: without lifetime and identifier, like Kurento.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SUITES.into_iter().find(|(suite, _)| *suite == self.suite).map_or("", |(_, name)| name);
        write!(f, "{} {name} inline:{}", self.tag, base64::encode(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0";

    #[test]
    fn a_line_both_ways() {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        let crypto: Crypto = line.parse().unwrap();
        assert_eq!((crypto.tag, crypto.suite, crypto.key.len()), (1, Profile::Aes128CmSha1_80, 30));
        assert_eq!(crypto.to_string(), line);
        assert!(!format!("{crypto:?}").contains("QUJD"), "the key stays out of logs");
    }

    #[test]
    fn lifetime_and_identifier() {
        let crypto: Crypto = format!("7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20|1:4").parse().unwrap();
        assert_eq!((crypto.lifetime, crypto.mki_length), (Some(1 << 20), 4));
        let crypto: Crypto = format!("7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|1000").parse().unwrap();
        assert_eq!((crypto.lifetime, crypto.mki_length), (Some(1000), 0));
    }

    #[test]
    fn what_cannot_be_served_is_an_error() {
        for bad in [
            "".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:abc".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^99"),
        ] {
            assert!(bad.parse::<Crypto>().is_err(), "{bad}");
        }
    }
}
