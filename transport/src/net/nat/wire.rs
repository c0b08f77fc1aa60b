//! The messages of STUN and TURN as bytes. The codec is `stun-types`; what TURN adds to it (RFC 8656, sections 17 and 18)
//! stands here.
//!
//! Enters: values to write, bytes to read. Leaves: the other. It must never know what a message is for.

use std::net::SocketAddr;
use stun_types::attribute::{AttributeType, ErrorCode, MappedSocketAddr, Nonce, RawAttribute, Realm, XorSocketAddr};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, MessageClass, MessageType};
use stun_types::message::{MessageWriteVec, Method};
use stun_types::prelude::{MessageWrite, MessageWriteExt};

pub use stun_types::message::{Message, TransactionId as Id};

pub const BINDING: Method = Method::new(1);
pub const ALLOCATE: Method = Method::new(3);
pub const REFRESH: Method = Method::new(4);
pub const SEND: Method = Method::new(6);
pub const DATA: Method = Method::new(7);
pub const CREATE_PERMISSION: Method = Method::new(8);
pub const CHANNEL_BIND: Method = Method::new(9);

const MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0001);
const USERNAME: AttributeType = AttributeType::new(0x0006);
const MESSAGE_INTEGRITY: AttributeType = AttributeType::new(0x0008);
const CHANNEL_NUMBER: AttributeType = AttributeType::new(0x000c);
const LIFETIME: AttributeType = AttributeType::new(0x000d);
const XOR_PEER_ADDRESS: AttributeType = AttributeType::new(0x0012);
const DATA_VALUE: AttributeType = AttributeType::new(0x0013);
const REALM: AttributeType = AttributeType::new(0x0014);
const NONCE: AttributeType = AttributeType::new(0x0015);
const XOR_RELAYED_ADDRESS: AttributeType = AttributeType::new(0x0016);
const REQUESTED_ADDRESS_FAMILY: AttributeType = AttributeType::new(0x0017);
const REQUESTED_TRANSPORT: AttributeType = AttributeType::new(0x0019);
const XOR_MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0020);

/// What a server has told of its long-term credential mechanism (RFC 8489, section 9.2), and the key that follows from it.
#[derive(Debug)]
pub struct Login {
    user: String,
    realm: String,
    nonce: String,
    key: IntegrityKey,
}

impl Login {
    pub fn new(user: &str, password: &str, realm: String, nonce: String) -> Self {
        let credentials = LongTermKeyCredentials::new(user.to_owned(), password.to_owned(), realm.clone());
        Login { user: user.to_owned(), realm, nonce, key: credentials.make_key(IntegrityAlgorithm::Sha1) }
    }

    /// Whether the message carries a MESSAGE-INTEGRITY made with our key.
    pub fn signed(&self, message: &Message<'_>) -> bool {
        message.validate_integrity_with_key(&self.key).is_ok()
    }
}

/// A message being written.
pub struct Writer {
    id: Id,
    out: MessageWriteVec,
}

impl Writer {
    pub fn request(method: Method) -> Self {
        Self::new(MessageClass::Request, method)
    }

    pub fn indication(method: Method) -> Self {
        Self::new(MessageClass::Indication, method)
    }

    fn new(class: MessageClass, method: Method) -> Self {
        let id = Id::generate();
        let kind = MessageType::from_class_method(class, method);
        Writer { id, out: Message::builder(kind, id, MessageWriteVec::with_capacity(128)) }
    }

    pub fn id(&self) -> Id {
        self.id
    }

    fn put(mut self, kind: AttributeType, value: &[u8]) -> Self {
        self.out.add_attribute(&RawAttribute::new(kind, value)).expect("nothing stands after the integrity");
        self
    }

    /// In seconds.
    pub fn lifetime(self, seconds: u32) -> Self {
        self.put(LIFETIME, &seconds.to_be_bytes())
    }

