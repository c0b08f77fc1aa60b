//! The header of what looks like RTP ends within the packet, where a plain reading has it; what holds no keys stays shut, wherever
//! its payload is said to begin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rivero_transport::srtp::{Profile, RtpOpener};
use rivero_transport::webrtc::header_length;

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (begins, rollovers, packet) = input;
    let length = header_length(packet);
    assert_eq!(length, plain(packet));
    for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm] {
        let material = vec![1; profile.keying_material_len()];
        let opener = RtpOpener::new(profile, &material, true).expect("the length is that of the profile");
        for begins in length.into_iter().chain([usize::from(begins), packet.len()]) {
            assert_eq!(opener.open(packet, begins, rollovers, &mut Vec::new()), None);
        }
    }
});

fn plain(packet: &[u8]) -> Option<usize> {
    let mut rest = packet.get(12..)?;
    rest = rest.get(usize::from(packet[0] % 16) * 4..)?;
    if packet[0] / 16 % 2 == 1 {
        let words = usize::from(*rest.get(2)?) * 256 + usize::from(*rest.get(3)?);
        rest = rest.get(4 + words * 4..)?;
    }
    Some(packet.len() - rest.len())
}
