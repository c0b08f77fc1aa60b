//! The settings of WebRtcEndpoint: STUN, TURN, certificates, addresses to announce, ICE over TCP, DSCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::Section;
use crate::config::Line;
use crate::config::tree::Tree;
use rivero_transport::net::nat::{Host, ServerAddress, TurnUrl, TurnUrlError};

/// `WebRtcEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcSettings {
    /// By address or by name; Kurento knows addresses only.
    pub stun_server: Option<ServerAddress>,
    /// The port for a STUN server that is set by its address only (through the API).
    pub stun_server_port: u16,
    /// By address or by name, too.
    pub turn_server: Option<TurnUrl>,
    /// PEM files with certificate and private key, resolved; whether they are valid is for their reader to say.
    pub pem_certificate_rsa: Option<PathBuf>,
    pub pem_certificate_ecdsa: Option<PathBuf>,
    /// Names of the interfaces to gather candidates from; empty for all.
    pub network_interfaces: Vec<String>,
    /// Stands in for the address of every local candidate of its family.
    pub external_ipv4: Option<Ipv4Addr>,
    pub external_ipv6: Option<Ipv6Addr>,
    pub ice_tcp: bool,
    /// Used when an endpoint's constructor says NO_VALUE.
    pub qos_dscp: Option<Dscp>,
    pub enable_h265: bool,
}

/// A value of Kurento's enumeration `DSCPValue`, without `NO_VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp {
    pub name: &'static str,
    /// The six bits of RFC 2474, or `None` for `NO_DSCP`: packets are left unmarked.
    pub code: Option<u8>,
}

const DSCP_CODES: [(&str, u8); 41] = [
    ("CS0", 0),
    ("CS1", 8),
    ("CS2", 16),
    ("CS3", 24),
    ("CS4", 32),
    ("CS5", 40),
    ("CS6", 48),
    ("CS7", 56),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("EF", 46),
    ("VOICEADMIT", 44),
    ("LE", 1),
    ("AUDIO_VERYLOW", 1),
    ("AUDIO_LOW", 0),
    ("AUDIO_MEDIUM", 46),
    ("AUDIO_HIGH", 46),
    ("VIDEO_VERYLOW", 1),
    ("VIDEO_LOW", 0),
    ("VIDEO_MEDIUM", 36),
    ("VIDEO_MEDIUM_THROUGHPUT", 38),
    ("VIDEO_HIGH", 36),
    ("VIDEO_HIGH_THROUGHPUT", 34),
    ("DATA_VERYLOW", 1),
    ("DATA_LOW", 0),
    ("DATA_MEDIUM", 10),
    ("DATA_HIGH", 18),
    ("CHROME_HIGH", 56),
    ("CHROME_MEDIUM", 56),
    ("CHROME_LOW", 0),
    ("CHROME_VERYLOW", 8),
];

impl Dscp {
    /// The value of that name; `None` for names that the enumeration does not have.
    pub fn named(name: &str) -> Option<Self> {
        if name == "NO_DSCP" {
            return Some(Self { name: "NO_DSCP", code: None });
        }
        let (name, code) = DSCP_CODES.iter().find(|(known, _)| *known == name)?;
        Some(Self { name, code: Some(*code) })
    }
}

impl WebRtcSettings {
    pub(super) fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::of_class(tree, "WebRtcEndpoint", lines);
        let config_path = section.text("configPath");
        let stun_server_port = section.at_least("stunServerPort", 1, "a port from 1 to 65535").unwrap_or(3478);
        let stun_host: Option<Host> = section.parsed_text("stunServerAddress", "an IP address or a host name");
        let (external_ipv4, external_ipv6) = external_addresses(&mut section);
        Self {
            stun_server: stun_host.map(|host| ServerAddress { host, port: stun_server_port }),
            stun_server_port,
            turn_server: turn_server(&mut section),
            pem_certificate_rsa: rsa_certificate(&mut section, config_path.as_deref()),
            pem_certificate_ecdsa: section.file("pemCertificateECDSA", config_path.as_deref()),
            network_interfaces: names(&section.text("networkInterfaces").unwrap_or_default()),
            external_ipv4,
            external_ipv6,
            ice_tcp: section.flag("iceTcp").unwrap_or(true),
            qos_dscp: qos_dscp(&mut section),
            enable_h265: section.text("enable-h265").as_deref() == Some("true"),
        }
    }
}

fn names(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace());
    parts.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn turn_server(section: &mut Section<'_>) -> Option<TurnUrl> {
    let url = section.text("turnURL")?;
    url.parse()
        .map_err(|error: TurnUrlError| {
            let path = section.path("turnURL");
            // The value itself stays out of the log: what is malformed may still hold a password.
            section.warn(format!("Error deserializing '{path}' from config: {error}"));
        })
        .ok()
}

/// `pemCertificate` is the name of Kurento 6.8 for what later is `pemCertificateRSA`.
fn rsa_certificate(section: &mut Section<'_>, config_path: Option<&str>) -> Option<PathBuf> {
    let old = section.file("pemCertificate", config_path);
    if old.is_some() {
        section.warn("pemCertificate is deprecated. Please use pemCertificateRSA instead");
    }
    section.file("pemCertificateRSA", config_path).or(old)
}

/// `externalAddress` (6.13 to 6.18) names either family; the newer keys go before it.
fn external_addresses(section: &mut Section<'_>) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let (mut v4, mut v6) = match section.parsed_text("externalAddress", "an IP address") {
        None => (None, None),
        Some(address) => {
            section.warn("externalAddress is deprecated. Please use externalIPv4 or externalIPv6 instead");
            match address {
                IpAddr::V4(address) => (Some(address), None),
                IpAddr::V6(address) => (None, Some(address)),
            }
        }
    };
    v4 = section.parsed_text("externalIPv4", "an IPv4 address").or(v4);
    v6 = section.parsed_text("externalIPv6", "an IPv6 address").or(v6);
    (v4, v6)
}

fn qos_dscp(section: &mut Section<'_>) -> Option<Dscp> {
    let name = section.text("qos-dscp").filter(|name| name != "NO_VALUE")?;
    let found = Dscp::named(&name);
    if found.is_none() {
        section.refuse("qos-dscp", "a DSCPValue");
    }
    found
}
