//! The TLS files that the configuration names: readable, fitting together, and still valid.

use super::{Config, Problem, secrets};
use cordon_core::time::Now;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::Path;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate that ends sooner than this is warned about, in seconds.
const SOON: i64 = 30 * 86_400;

/// What is wrong with the files, and what will soon be.
struct Checker<'a> {
    config: &'a Config,
    now: Now,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Looks at the files of every listener, of the management interface and of the uplink.
pub(super) fn check(config: &Config, now: Now) -> (Vec<Problem>, Vec<Problem>) {
    let mut checker = Checker { config, now, problems: Vec::new(), warnings: Vec::new() };
    for listener in &config.listeners {
        let Some(tls) = &listener.tls else { continue };
        let place = format!("listener {}: tls.", listener.name);
        checker.pair(&place, &tls.certificate, &tls.key);
        if let Some(authorities) = &tls.client_ca {
            checker.certificates(&format!("{place}client_ca"), authorities);
        }
        if let Some(crl) = &tls.crl {
            checker.revocations(&format!("{place}crl"), crl);
        }
    }
    if let Some(control) = &config.control {
        checker.pair("control.", &control.certificate, &control.key);
        checker.certificates("control.client_ca", &control.client_ca);
    }
    if let Some(uplink) = &config.uplink {
        checker.pair("uplink.", &uplink.link.certificate, &uplink.link.key);
        checker.certificates("uplink.ca", &uplink.link.ca);
    }
    (checker.problems, checker.warnings)
}

// === impl Checker ===

impl Checker<'_> {
    /// A certificate chain and the key of its first certificate.
    fn pair(&mut self, place: &str, certificate: &Path, key: &Path) {
        let chain = self.certificates(&format!("{place}certificate"), certificate);
        let key_path = format!("{place}key");
        // Whether the key file can be got at was looked at with the configuration.
        if key.as_os_str().is_empty() || !key.exists() {
            return;
        }
        let key = match PrivateKeyDer::from_pem_file(key) {
            Ok(key) => key,
            Err(error) => {
                let help = "give an unencrypted PKCS#8, PKCS#1 or SEC1 key in PEM form";
                return self.fault(&key_path, format!("{} has no usable key: {}", key.display(), said(&error)), help);
            }
        };
        let Some(chain) = chain else { return };
        let provider = rustls::crypto::ring::default_provider();
        if let Err(error) = rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
            let problem = format!("certificate and key do not fit together: {error}");
            self.fault(&key_path, problem, "give the key of the first certificate in the certificate file");
        }
    }

    /// A file of certificates; `None` after telling why there are none.
    fn certificates(&mut self, key: &str, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
        const HELP: &str = "give a file with -----BEGIN CERTIFICATE----- blocks";
        if path.as_os_str().is_empty() {
            return None;
        }
        if let Err(error) = std::fs::File::open(path) {
            let (problem, help) = secrets::unreadable(path, &error);
            self.fault(key, problem, &help);
            return None;
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let found = match read {
            Ok(found) if !found.is_empty() => found,
            Ok(_) => {
                self.fault(key, format!("{} has no certificate in it", path.display()), HELP);
                return None;
            }
            Err(error) => {
                self.fault(key, format!("{} cannot be used: {}", path.display(), said(&error)), HELP);
                return None;
            }
        };
        for der in &found {
            self.validity(key, path, der);
        }
        Some(found)
    }

    fn validity(&mut self, key: &str, path: &Path, der: &CertificateDer<'_>) {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            let help = "have the certificate made anew";
            return self.fault(
                key,
                format!("{} has something in it that is no X.509 certificate", path.display()),
                help,
            );
        };
        let now = i64::try_from(self.now.unix.secs()).unwrap_or(i64::MAX);
        let until = certificate.validity().not_after;
        let left = until.timestamp().saturating_sub(now);
        let what = match left {
            _ if certificate.validity().not_before.timestamp() > now => "is not valid yet",
            ..0 => "has expired",
            0..SOON => "will soon expire",
            _ => return,
        };
        let problem = format!("{} {what}; its last moment is {until}", path.display());
        self.warnings.push(self.config.problem(key, problem, "renew it, or correct the clock"));
    }

    fn revocations(&mut self, key: &str, path: &Path) {
        let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
        let help = "give a file with -----BEGIN X509 CRL----- blocks";
        match read {
            Ok(lists) if lists.is_empty() => self.fault(key, format!("{} has no list in it", path.display()), help),
            Ok(_) => {}
            Err(error) => self.fault(key, format!("{} cannot be used: {}", path.display(), said(&error)), help),
        }
    }

    fn fault(&mut self, key: &str, problem: String, help: &str) {
        self.problems.push(self.config.problem(key, problem, help));
    }
}

/// What the PEM reader says, without the bytes it saw.
fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is nothing of the kind in it".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        _ => "it is no well-formed PEM".to_owned(),
    }
}
