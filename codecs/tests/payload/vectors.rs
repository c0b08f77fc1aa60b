//! Packets written by hand from the figures of the specifications.

use crate::{Sent, audio, give, receive, video};
use bytes::Bytes;
use rivero_codecs::payload::{Frame, Loss, depayload, is_key, payload, setup};
use rivero_engine::{Caps, Codec};

fn packets(rows: &[(u32, bool, &[u8])]) -> Vec<Sent> {
    let row = |(sequence, (timestamp, marker, payload)): (u64, &(u32, bool, &[u8]))| Sent {
        payload: Bytes::copy_from_slice(payload),
        marker: *marker,
        timestamp: *timestamp,
        sequence,
    };
    (0..).zip(rows).map(row).collect()
}

fn whole(caps: &Caps, rows: &[(u32, bool, &[u8])]) -> Vec<Frame> {
    let (frames, loss) = receive(caps, &packets(rows));
    assert_eq!(loss, Loss::Nothing);
    frames
}

fn frame(data: &[u8], timestamp: u32, key: bool) -> Frame {
    Frame { data: Bytes::copy_from_slice(data), timestamp, key }
}

#[test]
fn vp8_descriptors_of_every_length() {
    let vp8 = video(Codec::Vp8);
    // None; I of 7 bits; I of 15 bits; L; T; K; all of them.
    let heads: [&[u8]; 7] = [
        &[0x10],
        &[0x90, 0x80, 0x11],
        &[0x90, 0x80, 0x81, 0x11],
        &[0x90, 0x40, 7],
        &[0x90, 0x20, 0x60],
        &[0x90, 0x10, 5],
        &[0x90, 0xf0, 0x81, 0x11, 7, 0x65],
    ];
    for head in heads {
        let first = [head, &[0x10, 1, 2]].concat();
        let rows: [(u32, bool, &[u8]); 3] = [(9, false, &first), (9, true, &[0x00, 3]), (10, true, &[0x10, 0x11])];
        let frames = whole(&vp8, &rows);
        assert_eq!(frames, [frame(&[0x10, 1, 2, 3], 9, true), frame(&[0x11], 10, false)]);
    }
    // S in the first packet of a later partition begins no frame.
    let rows: [(u32, bool, &[u8]); 2] = [(9, false, &[0x10, 0x10, 1]), (9, true, &[0x11, 2])];
    assert_eq!(whole(&vp8, &rows), [frame(&[0x10, 1, 2], 9, true)]);
}

#[test]
fn vp8_counts_pictures() {
    let mut writer = payload(&video(Codec::Vp8)).unwrap();
    let mut out = Vec::new();
    for _ in 0..0x8001 {
        out.clear();
        writer.split(&Bytes::from_static(&[1]), 100, &mut out).unwrap();
    }
    assert_eq!(&out[0].payload[..], [0x90, 0x80, 0x80, 0x00, 1], "after 32,768 pictures it starts again");
}

#[test]
fn vp9_layers_become_a_superframe() {
    // Flexible mode, two spatial layers: the first in one packet, with the scalability structure; the second in two.
    let base: &[u8] = &[0xbe, 0x85, 0, 0x00, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 1, 0x04, 1, 0x80, 0xaa];
    let rows: [(u32, bool, &[u8]); 3] = [
        (1, false, base),
        (1, false, &[0xf8, 0x85, 0, 0x03, 0x02, 0x84, 0xbb]),
        (1, true, &[0xf4, 0x85, 0, 0x03, 0x02, 0xcc]),
    ];
    let index = [0xd9, 2, 0, 0, 0, 3, 0, 0, 0, 0xd9];
    let wanted = [&[0x80, 0xaa, 0x84, 0xbb, 0xcc][..], &index].concat();
    assert_eq!(whole(&video(Codec::Vp9), &rows), [frame(&wanted, 1, true)]);
    // Where a server between left out higher layers and with them the marker, a change of the timestamp ends the picture.
    let next: (u32, bool, &[u8]) = (2, true, &[0x8c, 0x85, 0x01, 0x84]);
    let wanted = [frame(&[0x80, 0xaa], 1, true), frame(&[0x84], 2, false)];
    assert_eq!(whole(&video(Codec::Vp9), &[rows[0], next]), wanted);
    // Without the base layer, nothing is left.
    let (frames, loss) = receive(&video(Codec::Vp9), &packets(&rows)[1..]);
    assert_eq!((frames.len(), loss), (0, Loss::Something));
}

