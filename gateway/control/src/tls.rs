//! The TLS side of the door: which certificates it takes, and why it did not take one.

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::sync::Arc;

/// What the server shows and whom it trusts, as read from files in PEM form.
#[derive(Clone)]
pub struct Identity {
    /// The server's certificate, followed by those between it and its authority.
    pub certificates: Vec<u8>,
    /// The private key of the first certificate. Never shown, not even in debug output.
    pub key: Vec<u8>,
    /// The certificates of the operator authorities.
    pub operator_authorities: Vec<u8>,
}

/// The identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate file holds no certificate or one that cannot be read.
    #[error("the {what} cannot be read: {reason}; give a file with `-----BEGIN CERTIFICATE-----` blocks")]
    Certificates {
        /// Which file.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file holds no private key or one that cannot be read.
    #[error(
        "the control server's private key cannot be read: {0}; give an unencrypted PKCS#8, PKCS#1 or SEC1 key in PEM form"
    )]
    Key(String),
    /// The parts do not fit together.
    #[error(
        "the control server's certificate and key cannot be used: {0}; check that the key belongs to the first certificate"
    )]
    Unusable(String),
}

/// Makes the TLS settings of a server: TLS 1.2 or later, a client certificate of the operator authorities required.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let authorities = certificates("operator authority", &identity.operator_authorities)?;
    let chain = certificates("control server's certificate", &identity.certificates)?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| TlsError::Key(error.to_string()))?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable(error.to_string()))?
        .with_client_cert_verifier(verifier(authorities, provider)?)
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Unusable(error.to_string()))?;
    config.alpn_protocols.push(b"h2".to_vec());
    // A resumed session would skip the check of a certificate that has expired since.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The operator's name: the one common name of the certificate's subject.
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    let usable = names.next().is_none() && !name.is_empty() && !name.contains(char::is_control);
    usable.then(|| name.to_owned())
}

/// Says in words why a handshake failed.
pub(crate) fn explain(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the peer closed the connection during the handshake".into(),
            _ => format!("the connection failed during the handshake: {error}"),
        };
    };
    match tls {
        rustls::Error::NoCertificatesPresented => "no client certificate was presented".into(),
        // An authority that only bears the right name gives a bad signature.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the client certificate is not signed by the operator authority".into()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the client certificate has expired".into()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the client certificate is not valid yet; check both clocks".into(),
        rustls::Error::InvalidCertificate(other) => format!("the client certificate is not acceptable: {other}"),
        rustls::Error::InvalidMessage(_) => "what arrived is not TLS".into(),
        rustls::Error::AlertReceived(alert) => format!("the peer ended the handshake: {alert:?}"),
        other => format!("the TLS handshake failed: {other}"),
    }
}

// === impl Identity ===

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = |reason: String| TlsError::Certificates { what: "operator authority", reason };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| unusable(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| unusable(error.to_string()))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificates { what, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(TlsError::Certificates { what, reason: "it holds no certificate".into() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use crate::testing::Pki;

    #[test]
    fn an_identity_that_cannot_be_used_says_which_part_and_what_to_do() {
        let good = Pki::new().server_identity();
        let other = Pki::new().server_identity();
        for (identity, said) in [
            (Identity { certificates: b"nonsense".to_vec(), ..good.clone() }, "control server's certificate"),
            (Identity { operator_authorities: Vec::new(), ..good.clone() }, "operator authority"),
            (Identity { key: b"-----BEGIN".to_vec(), ..good.clone() }, "private key"),
            (Identity { key: other.key, ..good.clone() }, "belongs to the first certificate"),
        ] {
            let error = server_config(&identity).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(server_config(&good).is_ok());
    }

    #[test]
    fn the_private_key_does_not_show_in_debug_output() {
        let identity = Pki::new().server_identity();
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
    }
}
