//! Resampler, scaler and filters change what they should and nothing else.

mod signal;

use rivero_codecs::coder::{FilterChain, Resampler, Scaler};
use rivero_engine::{Picture, Sound};
use signal::{QUADRANTS, amplitude, channel, frequency, mean, picture, tone};

#[test]
fn a_tone_stays_a_tone_at_another_rate() {
    for (from, to) in
        [((8000, 1), (48_000, 2)), ((48_000, 2), (8000, 1)), ((44_100, 2), (48_000, 2)), ((48_000, 1), (48_000, 1))]
    {
        let mut resampler = Resampler::new(from, to).unwrap();
        let piece = from.0 as usize / 50;
        let mut sounds: Vec<Sound> =
            (0..50).map(|i| resampler.resample(&tone(from.0, from.1, 440.0, i * piece, piece)).unwrap()).collect();
        sounds.push(resampler.flush().unwrap());
        assert!(sounds.iter().all(|sound| (sound.rate, sound.channels) == to));
        for wanted in 0..usize::from(to.1) {
            let heard = channel(&sounds, wanted);
            assert!(heard.len().abs_diff(to.0 as usize) < 20, "{} samples", heard.len());
            let middle = &heard[heard.len() / 4..heard.len() * 3 / 4];
            let (hz, loud) = (frequency(middle, to.0), amplitude(middle, to.0, 440.0));
            assert!((hz - 440.0).abs() < 0.5, "{from:?} to {to:?}: {hz} Hz");
            assert!((0.3..0.36).contains(&loud), "{from:?} to {to:?}: amplitude {loud}");
        }
        // Times go on evenly: each sound begins where the last one ended.
        for pair in sounds.windows(2).skip(1) {
            let end = pair[0].at.as_nanos() + pair[0].frames() as u64 * 1_000_000_000 / u64::from(to.0);
            assert!(end.abs_diff(pair[1].at.as_nanos()) < 200_000, "{from:?} to {to:?}: {end} and {:?}", pair[1].at);
        }
    }
}

#[test]
fn drift_is_corrected_without_a_seam() {
    let mut resampler = Resampler::new((48_000, 1), (48_000, 1)).unwrap();
    let mut count = [0; 3];
    let mut all = Vec::new();
    for i in 0..300 {
        // Two seconds each: as it is, slower by half a percent, then faster by 0.3.
        let part = i / 100;
        resampler.compensate([0, 5000, -3000][part]);
        let sound = resampler.resample(&tone(48_000, 1, 440.0, i * 960, 960)).unwrap();
        count[part] += sound.frames();
        all.push(sound);
    }
    assert!(count[0].abs_diff(96_000) <= 40, "{count:?}");
    assert!(count[1].abs_diff(96_480) <= 4, "{count:?}");
    assert!(count[2].abs_diff(95_712) <= 4, "{count:?}");
    // A sine bends by at most (2 pi f / rate)^2 times its amplitude from one sample to the next but one; a seam would stand out.
    let heard = channel(&all, 0);
    let bend = (std::f64::consts::TAU * 440.0 / 48_000.0_f64).powi(2) / 3.0;
    let worst = heard[1000..].windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f64::max);
    assert!(worst < bend * 1.2, "a bend of {worst}, where the tone has {bend}");
    let slower = frequency(&heard[110_000..180_000], 48_000);
    assert!((slower - 440.0 / 1.005).abs() < 0.2, "{slower} Hz");
}

#[test]
fn the_resampler_wants_what_it_was_made_for() {
    let mut resampler = Resampler::new((48_000, 2), (8000, 1)).unwrap();
    assert!(resampler.resample(&tone(44_100, 2, 440.0, 0, 100)).is_err());
    assert!(Resampler::new((0, 2), (8000, 1)).is_err());
    assert!(Resampler::new((8000, 0), (8000, 1)).is_err());
}

fn quadrant(picture: &Picture, plane: usize, which: usize) -> f64 {
    let part = |far: bool| if far { (5, 7) } else { (1, 3) };
    mean(picture, plane, part(which % 2 == 1), part(which >= 2))
}

#[test]
fn a_scaled_picture_has_its_colours_in_place() {
    for (width, height) in [(640, 480), (160, 120), (333, 77), (320, 240)] {
        let scaled = Scaler::new(width, height).unwrap().scale(&picture(320, 240, 0)).unwrap();
        assert_eq!((scaled.width, scaled.height), (width, height));
        for (which, colour) in QUADRANTS.iter().enumerate() {
            for (plane, &was) in colour.iter().enumerate() {
                // The bar covers the outer left eighth, which no measured part touches.
                let is = quadrant(&scaled, plane, which);
                assert!((is - f64::from(was)).abs() < 3.0, "{width}x{height} {which} {plane}: {is}");
            }
        }
    }
    assert!(Scaler::new(0, 10).is_err());
}

#[test]
fn a_filter_works_on_every_picture() {
    let mut flip = FilterChain::new("hflip").unwrap();
    let mut twice = FilterChain::new("vflip,scale=iw/2:ih/2").unwrap();
    let mut out = Vec::new();
    for (number, (width, height)) in [(320, 240), (320, 240), (176, 144)].into_iter().enumerate() {
        let original = picture(width, height, number as u32);
        out.clear();
        flip.apply(&original, &mut out).unwrap();
        twice.apply(&original, &mut out).unwrap();
        let [flipped, small] = &out[..] else { panic!("{} pictures of two", out.len()) };
        assert_eq!((flipped.at, small.at), (original.at, original.at));
        assert_eq!((flipped.width, flipped.height, small.width, small.height), (width, height, width / 2, height / 2));
        for which in 0..4 {
            let (is, was) = (quadrant(flipped, 1, which), quadrant(&original, 1, which ^ 1));
            assert!((is - was).abs() < 2.0, "{number} {which}: {is} for {was}");
            let (is, was) = (quadrant(small, 1, which), quadrant(&original, 1, which ^ 2));
            assert!((is - was).abs() < 8.0, "{number} {which}: {is} for {was}");
        }
    }
    assert!(FilterChain::new("nosuchfilter").is_err());
    assert!(FilterChain::new("hflip[x").is_err());
}
