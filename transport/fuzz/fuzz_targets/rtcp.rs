//! Whatever a peer that holds the keys says by RTCP is read to its end; what holds no keys stays shut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::rtcp::{Rtcp, parse};
use rivero_transport::srtp::{Opener, Profile};

fuzz_target!(|packet: &[u8]| {
    for part in parse(packet) {
        match part {
            Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => assert!(reports.count() <= 31),
            Rtcp::Nack { lost, .. } => assert!(lost.count() <= packet.len() / 4 * 17),
            Rtcp::Fir { entries, .. } => assert!(entries.count() <= packet.len() / 8),
            Rtcp::Remb { ssrcs, .. } | Rtcp::Bye { ssrcs } => assert!(ssrcs.count() <= packet.len() / 4),
            Rtcp::Pli { .. } | Rtcp::Other { .. } => {}
        }
    }
    for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm] {
        let material = vec![1; profile.keying_material_len()];
        let mut opener = Opener::new(profile, &material, true).expect("the length is that of the profile");
        assert_eq!(opener.open_rtcp(packet, &mut Vec::new()), None);
    }
});
