//! The configuration: `cordon.toml`, and the files it names.
//!
//! Unknown keys are refused everywhere, and what is wrong is told all at once, each with its file, line, key and what to
//! write. [`Config`] is what `cordon.toml` says; [`Rules`] is what the fleet, policy, profile and baseline files say,
//! which a running gateway takes over anew on SIGHUP, all or nothing.

mod binds;
mod gateway;
mod limits;
mod listeners;
mod operate;
mod problem;
mod rules;
mod secrets;
mod size;
mod source;
mod sources;
mod storage;
mod sys;
mod tls;
mod transport;
mod uplink;

#[cfg(test)]
mod tests;

pub(crate) use gateway::GatewayConfig;
pub(crate) use limits::{IsolationConfig, LoginConfig};
pub(crate) use operate::{ControlConfig, LogConfig, LogFormat, MetricsConfig, OperatorConfig};
pub(crate) use problem::{ConfigError, Problem};
pub(crate) use rules::Rules;
pub(crate) use storage::{JournalConfig, OutboxConfig};
pub(crate) use sys::SysConfig;
pub(crate) use uplink::UplinkConfig;

use cordon_core::fleet::Selector;
use cordon_mqtt::{Limits, ListenerConfig};
use source::{Section, Source, Wrong};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The largest file that is read as configuration, in bytes; a fleet of 100,000 things takes about a third of it.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What `cordon.toml` says, with defaults filled in and all paths absolute.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file it came from.
    pub(crate) file: PathBuf,
    /// What the gateway is called and where its files are.
    pub(crate) gateway: GatewayConfig,
    /// Where devices connect.
    pub(crate) listeners: Vec<ListenerConfig>,
    /// What sessions and source addresses may use.
    pub(crate) limits: Limits,
    /// When failed logins lead to a refusal.
    pub(crate) login: LoginConfig,
    /// How far the gateway may isolate by itself.
    pub(crate) isolation: IsolationConfig,
    /// Which profile is for which things; empty when every profile is for all.
    pub(crate) profiles: Vec<ProfileAttachment>,
    /// What the journal keeps.
    pub(crate) journal: JournalConfig,
    /// What may wait for the uplink.
    pub(crate) outbox: OutboxConfig,
    /// The management interface, if there is one.
    pub(crate) control: Option<ControlConfig>,
    /// Who may use it.
    pub(crate) operators: Vec<OperatorConfig>,
    /// The metrics endpoint, if there is one.
    pub(crate) metrics: Option<MetricsConfig>,
    /// What is told under `$SYS`, and to whom.
    pub(crate) sys: SysConfig,
    /// The connection to AWS IoT Core, if there is one.
    pub(crate) uplink: Option<UplinkConfig>,
    /// The gateway's own log.
    pub(crate) log: LogConfig,
    /// What works but is probably not meant.
    pub(crate) warnings: Vec<Problem>,
    /// Whether the command line moved ports away from where the file says they are.
    pub(crate) ports_moved: bool,
    /// The line of each key that is given, by its path.
    lines: BTreeMap<String, usize>,
}

/// A security profile and the things it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfileAttachment {
    /// The profile's name.
    pub(crate) name: String,
    /// The things: those that any of these selects.
    pub(crate) applies_to: Vec<Selector>,
}

// === impl Config ===

