//! Which shadow: a thing's classic one, or one of its named ones; and the topics that mean it.

use super::Rejected;
use crate::fleet::is_valid_thing_name;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a named shadow, in bytes (AWS IoT quota).
const MAX_NAME_BYTES: usize = 64;

/// One shadow of one thing.
///
/// As text, for storage: `press-01` or, for a named shadow, `press-01~config`. Neither name can hold a `~`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShadowKey {
    /// The thing.
    pub thing: String,
    /// The shadow's name; `None` is the classic shadow.
    pub name: Option<String>,
}

/// What a client may ask of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read the whole document.
    Get,
    /// Merge into the document.
    Update,
    /// Delete the document.
    Delete,
}

/// The request that a publish to `topic` makes: `$aws/things/T/shadow/OP` or `$aws/things/T/shadow/name/N/OP`.
///
/// `None` for any other topic, those that only the service publishes (`.../accepted` and the like) included.
#[must_use]
pub fn parse_topic(topic: &str) -> Option<(ShadowKey, Operation)> {
    let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once("/shadow/")?;
    let (name, operation) = match rest.strip_prefix("name/") {
        Some(named) => named.split_once('/').map(|(name, operation)| (Some(name), operation))?,
        None => (None, rest),
    };
    let operation = match operation {
        "get" => Operation::Get,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        _ => return None,
    };
    Some((ShadowKey::checked(thing, name).ok()?, operation))
}

// === impl ShadowKey ===

impl ShadowKey {
    /// The classic shadow of `thing`.
    #[must_use]
    pub fn classic(thing: &str) -> Self {
        Self { thing: thing.to_owned(), name: None }
    }

    /// The shadow called `name` of `thing`, or its classic shadow.
    #[must_use]
    pub fn of(thing: &str, name: Option<&str>) -> Self {
        Self { thing: thing.to_owned(), name: name.map(str::to_owned) }
    }

    /// The topic of this shadow that ends in `suffix`: `update/accepted` gives `$aws/things/T/shadow/update/accepted`.
    #[must_use]
    pub fn topic(&self, suffix: &str) -> String {
        match &self.name {
            Some(name) => format!("$aws/things/{}/shadow/name/{name}/{suffix}", self.thing),
            None => format!("$aws/things/{}/shadow/{suffix}", self.thing),
        }
    }

    pub(super) fn missing(&self) -> Rejected {
        Rejected::new(404, format!("No shadow exists with name: '{self}'"))
    }

    fn checked(thing: &str, name: Option<&str>) -> Result<Self, ShadowKeyError> {
        if is_valid_thing_name(thing) && name.is_none_or(is_valid_shadow_name) {
            Ok(Self::of(thing, name))
        } else {
            Err(ShadowKeyError)
        }
    }
}

impl fmt::Display for ShadowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}~{name}", self.thing),
            None => f.write_str(&self.thing),
        }
    }
}

impl FromStr for ShadowKey {
    type Err = ShadowKeyError;

    fn from_str(text: &str) -> Result<Self, ShadowKeyError> {
        match text.split_once('~') {
            Some((thing, name)) => Self::checked(thing, Some(name)),
            None => Self::checked(text, None),
        }
    }
}

impl TryFrom<String> for ShadowKey {
    type Error = ShadowKeyError;

    fn try_from(text: String) -> Result<Self, ShadowKeyError> {
        text.parse()
    }
}

impl From<ShadowKey> for String {
    fn from(key: ShadowKey) -> Self {
        key.to_string()
    }
}

/// The text names no shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shadow is written THING, or THING~NAME with a name of 1 to 64 characters of $ a-z A-Z 0-9 : _ -")]
pub struct ShadowKeyError;

pub(crate) fn is_valid_shadow_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"$:_-".contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn request_topics_name_their_shadow_and_others_name_none() {
        for (topic, key, operation) in [
            ("$aws/things/press-01/shadow/update", "press-01", Operation::Update),
            ("$aws/things/press-01/shadow/get", "press-01", Operation::Get),
            ("$aws/things/press-01/shadow/delete", "press-01", Operation::Delete),
            ("$aws/things/press-01/shadow/name/config/update", "press-01~config", Operation::Update),
            ("$aws/things/press-01/shadow/name/get/get", "press-01~get", Operation::Get),
        ] {
            let (found, asked) = parse_topic(topic).unwrap();
            assert_eq!((found.to_string().as_str(), asked), (key, operation), "{topic}");
            assert_eq!(found, key.parse().unwrap());
            assert!(topic.starts_with(&found.topic("")), "{topic}");
        }
        for topic in [
            "$aws/things/press-01/shadow/update/accepted",
            "$aws/things/press-01/shadow/update/delta",
            "$aws/things/press-01/shadow/",
            "$aws/things/press-01/shadow/name/config",
            "$aws/things/press-01/shadow/name//update",
            "$aws/things/press-01/shadow/name/a~b/update",
            "$aws/things//shadow/update",
            "$aws/things/a/b/shadow/update",
            "$aws/things/press-01/jobs/get",
            "plant/press-01/shadow/update",
            "",
        ] {
            assert_eq!(parse_topic(topic), None, "{topic}");
        }
        let long = format!("$aws/things/t/shadow/name/{}/get", "n".repeat(65));
        assert_eq!(parse_topic(&long), None);
    }
}
