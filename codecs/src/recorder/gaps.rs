//! What becomes of gaps: whether times in which nothing was heard are cut out of a recording.
//!
//! Enters: when each frame would be shown or heard in the file. Leaves: how much is cut out before it. It must never know a file.
//!
//! A gap is closed for sound and pictures alike, so that they stay together. As far as pictures came in it, it cannot be closed without
//! throwing them away: that part of it stays, unless it is so short that nobody sees how the pictures make up for it.

use rivero_engine::{Codec, MediaKind, MediaTime};
use std::time::Duration;

/// Kurento's `GapsFixMethod`, as far as it does anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// They stay what they were: the recording has the time of the wall.
    #[default]
    Stay,
    /// They are cut out.
    Close,
}

/// Less is no gap, but what times are rounded to, and how clocks are followed.
const LEAST: Duration = Duration::from_millis(5);
/// So much is closed though pictures came meanwhile: they follow each other sooner for as long.
const UNSEEN: Duration = Duration::from_millis(100);
/// When pictures come so long after all else there is a gap in the sound too. Sound may be on its way for longer than they are.
const LONG: Duration = Duration::from_millis(500);
/// Pictures that follow each other like this leave no gap.
const FLOW: Duration = Duration::from_millis(80);
/// So long a picture is shown at least.
const SEAM: Duration = Duration::from_millis(40);

/// Follows one recording.
pub struct GapFix {
    gaps: Gaps,
    /// In the file: when the sound ends that is there, and when the newest picture is shown.
    heard: Option<MediaTime>,
    shown: Option<MediaTime>,
}

impl GapFix {
    pub fn new(gaps: Gaps) -> Self {
        GapFix { gaps, heard: None, shown: None }
    }

    /// How much is to be cut out before a frame that would be at `at`.
    pub fn cut(&mut self, kind: MediaKind, at: MediaTime) -> Duration {
        let (Gaps::Close, Some(heard)) = (self.gaps, self.heard) else { return Duration::ZERO };
        let missing = at.since(heard);
        let shown = self.shown.unwrap_or(heard);
        match kind {
            MediaKind::Video => {
                let empty = at.since(heard.max(shown + SEAM));
                if empty < LONG {
                    return Duration::ZERO;
                }
                // The sound goes on with the picture, not where it was.
                self.heard = None;
                empty
            }
            _ if missing < LEAST => Duration::ZERO,
            _ if missing <= UNSEEN => missing,
            _ => Some(at.since(heard.max(shown))).filter(|empty| *empty >= FLOW).unwrap_or_default(),
        }
    }

    /// A frame is in the file, at `at`.
    pub fn note(&mut self, kind: MediaKind, at: MediaTime, long: Duration) {
        match kind {
            MediaKind::Video => self.shown = self.shown.max(Some(at)),
            _ => self.heard = self.heard.max(Some(at + long)),
        }
    }
}

/// How long a frame of sound is. Zero if that cannot be told.
pub fn length(codec: Codec, rate: u32, frame: &[u8]) -> Duration {
    let samples = match codec {
        // Opus counts in 48 kHz whatever is inside.
        Codec::Opus => return Duration::from_micros(opus_microseconds(frame)),
        Codec::Aac => 1024_u64,
        _ => return Duration::ZERO,
    };
    Duration::from_nanos(samples * 1_000_000_000 / u64::from(rate.max(1)))
}

/// By its first bytes (RFC 6716, sections 3.1 and 3.2).
fn opus_microseconds(packet: &[u8]) -> u64 {
    let Some(first) = packet.first() else { return 0 };
    let config = first >> 3;
    let one = match config {
        0..12 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        12..16 => [10_000, 20_000][usize::from(config % 2)],
        _ => [2500, 5000, 10_000, 20_000][usize::from(config % 4)],
    };
    let count = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |second| u64::from(second & 0x3f)),
    };
    // No packet is longer.
    (one * count).min(120_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use MediaKind::{Audio, Video};

    const FRAME: Duration = Duration::from_millis(20);

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// Puts frames into a file, and says where.
    fn placed(gaps: Gaps, frames: &[(MediaKind, u64)]) -> Vec<u128> {
        let (mut fix, mut cut) = (GapFix::new(gaps), Duration::ZERO);
        let mut place = |(kind, at): &(MediaKind, u64)| {
            cut += fix.cut(*kind, ms(*at) - cut);
            let at = ms(*at) - cut;
            fix.note(*kind, at, if *kind == Audio { FRAME } else { Duration::ZERO });
            at.since(MediaTime::ZERO).as_millis()
        };
        frames.iter().map(&mut place).collect()
    }

    #[test]
    fn what_is_missing_in_the_sound_is_cut_out_before_all_that_follows() {
        let frames = [(Audio, 0), (Audio, 20), (Audio, 1040), (Audio, 1060), (Video, 1070), (Audio, 1100)];
        assert_eq!(placed(Gaps::Stay, &frames), [0, 20, 1040, 1060, 1070, 1100]);
        assert_eq!(placed(Gaps::Close, &frames), [0, 20, 40, 60, 70, 80], "and a packet that was lost");
    }

    #[test]
    fn whichever_comes_first_after_a_gap_closes_it() {
        let before = [(Audio, 0), (Video, 0), (Audio, 20), (Audio, 40), (Video, 40)];
        let after =
            |frames: &[(MediaKind, u64)]| placed(Gaps::Close, &[&before, frames].concat())[before.len()..].to_vec();
        assert_eq!(after(&[(Audio, 5000), (Video, 5010), (Audio, 5020)]), [60, 70, 80]);
        assert_eq!(after(&[(Video, 5000), (Audio, 5010), (Video, 5040)]), [80, 90, 120]);
    }

    #[test]
    fn pictures_that_came_meanwhile_stay_where_they_are() {
        let mut frames = vec![(Audio, 0)];
        frames.extend((0..50).map(|number| (Video, number * 40)));
        frames.extend([(Audio, 2000), (Video, 2000), (Audio, 2020), (Video, 2040)]);
        let placed = placed(Gaps::Close, &frames);
        assert_eq!(placed[50], 1960);
        assert_eq!(placed[51..], [2000, 2000, 2020, 2040], "together, whatever was missing");
    }

    #[test]
    fn rounding_and_what_was_never_there_are_no_gaps() {
        let steady: Vec<_> = (0..1000).map(|number| (Audio, number * 20 + number % 2)).collect();
        assert_eq!(placed(Gaps::Close, &steady).last(), Some(&19_981));
        let pictures: Vec<_> = (0..10).map(|number| (Video, number * 5000)).collect();
        assert_eq!(placed(Gaps::Close, &pictures).last(), Some(&45_000), "no sound, no gap in it");
        assert_eq!(placed(Gaps::Close, &[(Video, 0), (Audio, 9000)]), [0, 9000], "a track that begins late");
    }

    #[test]
    fn packets_say_how_long_they_are() {
        for (packet, expected) in [
            (&[0xfc_u8][..], 20_000),
            (&[0xfd], 40_000),
            (&[0x18, 0], 60_000),
            (&[0x63, 0x82], 20_000),
            (&[0xe0], 2500),
        ] {
            assert_eq!(opus_microseconds(packet), expected, "{packet:02x?}");
        }
        assert_eq!((opus_microseconds(&[]), opus_microseconds(&[0xff, 0x3f])), (0, 120_000));
        assert_eq!(length(Codec::Aac, 48_000, &[]), Duration::from_nanos(21_333_333));
    }
}
