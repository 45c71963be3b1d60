//! All shadows of the fleet, within bounds.

use super::{Rejected, Shadow, ShadowKey, UpdateOutcome};
use crate::time::Now;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How much the store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowLimits {
    /// The most named shadows of one thing.
    pub named_per_thing: usize,
    /// The most memory for all shadows, by [`Shadow::weight`], in bytes.
    pub total_bytes: usize,
}

/// Every shadow, by thing and name.
///
/// What goes over a limit is refused with 413 or 429 and changes nothing. Of deleted shadows, which only keep their
/// version, the oldest are forgotten when one thing has more than its limit of them.
#[derive(Debug, Clone, Default)]
pub struct ShadowStore {
    limits: ShadowLimits,
    shadows: BTreeMap<ShadowKey, Shadow>,
    bytes: usize,
}

// === impl ShadowLimits ===

impl Default for ShadowLimits {
    /// Ten named shadows for each thing, 64 MiB in all.
    fn default() -> Self {
        Self { named_per_thing: 10, total_bytes: 64 * 1024 * 1024 }
    }
}

// === impl ShadowStore ===

impl ShadowStore {
    /// An empty store.
    #[must_use]
    pub fn new(limits: ShadowLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Puts back what was stored. Limits do not apply: what was accepted once is kept.
    pub fn restore(&mut self, shadows: impl IntoIterator<Item = (ShadowKey, Shadow)>) {
        for (key, shadow) in shadows {
            self.put(key, shadow);
        }
    }

    /// Applies the update in `payload` to the shadow `key`, which begins to exist with its first update.
    ///
    /// # Errors
    /// Those of [`Shadow::apply_update`]; 413 when the thing has its limit of named shadows; 429 when the store is full.
    pub fn update(&mut self, key: &ShadowKey, payload: &[u8], now: Now) -> Result<UpdateOutcome, Rejected> {
        let absent = Shadow::default();
        let current = self.shadows.get(key).unwrap_or(&absent);
        let (next, outcome) = current.updated(payload, now)?;
        let grows = next.weight().saturating_sub(if self.shadows.contains_key(key) { current.weight() } else { 0 });
        let full =
            if key.name.is_some() && !current.exists() && self.named(&key.thing).count() >= self.limits.named_per_thing
            {
                let most = self.limits.named_per_thing;
                Some(Rejected::new(413, format!("This thing already has {most} named shadows; delete one first")))
            } else if grows > 0 && self.bytes.saturating_add(grows) > self.limits.total_bytes {
                Some(Rejected::new(429, "The gateway has no room for more shadow data"))
            } else {
                None
            };
        if let Some(rejected) = full {
            let token = outcome.accepted.get("clientToken").and_then(Value::as_str).map(str::to_owned);
            return Err(rejected.with_token(token));
        }
        self.put(key.clone(), next);
        Ok(outcome)
    }

    /// Merges `fields`, a JSON object, into what is desired, on the gateway's own behalf.
    ///
    /// # Errors
    /// Those of [`ShadowStore::update`].
    pub fn desire(
        &mut self,
        key: &ShadowKey,
        fields: &Value,
        token: &str,
        now: Now,
    ) -> Result<UpdateOutcome, Rejected> {
        let request = json!({ "state": { "desired": fields }, "clientToken": token });
        self.update(key, request.to_string().as_bytes(), now)
    }

    /// The document for `get/accepted`.
    ///
    /// # Errors
    /// 400 for a malformed request, 404 if the shadow does not exist.
    pub fn get(&self, key: &ShadowKey, payload: &[u8], now: Now) -> Result<Value, Rejected> {
        self.shadows.get(key).unwrap_or(&Shadow::default()).get(key, payload, now)
    }

    /// Deletes the shadow `key` and gives the document for `delete/accepted`.
    ///
    /// # Errors
    /// 404 if the shadow does not exist.
    pub fn delete(&mut self, key: &ShadowKey, payload: &[u8], now: Now) -> Result<Value, Rejected> {
        let mut shadow = self.shadows.get(key).cloned().unwrap_or_default();
        let document = shadow.delete(key, payload, now)?;
        self.put(key.clone(), shadow);
        self.forget_deleted(&key.thing);
        Ok(document)
    }

    /// The shadow `key`, to store it or to judge what it reports; also one that was deleted.
    #[must_use]
    pub fn peek(&self, key: &ShadowKey) -> Option<&Shadow> {
        self.shadows.get(key)
    }

    /// Every shadow, deleted ones included, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ShadowKey, &Shadow)> {
        self.shadows.iter()
    }

    /// The names of the named shadows of `thing` that exist.
    pub fn named<'s>(&'s self, thing: &'s str) -> impl Iterator<Item = &'s str> {
        self.of(thing).filter(|(_, shadow)| shadow.exists()).filter_map(|(key, _)| key.name.as_deref())
    }

