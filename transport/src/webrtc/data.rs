//! Data channels as the control side sees them: what is asked for, what is told, what can be refused.
//!
//! Enters: wishes of the application. Leaves: the same in bounds, or a [`DataChannelError`], and which channel a message of the
//! graph goes to. It must never know str0m or SCTP; `session::data` drives them.
//!
//! # How messages find their channel
//!
//! A message that a peer sent on any channel enters the graph with the channel's label, and with whether it was text or
//! binary. An endpoint that gets it from the graph sends it on its open channel of the same label, or on its oldest
//! open channel where none is called so (but for a label whose own channel here ran over). With one channel on each side, which is all that Kurento allows, that is Kurento's rule.

use rivero_engine::EngineError;

/// How many channels an endpoint has at most; Kurento has one. What a peer opens beyond is closed at once.
pub const MOST_CHANNELS: usize = 16;

/// Bytes of label and protocol together: they must fit into one packet with the message that opens the channel.
const MOST_DESCRIPTION: usize = 1024;

/// What an application asks for when it opens a channel (RFC 8831, section 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    pub label: String,
    pub protocol: String,
    /// Messages arrive in the order of sending.
    pub ordered: bool,
    /// For how many ms a message is sent again.
    pub max_packet_lifetime: Option<u16>,
    /// How often a message is sent again. Not together with `max_packet_lifetime`.
    pub max_retransmits: Option<u16>,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        let (label, protocol) = (String::new(), String::new());
        ChannelOptions { label, protocol, ordered: true, max_packet_lifetime: None, max_retransmits: None }
    }
}

impl ChannelOptions {
    /// Errors: [`DataChannelError::BothLimits`], [`DataChannelError::TooLong`].
    pub(super) fn check(&self) -> Result<(), DataChannelError> {
        if self.max_packet_lifetime.is_some() && self.max_retransmits.is_some() {
            return Err(DataChannelError::BothLimits);
        }
        if self.label.len() + self.protocol.len() > MOST_DESCRIPTION {
            return Err(DataChannelError::TooLong);
        }
        Ok(())
    }

    /// A limit as clients write it: below 0 there is none, and it ends at what fits into 16 bits.
    pub fn limit(written: i64) -> Option<u16> {
        u64::try_from(written).ok().map(|limit| u16::try_from(limit).unwrap_or(u16::MAX))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DataChannelError {
    #[error("data channels are not negotiated")]
    NotNegotiated,
    #[error("a channel is limited by time or by retransmissions, not by both")]
    BothLimits,
    #[error("label and protocol are longer than {MOST_DESCRIPTION} bytes")]
    TooLong,
    #[error("there are already {MOST_CHANNELS} channels")]
    TooMany,
    #[error("the peer is gone")]
    Gone,
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// `RTCDataChannelState` (W3C WebRTC 1.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ChannelState {
    #[default]
    Connecting,
    Open,
    Closing,
}

impl ChannelState {
    pub fn name(self) -> &'static str {
        match self {
            ChannelState::Connecting => "connecting",
            ChannelState::Open => "open",
            ChannelState::Closing => "closing",
        }
    }
}

/// One channel that is not closed, with its counters (W3C webrtc-stats, RTCDataChannelStats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelReport {
    /// Counts the channels of the session; unlike the stream's number it is never used again.
    pub serial: u64,
    /// The SCTP stream; `None` until one is chosen.
    pub stream: Option<u16>,
    pub label: String,
    pub protocol: String,
    pub state: ChannelState,
    pub messages_sent: u64,
    /// Of payload.
    pub bytes_sent: u64,
    pub messages_received: u64,
    /// Of payload.
    pub bytes_received: u64,
}

/// All that a session with data channels tells of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataReport {
    /// Channels that were opened so far, and those of them that are closed again.
    pub opened: u64,
    pub closed: u64,
    pub channels: Vec<ChannelReport>,
    /// Messages of the graph that could not be sent: too long, empty, or more than may wait for the peer.
    pub dropped: u64,
}

/// The position of the channel that a message labelled `label` goes out on, among open channels in the order of their opening.
/// `is_bound`: it goes out on a channel of that label or not at all.
pub(super) fn channel_for<'a>(
    label: &str,
    open: impl Iterator<Item = &'a str> + Clone,
    is_bound: impl FnOnce(&str) -> bool,
) -> Option<usize> {
    let same = open.clone().position(|other| other == label);
    let any = || open.clone().next().filter(|_| !is_bound(label)).map(|_| 0);
    same.or_else(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_the_channel_of_its_label_or_to_the_oldest() {
        let find = |label, open: &[&'static str]| channel_for(label, open.iter().copied(), |label| label == "bound");
        assert_eq!(find("chat", &["chat"]), Some(0));
        assert_eq!(find("chat", &["files"]), Some(0), "one channel takes everything, as in Kurento");
        assert_eq!(find("chat", &["files", "chat", "chat"]), Some(1));
        assert_eq!(find("other", &["files", "chat"]), Some(0));
        assert_eq!(find("chat", &[]), None);
        assert_eq!(find("bound", &["files"]), None);
        assert_eq!(find("bound", &["files", "bound"]), Some(1));
    }

    #[test]
    fn limits_are_read_as_kurento_reads_them() {
        assert_eq!(ChannelOptions::limit(-1), None);
        assert_eq!(ChannelOptions::limit(i64::MIN), None);
        assert_eq!(ChannelOptions::limit(0), Some(0));
        assert_eq!(ChannelOptions::limit(65_535), Some(65_535));
        assert_eq!(ChannelOptions::limit(70_000), Some(65_535));
    }

    #[test]
    fn wishes_that_cannot_be_met_are_refused() {
        let both =
            ChannelOptions { max_packet_lifetime: Some(1), max_retransmits: Some(0), ..ChannelOptions::default() };
        assert!(matches!(both.check(), Err(DataChannelError::BothLimits)));
        let long = ChannelOptions { label: "x".repeat(1000), protocol: "y".repeat(25), ..ChannelOptions::default() };
        assert!(matches!(long.check(), Err(DataChannelError::TooLong)));
        let fits = ChannelOptions { label: "x".repeat(1000), protocol: "y".repeat(24), ..ChannelOptions::default() };
        fits.check().expect("it just fits");
    }
}
