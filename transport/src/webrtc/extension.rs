//! Header extensions of RTP packets (RFC 8285): finding one in what came.
//!
//! Enters: a packet, from which nothing is trusted, and the negotiated id. Leaves: the bytes of that element. It must never know
//! what they mean.

/// The element of an id; the first where there are two. Both forms are read, with one byte or two before each element.
pub fn find(packet: &[u8], id: u8) -> Option<&[u8]> {
    let first = *packet.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let after_sources = packet.get(12 + 4 * usize::from(first & 0x0f)..)?;
    let (&[profile, form, high, low], rest) = after_sources.split_first_chunk()?;
    let elements = rest.get(..4 * usize::from(u16::from_be_bytes([high, low])))?;
    match (profile, form) {
        (0xbe, 0xde) => find_with(elements, id, one_byte),
        (0x10, 0x00..=0x0f) => find_with(elements, id, two_bytes),
        _ => None,
    }
}

/// The id of an element, its length, and what follows its head; `None` where reading ends.
type Head = fn(u8, &[u8]) -> Option<(u8, usize, &[u8])>;

fn find_with(mut rest: &[u8], id: u8, head: Head) -> Option<&[u8]> {
    while let Some((&first, after)) = rest.split_first() {
        if first == 0 {
            // Padding.
            rest = after;
            continue;
        }
        let (this, length, after) = head(first, after)?;
        let (element, next) = after.split_at_checked(length)?;
        if this == id {
            return Some(element);
        }
        rest = next;
    }
    None
}

/// RFC 8285, section 4.2: id 15 ends everything.
fn one_byte(first: u8, after: &[u8]) -> Option<(u8, usize, &[u8])> {
    (first >> 4 != 15).then_some((first >> 4, usize::from(first & 0x0f) + 1, after))
}

/// RFC 8285, section 4.3.
fn two_bytes(first: u8, after: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (length, after) = after.split_first()?;
    Some((first, usize::from(*length), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet with two contributing sources and these elements, filled to words.
    fn packet(profile: [u8; 2], elements: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x92;
        let words = elements.len().div_ceil(4);
        packet.extend_from_slice(&[profile[0], profile[1], 0, words as u8]);
        packet.extend_from_slice(elements);
        packet.resize(24 + 4 * words, 0);
        packet.extend_from_slice(b"payload");
        packet
    }

    #[test]
    fn elements_are_found_in_both_forms() {
        let one = packet([0xbe, 0xde], &[0x32, 1, 2, 3, 0, 0, 0x51, 7, 8, 0x30, 9]);
        assert_eq!(find(&one, 5), Some(&[7, 8][..]), "after padding");
        assert_eq!(find(&one, 3), Some(&[1, 2, 3][..]), "the first of two");
        assert_eq!(find(&one, 4), None);
        assert_eq!(find(&one, 0), None, "padding is no element");
        let two = packet([0x10, 0x00], &[3, 0, 0, 200, 2, 7, 8]);
        assert_eq!(find(&two, 200), Some(&[7, 8][..]));
        assert_eq!(find(&two, 3), Some(&[][..]), "empty ones are allowed");
        assert_eq!(find(&packet([0x10, 0x10], &[3, 1, 1]), 3), None, "some other form");
    }

    #[test]
    fn what_is_cut_or_ended_is_not_read() {
        assert_eq!(find(&packet([0xbe, 0xde], &[0xf0, 1, 0x51, 7, 8, 0]), 5), None, "id 15 ends it");
        assert_eq!(find(&packet([0xbe, 0xde], &[0x5f, 7, 8]), 5), None, "16 bytes are not there");
        let whole = packet([0xbe, 0xde], &[0x51, 7, 8]);
        (0..28).for_each(|length| assert_eq!(find(&whole[..length], 5), None, "cut after {length}"));
        assert!(find(&whole[..28], 5).is_some());
        let mut without = whole;
        without[0] = 0x82;
        assert_eq!(find(&without, 5), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(packet in prop::collection::vec(any::<u8>(), 0..60), id: u8) {
            let _ = find(&packet, id);
        }
    }
}
