//! What it promises, with gaps, late packets and streams that begin anew.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use rivero_engine::{Caps, Codec, Rtp};
use std::sync::Arc;

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

fn packet_of(caps: Caps, ssrc: u32, sequence: u64, size: usize) -> Packet {
    let payload = Bytes::from(vec![0; size]);
    let rtp = Rtp { ssrc, sequence, timestamp: (sequence as u32).wrapping_mul(3000), marker: false, payload };
    Packet::new(caps, Body::Rtp(Arc::new(rtp)), MediaTime::ZERO)
}

fn packet(sequence: u64) -> Packet {
    packet_of(Caps::video(Codec::Vp8, None), 1, sequence, 1000)
}

fn word(step: &Step) -> String {
    match step {
        Step::Packet(packet) => {
            format!("{}{}", sequence_of(packet).unwrap(), if packet.discontinuity { "!" } else { "" })
        }
        Step::Lost { first, count } => format!("lost {first}+{count}"),
        Step::Restart => "restart".into(),
    }
}

fn popped(reorder: &mut Reorder, now: MediaTime) -> String {
    let mut words = Vec::new();
    while let Some(step) = reorder.pop(now) {
        words.push(word(&step));
    }
    words.join(" ")
}

/// Pushes at a time and says what leaves at it.
fn through(reorder: &mut Reorder, sequences: &[u64], now: u64) -> String {
    for sequence in sequences {
        reorder.push(packet(*sequence), ms(now));
    }
    popped(reorder, ms(now))
}

#[test]
fn what_follows_on_leaves_at_once() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(reorder.due(), None);
    assert_eq!(through(&mut reorder, &[10], 0), "10");
    assert_eq!(through(&mut reorder, &[11, 12], 5), "11 12");
    assert_eq!(reorder.due(), None);
    assert!(reorder.is_empty() && reorder.bytes() == 0);
}

#[test]
fn a_gap_is_waited_for_and_filled() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10, 12, 13], 0), "10");
    assert_eq!(reorder.due(), Some(ms(80)));
    assert_eq!(popped(&mut reorder, ms(79)), "");
    assert_eq!(through(&mut reorder, &[11], 79), "11 12 13");
    assert_eq!(reorder.due(), None);
}

#[test]
fn a_gap_is_given_up_in_time_and_the_next_one_has_its_own() {
    let mut reorder = Reorder::new(MediaKind::Audio);
    assert_eq!(through(&mut reorder, &[10, 13], 0), "10");
    assert_eq!(through(&mut reorder, &[15], 30), "");
    assert_eq!(popped(&mut reorder, ms(80)), "lost 11+2 13!");
    assert_eq!(reorder.due(), Some(ms(110)));
    assert_eq!(popped(&mut reorder, ms(110)), "lost 14+1 15!");
    assert_eq!(through(&mut reorder, &[16], 111), "16");
}

#[test]
fn duplicates_and_what_was_given_up_are_dropped() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10, 10, 12, 12, 10], 0), "10");
    assert_eq!(reorder.len(), 1);
    assert_eq!(popped(&mut reorder, ms(100)), "lost 11+1 12!");
    assert_eq!(through(&mut reorder, &[11, 10, 12], 101), "");
    assert!(reorder.is_empty());
}

#[test]
fn what_came_too_late_is_waited_for_next_time() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10, 12], 0), "10");
    assert_eq!(popped(&mut reorder, ms(80)), "lost 11+1 12!");
    assert_eq!(through(&mut reorder, &[11], 160), "");
    assert_eq!(through(&mut reorder, &[14], 200), "");
    assert_eq!(reorder.due(), Some(ms(200 + 160 + 40 + 10)));
    assert_eq!(through(&mut reorder, &[13], 360), "13 14");
}

