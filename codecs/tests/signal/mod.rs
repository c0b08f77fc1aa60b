//! Pictures and tones that can be recognised after coding.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use rivero_engine::{MediaTime, Picture, Plane, Sound};
use std::f64::consts::TAU;

/// Y, U, V of the quadrants: top left, top right, bottom left, bottom right.
pub const QUADRANTS: [[u8; 3]; 4] = [[82, 90, 220], [145, 60, 50], [60, 220, 110], [180, 128, 128]];

/// Coloured quadrants, with a grey bar an eighth wide that moves to the right from picture to picture.
pub fn picture(width: u32, height: u32, number: u32) -> Picture {
    let at = MediaTime::from_nanos(u64::from(number) * 1_000_000_000 / 30);
    let bar = bar(width, number);
    let planes = [0, 1, 2].map(|p| {
        let (wide, high) = if p == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
        let stride = wide as usize + 8;
        let mut data = vec![0_u8; stride * high as usize];
        for y in 0..high {
            for x in 0..wide {
                let whole = if p == 0 { x } else { x * 2 };
                let quadrant = usize::from(x >= wide / 2) + 2 * usize::from(y >= high / 2);
                let grey = whole >= bar && whole < bar + width / 8;
                // A little texture, so that there is something to code.
                let texture = if p == 0 { ((x * 7 + y * 13 + number * 5) % 9) as u8 } else { 4 };
                let value = if grey { [200, 128, 128][p] } else { QUADRANTS[quadrant][p] };
                data[y as usize * stride + x as usize] = value - 4 + texture;
            }
        }
        Plane { data: data.into(), stride }
    });
    Picture { width, height, planes, at }
}

fn bar(width: u32, number: u32) -> u32 {
    number * 4 % (width - width / 8)
}

/// Under noise, which no codec can make small.
pub fn noise(width: u32, height: u32, number: u32) -> Picture {
    let mut picture = picture(width, height, number);
    let mut seed = number.wrapping_mul(2_654_435_761) | 1;
    let data = &mut picture.planes[0].data;
    *data = data
        .iter()
        .map(|&value| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            value / 2 + (seed >> 27) as u8
        })
        .collect::<Vec<_>>()
        .into();
    picture
}

/// The mean of a plane over a part of the picture, given in eighths of its size.
pub fn mean(picture: &Picture, plane: usize, x: (u32, u32), y: (u32, u32)) -> f64 {
    let (wide, high) = picture.plane_size(plane);
    let stride = picture.planes[plane].stride;
    let (mut sum, mut count) = (0.0, 0.0);
    for row in high * y.0 / 8..high * y.1 / 8 {
        for column in wide * x.0 / 8..wide * x.1 / 8 {
            sum += f64::from(picture.planes[plane].data[row as usize * stride + column as usize]);
            count += 1.0;
        }
    }
    sum / count
}

/// Whether colours and bar are those of picture `number`.
pub fn assert_alike(decoded: &Picture, number: u32, tolerance: f64) {
    let original = picture(decoded.width, decoded.height, number);
    for plane in 0..3 {
        for (x, y) in [((0, 4), (0, 4)), ((4, 8), (0, 4)), ((0, 4), (4, 8)), ((4, 8), (4, 8))] {
            let (is, was) = (mean(decoded, plane, x, y), mean(&original, plane, x, y));
            assert!((is - was).abs() < tolerance, "picture {number}, plane {plane}, {x:?} {y:?}: {is:.1} for {was:.1}");
        }
    }
    let (is, was) = (brightest_eighth(decoded), brightest_eighth(&original));
    assert!(is.abs_diff(was) <= 2, "picture {number}: the bar is at {is}, not {was}");
}

/// Where the bar is: the column at which an eighth of the bottom left quadrant's rows is brightest (the quadrant is dark).
fn brightest_eighth(picture: &Picture) -> u32 {
    let (stride, wide) = (picture.planes[0].stride, picture.width / 8);
    let rows = picture.height * 5 / 8..picture.height * 7 / 8;
    let column = |x: u32| -> u32 {
        rows.clone().map(|y| u32::from(picture.planes[0].data[y as usize * stride + x as usize])).sum()
    };
    let columns: Vec<u32> = (0..picture.width / 2).map(column).collect();
    (0..columns.len() as u32 - wide)
        .max_by_key(|&x| (columns[x as usize..(x + wide) as usize].iter().sum::<u32>(), u32::MAX - x))
        .expect("pictures are wider than the bar")
}

/// A sine from the start of time, at a third of full scale, in all channels.
pub fn tone(rate: u32, channels: u8, hz: f64, from: usize, count: usize) -> Sound {
    let samples: Vec<u8> = (from..from + count)
        .flat_map(|i| {
            let value = (f64::sin(TAU * hz * i as f64 / f64::from(rate)) * 10_922.0) as i16;
            std::iter::repeat_n(value.to_ne_bytes(), usize::from(channels)).flatten()
        })
        .collect();
    let at = MediaTime::from_nanos(from as u64 * 1_000_000_000 / u64::from(rate));
    Sound { rate, channels, samples: Bytes::from(samples), at }
}

/// One channel's samples, as numbers from -1 to 1.
pub fn channel(sounds: &[Sound], channel: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for sound in sounds {
        let wide = usize::from(sound.channels);
        let samples = sound.samples.chunks_exact(2).map(|b| f64::from(i16::from_ne_bytes([b[0], b[1]])) / 32768.0);
        all.extend(samples.skip(channel).step_by(wide));
    }
    all
}

/// The amplitude of one frequency (Goertzel's way, over a Hann window).
pub fn amplitude(samples: &[f64], rate: u32, hz: f64) -> f64 {
    let n = samples.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let window = 1.0 - f64::cos(TAU * i as f64 / n);
        let phase = TAU * hz * i as f64 / f64::from(rate);
        re += sample * window * phase.cos();
        im += sample * window * phase.sin();
    }
    2.0 * re.hypot(im) / n
}

/// Hz, by counting the zero crossings upwards.
pub fn frequency(samples: &[f64], rate: u32) -> f64 {
    let crossings: Vec<f64> = samples
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(i, pair)| i as f64 + pair[0] / (pair[0] - pair[1]))
        .collect();
    let [first, .., last] = crossings[..] else { return 0.0 };
    (crossings.len() - 1) as f64 * f64::from(rate) / (last - first)
}
