//! What every reader needs: is this the next packet, and is the frame in progress still whole. It knows no payload format.

use super::{Frame, MAX_FRAME, Piece};
use bytes::{Bytes, BytesMut};

/// How far back a sequence number may lie and still be an old packet rather than a new start of the stream.
const PAST: u64 = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    /// Packets are missing before this one.
    Gap,
    /// It has been here, or comes too late.
    Stale,
}

/// The sequence number that is to come.
#[derive(Debug, Default)]
pub(super) struct Sequence(Option<u64>);

impl Sequence {
    pub(super) fn judge(&mut self, sequence: u64) -> Order {
        let order = match self.0 {
            None => Order::Next,
            Some(next) if next == sequence => Order::Next,
            Some(next) if sequence < next && next - sequence <= PAST => return Order::Stale,
            Some(_) => Order::Gap,
        };
        self.0 = Some(sequence.wrapping_add(1));
        order
    }
}

/// A frame in progress: between its first packet and its last, all of one timestamp.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    data: BytesMut,
    timestamp: Option<u32>,
}

impl Assembly {
    pub(super) fn is_open(&self) -> bool {
        self.timestamp.is_some()
    }

    /// In progress, and of this moment.
    pub(super) fn is_at(&self, timestamp: u32) -> bool {
        self.timestamp == Some(timestamp)
    }

    pub(super) fn begin(&mut self, timestamp: u32) {
        self.data.clear();
        self.timestamp = Some(timestamp);
    }

    /// Gives the frame up if it grows too long; then it is no longer open.
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        if self.data.len() + bytes.len() > MAX_FRAME {
            self.drop_frame();
            return false;
        }
        self.data.extend_from_slice(bytes);
        true
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether there was one.
    pub(super) fn drop_frame(&mut self) -> bool {
        // What one long frame took is not kept for ever.
        self.data = BytesMut::new();
        self.timestamp.take().is_some()
    }

    /// The bytes of the frame, with its timestamp, if one is in progress.
    pub(super) fn take(&mut self) -> Option<(Bytes, u32)> {
        let timestamp = self.timestamp.take()?;
        Some((self.data.split().freeze(), timestamp))
    }
}

/// A frame of audio that is as it came.
pub(super) fn sound(data: Bytes, piece: &Piece<'_>, ahead: u32) -> Frame {
    Frame { data, timestamp: piece.timestamp.wrapping_add(ahead), key: true }
}
