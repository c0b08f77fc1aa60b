//! The header of an RTP packet as it came (RFC 3550, section 5.1).
//!
//! Enters: any bytes. Leaves: what the fixed part says, and where the payload is. It must never know what numbers mean.

use bytes::Bytes;

/// The fixed part.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    padded: bool,
    marker: bool,
    pub payload_type: u8,
    pub number: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// An RTP packet, opened.
pub struct Arrived {
    pub ssrc: u32,
    /// The same for all packets that belong to one count of numbers.
    pub stream: u32,
    pub payload_type: u8,
    /// Extended by the count of rollovers.
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// Without padding.
    pub payload: Bytes,
}

impl Header {
    /// `None` for what is shorter than a header.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let [first, second, n0, n1, t0, t1, t2, t3, s0, s1, s2, s3, ..] = *datagram else { return None };
        Some(Header {
            padded: first & 0x20 != 0,
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            number: u16::from_be_bytes([n0, n1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        })
    }

    /// The packet, now that its payload is open. `None` when its padding is longer than itself.
    pub fn arrived(&self, sequence: u64, mut payload: Vec<u8>) -> Option<Arrived> {
        if self.padded {
            let padding = usize::from(*payload.last()?);
            payload.truncate(payload.len().checked_sub(padding)?);
        }
        Some(Arrived {
            ssrc: self.ssrc,
            stream: self.ssrc,
            payload_type: self.payload_type,
            sequence,
            timestamp: self.timestamp,
            marker: self.marker,
            payload: Bytes::from(payload),
        })
    }
}

/// How many bytes stand before the payload of an RTP packet: the fixed part, contributing sources and extensions (RFC 3550,
/// sections 5.1 and 5.3.1). `None` for a packet that is cut before.
pub fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut length = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let [high, low] = *packet.get(length + 2..)?.first_chunk()?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    Some(length).filter(|length| *length <= packet.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_behind_its_sources_and_extensions() {
        let packet = |first: u8, length: usize| {
            let mut packet = vec![0; length];
            packet[0] = first;
            if let Some(words) = packet.get_mut(23) {
                *words = 1;
            }
            packet
        };
        assert_eq!(header_length(&packet(0x80, 12)), Some(12));
        assert_eq!(header_length(&packet(0x82, 30)), Some(20));
        assert_eq!(header_length(&packet(0x92, 30)), Some(28), "two sources, four bytes, one word");
        assert_eq!(header_length(&packet(0x92, 27)), None, "cut");
        assert_eq!(header_length(&packet(0x92, 21)), None);
        assert_eq!(header_length(&[]), None);
    }

    #[test]
    fn padding_is_cut_and_may_not_be_longer_than_the_payload() {
        let header = |first| Header::read(&[first, 0x80 | 96, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4]).expect("twelve bytes");
        let arrived = header(0xa0).arrived(258, vec![7, 7, 0, 2]).expect("two of four bytes");
        assert_eq!((&arrived.payload[..], arrived.payload_type, arrived.marker), (&[7, 7][..], 96, true));
        assert_eq!(header(0x80).arrived(258, vec![7, 7, 0, 2]).map(|plain| plain.payload.len()), Some(4));
        assert!(header(0xa0).arrived(258, vec![7, 9]).is_none() && header(0xa0).arrived(258, vec![]).is_none());
    }
}
