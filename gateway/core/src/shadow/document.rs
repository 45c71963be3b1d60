//! One shadow and what can be done with it.

use super::delta::difference;
use super::merge::request_metadata;
use super::request::{Change, MAX_DOCUMENT_BYTES, Update};
use super::section::Section;
use super::{Rejected, ShadowKey, request};
use crate::time::Now;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What each field costs in memory beyond its text, roughly, in bytes.
const BYTES_PER_FIELD: usize = 160;

/// A shadow document. One that was deleted keeps its version and nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Shadow {
    desired: Section,
    reported: Section,
    version: u64,
    /// When it last changed, in seconds since 1970.
    updated: u64,
    exists: bool,
}

/// The documents that an accepted update gives; publish them in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateOutcome {
    /// The version after the update.
    pub version: u64,
    /// For `update/accepted`: only what the request named.
    pub accepted: Value,
    /// For `update/delta`, when something desired is not reported.
    pub delta: Option<Value>,
    /// For `update/documents`: the state before and after.
    pub documents: Value,
    /// Whether the request named `reported`; then compliance is to be judged again.
    pub touched_reported: bool,
}

// === impl Shadow ===

impl Shadow {
    /// Applies the update in `payload`.
    ///
    /// # Errors
    /// 400 for a malformed request, 409 for another version than the current one, 413 when the request or the state
    /// after it is too large, 415 for text that is not UTF-8. The shadow is unchanged then.
    pub fn apply_update(&mut self, payload: &[u8], now: Now) -> Result<UpdateOutcome, Rejected> {
        let (next, outcome) = self.updated(payload, now)?;
        *self = next;
        Ok(outcome)
    }

    /// The document for `get/accepted`.
    ///
    /// # Errors
    /// 400 for a malformed request, 404 if the shadow does not exist.
    pub fn get(&self, key: &ShadowKey, payload: &[u8], now: Now) -> Result<Value, Rejected> {
        let token = request::get(payload)?;
        if !self.exists {
            return Err(key.missing().with_token(token));
        }
        let mut document = self.document();
        let (delta, _) = difference(&self.desired.state, &self.reported.state, &self.desired.stamps);
        if let Some(Value::Object(state)) = document.get_mut("state").filter(|_| !delta.is_empty()) {
            state.insert("delta".to_owned(), Value::Object(delta));
        }
        Ok(answer(document, now, token))
    }

    /// Deletes the shadow and gives the document for `delete/accepted`. The version stays.
    ///
    /// # Errors
    /// 404 if the shadow does not exist.
    pub fn delete(&mut self, key: &ShadowKey, payload: &[u8], now: Now) -> Result<Value, Rejected> {
        let token = request::delete(payload);
        if !self.exists {
            return Err(key.missing().with_token(token));
        }
        *self = Self { version: self.version, updated: now.unix.secs(), ..Self::default() };
        Ok(answer(fields([("version", self.version.into())]), now, token))
    }

    /// Whether there is a document; one that was deleted has only its version.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// The version; 0 before the first update.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the device says it is.
    #[must_use]
    pub fn reported(&self) -> &Map<String, Value> {
        &self.reported.state
    }

    /// What the device should be.
    #[must_use]
    pub fn desired(&self) -> &Map<String, Value> {
        &self.desired.state
    }

    /// When the document last changed, in seconds since 1970.
    #[must_use]
    pub fn updated_secs(&self) -> u64 {
        self.updated
    }