#[test]
fn vp9_takes_three_references_and_no_more() {
    let three: &[u8] = &[0xdc, 0x01, 0x03, 0x05, 0x06, 0x84];
    assert_eq!(whole(&video(Codec::Vp9), &[(1, true, three)]), [frame(&[0x84], 1, false)]);
    let four: &[u8] = &[0xdc, 0x01, 0x03, 0x05, 0x07, 0x06, 0x84];
    assert_eq!(receive(&video(Codec::Vp9), &packets(&[(1, true, four)])).1, Loss::Something);
}

#[test]
fn av1_elements_with_and_without_sizes() {
    let av1 = video(Codec::Av1);
    let wanted = [frame(&[0x0a, 1, 0x00, 0x32, 3, 0x10, 7, 8], 5, true)];
    // W=2: the last without size; W=0: all with sizes; and the frame's unit over two packets (Y, Z).
    assert_eq!(whole(&av1, &[(5, true, &[0x28, 2, 0x08, 0x00, 0x30, 0x10, 7, 8])]), wanted);
    assert_eq!(whole(&av1, &[(5, true, &[0x08, 2, 0x08, 0x00, 4, 0x30, 0x10, 7, 8])]), wanted);
    let rows: [(u32, bool, &[u8]); 2] = [(5, false, &[0x68, 2, 0x08, 0x00, 0x30, 0x10]), (5, true, &[0x90, 7, 8])];
    assert_eq!(whole(&av1, &rows), wanted);
    // A temporal delimiter, a unit that has a size all the same, an empty element.
    let odd: &[u8] = &[0x08, 2, 0x12, 0x00, 3, 0x0a, 1, 0x00, 0, 4, 0x30, 0x10, 7, 8];
    assert_eq!(whole(&av1, &[(5, true, odd)]), wanted);
    // One element too few for W.
    assert_eq!(receive(&av1, &packets(&[(5, true, &[0x38, 2, 0x08, 0x00])])).1, Loss::Something);
}

const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xd9];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

#[test]
fn h264_single_units_aggregates_and_fragments() {
    let h264 = video(Codec::H264);
    let stap = [&[0x78, 0, 5], SPS, &[0, 4], PPS].concat();
    let rows: [(u32, bool, &[u8]); 5] = [
        (1, false, &stap),
        (1, false, &[0x7c, 0x85, 0x88, 1]),
        (1, false, &[0x7c, 0x05, 2]),
        (1, true, &[0x7c, 0x45, 3]),
        (2, true, &[0x41, 0x9a, 4]),
    ];
    let start: &[u8] = &[0, 0, 0, 1];
    let key = [start, SPS, start, PPS, start, &[0x65, 0x88, 1, 2, 3]].concat();
    let delta = [start, &[0x41, 0x9a, 4]].concat();
    assert_eq!(whole(&h264, &rows), [frame(&key, 1, true), frame(&delta, 2, false)]);
    // Without markers, a change of the timestamp ends an access unit.
    let unmarked = rows.map(|(timestamp, _, payload)| (timestamp, false, payload));
    assert_eq!(whole(&h264, &unmarked), [frame(&key, 1, true)]);
    // A STAP-A that ends within a length.
    assert_eq!(receive(&h264, &packets(&[(1, true, &[0x78, 0, 1, 0x41, 0])])).1, Loss::Something);
}

#[test]
fn h264_parameter_sets_come_from_the_description() {
    let caps = Caps::video(Codec::H264, Some("packetization-mode=1; sprop-parameter-sets=Z0LAHtk=,aM48gA=="));
    let start: &[u8] = &[0, 0, 0, 1];
    let (delimiter, slice): (&[u8], &[u8]) = (&[0x09, 0xf0], &[0x65, 0x88, 1]);
    let rows: [(u32, bool, &[u8]); 2] = [(1, false, delimiter), (1, true, slice)];
    let wanted = [start, delimiter, start, SPS, start, PPS, start, slice].concat();
    assert_eq!(whole(&caps, &rows), [frame(&wanted, 1, true)]);
    // Those of the stream are kept for the key frames that come without; a marker at them ends nothing.
    let rows: [(u32, bool, &[u8]); 4] = [(1, false, SPS), (1, true, PPS), (1, true, slice), (2, true, slice)];
    let wanted = [start, SPS, start, PPS, start, slice].concat();
    assert_eq!(whole(&video(Codec::H264), &rows), [frame(&wanted, 1, true), frame(&wanted, 2, true)]);
    // Some cameras send all units as one, start codes and all.
    let as_one = [SPS, start, PPS, &start[1..], slice].concat();
    let wanted = [start, SPS, start, PPS, &start[1..], slice].concat();
    assert_eq!(whole(&video(Codec::H264), &[(1, true, &as_one)]), [frame(&wanted, 1, true)]);
    // A key frame without any can be decoded by nobody.
    let (frames, loss) = receive(&video(Codec::H264), &packets(&[(1, true, slice)]));
    assert_eq!((frames.len(), loss), (0, Loss::Something));
}

