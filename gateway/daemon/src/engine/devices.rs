//! Requests of devices to the gateway's own services: the shadows.

use super::{Knowledge, put};
use bytes::Bytes;
use cordon_core::event::{Code, Event};
use cordon_core::fleet::MAX_ATTRIBUTE_BYTES;
use cordon_core::judge::judge_gateway;
use cordon_core::policy::Action;
use cordon_core::shadow::{Operation, ShadowKey, UpdateOutcome, parse_topic};
use cordon_core::time::Now;
use cordon_journal::{Bucket, Change};
use cordon_mqtt::DeviceMessage;
use serde_json::{Map, Value};
use std::sync::Arc;

// === impl Knowledge ===

impl Knowledge {
    /// Answers a device's request, and looks at what it reported.
    pub(super) async fn device_message(&mut self, message: DeviceMessage, now: Now) {
        let Some((key, operation)) = parse_topic(&message.topic) else { return };
        let (word, answer) = match operation {
            Operation::Get => ("get", self.shadows.get(&key, &message.payload, now)),
            Operation::Delete => ("delete", self.shadows.delete(&key, &message.payload, now)),
            Operation::Update => match self.shadows.update(&key, &message.payload, now) {
                Ok(outcome) => {
                    self.shadow_updated(&key, &outcome, now).await;
                    return;
                }
                Err(rejected) => ("update", Err(rejected)),
            },
        };
        match answer {
            Ok(document) => {
                self.publish(&key, &format!("{word}/accepted"), &document).await;
                if operation == Operation::Delete {
                    self.keep(vec![Change::Remove(Bucket::Shadows, key.to_string())]).await.ok();
                    self.assess(&key, &Map::new(), now).await;
                }
            }
            Err(rejected) => {
                let event = Event::new(Code::ShadowRejected, now).thing(message.thing.as_str());
                self.record(
                    event.resource(message.topic.as_str()).reason(format!("{} {}", rejected.code, rejected.message)),
                );
                self.publish(&key, &format!("{word}/rejected"), &rejected.document(now)).await;
            }
        }
    }

    async fn shadow_updated(&mut self, key: &ShadowKey, outcome: &UpdateOutcome, now: Now) {
        self.publish(key, "update/accepted", &outcome.accepted).await;
        self.publish(key, "update/documents", &outcome.documents).await;
        self.keep_shadow(key).await;
        if outcome.touched_reported {
            let reported = self.shadows.peek(key).map(|shadow| shadow.reported().clone()).unwrap_or_default();
            if key.name.is_none() {
                self.note_firmware(&key.thing, &reported, now).await;
            }
            self.assess(key, &reported, now).await;
        }
        // What the assessment changed of the desired state came with a delta of its own. This one would ask a device that
        // has gone further than the minimum to go back.
        let stands = self.shadows.peek(key).is_some_and(|shadow| shadow.version() == outcome.version);
        if let Some(delta) = outcome.delta.as_ref().filter(|_| stands) {
            self.publish(key, "update/delta", delta).await;
        }
    }

    /// Sets fields of a shadow's desired state, which publishes the delta.
    pub(super) async fn desire(&mut self, key: &ShadowKey, fields: &Value, now: Now) {
        match self.shadows.desire(key, fields, "cordon", now) {
            Ok(outcome) => {
                self.publish(key, "update/accepted", &outcome.accepted).await;
                self.publish(key, "update/documents", &outcome.documents).await;
                if let Some(delta) = &outcome.delta {
                    self.publish(key, "update/delta", delta).await;
                }
                self.keep_shadow(key).await;
            }
            Err(rejected) => {
                let event = Event::new(Code::ShadowRejected, now).thing(key.thing.as_str()).principal("gateway");
                self.record(event.reason(format!("remediation cannot set the desired state: {}", rejected.message)));
            }
        }
    }

    async fn keep_shadow(&self, key: &ShadowKey) {
        if let Some(shadow) = self.shadows.peek(key) {
            self.keep(put(Bucket::Shadows, &key.to_string(), shadow)).await.ok();
        }
    }

    /// A reported firmware version is what version selectors go by; a change is judged at once.
    async fn note_firmware(&mut self, thing: &str, reported: &Map<String, Value>, now: Now) {
        let Some(version) = reported.get("firmware").and_then(Value::as_str) else { return };
        let Some(known) = self.registry.get(thing) else { return };
        if known.firmware() == Some(version) || version.is_empty() || version.len() > MAX_ATTRIBUTE_BYTES {
            return;
        }
        let before = known.firmware().unwrap_or("unknown").to_owned();
        let mut registry = (*self.registry).clone();
        if let Some(known) = registry.things.get_mut(thing) {
            known.reported_firmware = Some(version.to_owned());
        }
        self.registry = Arc::new(registry);
        self.detector.fleet_changed();
        self.enforce().await;
        let registry = self.registry.clone();
        let steps = self.remediation.fleet_changed(&registry, now);
        Box::pin(self.carry_out(steps, now)).await;
        self.keep(put(Bucket::Registry, thing, &version)).await.ok();
        let event = Event::new(Code::FirmwareChanged, now).thing(thing).resource(version);
        self.record(event.reason(format!("reported {version}, was {before}")));
    }

    async fn publish(&self, key: &ShadowKey, suffix: &str, document: &Value) {
        let Some(broker) = self.broker() else { return };
        let topic = key.topic(suffix);
        let permit = judge_gateway(Action::Publish, &topic);
        broker.publish(topic, Bytes::from(document.to_string()), permit).await;
    }
}
