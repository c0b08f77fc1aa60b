//! What comes when it comes: how late it is shown, and what happens when it breaks off and comes back.

use super::*;

#[test]
fn live_media_is_shown_no_later_than_its_delay_says() {
    let mut it = Cinema::new(info(true), Vec::new(), ms(1000), true);
    it.play(0);
    // While its streams were looked at, almost two seconds came.
    let mut came: Vec<(u64, u64)> = Vec::new();
    let mut number = 0;
    let mut give = |it: &mut Cinema, frames: Vec<Frame>| {
        for frame in frames {
            came.push((millis(MediaTime::ZERO + frame.at), it.now()));
            it.live.send(frame).unwrap();
            number += 1;
        }
        it.read(number);
    };
    give(&mut it, film(7200, 9000));
    it.report();
    // Then as it is taken, but that a second is held up on its way, once, and comes in one go.
    for second in 9..15 {
        if second == 12 {
            it.advance(1000);
        }
        for at in (second * 1000..second * 1000 + 1000).step_by(40) {
            give(&mut it, film(at, at + 40));
            if second != 12 {
                it.advance(40);
            }
        }
    }
    it.advance(1500);
    let gifts = it.gifts();
    assert_eq!(gifts.len(), came.len(), "nothing is missing");
    let arrived = |gift: &Gift| came.iter().find(|(at, _)| *at == place(gift)).unwrap().1;
    // What is before the player at the first look came at that moment.
    let late: Vec<_> = gifts.iter().filter(|gift| gift.0 > arrived(gift) + 1000).collect();
    assert!(late.is_empty(), "{late:?}");
    let newest = gifts.iter().find(|gift| place(gift) == 8980).unwrap();
    assert!((900..=980).contains(&(newest.0 - arrived(newest))), "and not earlier than needed: {newest:?}");
    it.tell(PlayerCommand::Stop);
}

#[test]
fn a_film_whose_times_jump_by_hours_goes_on_and_ends() {
    let mut film = film(0, 400);
    film.extend([3_600_000, 1 << 40, 1 << 43].map(|at| picture(at, true)));
    film.last_mut().unwrap().duration = Duration::from_nanos(u64::MAX);
    let mut it = Cinema::new(ReelInfo { duration: None, ..info(false) }, film.clone(), Duration::ZERO, true);
    it.play(film.len());
    it.advance(400);
    assert_eq!(it.gifts().len(), film.len());
    it.advance(60_000);
    it.until_told("End");
}

/// What a camera does each time it is opened: how many frames it sends before it breaks off, or why it is not there.
fn camera(visits: Vec<Result<usize, FilmError>>) -> (Bench, Element, Shared) {
    struct Camera(ReelInfo, usize, usize);
    impl Reel for Camera {
        fn info(&self) -> &ReelInfo {
            &self.0
        }

        fn next(&mut self) -> Result<Option<Frame>, FilmError> {
            if self.1 == self.2 {
                return Err(FilmError::Gone);
            }
            self.1 += 1;
            Ok(Some(picture(self.1 as u64 * 40, true)))
        }

        fn seek(&mut self, _: Duration) -> Result<(), FilmError> {
            Err(FilmError::Refused("no seeking"))
        }
    }
    let mut bench = Bench::new(1);
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let visits = Mutex::new(visits.into_iter());
    let open: OpenReel = Arc::new(move |_| {
        let visit = visits.lock().unwrap().next().unwrap_or(Err(FilmError::NotFound));
        visit.map(|frames| Box::new(Camera(info(true), 0, frames)) as Box<dyn Reel>)
    });
    let pipeline = bench.pipeline();
    let player = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
    let got = Shared::default();
    let inside = got.clone();
    let ports = [MediaKind::Audio, MediaKind::Video].map(|kind| PortSpec::new(kind, DEFAULT));
    let spec = NodeSpec {
        class: "Test",
        label: "sink".to_owned(),
        inputs: ports.to_vec(),
        outputs: Vec::new(),
        build: Box::new(move |_| Box::new(Sink(inside))),
        worker: None,
    };
    let sink = bench.run(pipeline.add(spec)).unwrap();
    bench.run(player.connect(&sink, &Selection::all())).unwrap();
    (bench, player, got)
}

/// Lets the projector work while the clock stands, until so much was told.
fn hear(bench: &mut Bench, player: &Element, told: &mut Vec<String>, words: usize) {
    let began = SystemClock::new();
    while told.len() < words {
        assert!(began.now().since(MediaTime::ZERO) < GUARD, "{told:?}");
        for notice in bench.notices() {
            let What::Other(other) = notice.what else { continue };
            told.push(format!("{:?}", other.downcast::<PlayerEvent>().unwrap()));
        }
        let (reply, _) = oneshot::channel();
        bench.run(player.tell(PlayerCommand::Report { reply })).unwrap();
        std::thread::yield_now();
    }
}

/// Lets the projector work until the clock needs to go on for anything to happen, and lets it go on.
fn until_count(bench: &mut Bench, player: &Element, got: &Shared, frames: usize, step: u64) -> u64 {
    let began = SystemClock::new();
    let mut waited = 0;
    while got.lock().unwrap().len() < frames {
        assert!(began.now().since(MediaTime::ZERO) < GUARD, "{waited} ms");
        bench.advance(ms(step));
        waited += step;
        let (reply, _) = oneshot::channel();
        bench.run(player.tell(PlayerCommand::Report { reply })).unwrap();
        std::thread::yield_now();
    }
    waited
}

