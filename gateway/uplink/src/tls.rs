//! The TLS side of the uplink: mutual, rustls on ring, TLS 1.2 and 1.3.

use crate::config::Config;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ALPN name under which AWS IoT Core speaks MQTT with client certificates on port 443.
const ALPN_ON_443: &[u8] = b"x-amzn-mqtt-ca";

/// The gateway's own TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {what} from {}: {error}", path.display())]
    Unreadable { what: &'static str, path: PathBuf, error: pem::Error },
    #[error("{} has no usable certificate in it", path.display())]
    NoAuthority { path: PathBuf },
    #[error("certificate {} and key {} do not go together: {error}", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf, error: rustls::Error },
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Reads the files afresh, so that a renewed certificate is used from the next connection on. Blocks on the disk.
pub(crate) fn client_config(config: &Config) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("the authorities", &config.ca)?);
    if roots.is_empty() {
        return Err(TlsError::NoAuthority { path: config.ca.clone() });
    }
    let chain = certificates("the gateway's certificate", &config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| TlsError::Unreadable {
        what: "the gateway's key",
        path: config.key.clone(),
        error,
    })?;
    let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| TlsError::Mismatch {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            error,
        })?;
    if config.port == 443 {
        tls.alpn_protocols = vec![ALPN_ON_443.to_vec()];
    }
    Ok(Arc::new(tls))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { what, path: path.to_owned(), error };
    CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}
