//! RTCP against bytes written by hand, against its own writers, and against anything at all.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn only(bytes: &[u8]) -> Rtcp<'_> {
    let mut packets = parse(bytes);
    let packet = packets.next().expect("it is well formed");
    assert_eq!(packets.next(), None);
    packet
}

#[test]
fn nack_names_a_number_and_those_after_it_by_bits() {
    let bytes = [
        0x81,
        205,
        0,
        4,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        2, //
        0xff,
        0xfe,
        0b1000_0000,
        0b0000_0101,
        0,
        9,
        0,
        0,
    ];
    let Rtcp::Nack { sender: 1, media: 2, lost } = only(&bytes) else { panic!("a NACK") };
    assert_eq!(lost.collect::<Vec<_>>(), [0xfffe, 0xffff, 1, 14, 9]);
}

#[test]
fn a_nack_reads_as_it_was_written() {
    let lost = [65_530u16, 65_531, 65_535, 0, 10, 11, 300];
    let mut bytes = Vec::new();
    write_nack(&mut bytes, 1, 2, &lost);
    assert_eq!(bytes.len(), 12 + 3 * 4, "as many as possible in a word");
    let Rtcp::Nack { sender: 1, media: 2, lost: read } = only(&bytes) else { panic!("a NACK") };
    assert_eq!(read.collect::<Vec<_>>(), lost);
}

#[test]
fn fir_names_streams_and_commands() {
    let bytes = [
        0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, //
        0, 0, 0, 7, 3, 0, 0, 0, 0, 0, 0, 8, 255, 0, 0, 0,
    ];
    let Rtcp::Fir { sender: 1, entries } = only(&bytes) else { panic!("a FIR") };
    assert_eq!(entries.len(), 2);
    assert_eq!(entries.collect::<Vec<_>>(), [(7, 3), (8, 255)]);
}

#[test]
fn a_fir_reads_as_it_was_written() {
    let mut bytes = Vec::new();
    write_fir(&mut bytes, 1, 7, 200);
    let Rtcp::Fir { sender: 1, entries } = only(&bytes) else { panic!("a FIR") };
    assert_eq!(entries.collect::<Vec<_>>(), [(7, 200)]);
}

/// A report as a browser sends it: mantissa 0x3ffff with exponent 3.
#[test]
fn remb_and_its_limits() {
    let mut bytes = [
        0x8f,
        206,
        0,
        5,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0, //
        b'R',
        b'E',
        b'M',
        b'B',
        1,
        3 << 2 | 3,
        0xff,
        0xff,
        0,
        0,
        0,
        7,
    ];
    let read = |bytes: &[u8]| match only(bytes) {
        Rtcp::Remb { sender: 1, bps, ssrcs } => (bps, ssrcs.collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&bytes), (0x3_ffff << 3, vec![7]));
    bytes[17] = 46 << 2 | 3;
    assert_eq!(read(&bytes).0, 0x3_ffff << 46);
    bytes[17] = 47 << 2 | 3;
    assert_eq!(read(&bytes).0, u64::MAX, "one bit too many");
    bytes[17] = 63 << 2 | 3;
    assert_eq!(read(&bytes).0, u64::MAX);
    bytes[17..20].copy_from_slice(&[63 << 2, 0, 0]);
    assert_eq!(read(&bytes).0, 0);
    bytes[12] = b'r';
    assert_eq!(only(&bytes), Rtcp::Other { kind: 206, format: 15 });
    bytes[12] = b'R';
    bytes[16] = 2;
    assert_eq!(parse(&bytes).next(), None, "it promises two streams and names one");
}

#[test]
fn losses_have_a_sign() {
    for lost in [0, 1, -1, 0x7f_ffff, -0x80_0000] {
        let mut out = Vec::new();
        write_receiver_report(&mut out, 1, &[ReportBlock { lost, fraction_lost: 255, ..Default::default() }]);
        let Rtcp::ReceiverReport { mut reports, .. } = only(&out) else { panic!("a receiver report") };
        let report = reports.next().expect("one block");
        assert_eq!((report.lost, report.fraction_lost), (lost, 255));
    }
    let mut out = Vec::new();
    write_receiver_report(&mut out, 1, &[ReportBlock { lost: i32::MIN, ..Default::default() }]);
    assert_eq!(out[12..16], [0, 0x80, 0, 0], "what does not fit stays at the limit");
}

