//! A camera behind a lossy path: 30 frames a second, several packets each; key frames when asked, lost packets again when
//! asked: on the same source and byte for byte, as browsers do where no retransmission stream is negotiated, or on that.

use crate::connection::{Connection, RTX, TRANSPORT_CC, VP8};
use rivero_engine::MediaTime;
use rivero_engine::time::ManualClock;
use rivero_transport::net::OnWire;
use rivero_transport::rtcp::{self, NtpTime, Rtcp, SenderInfo};
use rivero_transport::srtp::{Opener, Sealer};
use rivero_transport::testing::Peer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use told::Told;

// Named here, for those who borrow this peer.
#[path = "told.rs"]
mod told;

pub const SSRC: u32 = 0x1234;
pub const RTX_SSRC: u32 = 0x5678;
pub const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// Bytes of a payload.
const PAYLOAD: usize = 1100;
/// How many packets a browser can send again, about.
const HISTORY: u64 = 1000;
/// A browser sends no packet again that it has just sent again.
const AGAIN: Duration = Duration::from_millis(40);
/// Nor two key frames right after each other.
const KEY_FRAMES: Duration = Duration::from_millis(300);

/// How many packets frames have.
#[derive(Clone, Copy)]
pub struct Frames {
    pub inter: u8,
    pub key: u8,
}

struct Sent {
    datagram: Vec<u8>,
    /// Before it was sealed, for a retransmission stream.
    plain: Vec<u8>,
    again: Option<MediaTime>,
}

struct Camera {
    sealer: Sealer,
    opener: Opener,
    frame: u32,
    next_frame: MediaTime,
    next_report: MediaTime,
    /// When the last key frame was sent, and whether the next frame shall be one.
    last_key: Option<MediaTime>,
    key_wanted: bool,
    history: Vec<Sent>,
    /// Packets on the retransmission stream.
    resends: u64,
    /// When each packet of the transport was sent, in the order of their numbers.
    sent: Vec<MediaTime>,
}

pub struct Publisher {
    pub connection: Connection,
    server: SocketAddr,
    frames: Frames,
    camera: Option<Camera>,
    /// Sends packets of padding now and then, as browsers do to probe a path; and never again.
    pub pads: bool,
    /// Answers no request for lost packets.
    pub forgets: bool,
    /// Retransmission and transport-wide numbers are negotiated.
    pub modern: bool,
    /// What it was told by transport-wide feedback.
    pub told: Told,
    pub plis: u32,
    pub key_frames: u32,
    /// Sequence numbers asked for, known or not.
    pub nacked: u64,
    pub resent: u64,
}

impl Publisher {
    pub fn new(clock: &Arc<ManualClock>, address: SocketAddr, server: SocketAddr, frames: Frames) -> Self {
        let connection = Connection::new(clock, address);
        Publisher {
            connection,
            server,
            frames,
            camera: None,
            pads: false,
            forgets: false,
            modern: false,
            told: Told::default(),
            plis: 0,
            key_frames: 0,
            nacked: 0,
            resent: 0,
        }
    }

    pub fn start(&mut self, now: MediaTime) {
        let (sealer, opener) = self.connection.keys();
        self.camera = Some(Camera {
            sealer,
            opener,
            frame: 0,
            next_frame: now,
            next_report: now,
            last_key: None,
            key_wanted: true,
            history: Vec::new(),
            resends: 0,
            sent: Vec::new(),
        });
    }

    pub fn packets(&self) -> usize {
        self.camera.as_ref().map_or(0, |camera| camera.history.len())
    }

    pub fn frames(&self) -> u32 {
        self.camera.as_ref().map_or(0, |camera| camera.frame)
    }

    fn feedback(&mut self, now: MediaTime, compound: &[u8], out: &mut Vec<OnWire>) {
        let Some(camera) = &mut self.camera else { return };
        let mut room = Vec::new();
        let Some(plain) = camera.opener.open_rtcp(compound, &mut room) else { return };
        for packet in rtcp::parse(plain) {
            match packet {
                Rtcp::Pli { media: SSRC, .. } => {
                    self.plis += 1;
                    camera.key_wanted = true;
                }
                Rtcp::Nack { media: SSRC, lost, .. } => {
                    let (from, to) = (self.connection.address, self.server);
                    for number in lost {
                        self.nacked += 1;
                        let again =
                            if self.modern { camera.resend(number, now) } else { camera.find_again(number, now) };
                        if let Some(bytes) = again.filter(|_| !self.forgets) {
                            self.resent += 1;
                            out.push(OnWire { from, to, bytes });
                        }
                    }
                }
                _ => {}
            }
        }
        self.told.read(plain);
    }

    /// When each packet was sent that carries a number for the whole transport.
    pub fn sent(&self) -> &[MediaTime] {
        self.camera.as_ref().map_or(&[], |camera| &camera.sent)
    }

