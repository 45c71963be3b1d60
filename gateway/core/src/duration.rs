//! Durations as people write them: `500ms`, `10s`, `5m`, `1h30m`, `7d`.
//!
//! Whole numbers with a unit each, the larger unit first; a bare number is refused, because nobody agrees on what it
//! means. What [`format()`] prints, [`parse`] reads back exactly, to the millisecond.
//!
//! For configuration: `#[serde(with = "cordon_core::duration")]`, or `cordon_core::duration::optional` for an `Option`.

use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::Write as _;
use std::time::Duration;

/// The longest duration that is read: ten years of 365 days.
pub const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// The units, largest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no duration: {problem}; write for example 500ms, 10s, 5m, 1h30m or 7d")]
pub struct DurationError {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What it lacks.
    pub problem: &'static str,
}

/// Reads a duration, at most [`LONGEST`].
///
/// # Errors
/// No number, no unit, an unknown unit, units out of order or given twice, or more than ten years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    millis(text.trim())
        .map(Duration::from_millis)
        .map_err(|problem| DurationError { text: text.chars().take(64).collect(), problem })
}

/// Writes a duration, cut to whole milliseconds, with its units from the largest that fits: `1h30m`, `0s`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        if left >= length {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{unit}", left / length);
            left %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a duration as text, for `#[serde(with)]`.
///
/// # Errors
/// Only what the serializer itself refuses.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

/// Reads a duration from text, for `#[serde(with)]`.
///
/// # Errors
/// What [`parse`] refuses, and anything that is not text.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// The same for a duration that may be missing; add `#[serde(default)]`.
pub mod optional {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes a duration as text, or nothing.
    ///
    /// # Errors
    /// Only what the serializer itself refuses.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => to.serialize_some(&super::format(*duration)),
            None => to.serialize_none(),
        }
    }

    /// Reads a duration from text, or nothing.
    ///
    /// # Errors
    /// What [`super::parse`] refuses, and anything that is not text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::parse(&text)).transpose().map_err(serde::de::Error::custom)
    }
}

fn millis(text: &str) -> Result<u64, &'static str> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() || rest.len() == text.len() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err("a number is missing");
        }
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = after.split_at(letters);
        let length = match units.find(|(name, _)| *name == unit) {
            Some((_, length)) => length,
            None if unit.is_empty() => return Err("a unit is missing"),
            None if UNITS.iter().any(|(name, _)| *name == unit) => {
                return Err("the larger unit stands first, each once");
            }
            None => return Err("the units are d, h, m, s and ms"),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*length));
        total = part.and_then(|part| total.checked_add(part)).ok_or(TOO_LONG)?;
        rest = next;
    }
    if u128::from(total) > LONGEST.as_millis() { Err(TOO_LONG) } else { Ok(total) }
}

const TOO_LONG: &str = "it is longer than ten years";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_mean_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            (" 5m ", 300_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "number is missing"),
            ("s", "number is missing"),
            ("60", "unit is missing"),
            ("1h30", "unit is missing"),
            ("-5s", "number is missing"),
            ("1.5s", "unit is missing"),
            ("5 s", "unit is missing"),
            ("5min", "units are"),
            ("30m1h", "larger unit"),
            ("5s5s", "larger unit"),
            ("99999999999999999999s", "ten years"),
            ("18446744073709551615d", "ten years"),
            ("4000d", "ten years"),
            ("5ü", "unit is missing"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(millis in 0_u64..315_360_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn any_text_is_read_or_refused_without_harm(text in ".{0,24}") {
            let _ = parse(&text);
        }
    }
}