#[test]
fn a_camera_that_breaks_off_is_told_once_and_plays_when_it_is_back() {
    let gone = || Err(FilmError::NotFound);
    let (mut bench, player, got) = camera(vec![Ok(3), gone(), gone(), Ok(2), gone()]);
    let mut told = Vec::new();
    bench.run(player.tell(PlayerCommand::Play)).unwrap();
    hear(&mut bench, &player, &mut told, 2);
    assert_eq!(told, ["State(Start)", "BrokeOff { why: Gone }"]);
    assert_eq!(got.lock().unwrap().len(), 3);
    until_count(&mut bench, &player, &got, 5, 100);
    hear(&mut bench, &player, &mut told, 3);
    assert_eq!(told[2..], ["BrokeOff { why: Gone }"], "nothing between, and the second outage is told as well");
    let times: Vec<u64> = got.lock().unwrap().iter().map(|(now, _)| millis(*now)).collect();
    assert!(times[3] - times[2] >= 7000, "after one second, two and four: {times:?}");
    bench.run(player.tell(PlayerCommand::Stop)).unwrap();
    hear(&mut bench, &player, &mut told, 4);
    bench.advance(Duration::from_secs(100));
    let more = bench.notices().into_iter().filter(|notice| matches!(notice.what, What::Other(_))).count();
    assert_eq!((told[3].as_str(), more), ("State(Stop)", 0));
}

#[test]
fn who_is_told_of_an_outage_may_order_to_play_at_once() {
    let (mut bench, player, got) = camera(vec![Ok(1), Ok(1), Err(FilmError::Denied)]);
    let mut told = Vec::new();
    bench.run(player.tell(PlayerCommand::Play)).unwrap();
    hear(&mut bench, &player, &mut told, 2);
    bench.run(player.tell(PlayerCommand::Play)).unwrap();
    hear(&mut bench, &player, &mut told, 3);
    assert_eq!(got.lock().unwrap().len(), 2, "without waiting");
    // A password that is wrong by now is not tried again.
    bench.run(player.tell(PlayerCommand::Play)).unwrap();
    hear(&mut bench, &player, &mut told, 5);
    let all = [
        "State(Start)",
        "BrokeOff { why: Gone }",
        "BrokeOff { why: Gone }",
        "Failed { opened: true, why: Denied }",
        "State(Stop)",
    ];
    assert_eq!(told, all);
}

#[test]
fn a_slow_disk_holds_up_the_film_and_not_more() {
    let mut it = Cinema::new(info(false), Vec::new(), Duration::ZERO, true);
    it.play(0);
    let give = |it: &mut Cinema, frame: Frame, number: usize| {
        it.live.send(frame).unwrap();
        it.read(number);
        it.report();
    };
    give(&mut it, picture(0, true), 1);
    it.advance(1000);
    for number in 1..4 {
        give(&mut it, picture(40 * number, false), number as usize + 1);
    }
    let now = it.now();
    it.advance(80);
    let left: Vec<u64> = it.gifts().iter().map(|gift| gift.0).collect();
    assert_eq!(left, [now - 1000, now, now + 40, now + 80], "no hurry");
}

#[test]
fn what_is_live_is_played_later_by_the_delay_and_passes_while_it_is_paused() {
    let mut it = Cinema::new(info(true), Vec::new(), ms(2000), true);
    it.play(0);
    let mut number = 0;
    let mut give = |it: &mut Cinema, frames: Vec<Frame>| {
        for frame in frames {
            it.live.send(frame).unwrap();
            number += 1;
        }
        it.read(number);
    };
    // It is joined in its midst.
    give(&mut it, film(7000, 7800));
    it.report();
    let began = it.now();
    // What came in one go is as old as it says: the last of it is shown when the delay is over.
    it.advance(1199);
    assert!(it.gifts().is_empty());
    it.advance(201);
    let gifts = it.gifts();
    assert_eq!((gifts[0].0, place(&gifts[0]), gifts.last().map(place)), (began + 1200, 7000, Some(7200)));
    it.tell(PlayerCommand::Pause);
    give(&mut it, film(7800, 20_000));
    it.advance(5000);
    it.tell(PlayerCommand::Play);
    give(&mut it, film(20_020, 22_000));
    it.report();
    let now = it.now();
    it.advance(3000);
    let gifts = it.gifts();
    let first = |mark| gifts.iter().find(|gift| gift.1.starts_with(mark)).unwrap().clone();
    assert_eq!(first('a').1, "a20020", "what was missed is missed");
    assert_eq!((first('v').1.as_str(), first('a').0), ("v20400", now + 20), "at a key frame");
    assert_eq!(first('v').2 - first('a').2, 380, "and together");
    it.tell(PlayerCommand::Stop);
}

#[test]
fn a_live_stream_whose_clock_jumps_or_runs_goes_on() {
    let mut it = Cinema::new(info(true), Vec::new(), ms(500), true);
    it.play(0);
    let mut number = 0;
    let mut give = |it: &mut Cinema, frames: Vec<Frame>| {
        for frame in frames {
            it.live.send(frame).unwrap();
            number += 1;
        }
        it.read(number);
        it.report();
    };
    give(&mut it, film(0, 400));
    it.advance(1000);
    give(&mut it, film(4_000_000, 4_000_400));
    it.advance(1000);
    let last = it.gifts().last().cloned().unwrap();
    assert!(last.1 == "a4000380" && it.now() - last.0 < 600, "{last:?}");
    // Ten times as fast as it should be: what waits does not grow without end.
    for second in 0..20 {
        let from = 4_000_400 + second * 1000;
        give(&mut it, film(from, from + 1000));
        it.advance(950);
    }
    let last = it.gifts().last().cloned().unwrap();
    assert!(4_020_400 - place(&last) <= 500 + 500 + 1000, "{last:?}");
    it.tell(PlayerCommand::Stop);
}
