//! Reading a security profile, strictly.

use super::checked::{Fault, Object, cut};
use super::json::{self, Node};
use super::{Behavior, MAX_BEHAVIORS, Metric, ProfileError, SecurityProfile, Watch, criterion_json};
use crate::fleet::{did_you_mean, is_valid_thing_name};

const TOP_KEYS: &[&str] = &[
    "securityProfileName",
    "securityProfileDescription",
    "behaviors",
    "alertTargets",
    "additionalMetricsToRetain",
    "additionalMetricsToRetainV2",
    "metricsExportConfig",
    "tags",
];
const BEHAVIOR_KEYS: &[&str] = &["name", "metric", "metricDimension", "criteria", "suppressAlerts", "exportMetric"];
/// The metrics of AWS IoT Device Defender; a custom metric has any name that does not begin with `aws:`.
const METRICS: &[&str] = &[
    "aws:num-authorization-failures",
    "aws:num-messages-sent",
    "aws:num-messages-received",
    "aws:message-byte-size",
    "aws:source-ip-address",
    "aws:num-connection-attempts",
    "aws:num-disconnects",
    "aws:disconnect-duration",
    "aws:all-bytes-out",
    "aws:all-bytes-in",
    "aws:all-packets-out",
    "aws:all-packets-in",
    "aws:num-listening-tcp-ports",
    "aws:num-listening-udp-ports",
    "aws:num-established-tcp-connections",
    "aws:listening-tcp-ports",
    "aws:listening-udp-ports",
    "aws:destination-ip-addresses",
];

/// Reads a profile or says what stops it.
pub(super) fn read(name: &str, text: &str) -> Result<SecurityProfile, ProfileError> {
    let located = |(line, column), key: &str, problem: String, help: String| ProfileError {
        profile: cut(name),
        line,
        column,
        key: key.to_owned(),
        problem,
        help,
    };
    let node = json::read(text).map_err(|error| {
        let message = error.to_string();
        let problem = message.split(" at line ").next().unwrap_or_default().to_owned();
        located((error.line(), error.column().max(1)), "document", problem, "correct the JSON syntax there".to_owned())
    })?;
    profile(name, &node).map_err(|fault| located(place(text, fault.at), &fault.key, fault.problem, fault.help))
}

fn profile(hint: &str, node: &Node) -> Result<SecurityProfile, Fault> {
    let top = Object::new(node, "", TOP_KEYS)?;
    let mut behaviors: Vec<Behavior> = Vec::new();
    for (index, node) in top.list("behaviors")?.unwrap_or_default().iter().enumerate() {
        let path = format!("behaviors[{index}]");
        let behavior = behavior(node, &path)?;
        if behaviors.iter().any(|earlier| earlier.name == behavior.name) {
            let problem = format!("there already is a behavior \"{}\"", behavior.name);
            return Err(Fault::new(node.at, &format!("{path}.name"), problem, "give each behavior its own name"));
        }
        if index >= MAX_BEHAVIORS {
            let problem = format!("there are more than {MAX_BEHAVIORS} behaviors");
            return Err(Fault::new(node.at, "behaviors", problem, "split the profile"));
        }
        behaviors.push(behavior);
    }
    Ok(SecurityProfile {
        name: name(&top, "securityProfileName", Some(hint))?,
        description: top.text("securityProfileDescription")?.unwrap_or_default().to_owned(),
        behaviors,
    })
}

fn behavior(node: &Node, path: &str) -> Result<Behavior, Fault> {
    let object = Object::new(node, path, BEHAVIOR_KEYS)?;
    let name = name(&object, "name", None)?;
    object.flag("exportMetric")?;
    let metric_node = object.required("metric", "\"aws:num-messages-sent\"")?;
    let metric = object.text("metric")?.unwrap_or_default();
    if metric.is_empty() || (metric.starts_with("aws:") && !METRICS.contains(&metric)) {
        let problem = format!("there is no metric \"{}\"", cut(metric));
        return Err(Fault::new(metric_node.at, &object.key("metric"), problem, did_you_mean(metric, METRICS)));
    }
    let criterion = match object.get("criteria") {
        Some(node) => criterion_json::read(node, &object.key("criteria"), counted(metric))?,
        None => Err("it has no criteria, so there is nothing to compare"),
    };
    let watch = match (counted(metric), criterion) {
        (None, _) => unsupported("this gateway does not measure the metric"),
        (Some(_), Err(reason)) => unsupported(reason),
        (Some(_), Ok(_)) if object.get("metricDimension").is_some() => {
            unsupported("it has a metricDimension, and this gateway counts over all topics")
        }
        (Some(metric), Ok(criterion)) => Watch::Count { metric, criterion },
    };
    Ok(Behavior { name, metric: metric.to_owned(), watch, suppress_alerts: object.flag("suppressAlerts")? })
}