    fn shoot(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        let Some(camera) = &mut self.camera else { return };
        let (from, to) = (self.connection.address, self.server);
        if camera.next_report <= now {
            camera.next_report = now + Duration::from_secs(1);
            let mut bytes = Vec::new();
            let timestamp = camera.frame * 3000;
            let packets = camera.history.len() as u32;
            let octets = packets * PAYLOAD as u32;
            // 2020 in NTP seconds, about.
            let ntp = NtpTime((3_786_825_600 << 32) + ((u128::from(now.as_nanos()) << 32) / 1_000_000_000) as u64);
            let info = SenderInfo { ntp, rtp_timestamp: timestamp, packets, octets };
            rtcp::write_sender_report(&mut bytes, SSRC, &info, "peer");
            camera.sealer.seal_rtcp(&mut bytes, 0);
            out.push(OnWire { from, to, bytes });
        }
        if camera.next_frame <= now {
            camera.next_frame = camera.next_frame + FRAME;
            let soon = camera.last_key.is_some_and(|last| now.since(last) < KEY_FRAMES);
            let key = camera.key_wanted && !soon;
            if key {
                camera.key_wanted = false;
                camera.last_key = Some(now);
                self.key_frames += 1;
            }
            let count = if key { self.frames.key } else { self.frames.inter };
            for index in 0..count {
                let bytes = camera.packet(index, count, key, self.modern.then_some(now));
                out.push(OnWire { from, to, bytes });
            }
            if self.pads && camera.frame.is_multiple_of(5) {
                let bytes = camera.padding();
                out.push(OnWire { from, to, bytes });
            }
            camera.frame += 1;
        }
    }
}

impl Camera {
    /// A packet of the current frame, which says what it is.
    fn packet(&mut self, index: u8, count: u8, key: bool, numbered: Option<MediaTime>) -> Vec<u8> {
        let sequence = self.history.len() as u64;
        let mut bytes = vec![0x80, VP8 | if index + 1 == count { 0x80 } else { 0 }];
        bytes.extend_from_slice(&(sequence as u16).to_be_bytes());
        bytes.extend_from_slice(&(self.frame * 3000).to_be_bytes());
        bytes.extend_from_slice(&SSRC.to_be_bytes());
        numbered.into_iter().for_each(|now| self.number(&mut bytes, now));
        let header = bytes.len();
        // The descriptor (RFC 7741, section 4.2) and the bit that makes a key frame; then our own marks.
        bytes.extend_from_slice(&[if index == 0 { 0x10 } else { 0 }, u8::from(!key)]);
        bytes.extend_from_slice(&self.frame.to_be_bytes());
        bytes.extend_from_slice(&[index, count, u8::from(key)]);
        bytes.extend_from_slice(&(sequence as u32).to_be_bytes());
        bytes.resize(header + PAYLOAD, sequence as u8);
        let plain = bytes.clone();
        self.sealer.seal_rtp(&mut bytes, 0, header, (sequence >> 16) as u32);
        self.history.push(Sent { datagram: bytes.clone(), plain, again: None });
        if let Some(old) = self.history.len().checked_sub(HISTORY as usize + 1) {
            self.history[old] = Sent { datagram: Vec::new(), plain: Vec::new(), again: None };
        }
        bytes
    }

    /// A packet of nothing but padding, after a frame.
    fn padding(&mut self) -> Vec<u8> {
        let sequence = self.history.len() as u64;
        let mut bytes = vec![0xa0, VP8];
        bytes.extend_from_slice(&(sequence as u16).to_be_bytes());
        bytes.extend_from_slice(&(self.frame * 3000).to_be_bytes());
        bytes.extend_from_slice(&SSRC.to_be_bytes());
        bytes.resize(12 + 200, 0);
        bytes[211] = 200;
        self.sealer.seal_rtp(&mut bytes, 0, 12, (sequence >> 16) as u32);
        self.history.push(Sent { datagram: Vec::new(), plain: Vec::new(), again: None });
        bytes
    }

    /// Adds a header extension with the next number of the transport.
    fn number(&mut self, bytes: &mut Vec<u8>, now: MediaTime) {
        let [high, low] = (self.sent.len() as u16).to_be_bytes();
        self.sent.push(now);
        bytes[0] |= 0x10;
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, TRANSPORT_CC << 4 | 1, high, low, 0]);
    }

    /// The same media on the retransmission stream (RFC 4588, section 4).
    fn resend(&mut self, number: u16, now: MediaTime) -> Option<Vec<u8>> {
        self.find_again(number, now)?;
        let at = self.history.len() - 1 - usize::from(((self.history.len() - 1) as u16).wrapping_sub(number));
        let plain = self.history[at].plain.clone();
        let sequence = self.resends;
        self.resends += 1;
        let mut bytes = vec![0x80, plain[1] & 0x80 | RTX];
        bytes.extend_from_slice(&(sequence as u16).to_be_bytes());
        bytes.extend_from_slice(&plain[4..8]);
        bytes.extend_from_slice(&RTX_SSRC.to_be_bytes());
        self.number(&mut bytes, now);
        bytes.extend_from_slice(&plain[2..4]);
        bytes.extend_from_slice(&plain[20..]);
        self.sealer.seal_rtp(&mut bytes, 0, 20, (sequence >> 16) as u32);
        Some(bytes)
    }

    fn find_again(&mut self, number: u16, now: MediaTime) -> Option<Vec<u8>> {
        let newest = self.history.len().checked_sub(1)?;
        let at = newest.checked_sub(usize::from((newest as u16).wrapping_sub(number)))?;
        let sent = &mut self.history[at];
        let just = sent.again.is_some_and(|again| now.since(again) < AGAIN);
        if sent.datagram.is_empty() || just {
            return None;
        }
        sent.again = Some(now);
        Some(sent.datagram.clone())
    }
}

impl Peer for Publisher {
    fn address(&self) -> SocketAddr {
        self.connection.address
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        match datagram.bytes[..] {
            [128..=191, 192..=223, ..] => self.feedback(now, &datagram.bytes, out),
            _ => self.connection.receive(now, datagram, out),
        }
    }

    fn due(&self) -> MediaTime {
        let camera = self.camera.as_ref().map(|camera| camera.next_frame.min(camera.next_report));
        camera.map_or(self.connection.due, |at| at.min(self.connection.due))
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        if self.connection.due <= now {
            self.connection.wake(now, out);
        }
        self.shoot(now, out);
    }
}
