//! The process's DTLS certificate: ECDSA on P-256, made once or read from a PEM file (str0m's DTLS knows no RSA).

use super::event::CertificateReport;
use crate::sdp::{Fingerprint, base64};
use std::panic::catch_unwind;
use std::time::Instant;
use str0m::config::DtlsCert;
use str0m::crypto::dtls::DtlsVersion;
use str0m::crypto::from_feature_flags;

pub struct Certificate {
    pub(super) cert: DtlsCert,
    fingerprint: Fingerprint,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the DTLS library cannot make a certificate")]
    NotMade,
    #[error("the PEM text holds no {0}")]
    Missing(&'static str),
    #[error("the private key is protected by a passphrase, which nobody can be asked for: write it without one")]
    Passphrase,
    #[error("the certificate or its key is not one that DTLS can use here (ECDSA P-256 or P-384)")]
    NotUsable,
}

impl Certificate {
    /// A self-signed certificate with a key of its own.
    pub fn generate() -> Result<Self, CertificateError> {
        let cert = from_feature_flags().dtls_provider.generate_certificate().ok_or(CertificateError::NotMade)?;
        Ok(Self::new(cert))
    }

    /// A certificate and its private key (PKCS#8 or SEC 1) in one PEM text. `now` is any instant: the key is tried once.
    pub fn from_pem(pem: &str, now: Instant) -> Result<Self, CertificateError> {
        let certificate = block(pem, |label| label == "CERTIFICATE").ok_or(CertificateError::Missing("CERTIFICATE"))?;
        let certificate = decode_base64(certificate.1).ok_or(CertificateError::Missing("CERTIFICATE"))?;
        let key = block(pem, |label| label.ends_with("PRIVATE KEY")).ok_or(CertificateError::Missing("PRIVATE KEY"))?;
        if asks_passphrase(key.0) {
            return Err(CertificateError::Passphrase);
        }
        let cert = DtlsCert { certificate, private_key: key.0.as_bytes().to_vec() };
        // The library panics over a key that it cannot use, and only when a session is built: find out now.
        let tried =
            catch_unwind(|| from_feature_flags().dtls_provider.new_dtls(&cert, now, DtlsVersion::Auto, None).is_ok());
        if tried.unwrap_or(false) { Ok(Self::new(cert)) } else { Err(CertificateError::NotUsable) }
    }

    fn new(cert: DtlsCert) -> Self {
        let fingerprint = fingerprint(&cert.certificate);
        Certificate { cert, fingerprint }
    }

    /// What our descriptions say of it (RFC 8122).
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }
}

/// Of a certificate in DER.
fn fingerprint(der: &[u8]) -> Fingerprint {
    let bytes = from_feature_flags().sha256_provider.sha256(der).to_vec();
    Fingerprint { algorithm: "sha-256".to_owned(), bytes }
}

impl CertificateReport {
    pub(super) fn new(der: Vec<u8>) -> Self {
        CertificateReport { fingerprint: fingerprint(&der), der }
    }
}

/// Whether a private key in this PEM text is encrypted: in PKCS#8, or as OpenSSL wrote them before (RFC 1421, section 4.6).
pub fn asks_passphrase(pem: &str) -> bool {
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED")
}

/// A PEM block with its armour, and what lies between.
fn block(pem: &str, wanted: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let mut rest = pem;
    loop {
        let start = rest.find("-----BEGIN ")?;
        let after = &rest[start + 11..];
        let label = &after[..after.find("-----")?];
        let end_line = format!("-----END {label}-----");
        let end = after.find(&end_line)?;
        if wanted(label) {
            let whole = &rest[start..start + 11 + end + end_line.len()];
            return Some((whole, &after[label.len() + 5..end]));
        }
        rest = &after[end + end_line.len()..];
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    base64::decode(&text.split_ascii_whitespace().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the library wants an instant, any will do")]
    fn what_is_no_certificate_is_refused_and_nothing_panics() {
        let now = Instant::now();
        assert!(matches!(Certificate::from_pem("", now), Err(CertificateError::Missing("CERTIFICATE"))));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Certificate::from_pem(empty, now), Err(CertificateError::Missing("PRIVATE KEY"))));
        let nonsense = format!("{empty}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        assert!(matches!(Certificate::from_pem(&nonsense, now), Err(CertificateError::NotUsable)));
        for locked in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
        ] {
            let refused = Certificate::from_pem(&format!("{empty}{locked}"), now);
            assert!(matches!(refused, Err(CertificateError::Passphrase)));
        }
        assert_eq!(decode_base64("aGVs\nbG8=\n"), Some(b"hello".to_vec()));
        assert_eq!(Certificate::generate().expect("a certificate").fingerprint().bytes.len(), 32);
    }
}
