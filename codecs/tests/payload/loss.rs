//! Any packet may be missing: what comes out is whole all the same, and the loss is told.

use crate::ffmpeg::units;
use crate::{Sent, audio, make, receive, send, video};
use bytes::Bytes;
use rivero_codecs::payload::{Loss, MAX_FRAME};
use rivero_engine::{Caps, Codec};

/// Whatever comes out is one of the frames, with its timestamp; that of the missing packet is not among them, unless the packet
/// held nothing of H.264's or H.265's picture: nobody can tell that from a loss before the frame.
fn lose_each(caps: &Caps, frames: &[Bytes]) {
    let sent = send(caps, frames, 100);
    for missing in 0..sent.len() {
        let mut rest = sent.clone();
        let lost = rest.remove(missing).timestamp;
        let (received, loss) = receive(caps, &rest);
        if missing > 0 && missing + 1 < sent.len() {
            assert_eq!(loss, Loss::Something, "packet {missing} of {}", sent.len());
        }
        for frame in &received {
            let original = &frames[frame.timestamp as usize / 3000];
            let same = match caps.codec() {
                Codec::H264 | Codec::H265 => units(&frame.data) == units(original),
                _ => frame.data == *original && frame.timestamp != lost,
            };
            assert!(same, "without packet {missing} of {}", sent.len());
        }
        // Those before are not harmed.
        assert!(received.iter().filter(|frame| frame.timestamp < lost).count() >= lost as usize / 3000);
    }
}

#[test]
fn nothing_damaged_comes_out() {
    make::of_each([make::VIDEO, make::AUDIO].concat(), |codec, frames| {
        lose_each(&if make::VIDEO.contains(&codec) { video(codec) } else { audio(codec) }, frames);
    });
}

#[test]
fn what_came_before_is_ignored() {
    let frames = [Bytes::from(vec![0x10; 250]), Bytes::from(vec![0x11; 250])];
    let mut sent = send(&video(Codec::Vp8), &frames, 100);
    sent.insert(2, sent[1].clone());
    sent.insert(4, sent[0].clone());
    let (received, loss) = receive(&video(Codec::Vp8), &sent);
    assert_eq!(loss, Loss::Nothing);
    assert_eq!(received.iter().map(|frame| frame.data.clone()).collect::<Vec<_>>(), frames);
}

/// Who fills the path sends packets without payload; what is left of such a one is its number.
#[test]
fn an_empty_packet_says_nothing_but_its_number() {
    make::of_each([make::VIDEO, make::AUDIO].concat(), |codec, frames| {
        let caps = if make::VIDEO.contains(&codec) { video(codec) } else { audio(codec) };
        let sent = send(&caps, frames, 100);
        let empty = |packet: &Sent| Sent { payload: Bytes::new(), marker: false, ..packet.clone() };
        let mut filled: Vec<Sent> = sent.iter().flat_map(|packet| [empty(packet), packet.clone()]).collect();
        (100..).zip(&mut filled).for_each(|(sequence, packet)| packet.sequence = sequence);
        assert_eq!(receive(&caps, &filled), receive(&caps, &sent), "{codec:?}");
        for missing in 2..filled.len() {
            let mut rest = filled.clone();
            rest.remove(missing);
            let last = missing + 1 == filled.len();
            assert!(last || receive(&caps, &rest).1 == Loss::Something, "{codec:?} without {missing}");
        }
    });
}

#[test]
fn a_frame_without_end_is_given_up() {
    let bodies: [(Codec, &[u8], &[u8]); 5] = [
        (Codec::Vp8, &[0x10, 0x10], &[0x00]),
        (Codec::Vp9, &[0x08, 0x80], &[0x00]),
        (Codec::Av1, &[0x58, 0x30], &[0xd0]),
        (Codec::H264, &[0x7c, 0x85, 0x88], &[0x7c, 0x05]),
        (Codec::H265, &[0x62, 0x01, 0x93, 0x88], &[0x62, 0x01, 0x13]),
    ];
    for (codec, first, next) in bodies {
        let body = vec![1; 60_000];
        let count = MAX_FRAME as u64 / 60_000 + 2;
        let sent = (0..count).map(|sequence| {
            let head = if sequence == 0 { first } else { next };
            Sent { payload: [head, &body].concat().into(), marker: sequence + 1 == count, timestamp: 1, sequence }
        });
        let (received, loss) = receive(&video(codec), &sent.collect::<Vec<_>>());
        assert_eq!((received.len(), loss), (0, Loss::Something), "{codec:?}");
    }
}
