//! What stands inside the packets that the tool publishes: enough of VP8 that servers find frames and key frames, then a
//! stamp with the frame's number and the moment of sending. The stamp is at the same place in every packet.

/// RTP payload types of the tool's own descriptions.
pub const OPUS: u8 = 111;
pub const VP8: u8 = 96;
/// Bytes of payload in each Opus packet, one each 20 ms.
pub const OPUS_BYTES: usize = 160;
pub const OPUS_EVERY_US: u64 = 20_000;

/// One byte of VP8 descriptor and ten of frame header stand before the stamp (RFC 7741, section 4; RFC 6386, section 9.1).
const STAMP_AT: usize = 11;
const STAMP_LEN: usize = 16;
const MAGIC: [u8; 4] = *b"rvro";
/// No payload may be shorter, or the stamp would not fit.
pub const SHORTEST: usize = STAMP_AT + STAMP_LEN;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub frame: u32,
    /// ns of CLOCK_MONOTONIC.
    pub sent_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Packet {
    pub first: bool,
    pub key: bool,
}

/// Writes one VP8 packet of `bytes` bytes.
pub fn vp8(bytes: usize, packet: Vp8Packet, stamp: Stamp) -> Vec<u8> {
    let mut payload = filler(bytes);
    // S marks the begin of the only partition.
    payload[0] = if packet.first { 0x10 } else { 0 };
    if packet.first {
        // Inverse key flag, version 0, shown, a first partition of 1,000 bytes.
        let tag: u32 = u32::from(!packet.key) | 1 << 4 | 1000 << 5;
        payload[1..4].copy_from_slice(&tag.to_le_bytes()[..3]);
        if packet.key {
            payload[4..7].copy_from_slice(&[0x9d, 0x01, 0x2a]);
            payload[7..9].copy_from_slice(&640u16.to_le_bytes());
            payload[9..11].copy_from_slice(&480u16.to_le_bytes());
        }
    }
    write_stamp(&mut payload, stamp);
    payload
}

/// Writes one Opus packet: a full-band stereo frame of 20 ms by its first byte (RFC 6716, section 3.1).
pub fn opus(stamp: Stamp) -> Vec<u8> {
    let mut payload = filler(OPUS_BYTES);
    payload[0] = 0xfc;
    write_stamp(&mut payload, stamp);
    payload
}

fn filler(bytes: usize) -> Vec<u8> {
    vec![0x55; bytes.max(SHORTEST)]
}

fn write_stamp(payload: &mut [u8], stamp: Stamp) {
    let place = &mut payload[STAMP_AT..STAMP_AT + STAMP_LEN];
    place[..4].copy_from_slice(&MAGIC);
    place[4..8].copy_from_slice(&stamp.frame.to_be_bytes());
    place[8..].copy_from_slice(&stamp.sent_ns.to_be_bytes());
}

/// The stamp, when there is one where it should be: servers that pack frames anew keep it in the first packet only.
pub fn read_stamp(payload: &[u8]) -> Option<Stamp> {
    let place: &[u8; STAMP_LEN] = payload.get(STAMP_AT..)?.first_chunk()?;
    let (magic, rest) = place.split_first_chunk::<4>()?;
    let (frame, sent) = rest.split_first_chunk::<4>()?;
    let sent_ns = u64::from_be_bytes(*sent.first_chunk()?);
    (*magic == MAGIC).then_some(Stamp { frame: u32::from_be_bytes(*frame), sent_ns })
}

/// What a VP8 packet says of itself; the descriptor may have grown on the way.
pub fn read_vp8(payload: &[u8]) -> Option<Vp8Packet> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extension = *payload.get(1)?;
        at += 1;
        if extension & 0x80 != 0 {
            at += 1 + usize::from(payload.get(2)? >> 7);
        }
        at += usize::from(extension & 0x40 != 0) + usize::from(extension & 0x30 != 0);
    }
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    Some(Vp8Packet { first: begins, key: begins && payload.get(at)? & 1 == 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { frame: 7, sent_ns: 1 << 40 };

    #[test]
    fn what_is_written_is_read() {
        for packet in [(true, true), (true, false), (false, false)].map(|(first, key)| Vp8Packet { first, key }) {
            let payload = vp8(900, packet, STAMP);
            assert_eq!((payload.len(), read_vp8(&payload), read_stamp(&payload)), (900, Some(packet), Some(STAMP)));
        }
        assert_eq!(read_stamp(&opus(STAMP)), Some(STAMP));
        assert_eq!(read_stamp(&opus(STAMP)[..20]), None);
        assert_eq!(read_stamp(&[0; 40]), None);
        assert_eq!(vp8(3, Vp8Packet { first: false, key: false }, STAMP).len(), SHORTEST);
    }

    #[test]
    fn a_descriptor_with_picture_number_is_stepped_over() {
        let key = [0x90, 0x80, 0x81, 0x02, 0x10];
        assert_eq!(read_vp8(&key), Some(Vp8Packet { first: true, key: true }));
        let delta = [0x90, 0xe0, 0x01, 0x02, 0x03, 0x11];
        assert_eq!(read_vp8(&delta), Some(Vp8Packet { first: true, key: false }));
        assert_eq!(read_vp8(&[0x90]), None);
    }
}
