//! The files inside a multipart body (RFC 2046, section 5.1; RFC 7578). Enters: pieces of the body. Leaves: pieces of its files.
//! Bounds what does not lead to any file: headers of parts, and what stands before the first one.

use super::answer::{Pieces, Trouble};
use bytes::Bytes;
use futures_util::Stream;
use multer::{Field, Multipart};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Bytes that may come between two steps of progress.
const MOST_BETWEEN: u64 = 1 << 20;

/// The boundary of a multipart type; `None` for a multipart type without one.
pub fn boundary(kind: &mime::Mime) -> Option<String> {
    let boundary = kind.get_param(mime::BOUNDARY)?.as_str();
    // RFC 2046, section 5.1.1
    (1..=70).contains(&boundary.len()).then(|| boundary.to_owned())
}

pub struct Parts {
    parts: Multipart<'static>,
    since: Arc<AtomicU64>,
}

impl Parts {
    pub fn new(pieces: Pieces, boundary: String) -> Self {
        let since = Arc::new(AtomicU64::new(0));
        let paced = Paced { pieces: Box::pin(pieces.into_stream()), since: since.clone(), rests: false };
        Parts { parts: Multipart::new(paced, boundary), since }
    }

    /// The next part that is a file.
    pub async fn next_file(&mut self) -> Result<Option<Field<'static>>, Trouble> {
        loop {
            let field = self.parts.next_field().await.map_err(trouble)?;
            self.since.store(0, Ordering::Relaxed);
            let Some(mut field) = field else { return Ok(None) };
            if field.file_name().is_some() {
                return Ok(Some(field));
            }
            while self.piece(&mut field).await?.is_some() {}
        }
    }

    /// The next piece of a part.
    pub async fn piece(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, Trouble> {
        let piece = field.chunk().await.map_err(trouble);
        self.since.store(0, Ordering::Relaxed);
        piece
    }
}

fn trouble(error: multer::Error) -> Trouble {
    match error {
        multer::Error::StreamReadFailed(inner) => match inner.downcast::<Trouble>() {
            Ok(trouble) => *trouble,
            Err(_) => Trouble::Broken,
        },
        _ => Trouble::Form,
    }
}

/// Gives one piece each time it is looked at, where multer would take and keep all that has come.
struct Paced {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, Trouble>> + Send>>,
    since: Arc<AtomicU64>,
    rests: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, Trouble>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.pieces.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.rests = true;
            let length = piece.len() as u64;
            if self.since.fetch_add(length, Ordering::Relaxed) + length > MOST_BETWEEN {
                return Poll::Ready(Some(Err(Trouble::Form)));
            }
        }
        polled
    }
}