fn name(object: &Object<'_>, key: &str, hint: Option<&str>) -> Result<String, Fault> {
    let text = match (object.text(key)?, hint) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => {
            return Err(Fault::new(
                object.at,
                &object.key(key),
                "a name is missing",
                format!("write \"{key}\": \"...\""),
            ));
        }
    };
    if is_valid_thing_name(text) {
        return Ok(text.to_owned());
    }
    let at = object.get(key).map_or(object.at, |node| node.at);
    let help = "write 1 to 128 characters of a-z A-Z 0-9 : _ -";
    Err(Fault::new(at, &object.key(key), format!("\"{}\" is no name", cut(text)), help))
}

fn counted(name: &str) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| metric.name() == name)
}

fn unsupported(reason: &str) -> Watch {
    Watch::Unsupported { reason: reason.to_owned() }
}

/// Line and column of a byte, from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::super::{Criterion, Operator};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const GOOD: &str = r#"{
      "securityProfileName": "presses",
      "securityProfileDescription": "what a press does",
      "behaviors": [
        {"name": "auth-fail", "metric": "aws:num-authorization-failures", "suppressAlerts": true, "exportMetric": false,
         "criteria": {"comparisonOperator": "less-than", "value": {"count": 5}, "durationSeconds": 1,
                      "consecutiveDatapointsToAlarm": 2, "consecutiveDatapointsToClear": 3}},
        {"name": "off-topic", "metric": "aws:num-messages-sent", "metricDimension": {"dimensionName": "Own", "operator": "NOT_IN"},
         "criteria": {"comparisonOperator": "less-than-equals", "value": {"count": 0}, "durationSeconds": 300}},
        {"name": "p99", "metric": "aws:num-messages-sent",
         "criteria": {"comparisonOperator": "less-than-equals", "statisticalThreshold": {"statistic": "p99"}, "durationSeconds": 900}},
        {"name": "ml", "metric": "aws:num-messages-sent", "criteria": {"mlDetectionConfig": {"confidenceLevel": "HIGH"}}},
        {"name": "subnet", "metric": "aws:source-ip-address",
         "criteria": {"comparisonOperator": "in-cidr-set", "value": {"cidrs": ["10.20.0.0/16"]}}},
        {"name": "heat", "metric": "temperature",
         "criteria": {"comparisonOperator": "less-than", "value": {"number": 80.5}, "durationSeconds": 300}},
        {"name": "ports", "metric": "aws:listening-tcp-ports",
         "criteria": {"comparisonOperator": "in-port-set", "value": {"ports": [22, 8883]}}},
        {"name": "kept", "metric": "aws:num-messages-sent"}],
      "alertTargets": {"SNS": {"alertTargetArn": "arn:aws:sns:x", "roleArn": "arn:aws:iam:y"}},
      "tags": [{"Key": "k", "Value": "v"}]}"#;

    #[test]
    fn a_profile_written_for_aws_is_read_whole() {
        let profile = SecurityProfile::parse("file", GOOD).unwrap();
        assert_eq!((profile.name.as_str(), profile.behaviors.len()), ("presses", 8));
        let criterion = Criterion {
            operator: Operator::LessThan,
            count: 5,
            window: Duration::from_secs(1),
            to_alarm: 2,
            to_clear: 3,
        };
        assert_eq!(
            profile.behaviors[0],
            Behavior {
                name: "auth-fail".to_owned(),
                metric: "aws:num-authorization-failures".to_owned(),
                watch: Watch::Count { metric: Metric::AuthorizationFailures, criterion },
                suppress_alerts: true,
            }
        );
        let names: Vec<_> = profile.unsupported().map(|(name, _)| name).collect();
        assert_eq!(names, ["off-topic", "p99", "ml", "subnet", "heat", "ports", "kept"]);
        assert_eq!(SecurityProfile::parse("file", "{}").unwrap().name, "file");
    }

    #[test]
    fn each_mistake_names_its_place_its_key_and_what_to_write() {
        let behavior = |rest: &str| format!("{{\"behaviors\":[\n{{\"name\":\"b\",{rest}}}]}}");
        let criteria =
            |rest: &str| behavior(&format!("\"metric\":\"aws:num-messages-sent\",\n\"criteria\":{{{rest}}}"));
        let count = "\"comparisonOperator\":\"less-than\",\"value\":{\"count\":5},\"durationSeconds\":60";
        for (text, points_at, key, says) in [
            ("{\n \"behaviours\": []}".to_owned(), "\"behaviours\"", "behaviours", "did you mean \"behaviors\"?"),
            ("[]".to_owned(), "[]", "document", "{ ... }"),
            ("{\"tags\":[1],\"tags\":[2]}".to_owned(), "\"tags\":[2]", "tags", "keep one"),
            ("{\"behaviors\":{}}".to_owned(), "{}", "behaviors", "[ ... ]"),
            ("{\"ü\":1}".to_owned(), "\"ü\"", "ü", "securityProfileName"),
            ("{\"securityProfileName\":\"ü b\"}".to_owned(), "\"ü b\"", "securityProfileName", "a-z"),
            ("{\"securityProfileName\":7}".to_owned(), "7", "securityProfileName", "double quotes"),
            ("{\"behaviors\":[{}]}".to_owned(), "{}", "behaviors[0].name", "\"name\": "),
            (behavior("\"suppressAlerts\":1"), "{\"name\"", "behaviors[0].metric", "\"metric\": "),
            (
                behavior("\"metric\":\"aws:num-message-sent\""),
                "\"aws:num",
                "behaviors[0].metric",
                "\"aws:num-messages-sent\"?",
            ),
            (behavior("\"metric\":\"m\",\"suppressAlerts\":1"), "1}", "behaviors[0].suppressAlerts", "true or false"),
            (
                behavior("\"metric\":\"m\"},{\"name\":\"b\",\"metric\":\"n\""),
                "{\"name\":\"b\",\"metric\":\"n\"",
                "behaviors[1].name",
                "its own name",
            ),
            (criteria(""), "{}", "behaviors[0].criteria", "\"value\""),
            (criteria("\"value\":{}"), "{\"value\"", "behaviors[0].criteria.comparisonOperator", "less-than"),
            (
                criteria(&count.replace("less-than", "less_than")),
                "\"less_",
                "behaviors[0].criteria.comparisonOperator",
                "\"less-than\"?",
            ),
            (criteria(&count.replace("5", "-5")), "-5}", "behaviors[0].criteria.value.count", "from 0 on"),
            (criteria(&count.replace("5", "5.5")), "5.5}", "behaviors[0].criteria.value.count", "whole number"),
            (criteria(&count.replace("{\"count\":5}", "{}")), "{},", "behaviors[0].criteria.value", "count"),
            (criteria(&count.replace("count", "number")), "{\"number\"", "behaviors[0].criteria.value", "count"),
            (criteria(&count.replace("count\":5", "cidrs\":[]")), "{\"cidrs\"", "behaviors[0].criteria.value", "count"),
            (criteria(&count.replace("60", "0")), "0}", "behaviors[0].criteria.durationSeconds", "1 to 86400"),
            (criteria(&count.replace("60", "86401")), "86401}", "behaviors[0].criteria.durationSeconds", "1 to 86400"),
            (
                criteria(&count.replace(",\"durationSeconds\":60", "")),
                "{\"comp",
                "behaviors[0].criteria.durationSeconds",
                "60",
            ),
            (criteria(&count.replace("5", "0")), "{\"comp", "behaviors[0].criteria.value", "what is normal"),
            (
                criteria(&format!("{count},\"mlDetectionConfig\":{{}}")),
                "{\"comp",
                "behaviors[0].criteria",
                "only \"value\"",
            ),
            (
                criteria(&format!("{count},\"consecutiveDatapointsToAlarm\":11")),
                "11}",
                "behaviors[0].criteria.consecutiveDatapointsToAlarm",
                "1 to 10",
            ),
            (
                behavior(
                    "\"metric\":\"aws:listening-tcp-ports\",\"criteria\":{\"comparisonOperator\":\"in-port-set\",\"value\":{\"ports\":[1,70000]}}",
                ),
                "70000]",
                "behaviors[0].criteria.value.ports",
                "65535",
            ),
        ] {
            let error = SecurityProfile::parse("file", &text).unwrap_err();
            let line = text.lines().nth(error.line - 1).unwrap();
            let there: String = line.chars().skip(error.column - 1).collect();
            assert!(there.starts_with(points_at), "{text}\n{error}");
            assert_eq!(error.key, key, "{text}\n{error}");
            assert!(error.help.contains(says), "{text}\n{error}");
        }
        let error = SecurityProfile::parse("file", "{\n\"behaviors\": [}").unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (2, "document"), "{error}");
    }

    #[test]
    fn a_profile_beyond_its_bounds_is_refused() {
        let many: Vec<_> = (0..=MAX_BEHAVIORS).map(|n| format!("{{\"name\":\"b{n}\",\"metric\":\"m\"}}")).collect();
        let error = SecurityProfile::parse("file", &format!("{{\"behaviors\":[{}]}}", many.join(","))).unwrap_err();
        assert!(error.problem.contains("more than 100"), "{error}");
        let error = SecurityProfile::parse("file", &"[".repeat(100_000)).unwrap_err();
        assert!(error.problem.contains("recursion"), "{error}");
    }

    proptest! {
        #[test]
        fn any_damaged_profile_is_read_or_refused_without_harm(at in 0..GOOD.len(), junk in "[\\[\\]{}\",:0a ]{0,3}", cut in 0..9_usize) {
            let (Some(before), Some(after)) = (GOOD.get(..at), GOOD.get((at + cut).min(GOOD.len())..)) else { return Ok(()) };
            let _ = SecurityProfile::parse("file", &format!("{before}{junk}{after}"));
        }
    }
}
