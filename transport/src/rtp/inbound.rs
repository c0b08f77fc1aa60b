//! The media of one line that comes from the peer, and what the peer is asked for.
//!
//! Enters: packets that proved to be the peer's, what our consumers want, the time. Leaves: packets for the graph; requests for what
//! is missing, for key frames and for a bitrate. It must never know how a packet came or was opened.

use super::bitrates::Bitrates;
use super::format::{PayloadType, asks_again, has_remb};
use super::header::Arrived;
use super::keyframe::starts_key_frame;
use super::latency::{self, Latency};
use super::missing::Missing;
use super::rewrite::PaddingGaps;
use super::voice::Voice;
use crate::rtcp::{self, ReportBlock, SenderInfo};
use crate::webrtc::StreamReport;
use crate::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_engine::{Body, Caps, MediaKind, MediaTime, Packet, Rtp};
use std::sync::Arc;
use std::time::Duration;

/// How soon after one request for a key frame the next may go to the same publisher.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Inbound {
    kind: MediaKind,
    /// The source that speaks for us.
    ours: u32,
    /// The count of numbers that is forwarded, and its source.
    receiving: Option<(u32, u32)>,
    padding: PaddingGaps,
    /// Where lost packets may be asked for.
    missing: Option<Missing>,
    key_frames: KeyFrames,
    /// Where REMB is negotiated.
    bitrates: Option<Bitrates>,
    latency: Latency,
    pub report: StreamReport,
}

/// Requests for key frames, merged into few.
struct KeyFrames {
    wanted: bool,
    asked: Option<MediaTime>,
    by: Option<Request>,
}

/// PLI where negotiated (RFC 4585), otherwise FIR (RFC 5104).
#[derive(Clone, Copy)]
enum Request {
    Pli,
    Fir,
}

impl Inbound {
    pub fn new(kind: MediaKind, ours: u32, types: &[PayloadType], remb: &RembParams) -> Self {
        let by = match types {
            _ if types.iter().any(|payload_type| payload_type.pli) => Some(Request::Pli),
            _ if types.iter().any(|payload_type| payload_type.fir) => Some(Request::Fir),
            _ => None,
        };
        Inbound {
            kind,
            ours,
            receiving: None,
            padding: PaddingGaps::default(),
            missing: asks_again(kind, types).then(Missing::default),
            key_frames: KeyFrames { wanted: false, asked: None, by },
            bitrates: has_remb(kind, types).then(|| Bitrates::new(remb)),
            latency: Latency::default(),
            report: StreamReport { kind: Some(kind), ..StreamReport::default() },
        }
    }

    /// The source that is forwarded.
    pub fn source(&self) -> Option<u32> {
        self.receiving.map(|(_, ssrc)| ssrc)
    }

    /// Whether it is this count of numbers that is forwarded.
    pub fn follows(&self, stream: u32) -> bool {
        self.receiving.is_some_and(|(known, _)| known == stream)
    }

    /// A packet came, with so many bytes of payload.
    pub fn count(&mut self, bytes: usize) {
        self.report.packets += 1;
        self.report.bytes += bytes as u64;
    }

    /// The packet for the graph; `None` for one that only fills the path.
    pub fn take(&mut self, caps: Caps, arrived: Arrived, now: MediaTime) -> Option<Packet> {
        let Arrived { ssrc, stream, sequence, timestamp, marker, payload, .. } = arrived;
        if !self.follows(stream) {
            self.padding = PaddingGaps::default();
            self.missing = self.missing.take().map(|_| Missing::default());
            self.latency.begin();
        }
        self.latency.note(timestamp, caps.clock_rate(), now);
        self.receiving = Some((stream, ssrc));
        if let Some(bitrates) = &mut self.bitrates {
            bitrates.arrived(ssrc, sequence, payload.len(), now);
        }
        let is_video = self.kind == MediaKind::Video;
        let key = !is_video || starts_key_frame(caps.codec(), &payload);
        if let Some(missing) = &mut self.missing {
            missing.note(sequence, key, now);
        }
        self.report.ssrc = ssrc;
        if payload.is_empty() && self.padding.leave_out(sequence) {
            return None;
        }
        if key && is_video {
            self.key_frames.wanted = false;
        }
        let rtp = Rtp { ssrc: stream, sequence: self.padding.close_up(sequence), timestamp, marker, payload };
        let packet = Packet::new(caps, Body::Rtp(Arc::new(rtp)), now).key(key).frame_end(marker);
        Some(packet.skew(self.latency.skew()))
    }

