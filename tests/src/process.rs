//! A child process of a test: what it writes is read line by line as it comes, under the same deadlines as a device.

use crate::device::DEADLINE;
use crate::gateway::signal;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

/// A running child process. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// Which of its two outputs is read; the other one goes to the test's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

// === impl Process ===

impl Process {
    /// Starts the command, without input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, watch: Watch) -> Result<Self> {
        command.stdin(Stdio::null());
        match watch {
            Watch::Output => command.stdout(Stdio::piped()),
            Watch::Errors => command.stderr(Stdio::piped()),
        };
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let watched: Option<Box<dyn Read + Send>> = match watch {
            Watch::Output => child.stdout.take().map(|output| Box::new(output) as _),
            Watch::Errors => child.stderr.take().map(|errors| Box::new(errors) as _),
        };
        let watched = watched.context("the watched output is piped")?;
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for text in BufReader::new(watched).lines().map_while(Result::ok) {
                line.send(text).ok();
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes in time, or the process closes its output.
    pub fn line(&self) -> Result<String> {
        self.lines.recv_timeout(DEADLINE).context("waiting for a line")
    }

    /// The next line with `part` in it; the ones before it are passed over.
    ///
    /// # Errors
    /// With those, when it does not come in time.
    pub fn line_with(&self, part: &str) -> Result<String> {
        let end = Instant::now() + DEADLINE * 2;
        let mut passed = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return Ok(line),
                Ok(line) => passed.push(line),
                Err(error) => bail!("no line with `{part}` ({error}) after {passed:#?}"),
            }
        }
    }

    /// Sends it a signal: `INT`, `TERM`, `KILL`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    /// Waits for its end. Returns how it ended and the lines that were not read.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end(mut self) -> Result<(ExitStatus, Vec<String>)> {
        let end = Instant::now() + DEADLINE;
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok((self.child.wait()?, rest)),
                Err(RecvTimeoutError::Timeout) => bail!("it goes on; it said {rest:#?}"),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
