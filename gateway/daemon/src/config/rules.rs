//! The rules: fleet, passwords, policies, profiles and baselines, read together or not at all.

mod fleet;
mod folder;
mod passwords;
mod references;

use super::problem::Problem;
use super::{Config, read_text};
use cordon_core::comply::Baseline;
use cordon_core::detect::SecurityProfile;
use cordon_core::fleet::{Registry, Selector};
use cordon_core::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the gateway judges by.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Things and groups.
    pub(crate) registry: Registry,
    /// Argon2id hashes as PHC strings, by user name.
    pub(crate) passwords: BTreeMap<String, String>,
    /// Policy documents, by name.
    pub(crate) policies: BTreeMap<String, Arc<Policy>>,
    /// The security profiles in use, each with the things it is for: those that any of its selectors picks.
    pub(crate) profiles: Vec<(SecurityProfile, Vec<Selector>)>,
    /// Configuration baselines.
    pub(crate) baselines: Vec<Baseline>,
    /// What works but is probably not meant.
    pub(crate) warnings: Vec<Problem>,
}

/// What was found while reading, besides the rules.
#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Documents that are there but wrong, by name: who names one is told nothing more.
    broken: BTreeSet<String>,
}

// === impl Rules ===

impl Rules {
    /// Reads every file that `config` names, but for those of TLS.
    ///
    /// # Errors
    /// Everything that is wrong with them, sorted by file and line.
    #[cfg(test)]
    pub(crate) fn load(config: &Config) -> Result<Self, super::ConfigError> {
        let (rules, problems) = Self::draft(config);
        super::ConfigError::of(problems)?;
        Ok(rules)
    }

    /// Reads every file that `config` names, but for those of TLS. What could be read comes along with what could not.
    pub(crate) fn draft(config: &Config) -> (Self, Vec<Problem>) {
        let mut notes = Notes::default();
        let (registry, fleet_text) = fleet::read(config, &mut notes);
        let passwords = passwords::read(config, &registry, &mut notes);
        let policies = policies(config, &mut notes);
        let documents = profiles(config, &mut notes);
        let baselines = baselines(config, &mut notes);
        references::policies(config, &registry, &fleet_text, &policies, &mut notes);
        references::things(config, &registry, &mut notes);
        let profiles = references::attach(config, documents, &registry, &mut notes);
        notes.warnings.sort();
        (Self { registry, passwords, policies, profiles, baselines, warnings: notes.warnings }, notes.problems)
    }
}

fn policies(config: &Config, notes: &mut Notes) -> BTreeMap<String, Arc<Policy>> {
    let mut policies = BTreeMap::new();
    for document in folder::read(config, "gateway.policies_dir", &config.gateway.policies_dir, "json", notes) {
        match Policy::parse(&document.name, &document.text) {
            Ok(policy) => {
                let hints = policy.hints().into_iter();
                notes.warnings.extend(hints.map(|hint| {
                    document.problem(&hint.rule, hint.advice, "check that the statement does what you mean")
                }));
                policies.insert(document.name, Arc::new(policy));
            }
            Err(error) => {
                let problem = document.problem(&error.key, error.problem, error.help);
                notes.problems.push(Problem { line: error.line, column: error.column, ..problem });
                notes.broken.insert(document.name);
            }
        }
    }
    policies
}

fn profiles(config: &Config, notes: &mut Notes) -> Vec<(folder::Document, SecurityProfile)> {
    let mut profiles = Vec::new();
    for document in folder::read(config, "gateway.profiles_dir", &config.gateway.profiles_dir, "json", notes) {
        match SecurityProfile::parse(&document.name, &document.text) {
            Ok(profile) => {
                notes.warnings.extend(profile.unsupported().map(|(behavior, reason)| {
                    let key = format!("behavior {behavior}");
                    document.problem(
                        &key,
                        format!("this is not watched: {reason}"),
                        "take it out, or leave it for AWS IoT",
                    )
                }));
                profiles.push((document, profile));
            }
            Err(error) => {
                let problem = document.problem(&error.key, error.problem, error.help);
                notes.problems.push(Problem { line: error.line, column: error.column, ..problem });
                notes.broken.insert(document.name);
            }
        }
    }
    profiles
}

fn baselines(config: &Config, notes: &mut Notes) -> Vec<Baseline> {
    let mut baselines = Vec::new();
    for document in folder::read(config, "gateway.baselines_dir", &config.gateway.baselines_dir, "toml", notes) {
        match Baseline::parse(&document.name, &document.text) {
            Ok(baseline) if baselines.iter().any(|other: &Baseline| other.name == baseline.name) => {
                let problem = format!("another file has a baseline called \"{}\" too", baseline.name);
                notes.problems.push(document.problem("name", problem, "give each baseline a name of its own"));
            }
            Ok(baseline) => baselines.push(baseline),
            Err(error) => {
                let problem = document.problem(&error.key, error.problem, error.help);
                notes.problems.push(Problem { line: error.line, ..problem });
            }
        }
    }
    baselines
}

/// Reads a file that a key names. `None` when it is not there and the key is not given: the file is optional then.
fn text_of(config: &Config, key: &str, path: &std::path::Path, notes: &mut Notes) -> Option<String> {
    if !config.gives(key) && !path.exists() {
        return None;
    }
    match read_text(path) {
        Ok(text) => Some(text),
        Err(problem) => {
            notes.problems.push(problem);
            None
        }
    }
}
