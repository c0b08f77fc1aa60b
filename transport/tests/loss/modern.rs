//! Peers that offer what Kurento declines: lost packets come again on a source of their own, both ways, and a publisher is told
//! when each of its packets arrived.

use crate::connection::{RTX, TRANSPORT_CC, VP8};
use crate::publisher::{RTX_SSRC, SSRC};
use crate::{CAMERA, MS, SECOND, STEADY, Scene, link};
use rivero_transport::sdp;
use std::time::Duration;

/// An offer with a retransmission stream and transport-wide feedback.
pub fn additional(offer: &str) -> String {
    let (media, source) = (format!("SAVPF {VP8}"), format!("a=ssrc:{SSRC} cname:peer\r\n"));
    let pair = format!("a=ssrc-group:FID {SSRC} {RTX_SSRC}\r\n{source}a=ssrc:{RTX_SSRC} cname:peer\r\n");
    let additions = format!(
        "a=rtpmap:{RTX} rtx/90000\r\na=fmtp:{RTX} apt={VP8}\r\na=rtcp-fb:{VP8} transport-cc\r\n\
         a=extmap:{TRANSPORT_CC} {}\r\n",
        sdp::TRANSPORT_CC
    );
    let offer = offer.replace(&media, &format!("{media} {RTX}")).replace(&source, &pair);
    format!("{offer}{additions}")
}

#[test]
fn a_publisher_with_a_retransmission_stream_is_repaired_by_it() {
    for seed in [1, 2, 3] {
        let mut scene = Scene::open_as(true, seed, CAMERA, false, None);
        scene.publish_over(link().losing(0.05));
        scene.advance(60 * SECOND);
        scene.report("RTX from the publisher, 5 %");
        let gap = scene.gap(scene.began);
        assert!(gap <= STEADY, "{gap:?}");
        let report = scene.simulation.run(scene.endpoints[0].report()).expect("alive");
        let [inbound] = &report.inbound[..] else { panic!("it receives video") };
        assert!(inbound.nack > 0 && inbound.lost > 0, "what came again does not hide the loss: {inbound:?}");
        let outcome = scene.recover(gap);
        assert!(outcome.recovery <= SECOND);
        assert_eq!((outcome.skipped, outcome.plis), (0, 1), "nothing is given up");
        assert!(
            outcome.lost >= 300 && outcome.nacked * 10 <= outcome.lost * 13,
            "{} for {}",
            outcome.nacked,
            outcome.lost
        );
        assert!(scene.publisher.borrow().resent >= 300, "all of them on the other source");
        scene.close();
    }
}

#[test]
fn a_viewer_with_a_retransmission_stream_is_repaired_by_it() {
    // At 10 % this viewer's stack, which asks five times at most and for no key frame, is left waiting now and then.
    for (percent, bound) in [(1.0, 300 * MS), (5.0, 600 * MS)] {
        let mut scene = Scene::open_as(true, 1, CAMERA, true, None);
        scene.view_over(link().losing(percent / 100.0));
        scene.advance(60 * SECOND);
        scene.report(&format!("RTX to the viewer, {percent} %"));
        let gap = scene.gap(scene.began);
        assert!(gap <= bound, "{percent} %: {gap:?}");
        let screen = &scene.viewer.borrow().screen;
        let lost = scene.simulation.down(scene.places[1]).counts.lost;
        assert!(screen.resent * 10 >= lost * 6, "{} for {lost} lost datagrams of any kind", screen.resent);
        assert_eq!(screen.skipped, 0);
        assert_eq!((scene.publisher.borrow().nacked, scene.publisher.borrow().plis), (0, 1));
    }
}

#[test]
fn a_publisher_is_told_when_each_packet_arrived_and_which_did_not() {
    let mut scene = Scene::open_as(true, 1, CAMERA, false, None);
    scene.publish_over(link().losing(0.05));
    // Feedback itself is not lost, so that all of it is seen.
    scene.simulation.down(scene.places[0]).quality = link();
    scene.advance(20 * SECOND);
    scene.publish_over(link());
    scene.advance(SECOND);
    let publisher = scene.publisher.borrow();
    let (sent, told) = (publisher.sent(), &publisher.told);
    assert!(told.count >= 20 * 15, "some 20 times a second: {}", told.count);
    assert_eq!(told.lost, 0, "each has the next number");
    // The newest are on their way, or not yet told of.
    let due = told.packets.len();
    assert!(sent.len() - due <= 40, "{due} of {}", sent.len());
    let (mut lost, mut delays) = (0, Vec::new());
    for (number, sent) in (0..).zip(&sent[..due]) {
        match told.packets[&number] {
            Some(tick) => delays.push(tick * 250 - (sent.as_nanos() / 1000).cast_signed()),
            None => lost += 1,
        }
    }
    let dropped = scene.simulation.up(scene.places[0]).counts.lost;
    assert!(lost > 100 && lost <= dropped && lost * 10 >= dropped * 8, "{lost} of {dropped} datagrams of any kind");
    let (least, most) = (delays.iter().min().expect("some"), delays.iter().max().expect("some"));
    assert!(most - least <= 250, "the path is equally long for all of them: {least} to {most} µs");
    let way = Duration::from_micros(least.cast_unsigned());
    assert!(way >= link().delay - MS && way <= link().delay + MS, "{way:?}");
}
