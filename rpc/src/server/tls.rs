//! TLS for listeners and for the outgoing registrar connection.
//!
//! What enters: the path of one PEM file with the certificate chain and the private key. What leaves: rustls configurations.
//! What it must never know: what is sent over the connection.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// A certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the PEM file: {0}")]
    Pem(#[from] pem::Error),
    #[error("the PEM file holds no certificate")]
    NoCertificate,
    #[error("the private key is protected by a passphrase, which nobody can be asked for: write it without one")]
    Passphrase,
    #[error("the certificate or key cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
}

/// For a listener: TLS 1.2 and 1.3, no client certificates.
pub fn server_config(pem_file: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(pem_file)?.collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let pem = std::fs::read(pem_file).map_err(pem::Error::Io)?;
    if rivero_transport::webrtc::asks_passphrase(&String::from_utf8_lossy(&pem)) {
        return Err(TlsError::Passphrase);
    }
    let key = PrivateKeyDer::from_pem_slice(&pem)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// For the registrar, which accepts any certificate, as Kurento's does.
pub fn trusting_client_config() -> Result<Arc<ClientConfig>, TlsError> {
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

    #[test]
    fn a_key_behind_a_passphrase_is_refused_by_name() {
        let file = std::env::temp_dir().join(format!("rivero-tls-{}.pem", std::process::id()));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        std::fs::write(&file, format!("{certificate}{key}")).expect("a temporary file");
        let refused = server_config(&file);
        std::fs::remove_file(&file).expect("it was written");
        assert!(matches!(refused, Err(TlsError::Passphrase)));
    }
}
