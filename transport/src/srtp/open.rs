//! The peer's RTCP, opened: authenticated, decrypted, and each packet only once (RFC 3711 §3.3.2, §3.4).
//!
//! Enters: datagrams that look like RTCP. Leaves: plain compound packets, or nothing. It must never know what they say.

use super::cipher::Cipher;
use super::keys::{Master, Purpose};
use super::{Profile, SrtpError};

/// A window is kept for so many senders. Only who holds the keys can bring another; the one unheard for longest makes room.
const MAX_SENDERS: usize = 64;

/// Opens the peer's direction of one transport. RTCP only.
pub struct Opener {
    rtcp: Cipher,
    /// Whoever was heard last stands first.
    senders: Vec<(u32, Window)>,
}

impl Opener {
    /// As [`Sealer::new`](super::Sealer::new), with the same arguments: the direction is the other one.
    ///
    /// # Errors
    /// When the length of the keying material is not that of the profile.
    pub fn new(profile: Profile, keying_material: &[u8], we_are_client: bool) -> Result<Self, SrtpError> {
        let master = Master::cut(profile, keying_material, !we_are_client)?;
        Ok(Opener { rtcp: Cipher::new(profile, &master, Purpose::Rtcp), senders: Vec::new() })
    }

    /// With the peer's master key and salt, one behind the other (RFC 4568 §6.1); `mki_length` bytes of each packet name the key, 0
    /// for none.
    ///
    /// # Errors
    /// When their length is not that of the profile.
    pub fn with_master(profile: Profile, key_and_salt: &[u8], mki_length: usize) -> Result<Self, SrtpError> {
        let master = Master::of(profile, key_and_salt)?;
        let rtcp = Cipher::new(profile, &master, Purpose::Rtcp).identified(mki_length);
        Ok(Opener { rtcp, senders: Vec::new() })
    }

    /// For packets without protection: each is taken as it comes.
    pub fn plain() -> Self {
        Opener { rtcp: Cipher::Plain, senders: Vec::new() }
    }

    /// The plain compound packet, which stands in `room`. `None` when `packet` is forged, cut, or was opened before
    /// (or is more than 63 packets older than the newest of its sender).
    pub fn open_rtcp<'a>(&mut self, packet: &[u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        if let Cipher::Plain = self.rtcp {
            room.clear();
            room.extend_from_slice(packet);
            return Some(room);
        }
        let (ssrc, index) = self.rtcp.read_rtcp_index(packet)?;
        let known = self.senders.iter().position(|(sender, _)| *sender == ssrc);
        if known.is_some_and(|at| self.senders[at].1.has_seen(index)) {
            return None;
        }
        self.rtcp.open_rtcp(packet, room)?;
        // Only an authentic packet may move a window or found one.
        match known {
            Some(at) => self.senders[..=at].rotate_right(1),
            None => {
                self.senders.truncate(MAX_SENDERS - 1);
                self.senders.insert(0, (ssrc, Window { newest: index, seen: 0 }));
            }
        }
        self.senders[0].1.mark(index);
        Some(room)
    }
}

/// Opens the peer's RTP, for whoever knows which packets have not come yet: it keeps no window of its own.
pub struct RtpOpener {
    rtp: Cipher,
}

impl RtpOpener {
    /// As [`Opener::new`].
    ///
    /// # Errors
    /// When the length of the keying material is not that of the profile.
    pub fn new(profile: Profile, keying_material: &[u8], we_are_client: bool) -> Result<Self, SrtpError> {
        let master = Master::cut(profile, keying_material, !we_are_client)?;
        Ok(RtpOpener { rtp: Cipher::new(profile, &master, Purpose::Rtp) })
    }

    /// As [`Opener::with_master`].
    ///
    /// # Errors
    /// As there.
    pub fn with_master(profile: Profile, key_and_salt: &[u8], mki_length: usize) -> Result<Self, SrtpError> {
        let master = Master::of(profile, key_and_salt)?;
        Ok(RtpOpener { rtp: Cipher::new(profile, &master, Purpose::Rtp).identified(mki_length) })
    }

    /// As [`Opener::plain`].
    pub fn plain() -> Self {
        RtpOpener { rtp: Cipher::Plain }
    }

    /// The plain payload with its padding, which stands in `room`. `header_len` counts contributing sources and extensions,
    /// `roc` is the rollover count of the sequence number. `None` when `packet` is forged or cut.
    pub fn open<'a>(&self, packet: &[u8], header_len: usize, roc: u32, room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        self.rtp.open_rtp(packet, header_len, roc, room)?;
        Some(room)
    }
}

