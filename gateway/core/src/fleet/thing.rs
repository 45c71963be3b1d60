//! One thing and one group, as AWS IoT describes them.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a thing, a group or a thing type, in bytes (AWS IoT quota).
pub const MAX_NAME_BYTES: usize = 128;

/// The longest value of an attribute, in bytes (AWS IoT quota).
pub const MAX_ATTRIBUTE_BYTES: usize = 800;

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Thing {
    /// The unique name, 1 to 128 of `[a-zA-Z0-9:_-]`.
    pub name: String,
    /// The thing type, if it has one.
    pub thing_type: Option<String>,
    /// The groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Its attributes; `firmware` gives the version until the device reports one.
    pub attributes: BTreeMap<String, String>,
    /// The policies attached to it, by name; those of its groups come on top.
    pub policies: Vec<String>,
    /// SHA-256 fingerprints of its certificates in lower-case hexadecimal. When there are any, only they identify it.
    pub certificates: Vec<String>,
    /// The user name it logs in with, if it may use a password.
    pub username: Option<String>,
    /// The firmware version that the device itself reported last.
    pub reported_firmware: Option<String>,
}

/// A static group of things.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// The unique name, 1 to 128 of `[a-zA-Z0-9:_-]`.
    pub name: String,
    /// The policies of every thing in the group, by name.
    pub policies: Vec<String>,
}

// === impl Thing ===

impl Thing {
    /// A thing of which nothing but the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The firmware version: what the device reported, else its attribute `firmware`.
    #[must_use]
    pub fn firmware(&self) -> Option<&str> {
        self.reported_firmware.as_deref().or_else(|| self.attributes.get("firmware").map(String::as_str))
    }
}

/// Whether `name` may name a thing, a group or a thing type: 1 to 128 of `[a-zA-Z0-9:_-]`.
#[must_use]
pub fn is_valid_thing_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_firmware_wins_over_the_attribute() {
        let mut thing = Thing::named("press-01");
        assert_eq!(thing.firmware(), None);
        thing.attributes.insert("firmware".into(), "1.2.0".into());
        assert_eq!(thing.firmware(), Some("1.2.0"));
        thing.reported_firmware = Some("1.3.0".into());
        assert_eq!(thing.firmware(), Some("1.3.0"));
    }

    #[test]
    fn names_hold_to_the_characters_of_aws() {
        for name in ["a", "press-01", "A:b_c", &"x".repeat(128)] {
            assert!(is_valid_thing_name(name), "{name}");
        }
        for name in ["", "a/b", "a+", "#", "a b", "ü", "a.b", &"x".repeat(129)] {
            assert!(!is_valid_thing_name(name), "{name}");
        }
    }
}
