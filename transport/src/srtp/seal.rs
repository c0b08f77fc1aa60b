//! What we send: RTP and RTCP protected where they stand.
//!
//! Enters: packets that the caller wrote into a buffer. Leaves: the same, encrypted, a tag behind them. It must never know
//! whose packets these are.

use super::cipher::{Cipher, RTCP_CLEAR_LEN};
use super::keys::{Master, Purpose};
use super::{Profile, SrtpError};

/// The indices of our SRTCP packets start here, not at zero: whatever else sends RTCP under the same keys (the reports on
/// what we receive, from the stack that receives) counts from zero, and with AES-GCM no SSRC may see an index twice.
/// Receivers take any index that they have not seen.
const FIRST_RTCP_INDEX: u32 = 1 << 30;
/// The index has 31 bits (RFC 3711 §3.4).
const RTCP_INDEX_END: u32 = 1 << 31;

/// Protects our direction of one transport. Make one for each handshake and no second one from the same keys, or its RTCP
/// indices repeat.
///
/// **The caller's duty:** what is sealed as RTP under one (SSRC, rollover count, sequence number) must always be the same
/// bytes, header included. A resend on the same SSRC is byte-identical, then sealing it again gives the same datagram;
/// different bytes under a used number tell an eavesdropper both plain texts, and with AES-GCM the key that authenticates.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    next_rtcp_index: u32,
    overhead: usize,
}

impl Sealer {
    /// `keying_material` as exported (RFC 5764 §4.2): client key, server key, client salt, server salt.
    ///
    /// # Errors
    /// When its length is not that of the profile.
    pub fn new(profile: Profile, keying_material: &[u8], we_are_client: bool) -> Result<Self, SrtpError> {
        Ok(Self::keyed(profile, &Master::cut(profile, keying_material, we_are_client)?))
    }

    /// With a master key and salt of our own choice, one behind the other (RFC 4568 §6.1).
    ///
    /// # Errors
    /// When their length is not that of the profile.
    pub fn with_master(profile: Profile, key_and_salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self::keyed(profile, &Master::of(profile, key_and_salt)?))
    }

    /// Leaves packets as they are.
    pub fn plain() -> Self {
        Sealer { rtp: Cipher::Plain, rtcp: Cipher::Plain, next_rtcp_index: 0, overhead: 0 }
    }

    fn keyed(profile: Profile, master: &Master<'_>) -> Self {
        Sealer {
            rtp: Cipher::new(profile, master, Purpose::Rtp),
            rtcp: Cipher::new(profile, master, Purpose::Rtcp),
            next_rtcp_index: FIRST_RTCP_INDEX,
            overhead: profile.tag_len(),
        }
    }

    /// Protects the RTP packet that stands in `out[start..]`: a header of `header_len` bytes (fixed part, CSRCs and
    /// extensions), then the plain payload with its padding. Grows `out` by [`overhead`](Self::overhead) bytes; does not
    /// allocate where its capacity has room for them. `roc` is the rollover count of the sequence number (RFC 3711 §3.3.1).
    ///
    /// # Panics
    /// When `header_len` is below 12 or beyond the end of `out`: the caller wrote that header himself.
    pub fn seal_rtp(&mut self, out: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) {
        assert!(header_len >= 12, "a header has twelve bytes at least");
        self.rtp.seal_rtp(out, start, header_len, roc);
    }

    /// Protects the compound RTCP packet that stands in `out[start..]`, and appends tag and index. The index is counted
    /// here, so the same report twice is two different datagrams.
    ///
    /// When all indices of the keys are spent (2^30 packets), nothing may be sent any more: `out` is cut back to `start`.
    ///
    /// # Panics
    /// When the packet has less than eight bytes: every compound packet begins with a header and its sender's SSRC.
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) {
        assert!(out.len() >= start + RTCP_CLEAR_LEN, "a compound packet names its sender");
        if let Cipher::Plain = self.rtcp {
            return;
        }
        if self.next_rtcp_index >= RTCP_INDEX_END {
            out.truncate(start);
            return;
        }
        self.rtcp.seal_rtcp(out, start, self.next_rtcp_index);
        self.next_rtcp_index += 1;
    }

    /// Packets of RTCP that were sealed, and how many can be with these keys.
    pub fn rtcp_use(&self) -> (u64, u64) {
        let begun = self.next_rtcp_index.saturating_sub(FIRST_RTCP_INDEX);
        (begun.into(), (RTCP_INDEX_END - FIRST_RTCP_INDEX).into())
    }

    /// Bytes that [`seal_rtp`](Self::seal_rtp) adds.
    pub fn overhead(&self) -> usize {
        self.overhead
    }
}

#[cfg(test)]
mod tests {
    use super::super::Opener;
    use super::*;

    const BYE: [u8; 8] = [0x81, 203, 0, 1, 0, 0, 0, 9];

    fn sealer(profile: Profile) -> Sealer {
        Sealer::new(profile, &vec![5; profile.keying_material_len()], true).unwrap()
    }

    #[test]
    fn a_sealer_moves_between_threads() {
        fn assert_send<T: Send>() {}
        assert_send::<Sealer>();
        assert_send::<Opener>();
    }

    #[test]
    fn a_resend_is_the_same_datagram_and_its_room_is_not_left() {
        for profile in Profile::ALL {
            let mut sealer = sealer(profile);
            let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            packet.extend_from_slice(&[7; 1100]);
            let room = packet.len() + sealer.overhead();
            let mut datagrams = Vec::new();
            for _ in 0..2 {
                let mut out = Vec::with_capacity(room);
                out.extend_from_slice(&packet);
                let stood = out.as_ptr();
                sealer.seal_rtp(&mut out, 0, 12, 4);
                assert_eq!((out.len(), out.as_ptr()), (room, stood), "{profile:?}");
                assert_eq!(out[..12], packet[..12]);
                assert_ne!(out[12..1112], packet[12..]);
                datagrams.push(out);
            }
            assert_eq!(datagrams[0], datagrams[1], "{profile:?}");
        }
    }

    #[test]
    fn no_index_comes_twice_and_none_is_borrowed_when_all_are_spent() {
        let mut sealer = sealer(Profile::AeadAes128Gcm);
        let mut seal = |index: Option<u32>| {
            sealer.next_rtcp_index = index.unwrap_or(sealer.next_rtcp_index);
            let mut out = [&b"ahead"[..], &BYE].concat();
            sealer.seal_rtcp(&mut out, 5);
            out.split_off(5)
        };
        assert_eq!(seal(None)[24..], [0xc0, 0, 0, 0]);
        assert_eq!(seal(None)[24..], [0xc0, 0, 0, 1]);
        assert_eq!(seal(Some(RTCP_INDEX_END - 1))[24..], [0xff; 4]);
        assert_eq!(seal(None), []);
        assert_eq!(seal(None), []);
    }
}
