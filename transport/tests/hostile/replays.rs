//! What somebody has recorded comes again.

use crate::scene::{MS, SECOND, Scene, Sort, address};
use rivero_transport::testing::Quality;

#[test]
fn a_replay_of_everything_is_counted_and_forwarded_once() {
    for setup in ["actpass", "active"] {
        let mut scene = Scene::open(setup);
        scene.undisturbed(5 * SECOND);
        for round in 0..3 {
            for peer in 0..2 {
                let recorded: Vec<Vec<u8>> =
                    scene.taps[peer].borrow().sent.iter().map(|datagram| datagram.bytes.clone()).collect();
                recorded.into_iter().for_each(|bytes| scene.send(address(peer as u8 + 1), bytes));
            }
            scene.undisturbed(SECOND);
            assert!(scene.enemy.borrow().heard.is_empty(), "round {round}");
        }
        scene.close();
    }
}

#[test]
fn a_request_for_lost_packets_is_answered_once() {
    let mut scene = Scene::open("actpass");
    let plis = scene.publisher.borrow().plis;
    let place = scene.places[1];
    // From the server to the viewer only: its requests all arrive.
    scene.simulation.down(place).quality = Quality::perfect(5 * MS).losing(0.05);
    scene.simulation.advance(10 * SECOND);
    scene.simulation.down(place).quality = Quality::perfect(5 * MS);
    scene.simulation.advance(2 * SECOND);
    let requests = scene.report(1).outbound[0].nack;
    assert!(requests > 10, "{requests}");
    let taken = scene.simulation.down(place).counts.taken;
    scene.simulation.advance(SECOND);
    let usual = scene.simulation.down(place).counts.taken - taken;
    let recorded = scene.sent(1, Sort::Rtcp);
    recorded.into_iter().for_each(|bytes| scene.send(address(2), bytes));
    let taken = scene.simulation.down(place).counts.taken;
    scene.simulation.advance(SECOND);
    let now = scene.simulation.down(place).counts.taken - taken;
    assert_eq!(scene.report(1).outbound[0].nack, requests);
    assert!(now <= usual + 3, "{now} datagrams in a second, {usual} usually: ICE and reports vary");
    assert_eq!(scene.publisher.borrow().plis, plis);
    scene.close();
}

/// STUN knows no replay: whoever has seen a request can send it from elsewhere. It is answered and checked in turn, and media
/// stays where it is, since nobody there can answer the check.
#[test]
fn a_check_that_is_sent_again_from_elsewhere_does_not_move_media() {
    let mut scene = Scene::open("actpass");
    let enemy = scene.enemy.borrow().address;
    for peer in 0..2 {
        for bytes in scene.sent(peer, Sort::StunRequest) {
            scene.send(enemy, bytes);
        }
    }
    scene.undisturbed(60 * SECOND);
    let heard = std::mem::take(&mut scene.enemy.borrow_mut().heard);
    assert!(!heard.is_empty() && heard.iter().all(|datagram| datagram.bytes[0] < 2), "STUN and nothing else");
    scene.close();
}
