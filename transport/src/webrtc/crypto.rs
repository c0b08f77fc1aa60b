//! The seam into str0m's cryptography: a DTLS provider of ours around the built-in one, which sees the progress of each
//! handshake and the keying material that comes out of it (RFC 5764). The sending half needs those keys. A handshake waits for as
//! long as its session says: once begun it has half a minute, which must not pass while ICE still waits for the peer.
//!
//! str0m wants its providers for ever (`&'static`), so one is leaked for each worker thread, never for a session. Which
//! handshake belongs to which session: the session places a watch, builds its `Rtc`, and the provider gives the watch to the
//! handshake that is created meanwhile, on the same thread.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// Datagrams that may come between the first answer of the peer and the end of ICE's checks: one flight of a handshake.
const MOST_EARLY: usize = 8;
/// Until it begins a handshake needs no waking: ten years.
const LATER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What a handshake has come to.
#[derive(Debug, Default)]
pub struct Handshake {
    /// It must not begin yet: nothing is sent, and what comes waits.
    pub waits: bool,
    /// SRTP master keys and salts: client key, server key, client salt, server salt.
    pub keys: Option<(Vec<u8>, SrtpProfile)>,
    pub connected: bool,
    /// The peer's certificate, in DER.
    pub peer: Option<Vec<u8>>,
    pub closed: bool,
}

/// A handshake as its session sees it. The lock is never contended: both ends live on one thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Handshake>>);

impl Watch {
    pub fn look(&self) -> MutexGuard<'_, Handshake> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One worker thread's provider.
pub struct WorkerCrypto {
    dtls: &'static WatchedProvider,
    provider: Arc<CryptoProvider>,
}

impl WorkerCrypto {
    /// Leaks a few bytes: call once a worker thread.
    #[allow(clippy::new_without_default, reason = "not something to be made casually")]
    pub fn new() -> Self {
        let base = from_feature_flags();
        let dtls: &'static WatchedProvider =
            Box::leak(Box::new(WatchedProvider { inner: base.dtls_provider, next: Mutex::new(None) }));
        WorkerCrypto { dtls, provider: Arc::new(CryptoProvider { dtls_provider: dtls, ..base }) }
    }

    pub fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }

    /// The next session that is built on this thread reports here.
    pub fn watch_next(&self) -> Watch {
        let watch = Watch::default();
        *self.dtls.next() = Some(watch.clone());
        watch
    }
}

#[derive(Debug)]
struct WatchedProvider {
    inner: &'static dyn DtlsProvider,
    next: Mutex<Option<Watch>>,
}

impl WatchedProvider {
    fn next(&self) -> MutexGuard<'_, Option<Watch>> {
        self.next.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl DtlsProvider for WatchedProvider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.inner.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = self.inner.new_dtls(cert, now, version, mtu)?;
        Ok(match self.next().take() {
            Some(watch) => {
                let begun = !watch.look().waits;
                Box::new(Watched { inner, watch, built: now, begun, early: Vec::new() })
            }
            None => inner,
        })
    }
}

#[derive(Debug)]
struct Watched {
    inner: Box<dyn DtlsInstance>,
    watch: Watch,
    built: Instant,
    begun: bool,
    /// What came, or was handed in to make a client speak first, before it began.
    early: Vec<Vec<u8>>,
}

impl DtlsInstance for Watched {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if self.begun {
            return self.inner.handle_packet(packet);
        }
        if self.early.len() < MOST_EARLY {
            self.early.push(packet.to_vec());
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        if !self.begun {
            // A time that is past makes str0m call at once, with the present one.
            let wait = if self.watch.look().waits { LATER } else { Duration::ZERO };
            return DtlsOutput::Timeout(self.built + wait);
        }
        let output = self.inner.poll_output(buf);
        match &output {
            DtlsOutput::Connected => self.watch.look().connected = true,
            DtlsOutput::KeyingMaterial(keys, profile) => self.watch.look().keys = Some((keys.to_vec(), *profile)),
            DtlsOutput::PeerCert(der) => self.watch.look().peer = Some(der.to_vec()),
            DtlsOutput::CloseNotify => self.watch.look().closed = true,
            _ => {}
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        if !self.begun {
            if self.watch.look().waits {
                return Ok(());
            }
            self.begun = true;
            self.inner.handle_timeout(now)?;
            return self.early.drain(..).try_for_each(|packet| self.inner.handle_packet(&packet));
        }
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    // The trait's own answers to these two are "never", with which no session would ever finish closing.
    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
