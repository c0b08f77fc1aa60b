//! Tracks that never came, in WebM and Matroska: they become void (RFC 8794, section 11.3.1; RFC 9559, section 5.1.4).

use super::{Came, number};
use std::ops::Range;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
/// Both are one byte long, as is what replaces them.
const TRACK: u32 = 0xae;
const CHECKSUM: u32 = 0xbf;
const VOID: u8 = 0xec;

/// None if the elements are not as they should be.
pub(super) fn fill(head: &mut [u8], tracks: &[Came]) -> Option<()> {
    if tracks.iter().all(|track| track.units > 0) {
        return Some(());
    }
    let ebml = element(head, 0)?;
    let segment = (ebml.id == EBML).then(|| element(head, ebml.data.end))??;
    let mut at = (segment.id == SEGMENT).then_some(segment.data.start)?;
    let list = loop {
        let child = element(head, at)?;
        if child.id == TRACKS {
            break child.data;
        }
        at = child.data.end;
    };
    let (mut at, mut entries) = (list.start, Vec::new());
    while at < list.end {
        let child = element(head, at)?;
        entries.push((child.id, at));
        at = child.data.end;
    }
    let mut came = tracks.iter();
    for (id, at) in entries {
        // The checksum is of the list as it was.
        if id == CHECKSUM || id == TRACK && came.next().is_some_and(|track| track.units == 0) {
            *head.get_mut(at)? = VOID;
        }
    }
    Some(())
}

struct Element {
    id: u32,
    /// May end behind what there is.
    data: Range<usize>,
}

fn element(head: &[u8], at: usize) -> Option<Element> {
    let length = |at: usize| Some(head.get(at)?.leading_zeros() as usize + 1);
    let id = head.get(at..at + length(at).filter(|length| *length <= 4)?)?;
    let at = at + id.len();
    let size = head.get(at..at + length(at).filter(|length| *length <= 8)?)?;
    let start = at + size.len();
    let size = number(size) & !(1 << (7 * size.len()));
    Some(Element { id: number(id) as u32, data: start..start.saturating_add(size as usize) })
}
