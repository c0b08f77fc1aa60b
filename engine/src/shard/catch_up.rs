//! Catching up: a consumer that begins late gets the output's group of pictures in portions, at a pace that its path bears, while
//! the packets of the moment wait behind it. Then it is an ordinary consumer again.
//!
//! Enters: that a consumer begins (it was connected, or says that it is ready), and the time. Leaves: packets to that consumer,
//! and the wish for a key frame when there is nothing to begin with. Nothing is copied: what a consumer has still to get is
//! its position in the group, which all packets of the moment join as well. While it is behind, its gate turns them away, so that
//! whoever is not behind pays nothing. It must never know what a consumer is.

use super::Shard;
use super::slot::{OutputPort, Sink};
use crate::node::{NodeId, Port};
use crate::{MediaKind, MediaTime, Packet};
use std::time::Duration;

/// What is handed over at once at most. A browser's socket holds some 60 packets, and other streams share it: the load tool saw
/// larger bursts overflow it, which costs the viewer more than waiting for a key frame does.
const MOST_PACKETS: usize = 16;
const MOST_BYTES: i64 = 16 << 10;
/// Between two portions: long enough for a browser to empty its socket, short enough that even a stream of 15 Mbps is
/// overtaken (at most 26 Mbps go out this way).
const INTERVAL: Duration = Duration::from_millis(5);
/// How many times faster than the stream: a second of it is caught up with in a third of a second.
const FASTER: u64 = 4;
/// Bytes a second (4 Mbps) that every access link which takes video today bears: a slow stream need not be slow to begin.
const FLOOR: u64 = 500_000;

/// A consumer that is behind.
pub(super) struct Late {
    consumer: (NodeId, Port),
    /// The position in the group of the next packet that it gets.
    next: u64,
    /// Bytes that it may be sent now. Below zero when the last packet was larger than what was left.
    credit: i64,
    /// When it was last given credit.
    credited: MediaTime,
}

/// The outputs with consumers that are behind.
#[derive(Default)]
pub(super) struct CatchingUp {
    outputs: Vec<(NodeId, Port)>,
    /// When the next portions are due; `None` when nobody is behind.
    next: Option<MediaTime>,
}

impl CatchingUp {
    pub fn next(&self) -> Option<MediaTime> {
        self.next
    }
}

impl Late {
    fn earn(&mut self, rate: u64, now: MediaTime) {
        let rate = (rate * FASTER).max(FLOOR);
        let earned = u128::from(rate) * now.since(self.credited).as_micros() / 1_000_000;
        let earned = i64::try_from(earned).unwrap_or(MOST_BYTES);
        self.credit = self.credit.saturating_add(earned).min(MOST_BYTES);
        self.credited = now;
    }

    /// Moves on past what may be sent now. `None` when the consumer must wait for a key frame.
    fn take(
        &mut self,
        output: &mut OutputPort,
        sink_at: usize,
        now: MediaTime,
        portion: &mut Vec<Packet>,
    ) -> Option<()> {
        let (group, sink) = (&output.group, &mut output.sinks[sink_at]);
        if self.next < group.begin() {
            // What it had still to get has been replaced by a new group, or was let go.
            sink.dropped += group.begin() - self.next;
            sink.gap = true;
            self.next = group.start()?;
        }
        self.earn(group.rate(), now);
        for packet in group.rest(self.next).unwrap_or_default().iter().take(MOST_PACKETS) {
            if self.credit <= 0 {
                break;
            }
            self.credit -= packet.body.len() as i64;
            self.next += 1;
            portion.push(sink.copy(packet));
        }
        if self.next == group.end() {
            sink.gate.open();
        }
        Some(())
    }
}

impl Shard {
    /// Lets one consumer begin with the output's group of pictures. False when there is none: then the gate is closed, and a key
    /// frame should be asked for.
    pub(super) fn begin_again(&mut self, node: NodeId, port: Port, consumer: (NodeId, Port)) -> bool {
        let now = self.time;
        // A landing may be on its way; the consumer begins when it joins.
        let Some(output) = self.output_mut(node, port) else { return true };
        output.late.retain(|late| late.consumer != consumer);
        let Some(at) = position(&output.sinks, consumer) else { return true };
        if output.spec.kind != MediaKind::Video {
            return true;
        }
        let sink = &mut output.sinks[at];
        sink.gap = true;
        let Some(next) = output.group.start() else {
            sink.gate.close();
            sink.gate.note_asked(now);
            return false;
        };
        sink.gate.divert();
        let mut late = Late { consumer, next, credit: MOST_BYTES, credited: now };
        // The first portion at once: what is still queued for this consumer comes after the group.
        if self.hand_portion(node, port, &mut late)
            && let Some(output) = self.output_mut(node, port)
        {
            output.late.push(late);
            self.catching_up.next.get_or_insert(now + INTERVAL);
            if !self.catching_up.outputs.contains(&(node, port)) {
                self.catching_up.outputs.push((node, port));
            }
        }
        true
    }

    /// Hands out the portions that are due.
    pub(super) fn hand_portions(&mut self) {
        let now = self.time;
        if self.catching_up.next.is_none_or(|at| at > now) {
            return;
        }
        let mut outputs = std::mem::take(&mut self.catching_up.outputs);
        outputs.retain(|&(node, port)| {
            let Some(output) = self.output_mut(node, port) else { return false };
            // Nobody begins meanwhile: commands and feedback wait for the pass to end.
            let mut late = std::mem::take(&mut output.late);
            late.retain_mut(|late| self.hand_portion(node, port, late));
            let Some(output) = self.output_mut(node, port) else { return false };
            output.late = late;
            !output.late.is_empty()
        });
        self.catching_up.next = (!outputs.is_empty()).then(|| now + INTERVAL);
        self.catching_up.outputs = outputs;
    }

    /// Hands one consumer its next portion. False when it is behind no longer, or gone.
    fn hand_portion(&mut self, node: NodeId, port: Port, late: &mut Late) -> bool {
        let (now, (to, to_port)) = (self.time, late.consumer);
        let mut portion = std::mem::take(&mut self.arriving);
        let (mut goes_on, mut ask) = (false, false);
        if let Some(output) = self.output_mut(node, port)
            && let Some(at) = position(&output.sinks, late.consumer)
        {
            ask = late.take(output, at, now, &mut portion).is_none();
            let sink = &mut output.sinks[at];
            if ask {
                sink.gate.close();
                sink.gate.note_asked(now);
            }
            goes_on = sink.gate.is_diverted();
        }
        self.deliver_media(to, to_port, &mut portion);
        self.arriving = portion;
        if ask {
            self.ask_node(node, port);
        }
        goes_on
    }
}

fn position(sinks: &[Sink], consumer: (NodeId, Port)) -> Option<usize> {
    sinks.iter().position(|sink| (sink.to, sink.port) == consumer)
}
