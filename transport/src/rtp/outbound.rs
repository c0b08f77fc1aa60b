//! What the peer says of the media of one line that goes to it.
//!
//! Enters: its reports, and its wishes by PLI, FIR and REMB. Leaves: counters, and the wishes to the west. It must never know how the
//! media is sent.

use super::format::{PayloadType, has_remb};
use super::port_of;
use crate::rtcp::{NtpTime, ReportBlock};
use crate::webrtc::StreamReport;
use crate::webrtc::bitrate::{BandwidthLimits, RembParams, SendRate};
use rivero_engine::{Feedback, MediaKind, Outbox};
use std::time::Duration;

pub(crate) struct Outbound {
    kind: MediaKind,
    /// Where REMB is negotiated.
    rate: Option<SendRate>,
    /// What the peer's description allows of video, in bps.
    most: Option<u64>,
    pub report: StreamReport,
}

impl Outbound {
    pub fn new(kind: MediaKind, ours: u32, types: &[PayloadType], remb: &RembParams) -> Self {
        let rate = has_remb(kind, types).then(|| SendRate::new(remb));
        Outbound {
            kind,
            rate,
            most: None,
            report: StreamReport { kind: Some(kind), ssrc: ours, ..StreamReport::default() },
        }
    }

    /// The peer's description allows so much, in bps: that holds beside what it says later. Of video only: nothing that plays or sends
    /// sound can go slower.
    pub fn limited(mut self, most: Option<u64>) -> Self {
        self.most = most.filter(|_| self.kind == MediaKind::Video);
        self
    }

    /// The peer is connected and has said nothing yet.
    pub fn begin(&self, limits: &BandwidthLimits, out: &mut Outbox) {
        self.tell(self.rate.as_ref().map(|rate| rate.begin(limits)), out);
    }

    /// Says again what the description allows, or it is forgotten; a peer that sends REMB is heard anyway.
    pub fn repeat(&self, out: &mut Outbox) {
        if self.rate.is_none() {
            self.tell(None, out);
        }
    }

    fn tell(&self, bps: Option<u64>, out: &mut Outbox) {
        if let Some(bps) = [bps, self.most].into_iter().flatten().min() {
            out.feedback(port_of(self.kind), Feedback::Bitrate(bps));
        }
    }

    /// A REMB.
    pub fn on_remb(&mut self, bps: u64, limits: &BandwidthLimits, out: &mut Outbox) {
        self.report.remb = bps;
        if let Some(rate) = &mut self.rate {
            let bps = rate.take(bps, limits);
            self.tell(Some(bps), out);
        }
    }

    /// A PLI, or the `full` request of a FIR.
    pub fn on_key_frame_request(&mut self, full: bool, out: &mut Outbox) {
        let counter = if full { &mut self.report.fir } else { &mut self.report.pli };
        *counter += 1;
        if self.kind == MediaKind::Video {
            out.feedback(port_of(MediaKind::Video), Feedback::KeyFrame);
        }
    }

    /// A report on our source. Returns the time to the peer and back, where it tells.
    pub fn note_report(&mut self, block: &ReportBlock, now: NtpTime) -> Option<Duration> {
        self.report.lost = block.lost.into();
        self.report.fraction_lost = f64::from(block.fraction_lost) / 256.0;
        let round_trip = block.round_trip(now)?;
        self.report.round_trip = round_trip.as_secs_f64();
        Some(round_trip)
    }
}
