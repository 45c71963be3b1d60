//! The real binary, started as a process of its own in a directory of its own, on ports of its own.

use crate::device::{DEADLINE, Options};
use crate::pki::{Identity, Pki};
use crate::process::{Process, Watch};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A gateway in development mode.
pub struct Gateway {
    home: TempDir,
    ports: Ports,
    child: Option<Child>,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// MQTT with user name and password.
    pub mqtt: u16,
    /// MQTT over mutual TLS.
    pub mqtts: u16,
    /// The management interface.
    pub control: u16,
    /// The metrics endpoint.
    pub metrics: u16,
}

/// The path of the binary under test: `CORDON`, or what was built beside this test.
///
/// # Errors
/// When there is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("CORDON") {
        return Ok(given.into());
    }
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(Path::parent).map(|dir| dir.join("cordon")).unwrap_or_default();
    ensure!(
        built.is_file(),
        "{} is missing: run `cargo test --workspace`, or `cargo build -p cordon` before a single test",
        built.display()
    );
    Ok(built)
}

// === impl Ports ===

impl Ports {
    /// Four ports that are free now.
    ///
    /// # Errors
    /// When the system has none.
    pub fn free() -> Result<Self> {
        let held: Vec<TcpListener> =
            (0..4).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let mut ports = held.iter().map(|socket| socket.local_addr().map(|address| address.port()));
        let mut next = || -> Result<u16> { Ok(ports.next().context("four were asked for")??) };
        Ok(Self { mqtt: next()?, mqtts: next()?, control: next()?, metrics: next()? })
    }
}

// === impl Gateway ===

