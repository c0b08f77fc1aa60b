//! From a task that receives a request's body to a thread that reads it. Enters: pieces, in their order. Leaves: bytes, as they
//! are asked for. Neither side can make the other keep more than [`PIECES`] pieces.

use bytes::{Buf, Bytes};
use std::io::{self, Read};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Pieces on their way; hyper's are as large as what it reads at a time.
const PIECES: usize = 4;

/// The reader's end; at the end of the body, or when the peer has gone, nothing more comes. Reads wait.
pub struct Body {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let some = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..some]);
        Ok(some)
    }
}

/// Whoever plays a post keeps this until it has been played: the next one waits for that.
pub struct Receipt {
    opened: Option<oneshot::Sender<bool>>,
    _turn: OwnedSemaphorePermit,
}

impl Receipt {
    /// Tells the peer whether it is of any use.
    pub fn opened(&mut self, usable: bool) {
        if let Some(opened) = self.opened.take() {
            // The peer may have gone.
            let _ = opened.send(usable);
        }
    }
}

/// The receiving end.
pub struct Feed {
    pieces: mpsc::Sender<Bytes>,
    opened: oneshot::Receiver<bool>,
}

/// Nobody reads it any more.
pub struct Unwanted;

pub fn body(turn: OwnedSemaphorePermit) -> (Feed, Body, Receipt) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let (tell, opened) = oneshot::channel();
    let body = Body { pieces, current: Bytes::new() };
    (Feed { pieces: sender, opened }, body, Receipt { opened: Some(tell), _turn: turn })
}

impl Feed {
    pub async fn give(&self, piece: Bytes) -> Result<(), Unwanted> {
        self.pieces.send(piece).await.map_err(|_| Unwanted)
    }

    /// Ends the body and waits until it is known whether it is media.
    pub async fn end(self) -> Result<(), Unwanted> {
        drop(self.pieces);
        match self.opened.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Unwanted),
        }
    }
}
