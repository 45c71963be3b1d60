//! A load generator for MQTT brokers: the same bytes at the same pace for every broker, so that runs can be compared.
//!
//! It speaks MQTT 3.1.1 over plain loopback sockets with blocking threads, and prints one line of JSON per run. See
//! `tests/bench/README.md`.

mod load {
    pub(crate) mod client;
    pub(crate) mod paced;
    pub(crate) mod process;
    pub(crate) mod still;
    pub(crate) mod throughput;
}

use anyhow::{Context, Result, bail};
use load::client::Target;
use load::{paced, still, throughput};
use std::collections::BTreeMap;
use std::io::Write as _;

const USAGE: &str = "\
cordon-load MODE key=value...
  modes   fan-in   publishers=4 subscribers=1 messages=100000 qos=0 size=64
          fan-out  publishers=1 subscribers=8 messages=50000 qos=0 size=64
          paced    pairs=4 rate=2000 seconds=5 qos=0 size=64     (each pair: one publisher, one subscriber)
          paced-in publishers=50 rate=20 seconds=5               (all to one subscriber)
          idle     connections=1000
          connect  connections=2000
  always  host=127.0.0.1 port=1883 user=NAME password=SECRET topic=PREFIX pid=BROKER
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
    let target = Target::new(&options)?;
    let record = match mode.as_str() {
        "fan-in" => throughput::run(&target, &options, 4, 1)?,
        "fan-out" => throughput::run(&target, &options, 1, 8)?,
        "paced" => paced::pairs(&target, &options)?,
        "paced-in" => paced::many_to_one(&target, &options)?,
        "idle" => still::idle(&target, &options)?,
        "connect" => still::connect(&target, &options)?,
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

    pub(crate) fn number(&self, key: &str, default: usize) -> Result<usize> {
        match self.0.get(key) {
            None => Ok(default),
            Some(text) => text.parse().with_context(|| format!("{key}={text}: write a whole number")),
        }
    }
}
