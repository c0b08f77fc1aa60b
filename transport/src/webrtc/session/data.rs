//! Data channels on a worker: messages of the peer go into the graph, messages of the graph to the peer.
//!
//! What waits for a slow peer is bounded. A channel that may lose messages loses the newest beyond [`UNRELIABLE_ROOM`]. A reliable
//! one may not: while more than a sixteenth of [`ROOM`] is taken, the peer that feeds it is held back (`hold`): as long as it takes where
//! nobody else listens to that one, otherwise a little. A channel that runs over all the same is closed and an `Error` is raised, so
//! that the application knows rather than finds a gap.

use super::super::data::{
    ChannelOptions, ChannelReport, ChannelState, DataChannelError, DataReport, MOST_CHANNELS, channel_for,
};
use super::super::plan::TransportPlan;
use super::hold::{Intake, wait_for};
use super::receive::port_of;
use super::{Transport, WebRtcSession};
use crate::webrtc::event::WebRtcEvent;
use bytes::Bytes;
use rivero_engine::{Body, Caps, Feedback, MediaKind, Message, Outbox, Packet};
use std::sync::Arc;
use str0m::Rtc;
use str0m::change::SdpOffer;
use str0m::channel::{ChannelConfig, ChannelData, ChannelId, Reliability};

/// Bytes that wait for the peer of a transport, over all its channels.
pub(super) const ROOM: usize = 16 << 20;
/// The same for one channel that may lose messages.
const UNRELIABLE_ROOM: usize = 1 << 20;
/// How often a peer may let a reliable channel run over: what waited in it stays in SCTP's queue. Then it gets no further channel.
const MOST_OVERRUNS: usize = 4;

/// The data channels of a transport.
pub(super) struct DataChannels {
    /// In bytes, as the peer announced it.
    peer_limit: usize,
    channels: Vec<Channel>,
    opened: u64,
    closed: u64,
    serial: u64,
    dropped: u64,
    /// Labels of reliable channels that ran over: what carries them is not sent on another channel instead.
    overruns: Vec<Arc<str>>,
    /// Something was written since str0m was last asked what to send.
    written: bool,
    pub intake: Intake,
    caps: Caps,
}

struct Channel {
    id: ChannelId,
    /// What packets of the graph carry.
    label: Arc<str>,
    reliable: bool,
    /// An error was told: at most one for each channel.
    told: bool,
    report: ChannelReport,
}

/// What became of a message of the graph.
enum Outcome {
    /// `filled`: bytes that wait for the peer; 0 for what may be lost, which holds nobody back.
    Sent { filled: usize },
    /// Nobody listens, or it may be lost.
    Dropped,
    /// To be told; of each channel once.
    Failed(String),
    /// To be told; the channel is being closed.
    Overrun(String),
}

impl DataChannels {
    pub fn new(peer_limit: u32) -> Self {
        let peer_limit = usize::try_from(peer_limit).unwrap_or(usize::MAX);
        let caps = Caps::message();
        let channels = Vec::new();
        DataChannels {
            peer_limit,
            channels,
            opened: 0,
            closed: 0,
            serial: 0,
            dropped: 0,
            overruns: Vec::new(),
            written: false,
            intake: Intake::default(),
            caps,
        }
    }

    fn add(&mut self, id: ChannelId, config: &ChannelConfig, state: ChannelState) {
        self.serial += 1;
        self.channels.push(Channel {
            id,
            label: config.label.as_str().into(),
            reliable: config.reliability == Reliability::Reliable,
            told: false,
            report: ChannelReport {
                serial: self.serial,
                label: config.label.clone(),
                protocol: config.protocol.clone(),
                state,
                ..ChannelReport::default()
            },
        });
    }

    fn find(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }

    /// The position of the channel on which a message labelled so goes out.
    fn choose(&self, label: &str) -> Option<usize> {
        let is_open = |(_, channel): &(usize, &Channel)| channel.report.state == ChannelState::Open;
        let open = self.channels.iter().enumerate().filter(is_open);
        let labels = open.clone().map(|(_, channel)| &*channel.label);
        let at = channel_for(label, labels, |label| self.overruns.iter().any(|other| **other == *label))?;
        open.map(|(at, _)| at).nth(at)
    }
}

/// Starts SCTP. str0m learns how long a message the peer takes only from a description, so it gets one that says the same as
/// the negotiated facts, and nothing of media. `peer_limit` in bytes.
pub(super) fn start_sctp(rtc: &mut Rtc, plan: &TransportPlan, peer_limit: u32) -> Result<(), String> {
    // The peer's part, of which ours is the opposite.
    let setup = if plan.dtls_active { "passive" } else { "active" };
    let (ufrag, pwd, fingerprint) = (&plan.remote_ufrag, &plan.remote_pwd, &plan.remote_fingerprint);
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE data\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
         a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:data\r\na=sctp-port:5000\r\n\
         a=max-message-size:{peer_limit}\r\n"
    );
    let offer = SdpOffer::from_sdp_string(&text).map_err(|why| why.to_string())?;
    rtc.sdp_api().accept_offer(offer).map(drop).map_err(|why| why.to_string())
}

