//! Packets to frames, as they are recorded: whatever the path and the sender do, what comes out is whole and can be decoded.

use crate::network::{Dice, Network, ROUND_TRIP};
use crate::signal::picture;
use crate::stage::{End, Stage};
use crate::streams::{Camera, Peer, VIDEO, caps};
use bytes::Bytes;
use rivero_engine::{Body, Codec, Feedback, MediaKind, MediaTime, Packet, Rtp};
use std::sync::Arc;

const WIDE: u32 = 160;
const HIGH: u32 = 128;
const PICTURES: u32 = 90;

/// What a sender and a path do to packets.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// Percent.
    loss: u64,
    /// Of so many packets, one holds nonsense.
    spoilt: u64,
    /// No packet says that it ends a frame.
    unmarked: bool,
}

fn other(packet: &Packet, payload: Bytes, marker: bool) -> Packet {
    let Body::Rtp(rtp) = &packet.body else { panic!("no RTP: {packet:?}") };
    let rtp = Rtp { ssrc: rtp.ssrc, sequence: rtp.sequence, timestamp: rtp.timestamp, marker, payload };
    let mut other = packet.clone();
    other.body = Body::Rtp(Arc::new(rtp));
    other
}

fn payload(packet: &Packet) -> (Bytes, bool) {
    let Body::Rtp(rtp) = &packet.body else { panic!("no RTP: {packet:?}") };
    (rtp.payload.clone(), rtp.marker)
}

/// A payload that no format here can read.
fn nonsense(codec: Codec) -> Bytes {
    Bytes::from_static(match codec {
        Codec::H264 => &[0x7e, 1, 2, 3],
        Codec::H265 => &[0x7e, 1, 2, 3],
        Codec::Mjpeg => &[1; 20],
        // A header that goes on where nothing is.
        _ => &[0xff],
    })
}

/// What became of a stream.
struct Recorded {
    sent: Vec<Bytes>,
    /// Whether each is a key frame.
    came: Vec<(Bytes, bool)>,
    asked: usize,
    /// Packets that were lost or spoilt.
    wrong: usize,
}

fn record(codec: Codec, faults: Faults, seed: u64) -> Recorded {
    let mut stage = Stage::new(MediaKind::Video);
    let end = stage.sink(&caps(codec).frames());
    stage.heard();
    let mut camera = Camera::new(&caps(codec), WIDE, HIGH, 600_000);
    camera.packer.room = 500;
    let mut peer = Peer::new(&caps(codec));
    let mut network = Network::new(seed, faults.loss, 1, false);
    let mut dice = Dice(seed);
    let (mut sent, mut came) = (Vec::new(), Vec::new());
    let (mut wanted, mut asked, mut wrong) = (false, 0, 0);
    for at in 0..PICTURES {
        let picture = picture(WIDE, HIGH, at);
        while let Some((arrives, packet)) = network.next(picture.at) {
            stage.send(arrives, vec![packet]);
        }
        let packets = camera.shoot(&picture, std::mem::take(&mut wanted));
        sent.extend(peer.read(&packets).into_iter().map(|frame| frame.data));
        for packet in packets {
            let (payload, marker) = payload(&packet);
            let spoilt = faults.spoilt > 0 && at > 0 && dice.below(faults.spoilt) == 0;
            wrong += usize::from(spoilt);
            let payload = if spoilt { nonsense(codec) } else { payload };
            let packet = other(&packet, payload, marker && !faults.unmarked);
            match at {
                0 => stage.send(picture.at + ROUND_TRIP / 2, vec![packet]),
                _ => drop(network.send(packet, picture.at)),
            }
        }
        let requests = stage.heard().iter().filter(|(_, what)| *what == Feedback::KeyFrame).count();
        wanted = requests > 0;
        asked += requests;
        came.extend(frames(&end));
    }
    while let Some((arrives, packet)) = network.next(MediaTime::from_millis(100_000_000)) {
        stage.send(arrives, vec![packet]);
    }
    came.extend(frames(&end));
    assert_eq!(stage.errors(), [""; 0]);
    wrong += network.lost as usize;
    Recorded { sent, came, asked, wrong }
}

fn frames(end: &End) -> Vec<(Bytes, bool)> {
    let frame = |packet: Packet| match &packet.body {
        Body::Coded(frame) => (frame.data.clone(), packet.key),
        _ => panic!("no frame: {packet:?}"),
    };
    end.packets().into_iter().map(frame).collect()
}

#[test]
fn what_is_recorded_can_be_decoded() {
    let some = [
        Faults::default(),
        Faults { loss: 3, ..Faults::default() },
        Faults { spoilt: 20, ..Faults::default() },
        Faults { loss: 2, spoilt: 40, ..Faults::default() },
        Faults { unmarked: true, ..Faults::default() },
        Faults { unmarked: true, spoilt: 20, ..Faults::default() },
        Faults { unmarked: true, spoilt: 40, loss: 2 },
    ];
    for codec in VIDEO {
        // The others need the marker to know where a frame ends.
        let nal = matches!(codec, Codec::H264 | Codec::H265);
        for faults in some.into_iter().filter(|faults| nal || !faults.unmarked) {
            let what = format!("{codec:?} with {faults:?}");
            let Recorded { sent, came, asked, wrong } = record(codec, faults, 7);
            let mut next = 0;
            for (data, key) in &came {
                let place = sent[next..].iter().position(|frame| frame == data);
                let place = place.unwrap_or_else(|| panic!("{what}: after {next}, what was never sent"));
                assert!(place == 0 || *key, "{what}: {} rests on one that is missing", next + place);
                next += place + 1;
            }
            println!(
                "{what}: {} of {PICTURES} frames, {wrong} packets wrong, {asked} key frames asked for",
                came.len()
            );
            assert!(asked <= wrong + 1, "{what}: {asked} key frames asked for");
            let least = if wrong == 0 { PICTURES - 1 } else { PICTURES / 6 };
            assert!(came.len() >= least as usize, "{what}: {} frames", came.len());
        }
    }
}

/// Where nothing marks the end of a frame, the packet that ends it may be one that cannot be read.
#[test]
fn what_a_spoilt_packet_ends_is_whole_and_what_it_begins_is_not() {
    let codec = Codec::H264;
    let mut stage = Stage::new(MediaKind::Video);
    let end = stage.sink(&caps(codec).frames());
    let mut camera = Camera::new(&caps(codec), WIDE, HIGH, 600_000);
    let mut peer = Peer::new(&caps(codec));
    let mut sent = Vec::new();
    for at in 0..10 {
        let picture = picture(WIDE, HIGH, at);
        let packets = camera.shoot(&picture, at % 4 == 0);
        sent.extend(peer.read(&packets).into_iter().map(|frame| frame.data));
        let send = |(number, packet): (usize, &Packet)| {
            let spoilt = number == 0 && (at == 2 || at == 5);
            other(packet, if spoilt { nonsense(codec) } else { payload(packet).0 }, false)
        };
        stage.send(picture.at, packets.iter().enumerate().map(send).collect());
    }
    let came: Vec<_> = frames(&end).iter().map(|(data, _)| sent.iter().position(|frame| frame == data)).collect();
    assert_eq!(came, [0, 1, 4, 8].map(Some));
}