#[test]
fn what_is_strange_ends_the_reading_or_is_passed_over() {
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let read = |parts: &[&[u8]]| parse(&parts.concat()).map(|packet| format!("{packet:?}")).collect::<Vec<_>>();
    let only_plain = read(&[&pli]);
    let [plain] = &only_plain[..] else { panic!("one packet") };

    let unknown: [&[u8]; 5] = [
        &[0x80, 207, 0, 1, 0, 0, 0, 1],
        &[0x85, 199, 0, 0],
        &[0x80, 202, 0, 0],
        &[0x82, 204, 0, 0],
        &[0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
    ];
    for other in unknown {
        assert_eq!(read(&[other, &pli]).last(), Some(plain), "{other:?} is passed over");
    }
    let broken: [&[u8]; 9] = [
        &[0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
        &[0x81, 206, 0, 1, 0, 0, 0, 1],
        &[0x81, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x80, 201, 0, 0],
        &[0x81, 201, 0, 1, 0, 0, 0, 1],
        &[0x82, 203, 0, 1, 0, 0, 0, 1],
        &[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0],
        &[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9],
        &[0xa1, 203, 0, 0],
    ];
    for end in broken {
        assert_eq!(read(&[&pli, end, &pli]), only_plain, "nothing is read after {end:?}");
    }
    assert_eq!(read(&[&pli, &[0x81, 206, 0]]), only_plain);
    assert_eq!(read(&[&pli, &[0x81, 206, 0xff, 0xff]]), only_plain);
    let padded = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    assert_eq!(read(&[&padded]), only_plain);
}

#[test]
fn a_source_description_ends_with_zeros_on_a_word() {
    for (cname, words) in [("", 2), ("a", 2), ("ab", 3), ("abcde", 3), ("abcdef", 4)] {
        let mut out = vec![0xee];
        write_cname(&mut out, 0x0102_0304, cname);
        let out = &out[1..];
        assert_eq!(out.len(), 4 * (words + 1), "{cname}");
        assert_eq!(out[..10], [0x81, 202, 0, words as u8, 1, 2, 3, 4, 1, cname.len() as u8]);
        assert_eq!(&out[10..10 + cname.len()], cname.as_bytes());
        let filling = &out[10 + cname.len()..];
        assert!(!filling.is_empty() && filling.iter().all(|byte| *byte == 0), "{cname}");
    }
    let mut out = Vec::new();
    write_cname(&mut out, 1, &"x".repeat(300));
    assert_eq!(out[9], 255);
    assert_eq!(only(&out), Rtcp::Other { kind: 202, format: 1 });
}

#[test]
fn round_trips() {
    let report = |last_sr, delay_since_last_sr| ReportBlock { last_sr, delay_since_last_sr, ..Default::default() };
    let middle = |middle: u32| NtpTime(u64::from(middle) << 16);
    // The example of RFC 3550 §6.4.1, figure 2: 6.125 seconds.
    assert_eq!(report(0xb705_2000, 0x0005_4000).round_trip(middle(0xb710_8000)), Some(Duration::from_millis(6_125)));
    assert_eq!(
        report(0xffff_8000, 0x4000).round_trip(middle(0x8000)),
        Some(Duration::from_millis(750)),
        "clocks roll over"
    );
    assert_eq!(report(0, 0).round_trip(middle(0x1_0000)), None, "nothing was heard yet");
    assert_eq!(report(0x1_0000, 0x2_0000).round_trip(middle(0x2_0000)), None, "it cannot have waited so long");
}

fn report_blocks() -> impl Strategy<Value = Vec<ReportBlock>> {
    let words = any::<[u32; 5]>();
    let block = (words, any::<u8>(), -0x80_0000..=0x7f_ffff).prop_map(|(words, fraction_lost, lost)| ReportBlock {
        ssrc: words[0],
        fraction_lost,
        lost,
        highest_sequence: words[1],
        jitter: words[2],
        last_sr: words[3],
        delay_since_last_sr: words[4],
    });
    vec(block, 0..=31)
}

proptest! {
    #[test]
    fn anything_can_be_read(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// Likelier to get far than noise: framed well, with types that we know.
    #[test]
    fn anything_framed_can_be_read(packets in vec((192u8..=207, any::<u8>(), vec(any::<u8>(), 0..60)), 0..5)) {
        let mut bytes = Vec::new();
        for (kind, first, mut body) in packets {
            body.truncate(body.len() / 4 * 4);
            bytes.extend_from_slice(&[2 << 6 | first & 0x3f, kind, 0, (body.len() / 4) as u8]);
            bytes.extend_from_slice(&body);
        }
        read_all(&bytes);
    }

    #[test]
    fn reports_are_read_as_written(
        ssrc: u32, ntp: u64, times: [u32; 3], reports in report_blocks(), cname in "[a-z0-9{}-]{0,40}", ssrcs in vec(any::<u32>(), 1..=31)
    ) {
        let info = SenderInfo { ntp: NtpTime(ntp), rtp_timestamp: times[0], packets: times[1], octets: times[2] };
        let mut out = Vec::new();
        write_sender_report(&mut out, ssrc, &info, &cname);
        write_receiver_report(&mut out, ssrc, &reports);
        write_pli(&mut out, ssrc, times[0]);
        write_bye(&mut out, &ssrcs);
        let packets: Vec<_> = parse(&out).collect();
        prop_assert_eq!(packets.len(), 5);
        let Rtcp::SenderReport { ssrc: read_ssrc, info: read_info, reports: read_reports } = packets[0].clone() else {
            panic!("{packets:?}")
        };
        prop_assert_eq!((read_ssrc, read_info), (ssrc, info));
        prop_assert_eq!(read_reports.len(), 0);
        prop_assert_eq!(&packets[1], &Rtcp::Other { kind: 202, format: 1 });
        let Rtcp::ReceiverReport { ssrc: read_ssrc, reports: read_reports } = packets[2].clone() else {
            panic!("{packets:?}")
        };
        prop_assert_eq!(read_ssrc, ssrc);
        prop_assert_eq!(read_reports.collect::<Vec<_>>(), reports);
        prop_assert_eq!(&packets[3], &Rtcp::Pli { sender: ssrc, media: times[0] });
        let Rtcp::Bye { ssrcs: gone } = packets[4].clone() else { panic!("{packets:?}") };
        prop_assert_eq!(gone.collect::<Vec<_>>(), ssrcs);
    }

    #[test]
    fn estimates_keep_eighteen_bits(sender: u32, bps: u64, shift in 0..64u32, ssrcs in vec(any::<u32>(), 0..=255)) {
        let bps = bps >> shift;
        let mut out = Vec::new();
        write_remb(&mut out, sender, bps, &ssrcs);
        let Rtcp::Remb { sender: read_sender, bps: read, ssrcs: read_ssrcs } = only(&out) else { panic!("a REMB") };
        prop_assert_eq!(read_sender, sender);
        prop_assert_eq!(read_ssrcs.collect::<Vec<_>>(), ssrcs);
        prop_assert!(read <= bps && bps - read <= bps >> 17);
        prop_assert!(bps >= 1 << 18 || read == bps, "{} of {}", read, bps);
    }
}

/// Goes to the end of everything.
fn read_all(bytes: &[u8]) {
    for packet in parse(bytes) {
        match packet {
            Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => assert!(reports.count() <= 31),
            Rtcp::Nack { lost, .. } => assert!(lost.count() <= bytes.len() / 4 * 17),
            Rtcp::Fir { entries, .. } => assert!(entries.count() <= bytes.len() / 8),
            Rtcp::Remb { ssrcs, .. } | Rtcp::Bye { ssrcs } => assert!(ssrcs.count() <= bytes.len() / 4),
            Rtcp::Pli { .. } | Rtcp::Other { .. } => {}
        }
    }
}
