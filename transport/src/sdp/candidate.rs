//! ICE candidates as text (RFC 8839 §5.1, TCP: RFC 6544 §4.5). What enters: an `a=candidate` value, or the string that
//! browsers pass to `addIceCandidate`. What leaves: a [`Candidate`], and the same text again. It must not resolve
//! names nor judge whether an address is reachable or allowed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One ICE candidate (RFC 8839 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Candidates with equal foundations are frozen together (RFC 8445 §5.1.1.3).
    pub foundation: String,
    /// 1 for RTP (and for RTCP with `a=rtcp-mux`), 2 for RTCP. From 1 to 256.
    pub component: u16,
    /// The transport protocol.
    pub transport: Transport,
    /// The priority (RFC 8445 §5.1.2).
    pub priority: u32,
    /// Where the candidate listens.
    pub address: Address,
    /// The port. Active TCP candidates say 9, the discard port.
    pub port: u16,
    /// How the candidate was found.
    pub typ: CandidateType,
    /// The base of a reflexive candidate, the mapped address of a relayed one.
    pub related: Option<Related>,
    /// Which side opens the connection of a TCP candidate.
    pub tcptype: Option<TcpType>,
    /// Further pairs of names and values in their order, such as `generation 0`, `ufrag abcd` and `network-cost 10`.
    pub extensions: Vec<(String, String)>,
}

/// A candidate's address: browsers hide host addresses behind mDNS names that end in `.local`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address.
    Ip(IpAddr),
    /// A host name, still to be resolved.
    Name(String),
}

/// The transport protocol of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
    /// A protocol that is not known here; RFC 8839 §5.1 asks to ignore such a candidate.
    Other(String),
}

/// How a candidate was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateType {
    /// An address of the host itself.
    Host,
    /// Server reflexive: seen by a STUN server.
    ServerReflexive,
    /// Peer reflexive: seen in a connectivity check.
    PeerReflexive,
    /// Relayed by a TURN server.
    Relayed,
    /// A type that is not known here.
    Other(String),
}

/// The related address and port of a reflexive or relayed candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The `raddr`.
    pub address: Address,
    /// The `rport`; 0 when it was left out.
    pub port: u16,
}

/// Which side opens the connection (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpType {
    /// The owner of the candidate connects.
    Active,
    /// The owner of the candidate listens.
    Passive,
    /// Simultaneous open.
    SimultaneousOpen,
}

/// Why a candidate could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// The line ends before this field.
    #[error("the candidate has no {0}")]
    Missing(&'static str),
    /// This field has a value outside its grammar.
    #[error("the candidate's {0} is not readable")]
    Unreadable(&'static str),
}

impl Candidate {
    /// The value of an extension such as `ufrag` or `generation`.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl FromStr for Candidate {
    type Err = CandidateError;

    /// Reads a candidate. `a=` and `candidate:` may stand in front of it. Words of the protocol are compared without
    /// regard to case, because Kurento and older browsers write `UDP` where others write `udp`.
    fn from_str(line: &str) -> Result<Self, CandidateError> {
        let line = line.trim_ascii();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        let mut next = |field| words.next().ok_or(CandidateError::Missing(field));
        let foundation = next("foundation")?.to_owned();
        let component = number(next("component")?, "component")?;
        if !(1..=256).contains(&component) {
            return Err(CandidateError::Unreadable("component"));
        }
        let transport = Transport::from_word(next("transport")?);
        let priority = number(next("priority")?, "priority")?;
        let address = next("address")?.parse()?;
        let port = number(next("port")?, "port")?;
        if !next("typ")?.eq_ignore_ascii_case("typ") {
            return Err(CandidateError::Unreadable("typ"));
        }
        let typ = CandidateType::from_word(next("type")?);
        let mut candidate = Self {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            typ,
            related: None,
            tcptype: None,
            extensions: Vec::new(),
        };
        candidate.read_extensions(words)?;
        Ok(candidate)
    }
}

impl Candidate {
    fn read_extensions<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Result<(), CandidateError> {
        let mut related_port = None;
        while let Some(name) = words.next() {
            // A name without a value ends the line: some agents write a bare word there.
            let Some(value) = words.next() else { break };
            match name.to_ascii_lowercase().as_str() {
                "raddr" => self.related = Some(Related { address: value.parse()?, port: 0 }),
                "rport" => related_port = Some(number(value, "rport")?),
                "tcptype" => self.tcptype = Some(TcpType::from_word(value)?),
                _ => self.extensions.push((name.to_owned(), value.to_owned())),
            }
        }
        if let (Some(related), Some(port)) = (&mut self.related, related_port) {
            related.port = port;
        }
        Ok(())
    }
}

fn number<T: FromStr>(word: &str, field: &'static str) -> Result<T, CandidateError> {
    word.parse().map_err(|_| CandidateError::Unreadable(field))
}

impl Transport {
    fn from_word(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "UDP" => Self::Udp,
            "TCP" => Self::Tcp,
            _ => Self::Other(word.to_owned()),
        }
    }
}

impl CandidateType {
    fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "host" => Self::Host,
            "srflx" => Self::ServerReflexive,
            "prflx" => Self::PeerReflexive,
            "relay" => Self::Relayed,
            _ => Self::Other(word.to_owned()),
        }
    }
}

