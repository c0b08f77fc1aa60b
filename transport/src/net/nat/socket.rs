//! The connection to a TURN server: UDP, TCP, or TLS over TCP.
//!
//! Enters: the server's address, bytes to send. Leaves: bytes as they come, why there is no connection. It must never know
//! what the bytes say.
//!
//! The certificate of a TLS server is not verified. Servers are configured by IP address as a rule, which few certificates
//! name; neither the password nor media depend on it: the one never crosses the wire (RFC 8489, section 9.2), the other is
//! encrypted end to end. TLS serves to get through firewalls.

use super::address::{Host, TurnTransport, TurnUrl};
use super::relay::RelayError;
use crate::net::Mark;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

/// How long each step of connecting may take: the name, TCP, TLS.
const STEP: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Bytes that wait for a slow stream before media is dropped.
const PENDING: usize = 256 << 10;

pub trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

type Stream = std::pin::Pin<Box<dyn Duplex>>;

pub enum Reader {
    Udp(Rc<UdpSocket>),
    Stream(ReadHalf<Stream>),
}

pub enum Writer {
    Udp(Rc<UdpSocket>),
    Stream { half: WriteHalf<Stream>, pending: Vec<u8>, flushed: bool },
}

/// Connects to the first address of the server that can be reached; what is sent there is marked. Returns it with both directions.
///
/// Errors: the name has no address, or that of the last address.
pub async fn connect(url: &TurnUrl, mark: Mark) -> Result<(SocketAddr, Reader, Writer), RelayError> {
    let mut last = RelayError::Name(io::ErrorKind::AddrNotAvailable.into());
    for server in within(url.server.resolve()).await.map_err(RelayError::Name)?.into_iter().take(ADDRESSES) {
        match connect_to(server, url, mark).await {
            Ok((reader, writer)) => return Ok((server, reader, writer)),
            Err(why) => last = why,
        }
    }
    Err(last)
}

async fn connect_to(server: SocketAddr, url: &TurnUrl, mark: Mark) -> Result<(Reader, Writer), RelayError> {
    let unreachable = |why| RelayError::Unreachable(server, why);
    if url.transport == TurnTransport::Udp {
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(unreachable)?;
        socket.connect(server).await.map_err(unreachable)?;
        mark.apply(SockRef::from(&socket), server.ip());
        let socket = Rc::new(socket);
        return Ok((Reader::Udp(socket.clone()), Writer::Udp(socket)));
    }
    let tcp = within(TcpStream::connect(server)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    mark.apply(SockRef::from(&tcp), server.ip());
    let stream: Stream = if url.transport == TurnTransport::Tls {
        let name = match &url.server.host {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|why| tls(io::Error::other(why)))?,
        };
        let connector = TlsConnector::from(trusting_config().map_err(|why| tls(io::Error::other(why)))?);
        Box::pin(within(connector.connect(name, tcp)).await.map_err(tls)?)
    } else {
        Box::pin(tcp)
    };
    let (half, writer) = tokio::io::split(stream);
    Ok((Reader::Stream(half), Writer::Stream { half: writer, pending: Vec::new(), flushed: true }))
}

fn tls(why: io::Error) -> RelayError {
    RelayError::Tls(why)
}

async fn within<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(STEP, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Reader {
    /// Waits for one datagram, or for some bytes of the stream. May be given up at any time.
    ///
    /// Errors: the connection is of no use any longer, except `ConnectionRefused` on UDP, which anybody can forge.
    pub async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Udp(socket) => socket.recv(room).await,
            Reader::Stream(half) => match half.read(room).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            },
        }
    }

    /// The next datagram that is here already; a stream's bytes come all at once anyway.
    pub fn read_more(&mut self, room: &mut [u8]) -> Option<usize> {
        match self {
            Reader::Udp(socket) => socket.try_recv(room).ok(),
            Reader::Stream(_) => None,
        }
    }
}

impl Writer {
    /// Sends a datagram if the kernel has room, as on any network; puts bytes in the stream's line.
    pub fn write(&mut self, bytes: &[u8]) {
        match self {
            Writer::Udp(socket) => {
                if let Err(why) = socket.try_send(bytes) {
                    tracing::trace!("a datagram to the TURN server was not sent: {why}");
                }
            }
            Writer::Stream { pending, .. } => pending.extend(bytes),
        }
    }

    /// Too much waits already: media had better be dropped.
    pub fn is_full(&self) -> bool {
        matches!(self, Writer::Stream { pending, .. } if pending.len() >= PENDING)
    }

    /// Whether [`Writer::progress`] has something to do.
    pub fn is_busy(&self) -> bool {
        matches!(self, Writer::Stream { pending, flushed, .. } if !pending.is_empty() || !flushed)
    }

    /// Sends what waits. May be given up at any time.
    pub async fn progress(&mut self) -> io::Result<()> {
        let Writer::Stream { half, pending, flushed } = self else { return Ok(()) };
        if pending.is_empty() {
            half.flush().await?;
            *flushed = true;
        } else {
            let count = half.write(pending).await?;
            pending.drain(..count);
            *flushed = false;
        }
        Ok(())
    }

    /// Ends the connection in an orderly way, if that takes no time.
    pub async fn close(mut self) {
        if let Writer::Stream { half, .. } = &mut self {
            let _ = tokio::time::timeout(Duration::from_millis(100), half.shutdown()).await;
        }
    }
}

fn trusting_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trust = Arc::new(TrustAll(provider.clone()));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(trust).with_no_client_auth()))
}

#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_to_the_server_is_marked() {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let ports = [udp.local_addr(), tcp.local_addr()].map(|address| address.expect("it is bound").port());
        let url = |port: u16, transport: &str| -> TurnUrl {
            format!("user:password@127.0.0.1:{port}?transport={transport}").parse().expect("a URL")
        };
        let mark = Mark::dscp(46);
        let (_, reader, _) = connect(&url(ports[0], "udp"), mark).await.expect("a socket");
        let Reader::Udp(socket) = reader else { panic!("a URL of UDP") };
        assert_eq!(SockRef::from(&*socket).tos_v4().expect("Linux tells it"), 46 << 2);
        connect(&url(ports[1], "tcp"), mark).await.expect("it listens, and the mark is no obstacle");
    }
}
