//! From the graph to the peer: packets get the numbers of their line, those that came together leave together, and the peer learns
//! how their time stamps and the clock belong together.

use super::Scratch;
use super::format::{PayloadType, clock_rate, payload_type_for};
use super::history::{History, Numbers, Record};
use super::outgoing::{Outgoing, SendLine};
use super::rewrite::Rewriter;
use crate::net::{LocalNet, Way};
use crate::rtcp::{self, NtpTime};
use rivero_engine::{Body, MediaKind, MediaTime, Packet};
use std::time::Duration;

/// How soon after the first packet the peer learns how time stamps and clock belong together, and how often then.
const FIRST_REPORT: Duration = Duration::from_millis(100);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How many packets one request brings back at most: a peer that has lost more wants a key frame.
const MOST_RESENT: usize = 100;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It leaves with those that came with it.
    Waits,
    /// It is older than the switch to its source.
    Late,
    /// The peer has no payload type for it; a converter is on its way if there is one.
    Refused,
}

impl SendLine {
    pub fn new(ssrc: u32, kind: MediaKind, types: &[PayloadType], abs_send_time: Option<u8>) -> Self {
        SendLine {
            ssrc,
            chosen: None,
            rewriter: Rewriter::new(clock_rate(types), getrandom::u64().unwrap_or(1)),
            packets: 0,
            bytes: 0,
            reported: 0,
            // As Kurento: on video only. Ids that the short form of header extensions can tell (RFC 8285, section 4.2).
            abs_send_time: abs_send_time.filter(|id| kind == MediaKind::Video && (1..=14).contains(id)),
            mid_before: 0,
            mid: None,
            history: types.iter().any(|payload_type| payload_type.nack).then(History::default),
            rtx: None,
        }
    }
}

impl Outgoing {
    /// Takes a packet of the graph. `types` are the line's; they are looked at only when a format comes that was not there before: they
    /// are not among the memory that every packet touches.
    pub fn take<'a>(
        &mut self,
        packet: &Packet,
        line: &mut SendLine,
        types: impl FnOnce() -> &'a [PayloadType],
        scratch: &Scratch,
    ) -> Taken {
        let Body::Rtp(rtp) = &packet.body else { return Taken::Refused };
        let payload_type = match &line.chosen {
            Some((known, payload_type)) if *known == packet.caps => *payload_type,
            _ => {
                let payload_type = payload_type_for(types(), &packet.caps);
                line.chosen = Some((packet.caps.clone(), payload_type));
                payload_type
            }
        };
        let Some(payload_type) = payload_type else { return Taken::Refused };
        let numbers = line.rewriter.rewrite(rtp, packet.entered, packet.discontinuity);
        let Some((sequence, timestamp)) = numbers else { return Taken::Late };
        line.packets += 1;
        line.bytes += rtp.payload.len() as u64;
        let numbers = Numbers { timestamp, entered: packet.entered, payload_type };
        self.push(sequence, Record::new(rtp.clone(), numbers), scratch);
        Taken::Waits
    }

    /// Sends what came together. True when reports begin with it.
    pub fn finish(&mut self, net: &LocalNet, way: &Way, line: &mut SendLine, now: MediaTime) -> bool {
        if self.is_empty() {
            return false;
        }
        net.fill(|buffer| self.transmit(way, line, buffer));
        self.give_room_back(&net.scratch);
        let begins = self.report_due.is_none();
        self.report_due.get_or_insert(now + FIRST_REPORT);
        begins
    }

    /// Sends again what the peer misses and we still have: on the same source, byte for byte (RFC 4585, section 6.2.1).
    pub fn answer(&mut self, net: &LocalNet, way: &Way, line: &mut SendLine, lost: impl IntoIterator<Item = u16>) {
        for sequence in lost.into_iter().take(MOST_RESENT) {
            net.fill(|buffer| self.resend(way, line, sequence, buffer));
        }
    }

    /// Tells the peer how our time stamps and the clock belong together, once a second while something is sent. True when that was
    /// due, and something was sent.
    pub fn report(
        &mut self,
        net: &LocalNet,
        way: Option<&Way>,
        lines: &mut [SendLine],
        cname: &str,
        now: MediaTime,
    ) -> bool {
        if self.report_due.is_none_or(|due| due > now) {
            return false;
        }
        let ntp = NtpTime::from(net.clock.wall(now));
        let news = |line: &&mut SendLine| line.packets != line.reported;
        let sent = lines.iter_mut().any(|line| news(&line));
        if let Some(way) = way {
            net.fill(|buffer| {
                self.send_rtcp(way, buffer, |out| {
                    for line in lines.iter_mut().filter(news) {
                        let Some(rtp_timestamp) = line.rewriter.timestamp_at(now) else { continue };
                        let (packets, octets) = (line.packets as u32, line.bytes as u32);
                        let report = rtcp::SenderInfo { ntp, rtp_timestamp, packets, octets };
                        rtcp::write_sender_report(out, line.ssrc, &report, cname);
                    }
                });
            });
        }
        lines.iter_mut().for_each(|line| line.reported = line.packets);
        // Nothing was sent since the last report: sleep until something is.
        self.report_due = sent.then(|| now + REPORT_INTERVAL);
        sent
    }
}
