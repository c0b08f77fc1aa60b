//! Addresses of STUN and TURN servers as configuration and applications write them.
//!
//! Enters: text. Leaves: hosts, ports and credentials. It must never show a password unasked: `Debug` and `Display`
//! leave it out.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The longest user name that fits its attribute (RFC 8489, section 14.3), in bytes.
pub const MAX_USER: usize = 508;

/// An IP address, or a name that must be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Neither an IP address (IPv6 may stand in brackets) nor a host name (RFC 1123, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a host name")]
pub struct BadHost;

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse().map(|ip| Host::Ip(IpAddr::V6(ip))).map_err(|_| BadHost);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Host::Ip(ip));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits is a mistyped IPv4 address.
        let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= 253 && !numeric && text.split('.').all(is_label) {
            Ok(Host::Name(text.to_ascii_lowercase()))
        } else {
            Err(BadHost)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(ip) => write!(f, "{ip}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    pub host: Host,
    pub port: u16,
}

impl ServerAddress {
    /// The addresses of the server, best first. A name is looked up outside the calling thread.
    ///
    /// Errors: the name cannot be resolved, or has no address.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => name,
        };
        let found: Vec<_> = tokio::net::lookup_host((name.as_str(), self.port)).await?.collect();
        if found.is_empty() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { Ok(found) }
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        ServerAddress { host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How the TURN server is spoken to; it speaks UDP to the peers in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TurnTransport {
    #[default]
    Udp,
    Tcp,
    Tls,
}

impl TurnTransport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A TURN server and how to log in: `user:password@host:port[?transport=udp|tcp|tls]`.
///
/// Users of time-limited credentials are called `expiry:name`: the last colon before the host ends the user, and the last
/// `@` ends the password, so that passwords may hold an `@` and users a `:`.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnUrl {
    pub user: String,
    pub password: String,
    pub server: ServerAddress,
    pub transport: TurnTransport,
}

/// What is wrong with a TURN URL. The text itself stays out: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnUrlError {
    #[error("a TURN URL needs user:password@ before the server")]
    NoCredentials,
    #[error("the user of a TURN URL is longer than {MAX_USER} bytes")]
    LongUser,
    #[error("the server of a TURN URL is written host:port")]
    NoPort,
    #[error("the host of a TURN URL is {0}")]
    Host(#[from] BadHost),
    #[error("the only parameter of a TURN URL is transport=udp, tcp or tls")]
    Parameter,
}

impl FromStr for TurnUrl {
    type Err = TurnUrlError;

    fn from_str(text: &str) -> Result<Self, TurnUrlError> {
        let (credentials, server) = text.trim().rsplit_once('@').ok_or(TurnUrlError::NoCredentials)?;
        let (user, password) = credentials.rsplit_once(':').ok_or(TurnUrlError::NoCredentials)?;
        if user.is_empty() || password.is_empty() {
            return Err(TurnUrlError::NoCredentials);
        }
        if user.len() > MAX_USER {
            return Err(TurnUrlError::LongUser);
        }
        let (server, transport) = match server.split_once('?') {
            None => (server, TurnTransport::Udp),
            Some((server, "transport=udp")) => (server, TurnTransport::Udp),
            Some((server, "transport=tcp")) => (server, TurnTransport::Tcp),
            Some((server, "transport=tls")) => (server, TurnTransport::Tls),
            Some(_) => return Err(TurnUrlError::Parameter),
        };
        let (host, port) = server.rsplit_once(':').ok_or(TurnUrlError::NoPort)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|port| digits && *port != 0).ok_or(TurnUrlError::NoPort)?;
        // Without brackets nobody can tell where an IPv6 address ends.
        let host: Host = if host.contains(':') && !host.starts_with('[') { Err(BadHost) } else { host.parse() }?;
        let server = ServerAddress { host, port };
        Ok(TurnUrl { user: user.to_owned(), password: password.to_owned(), server, transport })
    }
}

impl TurnUrl {
    /// The URL with its credentials, for those who set it and want to read it back.
    pub fn reveal(&self) -> String {
        format!("{}:{}@{}?transport={}", self.user, self.password, self.server, self.transport.name())
    }
}

/// Without the credentials.
impl fmt::Display for TurnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<user:password>@{}?transport={}", self.server, self.transport.name())
    }
}

impl fmt::Debug for TurnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_read() {
        let url: TurnUrl = "1700000000:me:p@ss@[2001:db8::1]:3478?transport=tls".parse().expect("valid");
        assert_eq!((url.user.as_str(), url.password.as_str()), ("1700000000:me", "p@ss"));
        assert_eq!(url.server, "[2001:db8::1]:3478".parse::<SocketAddr>().expect("an address").into());
        assert_eq!(url.transport, TurnTransport::Tls);
        let url: TurnUrl = "u:p@Turn.Example.org:80".parse().expect("valid");
        assert_eq!(url.server.host, Host::Name("turn.example.org".to_owned()));
        assert_eq!((url.server.port, url.transport), (80, TurnTransport::Udp));
        assert_eq!(format!("{url:?}"), "<user:password>@turn.example.org:80?transport=udp");
    }

    #[test]
    fn what_is_no_url_is_told() {
        use TurnUrlError::*;
        let long = format!("{}:p@192.0.2.1:1", "u".repeat(509));
        let cases = [
            ("", NoCredentials),
            ("u@192.0.2.1:1", NoCredentials),
            (":p@192.0.2.1:1", NoCredentials),
            ("u:@192.0.2.1:1", NoCredentials),
            (&long, LongUser),
            ("u:p@192.0.2.1", NoPort),
            ("u:p@192.0.2.1:0", NoPort),
            ("u:p@192.0.2.1:+1", NoPort),
            ("u:p@192.0.2.1:65536", NoPort),
            ("u:p@192.0.2:1", Host(BadHost)),
            ("u:p@2001:db8::1:3478", Host(BadHost)),
            ("u:p@-turn.example:1", Host(BadHost)),
            ("u:p@turn..example:1", Host(BadHost)),
            ("u:p@:1", Host(BadHost)),
            ("u:p@192.0.2.1:1?transport=TCP", Parameter),
            ("u:p@192.0.2.1:1?x=y", Parameter),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<TurnUrl>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[u:@.0-9\\[\\]a?=trnspoxl-]{0,40}|\\PC{0,60}") {
            if let Ok(url) = text.parse::<TurnUrl>() {
                prop_assert_eq!(url.reveal().parse::<TurnUrl>(), Ok(url));
            }
        }

        #[test]
        fn what_was_put_together_comes_apart(
            user in "[a-z0-9:]{0,10}[a-z0-9]",
            password in "[a-z0-9@?!]{0,10}[a-z0-9]",
            ip in any::<[u8; 16]>(),
            port in 1u16..,
        ) {
            let address = SocketAddr::new(IpAddr::from(ip), port);
            let url: TurnUrl = format!("{user}:{password}@{address}?transport=tcp").parse().expect("valid");
            prop_assert_eq!((url.user, url.password, url.server), (user, password, address.into()));
        }
    }
}
