//! From addresses that nobody knows: nothing is answered, nothing changes, nothing is remembered.

use crate::connection::value;
use crate::scene::{SECOND, Scene, Sort, stun_request};
use rivero_transport::testing::Dice;
use rivero_transport::webrtc::DtlsState;
use std::net::SocketAddr;

#[test]
fn a_stranger_is_not_answered_whatever_it_sends() {
    let mut scene = Scene::open("actpass");
    let (before, from) = (scene.simulation.remembered(), scene.enemy.borrow().address);
    let counted = scene.simulation.strangers();
    let mut sent = 0;
    for sort in [Sort::Dtls, Sort::Rtp, Sort::Rtcp, Sort::StunResponse] {
        for peer in 0..2 {
            for bytes in scene.sent(peer, sort).into_iter().rev().take(5) {
                scene.send(from, bytes);
                sent += 1;
            }
        }
    }
    assert!(sent >= 15, "there was something of each: {sent}");
    scene.undisturbed(SECOND);
    assert_eq!(scene.simulation.strangers() - counted, sent, "all of it was nobody's");
    for at in 0..2 {
        let answer = scene.answers[at].clone();
        for password in ["", "wrong", &format!("{}x", value(&answer, "a=ice-pwd:"))] {
            scene.send(from, stun_request(&answer, &format!("peer500{}", at + 1), password));
            scene.send(from, stun_request(&answer, "somebody", password));
        }
        let pwd = value(&answer, "a=ice-pwd:").to_owned();
        scene.send(from, stun_request(&answer, "somebody", &pwd));
    }
    scene.undisturbed(SECOND);
    assert!(scene.enemy.borrow().heard.is_empty(), "{:?}", scene.enemy.borrow().heard);
    assert!(scene.simulation.remembered() <= before + 2, "but for a check on its way");
    scene.close();
}

#[test]
fn dtls_begins_only_with_an_address_that_has_answered() {
    let mut scene = Scene::open("active");
    let hello = scene.sent(0, Sort::Dtls).swap_remove(0);
    assert_eq!((hello[0], hello[13]), (22, 1), "a ClientHello");
    let (waiting, answer) = scene.waiting_endpoint("active");
    assert_eq!(value(&answer, "a=setup:"), "passive");
    scene.events();
    let from = scene.enemy.borrow().address;
    let (before, counted) = (scene.simulation.remembered(), scene.simulation.strangers());

    scene.send(from, hello.clone());
    scene.send(from, stun_request(&answer, "peer5003", "wrong"));
    scene.send(from, hello.clone());
    scene.undisturbed(SECOND);
    assert!(scene.enemy.borrow().heard.is_empty());
    assert_eq!(scene.simulation.strangers() - counted, 2);
    assert!(scene.simulation.remembered() <= before + 2, "but for a check on its way");

    // With the password it is answered and asked in turn. As long as it does not answer, it may be anywhere.
    let pwd = value(&answer, "a=ice-pwd:").to_owned();
    scene.send(from, stun_request(&answer, "peer5003", &pwd));
    scene.undisturbed(SECOND);
    let heard = scene.enemy.borrow().heard.len();
    assert!(heard >= 2, "a response and requests");
    (0..5).for_each(|_| scene.send(from, hello.clone()));
    scene.undisturbed(SECOND);
    assert!(scene.enemy.borrow().heard.iter().all(|datagram| datagram.bytes[0] < 2), "only STUN");
    let report = scene.simulation.run(waiting.report()).expect("alive");
    assert_eq!(report.status.transports[0].dtls, DtlsState::New);
    scene.close();
}

#[test]
fn a_flood_of_strangers_leaves_nothing_behind() {
    let mut scene = Scene::open("actpass");
    let (before, counted) = (scene.simulation.remembered(), scene.simulation.strangers());
    let mut dice = Dice::new(1);
    for _ in 0..20 {
        for _ in 0..1000 {
            let [a, b, c, d, e, f, ..] = dice.throw().to_be_bytes();
            let from = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([e, f]).max(1)));
            let name = format!("a=ice-ufrag:{:x}\r\n", dice.throw());
            scene.send(from, stun_request(&name, "flood", "a-password-of-someone"));
            let mut noise: Vec<u8> = (0..dice.throw() % 20).flat_map(|_| dice.throw().to_be_bytes()).collect();
            noise.resize((dice.throw() % 1500) as usize, 0);
            scene.send(from, noise);
        }
        scene.undisturbed(SECOND / 10);
    }
    assert_eq!(scene.simulation.strangers() - counted, 40_000);
    assert!(scene.simulation.remembered() <= before + 2, "but for checks on their way");
    assert!(scene.enemy.borrow().heard.is_empty());
    scene.close();
}