impl WebRtcSession {
    /// Opens a channel as soon as there is an association; `offered` when one may still come of our offer.
    pub(super) fn create_channel(
        &mut self,
        options: ChannelOptions,
        offered: bool,
        out: &mut Outbox,
    ) -> Result<(), DataChannelError> {
        let Some(at) = self.data_transport() else {
            if !offered || !self.transports.is_empty() {
                return Err(DataChannelError::NotNegotiated);
            }
            options.check()?;
            if self.early_channels.len() >= MOST_CHANNELS {
                return Err(DataChannelError::TooMany);
            }
            self.early_channels.push(options);
            return Ok(());
        };
        options.check()?;
        self.transports[at].create_channel(options)?;
        self.turn(at, out);
        Ok(())
    }

    /// Opens what was asked for before the answer came.
    pub(super) fn create_early_channels(&mut self, out: &mut Outbox) {
        for options in std::mem::take(&mut self.early_channels) {
            if let Err(why) = self.create_channel(options, false, out) {
                tracing::warn!(endpoint = %self.label, "a data channel is not opened: {why}");
            }
        }
    }

    /// Closes the channel on an SCTP stream. As in Kurento it is no error that there is none.
    ///
    /// Errors: [`DataChannelError::NotNegotiated`].
    pub(super) fn close_channel(&mut self, stream: u16, out: &mut Outbox) -> Result<(), DataChannelError> {
        let at = self.data_transport().ok_or(DataChannelError::NotNegotiated)?;
        let this = &mut self.transports[at];
        let channels = this.data.iter_mut().flat_map(|data| &mut data.channels);
        let Some(channel) = channels.into_iter().find(|channel| channel.report.stream == Some(stream)) else {
            tracing::debug!(endpoint = %self.label, stream, "there is no such data channel");
            return Ok(());
        };
        channel.report.state = ChannelState::Closing;
        this.rtc.direct_api().close_data_channel(channel.id);
        self.turn(at, out);
        Ok(())
    }

    fn data_transport(&self) -> Option<usize> {
        self.transports.iter().position(|transport| transport.data.is_some())
    }

    pub(super) fn on_channel_open(&mut self, transport: usize, id: ChannelId, out: &mut Outbox) {
        let this = &mut self.transports[transport];
        let stream = this.rtc.direct_api().sctp_stream_id_by_channel_id(id);
        let config = this.rtc.channel(id).and_then(|channel| channel.config().cloned());
        let (Some(data), Some(config), Some(stream)) = (&mut this.data, config, stream) else { return };
        if data.find(id).is_none() {
            if data.channels.len() >= MOST_CHANNELS || data.overruns.len() >= MOST_OVERRUNS {
                tracing::warn!(endpoint = %self.label, stream, "one data channel too many is closed at once");
                this.rtc.direct_api().close_data_channel(id);
                return;
            }
            data.add(id, &config, ChannelState::Open);
        }
        if let Some(channel) = data.find(id) {
            channel.report.state = ChannelState::Open;
            channel.report.stream = Some(stream);
            data.opened += 1;
            let (ordered, reliability) = (config.ordered, config.reliability);
            tracing::info!(endpoint = %self.label, stream, label = %config.label, ordered, ?reliability, "data channel open");
            out.tell(WebRtcEvent::DataChannelOpened { stream });
        }
    }

    pub(super) fn on_channel_data(&mut self, transport: usize, received: ChannelData, out: &mut Outbox) {
        let Some(data) = &mut self.transports[transport].data else { return };
        let caps = data.caps.clone();
        let Some(channel) = data.find(received.id) else { return };
        channel.report.messages_received += 1;
        channel.report.bytes_received += received.data.len() as u64;
        let bytes = Bytes::from(received.data);
        let message = Message { channel: channel.label.clone(), binary: received.binary, bytes };
        out.media(port_of(MediaKind::Data), Packet::new(caps, Body::Data(Arc::new(message)), out.now()));
    }

    pub(super) fn on_channel_close(&mut self, transport: usize, id: ChannelId, out: &mut Outbox) {
        let Some(data) = &mut self.transports[transport].data else { return };
        let Some(at) = data.channels.iter().position(|channel| channel.id == id) else { return };
        let channel = data.channels.remove(at);
        self.tell_closed(transport, &channel.report, out);
    }

    /// The transport is gone, and with it its channels.
    pub(super) fn end_channels(&mut self, transport: usize, out: &mut Outbox) {
        let data = self.transports[transport].data.iter_mut();
        let gone: Vec<Channel> = data.flat_map(|data| std::mem::take(&mut data.channels)).collect();
        for channel in gone {
            self.tell_closed(transport, &channel.report, out);
        }
    }

