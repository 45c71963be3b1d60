//! Merging an update into a section, and the timestamps that go with it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// When the fields of a section last changed, in seconds since 1970; has the shape of the section.
pub(super) type Stamps = BTreeMap<String, Stamp>;

/// When one field last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Stamp {
    /// A plain value or an array.
    At(u64),
    /// An object.
    Fields(Stamps),
}

/// Merges `patch` into `state` (as RFC 7396 does): named fields change, `null` deletes, arrays are replaced whole.
pub(super) fn merge(state: &mut Map<String, Value>, stamps: &mut Stamps, patch: &Map<String, Value>, at: u64) {
    for (name, change) in patch {
        match change {
            Value::Null => {
                state.remove(name);
                stamps.remove(name);
            }
            Value::Object(patch) => {
                let mut inner = if let Some(Value::Object(fields)) = state.remove(name) { fields } else { Map::new() };
                let mut below =
                    if let Some(Stamp::Fields(fields)) = stamps.remove(name) { fields } else { Stamps::new() };
                merge(&mut inner, &mut below, patch, at);
                state.insert(name.clone(), Value::Object(inner));
                stamps.insert(name.clone(), Stamp::Fields(below));
            }
            plain => {
                state.insert(name.clone(), plain.clone());
                stamps.insert(name.clone(), Stamp::At(at));
            }
        }
    }
}

/// The metadata document of `stamps`.
pub(super) fn metadata(stamps: &Stamps) -> Value {
    stamps.iter().map(|(name, stamp)| (name.clone(), stamp.document())).collect()
}

/// The metadata of what a request sets: a timestamp for each of its fields that is not deleted.
pub(super) fn request_metadata(patch: &Map<String, Value>, at: u64) -> Value {
    let kept = patch.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| {
        let stamp = match value {
            Value::Object(fields) => request_metadata(fields, at),
            _ => json!({ "timestamp": at }),
        };
        (name.clone(), stamp)
    })
    .collect()
}

// === impl Stamp ===

impl Stamp {
    pub(super) fn document(&self) -> Value {
        match self {
            Self::At(at) => json!({ "timestamp": at }),
            Self::Fields(fields) => metadata(fields),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    /// Small documents over few names, so that two of them often meet.
    pub(in crate::shadow) fn section() -> impl Strategy<Value = Map<String, Value>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            "[xy]".prop_map(Value::from),
            Just(json!([1, 2])),
            Just(json!([1, { "a": 2 }])),
        ];
        let value = leaf.prop_recursive(3, 24, 3, |inner| {
            proptest::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|fields| fields.into_iter().collect::<Value>())
        });
        proptest::collection::btree_map("[abc]", value, 0..4).prop_map(|fields| fields.into_iter().collect())
    }

    /// RFC 7396, section 2, word for word.
    fn merge_patch(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = if let Value::Object(target) = target { target } else { Map::new() };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                let old = target.remove(name).unwrap_or(Value::Null);
                target.insert(name.clone(), merge_patch(old, value));
            }
        }
        Value::Object(target)
    }

    fn same_shape(state: &Map<String, Value>, stamps: &Stamps) -> bool {
        state.len() == stamps.len()
            && state.iter().all(|(name, value)| match (value, stamps.get(name)) {
                (Value::Object(fields), Some(Stamp::Fields(stamps))) => same_shape(fields, stamps),
                (Value::Object(_), _) | (_, Some(Stamp::Fields(_)) | None) => false,
                (_, Some(Stamp::At(_))) => true,
            })
    }

    proptest! {
        #[test]
        fn updates_merge_as_the_standard_says_and_every_field_keeps_its_timestamp(
            patches in proptest::collection::vec(section(), 1..5)
        ) {
            let (mut state, mut stamps) = (Map::new(), Stamps::new());
            let mut expected = Value::Object(Map::new());
            for (at, patch) in (1..).zip(&patches) {
                merge(&mut state, &mut stamps, patch, at);
                expected = merge_patch(expected, &Value::Object(patch.clone()));
                prop_assert_eq!(&Value::Object(state.clone()), &expected);
                prop_assert!(same_shape(&state, &stamps));
            }
        }
    }

    #[test]
    fn only_what_an_update_names_gets_a_new_timestamp() {
        let (mut state, mut stamps) = (Map::new(), Stamps::new());
        let patch = |value: Value| value.as_object().unwrap().clone();
        merge(&mut state, &mut stamps, &patch(json!({ "net": { "ip": "a", "mask": 8 }, "mode": "eco" })), 10);
        merge(&mut state, &mut stamps, &patch(json!({ "net": { "ip": "b" } })), 20);
        assert_eq!(
            metadata(&stamps),
            json!({ "net": { "ip": { "timestamp": 20 }, "mask": { "timestamp": 10 } }, "mode": { "timestamp": 10 } })
        );
    }
}
