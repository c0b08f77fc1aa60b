//! Asks a STUN server where our datagrams seem to come from (RFC 8489, section 2).
//!
//! Enters: the time, and a server's answer. Leaves: the request, sent from the very port whose public address is wanted, and
//! that address. It must never know the port, the server or who waits for the answer.

use super::transaction::{Patience, Step, Transaction};
use super::wire::{self, Answer, Message, Writer};
use rivero_engine::MediaTime;
use std::net::SocketAddr;

/// What a demultiplexer finds the asker by: 96 random bits, which nobody guesses who has not seen the request.
pub type QueryId = [u8; 12];

/// One question to one server.
#[derive(Debug)]
pub struct Query {
    transaction: Transaction,
}

#[derive(Debug, PartialEq, Eq)]
pub enum QueryOutput<'a> {
    /// To the server, from the port that is asked about.
    Transmit(&'a [u8]),
    /// Nothing until then, unless the answer comes.
    Wait(MediaTime),
    /// No answer within 7.5 s: the server is not there, or a firewall stands between.
    Unanswered,
}

/// What a server has answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the STUN server refused: {code} {reason:?}")]
    Refused { code: u16, reason: String },
    #[error("the STUN server's answer names no address")]
    NoAddress,
}

impl Query {
    pub fn new(now: MediaTime) -> Self {
        let request = Writer::request(wire::BINDING);
        let id = request.id();
        Query { transaction: Transaction::new(id, request.finish(), Patience::short(false), now) }
    }

    pub fn id(&self) -> QueryId {
        id_bytes(self.transaction.id)
    }

    /// Call again until it says `Wait` or `Unanswered`.
    pub fn poll(&mut self, now: MediaTime) -> QueryOutput<'_> {
        match self.transaction.step(now) {
            Step::Send(bytes) => QueryOutput::Transmit(bytes),
            Step::Wait(at) => QueryOutput::Wait(at),
            Step::GiveUp => QueryOutput::Unanswered,
        }
    }

    /// The public address of our port, when this is the answer; `None` when it is something else.
    pub fn receive(&self, datagram: &[u8]) -> Option<Result<SocketAddr, QueryError>> {
        let message = Message::from_bytes(datagram).ok()?;
        if message.transaction_id() != self.transaction.id || message.method() != wire::BINDING {
            return None;
        }
        Some(match wire::answer(&message)? {
            Answer::Success => wire::mapped(&message).ok_or(QueryError::NoAddress),
            Answer::Error { code, reason } => Err(QueryError::Refused { code, reason }),
        })
    }
}

/// The id of a Binding response, by which its query is found; `None` for every other datagram (RFC 8489, section 5).
pub fn response_id(datagram: &[u8]) -> Option<QueryId> {
    match datagram {
        [0x01, 0x01 | 0x11, _, _, 0x21, 0x12, 0xa4, 0x42, rest @ ..] => rest.first_chunk().copied(),
        _ => None,
    }
}

fn id_bytes(id: wire::Id) -> QueryId {
    let bytes = u128::from(id).to_be_bytes();
    *bytes.last_chunk().expect("sixteen bytes end with twelve")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stun_types::attribute::{ErrorCode, XorMappedAddress};
    use stun_types::message::MessageWriteVec;
    use stun_types::prelude::{MessageWrite, MessageWriteExt};

    fn request(query: &mut Query, now: MediaTime) -> Vec<u8> {
        match query.poll(now) {
            QueryOutput::Transmit(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_answer_is_known_by_its_id() {
        let now = MediaTime::from_millis(5);
        let (mut query, other) = (Query::new(now), Query::new(now));
        let bytes = request(&mut query, now);
        assert_eq!(response_id(&bytes), None, "a request is no response");
        assert_eq!(query.poll(now), QueryOutput::Wait(MediaTime::from_millis(505)));
        let asked = Message::from_bytes(&bytes).expect("a message");
        for address in ["192.0.2.1:50000", "[2001:db8::5]:50000"] {
            let address: SocketAddr = address.parse().expect("an address");
            let mut response = Message::builder_success(&asked, MessageWriteVec::new());
            response.add_attribute(&XorMappedAddress::new(address, asked.transaction_id())).expect("it fits");
            let response = response.finish();
            assert_eq!(response_id(&response), Some(query.id()));
            assert_eq!(query.receive(&response), Some(Ok(address)));
            assert_eq!(other.receive(&response), None);
        }
    }

    #[test]
    fn errors_and_silence_are_told() {
        let mut query = Query::new(MediaTime::ZERO);
        let bytes = request(&mut query, MediaTime::ZERO);
        let asked = Message::from_bytes(&bytes).expect("a message");
        let mut response = Message::builder_error(&asked, MessageWriteVec::new());
        response.add_attribute(&ErrorCode::new(400, "no\nthanks").expect("a code")).expect("it fits");
        let response = response.finish();
        assert_eq!(response_id(&response), Some(query.id()));
        let refused = QueryError::Refused { code: 400, reason: "nothanks".to_owned() };
        assert_eq!(query.receive(&response), Some(Err(refused)));
        let empty = Message::builder_success(&asked, MessageWriteVec::new()).finish();
        assert_eq!(query.receive(&empty), Some(Err(QueryError::NoAddress)));

        let (mut now, mut sent) = (MediaTime::ZERO, 1);
        loop {
            match query.poll(now) {
                QueryOutput::Transmit(again) => {
                    assert_eq!(again, bytes, "the same request is repeated");
                    sent += 1;
                }
                QueryOutput::Wait(at) => now = at,
                QueryOutput::Unanswered => break,
            }
        }
        assert_eq!((sent, now), (4, MediaTime::from_millis(7500)));
    }
}
