//! The head of an MP4 of fragments: how long it is, and which tracks it has. Boxes are those of ISO/IEC 14496-12.

use super::{Came, number};
use std::ops::Range;
use std::time::Duration;

/// Bytes of a box's own head, and of the box that says how long all fragments are (mehd, 8.8.2).
const HEAD: usize = 8;
const MEHD: usize = 20;

/// None if the boxes are not as they should be.
pub(super) fn fill(head: &mut [u8], tracks: &[Came]) -> Option<()> {
    let whole = tracks.iter().map(|track| track.end).max().unwrap_or_default();
    let mut at = 0;
    let movie = loop {
        let found = place(head, at)?;
        if found.is(head, b"moov") {
            break found;
        }
        at = found.end;
    };
    let children = boxes(head, movie.inside())?;
    let scale = set_media(head, find(head, &children, b"mvhd")?, whole)?;
    let fragments = children.iter().find(|child| child.is(head, b"mvex"))?;
    let usual: Vec<_> = boxes(head, fragments.inside())?.into_iter().filter(|child| child.is(head, b"trex")).collect();
    let traks: Vec<_> = children.iter().filter(|child| child.is(head, b"trak")).collect();
    for ((trak, usual), came) in traks.into_iter().zip(usual).zip(tracks) {
        if came.units > 0 {
            set_track(head, trak, scale, came.end)?;
        } else {
            trak.free(head);
            usual.free(head);
        }
    }
    // The name of the muxer stands last. It makes room for what fragments have and FFmpeg leaves out.
    if let Some(last) = children.last().filter(|last| last.start == fragments.end && last.is(head, b"udta"))
        && last.end - last.start >= MEHD + HEAD
    {
        add_mehd(head, fragments, last, units(whole, scale));
    }
    Some(())
}

fn set_track(head: &mut [u8], trak: &Place, scale: u64, duration: Duration) -> Option<()> {
    let inner = boxes(head, trak.inside())?;
    let media = inner.iter().find(|child| child.is(head, b"mdia"))?;
    let media = boxes(head, media.inside())?;
    set_media(head, find(head, &media, b"mdhd")?, duration)?;
    let track = find(head, &inner, b"tkhd")?;
    match head.get(track + HEAD)? {
        0 => set_short(head, track + 28, units(duration, scale)),
        _ => set_long(head, track + 36, units(duration, scale)),
    }
}

/// Puts a mehd before the first box of `fragments`; what is left of `last` is free.
fn add_mehd(head: &mut [u8], fragments: &Place, last: &Place, duration: u64) {
    let (first, end) = (fragments.start + HEAD, fragments.end);
    head.copy_within(first..end, first + MEHD);
    head[first..][..4].copy_from_slice(&(MEHD as u32).to_be_bytes());
    head[first + 4..][..4].copy_from_slice(b"mehd");
    head[first + HEAD..][..4].copy_from_slice(&[1, 0, 0, 0]);
    head[first + HEAD + 4..][..8].copy_from_slice(&duration.to_be_bytes());
    let longer = (end - fragments.start + MEHD) as u32;
    head[fragments.start..][..4].copy_from_slice(&longer.to_be_bytes());
    let free = &mut head[end + MEHD..last.end];
    let size = free.len() as u32;
    free.fill(0);
    free[..4].copy_from_slice(&size.to_be_bytes());
    free[4..HEAD].copy_from_slice(b"free");
}

/// Where a box stands.
struct Place {
    start: usize,
    end: usize,
}

impl Place {
    fn is(&self, data: &[u8], name: &[u8; 4]) -> bool {
        data.get(self.start + 4..self.start + HEAD).is_some_and(|is| is == name)
    }

    fn inside(&self) -> Range<usize> {
        self.start + HEAD..self.end
    }

    fn free(&self, data: &mut [u8]) {
        data[self.start + 4..self.start + HEAD].copy_from_slice(b"free");
    }
}

/// None unless all of it is there.
fn place(data: &[u8], start: usize) -> Option<Place> {
    let size = number(data.get(start..start + 4)?) as usize;
    let end = start.checked_add(size).filter(|end| size >= HEAD && *end <= data.len())?;
    Some(Place { start, end })
}

fn boxes(data: &[u8], within: Range<usize>) -> Option<Vec<Place>> {
    let (mut places, mut start) = (Vec::new(), within.start);
    while start < within.end {
        let place = place(data, start).filter(|place| place.end <= within.end)?;
        start = place.end;
        places.push(place);
    }
    Some(places)
}

fn find(data: &[u8], places: &[Place], name: &[u8; 4]) -> Option<usize> {
    places.iter().find(|place| place.is(data, name)).map(|place| place.start)
}

/// Fills in an mvhd or an mdhd (8.2.2, 8.4.2), which begin alike; its units in a second.
fn set_media(data: &mut [u8], start: usize, duration: Duration) -> Option<u64> {
    let long = *data.get(start + HEAD)? != 0;
    let at = start + if long { 28 } else { 20 };
    let scale = number(data.get(at..at + 4)?);
    match long {
        false => set_short(data, at + 4, units(duration, scale))?,
        true => set_long(data, at + 4, units(duration, scale))?,
    }
    Some(scale)
}

fn units(duration: Duration, scale: u64) -> u64 {
    let units = (duration.as_nanos() * u128::from(scale)).div_ceil(1_000_000_000);
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// What is too long for its place is unknown: all ones.
fn set_short(data: &mut [u8], at: usize, value: u64) -> Option<()> {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    data.get_mut(at..at + 4)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

fn set_long(data: &mut [u8], at: usize, value: u64) -> Option<()> {
    data.get_mut(at..at + 8)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}
