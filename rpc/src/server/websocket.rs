//! One client's connection, from its first byte to its last.
//!
//! What enters: a stream (plain or TLS). What leaves: answers in the order of the messages, and events in between. What it
//! must never know: any method.
//!
//! One message at a time: the next is read when the answer to the last is written, so a slow operation holds up its own
//! connection and no other. Events do not wait for it. A client that does not read its events is closed.

use super::http::{self, Pages, Reading, Reply};
use super::{Connection, Server, branch};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

/// For TLS and the request head together, and for the end of a connection.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// Longest message, in bytes.
pub const MAX_MESSAGE: usize = crate::json::MAX_LENGTH;
/// What is still read, and thrown away, from a peer that was refused in the middle of sending.
const MAX_DRAIN: usize = 4 * MAX_MESSAGE;

/// Serves a stream until one side ends it. `path` is the configured one, without its leading slash.
pub async fn serve<S>(server: Arc<Server>, mut stream: S, peer: SocketAddr, path: &str, pages: &Pages)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(Ok(reading)) = timeout(HANDSHAKE, http::read_head(&mut stream)).await else { return };
    let head = match reading {
        Reading::Gone => return,
        Reading::Refused(answer) => return finish(&mut stream, &answer).await,
        Reading::Head(head) => head,
    };
    if let Some((branch, request)) = head.branch(path, pages) {
        let answer = branch.answer(request, peer.ip().to_canonical()).await;
        if branch::write(&mut stream, answer).await.is_ok() {
            let _ = timeout(HANDSHAKE, drain(&mut stream, MAX_DRAIN)).await;
        }
        return;
    }
    let (answer, right_path) = match head.reply(path, pages) {
        Reply::Close(answer) => return finish(&mut stream, &answer).await,
        Reply::Upgrade { answer, right_path } => (answer, right_path),
    };
    if !matches!(timeout(HANDSHAKE, stream.write_all(&answer)).await, Ok(Ok(()))) {
        return;
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let socket = WebSocketStream::from_partially_read(stream, head.rest, Role::Server, Some(config)).await;
    if !right_path {
        return refuse(socket, CloseCode::Protocol, "Invalid path").await;
    }
    talk(server, socket, peer).await;
}

/// Writes a last answer, then waits a moment for the peer to read it: closing at once with unread bytes in the socket's
/// buffer would reset the connection and lose the answer.
async fn finish<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) {
    let _ = timeout(HANDSHAKE, async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        drain(stream, MAX_DRAIN).await
    })
    .await;
}

/// Reads and forgets until the peer ends.
async fn drain<S: AsyncRead + Unpin>(stream: &mut S, mut most: usize) -> std::io::Result<()> {
    let mut chunk = vec![0; 16 << 10];
    while most > 0 {
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            n => most = most.saturating_sub(n),
        }
    }
    Ok(())
}

/// Ends a WebSocket with a Close frame.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    code: CloseCode,
    reason: &'static str,
) {
    let _ = timeout(HANDSHAKE, async {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _ = socket.close(Some(frame)).await;
        let stream = socket.get_mut();
        stream.flush().await?;
        stream.shutdown().await?;
        drain(stream, MAX_DRAIN).await
    })
    .await;
}

/// Why the conversation ended.
enum End {
    /// By the peer, or by a broken connection.
    Gone,
    /// The peer broke the rules of RFC 6455 or ours.
    Refused(CloseCode, &'static str),
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    server: Arc<Server>,
    mut socket: WebSocketStream<S>,
    peer: SocketAddr,
) {
    let Connection { id, mut events, overrun } = server.open_connection();
    tracing::info!(connection = id.0, %peer, "a client connected");
    let end = tokio::select! {
        end = converse(&server, id, &mut socket, &mut events) => Some(end),
        () = overrun.notified() => None,
    };
    let session = server.session_of(id);
    server.close_connection(id);
    let session = session.as_deref().unwrap_or("none");
    match end {
        None => tracing::warn!(connection = id.0, %peer, session, "closed a client that does not read its events"),
        Some(_) => tracing::info!(connection = id.0, %peer, session, "a client disconnected"),
    }
    if let Some(End::Refused(code, reason)) = end {
        refuse(socket, code, reason).await;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Arc<Server>,
    id: crate::ConnectionId,
    socket: &mut WebSocketStream<S>,
    events: &mut mpsc::Receiver<Utf8Bytes>,
) -> End {
    loop {
        let message = tokio::select! {
            event = events.recv() => match event {
                Some(event) => match send(socket, event).await {
                    Ok(()) => continue,
                    Err(_) => return End::Gone,
                },
                None => return End::Gone,
            },
            message = socket.next() => message,
        };
        let text: Utf8Bytes = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned().into(),
            // The library answers pings and closes by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => continue,
            Some(Err(error)) => return end_for(&error),
            None => return End::Gone,
        };
        if answer(server, id, socket, events, text).await.is_err() {
            return End::Gone;
        }
    }
}

/// Answers one message; events go out meanwhile. The work has a task of its own, so that a client that leaves in the middle
/// of an operation does not leave the operation half done.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Arc<Server>,
    id: crate::ConnectionId,
    socket: &mut WebSocketStream<S>,
    events: &mut mpsc::Receiver<Utf8Bytes>,
    text: Utf8Bytes,
) -> Result<(), WsError> {
    let server = server.clone();
    let mut answering = tokio::spawn(async move { server.handle_text(id, &text).await });
    loop {
        tokio::select! {
            answer = &mut answering => match answer {
                Ok(answer) => return send(socket, answer.into()).await,
                // Only when the runtime ends.
                Err(_) => return Err(WsError::ConnectionClosed),
            },
            Some(event) = events.recv() => send(socket, event).await?,
        }
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    text: Utf8Bytes,
) -> Result<(), WsError> {
    socket.send(Message::Text(text)).await
}

fn end_for(error: &WsError) -> End {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        WsError::Capacity(_) => End::Refused(CloseCode::Size, "A message was too large"),
        WsError::Utf8(_) => End::Refused(CloseCode::Invalid, "Invalid UTF8 encoding"),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        WsError::Protocol(_) => End::Refused(CloseCode::Protocol, ""),
        _ => End::Gone,
    }
}
