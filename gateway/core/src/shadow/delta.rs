//! What is desired and not yet reported.

use super::merge::Stamps;
use crate::shadow::merge::Stamp;
use serde_json::{Map, Value};

/// Whether two JSON values are equal, numbers by their value: a device that reports `1.0` for `1` complies.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.as_f64() == right.as_f64() && is_mixed(left, right))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// The fields of `desired` that are missing from `reported` or different there, with the path up to the root, and the
/// metadata of `desired` for them. Both are empty when nothing differs.
pub(super) fn difference(
    desired: &Map<String, Value>,
    reported: &Map<String, Value>,
    stamps: &Stamps,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut state, mut metadata) = (Map::new(), Map::new());
    let no_stamps = Stamps::new();
    for (name, wanted) in desired {
        match (wanted, reported.get(name)) {
            (Value::Object(wanted), Some(Value::Object(found))) => {
                let below = if let Some(Stamp::Fields(fields)) = stamps.get(name) { fields } else { &no_stamps };
                let (inner, inner_metadata) = difference(wanted, found, below);
                if !inner.is_empty() {
                    state.insert(name.clone(), Value::Object(inner));
                    metadata.insert(name.clone(), Value::Object(inner_metadata));
                }
            }
            (wanted, Some(found)) if same(wanted, found) => {}
            (wanted, _) => {
                state.insert(name.clone(), wanted.clone());
                metadata.extend(stamps.get(name).map(|stamp| (name.clone(), stamp.document())));
            }
        }
    }
    (state, metadata)
}

/// Whole numbers compare exactly; only a whole number against a fraction compares as floating point.
fn is_mixed(left: &serde_json::Number, right: &serde_json::Number) -> bool {
    left.is_f64() != right.is_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::super::merge::merge;
    use super::super::merge::tests::section;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn leaves(prefix: &str, fields: &Map<String, Value>, into: &mut Vec<(String, Value)>) {
        for (name, value) in fields {
            let path = format!("{prefix}/{name}");
            match value {
                Value::Object(inner) if !inner.is_empty() => leaves(&path, inner, into),
                plain => into.push((path, plain.clone())),
            }
        }
    }

    proptest! {
        #[test]
        fn the_delta_is_exactly_desired_minus_reported(patches in (section(), section())) {
            let (mut desired, mut stamps) = (Map::new(), Stamps::new());
            merge(&mut desired, &mut stamps, &patches.0, 1);
            let (mut reported, mut reported_stamps) = (Map::new(), Stamps::new());
            merge(&mut reported, &mut reported_stamps, &patches.1, 1);
            let (delta, metadata) = difference(&desired, &reported, &stamps);

            let mut sent = Vec::new();
            leaves("", &delta, &mut sent);
            let root = (Value::Object(desired.clone()), Value::Object(reported.clone()));
            for (path, value) in &sent {
                prop_assert_eq!(root.0.pointer(path), Some(value), "not desired: {}", path);
                prop_assert_ne!(root.1.pointer(path), Some(value), "already reported: {}", path);
            }
            prop_assert_eq!(
                delta.keys().collect::<Vec<_>>(),
                metadata.keys().collect::<Vec<_>>(),
                "every field has its metadata"
            );

            // A device that applies the delta has nothing left to do.
            merge(&mut reported, &mut reported_stamps, &delta, 2);
            let (rest, _) = difference(&desired, &reported, &stamps);
            prop_assert!(rest.is_empty(), "left over: {rest:?}");
        }
    }

    #[test]
    fn numbers_are_equal_by_value_and_large_ones_exactly() {
        for (left, right, equal) in [
            (json!(1), json!(1.0), true),
            (json!([1, 2]), json!([1.0, 2.0]), true),
            (json!({ "a": 1 }), json!({ "a": 1.0 }), true),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!(1), json!("1"), false),
            (json!(0), json!(false), false),
            (json!([]), json!({}), false),
        ] {
            assert_eq!(same(&left, &right), equal, "{left} {right}");
        }
    }
}
