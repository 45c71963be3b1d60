//! Firmware versions, in one total order that takes what vendors write.
//!
//! An optional `v`, then any number of dotted numbers, then an optional prerelease, then an ignored `+build`. Missing
//! numbers are zero, so `1.2` equals `1.2.0`. A prerelease (`1.3.0-rc1`, also `1.3.0rc1`) lies below its release.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The longest version text, in bytes.
const MAX_BYTES: usize = 128;

/// A version of firmware. Shown as written; compared by its numbers and prerelease.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
    prerelease: Option<String>,
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no version; write numbers separated by dots, for example 1.2.0 or 1.3.0-rc1")]
pub struct VersionError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

// === impl Version ===

impl Version {
    /// The dotted numbers, as written.
    pub(super) fn numbers(&self) -> &[u64] {
        &self.numbers
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text.trim()).ok_or_else(|| VersionError { text: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        let number = |of: &Self, at: usize| of.numbers.get(at).copied().unwrap_or(0);
        (0..longest)
            .map(|at| number(self, at).cmp(&number(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| match (&self.prerelease, &other.prerelease) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(one), Some(two)) => prerelease_order(one, two),
            })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

fn parse(text: &str) -> Option<Version> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (bare, build) = bare.split_once('+').unwrap_or((bare, ""));
    if build.contains(|c: char| c.is_control() || c == ',' || c.is_whitespace()) {
        return None;
    }
    let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
    let (numbers, rest) = bare.split_at(end);
    let numbers = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let prerelease = match rest.strip_prefix('-').unwrap_or(rest) {
        "" if rest.is_empty() => None,
        "" => return None,
        tail if tail.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~')) => {
            Some(tail.to_owned())
        }
        _ => return None,
    };
    Some(Version { text: text.to_owned(), numbers, prerelease })
}

/// Semantic Versioning 2.0.0, rule 11.4.
fn prerelease_order(one: &str, two: &str) -> Ordering {
    let (mut ones, mut twos) = (one.split('.'), two.split('.'));
    loop {
        let order = match (ones.next(), twos.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (is_number(a), is_number(b)) {
                (true, true) => {
                    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
                }
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_stand_in_the_order_a_person_expects() {
        let rising = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.2.0.1",
            "v1.3.0-rc1",
            "1.3",
            "1.10",
            "2",
            "20240131",
        ];
        for (i, low) in rising.iter().enumerate() {
            for high in &rising[i + 1..] {
                assert!(version(low) < version(high), "{low} < {high}");
            }
        }
    }

    #[test]
    fn different_spellings_of_one_version_are_equal() {
        for (a, b) in [("1.2", "1.2.0"), ("v1.2.0", "1.2"), ("1.2.0+build7", "1.2.0"), ("1.3.0rc1", "1.3.0-rc1")] {
            assert_eq!(version(a), version(b), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "v", "x1", "1..2", ".1", "1.", "1.2.0-", "1.2 3", "1.0 beta", "99999999999999999999", "1,2"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        assert!("1.".repeat(100).parse::<Version>().is_err());
    }

    fn any_version() -> impl Strategy<Value = Version> {
        "v?[0-3](\\.[0-3]){0,3}(-(rc|[0-2])(\\.([0-2]|a)){0,2})?(\\+b)?".prop_map(|text| version(&text))
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            prop_assert_eq!(a.cmp(&a), Ordering::Equal);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_harm(text in ".{0,40}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
            }
        }
    }
}