#[test]
fn h265_single_units_aggregates_fragments_and_paci() {
    let (vps, sps, pps): (&[u8], &[u8], &[u8]) = (&[0x40, 1, 0x0c, 1], &[0x42, 1, 1, 1, 0x60], &[0x44, 1, 0xc1]);
    let together = [&[0x60, 1, 0, 4], vps, &[0, 5], sps, &[0, 3], pps].concat();
    let start: &[u8] = &[0, 0, 0, 1];
    let wanted = [start, vps, start, sps, start, pps, start, &[0x26, 1, 0xaf, 7, 8]].concat();
    let rows: [(u32, bool, &[u8]); 3] =
        [(1, false, &together), (1, false, &[0x62, 1, 0x93, 0xaf, 7]), (1, true, &[0x62, 1, 0x53, 8])];
    assert_eq!(whole(&video(Codec::H265), &rows), [frame(&wanted, 1, true)]);
    // Type 19 inside type 50, with an extension of three octets.
    let paci: &[u8] = &[0x64, 1, 0x26, 0x38, 1, 2, 3, 0xaf, 7, 8];
    assert_eq!(whole(&video(Codec::H265), &[(1, false, &together), (1, true, paci)]), [frame(&wanted, 1, true)]);
    assert!(depayload(&Caps::video(Codec::H265, Some("sprop-max-don-diff=2"))).is_none());
}

#[test]
fn h263_gets_its_start_codes_back() {
    // The second packet begins with a group of blocks and repeats the picture's header, five octets of it.
    let rows: [(u32, bool, &[u8]); 2] =
        [(1, false, &[0x04, 0x00, 0x80, 0x02, 0x0c, 9]), (1, true, &[0x04, 0x28, 1, 2, 3, 4, 5, 0x84, 8])];
    assert_eq!(whole(&video(Codec::H263), &rows), [frame(&[0, 0, 0x80, 0x02, 0x0c, 9, 0, 0, 0x84, 8], 1, true)]);
    assert!(!is_key(Codec::H263, &[0, 0, 0x80, 0x02, 0x0e, 9]));
    // The long header: UFEP 1, 18 bits, then the type.
    assert!(is_key(Codec::H263, &[0, 0, 0x80, 0x02, 0x1c, 0x80, 0x00, 0x00, 0x00]));
}

#[test]
fn jpeg_files_have_their_tables() {
    // 16 × 8 in 4:2:0, Q 50: the tables of annex K themselves.
    let file = &whole(&video(Codec::Mjpeg), &[(1, true, &[0, 0, 0, 0, 1, 50, 2, 1, 0xab, 0xcd])])[0].data;
    assert_eq!(&file[..10], [0xff, 0xd8, 0xff, 0xdb, 0, 132, 0, 16, 11, 12]);
    assert_eq!(&file[file.len() - 4..], [0xab, 0xcd, 0xff, 0xd9]);
    // Tables that are sent once for a Q below 255, then left out; for another Q they are unknown.
    let mut first = vec![0, 0, 0, 0, 1, 130, 2, 1, 0, 0, 0, 128];
    first.extend([9; 128]);
    first.push(0xab);
    let again: &[u8] = &[0, 0, 0, 0, 1, 130, 2, 1, 0, 0, 0, 0, 0xab];
    let frames = whole(&video(Codec::Mjpeg), &[(1, true, &first), (2, true, again)]);
    assert_eq!(frames[0].data, frames[1].data);
    let other: &[u8] = &[0, 0, 0, 0, 1, 131, 2, 1, 0, 0, 0, 0, 0xab];
    assert_eq!(receive(&video(Codec::Mjpeg), &packets(&[(1, true, &first), (2, true, other)])).1, Loss::Something);
}