    /// Only of a channel whose opening was told.
    fn tell_closed(&mut self, transport: usize, report: &ChannelReport, out: &mut Outbox) {
        let (Some(data), Some(stream)) = (&mut self.transports[transport].data, report.stream) else { return };
        data.closed += 1;
        tracing::info!(endpoint = %self.label, stream, label = %report.label, "data channel closed");
        out.tell(WebRtcEvent::DataChannelClosed { stream });
    }

    /// A message of the graph. `more`: another follows at once.
    pub(super) fn send_message(&mut self, message: &Message, more: bool, out: &mut Outbox) {
        let Some(at) = self.data_transport().filter(|at| self.transports[*at].alive) else { return };
        match self.transports[at].write_message(message) {
            Outcome::Sent { filled } => {
                if let Some(time) = wait_for(filled, ROOM) {
                    out.feedback(port_of(MediaKind::Data), Feedback::Wait(time));
                }
            }
            Outcome::Dropped => {}
            Outcome::Failed(why) | Outcome::Overrun(why) => {
                tracing::warn!(endpoint = %self.label, "{why}");
                out.error(why);
            }
        }
        let written = self.transports[at].data.as_mut().is_some_and(|data| std::mem::take(&mut data.written));
        if written && !more {
            self.turn(at, out);
        } else if let Some(data) = &mut self.transports[at].data {
            data.written = written;
        }
    }

    pub(super) fn data_report(&self) -> Option<DataReport> {
        let data = self.transports.iter().find_map(|transport| transport.data.as_ref())?;
        let channels = data.channels.iter().map(|channel| channel.report.clone()).collect();
        Some(DataReport { opened: data.opened, closed: data.closed, channels, dropped: data.dropped })
    }
}

impl Transport {
    fn create_channel(&mut self, options: ChannelOptions) -> Result<(), DataChannelError> {
        let data = self.data.as_mut().filter(|_| self.alive).ok_or(DataChannelError::Gone)?;
        if data.channels.len() >= MOST_CHANNELS {
            return Err(DataChannelError::TooMany);
        }
        let reliability = match (options.max_packet_lifetime, options.max_retransmits) {
            (Some(lifetime), _) => Reliability::MaxPacketLifetime { lifetime },
            (None, Some(retransmits)) => Reliability::MaxRetransmits { retransmits },
            (None, None) => Reliability::Reliable,
        };
        let ChannelOptions { label, protocol, ordered, .. } = options;
        let config = ChannelConfig { label, protocol, ordered, reliability, negotiated: None };
        let id = self.rtc.direct_api().create_data_channel(config.clone());
        data.add(id, &config, ChannelState::Connecting);
        Ok(())
    }

    fn write_message(&mut self, message: &Message) -> Outcome {
        let Some(data) = &mut self.data else { return Outcome::Dropped };
        let Some(channel) = data.choose(&message.channel).map(|at| &mut data.channels[at]) else {
            return Outcome::Dropped;
        };
        let Some(mut stream) = self.rtc.channel(channel.id) else { return Outcome::Dropped };
        let length = message.bytes.len();
        let (id, label) = (channel.id, &channel.report.label);
        let full = !channel.reliable && stream.buffered_amount() + length > UNRELIABLE_ROOM;
        let outcome = match length {
            // An empty message is a chunk of its own kind, which str0m does not write: it would leave a gap in the numbers
            // instead, and the peer would wait for ever.
            0 => Outcome::Dropped,
            _ if length > data.peer_limit => Outcome::Failed(format!(
                "A message of {length} bytes for data channel '{label}' is longer than the peer takes ({} bytes)",
                data.peer_limit
            )),
            _ if full => Outcome::Dropped,
            _ => match stream.write(message.binary, &message.bytes) {
                Ok(true) => Outcome::Sent { filled: 0 },
                Ok(false) if channel.reliable => Outcome::Overrun(format!(
                    "The peer reads too slowly: data channel '{label}' is closed with up to {ROOM} bytes waiting"
                )),
                Ok(false) => Outcome::Dropped,
                Err(why) => Outcome::Failed(format!("A message for data channel '{label}' cannot be sent: {why}")),
            },
        };
        match &outcome {
            Outcome::Sent { .. } => {
                channel.report.messages_sent += 1;
                channel.report.bytes_sent += length as u64;
                data.written = true;
                if channel.reliable {
                    let waiting =
                        |channel: &Channel| self.rtc.channel(channel.id).map(|mut stream| stream.buffered_amount());
                    return Outcome::Sent { filled: data.channels.iter().filter_map(waiting).sum() };
                }
            }
            Outcome::Overrun(_) => {
                channel.report.state = ChannelState::Closing;
                data.dropped += 1;
                let label = channel.label.clone();
                data.overruns.push(label);
                data.written = true;
                self.rtc.direct_api().close_data_channel(id);
            }
            Outcome::Failed(_) if !std::mem::replace(&mut channel.told, true) => data.dropped += 1,
            Outcome::Failed(_) | Outcome::Dropped => {
                data.dropped += 1;
                return Outcome::Dropped;
            }
        }
        outcome
    }
}
