//! TLS for a listener: files into a configuration, and handshake failures into words.

use crate::config::{Auth, ListenerConfig, TlsFiles, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a listener's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or holds no usable PEM.
    #[error("{path}: {why}; it must be a readable PEM file", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// A listener that identifies clients by certificate names no authority.
    #[error("listener `{listener}`: `auth = \"certificate\"` needs `tls.client_ca`, the authorities of the devices")]
    NoAuthority {
        /// The listener.
        listener: String,
    },
    /// The files do not fit together.
    #[error("listener `{listener}`: {why}")]
    Unusable {
        /// The listener.
        listener: String,
        /// What rustls said.
        why: String,
    },
}

/// Reads a listener's files and builds its configuration.
pub(crate) fn server_config(listener: &ListenerConfig, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |why: String| TlsError::Unusable { listener: listener.name.clone(), why };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let builder = if listener.auth == Auth::Certificate {
        let ca = files.client_ca.as_deref().ok_or(TlsError::NoAuthority { listener: listener.name.clone() })?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(format!("{}: {error}", ca.display())))?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(path) = &files.crl {
            let crls: Result<Vec<_>, _> = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
            verifier = verifier.with_crls(crls.map_err(|error| unreadable(path, &error))?);
            verifier = verifier.allow_unknown_revocation_status();
        }
        builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(error.to_string()))?)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, &error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| unusable(format!("`tls.certificate` and `tls.key` do not fit together: {error}")))?;
    config.alpn_protocols = match listener.transport {
        Transport::Tcp => vec![b"mqtt".to_vec(), b"x-amzn-mqtt-ca".to_vec()],
        // What browsers offer; HTTP/2 begins a WebSocket in another way.
        Transport::WebSocket(_) => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// A handshake failure in words that an operator can act on, and whether the client's certificate was the cause.
pub(crate) fn describe(error: &rustls::Error) -> (String, bool) {
    match error {
        rustls::Error::NoCertificatesPresented => ("the client presented no certificate".to_owned(), true),
        rustls::Error::InvalidCertificate(why) => {
            let why = match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
                CertificateError::Revoked => "it has been revoked",
                CertificateError::UnknownIssuer => "its authority is not one of `client_ca`",
                CertificateError::BadSignature => "its signature is wrong",
                other => return (format!("the client's certificate was refused: {other:?}"), true),
            };
            (format!("the client's certificate was refused: {why}"), true)
        }
        other => (other.to_string(), false),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::File { path: path.to_owned(), why: "no certificate found".to_owned() });
    }
    Ok(found)
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), why: error.to_string() }
}
