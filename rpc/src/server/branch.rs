//! Parts of the server's web page that answer for themselves, with more than bytes in memory.
//!
//! What enters: a request without a body, and whose it is. What leaves: an answer, written as fast as the peer takes it. What it must
//! never know: what the answers are about.

use super::http::SERVER;
use hyper::{Request, Response, header};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long a peer may take nothing of an answer. Players stop reading while they are paused, and ask for the rest when they go on.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes of a file in memory at a time.
const PIECE: usize = 64 << 10;

/// What answers for all that lies below a path.
pub trait Branch: Send + Sync {
    /// The path of `request` begins behind that of the branch.
    fn answer(self: Arc<Self>, request: Request<()>, peer: IpAddr) -> Answering;
}

pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The content of an answer.
pub enum Body {
    Bytes(Vec<u8>),
    /// The next `bytes` of a file; the permit is given back when they are written.
    File {
        file: File,
        bytes: u64,
        permit: OwnedSemaphorePermit,
    },
    /// So many bytes would come if the method were not HEAD.
    Length(u64),
}

impl Body {
    fn length(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { bytes, .. } | Body::Length(bytes) => *bytes,
        }
    }
}

/// Writes an answer and ends the sending side of the connection.
///
/// # Errors
/// The peer has gone, or takes nothing; the file cannot be read, or is shorter than it was. The peer sees less than was announced.
pub(super) async fn write<S>(stream: &mut S, answer: Response<Body>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (parts, body) = answer.into_parts();
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    head.extend_from_slice(
        format!("{}: {}\r\nServer: {SERVER}\r\n\r\n", header::CONTENT_LENGTH, body.length()).as_bytes(),
    );
    write_some(stream, &head).await?;
    match body {
        Body::Length(_) => {}
        Body::Bytes(bytes) => write_some(stream, &bytes).await?,
        Body::File { mut file, bytes, permit } => {
            let mut piece = vec![0; PIECE];
            let mut rest = bytes;
            while rest > 0 {
                let most = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
                let read = file.read(&mut piece[..most]).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                write_some(stream, &piece[..read]).await?;
                rest -= read as u64;
            }
            drop(permit);
        }
    }
    timeout(STALLED, stream.shutdown()).await?
}

async fn write_some<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    timeout(STALLED, stream.write_all(bytes)).await?
}
