//! The broker under load, and how clients get in: by nothing, by user name and password, or by certificate.

use super::client::{Client, PATIENCE};
use super::wire::Wire;
use crate::Options;
use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The broker, and what clients need to get in.
pub(crate) struct Target {
    address: SocketAddr,
    user: Option<String>,
    password: Option<String>,
    certificates: Option<PathBuf>,
    /// TLS configurations by identity; to read one from disk costs more than a handshake.
    tls: Mutex<BTreeMap<String, Arc<ClientConfig>>>,
    topic: String,
    /// The broker's process, to measure.
    pub(crate) pid: Option<u32>,
}

// === impl Target ===

impl Target {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let host = options.text("host").unwrap_or("127.0.0.1");
        let address = format!("{host}:{}", options.number("port", 1883)?);
        let address: SocketAddr = address.parse().with_context(|| address.clone())?;
        ensure!(address.ip().is_loopback(), "{address}: load is only sent to loopback addresses");
        Ok(Self {
            address,
            user: options.text("user").map(str::to_owned),
            password: options.text("password").map(str::to_owned),
            certificates: options.text("certificates").map(PathBuf::from),
            tls: Mutex::default(),
            topic: options.text("topic").unwrap_or("plant/{}/telemetry").to_owned(),
            pid: options.text("pid").map(str::parse).transpose()?,
        })
    }

    /// The same broker by another port, where nobody has to show who it is.
    pub(crate) fn anonymous(&self, port: u16) -> Self {
        Self {
            address: SocketAddr::new(self.address.ip(), port),
            user: None,
            password: None,
            certificates: None,
            tls: Mutex::default(),
            topic: self.topic.clone(),
            pid: self.pid,
        }
    }

    /// The topic of the client called `name`; `+` for the filter of all.
    pub(crate) fn topic(&self, name: &str) -> String {
        self.topic.replace("{}", name)
    }

    /// Connects the client called `name`.
    pub(crate) fn connect(&self, name: &str) -> Result<Client> {
        self.connect_as(name, name)
    }

    /// Connects one of several clients that share an identity.
    pub(crate) fn connect_as(&self, identity: &str, client_id: &str) -> Result<Client> {
        let identity = self.user.as_deref().unwrap_or(identity);
        let client_id = self.user.as_ref().map_or_else(|| client_id.to_owned(), |user| format!("{user}-{client_id}"));
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let wire = match &self.certificates {
            None => Wire::Plain(socket),
            Some(folder) => {
                let config = self.tls(folder, identity)?;
                let session = ClientConnection::new(config, ServerName::from(self.address.ip()))?;
                Wire::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let login = self.password.as_deref().map(|password| (identity, password));
        Client::open(wire, &client_id, login)
    }

    fn tls(&self, folder: &Path, identity: &str) -> Result<Arc<ClientConfig>> {
        let mut known = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(identity) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(configure(folder, identity).with_context(|| format!("{identity} in {folder:?}"))?);
        known.insert(identity.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

/// Mutual TLS 1.3 with a full handshake each time.
fn configure(folder: &Path, identity: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{identity}.cert.pem")))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{identity}.key.pem")))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}
