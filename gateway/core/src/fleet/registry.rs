//! The registry: every thing and group that the gateway knows.

use super::{FleetError, Group, Selector, Thing, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All things and groups, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registry {
    /// The things, by name.
    pub things: BTreeMap<String, Thing>,
    /// The groups, by name.
    pub groups: BTreeMap<String, Group>,
}

// === impl Registry ===

impl Registry {
    /// Reads a `fleet.toml`. The module page of [`crate::fleet`] shows every key.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line, key and what to write: not TOML, an unknown or missing key, a
    /// wrong type, a bad name, a name, user name or certificate given twice, a group that is not declared.
    pub fn from_toml(text: &str) -> Result<Self, FleetError> {
        file::read(text)
    }

    /// The thing of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Thing> {
        self.things.get(name)
    }

    /// The thing that logs in as `user`.
    #[must_use]
    pub fn by_username(&self, user: &str) -> Option<&Thing> {
        let is_user = |thing: &&Thing| thing.username.as_deref() == Some(user);
        self.things.get(user).filter(is_user).or_else(|| self.things.values().find(is_user))
    }

    /// The thing that a verified certificate identifies: one that pins this fingerprint, else the thing named by the
    /// common name, unless that thing has pins.
    #[must_use]
    pub fn by_certificate(&self, common_name: &str, sha256_hex: &str) -> Option<&Thing> {
        let pins = |thing: &&Thing| thing.certificates.iter().any(|pin| pin.eq_ignore_ascii_case(sha256_hex));
        let named = self.things.get(common_name);
        named
            .filter(pins)
            .or_else(|| self.things.values().find(pins))
            .or_else(|| named.filter(|thing| thing.certificates.is_empty()))
    }

    /// The things that `selector` picks, by name.
    pub fn select<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = &'a Thing> {
        self.things.values().filter(|thing| selector.matches(thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn registry() -> Registry {
        let pinned = Thing { certificates: vec![PIN.to_owned()], ..Thing::named("pump-01") };
        let user = Thing { username: Some("operator-panel".into()), ..Thing::named("panel-01") };
        let things = [Thing::named("press-01"), pinned, user].map(|thing| (thing.name.clone(), thing)).into();
        Registry { things, groups: BTreeMap::new() }
    }

    #[test]
    fn a_pin_wins_over_the_common_name_and_a_pinned_thing_needs_its_pin() {
        let registry = registry();
        let upper = PIN.to_uppercase();
        let found = |name, pin| registry.by_certificate(name, pin).map(|thing| thing.name.as_str());
        assert_eq!(found("press-01", "00"), Some("press-01"));
        assert_eq!(found("press-01", PIN), Some("pump-01"));
        assert_eq!(found("pump-01", &upper), Some("pump-01"));
        assert_eq!(found("pump-01", "00"), None);
        assert_eq!(found("nobody", "00"), None);
    }

    #[test]
    fn only_a_given_user_name_logs_in() {
        let registry = registry();
        assert_eq!(registry.by_username("operator-panel").map(|thing| thing.name.as_str()), Some("panel-01"));
        assert!(registry.by_username("panel-01").is_none());
        assert!(registry.by_username("press-01").is_none());
    }
}
