//! Alarms: what things do is counted, what is outside normal becomes an alarm, and each change is recorded, kept and
//! forwarded.

use super::{Knowledge, put};
use cordon_core::detect::{Alarm, AlarmState, LoginKey, Metric, Refusal, Source};
use cordon_core::event::{Code, Event};
use cordon_core::fleet::Thing;
use cordon_core::time::Now;
use cordon_journal::Bucket;
use cordon_mqtt::ThingCounters;
use cordon_uplink::violation::{EventType, Violation};
use serde_json::json;
use std::net::SocketAddr;

/// Alarms are the last to be dropped from a full outbox.
pub(super) const ALARM: u8 = 10;

// === impl Knowledge ===

impl Knowledge {
    /// Counts what things did.
    pub(super) async fn count(&mut self, counters: &[ThingCounters], now: Now) {
        for counted in counters {
            self.tally.count(counted);
            let stranger;
            let thing = match self.registry.get(&counted.thing) {
                Some(thing) => {
                    self.seen.insert(thing.name.clone(), now);
                    thing
                }
                None => {
                    stranger = Thing::named(&counted.thing);
                    &stranger
                }
            };
            for (metric, count) in
                [(Metric::MessagesSent, counted.sent), (Metric::AuthorizationFailures, counted.authorization_failures)]
            {
                if count > 0 {
                    self.detector.observe(thing, metric, count, now);
                }
            }
        }
        self.raise_violations(now).await;
    }

    /// Moves the windows on.
    pub(super) async fn detect(&mut self, now: Now) {
        let registry = self.registry.clone();
        self.detector.handle_timeout(now, &registry);
        self.raise_violations(now).await;
    }

    pub(super) async fn raise_violations(&mut self, now: Now) {
        while let Some(violation) = self.detector.poll_event() {
            let criteria = violation.criterion.document();
            if let Some(alarm) = self.alarms.apply(&violation, now) {
                self.alarm_changed(&alarm, criteria, None, now).await;
            }
        }
    }

    /// Failed logins from an address or for a name have reached the threshold.
    pub(super) async fn raise_login(&mut self, refusal: &Refusal, peer: SocketAddr, now: Now) {
        let alarm = self.alarms.raise_login(refusal, now);
        self.alarm_changed(&alarm, json!({}), Some((refusal, peer)), now).await;
    }

    /// The refusal of an address or a name is over.
    pub(super) async fn clear_login(&mut self, key: &LoginKey, now: Now) {
        if let Some(alarm) = self.alarms.clear_login(key, now) {
            self.alarm_changed(&alarm, json!({}), None, now).await;
        }
    }

    pub(super) async fn alarm_changed(
        &mut self,
        alarm: &Alarm,
        criteria: serde_json::Value,
        login: Option<(&Refusal, SocketAddr)>,
        now: Now,
    ) {
        let raised = alarm.state == AlarmState::InAlarm;
        let code = if raised { Code::AlarmRaised } else { Code::AlarmCleared };
        let (profile, behavior) = names(alarm);
        let mut event = Event::new(code, now)
            .resource(alarm.metric.as_str())
            .rule(format!("{profile}/{behavior}"))
            .reason(format!("seen {}, normal is {}", alarm.seen, alarm.normal))
            .detail("alarm", alarm.id.as_str());
        event.thing.clone_from(&alarm.thing);
        if let Some((refusal, peer)) = login {
            let seconds = refusal.duration.as_secs().to_string();
            event = event.peer(peer).principal(refusal.key.to_string()).detail("refused for seconds", seconds);
        }
        // Forwarded first: a kill between these steps may tell of an alarm twice, but never lose one.
        if !alarm.suppress_alerts
            && let Ok(document) = document(alarm, criteria, now).document()
        {
            self.forward(ALARM, |topics| &topics.alarm, document).await;
        }
        self.record_durably(event).await;
        self.keep(put(Bucket::Alarms, &alarm.id, alarm)).await.ok();
    }
}

fn names(alarm: &Alarm) -> (String, String) {
    match &alarm.source {
        Source::Behavior { profile, behavior } => (profile.clone(), behavior.clone()),
        Source::Login { key } => ("login".to_owned(), key.to_string()),
    }
}

fn document(alarm: &Alarm, criteria: serde_json::Value, now: Now) -> Violation {
    let (profile, behavior) = names(alarm);
    Violation {
        violation_event_time: now.unix,
        thing_name: alarm.thing.clone(),
        source_address: alarm.address,
        behavior: json!({ "name": behavior, "metric": alarm.metric, "criteria": criteria }),
        violation_event_type: match alarm.state {
            AlarmState::InAlarm => EventType::InAlarm,
            AlarmState::AlarmCleared => EventType::AlarmCleared,
            AlarmState::AlarmInvalidated => EventType::AlarmInvalidated,
        },
        metric_value: json!({ "count": alarm.seen }),
        violation_id: alarm.id.clone(),
        security_profile_name: profile,
    }
}
