//! The receiving half: RTP datagrams become packets of a line, and once a second the peer hears how they arrived.
//!
//! Enters: datagrams that look like RTP, from an address that passed ICE. Leaves: packets, each once; receiver reports. str0m sees
//! none of them: it takes no packet that is a hundred behind the newest, and looks at all of a session for each.

use super::{Line, Transport, WebRtcSession};
use crate::rtcp;
use crate::rtp::format::PayloadType;
use crate::rtp::header::{Arrived, Header, header_length};
use crate::rtp::source::Source;
use crate::rtp::voice::Voice;
use crate::srtp::RtpOpener;
use crate::webrtc::arrivals::Arrivals;
use crate::webrtc::extension;
use rivero_engine::{MediaKind, MediaTime};
use std::time::Duration;

/// How many sources a line remembers. Only who holds the keys can bring another; the one unheard for longest makes room.
const SOURCES: usize = 8;
/// Between two receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The keys of what the peer sends, and its sources.
pub(super) struct Reception {
    opener: RtpOpener,
    sources: Vec<(Source, Role)>,
    /// When the next report is due; `None` while nothing came since the last.
    pub report_due: Option<MediaTime>,
    /// Of packets that carry a number for the whole transport.
    pub arrivals: Arrivals,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Media {
        line: usize,
    },
    /// Packets of the line's media source that are sent again (RFC 4588).
    Resends {
        line: usize,
    },
}

impl Role {
    fn line(self) -> usize {
        match self {
            Role::Media { line } | Role::Resends { line } => line,
        }
    }
}

impl Reception {
    pub fn new(opener: RtpOpener) -> Self {
        Reception { opener, sources: Vec::new(), report_due: None, arrivals: Arrivals::default() }
    }

    /// The packet in a datagram and the line that it belongs to. `None` when it is forged, came before, or is nobody's.
    pub fn open(&mut self, lines: &mut [Line], datagram: &[u8], now: MediaTime) -> Option<(usize, Arrived)> {
        let header = Header::read(datagram)?;
        let Header { ssrc, payload_type, number, .. } = header;
        let known = self.sources.iter().position(|(source, _)| source.ssrc == ssrc);
        let sequence = match known {
            Some(at) => self.sources[at].0.whole(number).filter(|whole| self.sources[at].0.is_new(*whole))?,
            None => number.into(),
        };
        let role = match known {
            Some(at) => self.sources[at].1,
            None => role_of(lines, ssrc, payload_type)?,
        };
        let mut payload = Vec::with_capacity(datagram.len());
        self.opener.open(datagram, header_length(datagram)?, (sequence >> 16) as u32, &mut payload)?;
        // It is authentic: from here on it may change what we know.
        let at = known.unwrap_or_else(|| self.welcome(lines, ssrc, payload_type, role));
        self.sources[at].0.note(sequence, header.timestamp, now);
        self.report_due.get_or_insert(now + REPORT_INTERVAL);
        let transport_cc = lines[role.line()].plan.transport_cc;
        if let Some([high, low]) = transport_cc.and_then(|id| extension::find(datagram, id)) {
            self.arrivals.note(u16::from_be_bytes([*high, *low]), ssrc, now);
        }
        let arrived = header.arrived(sequence, payload)?;
        // As browsers count: what is sent again or pads belongs to the stream.
        lines[role.line()].inbound.count(arrived.payload.len());
        match role {
            Role::Media { line } => Some((line, arrived)),
            Role::Resends { line } => Some((line, self.original(&lines[line], arrived)?)),
        }
    }

    /// The packet that was sent again: its number stands before its payload (RFC 4588, section 4).
    fn original(&mut self, line: &Line, resent: Arrived) -> Option<Arrived> {
        let [high, low, ..] = *resent.payload else { return None };
        let ssrc = line.inbound.source()?;
        let (source, _) = self.sources.iter_mut().find(|(source, _)| source.ssrc == ssrc)?;
        let sequence = source.whole(u16::from_be_bytes([high, low])).filter(|whole| source.is_new(*whole))?;
        source.mark(sequence);
        let of = line.plan.payload_types.iter().find(|of| of.rtx == Some(resent.payload_type))?;
        Some(Arrived {
            ssrc,
            stream: ssrc,
            payload_type: of.number,
            sequence,
            payload: resent.payload.slice(2..),
            ..resent
        })
    }

