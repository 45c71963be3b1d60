//! `[control]`, `[[operator]]`, `[metrics]` and `[log]`: how the gateway is managed and watched.

use super::listeners::{address, unbound};
use super::source::{Section, Wrong, cut};
use cordon_control::Role;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The gRPC management interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlConfig {
    /// The address to listen on.
    pub(crate) bind: SocketAddr,
    /// The server's certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// The server's private key, PEM.
    pub(crate) key: PathBuf,
    /// The authorities of the operators' certificates, PEM.
    pub(crate) client_ca: PathBuf,
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperatorConfig {
    /// The common name of the operator's certificate.
    pub(crate) name: String,
    /// What the operator may do.
    pub(crate) role: Role,
}

/// The metrics endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    /// The address to listen on.
    pub(crate) bind: SocketAddr,
}

/// The gateway's own log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// What is logged, from this level up: `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: &'static str,
    /// How it is written.
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn control(section: Section<'_>) -> Option<ControlConfig> {
    if !section.is_given() {
        return None;
    }
    section.missing("certificate", "\"tls/server.pem\"");
    section.missing("key", "\"tls/server.key\"");
    section.missing("client_ca", "\"operator-ca.pem\", the authority of the operators");
    let config = ControlConfig {
        bind: section.parsed("bind", address).unwrap_or_else(|| local(&section, 7443)),
        certificate: section.path("certificate").unwrap_or_default(),
        key: section.path("key").unwrap_or_default(),
        client_ca: section.path("client_ca").unwrap_or_default(),
    };
    section.finish();
    Some(config)
}

pub(super) fn operators(root: &Section<'_>) -> Vec<OperatorConfig> {
    let mut names = BTreeSet::new();
    let sections = root.sections("operator");
    let managed = root.has("control");
    match sections.first() {
        Some(first) if !managed => {
            first.warn("name", Wrong::new("there is no [control], so nobody can be an operator", "add [control]"));
        }
        None if managed => {
            let problem = "there is no operator, so nobody can manage the gateway";
            root.warn("control", Wrong::new(problem, "add [[operator]] with name and role"));
        }
        _ => {}
    }
    sections.into_iter().filter_map(|section| operator(section, &mut names)).collect()
}

fn operator(section: Section<'_>, names: &mut BTreeSet<String>) -> Option<OperatorConfig> {
    section.missing("name", "\"...\", the common name of the operator's certificate");
    section.missing("role", "\"viewer\", \"operator\" or \"admin\"");
    let name = section.parsed("name", |text| {
        if text.chars().count() <= 64 && !text.contains(char::is_control) {
            return Ok(text.to_owned());
        }
        Err(Wrong::new(format!("\"{}\" is no common name", cut(text)), "write at most 64 printable characters"))
    });
    let role = section.choice("role", &[Role::Viewer, Role::Operator, Role::Admin].map(|role| (role.name(), role)));
    if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
        section.wrong("name", Wrong::new("this operator is given twice", "keep one of the two"));
    }
    section.finish();
    Some(OperatorConfig { name: name?, role: role? })
}

pub(super) fn metrics(section: Section<'_>) -> Option<MetricsConfig> {
    if !section.is_given() {
        return None;
    }
    let bind = section.parsed("bind", address).unwrap_or_else(|| local(&section, 9464));
    if !bind.ip().is_loopback() {
        let help = "bind to 127.0.0.1, or keep the port behind a firewall";
        section.warn("bind", Wrong::new("anyone who reaches this address can read the metrics", help));
    }
    section.finish();
    Some(MetricsConfig { bind })
}

pub(super) fn log(section: Section<'_>) -> LogConfig {
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let config = LogConfig {
        level: section.choice("level", &levels).unwrap_or("info"),
        format: section.choice("format", &formats).unwrap_or(LogFormat::Text),
    };
    section.finish();
    config
}

/// The default port on this machine only; no port at all when an address was given that does not parse.
fn local(section: &Section<'_>, port: u16) -> SocketAddr {
    if section.has("bind") { unbound() } else { SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
}