    /// The memory that this shadow takes, estimated, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.state_bytes() + BYTES_PER_FIELD * (2 + self.desired.fields() + self.reported.fields())
    }

    /// The shadow after the update, with what to answer; for a caller that has more to check before it commits.
    pub(super) fn updated(&self, payload: &[u8], now: Now) -> Result<(Self, UpdateOutcome), Rejected> {
        let update = request::update(payload)?;
        let next = self.next(&update, now).map_err(|rejected| rejected.with_token(update.token.clone()))?;
        let outcome = next.outcome(self, &update, now);
        Ok((next, outcome))
    }

    fn next(&self, update: &Update, now: Now) -> Result<Self, Rejected> {
        if update.version.is_some_and(|version| version != self.version) {
            return Err(Rejected::new(409, "Version conflict"));
        }
        let at = now.unix.secs();
        let mut next = self.clone();
        next.desired.apply(&update.desired, at);
        next.reported.apply(&update.reported, at);
        next.version = self.version.saturating_add(1);
        next.updated = at;
        next.exists = true;
        if next.state_bytes() > MAX_DOCUMENT_BYTES {
            return Err(Rejected::new(413, "The payload exceeds the maximum size allowed"));
        }
        Ok(next)
    }

    fn outcome(&self, previous: &Self, update: &Update, now: Now) -> UpdateOutcome {
        let token = &update.token;
        let (mut state, mut metadata) = (Map::new(), Map::new());
        for (name, change) in [("desired", &update.desired), ("reported", &update.reported)] {
            match change {
                Change::Keep => {}
                Change::Remove => {
                    state.insert(name.to_owned(), Value::Null);
                }
                Change::Merge(patch) => {
                    state.insert(name.to_owned(), Value::Object(patch.clone()));
                    metadata.insert(name.to_owned(), request_metadata(patch, self.updated));
                }
            }
        }
        let accepted = fields([
            ("state", Value::Object(state)),
            ("metadata", Value::Object(metadata)),
            ("version", self.version.into()),
        ]);
        let documents = fields([("previous", previous.document().into()), ("current", self.document().into())]);
        UpdateOutcome {
            version: self.version,
            accepted: answer(accepted, now, token.clone()),
            delta: self.delta(now, token.clone()),
            documents: answer(documents, now, token.clone()),
            touched_reported: !matches!(update.reported, Change::Keep),
        }
    }

    fn delta(&self, now: Now, token: Option<String>) -> Option<Value> {
        let (state, metadata) = difference(&self.desired.state, &self.reported.state, &self.desired.stamps);
        let delta = fields([
            ("version", self.version.into()),
            ("state", Value::Object(state.clone())),
            ("metadata", Value::Object(metadata)),
        ]);
        (!state.is_empty()).then(|| answer(delta, now, token))
    }

    /// State, metadata and version, without the sections that are empty.
    fn document(&self) -> Map<String, Value> {
        let (mut state, mut metadata) = (Map::new(), Map::new());
        for (name, section) in [("desired", &self.desired), ("reported", &self.reported)] {
            if !section.is_empty() {
                state.insert(name.to_owned(), Value::Object(section.state.clone()));
                metadata.insert(name.to_owned(), section.metadata());
            }
        }
        fields([
            ("state", Value::Object(state)),
            ("metadata", Value::Object(metadata)),
            ("version", self.version.into()),
        ])
    }

    fn state_bytes(&self) -> usize {
        let state = json!({ "desired": self.desired.state, "reported": self.reported.state });
        state.to_string().len()
    }
}

