//! What the clients of one thread share of cryptography: a certificate, and str0m's provider with a window in it through
//! which the SRTP profile that was agreed on can be seen.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use str0m::config::Fingerprint;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// The profile of one client, once its handshake is through.
pub type Agreed = Arc<Mutex<Option<SrtpProfile>>>;

pub struct Crypto {
    windowed: &'static Windowed,
    pub provider: Arc<CryptoProvider>,
    pub certificate: DtlsCert,
    /// `sha-256 AA:BB…`
    pub fingerprint: String,
}

impl Crypto {
    /// Leaks a few bytes, because str0m wants its providers for ever: call once a thread.
    pub fn new() -> Self {
        let base = from_feature_flags();
        let windowed: &'static Windowed =
            Box::leak(Box::new(Windowed { inner: base.dtls_provider, next: Mutex::new(None) }));
        let certificate = windowed.generate_certificate().expect("aws-lc-rs makes certificates");
        let digest = base.sha256_provider.sha256(&certificate.certificate);
        let fingerprint = Fingerprint { hash_func: "sha-256".to_owned(), bytes: digest.to_vec() }.to_string();
        let provider = Arc::new(CryptoProvider { dtls_provider: windowed, ..base });
        Crypto { windowed, provider, certificate, fingerprint }
    }

    /// The next client that is built on this thread tells its profile here.
    pub fn watch_next(&self) -> Agreed {
        let agreed = Agreed::default();
        *locked(&self.windowed.next) = Some(agreed.clone());
        agreed
    }
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[derive(Debug)]
struct Windowed {
    inner: &'static dyn DtlsProvider,
    next: Mutex<Option<Agreed>>,
}

impl DtlsProvider for Windowed {
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
        let agreed = locked(&self.next).take().unwrap_or_default();
        Ok(Box::new(Watched { inner, agreed }))
    }
}

#[derive(Debug)]
struct Watched {
    inner: Box<dyn DtlsInstance>,
    agreed: Agreed,
}

impl DtlsInstance for Watched {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.inner.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(_, profile) = &output {
            *locked(&self.agreed) = Some(*profile);
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
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

    // The trait's own answers to these two are "never", with which closing would not end.
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
