//! The password file: one table, user names to argon2id hashes.
//!
//! Neither a hash nor any part of one is ever shown.

use super::{Notes, text_of};
use crate::config::source::{Source, Wrong, cut};
use crate::config::{Config, Problem, secrets};
use argon2::password_hash::PasswordHash;
use cordon_core::fleet::Registry;
use cordon_mqtt::Auth;
use std::collections::BTreeMap;

/// The largest memory an argon2 hash may ask for at each login, in KiB.
const MOST_MEMORY_KIB: u32 = 256 * 1024;

const HELP: &str = "write what `cordon passwd` prints";

/// Reads the hashes by user name.
pub(super) fn read(config: &Config, registry: &Registry, notes: &mut Notes) -> BTreeMap<String, String> {
    let file = &config.gateway.passwords;
    let asked_for = config.listeners.iter().find(|listener| listener.auth == Auth::Password);
    let Some(text) = text_of(config, "gateway.passwords", file, notes) else {
        if let Some(listener) = asked_for.filter(|_| !config.gives("gateway.passwords")) {
            let key = format!("listener {}: auth", listener.name);
            let problem = format!("there is no {}, so nobody can log in here", file.display());
            notes.warnings.push(config.problem(&key, problem, "add the file, or change auth"));
        }
        return BTreeMap::new();
    };
    if let Some((problem, help)) = secrets::fault(file) {
        notes.problems.push(config.problem("gateway.passwords", problem, help));
    }
    let source = Source::new(file, &text);
    let found = match source.parse() {
        Ok(table) => {
            let root = source.root(table.get_ref());
            let section = root.section("passwords");
            let found: Vec<_> =
                section.entries().into_iter().map(|(user, hash)| (user.to_owned(), hash.and_then(check))).collect();
            root.finish();
            found
        }
        Err(error) => {
            notes.problems.extend(error.problems);
            return BTreeMap::new();
        }
    };
    let findings = source.into_findings();
    notes.problems.extend(findings.problems);
    let mut hashes = BTreeMap::new();
    for (user, hash) in found {
        let key = format!("passwords.{}", cut(&user));
        let line = findings.lines.get(&format!("passwords.{user}")).copied().unwrap_or(0);
        if registry.by_username(&user).is_none() {
            let help = "give a thing this username in the fleet file, or take the line out";
            notes.warnings.push(Problem::at_line(file, line, &key, "no thing logs in with this user name", help));
        }
        match hash {
            Ok(hash) => drop(hashes.insert(user, hash)),
            Err(wrong) => notes.problems.push(Problem::at_line(file, line, &key, wrong.problem, wrong.help)),
        }
    }
    hashes
}

fn check(hash: &str) -> Result<String, Wrong> {
    let parsed = PasswordHash::new(hash).ok().filter(|hash| hash.hash.is_some());
    let parsed = parsed.ok_or_else(|| Wrong::new("this is no password hash", HELP))?;
    if parsed.algorithm.as_str() != "argon2id" {
        return Err(Wrong::new("this hash is not argon2id", HELP));
    }
    if parsed.params.get_decimal("m").is_some_and(|memory| memory > MOST_MEMORY_KIB) {
        return Err(Wrong::new("this hash asks for more than 256 MiB at each login", HELP));
    }
    Ok(hash.to_owned())
}
