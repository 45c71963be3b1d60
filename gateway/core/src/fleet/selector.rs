//! Selectors: which things an order, a profile or a baseline is about.

use super::thing::{MAX_ATTRIBUTE_BYTES, MAX_NAME_BYTES};
use super::{RangeError, Thing, Version, VersionRange, did_you_mean, is_valid_thing_name};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const KINDS: &[&str] = &["thing", "group", "type", "version", "attribute", "all"];

/// A set of things, by what they are and not by a list: a thing that comes to fit later is selected then.
///
/// Written and stored as text: `thing:press-01`, `group:line-1`, `type:press`, `version:<1.3.0`, `attribute:site=west`,
/// `all`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// The thing of this name.
    Thing(String),
    /// Every thing in this group.
    Group(String),
    /// Every thing of this thing type.
    Type(String),
    /// Every thing whose firmware is inside the range. A thing of which no readable version is known is not selected.
    Version(VersionRange),
    /// Every thing that has this attribute with exactly this value.
    Attribute {
        /// The attribute's name.
        name: String,
        /// The value it must have.
        value: String,
    },
    /// Every thing.
    All,
}

/// The text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The part before the colon is no kind of selector.
    #[error("`{text}` is no selector; {help}")]
    Kind {
        /// What was given, cut to 64 characters.
        text: String,
        /// What to write.
        help: String,
    },
    /// A name is missing or has characters that AWS IoT does not allow in names.
    #[error("`{kind}:` needs a name of 1 to 128 characters of a-z A-Z 0-9 : _ -")]
    Name {
        /// The kind of selector.
        kind: &'static str,
    },
    /// The version range does not parse.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The attribute is not written as `name=value`.
    #[error("an attribute selector is written `attribute:name=value`, for example `attribute:site=west`")]
    Attribute,
}

// === impl Selector ===

impl Selector {
    /// Whether `thing` is selected.
    #[must_use]
    pub fn matches(&self, thing: &Thing) -> bool {
        match self {
            Self::Thing(name) => thing.name == *name,
            Self::Group(name) => thing.groups.contains(name),
            Self::Type(name) => thing.thing_type.as_ref() == Some(name),
            Self::Version(range) => thing
                .firmware()
                .and_then(|text| text.parse::<Version>().ok())
                .is_some_and(|version| range.contains(&version)),
            Self::Attribute { name, value } => thing.attributes.get(name) == Some(value),
            Self::All => true,
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        if text == "all" {
            return Ok(Self::All);
        }
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "thing" => named("thing", rest).map(Self::Thing),
            "group" => named("group", rest).map(Self::Group),
            "type" => named("type", rest).map(Self::Type),
            "version" => Ok(Self::Version(rest.parse()?)),
            "attribute" => {
                let (name, value) = rest.split_once('=').ok_or(SelectorError::Attribute)?;
                let fits = (1..=MAX_NAME_BYTES).contains(&name.len())
                    && value.len() <= MAX_ATTRIBUTE_BYTES
                    && value.trim() == value
                    && !rest.contains(char::is_control);
                fits.then(|| Self::Attribute { name: name.to_owned(), value: value.to_owned() })
                    .ok_or(SelectorError::Attribute)
            }
            _ => Err(SelectorError::Kind { text: text.chars().take(64).collect(), help: did_you_mean(kind, KINDS) }),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thing(name) => write!(f, "thing:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Type(name) => write!(f, "type:{name}"),
            Self::Version(range) => write!(f, "version:{range}"),
            Self::Attribute { name, value } => write!(f, "attribute:{name}={value}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

fn named(kind: &'static str, name: &str) -> Result<String, SelectorError> {
    if is_valid_thing_name(name) { Ok(name.to_owned()) } else { Err(SelectorError::Name { kind }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn press() -> Thing {
        Thing {
            thing_type: Some("press".into()),
            groups: ["line-1".to_owned()].into(),
            attributes: [("firmware".to_owned(), "1.2.0".to_owned()), ("site".to_owned(), "west=2".to_owned())].into(),
            ..Thing::named("press-01")
        }
    }

    #[test]
    fn a_selector_picks_the_things_it_describes() {
        for (selector, picks) in [
            ("thing:press-01", true),
            ("thing:press-02", false),
            ("group:line-1", true),
            ("group:line-2", false),
            ("type:press", true),
            ("type:pump", false),
            ("version:<1.3.0", true),
            ("version:1.3.*", false),
            ("attribute:site=west=2", true),
            ("attribute:site=west", false),
            ("attribute:line=", false),
            ("all", true),
        ] {
            assert_eq!(selector.parse::<Selector>().unwrap().matches(&press()), picks, "{selector}");
        }
    }

    #[test]
    fn a_thing_without_a_readable_version_is_in_no_version_range() {
        let selector: Selector = "version:*".parse().unwrap();
        assert!(!selector.matches(&Thing::named("a")));
        let odd = Thing { reported_firmware: Some("unknown".into()), ..press() };
        assert!(!selector.matches(&odd));
    }

    #[test]
    fn a_wrong_selector_says_what_to_write() {
        for (text, says) in [
            ("thng:a", "did you mean \"thing\"?"),
            ("press-01", "write one of"),
            ("thing:", "1 to 128"),
            ("thing:a/b", "1 to 128"),
            ("group:+", "1 to 128"),
            ("version:^1", "no comparison"),
            ("attribute:site", "attribute:site=west"),
            ("all:", "did you mean \"all\"?"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    fn any_selector() -> impl Strategy<Value = Selector> {
        let name = "[a-zA-Z0-9:_-]{1,20}";
        prop_oneof![
            name.prop_map(Selector::Thing),
            name.prop_map(Selector::Group),
            name.prop_map(Selector::Type),
            "(<|>=|=)[0-9](\\.[0-9]){0,2}".prop_map(|range| Selector::Version(range.parse().unwrap())),
            ("[a-zA-Z0-9_.,@/:#-]{1,20}", "[a-zA-Z0-9_.,@/:#=\\[\\]-]{0,20}")
                .prop_map(|(name, value)| Selector::Attribute { name, value }),
            Just(Selector::All),
        ]
    }

    proptest! {
        #[test]
        fn a_selector_is_written_as_it_is_read(selector in any_selector()) {
            prop_assert_eq!(&selector.to_string().parse::<Selector>().unwrap(), &selector);
            let json = serde_json::to_string(&selector).unwrap();
            prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
        }

        #[test]
        fn any_text_is_read_or_refused_without_harm(text in ".{0,60}") {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
            }
        }
    }
}
