//! Bounds, and reels that fail.

use super::*;

#[test]
fn only_so_much_is_read_ahead() {
    let big = |at| Frame { content: Content::Coded(Bytes::from(vec![0; 4 << 20])), ..picture(at, true) };
    let mut it = Cinema::file((0..40).map(|number| big(number * 40)).collect());
    it.tell(PlayerCommand::Play);
    it.read(4);
    it.tell(PlayerCommand::Pause);
    for _ in 0..10 {
        it.report();
        assert!(it.count.load(Ordering::SeqCst) <= 7, "{:?}", it.count);
    }
    it.tell(PlayerCommand::Stop);
}

#[test]
fn a_reel_that_cannot_be_opened_or_read_is_told() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let open: OpenReel = Arc::new(|_| Err(FilmError::Refused("no film")));
    let element = bench.run(pipeline.add(player("player".to_owned(), clock, open, Duration::ZERO))).unwrap();
    let (live, asked) = (sync_channel(MOST).0, sync_channel(MOST).1);
    let mut it =
        Cinema { bench, player: element, got: Shared::default(), asked, count: Arc::default(), live, told: Vec::new() };
    for round in 1..3 {
        it.tell(PlayerCommand::Play);
        let words = 3 * round;
        while it.told().len() < words {
            it.report();
            std::thread::yield_now();
        }
    }
    assert_eq!(it.told(), ["Start", "Failed opened=false", "Stop"].repeat(2));
}