    /// The relay is to speak UDP to the peers.
    pub fn requested_udp(self) -> Self {
        self.put(REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    pub fn requested_ipv6(self) -> Self {
        self.put(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    pub fn peer(mut self, peer: SocketAddr) -> Self {
        let value = XorSocketAddr::new(peer, self.id);
        self.out.add_attribute(&value.to_raw(XOR_PEER_ADDRESS)).expect("nothing stands after the integrity");
        self
    }

    pub fn channel(self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        self.put(CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    pub fn data(self, bytes: &[u8]) -> Self {
        self.put(DATA_VALUE, bytes)
    }

    pub fn finish(self) -> Vec<u8> {
        self.out.finish()
    }

    pub fn sign(self, login: &Login) -> Vec<u8> {
        let mut this = self
            .put(USERNAME, login.user.as_bytes())
            .put(REALM, login.realm.as_bytes())
            .put(NONCE, login.nonce.as_bytes());
        let signed = this.out.add_message_integrity_with_key(&login.key, IntegrityAlgorithm::Sha1);
        signed.expect("the message has no integrity yet");
        this.finish()
    }
}

/// What a response says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Success,
    Error { code: u16, reason: String },
}

/// `None` for requests, indications and errors without a code.
pub fn answer(message: &Message<'_>) -> Option<Answer> {
    match message.class() {
        MessageClass::Success => Some(Answer::Success),
        MessageClass::Error => {
            let error = message.attribute::<ErrorCode>().ok()?;
            // For the log: short, and nothing that could pretend to be another line.
            let reason = error.reason().chars().filter(|c| !c.is_control()).take(80).collect();
            Some(Answer::Error { code: error.code(), reason })
        }
        _ => None,
    }
}

pub fn is_indication(message: &Message<'_>) -> bool {
    message.has_class(MessageClass::Indication)
}

pub fn has_integrity(message: &Message<'_>) -> bool {
    message.has_attribute(MESSAGE_INTEGRITY)
}

/// In seconds.
pub fn lifetime(message: &Message<'_>) -> Option<u32> {
    Some(u32::from_be_bytes(*value(message, LIFETIME)?.first_chunk()?))
}

pub fn realm(message: &Message<'_>) -> Option<String> {
    message.attribute::<Realm>().ok().map(|realm| realm.realm().to_owned())
}

pub fn nonce(message: &Message<'_>) -> Option<String> {
    message.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned())
}

pub fn relayed(message: &Message<'_>) -> Option<SocketAddr> {
    xor_address(message, XOR_RELAYED_ADDRESS)
}

pub fn peer(message: &Message<'_>) -> Option<SocketAddr> {
    xor_address(message, XOR_PEER_ADDRESS)
}

/// Where the server saw the request come from. Servers older than RFC 5389 say it in the clear.
pub fn mapped(message: &Message<'_>) -> Option<SocketAddr> {
    let plain = || Some(MappedSocketAddr::from_raw(&message.raw_attribute(MAPPED_ADDRESS)?).ok()?.addr());
    xor_address(message, XOR_MAPPED_ADDRESS).or_else(plain)
}

pub fn data<'a>(message: &'a Message<'_>) -> Option<&'a [u8]> {
    value(message, DATA_VALUE)
}

fn xor_address(message: &Message<'_>, kind: AttributeType) -> Option<SocketAddr> {
    let address = XorSocketAddr::from_raw(&message.raw_attribute(kind)?).ok()?;
    Some(address.addr(message.transaction_id()))
}

/// The bytes of an attribute, without a copy.
fn value<'a>(message: &'a Message<'_>, kind: AttributeType) -> Option<&'a [u8]> {
    let (offset, raw) = message.raw_attribute_and_offset(kind)?;
    message.as_bytes().get(offset + 4..offset + 4 + raw.value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_long_term_key_signs_as_the_rfc_shows() {
        // RFC 8489, section 9.2.2: the key of "user", "realm" and "pass" is an MD5; a wrong password gives another.
        let login = Login::new("user", "pass", "realm".to_owned(), "nonce".to_owned());
        let other = Login::new("user", "word", "realm".to_owned(), "nonce".to_owned());
        let bytes = Writer::request(REFRESH).lifetime(600).sign(&login);
        let message = Message::from_bytes(&bytes).expect("a message");
        assert!(login.signed(&message) && !other.signed(&message));
        assert_eq!((lifetime(&message), realm(&message).as_deref()), (Some(600), Some("realm")));
        assert!(has_integrity(&message) && answer(&message).is_none());
    }

    #[test]
    fn peers_and_data_come_out_as_they_went_in() {
        for address in ["192.0.2.7:4242", "[2001:db8::7]:4242"] {
            let address: SocketAddr = address.parse().expect("an address");
            let bytes = Writer::indication(SEND).peer(address).data(b"hello").finish();
            let message = Message::from_bytes(&bytes).expect("a message");
            assert_eq!((peer(&message), data(&message)), (Some(address), Some(b"hello".as_slice())));
            assert!(is_indication(&message));
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_read(start in any::<[u8; 2]>(), kinds in prop::collection::vec((0u16..0x30, prop::collection::vec(any::<u8>(), 0..24)), 0..6)) {
            let mut body = Vec::new();
            for (kind, value) in kinds {
                body.extend(kind.to_be_bytes());
                body.extend((value.len() as u16).to_be_bytes());
                body.extend(&value);
                body.resize(body.len().next_multiple_of(4), 0);
            }
            let mut bytes = vec![start[0] & 0x3f, start[1]];
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend([0x21, 0x12, 0xa4, 0x42]);
            bytes.extend([9; 12]);
            bytes.extend(body);
            if let Ok(message) = Message::from_bytes(&bytes) {
                let login = Login::new("u", "p", "r".to_owned(), "n".to_owned());
                let _ = (answer(&message), lifetime(&message), realm(&message), nonce(&message), login.signed(&message));
                let _ = (relayed(&message), peer(&message), mapped(&message), data(&message), is_indication(&message));
            }
        }
    }
}
