//! Why there is no relay, in words for the log.

use std::io;
use std::net::SocketAddr;

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("the user name is too long for TURN")]
    LongUser,
    #[error("the name of the TURN server cannot be resolved: {0}")]
    Name(io::Error),
    #[error("the TURN server at {0} cannot be reached: {1}")]
    Unreachable(SocketAddr, io::Error),
    #[error("the TURN server does not speak TLS: {0}")]
    Tls(io::Error),
    #[error("the TURN server does not answer")]
    Unanswered,
    #[error("the TURN server does not accept user and password")]
    WrongCredentials,
    #[error("the TURN server asks for no password that this client could give")]
    NoLogin,
    #[error("the TURN server thinks that this connection has an allocation already")]
    Mismatch,
    #[error("the TURN server lends no more relays to this user")]
    Quota,
    #[error("the TURN server has no relay to lend now")]
    Capacity,
    #[error("the TURN server wants another one to be asked")]
    Alternate,
    #[error("the TURN server has no address of the wanted family")]
    Family,
    #[error("the TURN server refused: {code} {reason:?}")]
    Refused { code: u16, reason: String },
    #[error("the TURN server's answer makes no sense")]
    Garbled,
    #[error("the TURN server has forgotten the allocation, or let it expire")]
    Lost,
    #[error("the connection to the TURN server has ended: {0}")]
    Closed(io::Error),
}

impl RelayError {
    /// Whether it may be otherwise in a while, for the same user at the same server.
    pub(in crate::net::nat) fn may_pass(&self) -> bool {
        !matches!(self, Self::LongUser | Self::WrongCredentials | Self::NoLogin | Self::Alternate | Self::Family)
    }

    /// RFC 8656, section 19.
    pub(super) fn from_code(code: u16, reason: String) -> Self {
        match code {
            300 => Self::Alternate,
            401 | 441 => Self::WrongCredentials,
            437 => Self::Mismatch,
            440 => Self::Family,
            486 => Self::Quota,
            508 => Self::Capacity,
            _ => Self::Refused { code, reason },
        }
    }
}
