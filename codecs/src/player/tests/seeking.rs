//! Other places of a film: what is shown there, and what is not on the way.

use super::*;

#[test]
fn a_seek_shows_the_frame_that_was_sought_first() {
    let film = film(0, 2000);
    let mut it = Cinema::file(film.clone());
    it.tell(PlayerCommand::Play);
    it.read(100);
    it.report();
    it.advance(100);
    it.gifts();
    assert!(!it.seek(2001), "behind the end");
    assert!(it.seek(1290));
    it.read(film.len());
    it.report();
    let now = it.now();
    let gifts = it.gifts();
    assert!(gifts.iter().all(|gift| place(gift) >= 1280), "nothing from the key frame at 1200 on: {gifts:?}");
    assert!(gifts.windows(2).all(|pair| pair[0].2 <= pair[1].2));
    it.advance(100);
    let first = |mark: char| {
        let all = gifts.iter().cloned().chain(it.gifts()).filter(|gift| gift.1.starts_with(mark));
        all.into_iter().next().unwrap()
    };
    let (picture, sound) = (first('v'), first('a'));
    assert_eq!((picture.1.as_str(), picture.0, sound.1.as_str()), ("v1280", now, "a1280"));
    assert_eq!(it.report().position, ms(1390));
}

#[test]
fn a_seek_that_fails_goes_on_where_the_film_stands() {
    let film = film(0, 2000);
    let mut it = Cinema::new(info(false), film.clone(), Duration::ZERO, false);
    it.tell(PlayerCommand::Play);
    it.read(100);
    it.report();
    it.advance(100);
    it.gifts();
    assert!(it.seek(200));
    it.read(film.len());
    let now = it.now();
    it.report();
    let gifts = it.gifts();
    assert!(!gifts.is_empty() && gifts.iter().all(|gift| gift.0 == now), "no standstill: {gifts:?}");
    assert!(it.report().position > ms(500), "{:?}", it.report().position);
}

#[test]
fn a_seek_back_from_the_end_plays_again() {
    let film = film(0, 800);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    it.advance(790);
    it.gifts();
    assert!(it.seek(400));
    it.read(film.len());
    it.report();
    it.advance(395);
    let places: Vec<u64> = it.gifts().iter().filter(|gift| gift.1.starts_with('v')).map(place).collect();
    assert_eq!(places, (400..800).step_by(40).collect::<Vec<_>>());
    assert_eq!(it.told(), ["Start"]);
    it.advance(5);
    it.until_told("End");
}

#[test]
fn a_paused_film_shows_each_picture_that_is_sought() {
    let film = film(0, 2000);
    let mut it = Cinema::file(film.clone());
    it.tell(PlayerCommand::Play);
    it.read(100);
    it.report();
    it.advance(100);
    it.tell(PlayerCommand::Pause);
    it.gifts();
    let mut last = 0;
    for (to, shown) in [(1290, "v1280"), (800, "v800"), (1999, "v1960")] {
        assert!(it.seek(to));
        let began = SystemClock::new();
        while it.got.lock().unwrap().is_empty() {
            assert!(began.now().since(MediaTime::ZERO) < GUARD, "nothing is shown");
            it.report();
            std::thread::yield_now();
        }
        it.advance(50);
        let gifts = it.gifts();
        assert_eq!(names(&gifts), [shown], "one picture, and no sound");
        assert!(gifts[0].2 > last, "times go on");
        last = gifts[0].2;
        assert_eq!(it.report().position, ms(to));
    }
}

#[test]
fn a_paused_film_does_not_end() {
    let film = film(0, 400);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    it.advance(100);
    it.tell(PlayerCommand::Pause);
    assert!(it.seek(400));
    it.read(film.len());
    it.report();
    it.advance(1000);
    assert_eq!(it.told(), ["Start", "Pause"]);
    it.tell(PlayerCommand::Play);
    it.until_told("End");
}
