//! Recorded traffic of other people's clients, replayed: what is legal passes without a word, what is not is refused and
//! recorded with the rule it broke.
//!
//! The captures stand beside the project, in `../shared/data/pcap`. Where they are absent, each test is ignored and says
//! so in its name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod capture;
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the whole front door")]
#[path = "../broker/support.rs"]
mod support;

use cordon_core::event::Code;
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use support::Bench;

/// The illegal captures, and the rule that each is to be refused by. All others are legal.
const ILLEGAL: [(&str, &str); 7] = [
    ("mqtt-events-invalid-qos", "MQTT-3.3.1-4"),
    ("mqtt-events-missing-connect", "MQTT-3.1.0-1"),
    ("mqtt-events-unassigned-msgtype", "MQTT"),
    ("mqtt5-excessiveproplen", "MQTT"),
    // The will's payload format is 0x90; the standard knows 0 and 1.
    ("mqtt5-pub-mosquittoprops", "MQTT5 3.3.2.3.2"),
    ("mqtt5-sub-mosquittoprops", "MQTT5 3.3.2.3.2"),
    // The capture begins in the middle of a connection.
    ("mqtt-ping", "MQTT-3.1.0-1"),
];

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/pcap");
    let mut captures = Vec::new();
    find(&folder, &mut captures);
    captures.sort();
    let mut trials: Vec<Trial> = captures
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(&folder).unwrap_or(&file).display().to_string();
            Trial::test(name, move || replay(&file))
        })
        .collect();
    if trials.is_empty() {
        let name = "recorded captures (../shared/data/pcap is not here)";
        trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn find(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "pcap") {
            into.push(path);
        }
    }
}

fn replay(file: &Path) -> Result<(), Failed> {
    let streams = capture::clients(file);
    assert!(!streams.is_empty(), "no MQTT in the capture");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bench = runtime.block_on(Bench::start());
    for stream in &streams {
        let mut socket = TcpStream::connect(bench.address)?;
        // A refusal may end the connection before everything is written.
        socket.write_all(stream).ok();
        socket.shutdown(Shutdown::Write).ok();
        socket.read_to_end(&mut Vec::new()).ok();
    }
    // Whatever was sent, others are served; and by then what was seen is told.
    bench.client("after").ping();
    let refused = bench.log.rules(Code::ProtocolViolation);
    let illegal = ILLEGAL.iter().find(|(name, _)| file.components().any(|part| part.as_os_str() == *name));
    match illegal {
        None => assert!(refused.is_empty(), "legal traffic was refused by {refused:?}"),
        Some((_, rule)) => {
            assert!(refused.iter().any(|found| found.starts_with(rule)), "to be refused by {rule}: {refused:?}");
        }
    }
    Ok(())
}