    /// Takes out everything of `thing`, when it leaves the fleet, and gives the keys that are gone.
    pub fn remove_thing(&mut self, thing: &str) -> Vec<ShadowKey> {
        let keys: Vec<_> = self.of(thing).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.remove(key);
        }
        keys
    }

    /// The memory that all shadows take, by [`Shadow::weight`], in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn of<'s>(&'s self, thing: &'s str) -> impl Iterator<Item = (&'s ShadowKey, &'s Shadow)> {
        self.shadows.range(ShadowKey::classic(thing)..).take_while(move |(key, _)| key.thing == thing)
    }

    fn put(&mut self, key: ShadowKey, shadow: Shadow) {
        self.bytes += shadow.weight();
        if let Some(old) = self.shadows.insert(key, shadow) {
            self.bytes -= old.weight();
        }
    }

    fn remove(&mut self, key: &ShadowKey) {
        if let Some(old) = self.shadows.remove(key) {
            self.bytes -= old.weight();
        }
    }

    fn forget_deleted(&mut self, thing: &str) {
        let mut deleted: Vec<_> = self
            .of(thing)
            .filter(|(key, shadow)| key.name.is_some() && !shadow.exists())
            .map(|(key, shadow)| (shadow.updated_secs(), key.clone()))
            .collect();
        deleted.sort();
        let surplus = deleted.len().saturating_sub(self.limits.named_per_thing);
        for (_, key) in deleted.iter().take(surplus) {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;

    const REPORT: &[u8] = br#"{"state":{"reported":{"a":1}},"clientToken":"t"}"#;

    fn named(thing: &str, number: usize) -> ShadowKey {
        ShadowKey::of(thing, Some(&format!("n{number}")))
    }

    #[test]
    fn a_thing_has_at_most_ten_named_shadows_and_its_classic_one() {
        let mut store = ShadowStore::default();
        for number in 0..10 {
            store.update(&named("a", number), REPORT, Now::for_test(0)).unwrap();
        }
        let rejected = store.update(&named("a", 10), REPORT, Now::for_test(0)).unwrap_err();
        assert_eq!((rejected.code, rejected.client_token.as_deref()), (413, Some("t")));
        store.update(&named("a", 3), REPORT, Now::for_test(0)).unwrap();
        store.update(&ShadowKey::classic("a"), REPORT, Now::for_test(0)).unwrap();
        store.update(&named("b", 0), REPORT, Now::for_test(0)).unwrap();
        store.delete(&named("a", 0), b"", Now::for_test(0)).unwrap();
        store.update(&named("a", 10), REPORT, Now::for_test(0)).unwrap();
        assert_eq!(store.named("a").count(), 10);
    }

    #[test]
    fn a_device_that_makes_and_deletes_shadows_for_ever_fills_nothing() {
        let mut store = ShadowStore::default();
        for number in 0..1_000 {
            store.update(&named("a", number), REPORT, Now::for_test(number as u64 * 1000)).unwrap();
            store.delete(&named("a", number), b"", Now::for_test(number as u64 * 1000)).unwrap();
        }
        assert_eq!(store.iter().count(), 10);
        assert_eq!(store.peek(&named("a", 999)).unwrap().version(), 1);
        store.remove_thing("a");
        assert_eq!((store.iter().count(), store.bytes()), (0, 0));
    }

    #[test]
    fn a_full_store_refuses_growth_but_not_shrinking() {
        let mut store = ShadowStore::new(ShadowLimits { named_per_thing: 10, total_bytes: 4_000 });
        let big = json!({ "state": { "reported": { "a": "x".repeat(2_500) } } }).to_string();
        let (first, second) = (ShadowKey::classic("a"), ShadowKey::classic("b"));
        store.update(&first, big.as_bytes(), Now::for_test(0)).unwrap();
        assert_eq!(store.update(&second, big.as_bytes(), Now::for_test(0)).unwrap_err().code, 429);
        store.update(&first, REPORT, Now::for_test(0)).unwrap();
        store.update(&second, big.as_bytes(), Now::for_test(0)).unwrap();
    }

    #[test]
    fn the_gateway_desires_and_the_device_is_told() {
        let mut store = ShadowStore::default();
        let key = ShadowKey::classic("a");
        let outcome = store.desire(&key, &json!({ "telnet": false }), "cordon", Now::for_test(0)).unwrap();
        assert_eq!(outcome.delta.unwrap()["state"], json!({ "telnet": false }));
        let mut again = ShadowStore::default();
        again.restore(store.iter().map(|(key, shadow)| (key.clone(), shadow.clone())));
        assert_eq!(again.bytes(), store.bytes());
        assert_eq!(again.get(&key, b"", Now::for_test(0)).unwrap()["version"], 1);
    }
}
