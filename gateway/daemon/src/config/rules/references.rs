//! Names that one file uses and another one must have.

use super::folder::Document;
use super::{Notes, fleet};
use crate::config::{Config, Problem};
use cordon_core::detect::SecurityProfile;
use cordon_core::fleet::{Registry, Selector, nearest};
use cordon_core::policy::Policy;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every policy that a thing, a group or a listener names must be there.
pub(super) fn policies(
    config: &Config,
    registry: &Registry,
    fleet_text: &str,
    policies: &BTreeMap<String, Arc<Policy>>,
    notes: &mut Notes,
) {
    let dir = config.gateway.policies_dir.file_name().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
    let broken = notes.broken.clone();
    let missing = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| !policies.contains_key(*name) && !broken.contains(*name)).cloned().collect()
    };
    let told = |name: &str| {
        let help = match nearest(name, policies.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("add {dir}/{name}.json, or correct the name"),
        };
        (format!("there is no policy \"{name}\""), help)
    };
    let things = registry.things.values().map(|thing| ("thing", &thing.name, &thing.policies));
    let groups = registry.groups.values().map(|group| ("group", &group.name, &group.policies));
    for (kind, holder, names) in things.chain(groups) {
        for name in missing(names) {
            let line = fleet::policy_line(fleet_text, kind, holder, &name);
            let (problem, help) = told(&name);
            let key = format!("{kind} {holder}: policies");
            notes.problems.push(Problem::at_line(&config.gateway.fleet, line, &key, problem, help));
        }
    }
    for listener in &config.listeners {
        for name in missing(&listener.policies) {
            let (problem, help) = told(&name);
            notes.problems.push(config.problem(&format!("listener {}: policies", listener.name), problem, help));
        }
    }
}

/// Things that the configuration names must be registered. A misspelt break-glass thing would not be protected.
pub(super) fn things(config: &Config, registry: &Registry, notes: &mut Notes) {
    for name in config.gateway.break_glass.iter().filter(|name| registry.get(name).is_none()) {
        let help = match nearest(name, registry.things.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "register it in the fleet file, or take it out".to_owned(),
        };
        notes.problems.push(config.problem("gateway.break_glass", format!("there is no thing \"{name}\""), help));
    }
    for selector in config.sys.readers.iter().filter(|selector| registry.select(selector).next().is_none()) {
        let help = "correct it, or leave it for things to come";
        notes.warnings.push(config.problem("sys.readers", format!("{selector} selects no thing"), help));
    }
}

/// Gives each profile the selectors that its `[[profile]]` entries name; with no entry at all, every profile is for all.
pub(super) fn attach(
    config: &Config,
    documents: Vec<(Document, SecurityProfile)>,
    registry: &Registry,
    notes: &mut Notes,
) -> Vec<(SecurityProfile, Vec<Selector>)> {
    let mut seen: BTreeMap<String, Document> = BTreeMap::new();
    let mut profiles = Vec::with_capacity(documents.len());
    for (document, profile) in documents {
        if let Some(other) = seen.get(&profile.name) {
            let other = other.file.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            let problem = format!("{other} has a profile of this name too");
            notes.problems.push(document.problem(
                "securityProfileName",
                problem,
                "give each profile a name of its own",
            ));
            continue;
        }
        let named = config.profiles.iter().filter(|entry| entry.name == profile.name);
        let mut selectors: Vec<Selector> = named.flat_map(|entry| entry.applies_to.clone()).collect();
        if config.profiles.is_empty() {
            selectors.push(Selector::All);
        } else if selectors.is_empty() {
            let help =
                format!("add [[profile]] with name = \"{}\" and applies_to, or take the file away", profile.name);
            notes.warnings.push(document.problem(
                "",
                "no [[profile]] attaches this profile, so it is not in use",
                help,
            ));
        }
        seen.insert(profile.name.clone(), document);
        profiles.push((profile, selectors));
    }
    for entry in &config.profiles {
        let key = |key: &str| format!("profile {}: {key}", entry.name);
        if !seen.contains_key(&entry.name) && !notes.broken.contains(&entry.name) {
            let help = match nearest(&entry.name, seen.keys().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "add its JSON file to profiles_dir, or correct the name".to_owned(),
            };
            let problem = format!("there is no security profile \"{}\"", entry.name);
            notes.problems.push(config.problem(&key("name"), problem, help));
        }
        for selector in entry.applies_to.iter().filter(|selector| registry.select(selector).next().is_none()) {
            let help = "correct it, or leave it for things to come";
            notes.warnings.push(config.problem(&key("applies_to"), format!("{selector} selects no thing"), help));
        }
    }
    profiles.retain(|(_, selectors)| !selectors.is_empty());
    profiles
}