/// The newest index of a sender, and which of the 64 up to it were seen: the lowest bit is the newest.
struct Window {
    newest: u32,
    seen: u64,
}

impl Window {
    /// Also true for what is too old to tell.
    fn has_seen(&self, index: u32) -> bool {
        match self.newest.checked_sub(index) {
            Some(age) => self.seen.checked_shr(age).is_none_or(|seen| seen & 1 == 1),
            None => false,
        }
    }

    fn mark(&mut self, index: u32) {
        if let Some(ahead) = index.checked_sub(self.newest) {
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
        } else {
            self.seen |= 1u64.checked_shl(self.newest - index).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 6] = Profile::ALL;

    fn material(profile: Profile) -> Vec<u8> {
        (0..profile.keying_material_len() as u8).collect()
    }

    /// A report as the peer, the server of the handshake, protects it.
    fn peers_packet(profile: Profile, ssrc: u32, index: u32) -> Vec<u8> {
        let material = material(profile);
        let master = Master::cut(profile, &material, false).unwrap();
        let mut out = plain(ssrc);
        Cipher::new(profile, &master, Purpose::Rtcp).seal_rtcp(&mut out, 0, index);
        out
    }

    fn plain(ssrc: u32) -> Vec<u8> {
        [&[0x81, 206, 0, 2][..], &ssrc.to_be_bytes(), &[0, 0, 0, 7]].concat()
    }

    fn opener(profile: Profile) -> Opener {
        Opener::new(profile, &material(profile), true).unwrap()
    }

    #[test]
    fn an_identifier_of_the_key_stands_before_the_tag() {
        for profile in [Profile::Aes128CmSha1_32, Profile::Aes256CmSha1_80] {
            let key = vec![7; profile.key_len() + profile.salt_len()];
            let mut sealer = super::super::Sealer::with_master(profile, &key).unwrap();
            let identified = |mut sealed: Vec<u8>, tag: usize| {
                let tag = sealed.split_off(sealed.len() - tag);
                [sealed, vec![0, 0, 0, 1], tag].concat()
            };
            let (mut rtp, mut rtcp) = (vec![0x80; 12], plain(9));
            rtp.extend_from_slice(b"payload");
            sealer.seal_rtp(&mut rtp, 0, 12, 0);
            sealer.seal_rtcp(&mut rtcp, 0);
            let (rtp, rtcp) = (identified(rtp, profile.tag_len()), identified(rtcp, 10));
            for (length, opens) in [(4, true), (0, false), (3, false), (128, false)] {
                let mut room = Vec::new();
                let opener = RtpOpener::with_master(profile, &key, length).unwrap();
                assert_eq!(opener.open(&rtp, 12, 0, &mut room).is_some(), opens, "{profile:?} {length}");
                let mut opener = Opener::with_master(profile, &key, length).unwrap();
                assert_eq!(opener.open_rtcp(&rtcp, &mut room), opens.then_some(&plain(9)[..]), "{profile:?} {length}");
                assert_eq!(opener.open_rtcp(&rtcp, &mut room), None, "and only once");
            }
        }
    }

    #[test]
    fn rtp_opens_as_it_was_sealed_and_nothing_else_does() {
        for profile in PROFILES {
            let mut packet = [&[0x80, 96, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9][..], &[0, 0, 0, 3], b"payload"].concat();
            let plain = packet.clone();
            // The peer is the server of the handshake.
            let mut sealer = super::super::Sealer::new(profile, &material(profile), false).unwrap();
            sealer.seal_rtp(&mut packet, 0, 16, 5);
            let opener = RtpOpener::new(profile, &material(profile), true).unwrap();
            let mut room = Vec::new();
            assert_eq!(opener.open(&packet, 16, 5, &mut room), Some(&plain[16..]), "{profile:?}");
            assert_eq!(opener.open(&packet, 16, 4, &mut room), None, "the rollover count counts");
            for length in 0..packet.len() {
                assert_eq!(opener.open(&packet[..length], 16, 5, &mut room), None, "cut at {length}");
            }
            for at in 0..packet.len() {
                packet[at] ^= 1;
                assert_eq!(opener.open(&packet, 16, 5, &mut room), None, "changed at {at}");
                packet[at] ^= 1;
            }
        }
    }

    #[test]
    fn each_packet_opens_once() {
        for profile in PROFILES {
            let mut opener = opener(profile);
            let mut room = Vec::new();
            let mut opens = |ssrc, index| {
                let opened = opener.open_rtcp(&peers_packet(profile, ssrc, index), &mut room);
                assert!(opened.is_none_or(|packet| packet == plain(ssrc)));
                opened.is_some()
            };
            assert!(opens(1, 100) && !opens(1, 100));
            assert!(opens(2, 100), "each sender has a window of its own");
            assert!(opens(1, 99) && !opens(1, 99), "the order may change");
            assert!(opens(1, 37) && !opens(1, 37), "63 behind is the last that can be told");
            assert!(!opens(1, 36) && !opens(1, 0));
            assert!(opens(1, 163) && opens(1, 162) && !opens(1, 100) && opens(1, 101));
            assert!(opens(1, 0x7fff_ffff) && !opens(1, 163) && !opens(1, 0x7fff_ffff));
        }
    }

    #[test]
    fn forged_and_cut_packets_stay_shut() {
        for profile in PROFILES {
            let mut opener = opener(profile);
            let mut room = Vec::new();
            let packet = peers_packet(profile, 1, 5);
            for bit in 0..packet.len() * 8 {
                let mut forged = packet.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(opener.open_rtcp(&forged, &mut room), None, "{profile:?} bit {bit}");
            }
            for len in 0..packet.len() {
                assert_eq!(opener.open_rtcp(&packet[..len], &mut room), None, "{profile:?} {len} bytes");
            }
            assert_eq!(opener.senders.len(), 0, "no forgery leaves a trace");
            assert!(opener.open_rtcp(&packet, &mut room).is_some());
        }
    }

    #[test]
    fn plain_packets_pass_as_they_are_and_master_keys_open_what_they_sealed() {
        use super::super::Sealer;
        let rtp = [&[0x80, 96, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9][..], b"payload"].concat();
        let seal = |mut sealer: Sealer| {
            let (mut media, mut report) = (rtp.clone(), plain(1));
            sealer.seal_rtp(&mut media, 0, 12, 0);
            sealer.seal_rtcp(&mut report, 0);
            (media, report)
        };
        let mut room = Vec::new();
        assert_eq!(seal(Sealer::plain()), (rtp.clone(), plain(1)));
        assert_eq!(RtpOpener::plain().open(&rtp, 12, 0, &mut room), Some(&b"payload"[..]));
        for _ in 0..2 {
            assert_eq!(Opener::plain().open_rtcp(&plain(1), &mut room), Some(&plain(1)[..]));
        }
        for profile in PROFILES {
            let key: Vec<u8> = (0..(profile.key_len() + profile.salt_len()) as u8).collect();
            let (media, report) = seal(Sealer::with_master(profile, &key).unwrap());
            assert_eq!(media.len(), rtp.len() + profile.tag_len(), "{profile:?}");
            let opener = RtpOpener::with_master(profile, &key, 0).unwrap();
            assert_eq!(opener.open(&media, 12, 0, &mut room), Some(&b"payload"[..]), "{profile:?}");
            let mut opener = Opener::with_master(profile, &key, 0).unwrap();
            assert_eq!(opener.open_rtcp(&report, &mut room), Some(&plain(1)[..]), "{profile:?}");
            assert_eq!(opener.open_rtcp(&report, &mut room), None, "only once");
            let got = key.len() - 1;
            let short = Opener::with_master(profile, &key[1..], 0).err();
            assert_eq!(short, Some(SrtpError::MasterKeyLength { profile, got }));
        }
    }

    #[test]
    fn our_own_direction_is_not_the_peers() {
        for profile in PROFILES {
            let mut sealer = super::super::Sealer::new(profile, &material(profile), true).unwrap();
            let mut out = plain(1);
            sealer.seal_rtcp(&mut out, 0);
            let mut room = Vec::new();
            assert_eq!(opener(profile).open_rtcp(&out, &mut room), None);
            let mut peers = Opener::new(profile, &material(profile), false).unwrap();
            assert_eq!(peers.open_rtcp(&out, &mut room), Some(&plain(1)[..]));
        }
    }

    #[test]
    fn senders_are_bounded_and_the_longest_unheard_makes_room() {
        let profile = Profile::AeadAes128Gcm;
        let mut opener = opener(profile);
        let mut room = Vec::new();
        let mut open = |ssrc, index| opener.open_rtcp(&peers_packet(profile, ssrc, index), &mut room).is_some();
        for ssrc in 0..MAX_SENDERS as u32 {
            assert!(open(ssrc, 1));
        }
        assert!(open(0, 2), "sender 0 is fresh again");
        assert!(open(1000, 1), "sender 1 goes for this one");
        assert!(!open(0, 1) && !open(0, 2) && !open(2, 1));
        assert!(open(1, 1), "nothing is known of it any more");
        assert_eq!(opener.senders.len(), MAX_SENDERS);
    }
}
