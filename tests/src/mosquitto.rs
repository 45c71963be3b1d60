//! Mosquitto on this machine: its broker as a far side, and its clients as devices and tools.
//!
//! Nothing is installed here. [`installed`] tells whether a program is there; a test that needs one that is not counts
//! as ignored.

use crate::pki::{Identity, Pki};
use crate::process::{Process, Watch};
use anyhow::{Context as _, Result};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::TcpSocket;

/// Where programs are that `PATH` does not lead everybody to.
const ELSEWHERE: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A Mosquitto that asks for certificates of an authority; a client is who its certificate's common name says.
pub struct Mosquitto {
    config: PathBuf,
    acl: PathBuf,
    port: u16,
    /// Bound and never listening, so that the port stays ours while the broker is down.
    _held: TcpSocket,
    running: Option<Process>,
}

/// Where a program is, if it is installed.
#[must_use]
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ELSEWHERE.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// One of Mosquitto's clients.
///
/// # Errors
/// When it is not installed.
pub fn client(program: &str) -> Result<Command> {
    Ok(Command::new(installed(program).with_context(|| format!("{program} is not installed"))?))
}

/// A client that shows this certificate to `localhost`.
///
/// # Errors
/// When it is not installed.
pub fn client_with(program: &str, port: u16, authority: &Path, identity: &Identity) -> Result<Command> {
    let mut command = client(program)?;
    command.args(["-h", "localhost", "-p", &port.to_string(), "--cafile"]).arg(authority);
    command.arg("--cert").arg(&identity.certificate).arg("--key").arg(&identity.key);
    Ok(command)
}

// === impl Mosquitto ===

impl Mosquitto {
    /// Writes the configuration into `dir` for a free loopback port. It does not run yet.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepared(dir: &Path, pki: &Pki) -> Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.set_reuseaddr(true)?;
        held.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let port = held.local_addr()?.port();
        let identity = pki.server("mosquitto", &["localhost", "127.0.0.1"])?;
        let (config, acl) = (dir.join("mosquitto.conf"), dir.join("acl"));
        // `user root` matters where the tests run as root: otherwise it becomes a user who cannot read the key.
        fs::write(
            &config,
            format!(
                "user root\npersistence false\nlog_dest stderr\nlog_type all\nallow_anonymous false\n\
                 listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n\
                 require_certificate true\nuse_identity_as_username true\nacl_file {}\n",
                pki.ca().display(),
                identity.certificate.display(),
                identity.key.display(),
                acl.display(),
            ),
        )?;
        let mosquitto = Self { config, acl, port, _held: held, running: None };
        mosquitto.permit("pattern readwrite #\npattern readwrite $aws/#\n")?;
        Ok(mosquitto)
    }

    /// Replaces the access control list; in force from the next start on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn permit(&self, acl: &str) -> Result<()> {
        Ok(fs::write(&self.acl, acl)?)
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// With what it said, when it does not.
    pub fn start(&mut self) -> Result<()> {
        let process = Process::start(client("mosquitto")?.arg("-c").arg(&self.config), Watch::Errors)?;
        process.line_with(" running")?;
        self.running = Some(process);
        Ok(())
    }

    /// Waits until it says something with `part` in it.
    ///
    /// # Errors
    /// With what it said, when it does not.
    pub fn says(&self, part: &str) -> Result<String> {
        self.running.as_ref().context("Mosquitto is not running")?.line_with(part)
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.running.take().context("Mosquitto is not running")?;
        process.signal("TERM")?;
        process.end()?;
        Ok(())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
