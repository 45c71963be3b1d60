//! One comparison of a rule.

use crate::fleet::Version;
use crate::shadow::same;
use serde_json::{Number, Value};
use std::cmp::Ordering;
use std::fmt;

/// What a reported value must be.
///
/// On a path that ends in `firmware` or `version`, texts that both are versions are equal when the versions are: `1.3`
/// equals `v1.3.0`.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// This value.
    Equals(Value),
    /// Any value but this one.
    NotEquals(Value),
    /// This or above.
    AtLeast(Bound),
    /// This or below.
    AtMost(Bound),
    /// Above this.
    Above(Bound),
    /// Below this.
    Below(Bound),
    /// One of these values; the first is what is asked for.
    In(Vec<Value>),
}

/// What a reported value is ordered against.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// A number; only numbers compare with it.
    Number(Number),
    /// A version; texts and numbers that read as versions compare with it.
    Version(Version),
}

// === impl Check ===

impl Check {
    /// Whether `found`, reported at `path`, is what it must be. What cannot be compared is not.
    #[must_use]
    pub fn holds(&self, path: &str, found: &Value) -> bool {
        match self {
            Self::Equals(wanted) => equal(path, wanted, found),
            Self::NotEquals(unwanted) => !equal(path, unwanted, found),
            Self::In(wanted) => wanted.iter().any(|wanted| equal(path, wanted, found)),
            Self::AtLeast(bound) => bound.order(found).is_some_and(Ordering::is_ge),
            Self::AtMost(bound) => bound.order(found).is_some_and(Ordering::is_le),
            Self::Above(bound) => bound.order(found).is_some_and(Ordering::is_gt),
            Self::Below(bound) => bound.order(found).is_some_and(Ordering::is_lt),
        }
    }

    /// The value to ask the device for, if the comparison names one.
    #[must_use]
    pub fn fix(&self) -> Option<Value> {
        match self {
            Self::Equals(wanted) => Some(wanted.clone()),
            Self::In(wanted) => wanted.first().cloned(),
            Self::AtLeast(bound) | Self::AtMost(bound) => Some(bound.value()),
            Self::NotEquals(_) | Self::Above(_) | Self::Below(_) => None,
        }
    }
}

impl fmt::Display for Check {
    /// What is wanted, in words: `at least 1.3.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(wanted) => write!(f, "{wanted}"),
            Self::NotEquals(unwanted) => write!(f, "not {unwanted}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::Above(bound) => write!(f, "above {bound}"),
            Self::Below(bound) => write!(f, "below {bound}"),
            Self::In(wanted) => {
                f.write_str("one of ")?;
                for (index, value) in wanted.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

// === impl Bound ===

impl Bound {
    /// How `found` stands to the bound; `None` if they do not compare.
    fn order(&self, found: &Value) -> Option<Ordering> {
        match (self, found) {
            (Self::Number(bound), Value::Number(found)) => order(found, bound),
            (Self::Version(bound), Value::String(found)) => Some(found.parse::<Version>().ok()?.cmp(bound)),
            (Self::Version(bound), Value::Number(found)) => Some(found.to_string().parse::<Version>().ok()?.cmp(bound)),
            _ => None,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Version(version) => Value::String(version.to_string()),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Version(version) => write!(f, "{version}"),
        }
    }
}

fn equal(path: &str, wanted: &Value, found: &Value) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    if let (true, Value::String(wanted), Value::String(found)) =
        (last == "firmware" || last.ends_with("version"), wanted, found)
        && let (Ok(wanted), Ok(found)) = (wanted.parse::<Version>(), found.parse::<Version>())
    {
        return wanted == found;
    }
    same(wanted, found)
}

/// Whole numbers are compared exactly, others as floating point.
fn order(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use serde_json::json;

    fn version(text: &str) -> Bound {
        Bound::Version(text.parse().unwrap())
    }

    #[test]
    fn values_compare_as_people_mean_them() {
        let five = || Bound::Number(5.into());
        for (check, path, found, holds) in [
            (Check::Equals(json!(false)), "telnet", json!(false), true),
            (Check::Equals(json!(false)), "telnet", json!("false"), false),
            (Check::Equals(json!(1)), "n", json!(1.0), true),
            (Check::Equals(json!("1.3")), "app.firmware", json!("v1.3.0"), true),
            (Check::Equals(json!("1.3")), "os_version", json!("1.3.0"), true),
            (Check::Equals(json!("1.3")), "name", json!("1.3.0"), false),
            (Check::NotEquals(json!("1.3")), "firmware", json!("1.3.0"), false),
            (Check::NotEquals(json!("admin")), "user", json!("x"), true),
            (Check::AtLeast(version("1.3.0")), "firmware", json!("1.10.0"), true),
            (Check::AtLeast(version("1.3.0")), "firmware", json!("1.3.0-rc1"), false),
            (Check::AtLeast(version("1.3.0")), "firmware", json!("latest"), false),
            (Check::AtLeast(version("1.3.0")), "firmware", json!(1.4), true),
            (Check::AtLeast(version("1.3.0")), "firmware", json!(null), false),
            (Check::Below(version("2")), "firmware", json!("1.9"), true),
            (Check::AtMost(five()), "n", json!(5), true),
            (Check::AtMost(five()), "n", json!(5.5), false),
            (Check::Above(five()), "n", json!(5), false),
            (Check::Above(five()), "n", json!(u64::MAX), true),
            (Check::Below(five()), "n", json!("4"), false),
            (Check::In(vec![json!("a"), json!("b")]), "mode", json!("b"), true),
            (Check::In(vec![json!("a"), json!("b")]), "mode", json!("c"), false),
        ] {
            assert_eq!(check.holds(path, &found), holds, "{path}: {check}, found {found}");
        }
    }

    #[test]
    fn what_is_asked_for_satisfies_the_check() {
        for check in [
            Check::Equals(json!({ "a": 1 })),
            Check::AtLeast(version("1.3.0")),
            Check::AtMost(Bound::Number(5.into())),
            Check::In(vec![json!("a"), json!("b")]),
        ] {
            assert!(check.holds("firmware", &check.fix().unwrap()), "{check}");
        }
        assert_eq!(Check::Above(version("1")).fix(), None);
    }
}