impl Gateway {
    /// Prepares a fresh development directory and starts the gateway on it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> Result<Self> {
        let mut gateway = Self::prepare()?;
        gateway.run()?;
        Ok(gateway)
    }

    /// Starts once to let the directory be made, and stops again, so that a test can change its files first.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn prepared() -> Result<Self> {
        let mut gateway = Self::start()?;
        gateway.stop()?;
        Ok(gateway)
    }

    fn prepare() -> Result<Self> {
        Ok(Self { home: tempfile::tempdir()?, ports: Ports::free()?, child: None })
    }

    /// Starts the process and waits until it says that it is ready.
    ///
    /// # Errors
    /// With what it printed, when it ends or stays silent.
    pub fn run(&mut self) -> Result<()> {
        let mut child = self
            .command()?
            .args(["serve", "--dev"])
            .args(["--mqtt-port", &self.ports.mqtt.to_string()])
            .args(["--mqtts-port", &self.ports.mqtts.to_string()])
            .args(["--control-port", &self.ports.control.to_string()])
            .args(["--metrics-port", &self.ports.metrics.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(self.log())?)
            .spawn()?;
        let output = child.stdout.take().context("stdout is piped")?;
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for text in BufReader::new(output).lines().map_while(Result::ok) {
                line.send(text).ok();
            }
        });
        self.child = Some(child);
        let end = Instant::now() + DEADLINE * 3;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(text) if text.contains("ready") => return Ok(()),
                Ok(_) => {}
                Err(_) => bail!("the gateway did not get ready:\n{}", fs::read_to_string(self.log())?),
            }
        }
    }

    /// Kills the process without warning.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the gateway is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks the process to stop, as systemd does, and waits for its end.
    ///
    /// # Errors
    /// When it fails or does not end in time; it is killed then.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the gateway is not running")?;
        signal(child.id(), "TERM")?;
        let id = child.id();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait()));
        let Ok(status) = end.recv_timeout(DEADLINE * 2) else {
            signal(id, "KILL")?;
            bail!("the gateway did not stop within {:?}:\n{}", DEADLINE * 2, fs::read_to_string(self.log())?);
        };
        let status = status?;
        ensure!(status.success(), "the gateway ended with {status}:\n{}", fs::read_to_string(self.log())?);
        Ok(())
    }

    /// Asks the process to read its configuration anew.
    ///
    /// # Errors
    /// When it is not running.
    pub fn hangup(&self) -> Result<()> {
        signal(self.pid().context("the gateway is not running")?, "HUP")
    }

    /// Stops the process where it stands, or lets it go on: to decide who comes first.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let name = if frozen { "STOP" } else { "CONT" };
        signal(self.pid().context("the gateway is not running")?, name)
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs the `cordon` command against this gateway.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cordon(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command()?.args(arguments).stdin(Stdio::null()).output()?)
    }

    /// Starts the `cordon` command with `--output json` against this gateway and reads its records as they come.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn watch(&self, arguments: &[&str]) -> Result<Process> {
        Process::start(self.command()?.args(["--output", "json"]).args(arguments), Watch::Output)
    }

    /// Runs a command with `--output json` and returns its records.
    ///
    /// # Errors
    /// When the command fails, with what it printed.
    pub fn json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let output = self.command()?.args(["--output", "json"]).args(arguments).stdin(Stdio::null()).output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "cordon {} failed with {}: {out}{err}", arguments.join(" "), output.status);
        out.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Asks again and again until the answer satisfies `wanted`, up to the deadline.
    ///
    /// # Errors
    /// With the last answer, when it never does.
    pub fn json_until(&self, arguments: &[&str], wanted: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let end = Instant::now() + DEADLINE * 2;
        loop {
            let answer = self.json(arguments)?;
            if wanted(&answer) {
                return Ok(answer);
            }
            ensure!(Instant::now() < end, "cordon {}: last answer was {answer:#?}", arguments.join(" "));
        }
    }

    /// The development directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("cordon-dev")
    }

    /// Writes a file of the development directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.dir().join(file), text).with_context(|| file.to_owned())
    }

    /// Replaces the only occurrence of `from` in a file of the development directory.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.dir().join(file)).with_context(|| file.to_owned())?;
        ensure!(text.matches(from).count() == 1, "`{from}` does not occur exactly once in {file}:\n{text}");
        self.write(file, &text.replace(from, to))
    }

    /// Adds to the end of a file of the development directory.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn append(&self, file: &str, more: &str) -> Result<()> {
        let text = fs::read_to_string(self.dir().join(file)).with_context(|| file.to_owned())?;
        self.write(file, &(text + more))
    }

    /// A certificate with this common name, signed by the operators' authority.
    ///
    /// # Errors
    /// When the authority's key cannot be used.
    pub fn operator(&self, name: &str) -> Result<Identity> {
        let key = self.dir().join("operator-ca.key");
        Pki::adopt(&self.home.path().join("operators"), "Cordon development operator CA", &key)?.client(name)
    }

    /// The ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// What the process logged so far.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// A device that logs in with its password, under its own name as client id.
    ///
    /// # Errors
    /// When the thing has no password file.
    pub fn by_password(&self, thing: &str) -> Result<Options> {
        let password = fs::read_to_string(self.dir().join("things").join(thing).join("password"))?;
        Ok(Options::new(at(self.ports.mqtt), thing).login(thing, password.trim()))
    }

    /// A device that shows its certificate, under its own name as client id.
    ///
    /// # Errors
    /// When the thing has no certificate.
    pub fn by_certificate(&self, thing: &str) -> Result<Options> {
        let folder = self.dir().join("things").join(thing);
        let tls = self.tls(Some((&folder.join("cert.pem"), &folder.join("key.pem"))))?;
        Ok(Options::new(at(self.ports.mqtts), thing).tls(tls))
    }

    /// A TLS configuration that trusts the gateway, with or without a client certificate.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn tls(&self, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.dir().join("ca.pem"))?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
        }))
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.current_dir(self.home.path()).arg("--dev-dir").arg(self.dir()).env("NO_COLOR", "1");
        Ok(command)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A loopback address.
#[must_use]
pub fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn signal(process: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    ensure!(status.success(), "kill -s {name} failed with {status}");
    Ok(())
}