#[test]
fn another_ssrc_and_another_clock_begin_anew_after_the_rest() {
    let mut reorder = Reorder::new(MediaKind::Audio);
    let opus = || Caps::audio(Codec::Opus, 48_000, 2);
    for sequence in [10, 12] {
        reorder.push(packet_of(opus(), 1, sequence, 10), ms(0));
    }
    reorder.push(packet_of(opus(), 2, 11, 10), ms(1));
    assert_eq!(reorder.due(), Some(ms(1)));
    assert_eq!(popped(&mut reorder, ms(1)), "10 lost 11+1 12! restart 11!");
    reorder.push(packet_of(Caps::audio(Codec::Pcmu, 8_000, 1), 2, 12, 10), ms(2));
    assert_eq!(popped(&mut reorder, ms(2)), "restart 12!");
    // Another codec of the same clock and numbering is the same stream.
    reorder.push(packet_of(Caps::audio(Codec::Pcma, 8_000, 1), 2, 13, 10), ms(3));
    assert_eq!(popped(&mut reorder, ms(3)), "13");
}

#[test]
fn a_jump_forwards_begins_anew() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10], 0), "10");
    assert_eq!(through(&mut reorder, &[1011], 0), "restart 1011!");
    assert_eq!(through(&mut reorder, &[2011], 0), "");
    assert_eq!(popped(&mut reorder, ms(80)), "lost 1012+999 2011!");
}

#[test]
fn a_jump_backwards_begins_anew_when_two_agree() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[5000], 0), "5000");
    assert_eq!(through(&mut reorder, &[101], 1), "");
    assert_eq!(through(&mut reorder, &[100], 2), "restart 100! 101");
    assert_eq!(through(&mut reorder, &[102], 3), "102");
}

#[test]
fn a_very_old_duplicate_changes_nothing() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[5000, 100, 5001, 101, 5002, 100, 100], 0), "5000 5001 5002");
    assert!(reorder.is_empty());
}

#[test]
fn a_numbering_that_went_back_a_little_is_found_out() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[5000], 0), "5000");
    for sequence in 4500..4531 {
        assert_eq!(through(&mut reorder, &[sequence], 1), "");
    }
    assert_eq!(through(&mut reorder, &[4531, 4532], 1), "restart 4531! 4532");
}

#[test]
fn a_burst_of_what_was_given_up_is_no_new_numbering() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10, 111], 0), "10");
    assert_eq!(popped(&mut reorder, ms(80)), "lost 11+100 111!");
    let late: Vec<u64> = (11..111).collect();
    assert_eq!(through(&mut reorder, &late, 90), "");
    assert_eq!(through(&mut reorder, &[112], 91), "112");
}

#[test]
fn what_was_left_out_on_purpose_is_not_waited_for() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10], 0), "10");
    let mut after = packet(50);
    after.discontinuity = true;
    reorder.push(after, ms(1));
    assert_eq!(popped(&mut reorder, ms(1)), "lost 11+39 50!");
}

#[test]
fn nothing_is_waited_for_when_it_is_full() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[0], 0), "0");
    for sequence in 2..FULL_PACKETS as u64 + 1 {
        assert_eq!(through(&mut reorder, &[sequence], 0), "");
    }
    let out = through(&mut reorder, &[FULL_PACKETS as u64 + 1], 0);
    assert!(out.starts_with("lost 1+1 2! 3 ") && reorder.is_empty(), "{out}");

    let mut reorder = Reorder::new(MediaKind::Video);
    reorder.push(packet(0), ms(0));
    reorder.push(packet_of(Caps::video(Codec::Vp8, None), 1, 2, FULL_BYTES), ms(0));
    assert_eq!(popped(&mut reorder, ms(0)), "0 lost 1+1 2!");
}

#[test]
fn who_does_not_pop_loses_the_oldest_and_is_told() {
    let mut reorder = Reorder::new(MediaKind::Video);
    for sequence in 0..MAX_PACKETS as u64 + 500 {
        reorder.push(packet(sequence), ms(0));
        assert!(reorder.len() <= MAX_PACKETS);
    }
    let out = popped(&mut reorder, ms(0));
    assert!(out.starts_with("lost 0+500 500! 501 "), "{out}");

    let mut reorder = Reorder::new(MediaKind::Video);
    for run in 0..MAX_PACKETS as u64 + 500 {
        reorder.push(packet(run * 5000), ms(0));
        assert!(reorder.len() <= MAX_PACKETS && reorder.ended.len() <= 2 * MAX_PACKETS + 1);
    }
    let out = popped(&mut reorder, ms(0));
    assert!(out.starts_with("restart 2500000! restart 2505000! "), "{}", &out[..60]);
}

