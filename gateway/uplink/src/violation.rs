//! An alarm as AWS IoT Device Defender tells it to subscribers, so that tools which read those need no change.

use cordon_core::time::Unix;
use serde::Serialize;
use serde_json::Value;
use std::net::IpAddr;

/// How an alarm changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// It is active.
    InAlarm,
    /// Its behavior is normal again.
    AlarmCleared,
    /// What it was raised for does not apply any more.
    AlarmInvalidated,
}

/// What is told of an alarm; field names and forms are those of a Device Defender alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// When it changed.
    pub violation_event_time: Unix,
    /// The thing concerned; `None` if it is known by its address only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
    /// The address that repeated failed logins came from. Cordon's own addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<IpAddr>,
    /// The behavior of the security profile, in its JSON form: `{"name":..,"metric":..,"criteria":{..}}`.
    pub behavior: Value,
    /// How it changed.
    pub violation_event_type: EventType,
    /// What was seen, for example `{"count":19}`.
    pub metric_value: Value,
    /// The alarm's id: 1 to 128 of `a-z`, `A-Z`, `0-9`, `-`. The same for all changes of one alarm.
    pub violation_id: String,
    /// The security profile, or Cordon's own rule.
    pub security_profile_name: String,
}

// === impl Violation ===

impl Violation {
    /// The document to publish to [`crate::Topics::alarm`].
    ///
    /// # Errors
    ///
    /// Never for the fields there are; serde's error type is passed on.
    pub fn document(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use serde_json::json;

    #[test]
    fn a_violation_has_the_form_of_a_device_defender_alert() {
        let behavior = json!({
            "name": "auth-fail",
            "metric": "aws:num-authorization-failures",
            "criteria": {"comparisonOperator": "less-than", "value": {"count": 5}, "durationSeconds": 300},
        });
        let violation = Violation {
            violation_event_time: Unix(1_767_225_600_000),
            thing_name: Some("pump-7".to_owned()),
            source_address: None,
            behavior: behavior.clone(),
            violation_event_type: EventType::InAlarm,
            metric_value: json!({"count": 19}),
            violation_id: "d7bd1b6f7b0e4f3a8c".to_owned(),
            security_profile_name: "pumps".to_owned(),
        };
        let document: Value = serde_json::from_slice(&violation.document().unwrap()).unwrap();
        let wanted = json!({
            "violationEventTime": 1_767_225_600_000_u64,
            "thingName": "pump-7",
            "behavior": behavior,
            "violationEventType": "in-alarm",
            "metricValue": {"count": 19},
            "violationId": "d7bd1b6f7b0e4f3a8c",
            "securityProfileName": "pumps",
        });
        assert_eq!(document, wanted);
    }
}
