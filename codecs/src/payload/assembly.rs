//! What formats have in common: is this the next packet, is the frame in progress still whole, and how a frame is cut. It knows no
//! payload format.

use super::{Depayload, Frame, Loss, MAX_FRAME, Part, Piece, sane};
use bytes::{Bytes, BytesMut};

/// How far back a sequence number may lie and still be an old packet rather than a new start of the stream.
const PAST: u64 = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Next,
    /// Packets are missing before this one.
    Gap,
    /// It has been here, or comes too late.
    Stale,
}

/// The sequence number that is to come.
#[derive(Debug, Default)]
struct Sequence(Option<u64>);

impl Sequence {
    fn judge(&mut self, sequence: u64) -> Order {
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

/// What one format makes of packets in their order.
pub(super) trait Read: Send {
    /// Forgets what is in progress: something of it is missing.
    fn give_up(&mut self);

    /// A packet that holds something; appends the frames that it completes. `None`: it cannot be read, and what is in progress is to
    /// be given up.
    fn read(&mut self, piece: &Piece<'_>, out: &mut Vec<Frame>) -> Option<Loss>;
}

/// A format behind what all of them have in common.
pub(super) struct InOrder<R> {
    sequence: Sequence,
    format: R,
}

impl<R: Read> InOrder<R> {
    pub(super) fn new(format: R) -> Self {
        InOrder { sequence: Sequence::default(), format }
    }
}

impl<R: Read> Depayload for InOrder<R> {
    fn push(&mut self, piece: Piece<'_>, out: &mut Vec<Frame>) -> Loss {
        let order = self.sequence.judge(piece.sequence);
        if order == Order::Stale {
            return Loss::Nothing;
        }
        let missing = order == Order::Gap;
        if missing {
            self.format.give_up();
        }
        // What is left of a packet that filled the path, or an audio sender's silence: only its number counts.
        if piece.payload.is_empty() {
            return Loss::when(missing);
        }
        let read = self.format.read(&piece, out);
        if read.is_none() {
            self.format.give_up();
        }
        Loss::when(missing).or(read.unwrap_or(Loss::Something))
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

/// One of the packets that a frame is cut into.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Bytes of the frame before it.
    pub(super) at: usize,
    pub(super) last: bool,
}

/// Spreads `body` over packets of at most `room` bytes, each behind a header; the last is marked.
pub(super) fn cut<const HEADER: usize>(
    body: &[u8],
    room: usize,
    out: &mut Vec<Part>,
    header: impl Fn(Cut) -> [u8; HEADER],
) {
    let size = sane(room) - HEADER;
    for (number, piece) in body.chunks(size).enumerate() {
        let at = number * size;
        let last = at + piece.len() == body.len();
        let mut payload = BytesMut::with_capacity(HEADER + piece.len());
        payload.extend_from_slice(&header(Cut { at, last }));
        payload.extend_from_slice(piece);
        out.push(Part { payload: payload.freeze(), marker: last, ahead: 0 });
    }
}
