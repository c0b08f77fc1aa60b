//! A film from its beginning to its end: times, pauses, the order of pictures.

use super::*;
use crate::convert::REORDERED;

#[test]
fn each_frame_leaves_in_its_time_and_the_end_is_told_behind_the_last() {
    let film = film(0, 1000);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    let began = it.now();
    it.advance(999);
    assert_eq!(it.told(), ["Start"]);
    let gifts = it.gifts();
    assert_eq!(gifts.len(), film.len());
    for gift in &gifts {
        assert_eq!((gift.0, gift.2), (began + place(gift), began + place(gift)), "{gift:?}");
    }
    it.advance(1);
    it.until_told("End");
    assert_eq!(it.told(), ["Start", "Stop", "End"]);
}

#[test]
fn times_go_on_behind_a_pause_and_behind_the_end() {
    let film = film(0, 800);
    let mut it = Cinema::file(film.clone());
    it.play(film.len());
    it.advance(390);
    it.tell(PlayerCommand::Pause);
    let position = it.report().position;
    it.advance(5000);
    assert_eq!(it.report().position, position, "the film stands");
    it.tell(PlayerCommand::Pause);
    it.tell(PlayerCommand::Play);
    it.advance(410);
    it.until_told("End");
    it.play(film.len());
    it.advance(100);
    let gifts = it.gifts();
    let pictures: Vec<&Gift> = gifts.iter().filter(|gift| gift.1.starts_with('v')).collect();
    assert!(pictures.windows(2).all(|pair| pair[0].2 < pair[1].2), "{pictures:?}");
    let places: Vec<u64> = pictures.iter().map(|gift| place(gift)).collect();
    assert_eq!(places, (0..800).step_by(40).chain([0, 40, 80]).collect::<Vec<_>>(), "nothing twice, nothing left out");
    let distance = |a: &str, b: &str| {
        let at = |name: &str| gifts.iter().find(|gift| gift.1 == name).unwrap().2;
        at(b) - at(a)
    };
    assert_eq!((distance("v360", "v400"), distance("a380", "a400"), distance("v400", "a400")), (5040, 5020, 0));
    assert_eq!(it.told(), ["Start", "Pause", "Start", "Stop", "End", "Start"]);
}

#[test]
fn a_film_that_ends_while_it_is_paused_ends_when_it_goes_on() {
    let film = vec![picture(0, true)];
    let mut it = Cinema::file(film);
    it.play(1);
    it.advance(10);
    it.tell(PlayerCommand::Pause);
    it.advance(10_000);
    assert_eq!(it.told(), ["Start", "Pause"]);
    it.tell(PlayerCommand::Play);
    it.until_told("End");
}

#[test]
fn a_pause_before_the_first_frame_and_a_stop_before_the_reel_is_open() {
    let film = film(0, 800);
    let mut it = Cinema::file(film.clone());
    it.tell(PlayerCommand::Pause);
    it.read(film.len());
    it.advance(1000);
    assert!(it.gifts().is_empty());
    assert!(it.report().info.is_some(), "it is open");
    assert!(it.seek(400));
    it.read(film.len());
    it.advance(1000);
    assert_eq!(names(&it.gifts()), ["v400"], "where it stands");
    it.tell(PlayerCommand::Play);
    it.advance(1);
    assert_eq!(names(&it.gifts()), ["a400"], "the rest of it");
    it.tell(PlayerCommand::Stop);
    it.tell(PlayerCommand::Stop);
    it.tell(PlayerCommand::Play);
    it.tell(PlayerCommand::Stop);
    // The reel may have been quick.
    it.gifts();
    it.advance(1000);
    assert!(it.gifts().is_empty());
    assert_eq!(it.told(), ["Pause", "Start", "Stop", "Start", "Stop"]);
    assert_eq!(it.report().position, Duration::ZERO);
}

#[test]
fn pictures_in_another_order_keep_their_times() {
    // I0 P120 B40 B80 ...: a B frame is decoded when it is shown.
    let mut film = vec![frame(MediaKind::Video, 40, 0, true)];
    for at in (40..400).step_by(120) {
        for (shown, decoded) in [(at + 120, at), (at + 40, at + 40), (at + 80, at + 80)] {
            film.push(frame(MediaKind::Video, shown, decoded, false));
        }
    }
    let info = ReelInfo { video: Some(Caps::video(Codec::H264, Some(REORDERED)).frames()), ..info(false) };
    let mut it = Cinema::new(info, film.clone(), Duration::ZERO, true);
    it.play(film.len());
    let began = it.now();
    it.advance(500);
    let gifts = it.gifts();
    assert_eq!(gifts.len(), film.len());
    for gift in gifts {
        assert_eq!(gift.2 - began, place(&gift), "{gift:?}");
    }
}
