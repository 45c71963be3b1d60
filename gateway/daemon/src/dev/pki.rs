//! Certificates for development: two authorities and what they sign. ECDSA on P-256.

use super::files::{Folder, PUBLIC, SECRET};
use crate::clock;
use anyhow::{Context as _, Result, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// How long an authority is valid.
const AUTHORITY_DAYS: i64 = 3650;
/// How long what it signs is valid.
const LEAF_DAYS: i64 = 730;

/// An authority, with its key unless that was lost.
pub(super) struct Authority {
    issuer: Option<Issuer<'static, KeyPair>>,
    key_file: String,
}

/// What is signed.
pub(super) enum Leaf<'a> {
    /// A server on this machine.
    Server(&'a str),
    /// A client with this common name.
    Client(&'a str),
}

// === impl Authority ===

impl Authority {
    /// Reads `<file>.pem` and `<file>.key`, or makes them.
    pub(super) fn make(folder: &mut Folder, file: &str, name: &str) -> Result<Self> {
        let (certificate, key_file) = (format!("{file}.pem"), format!("{file}.key"));
        if folder.has(&certificate) && !folder.has(&key_file) {
            return Ok(Self { issuer: None, key_file });
        }
        let params = authority(name)?;
        let key = key(folder, &key_file)?;
        // The same name and key as before: what an authority signed stays valid when its certificate is made again.
        folder.make(&certificate, PUBLIC, || Ok(params.self_signed(&key)?.pem()))?;
        Ok(Self { issuer: Some(Issuer::new(params, key)), key_file })
    }

    /// Makes a key and a certificate for it, if either is missing.
    pub(super) fn issue(&self, folder: &mut Folder, certificate: &str, key_file: &str, leaf: Leaf<'_>) -> Result<()> {
        if folder.has(certificate) && folder.has(key_file) {
            return Ok(());
        }
        let issuer = self.issuer.as_ref().ok_or_else(|| {
            let lost = &self.key_file;
            anyhow!(
                "{lost} is gone, so {certificate} cannot be signed; put it back, or remove the folder to start afresh"
            )
        })?;
        let key = key(folder, key_file)?;
        let signed = params(leaf)?.signed_by(&key, issuer)?;
        folder.replace(certificate, PUBLIC, &signed.pem())
    }
}

fn key(folder: &mut Folder, file: &str) -> Result<KeyPair> {
    folder.make(file, SECRET, || Ok(KeyPair::generate()?.serialize_pem()))?;
    KeyPair::from_pem(&folder.read(file)?)
        .with_context(|| format!("{file} is no private key; remove it to have one made"))
}

fn authority(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

fn params(leaf: Leaf<'_>) -> Result<CertificateParams> {
    let (name, addresses, usage): (_, &[&str], _) = match leaf {
        Leaf::Server(name) => (name, &["localhost", "127.0.0.1", "::1"], ExtendedKeyUsagePurpose::ServerAuth),
        Leaf::Client(name) => (name, &[], ExtendedKeyUsagePurpose::ClientAuth),
    };
    let mut params = CertificateParams::new(addresses.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = named(name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    valid_for(&mut params, LEAF_DAYS);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From a day ago, for clients whose clock is behind.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let seconds = i64::try_from(clock::now().unix.secs()).unwrap_or(0);
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
}