    fn welcome(&mut self, lines: &[Line], ssrc: u32, payload_type: u8, role: Role) -> usize {
        let rivals = || self.sources.iter().enumerate().filter(|(_, (_, other))| other.line() == role.line());
        if rivals().count() >= SOURCES
            && let Some((at, _)) = rivals().min_by_key(|(_, (source, _))| source.heard)
        {
            self.sources.remove(at);
        }
        let takes = |pt: &&PayloadType| pt.number == payload_type || pt.rtx == Some(payload_type);
        let clock_rate =
            lines[role.line()].plan.payload_types.iter().find(takes).map_or(90_000, |pt| pt.caps.clock_rate());
        self.sources.push((Source::new(ssrc, clock_rate), role));
        self.sources.len() - 1
    }

    pub fn note_sender_report(&mut self, ssrc: u32, middle: u32, now: MediaTime) {
        if let Some((source, _)) = self.sources.iter_mut().find(|(source, _)| source.ssrc == ssrc) {
            source.note_sender_report(middle, now);
        }
    }

    /// The peer has taken leave of a source (RFC 3550, section 6.6): it is the first to make room. Its window stays until then, or
    /// somebody could play its packets again.
    pub fn dismiss(&mut self, ssrc: u32) {
        if let Some((source, _)) = self.sources.iter_mut().find(|(source, _)| source.ssrc == ssrc) {
            source.heard = MediaTime::ZERO;
        }
    }
}

/// What a source is that was not heard before: announced for a line, or of a payload type that one takes (RFC 9143, section 9.2).
fn role_of(lines: &[Line], ssrc: u32, payload_type: u8) -> Option<Role> {
    let role = |(at, line): (usize, &Line)| {
        let types = &line.plan.payload_types;
        if types.iter().any(|pt| pt.number == payload_type) {
            Some(Role::Media { line: at })
        } else if types.iter().any(|pt| pt.rtx == Some(payload_type)) {
            Some(Role::Resends { line: at })
        } else {
            None
        }
    };
    let receiving = || lines.iter().enumerate().filter(|(_, line)| line.plan.receives);
    let announced = |line: &Line| line.plan.remote_ssrcs.contains(&ssrc) || line.plan.remote_rtx_ssrc == Some(ssrc);
    receiving().filter(|(_, line)| announced(line)).find_map(role).or_else(|| receiving().find_map(role))
}

impl WebRtcSession {
    /// Tells the peer how its packets arrive, where that is due (RFC 3550, section 6.4.2).
    pub(super) fn report_received(&mut self, transport: usize, now: MediaTime) {
        let this = &mut self.transports[transport];
        let Transport { way, outgoing, reception: Some(reception), lines, cname, .. } = this else { return };
        let voice = Voice::new(&self.net, way.as_ref(), outgoing.as_mut(), cname);
        let Some(mut voice) = voice else { return };
        if reception.report_due.is_none_or(|due| due > now) {
            return;
        }
        let mut blocks = Vec::new();
        for (source, role) in reception.sources.iter_mut().filter(|(source, _)| source.is_active()) {
            let block = source.report(now);
            lines[role.line()].inbound.note_report(&block, source.jitter());
            blocks.push(block);
        }
        let ours = lines.iter().find(|line| line.plan.receives && line.plan.kind != MediaKind::Data);
        let Some(ours) = ours.map(|line| line.plan.local_ssrc) else { return };
        reception.report_due = (!blocks.is_empty()).then(|| now + REPORT_INTERVAL);
        if !blocks.is_empty() {
            voice.say(ours, &blocks, |_| {});
        }
    }
}

impl WebRtcSession {
    /// Tells a peer that estimates its path when its packets arrived, where that is due.
    pub(super) fn report_arrivals(&mut self, transport: usize, now: MediaTime) {
        let this = &mut self.transports[transport];
        let Transport { way: Some(way), outgoing: Some(outgoing), reception: Some(reception), lines, .. } = this else {
            return;
        };
        let arrivals = &mut reception.arrivals;
        let ours = lines.iter().find(|line| line.plan.transport_cc.is_some()).map(|line| line.plan.local_ssrc);
        let Some(ours) = ours.filter(|_| arrivals.due().is_some_and(|due| due <= now)) else { return };
        let mut more = true;
        while more {
            self.net.fill(|buffer| {
                outgoing.send_rtcp(way, buffer, |out| {
                    rtcp::write_receiver_report(out, ours, &[]);
                    let nothing = out.len();
                    more = arrivals.write(out, ours, now);
                    if out.len() == nothing {
                        out.clear();
                    }
                });
            });
        }
    }
}
