//! A peer with data channels and nothing else: ICE, DTLS, SCTP and the wording of descriptions are those of an independent stack.

use rivero_engine::time::ManualClock;
use rivero_engine::{Clock, MediaTime};
use rivero_transport::net::OnWire;
use rivero_transport::testing::Peer;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub label: String,
    pub binary: bool,
    pub bytes: Vec<u8>,
    pub at: MediaTime,
}

pub struct Browser {
    pub open: Vec<(ChannelId, ChannelConfig)>,
    pub closed: Vec<ChannelId>,
    pub got: Vec<Got>,
    rtc: Rtc,
    address: SocketAddr,
    due: MediaTime,
    clock: Arc<ManualClock>,
    pending: Option<SdpPendingOffer>,
    waiting: VecDeque<(ChannelId, bool, Vec<u8>)>,
}

impl Browser {
    /// `takes`: the longest message, in bytes.
    pub fn new(clock: &Arc<ManualClock>, address: SocketAddr, takes: u32) -> Self {
        let now = clock.now();
        let config = RtcConfig::new().set_sctp_max_message_size(takes).set_sctp_max_buffered_amount(1 << 20);
        let mut rtc = config.build(clock.instant(now));
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a usable address")).expect("the only one");
        Browser {
            open: Vec::new(),
            closed: Vec::new(),
            got: Vec::new(),
            rtc,
            address,
            due: now,
            clock: clock.clone(),
            pending: None,
            waiting: VecDeque::new(),
        }
    }

    /// An offer with one data channel line, and the channels that go with it.
    pub fn offer(&mut self, channels: &[ChannelConfig]) -> String {
        let mut changes = self.rtc.sdp_api();
        for config in channels {
            changes.add_channel_with_config(config.clone());
        }
        let (offer, pending) = changes.apply().expect("there is something to offer");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Begins to connect with whoever answered so.
    pub fn join(&mut self, answer: &str, server: SocketAddr) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("the server's answer is readable");
        let pending = self.pending.take().expect("an offer was made");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the server's answer fits");
        self.rtc.add_remote_candidate(Candidate::host(server, "udp").expect("a usable address"));
    }

    /// The open channel of a label.
    pub fn channel(&self, label: &str) -> ChannelId {
        let found = self.open.iter().find(|(_, config)| config.label == label);
        found.unwrap_or_else(|| panic!("no channel {label} among {:?}", self.open)).0
    }

    /// Queued in the peer until its SCTP has room.
    pub fn send(&mut self, label: &str, binary: bool, bytes: Vec<u8>) {
        let id = self.channel(label);
        self.waiting.push_back((id, binary, bytes));
        self.due = self.clock.now();
    }

    pub fn create(&mut self, config: ChannelConfig) -> ChannelId {
        self.due = self.clock.now();
        self.rtc.direct_api().create_data_channel(config)
    }

    pub fn close(&mut self, label: &str) {
        let id = self.channel(label);
        self.rtc.direct_api().close_data_channel(id);
        self.due = self.clock.now();
    }

    pub fn take(&mut self) -> Vec<Got> {
        std::mem::take(&mut self.got)
    }

    fn turn(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        loop {
            match self.rtc.poll_output().expect("the peer stays healthy") {
                Output::Timeout(at) => {
                    if self.write() {
                        self.rtc.handle_input(Input::Timeout(self.clock.instant(now))).expect("time is no error");
                        continue;
                    }
                    self.due = now + at.saturating_duration_since(self.clock.instant(now));
                    break;
                }
                Output::Transmit(transmit) => {
                    let bytes = transmit.contents.into();
                    out.push(OnWire { from: transmit.source, to: transmit.destination, bytes });
                }
                Output::Event(event) => self.hear(event, now),
            }
        }
    }

    /// Writes what fits; true if anything did.
    fn write(&mut self) -> bool {
        let mut written = false;
        while let Some((id, binary, bytes)) = self.waiting.front() {
            let Some(mut channel) = self.rtc.channel(*id) else { break };
            if !channel.write(*binary, bytes).expect("the peer's own messages are not too long") {
                break;
            }
            self.waiting.pop_front();
            written = true;
        }
        written
    }

    fn hear(&mut self, event: Event, now: MediaTime) {
        match event {
            Event::ChannelOpen(id, _) => {
                let config = self.rtc.channel(id).and_then(|channel| channel.config().cloned());
                self.open.push((id, config.expect("an open channel has its properties")));
            }
            Event::ChannelClose(id) => {
                self.open.retain(|(other, _)| *other != id);
                self.closed.push(id);
            }
            Event::ChannelData(data) => {
                let channel = self.open.iter().find(|(id, _)| *id == data.id);
                let label = channel.expect("data comes on open channels").1.label.clone();
                self.got.push(Got { label, binary: data.binary, bytes: data.data, at: now });
            }
            _ => {}
        }
    }
}

impl Peer for Browser {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn receive(&mut self, now: MediaTime, datagram: &OnWire, out: &mut Vec<OnWire>) {
        let bytes = Receive::new(Protocol::Udp, datagram.from, datagram.to, &datagram.bytes).expect("WebRTC it is");
        self.rtc.handle_input(Input::Receive(self.clock.instant(now), bytes)).expect("the server sends nothing bad");
        self.turn(now, out);
    }

    fn due(&self) -> MediaTime {
        self.due
    }

    fn wake(&mut self, now: MediaTime, out: &mut Vec<OnWire>) {
        self.rtc.handle_input(Input::Timeout(self.clock.instant(now))).expect("time is no error");
        self.turn(now, out);
    }
}
