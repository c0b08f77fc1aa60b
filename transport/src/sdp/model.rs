//! A session description as data (RFC 8866 §5): what the parser makes and the writer prints.
//!
//! What enters: lines, already split. What leaves: the same lines by name, in their order. It must not know what an
//! attribute means; that is the business of [`attributes`](super::attributes) and of the negotiation.

/// A whole session description (RFC 8866 §5). Lines that no one here reads (`i=`, `u=`, `e=`, `p=`, `r=`, `z=`, `k=`)
/// are dropped by the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// The `o=` line; absent when the text had none or an unreadable one.
    pub origin: Option<Origin>,
    /// The session name of the `s=` line; `-` when there was none.
    pub name: String,
    /// The session's `c=` line, in force for every media line without one of its own.
    pub connection: Option<Connection>,
    /// The session's `b=` lines.
    pub bandwidth: Vec<Bandwidth>,
    /// The value of the first `t=` line; `0 0` (no bounds) when there was none.
    pub timing: String,
    /// The session's `a=` lines in their order.
    pub attributes: Vec<Attribute>,
    /// The media sections in their order.
    pub media: Vec<Media>,
}

impl Default for SessionDescription {
    fn default() -> Self {
        Self {
            origin: None,
            name: "-".to_owned(),
            connection: None,
            bandwidth: Vec::new(),
            timing: "0 0".to_owned(),
            attributes: Vec::new(),
            media: Vec::new(),
        }
    }
}

/// The `o=` line (RFC 8866 §5.2). The ids stay text, because peers write numbers of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user name, `-` if none.
    pub username: String,
    /// The session id.
    pub session_id: String,
    /// The version of this description.
    pub session_version: String,
    /// The network type, `IN`.
    pub net_type: String,
    /// The address type, `IP4` or `IP6`.
    pub addr_type: String,
    /// The address or host name.
    pub address: String,
}

/// A `c=` line (RFC 8866 §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The network type, `IN`.
    pub net_type: String,
    /// The address type, `IP4` or `IP6`.
    pub addr_type: String,
    /// The address or host name, with its multicast suffix (`/ttl`) if it has one.
    pub address: String,
}

impl Connection {
    /// The connection line of an IP address.
    pub fn ip(address: std::net::IpAddr) -> Self {
        Self { net_type: "IN".into(), addr_type: addr_type(address).into(), address: address.to_string() }
    }
}

/// `IP4` or `IP6`, as `o=`, `c=` and `a=rtcp` lines say it.
pub(super) fn addr_type(address: std::net::IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

/// A `b=` line (RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// The type: `AS` or `CT` in kbps, `TIAS` (RFC 3890) in bps, or another.
    pub kind: String,
    /// The value in the unit of its type.
    pub value: u64,
}

/// An `a=` line (RFC 8866 §5.13): `a=key` or `a=key:value`, the value exactly as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What stands before the first colon.
    pub key: String,
    /// What stands after the first colon; `None` without a colon.
    pub value: Option<String>,
}

impl Attribute {
    /// A property attribute, `a=key`.
    pub fn flag(key: impl Into<String>) -> Self {
        Self { key: key.into(), value: None }
    }

    /// A value attribute, `a=key:value`.
    pub fn value(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }
}

/// A media section: an `m=` line (RFC 8866 §5.14) and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// The media type: `audio`, `video`, `application` or another.
    pub kind: String,
    /// The port; 0 refuses or disables the line (RFC 3264 §6). A port count (`9/2`) is not kept.
    pub port: u16,
    /// The transport protocol, for instance `UDP/TLS/RTP/SAVPF`.
    pub proto: String,
    /// The formats: payload types for RTP, other words for other protocols. May be empty when a peer wrote none.
    pub formats: Vec<String>,
    /// The section's own `c=` line.
    pub connection: Option<Connection>,
    /// The section's `b=` lines.
    pub bandwidths: Vec<Bandwidth>,
    /// The section's `a=` lines in their order.
    pub attributes: Vec<Attribute>,
}

/// The value of the first attribute with this key: the empty string for a property attribute.
pub(super) fn first_value<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a str> {
    values(attributes, key).next()
}

/// The values of all attributes with this key, in order: empty strings for property attributes.
pub(super) fn values<'a>(attributes: &'a [Attribute], key: &str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |a| a.key == key).map(|a| a.value.as_deref().unwrap_or(""))
}

impl Media {
    /// The value of the first attribute of this section with this key: the empty string for a property attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        first_value(&self.attributes, key)
    }

    /// The values of all attributes of this section with this key, in order.
    pub fn attribute_values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        values(&self.attributes, key)
    }

    /// Whether this section has an attribute with this key.
    pub fn has_attribute(&self, key: &str) -> bool {
        self.attribute(key).is_some()
    }
}

impl SessionDescription {
    /// The value of the first session attribute with this key: the empty string for a property attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        first_value(&self.attributes, key)
    }

    /// The values of all session attributes with this key, in order.
    pub fn attribute_values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        values(&self.attributes, key)
    }

    /// The value of an attribute that may stand at either level: the media section's, or else the session's.
    pub fn inherited<'a>(&'a self, media: &'a Media, key: &str) -> Option<&'a str> {
        media.attribute(key).or_else(|| self.attribute(key))
    }
}
