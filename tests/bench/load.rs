//! A load generator for MQTT brokers: the same bytes at the same pace for every broker, so that runs can be compared.
//!
//! It speaks MQTT 3.1.1 over loopback, plain or in TLS 1.3, with blocking threads, and prints one line of JSON per run.
//! It also prepares what `run.sh` needs and reads what that measured. See `tests/bench/README.md`.

mod load {
    pub(crate) mod bars;
    pub(crate) mod client;
    pub(crate) mod isolate;
    pub(crate) mod paced;
    pub(crate) mod packet;
    pub(crate) mod prepare;
    pub(crate) mod process;
    pub(crate) mod report;
    pub(crate) mod still;
    pub(crate) mod subscriber;
    pub(crate) mod target;
    pub(crate) mod throughput;
    pub(crate) mod wire;
}

use anyhow::{Context, Result, bail, ensure};
use load::target::Target;
use load::{isolate, paced, prepare, report, still, throughput};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

const USAGE: &str = "\
cordon-load MODE key=value...
  load    fan-in   publishers=4 subscribers=1 seconds=3 qos=0 size=64    (or messages=N per publisher, not seconds)
          fan-out  publishers=1 subscribers=8 seconds=3 qos=0 size=64
          paced    pairs=4 rate=2000 seconds=5 size=64      (each pair: one publisher, one subscriber)
          paced-in publishers=50 rate=20 seconds=5 size=64  (all to one subscriber)
          idle     connections=1000
          connect  seconds=3 threads=4
          isolate  members=5000 members_port=N rounds=20 control=N operators=DIR   (Cordon only)
  with    host=127.0.0.1 port=1883 pid=BROKER topic=plant/{}/telemetry
          password=SECRET       each client logs in under its own name: pub-0, sub-0, idle, conn
          user=NAME             all log in under this name
          begin=COMMAND         run when all clients are connected and none sends yet; end=COMMAND when all have sent
          certificates=DIR      mutual TLS 1.3: DIR/ca.pem, and DIR/NAME.cert.pem and .key.pem of each client
  prepare pki dir=DIR names=NAME,NAME...     certificates for the gateway, these clients and an operator
          ports count=N                      ports that are free now
  report  report in=FILE [json=FILE]         what run.sh measured, against the bars
";

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let Some(mode) = words.next() else { bail!("{USAGE}") };
    let mut options = BTreeMap::new();
    for word in words {
        let (key, value) = word.split_once('=').with_context(|| format!("{word}: write key=value\n{USAGE}"))?;
        options.insert(key.to_owned(), value.to_owned());
    }
    let options = Options(options);
    let target = || Target::new(&options);
    let record = match mode.as_str() {
        "fan-in" => throughput::run(&target()?, &options, 4, 1)?.to_string(),
        "fan-out" => throughput::run(&target()?, &options, 1, 8)?.to_string(),
        "paced" => paced::pairs(&target()?, &options)?.to_string(),
        "paced-in" => paced::many_to_one(&target()?, &options)?.to_string(),
        "idle" => still::idle(&target()?, &options)?.to_string(),
        "connect" => still::connect(&target()?, &options)?.to_string(),
        "isolate" => isolate::run(&target()?, &options)?.to_string(),
        "pki" => prepare::pki(&options)?,
        "ports" => prepare::ports(&options)?,
        "report" => report::run(&options)?,
        other => bail!("{other} is no mode\n{USAGE}"),
    };
    writeln!(std::io::stdout(), "{record}")?;
    Ok(())
}

/// The key=value words of the command line.
pub(crate) struct Options(BTreeMap<String, String>);

// === impl Options ===

impl Options {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn needed(&self, key: &str) -> Result<&str> {
        self.text(key).with_context(|| format!("{key}=... is missing\n{USAGE}"))
    }

    /// Runs the command of this key, if one is given, and waits for it.
    pub(crate) fn command(&self, key: &str) -> Result<()> {
        let Some(command) = self.text(key) else { return Ok(()) };
        let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "`{command}` ended with {status}");
        Ok(())
    }

    pub(crate) fn number(&self, key: &str, default: usize) -> Result<usize> {
        match self.0.get(key) {
            None => Ok(default),
            Some(text) => text.parse().with_context(|| format!("{key}={text}: write a whole number")),
        }
    }
}
