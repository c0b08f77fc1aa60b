//! The ways in which SDP work fails. What enters: nothing. What leaves: [`SdpError`], each variant saying which error
//! of the outer interface it stands for. It must not know error codes or messages of any protocol.

/// Why a session description could not be read or negotiated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text is empty: the caller sent no description at all.
    #[error("the session description is empty")]
    Empty,
    /// There is no `v=` line, so that the text is not a session description (RFC 8866 §5.1).
    #[error("the text has no v= line and is no session description")]
    Invalid,
    /// A line cannot be read, or the text passes one of the limits of the parser. Lines count from 1.
    #[error("line {line}: {why}")]
    Parse {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A data channel line lacks `a=sctp-port` (RFC 8841 §5), without which no association can be opened. It fails the
    /// whole negotiation, not the parsing.
    #[error("media line {index} has no a=sctp-port")]
    MissingSctpPort {
        /// The index of the `m=` line, from 0.
        index: usize,
    },
    /// The caller supplied fewer [`LocalMedia`](super::LocalMedia) entries than there are media lines: a fault of ours.
    #[error("no local credentials were supplied for media line {index}")]
    MissingLocalMedia {
        /// The index of the `m=` line, from 0.
        index: usize,
    },
}
