//! Certificates for tests: an authority, and the good and bad leaves it signs.
//!
//! Everything is written as PEM below one directory, private keys with mode 0600, and is made afresh for each test.

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An authority for tests and the directory that holds what it signed.
pub struct Pki {
    dir: PathBuf,
    name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf certificate and its private key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with the private key, mode 0600.
    pub key: PathBuf,
}

#[derive(Clone, Copy)]
enum Validity {
    Current,
    Expired,
}

#[derive(Clone, Copy)]
enum Role {
    Server,
    Client,
}

// === impl Pki ===

impl Pki {
    /// Makes an authority called `name` and writes its certificate to `<dir>/ca.pem`.
    pub fn create(dir: &Path, name: &str) -> Result<Self> {
        Self::with_key(dir, name, KeyPair::generate()?)
    }

    /// The authority called `name` whose private key is in the PEM file `key`: what it signs into `dir` is as good as what
    /// the owner of that key signs.
    pub fn adopt(dir: &Path, name: &str, key: &Path) -> Result<Self> {
        let pem = fs::read_to_string(key).with_context(|| format!("cannot read {}", key.display()))?;
        Self::with_key(dir, name, KeyPair::from_pem(&pem)?)
    }

    fn with_key(dir: &Path, name: &str, key: KeyPair) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        let pki = Self { dir: dir.to_owned(), name: name.to_owned(), issuer };
        fs::write(pki.ca(), pki.issuer.pem())?;
        Ok(pki)
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A server certificate for these DNS names and IP addresses.
    pub fn server(&self, name: &str, sans: &[&str]) -> Result<Identity> {
        self.leaf(name, name, sans, Role::Server, Validity::Current)
    }

    /// A server certificate that was valid once.
    pub fn expired_server(&self, name: &str, sans: &[&str]) -> Result<Identity> {
        self.leaf(&format!("{name}.expired"), name, sans, Role::Server, Validity::Expired)
    }

    /// A client certificate with this common name.
    pub fn client(&self, common_name: &str) -> Result<Identity> {
        self.leaf(common_name, common_name, &[], Role::Client, Validity::Current)
    }

    /// A client certificate that was valid once.
    pub fn expired_client(&self, common_name: &str) -> Result<Identity> {
        self.leaf(&format!("{common_name}.expired"), common_name, &[], Role::Client, Validity::Expired)
    }

    /// A client certificate from another authority that bears the same name as this one.
    pub fn foreign_client(&self, common_name: &str) -> Result<Identity> {
        Self::create(&self.dir.join("foreign"), &self.name)?.client(common_name)
    }

    /// A TLS server configuration that shows `identity` and asks for a client certificate of this authority.
    pub fn mutual_server(&self, identity: &Identity) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, Arc::clone(&provider)).build()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain()?, identity.private_key()?)?;
        Ok(Arc::new(config))
    }

    /// A TLS client configuration that trusts this authority and shows `identity`, if any.
    pub fn client_config(&self, identity: Option<&Identity>) -> Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        Ok(Arc::new(match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain()?, identity.private_key()?)?,
            None => builder.with_no_client_auth(),
        }))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        Ok(Arc::new(roots))
    }

    fn leaf(&self, file: &str, name: &str, sans: &[&str], role: Role, validity: Validity) -> Result<Identity> {
        let mut params = CertificateParams::new(sans.iter().map(|san| (*san).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name = common_name(name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match role {
            Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        if let Validity::Expired = validity {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.dir.join(format!("{file}.cert.pem")),
            key: self.dir.join(format!("{file}.key.pem")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        write_private(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }
}

// === impl Identity ===

impl Identity {
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        Ok(CertificateDer::pem_file_iter(&self.certificate)?.collect::<Result<_, _>>()?)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::from_pem_file(&self.key)?)
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn write_private(path: &Path, pem: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn private_keys_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::create(dir.path(), "test authority").unwrap();
        for identity in [pki.server("gateway", &["localhost", "127.0.0.1"]).unwrap(), pki.client("press-01").unwrap()] {
            assert_eq!(fs::metadata(&identity.key).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(identity.chain().unwrap().len(), 1);
        }
    }
}