    /// What we report of a source to the peer.
    pub fn note_report(&mut self, block: &ReportBlock, jitter: f64) {
        if self.source() == Some(block.ssrc) {
            self.report.jitter = jitter;
            self.report.lost = block.lost.into();
            self.report.fraction_lost = f64::from(block.fraction_lost) / 256.0;
        }
    }

    /// The peer reports on what it sends from a source of one of these lines, which are all that it has: from now on its earlier
    /// streams say by how much.
    pub fn note_sender_report(lines: &mut [&mut Inbound], at: usize, ssrc: u32, info: &SenderInfo) {
        if lines.get(at).is_some_and(|line| line.source() == Some(ssrc)) {
            let mut streams: Vec<&mut Latency> = lines.iter_mut().map(|line| &mut line.latency).collect();
            latency::note_report(&mut streams, at, info);
        }
    }

    /// A consumer cannot go on without a key frame.
    pub fn want_key_frame(&mut self) {
        self.key_frames.wanted = true;
    }

    /// What our consumers together can take, in bps.
    pub fn wish(&mut self, bps: u64, now: MediaTime) {
        if let Some(bitrates) = &mut self.bitrates {
            bitrates.wish(bps, now);
        }
    }

    /// When [`Inbound::on_deadline`] should be called.
    pub fn due(&self) -> Option<MediaTime> {
        let KeyFrames { wanted, asked, .. } = self.key_frames;
        let delayed = asked.filter(|_| wanted).map(|asked| asked + KEY_FRAME_INTERVAL);
        let missing = self.missing.as_ref().and_then(Missing::due);
        let bitrate = self.bitrates.as_ref().and_then(Bitrates::due);
        [delayed, missing, bitrate].into_iter().flatten().min()
    }

    /// Says what is due. Without a voice it is over all the same, or its deadline would fire without end.
    pub fn on_deadline(
        &mut self,
        now: MediaTime,
        round_trip: Option<Duration>,
        limits: &BandwidthLimits,
        mut voice: Option<Voice<'_>>,
    ) {
        self.ask_again(now, round_trip, voice.as_mut());
        self.tell_bitrate(now, limits, voice.as_mut());
        self.heal(now, voice);
    }

    /// Asks for a key frame where something is lost for good, and where one is still wanted, but not too soon after the last one.
    pub fn heal(&mut self, now: MediaTime, voice: Option<Voice<'_>>) {
        let KeyFrames { wanted, asked, by } = &mut self.key_frames;
        *wanted |= self.missing.as_ref().is_some_and(Missing::is_broken);
        if !*wanted || asked.is_some_and(|asked| now.since(asked) < KEY_FRAME_INTERVAL) {
            return;
        }
        // Before the first packet there is nobody to ask, and a stream begins with a key frame anyway.
        let (Some(by), Some((_, source)), Some(mut voice)) = (*by, self.receiving, voice) else { return };
        (*wanted, *asked) = (false, Some(now));
        let ours = self.ours;
        match by {
            Request::Pli => {
                self.report.pli += 1;
                voice.say(ours, &[], |out| rtcp::write_pli(out, ours, source));
            }
            Request::Fir => {
                self.report.fir += 1;
                let number = self.report.fir as u8;
                voice.say(ours, &[], |out| rtcp::write_fir(out, ours, source, number));
            }
        }
    }

    /// Asks for what is missing (RFC 4585, section 6.2.1).
    fn ask_again(&mut self, now: MediaTime, round_trip: Option<Duration>, voice: Option<&mut Voice<'_>>) {
        let Some(missing) = &mut self.missing else { return };
        let mut lost = Vec::new();
        missing.ask(now, round_trip, &mut lost);
        let (Some((_, source)), Some(voice)) = (self.receiving.filter(|_| !lost.is_empty()), voice) else { return };
        self.report.nack += 1;
        voice.say(self.ours, &[], |out| rtcp::write_nack(out, self.ours, source, &lost));
    }

    /// Tells the publisher what it may send.
    fn tell_bitrate(&mut self, now: MediaTime, limits: &BandwidthLimits, voice: Option<&mut Voice<'_>>) {
        let bps = self.bitrates.as_mut().and_then(|bitrates| bitrates.next(limits, now));
        let (Some(bps), Some((_, source)), Some(voice)) = (bps, self.receiving, voice) else { return };
        self.report.remb = u64::from(bps);
        voice.say(self.ours, &[], |out| rtcp::write_remb(out, self.ours, u64::from(bps), &[source]));
    }
}
