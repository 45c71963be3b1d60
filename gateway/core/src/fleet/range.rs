//! Ranges of firmware versions: `<1.3.0`, `>=1.2, <1.3`, `=1.2.0`, `1.2.*`.
//!
//! A range follows the plain order of [`Version`]: a prerelease of 1.3.0 is inside `<1.3.0`. (The rules of package
//! managers leave prereleases out, and a device with an early build would escape an isolation order.)

use super::{Version, VersionError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most comparisons one range may have.
const MAX_PARTS: usize = 8;

/// A set of versions: all comparisons must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange(Vec<Part>);

/// The text is no version range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// There is nothing to compare with.
    #[error("a version range must not be empty; write for example `<1.3.0`")]
    Empty,
    /// There are more comparisons than a range may have.
    #[error("a version range has at most 8 comparisons")]
    TooMany,
    /// A comparison is neither an operator with a version nor a prefix.
    #[error("`{part}` is no comparison: {reason}; write for example `<1.3.0`, `>=1.2, <1.3`, `=1.2.0` or `1.2.*`")]
    Comparison {
        /// The comparison, cut to 64 characters.
        part: String,
        /// What its version lacks.
        reason: VersionError,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Less(Version),
    AtMost(Version),
    Greater(Version),
    AtLeast(Version),
    Equal(Version),
    /// Numbers that begin with these, prereleases included.
    Prefix(Vec<u64>),
}

// === impl VersionRange ===

impl VersionRange {
    /// Whether `version` is inside.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|part| part.contains(version))
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.trim().is_empty() {
            return Err(RangeError::Empty);
        }
        if text.split(',').count() > MAX_PARTS {
            return Err(RangeError::TooMany);
        }
        text.split(',').map(|part| Part::parse(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for VersionRange {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.to_string()
    }
}

// === impl Part ===

impl Part {
    fn parse(part: &str) -> Result<Self, RangeError> {
        let (make, text): (fn(Version) -> Self, &str) = if let Some(text) = part.strip_prefix("<=") {
            (Self::AtMost, text)
        } else if let Some(text) = part.strip_prefix('<') {
            (Self::Less, text)
        } else if let Some(text) = part.strip_prefix(">=") {
            (Self::AtLeast, text)
        } else if let Some(text) = part.strip_prefix('>') {
            (Self::Greater, text)
        } else {
            let text = part.strip_prefix('=').unwrap_or(part).trim();
            if let Some(prefix) = prefix_of(text) {
                return Ok(Self::Prefix(prefix));
            }
            (Self::Equal, text)
        };
        text.parse()
            .map(make)
            .map_err(|reason| RangeError::Comparison { part: part.chars().take(64).collect(), reason })
    }

    fn contains(&self, version: &Version) -> bool {
        match self {
            Self::Less(bound) => version < bound,
            Self::AtMost(bound) => version <= bound,
            Self::Greater(bound) => version > bound,
            Self::AtLeast(bound) => version >= bound,
            Self::Equal(bound) => version == bound,
            Self::Prefix(prefix) => {
                prefix.iter().enumerate().all(|(at, want)| version.numbers().get(at).unwrap_or(&0) == want)
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Less(version) => write!(f, "<{version}"),
            Self::AtMost(version) => write!(f, "<={version}"),
            Self::Greater(version) => write!(f, ">{version}"),
            Self::AtLeast(version) => write!(f, ">={version}"),
            Self::Equal(version) => write!(f, "={version}"),
            Self::Prefix(numbers) => {
                for number in numbers {
                    write!(f, "{number}.")?;
                }
                f.write_str("*")
            }
        }
    }
}

/// The numbers before the star of `1.2.*`, or of `*` alone.
fn prefix_of(text: &str) -> Option<Vec<u64>> {
    let numbers = text.strip_suffix('*')?;
    if numbers.is_empty() {
        return Some(Vec::new());
    }
    numbers.strip_suffix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_holds_the_versions_it_says_and_prereleases_do_not_escape() {
        for (range, version, inside) in [
            ("<1.3.0", "1.2.9", true),
            ("<1.3.0", "1.3.0", false),
            ("<1.3.0", "1.3.0-rc1", true),
            ("<1.3.0", "v1.3", false),
            ("<=1.3", "1.3.0", true),
            (">=1.2, <1.3", "1.2", true),
            (">=1.2,<1.3", "1.2.99", true),
            (">= 1.2 , < 1.3", "1.1", false),
            (">1.2", "1.2.0", false),
            (">1.2", "1.2.0.1", true),
            ("=1.2.0", "1.2", true),
            ("=1.2.0", "1.2.0-rc1", false),
            ("1.2.0", "1.2.0+b5", true),
            ("1.2.*", "1.2.7", true),
            ("1.2.*", "1.2", true),
            ("1.2.*", "1.2.0-rc1", true),
            ("1.2.*", "1.3.0-rc1", false),
            ("1.2.*", "1.20", false),
            ("1.2.*", "1", false),
            ("1.0.*", "1", true),
            ("*", "7", true),
            ("=1.*", "1.9", true),
        ] {
            let (parsed, version): (VersionRange, Version) = (range.parse().unwrap(), version.parse().unwrap());
            assert_eq!(parsed.contains(&version), inside, "{range} {version}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_an_example() {
        for text in ["", " ", "<", "^1.2", "~1.2", "<1.3,", "1.2.x", "<1.2.*", "1*", "!=1", "1.2.-rc.*"] {
            assert!(text.parse::<VersionRange>().is_err(), "{text:?}");
        }
        assert_eq!("<1,".repeat(9).parse::<VersionRange>(), Err(RangeError::TooMany));
        assert!("^1.2".parse::<VersionRange>().unwrap_err().to_string().contains("`>=1.2, <1.3`"));
    }

    proptest! {
        #[test]
        fn a_range_is_written_as_it_is_read(text in "(<|<=|>|>=|=)v?[0-9](\\.[0-9]){0,2}(-rc1)?(, ?[0-9]\\.\\*)?") {
            let range: VersionRange = text.parse().unwrap();
            prop_assert_eq!(range.to_string().parse::<VersionRange>().unwrap(), range);
        }
    }
}