fn fields<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn answer(mut document: Map<String, Value>, now: Now, token: Option<String>) -> Value {
    document.insert("timestamp".to_owned(), now.unix.secs().into());
    document.extend(token.map(|token| ("clientToken".to_owned(), token.into())));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    const SECS: u64 = 1_767_225_600;

    fn apply(shadow: &mut Shadow, request: Value) -> Result<UpdateOutcome, Rejected> {
        shadow.apply_update(request.to_string().as_bytes(), Now::for_test(0))
    }

    fn get(shadow: &Shadow) -> Value {
        shadow.get(&ShadowKey::classic("press-01"), b"", Now::for_test(0)).unwrap()
    }

    #[test]
    fn an_update_is_answered_with_the_documents_that_aws_gives() {
        let mut shadow = Shadow::default();
        let request = json!({ "state": { "desired": { "mode": "eco" }, "reported": { "mode": "full" } }, "clientToken": "tok-1" });
        let outcome = apply(&mut shadow, request).unwrap();
        let at = json!({ "timestamp": SECS });
        assert_eq!(
            outcome.accepted,
            json!({ "state": { "desired": { "mode": "eco" }, "reported": { "mode": "full" } },
                    "metadata": { "desired": { "mode": at }, "reported": { "mode": at } },
                    "version": 1, "timestamp": SECS, "clientToken": "tok-1" })
        );
        assert_eq!(
            outcome.delta,
            Some(json!({ "version": 1, "timestamp": SECS, "state": { "mode": "eco" },
                         "metadata": { "mode": at }, "clientToken": "tok-1" }))
        );
        assert_eq!(
            outcome.documents,
            json!({ "previous": { "state": {}, "metadata": {}, "version": 0 },
                    "current": { "state": { "desired": { "mode": "eco" }, "reported": { "mode": "full" } },
                                 "metadata": { "desired": { "mode": at }, "reported": { "mode": at } }, "version": 1 },
                    "timestamp": SECS, "clientToken": "tok-1" })
        );
        assert!(outcome.touched_reported);
    }

    #[test]
    fn accepted_names_only_what_the_request_named() {
        let mut shadow = Shadow::default();
        apply(&mut shadow, json!({ "state": { "reported": { "a": 1, "b": 2 }, "desired": { "c": 1 } } })).unwrap();
        let outcome = apply(&mut shadow, json!({ "state": { "reported": { "b": null }, "desired": null } })).unwrap();
        assert_eq!(outcome.accepted["state"], json!({ "reported": { "b": null }, "desired": null }));
        assert_eq!(outcome.accepted["metadata"], json!({ "reported": {} }));
        assert_eq!(outcome.delta, None);
        assert_eq!(get(&shadow)["state"], json!({ "reported": { "a": 1 } }));
    }

    #[test]
    fn the_delta_goes_when_the_device_reports_what_was_desired() {
        let mut shadow = Shadow::default();
        apply(&mut shadow, json!({ "state": { "reported": { "telnet": true, "only": 1 } } })).unwrap();
        let outcome = apply(&mut shadow, json!({ "state": { "desired": { "telnet": false } } })).unwrap();
        assert!(!outcome.touched_reported);
        assert_eq!(outcome.delta.unwrap()["state"], json!({ "telnet": false }));
        assert_eq!(get(&shadow)["state"]["delta"], json!({ "telnet": false }));
        let outcome = apply(&mut shadow, json!({ "state": { "reported": { "telnet": false } } })).unwrap();
        assert_eq!(outcome.delta, None);
        assert_eq!(get(&shadow)["state"].get("delta"), None);
    }

    #[test]
    fn an_update_for_another_version_changes_nothing() {
        let mut shadow = Shadow::default();
        apply(&mut shadow, json!({ "state": { "desired": { "a": 1 } }, "version": 0 })).unwrap();
        let before = shadow.clone();
        let rejected =
            apply(&mut shadow, json!({ "state": { "desired": { "a": 2 } }, "version": 7, "clientToken": "t" }));
        assert_eq!(
            rejected.unwrap_err().document(Now::for_test(0)),
            json!({ "code": 409, "message": "Version conflict", "timestamp": SECS, "clientToken": "t" })
        );
        assert_eq!(shadow, before);
        assert_eq!(apply(&mut shadow, json!({ "state": { "desired": { "a": 2 } }, "version": 1 })).unwrap().version, 2);
    }

    #[test]
    fn the_version_survives_a_delete() {
        let key = ShadowKey::classic("press-01");
        let mut shadow = Shadow::default();
        for _ in 0..4 {
            apply(&mut shadow, json!({ "state": { "reported": { "a": 1 } } })).unwrap();
        }
        let deleted = shadow.delete(&key, br#"{"clientToken":"d"}"#, Now::for_test(0)).unwrap();
        assert_eq!(deleted, json!({ "version": 4, "timestamp": SECS, "clientToken": "d" }));
        let rejected = shadow.get(&key, b"", Now::for_test(0)).unwrap_err();
        assert_eq!((rejected.code, rejected.message.as_str()), (404, "No shadow exists with name: 'press-01'"));
        assert_eq!(shadow.delete(&key, b"", Now::for_test(0)).unwrap_err().code, 404);
        let outcome = apply(&mut shadow, json!({ "state": { "reported": { "b": 1 } } })).unwrap();
        assert_eq!(outcome.version, 5);
        assert_eq!(get(&shadow)["state"], json!({ "reported": { "b": 1 } }));
    }

    #[test]
    fn a_state_above_eight_kib_is_refused_even_when_it_grows_in_steps() {
        let mut shadow = Shadow::default();
        let part = "x".repeat(3_000);
        apply(&mut shadow, json!({ "state": { "reported": { "a": part } } })).unwrap();
        apply(&mut shadow, json!({ "state": { "reported": { "b": part } } })).unwrap();
        let before = shadow.clone();
        assert_eq!(apply(&mut shadow, json!({ "state": { "desired": { "c": part } } })).unwrap_err().code, 413);
        assert_eq!(shadow, before);
        apply(&mut shadow, json!({ "state": { "reported": { "a": null }, "desired": { "c": part } } })).unwrap();
    }

    #[test]
    fn a_large_number_is_the_same_after_it_was_stored_and_leaves_no_delta_when_it_is_echoed() {
        let mut shadow = Shadow::default();
        apply(&mut shadow, json!({ "state": { "reported": {} } })).unwrap();
        let request = br#"{"state":{"desired":{"x":2.5e33}}}"#;
        let delta = shadow.apply_update(request, Now::for_test(0)).unwrap().delta.unwrap();
        let stored = serde_json::to_vec(&shadow).unwrap();
        assert_eq!(serde_json::from_slice::<Shadow>(&stored).unwrap(), shadow);
        let echo = format!(r#"{{"state":{{"reported":{}}}}}"#, delta["state"]);
        assert_eq!(shadow.apply_update(echo.as_bytes(), Now::for_test(0)).unwrap().delta, None);
    }

    proptest! {
        #[test]
        fn a_stored_shadow_reads_back_the_same(patch in super::super::merge::tests::section()) {
            let mut shadow = Shadow::default();
            let outcome = apply(&mut shadow, json!({ "state": { "reported": patch, "desired": patch } }));
            prop_assume!(outcome.is_ok());
            prop_assert_eq!(outcome.unwrap().delta, None);
            let stored = serde_json::to_vec(&shadow).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Shadow>(&stored).unwrap(), shadow);
        }
    }
}
