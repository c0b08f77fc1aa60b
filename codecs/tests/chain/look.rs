//! Looks at pictures and says which one it is, and how far the worst part of it is from that.

use crate::signal::picture;
use rivero_engine::Picture;

/// Number `n` and number `n + CYCLE` look alike but for their texture: the bar has come around.
pub fn cycle(width: u32) -> u32 {
    (width - width / 8) / 4
}

/// Where the bar stands in the upper half, which is darker than it everywhere; as the number of the picture within its cycle.
pub fn number(seen: &Picture) -> f64 {
    let plane = &seen.planes[0];
    let rows = seen.height / 8..seen.height * 3 / 8;
    let column = |x: u32| -> f64 {
        let sum: u32 = rows.clone().map(|y| u32::from(plane.data[y as usize * plane.stride + x as usize])).sum();
        let background = if x < seen.width / 2 { 82.0 } else { 145.0 };
        (f64::from(sum) / f64::from(rows.len() as u32) - background) / (200.0 - background)
    };
    let columns: Vec<f64> = (0..seen.width).map(column).collect();
    let wide = (seen.width / 8) as usize;
    let best = (0..=columns.len() - wide)
        .map(|x| (columns[x..x + wide].iter().map(|column| (column - 1.0).abs()).sum::<f64>(), x))
        .min_by(|one, other| one.0.total_cmp(&other.0));
    best.unwrap().1 as f64 / 4.0
}

/// The greatest difference between means of blocks of 8x8 (4x4 of the colours) of the picture and of what picture `number` should
/// look like.
pub fn worst_block(seen: &Picture, number: u32) -> f64 {
    let original = picture(seen.width, seen.height, number);
    let mut worst = 0.0_f64;
    for plane in 0..3 {
        let size = if plane == 0 { 8 } else { 4 };
        let (wide, high) = seen.plane_size(plane);
        for y in (0..high / size).map(|y| y * size) {
            for x in (0..wide / size).map(|x| x * size) {
                let (is, was) = (block(seen, plane, x, y, size), block(&original, plane, x, y, size));
                worst = worst.max((is - was).abs());
            }
        }
    }
    worst
}

fn block(picture: &Picture, plane: usize, x: u32, y: u32, size: u32) -> f64 {
    let plane = &picture.planes[plane];
    let rows = (y..y + size).map(|y| &plane.data[y as usize * plane.stride + x as usize..][..size as usize]);
    rows.flatten().map(|value| f64::from(*value)).sum::<f64>() / f64::from(size * size)
}
