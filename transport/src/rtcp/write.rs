//! What we say by RTCP, appended to a buffer: written one after the other, it is a compound packet.
//!
//! Enters: facts. Leaves: bytes. It must never know where they are sent. A compound packet begins with a report, unless the
//! peer agreed to reduced sizes (RFC 3550 §6.1, RFC 5506).

use super::{
    APPLICATION, BYE, FIR, NACK, PAYLOAD_FEEDBACK, PLI, RECEIVER_REPORT, REMB, ReportBlock, SENDER_REPORT,
    SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_FEEDBACK,
};

/// What fits into the five bits of a count.
const MAX_COUNT: usize = 31;
const CNAME: u8 = 1;

/// A sender report and the source description that belongs to it (RFC 3550 §6.4.1, §6.5.1). It reports on no reception.
pub fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, info: &SenderInfo, cname: &str) {
    write_packet(out, SENDER_REPORT, 0, |out| {
        put(out, ssrc);
        out.extend_from_slice(&info.ntp.0.to_be_bytes());
        put(out, info.rtp_timestamp);
        put(out, info.packets);
        put(out, info.octets);
    });
    write_cname(out, ssrc, cname);
}

/// RFC 3550 §6.4.2. Report blocks beyond the 31st are left out; with none it is the empty report that feedback follows.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_COUNT)];
    write_packet(out, RECEIVER_REPORT, reports.len() as u8, |out| {
        put(out, ssrc);
        reports.iter().for_each(|report| put_report(out, report));
    });
}

/// The source description that follows a receiver report (RFC 3550 §6.5.1). A name is cut after 255 bytes.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    write_packet(out, SOURCE_DESCRIPTION, 1, |out| {
        put(out, ssrc);
        out.extend_from_slice(&[CNAME, cname.len() as u8]);
        out.extend_from_slice(cname);
        // At least one zero ends the list, and more fill the word.
        let filled = 2 + cname.len();
        out.extend_from_slice(&[0; 4][..4 - filled % 4]);
    });
}

/// RFC 3550 §6.6. Sources beyond the 31st are left out.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(MAX_COUNT)];
    write_packet(out, BYE, ssrcs.len() as u8, |out| ssrcs.iter().for_each(|ssrc| put(out, *ssrc)));
}

/// Asks for packets of `media` again (RFC 4585 §6.2.1); `lost` in the order in which they were numbered.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, lost: &[u16]) {
    write_packet(out, TRANSPORT_FEEDBACK, NACK, |out| {
        put(out, sender);
        put(out, media);
        let mut rest = lost;
        while let Some((&first, after)) = rest.split_first() {
            let bit = |number: u16| number.wrapping_sub(first).wrapping_sub(1);
            let count = after.iter().take_while(|number| bit(**number) < 16).count();
            let bits = after[..count].iter().fold(0u32, |bits, number| bits | 1 << bit(*number));
            put(out, u32::from(first) << 16 | bits);
            rest = &after[count..];
        }
    });
}

/// Asks for a key frame of `media` (RFC 4585 §6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    write_packet(out, PAYLOAD_FEEDBACK, PLI, |out| {
        put(out, sender);
        put(out, media);
    });
}

/// Asks for a key frame of `media` (RFC 5104 §4.3.1). Each request has a number of its own.
pub fn write_fir(out: &mut Vec<u8>, sender: u32, media: u32, number: u8) {
    write_packet(out, PAYLOAD_FEEDBACK, FIR, |out| {
        put(out, sender);
        put(out, 0);
        put(out, media);
        put(out, u32::from(number) << 24);
    });
}

/// Says how much the streams `ssrcs` together may send (draft-alvestrand-rmcat-remb-03 §2.2). 18 bits of `bps` are carried, the
/// others are rounded down; sources beyond the 255th are left out.
pub fn write_remb(out: &mut Vec<u8>, sender: u32, bps: u64, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(255)];
    let exponent = (64 - bps.leading_zeros()).saturating_sub(18);
    let mantissa = (bps >> exponent) as u32;
    write_packet(out, PAYLOAD_FEEDBACK, APPLICATION, |out| {
        put(out, sender);
        put(out, 0);
        out.extend_from_slice(&REMB);
        put(out, (ssrcs.len() as u32) << 24 | exponent << 18 | mantissa);
        ssrcs.iter().for_each(|ssrc| put(out, *ssrc));
    });
}

/// A header around a body of whole words.
pub(super) fn write_packet(out: &mut Vec<u8>, kind: u8, format: u8, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[2 << 6 | format, kind, 0, 0]);
    write_body(out);
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

pub(super) fn put(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}

fn put_report(out: &mut Vec<u8>, report: &ReportBlock) {
    let lost = report.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
    put(out, report.ssrc);
    put(out, u32::from(report.fraction_lost) << 24 | lost);
    put(out, report.highest_sequence);
    put(out, report.jitter);
    put(out, report.last_sr);
    put(out, report.delay_since_last_sr);
}