#[test]
fn what_is_no_rtp_or_too_big_is_left_out() {
    let mut reorder = Reorder::new(MediaKind::Video);
    reorder.push(packet_of(Caps::video(Codec::Vp8, None), 1, 0, MAX_BYTES + 1), ms(0));
    let message = rivero_engine::Message { channel: "x".into(), binary: false, bytes: Bytes::new() };
    reorder.push(Packet::new(Caps::message(), Body::Data(Arc::new(message)), ms(0)), ms(0));
    assert_eq!(reorder.due(), None);
    assert!(reorder.pop(ms(0)).is_none());
}

/// One act against a `Reorder`: a packet near or far, or popping, at some time.
fn acts() -> impl Strategy<Value = Vec<(u64, u64, u32, usize, bool)>> {
    let near = 1000..1100_u64;
    let sequence = prop_oneof![8 => near, 2 => 0..5000_u64, 1 => any::<u64>()];
    let size = prop_oneof![4 => 0..2000_usize, 1 => 0..MAX_BYTES + 2];
    let ssrc = prop_oneof![9 => Just(1_u32), 1 => 0..3_u32];
    let time = prop_oneof![9 => 0..50_u64, 1 => any::<u64>()];
    prop::collection::vec((sequence, time, ssrc, size, any::<bool>()), 0..300)
}

proptest! {
    #[test]
    fn any_packets_at_any_time_keep_order_and_bounds(acts in acts()) {
        let zeroes = Bytes::from(vec![0; MAX_BYTES + 2]);
        let mut reorder = Reorder::new(MediaKind::Video);
        let mut clock = 0_u64;
        let mut next = None;
        for (sequence, time, ssrc, size, pops) in acts {
            // Time may even go back.
            clock = if time < 50 { clock.saturating_add(time * 1_000_000) } else { time };
            let now = MediaTime::from_nanos(clock);
            let payload = zeroes.slice(..size);
            let rtp = Rtp { ssrc, sequence, timestamp: 0, marker: false, payload };
            reorder.push(Packet::new(Caps::video(Codec::Vp8, None), Body::Rtp(Arc::new(rtp)), now), now);
            prop_assert!(reorder.len() <= MAX_PACKETS && reorder.bytes() <= MAX_BYTES);
            while let Some(step) = pops.then(|| reorder.pop(now)).flatten() {
                match step {
                    Step::Packet(packet) => {
                        let sequence = sequence_of(&packet).unwrap();
                        prop_assert!(next.is_none_or(|next| next == sequence), "in order, each once");
                        next = sequence.checked_add(1);
                    }
                    Step::Lost { first, count } => {
                        prop_assert!(next.is_none_or(|next| next == first) && count > 0);
                        next = Some(first + count);
                    }
                    Step::Restart => next = None,
                }
            }
            prop_assert_eq!(reorder.is_empty(), reorder.due().is_none());
        }
        while reorder.pop(MediaTime::from_nanos(u64::MAX)).is_some() {}
        prop_assert!(reorder.is_empty());
        prop_assert_eq!(reorder.bytes(), 0);
    }
}

#[test]
fn whoever_needs_a_key_frame_waits_for_nothing_before_it() {
    let mut reorder = Reorder::new(MediaKind::Video);
    assert_eq!(through(&mut reorder, &[10, 12], 0), "10");
    reorder.want_key(true);
    assert_eq!(popped(&mut reorder, ms(1)), "", "what is missing may still be of use");
    reorder.push(packet(15).key(true), ms(2));
    assert_eq!(reorder.due(), Some(ms(2)));
    assert_eq!(popped(&mut reorder, ms(2)), "lost 11+1 12! lost 13+2 15!");
    // Of the key frame itself nothing is given up too soon.
    assert_eq!(through(&mut reorder, &[17], 3), "");
    assert_eq!(through(&mut reorder, &[16], 4), "16 17");
}
