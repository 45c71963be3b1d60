//! `[gateway]`: what the gateway is called and where its files are.

use super::source::{Section, Wrong};
use cordon_core::fleet::is_valid_thing_name;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What the gateway is called and where its files are. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatewayConfig {
    /// The gateway's own thing name.
    pub(crate) name: String,
    /// Where the journal, the state and the outbox are.
    pub(crate) data_dir: PathBuf,
    /// The file with things and groups.
    pub(crate) fleet: PathBuf,
    /// The file with password hashes.
    pub(crate) passwords: PathBuf,
    /// The folder of policy documents.
    pub(crate) policies_dir: PathBuf,
    /// The folder of security profiles.
    pub(crate) profiles_dir: PathBuf,
    /// The folder of configuration baselines.
    pub(crate) baselines_dir: PathBuf,
    /// The things that no isolation order ever cuts.
    pub(crate) break_glass: BTreeSet<String>,
}

pub(super) fn read(section: Section<'_>) -> GatewayConfig {
    let path = |key, default: &str| section.path(key).unwrap_or_else(|| section.resolve(default));
    let config = GatewayConfig {
        name: section.parsed("name", thing_name).unwrap_or_else(name_of_machine),
        data_dir: path("data_dir", "data"),
        fleet: path("fleet", "fleet.toml"),
        passwords: path("passwords", "passwords.toml"),
        policies_dir: path("policies_dir", "policies"),
        profiles_dir: path("profiles_dir", "profiles"),
        baselines_dir: path("baselines_dir", "baselines"),
        break_glass: section.list("break_glass", thing_name).into_iter().collect(),
    };
    section.finish();
    config
}

/// A name that AWS IoT takes for a thing.
pub(super) fn thing_name(text: &str) -> Result<String, Wrong> {
    if is_valid_thing_name(text) {
        return Ok(text.to_owned());
    }
    let problem = format!("\"{}\" is no name", super::source::cut(text));
    Err(Wrong::new(problem, "write 1 to 128 characters of a-z A-Z 0-9 : _ -"))
}

/// The host name with what no thing name may have replaced.
fn name_of_machine() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    cleaned(host.trim())
}

fn cleaned(host: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-') { c } else { '-' };
    let name: String = host.chars().map(keep).take(128).collect();
    if name.is_empty() { "gateway".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_thing_name() {
        for (host, name) in
            [("gw-01", "gw-01"), ("gw.plant.local", "gw-plant-local"), ("", "gateway"), ("hälle", "h-lle")]
        {
            assert_eq!(cleaned(host), name);
            assert!(is_valid_thing_name(&cleaned(host)));
        }
    }
}
