//! What `cordon serve --dev` says when it serves: what is where, and lines to paste.

use super::{DEFAULT_DIR, PLAIN, Prepared, TLS};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What is served where, and lines to try. No secret is in it: a shell reads passwords from their files.
pub(crate) fn banner(prepared: &Prepared) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, prepared);
    text
}

fn write(to: &mut String, prepared: &Prepared) -> std::fmt::Result {
    let config = &prepared.config;
    let dir = shown(&prepared.dir);
    let how = match prepared.made.as_slice() {
        [] => "as it was",
        made if made.iter().any(|file| file == Path::new("cordon.toml")) => "made just now",
        _ => "what was missing in it was made",
    };
    writeln!(to, "Cordon serves a small plant from {dir}/ ({how}).\n")?;
    let bind = |name: &str| config.listeners.iter().find(|listener| listener.name == name).map(|found| found.bind);
    let (plain, tls) = (bind(PLAIN), bind(TLS));
    if let Some(plain) = plain {
        writeln!(to, "  MQTT              {plain}   user name and password")?;
    }
    if let Some(tls) = tls {
        writeln!(to, "  MQTT over TLS     {tls}   client certificate")?;
    }
    if let Some(control) = &config.control {
        writeln!(to, "  gRPC over TLS     {}   operator certificate", control.bind)?;
    }
    if let Some(metrics) = &config.metrics {
        writeln!(to, "  metrics           http://{}/metrics", metrics.bind)?;
    }
    writeln!(to, "  configuration     {dir}/cordon.toml")?;
    if let Some(tls) = tls {
        by_certificate(to, &dir, tls)?;
    }
    if let Some(plain) = plain {
        by_password(to, &dir, plain)?;
    }
    if config.control.is_some() {
        operate(to, prepared, &dir)?;
    }
    writeln!(to, "\nCtrl-C ends it in order; the next start goes on from here.")
}

fn by_certificate(to: &mut String, dir: &str, address: SocketAddr) -> std::fmt::Result {
    let client = |tool: &str, thing: &str, id: &str| {
        let (host, port) = target(address);
        let things = format!("{dir}/things/{thing}");
        format!(
            "mosquitto_{tool} -h {host} -p {port} --cafile {dir}/ca.pem --cert {things}/cert.pem --key {things}/key.pem -i {id}"
        )
    };
    writeln!(to, "\nWith a certificate: pump-01 watches the plant, and commands press-01")?;
    writeln!(to, "  {} -v -t 'plant/+/telemetry'", client("sub", "pump-01", "pump-01"))?;
    writeln!(to, "  {} -q 1 -t plant/press-01/cmd/speed -m 5", client("pub", "pump-01", "pump-01-hmi"))
}

fn by_password(to: &mut String, dir: &str, address: SocketAddr) -> std::fmt::Result {
    let client = |tool: &str, id: &str| {
        let (host, port) = target(address);
        format!(
            "mosquitto_{tool} -h {host} -p {port} -u press-01 -P \"$(cat {dir}/things/press-01/password)\" -i {id} -V 5 -q 1"
        )
    };
    let (sub, pub_) = (client("sub", "press-01"), client("pub", "press-01-tool"));
    writeln!(to, "\nWith a password: press-01 listens for commands and for corrections, and reports")?;
    writeln!(to, "  {sub} -v -t 'plant/press-01/cmd/#' -t '$aws/things/press-01/shadow/update/delta'")?;
    writeln!(to, "  {pub_} -t plant/press-01/telemetry -m '{{\"force\":42}}'")?;
    writeln!(to, "\nNot allowed, and recorded: press-01 speaks for press-02")?;
    writeln!(to, "  {pub_} -t plant/press-02/telemetry -m forged")?;
    writeln!(to, "\nAgainst the baseline: the gateway answers with what must change, and watches that it does")?;
    let shadow = "-t '$aws/things/press-01/shadow/update'";
    writeln!(to, "  {pub_} {shadow} -m '{{\"state\":{{\"reported\":{{\"telnet\":true,\"firmware\":\"1.2.0\"}}}}}}'")?;
    writeln!(to, "  {pub_} {shadow} -m '{{\"state\":{{\"reported\":{{\"telnet\":false,\"firmware\":\"1.3.0\"}}}}}}'")
}

fn operate(to: &mut String, prepared: &Prepared, dir: &str) -> std::fmt::Result {
    let cordon = program();
    let flags = identity(prepared, dir);
    writeln!(to, "\nAs the operator, in another terminal and this same folder")?;
    for line in [
        "status",
        "events --since 10m",
        "isolate --thing press-01 --level quarantine --for 10m --reason \"trying it out\"",
        "orders",
        "release iso-1 --reason \"tried it out\"",
        "alarms",
        "findings",
    ] {
        writeln!(to, "  {cordon} {line}{flags}")?;
    }
    Ok(())
}

/// The flags that say which gateway, where `cordon` cannot find that by itself.
fn identity(prepared: &Prepared, dir: &str) -> String {
    let mut flags = String::new();
    if dir != DEFAULT_DIR {
        flags = format!(" --dev-dir {dir}");
    }
    if let Some(control) = prepared.config.control.as_ref().filter(|_| prepared.control_moved) {
        flags += &format!(" --endpoint {}", control.bind);
    }
    flags
}

/// The program as it was started, so that a line works for those who run it from the sources too.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).map_or_else(|| "cordon".to_owned(), |name| quoted(&name))
}

/// Where a client on this machine reaches an address that is listened on.
fn target(address: SocketAddr) -> (String, u16) {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
        ip => ip.to_string(),
    };
    (host, address.port())
}

fn shown(dir: &Path) -> String {
    let text = dir.strip_prefix(".").unwrap_or(dir).display().to_string();
    quoted(text.trim_end_matches('/'))
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '~');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::dev::{Ports, prepare};

    #[test]
    fn the_banner_shows_every_address_and_no_secret() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("my dev");
        let ports = Ports { mqtt: Some(21883), control: Some(27443), ..Ports::default() };
        let prepared = prepare(&dir, ports).unwrap();
        let text = banner(&prepared);
        for part in
            ["127.0.0.1:21883", "127.0.0.1:8883", "127.0.0.1:27443", "http://127.0.0.1:9464/metrics", "my dev'/ca.pem"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.contains("status --dev-dir '") && !text.contains("--endpoint"), "{text}");
        let moved = prepare(&dir, Ports { control: Some(37443), ..ports }).unwrap();
        assert!(banner(&moved).contains(" --endpoint 127.0.0.1:37443"), "{}", banner(&moved));
        for thing in super::super::THINGS {
            let password = std::fs::read_to_string(dir.join("things").join(thing).join("password")).unwrap();
            assert!(!text.contains(&password));
        }
    }

    #[test]
    fn a_word_with_anything_special_in_it_is_quoted() {
        for (text, word) in
            [("cordon-dev", "cordon-dev"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(text), word);
        }
    }
}
