//! With the address of somebody who is connected written as the sender.

use crate::connection::value;
use crate::scene::{SECOND, Scene, Sort, address, stun_request};
use rivero_transport::testing::Dice;
use std::net::SocketAddr;

/// Most addresses that a session takes STUN from, and most requests of its own that wait for an answer.
const BOUND: usize = 128 + 128;

#[test]
fn forged_packets_from_a_peers_address_change_nothing() {
    for setup in ["actpass", "active"] {
        let mut scene = Scene::open(setup);
        let mut dice = Dice::new(2);
        for peer in 0..2 {
            let from = address(peer as u8 + 1);
            for sort in Sort::ALL {
                for mut bytes in scene.sent(peer, sort).into_iter().rev().take(3) {
                    for _ in 0..50 {
                        let at = (dice.throw() as usize) % bytes.len();
                        // The first two bytes say what it is.
                        bytes[at.max(2)] ^= 1 << (dice.throw() % 8);
                        scene.send(from, bytes.clone());
                    }
                }
            }
            let answer = scene.answers[peer].clone();
            scene.send(from, stun_request(&answer, &format!("peer500{}", peer + 1), "wrong"));
            scene.undisturbed(SECOND);
        }
        scene.undisturbed(5 * SECOND);
        scene.close();
    }
}

#[test]
fn cut_and_overlong_packets_of_every_kind_change_nothing() {
    for setup in ["actpass", "active"] {
        let mut scene = Scene::open(setup);
        for peer in 0..2 {
            let from = address(peer as u8 + 1);
            for sort in Sort::ALL {
                let Some(bytes) = scene.sent(peer, sort).pop() else { continue };
                (0..bytes.len()).for_each(|length| scene.send(from, bytes[..length].to_vec()));
                let mut long = bytes;
                long.resize(65_507, 0xff);
                scene.send(from, long);
            }
            scene.undisturbed(SECOND);
            for first in 0..=255 {
                scene.send(from, vec![first]);
                scene.send(from, vec![first; 13]);
                scene.send(from, vec![first; 65_507]);
            }
            scene.send(from, Vec::new());
            scene.undisturbed(SECOND);
        }
        scene.undisturbed(5 * SECOND);
        scene.close();
    }
}

/// Alerts are believed only when they are protected: otherwise one forged datagram would end a call (RFC 6347, section 4.1.2.7).
#[test]
fn plain_dtls_alerts_and_handshakes_do_not_end_a_call() {
    for setup in ["actpass", "active"] {
        let mut scene = Scene::open(setup);
        for peer in 0..2 {
            let from = address(peer as u8 + 1);
            for epoch in [0, 1, 2] {
                for (level, description) in [(1, 0), (2, 0), (2, 10), (2, 20), (2, 40), (2, 80)] {
                    for number in [0, 1, 50, 1000] {
                        let mut alert = vec![21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0];
                        alert.extend_from_slice(&u16::to_be_bytes(number));
                        alert.extend_from_slice(&[0, 2, level, description]);
                        scene.send(from, alert);
                    }
                }
            }
            // Of each handshake message its header, and lengths that do not fit.
            for typ in 0..=30 {
                for length in [0u8, 1, 12, 255] {
                    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 12];
                    record.extend_from_slice(&[typ, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length]);
                    scene.send(from, record);
                }
            }
            scene.undisturbed(SECOND);
        }
        scene.undisturbed(5 * SECOND);
        scene.close();
    }
}

#[test]
fn whoever_has_a_session_cannot_take_the_address_of_another() {
    let mut scene = Scene::open("actpass");
    let (own, answer) = scene.waiting_endpoint("actpass");
    let pwd = value(&answer, "a=ice-pwd:").to_owned();
    scene.events();
    for peer in [1, 2] {
        let candidate = format!("candidate:1 1 UDP 2122252543 10.0.0.{peer} 500{peer} typ host");
        let candidate = candidate.parse().expect("a candidate");
        scene.simulation.run(own.add_ice_candidate(candidate, Some(0))).expect("alive");
    }
    // A minute is longer than any time-out of ICE.
    for _ in 0..120 {
        for peer in [1, 2] {
            scene.send(address(peer), stun_request(&answer, "peer5003", &pwd));
        }
        scene.undisturbed(SECOND / 2);
    }
    scene.close();
}

#[test]
fn a_peer_that_checks_from_everywhere_is_remembered_only_so_far() {
    let mut scene = Scene::open("actpass");
    let answer = scene.answers[0].clone();
    let pwd = value(&answer, "a=ice-pwd:").to_owned();
    let before = scene.simulation.remembered();
    let mut most = 0;
    for n in 0..10_000u16 {
        let from = SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 7000));
        scene.send(from, stun_request(&answer, "peer5001", &pwd));
        if n % 100 == 0 {
            scene.undisturbed(SECOND / 10);
            most = most.max(scene.simulation.remembered());
        }
    }
    assert!(most > before + 100, "some of them are remembered: {most}");
    assert!(most <= before + BOUND, "{most}");
    scene.undisturbed(60 * SECOND);
    scene.close();
}