#[test]
fn amr_with_both_layouts() {
    // RFC 4867, 4.3.5.1: one frame of 5.9 kbit/s; CMR 1, F 0, FT 2, Q 1, 118 bits (all set).
    let mut payload = [0xff; 16];
    payload[0] = 0x11;
    payload[1] = 0x7f;
    let frames = whole(&audio(Codec::AmrNb), &[(1, false, &payload)]);
    let wanted = [&[0x14][..], &[0xff; 14], &[0xfc]].concat();
    assert_eq!(frames, [frame(&wanted, 1, true)]);
    // 4.4.5.1 in kind: octet-aligned, comfort noise, nothing, a frame of 4.75 kbit/s; the silent one takes its time.
    let aligned = audio(Codec::AmrNb).with_format(Some("octet-align=1"));
    let payload = [&[0xf0, 0xc4, 0xfc, 0x04, 1, 2, 3, 4, 6][..], &[5; 11], &[4]].concat();
    let frames = whole(&aligned, &[(100, false, &payload)]);
    assert_eq!(frames[0], frame(&[0x44, 1, 2, 3, 4, 6], 100, true));
    assert_eq!((frames[1].timestamp, frames[1].data.len()), (420, 13));
    assert!(depayload(&aligned.with_format(Some("octet-align=1; interleaving=4"))).is_none());
}

#[test]
fn aac_units_share_packets_or_fill_several() {
    let aac = audio(Codec::Aac).with_format(Some("mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3"));
    let two: &[u8] = &[0, 32, 0, 16, 0, 24, 1, 2, 3, 4, 5];
    assert_eq!(whole(&aac, &[(7, true, two)]), [frame(&[1, 2], 7, true), frame(&[3, 4, 5], 1031, true)]);
    let rows: [(u32, bool, &[u8]); 2] = [(7, false, &[0, 16, 0, 24, 1, 2]), (7, true, &[0, 16, 0, 24, 3])];
    assert_eq!(whole(&aac, &rows), [frame(&[1, 2, 3], 7, true)]);
    assert_eq!(setup(&aac).unwrap(), [0x12, 0x10][..]);
    assert_eq!(setup(&aac.with_format(Some("config=1190"))).unwrap(), [0x11, 0x90][..]);
}

#[test]
fn mpeg_audio_frames_are_told_apart() {
    // MPEG-2, layer III, 8 kbit/s at 24 kHz: 24 bytes, 576 samples, 2160 ticks.
    let one = [&[0xff, 0xf3, 0x14, 0x00][..], &[7; 20]].concat();
    let payload = [&[0; 4][..], &one, &one].concat();
    assert_eq!(whole(&audio(Codec::Mp3), &[(1, false, &payload)]), [frame(&one, 1, true), frame(&one, 2161, true)]);
}

#[test]
fn speex_frames_are_cut_by_the_bit() {
    // Two frames of silence in wide band: 0 0000 and 1 000 each, then the padding.
    let payload: &[u8] = &[0b0000_0100, 0b0000_0010, 0b0001_1111];
    let frames = whole(&audio(Codec::Speex), &[(1, false, payload)]);
    let alone = [0b0000_0100, 0b0011_1111];
    assert_eq!(frames, [frame(&alone, 1, true), frame(&alone, 321, true)]);
}

#[test]
fn fragments_must_fit_together() {
    // Offsets that leave something out, or sizes that change, without a packet missing.
    let jpeg: [&[u8]; 2] = [&[0, 0, 0, 0, 1, 50, 2, 1, 0xab], &[0, 0, 0, 2, 1, 50, 2, 1, 0xcd]];
    let mp3: [&[u8]; 2] = [
        &[0, 0, 0, 0, 0xff, 0xf3, 0x14, 0x00, 7],
        &[0, 0, 0, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
    ];
    let aac: [&[u8]; 2] = [&[0, 16, 0, 24, 1, 2], &[0, 16, 0, 32, 3, 4]];
    for (caps, [first, second]) in [(video(Codec::Mjpeg), jpeg), (audio(Codec::Mp3), mp3), (audio(Codec::Aac), aac)] {
        let (frames, loss) = receive(&caps, &packets(&[(1, false, first), (1, true, second)]));
        assert_eq!((frames.len(), loss), (0, Loss::Something), "{caps}");
    }
    // The marker of AAC stands too early.
    let early: (u32, bool, &[u8]) = (1, true, &[0, 16, 0, 24, 1, 2]);
    assert_eq!(receive(&audio(Codec::Aac), &packets(&[early])).1, Loss::Something);
}

#[test]
fn garbage_and_nothing_are_survived() {
    let empty = packets(&[(1, true, &[])]);
    for codec in [crate::make::VIDEO.map(video), crate::make::AUDIO.map(audio)].concat() {
        let mut reader = depayload(&codec).unwrap();
        assert_eq!(give(&mut *reader, &empty).0, []);
    }
}