impl Config {
    /// Reads a configuration and looks at the private keys it names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let (config, problems) = Self::draft(path)?;
        ConfigError::of(problems)?;
        Ok(config)
    }

    /// Reads a configuration from a text that stands in `file`, without looking at any file.
    #[cfg(test)]
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let (config, problems) = Self::draft_of(text, file)?;
        ConfigError::of(problems)?;
        Ok(config)
    }

    /// Like [`Config::load`], but what is wrong comes beside a configuration with defaults in its place, so that a check
    /// can go on and tell everything at once.
    ///
    /// # Errors
    /// A file that cannot be read or is no TOML.
    pub(crate) fn draft(path: &Path) -> Result<(Self, Vec<Problem>), ConfigError> {
        let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let text = read_text(&file)?;
        let (config, mut problems) = Self::draft_of(&text, &file)?;
        problems.extend(secrets::check(&config));
        Ok((config, problems))
    }

    /// Everything that keeps the addresses of this configuration from being listened on together.
    ///
    /// # Errors
    /// Two services on one address, or two listeners of one name.
    pub(crate) fn check_binds(&self) -> Result<(), ConfigError> {
        ConfigError::of(binds::check(self))
    }

    /// Everything that is wrong with the TLS files, and what will soon be.
    pub(crate) fn check_tls(&self, now: cordon_core::time::Now) -> (Vec<Problem>, Vec<Problem>) {
        tls::check(self, now)
    }

    /// A problem with a key of this configuration.
    fn problem(&self, key: &str, problem: impl Into<String>, help: impl Into<String>) -> Problem {
        let place = key.split_inclusive(": ").next().unwrap_or(key);
        let line = self.lines.get(key).or_else(|| self.lines.get(place)).copied().unwrap_or(0);
        Problem::at_line(&self.file, line, key, problem, help)
    }

    /// Whether a key is given, by its path.
    fn gives(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    fn draft_of(text: &str, file: &Path) -> Result<(Self, Vec<Problem>), ConfigError> {
        let source = Source::new(file, text);
        let table = source.parse()?;
        let mut config = read(source.root(table.get_ref()), file);
        let found = source.into_findings();
        config.lines = found.lines;
        config.warnings = found.warnings;
        let mut problems = found.problems;
        problems.extend(binds::check(&config));
        Ok((config, problems))
    }
}

fn read(root: Section<'_>, file: &Path) -> Config {
    let gateway = gateway::read(root.section("gateway"));
    let config = Config {
        file: file.to_owned(),
        listeners: listeners::read(&root),
        limits: Limits { sources: sources::sources(root.section("sources")), ..limits::limits(root.section("limits")) },
        login: limits::login(root.section("login")),
        isolation: limits::isolation(root.section("isolation")),
        profiles: root.sections("profile").into_iter().filter_map(attachment).collect(),
        journal: storage::journal(root.section("journal")),
        outbox: storage::outbox(root.section("outbox")),
        control: operate::control(root.section("control")),
        operators: operate::operators(&root),
        metrics: operate::metrics(root.section("metrics")),
        sys: sys::sys(root.section("sys")),
        uplink: uplink::read(root.section("uplink"), &gateway.name),
        log: operate::log(root.section("log")),
        gateway,
        warnings: Vec::new(),
        ports_moved: false,
        lines: BTreeMap::new(),
    };
    root.finish();
    config
}

fn attachment(section: Section<'_>) -> Option<ProfileAttachment> {
    section.missing("name", "\"...\", the name of a security profile");
    section.missing("applies_to", "[\"all\"], or selectors such as \"group:line-1\"");
    let attachment =
        section.text("name").map(|name| ProfileAttachment { name, applies_to: section.list("applies_to", selector) });
    section.finish();
    attachment
}

/// A selector of things.
fn selector(text: &str) -> Result<Selector, Wrong> {
    text.parse().map_err(|error: cordon_core::fleet::SelectorError| {
        let said = error.to_string();
        let (problem, help) = said.split_once("; ").unwrap_or((&said, "write for example \"group:line-1\" or \"all\""));
        Wrong::new(problem, help)
    })
}

/// Reads a file as text.
fn read_text(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: &std::io::Error| {
        let (problem, help) = secrets::unreadable(path, error);
        // The file's name stands before the problem.
        Problem::of_file(path, problem.trim_start_matches(&format!("{} ", path.display())), help)
    };
    let size = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if size > MAX_FILE_BYTES {
        let help = "a configuration file has at most 64 MiB; correct the path";
        return Err(Problem::of_file(path, format!("it has {size} bytes"), help));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|_| Problem::of_file(path, "it is no UTF-8 text", "save it as UTF-8"))
}
