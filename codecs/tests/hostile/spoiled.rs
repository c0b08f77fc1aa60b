//! Films that were cut off, and films in which bits are wrong, of every container that players meet.

use crate::cinema::{play, play_posted, within_bounds};
use crate::{Room, alone, clip};

/// Wrong films of each container.
const FLIPPED: u32 = 400;

/// How a container is made: its name, the codings, and what the muxer is told.
type Recipe = (&'static str, [&'static str; 2], &'static [&'static str]);

const WEBM: Recipe = ("a.webm", ["libvpx", "libopus"], &[]);
const MKV: Recipe = ("a.mkv", ["libx264", "aac"], &["-bf", "2"]);
const MP4: Recipe = ("a.mp4", ["libx264", "aac"], &[]);
const FASTSTART: Recipe = ("b.mp4", ["libx264", "aac"], &["-movflags", "faststart"]);
const FRAGMENTED: Recipe = ("c.mp4", ["libx264", "aac"], &["-movflags", "frag_keyframe+empty_moov"]);
const FLV: Recipe = ("a.flv", ["libx264", "aac"], &[]);
const TS: Recipe = ("a.ts", ["libx264", "aac"], &[]);
const OGG: Recipe = ("a.ogv", ["libtheora", "libvorbis"], &[]);
const AVI: Recipe = ("a.avi", ["mpeg4", "libmp3lame"], &[]);

/// Cut at every 1,000th byte, and at every byte of the first hundred.
fn truncate((name, codings, more): Recipe) {
    let _alone = alone();
    let room = Room::new(&format!("cut-{name}"));
    let whole = clip(&room, name, codings, more);
    within_bounds(|| {
        let all = play(&room.put(name, &whole));
        assert!(all.end.is_ok() && all.frames > 30, "{all:?}");
        for length in (0..100).step_by(9).chain((0..whole.len()).step_by(1000)) {
            let cut = &whole[..length];
            let shown = play(&room.put(name, cut));
            shown.is_documented(&format!("{name}, {length} bytes"));
            assert!(shown.frames <= all.frames, "{name}, {length} bytes: {shown:?}");
            play_posted(cut).is_documented(&format!("{name}, {length} bytes posted"));
        }
    });
}

fn flip((name, codings, more): Recipe) {
    let _alone = alone();
    let room = Room::new(&format!("flip-{name}"));
    let whole = clip(&room, name, codings, more);
    let mut seed = 20_261_122_u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    within_bounds(|| {
        for round in 0..FLIPPED {
            let mut data = whole.clone();
            let reach = if round % 2 == 0 { data.len().min(2000) } else { data.len() };
            for _ in 0..1 + round % 8 {
                // Many an index stands at the end.
                let at = if round % 4 == 2 { data.len() - 1 - next(reach) } else { next(reach) };
                data[at] ^= 1 << next(8);
            }
            let name = format!("{name}, round {round}");
            match round % 4 {
                3 => play_posted(&data).is_documented(&name),
                _ => play(&room.put("flipped", &data)).is_documented(&name),
            }
        }
    });
}

macro_rules! spoil {
    ($($recipe:ident: $cut:ident, $flipped:ident;)*) => {$(
        #[test]
        fn $cut() {
            truncate($recipe);
        }

        #[test]
        fn $flipped() {
            flip($recipe);
        }
    )*};
}

spoil! {
    WEBM: webm_cut_off, webm_with_wrong_bits;
    MKV: matroska_cut_off, matroska_with_wrong_bits;
    MP4: mp4_cut_off, mp4_with_wrong_bits;
    FASTSTART: mp4_with_its_index_first_cut_off, mp4_with_its_index_first_with_wrong_bits;
    FRAGMENTED: mp4_in_fragments_cut_off, mp4_in_fragments_with_wrong_bits;
    FLV: flv_cut_off, flv_with_wrong_bits;
    TS: ts_cut_off, ts_with_wrong_bits;
    OGG: ogg_cut_off, ogg_with_wrong_bits;
    AVI: avi_cut_off, avi_with_wrong_bits;
}