impl TcpType {
    fn from_word(word: &str) -> Result<Self, CandidateError> {
        match word.to_ascii_lowercase().as_str() {
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            "so" => Ok(Self::SimultaneousOpen),
            _ => Err(CandidateError::Unreadable("tcptype")),
        }
    }
}

impl FromStr for Address {
    type Err = CandidateError;

    fn from_str(word: &str) -> Result<Self, CandidateError> {
        if let Ok(ip) = word.parse() {
            return Ok(Self::Ip(ip));
        }
        let is_name = word.len() <= 255
            && !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && word.bytes().any(|b| b.is_ascii_alphabetic());
        // A zone (RFC 4007, section 11) belongs to one machine: to others such an address is a name that they cannot resolve.
        let is_zoned = || {
            let (ip, zone) = word.split_once('%')?;
            let is_zone = word.len() <= 255 && !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_graphic());
            (is_zone && ip.parse::<std::net::Ipv6Addr>().is_ok()).then_some(())
        };
        if is_name || is_zoned().is_some() {
            Ok(Self::Name(word.to_owned()))
        } else {
            Err(CandidateError::Unreadable("address"))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Other(word) => word,
        })
    }
}

impl fmt::Display for CandidateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
            Self::Other(word) => word,
        })
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        })
    }
}

impl fmt::Display for Candidate {
    /// Writes `candidate:…`, without `a=`, with the transport in capitals as Kurento writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "candidate:{} {} {} {} {} {} typ {}",
            self.foundation, self.component, self.transport, self.priority, self.address, self.port, self.typ
        )?;
        if let Some(related) = &self.related {
            write!(f, " raddr {} rport {}", related.address, related.port)?;
        }
        if let Some(tcptype) = self.tcptype {
            write!(f, " tcptype {tcptype}")?;
        }
        for (name, value) in &self.extensions {
            write!(f, " {name} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Candidate {
        line.parse().expect("a readable candidate")
    }

    #[test]
    fn reads_what_chrome_sends() {
        let line = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.9 rport 50001 \
                    generation 0 ufrag EsAw network-id 1 network-cost 10";
        let candidate = read(line);
        assert_eq!(candidate.typ, CandidateType::ServerReflexive);
        assert_eq!(candidate.transport, Transport::Udp);
        assert_eq!(candidate.related.as_ref().map(|r| r.port), Some(50001));
        assert_eq!(candidate.extension("ufrag"), Some("EsAw"));
        assert_eq!(candidate.extension("network-cost"), Some("10"));
        assert_eq!(candidate.to_string(), line.replace("udp", "UDP"));
    }

    #[test]
    fn reads_names_tcp_types_and_optional_prefixes() {
        let mdns = read("a=candidate:0 1 UDP 2122252543 4c1ff5ba-55f1-4b7d-b0a5-3f4bb9b2a6cd.local 51332 typ host");
        assert!(matches!(&mdns.address, Address::Name(name) if name.ends_with(".local")));
        for zone in ["fe80::1%eth0", "fe80::a:b%25", "FE80::1%wlp0s20f3.10"] {
            let line = format!("candidate:1 1 UDP 1 {zone} 5001 typ host");
            let linked = read(&line);
            assert_eq!((&linked.address, linked.to_string()), (&Address::Name(zone.to_owned()), line));
        }
        let tcp = read("5 1 tcp 1010827775 2001:db8::2 36378 typ host tcptype passive");
        assert_eq!(tcp.tcptype, Some(TcpType::Passive));
        assert_eq!(tcp.address, Address::Ip("2001:db8::2".parse().expect("an address")));
        assert_eq!(tcp.to_string(), "candidate:5 1 TCP 1010827775 2001:db8::2 36378 typ host tcptype passive");
        let odd = read("1 1 ssltcp 1 192.0.2.1 443 typ host trailing");
        assert_eq!(odd.transport, Transport::Other("ssltcp".into()));
        assert!(odd.extensions.is_empty());
    }

    #[test]
    fn names_the_field_that_fails() {
        let fails = |line: &str| line.parse::<Candidate>().expect_err("an unreadable candidate");
        assert_eq!(fails(""), CandidateError::Missing("foundation"));
        assert_eq!(fails("not a candidate"), CandidateError::Unreadable("component"));
        assert_eq!(fails("1 0 udp 1 192.0.2.1 9 typ host"), CandidateError::Unreadable("component"));
        assert_eq!(fails("1 1 udp x 192.0.2.1 9 typ host"), CandidateError::Unreadable("priority"));
        assert_eq!(fails("1 1 udp 1 192.0.2.256 9 typ host"), CandidateError::Unreadable("address"));
        assert_eq!(fails("1 1 udp 1 192.0.2.1 99999 typ host"), CandidateError::Unreadable("port"));
        assert_eq!(fails("1 1 udp 1 192.0.2.1 9 type host"), CandidateError::Unreadable("typ"));
        assert_eq!(fails("1 1 udp 1 192.0.2.1 9 typ"), CandidateError::Missing("type"));
        assert_eq!(fails("1 1 tcp 1 192.0.2.1 9 typ host tcptype odd"), CandidateError::Unreadable("tcptype"));
    }
}
