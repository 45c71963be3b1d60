//! What a compliant device reports.

use super::{Check, Finding, baseline_toml};
use crate::fleet::{Selector, Thing};
use crate::isolation::{Level, Origin, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// The most rules of one baseline.
pub const MAX_RULES: usize = 64;

/// The longest reported value that a deviation shows, in characters.
const MAX_SHOWN: usize = 64;

/// Rules over what devices report, for the things that its selectors pick.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The name, 1 to 128 of `[a-zA-Z0-9:_-]`.
    pub name: String,
    /// Which things it is for: those that any of these selects.
    pub applies_to: Vec<Selector>,
    /// The named shadow that it judges; `None` is the classic shadow.
    pub shadow: Option<String>,
    /// What must hold; all of it.
    pub rules: Vec<Rule>,
    /// How long a device has to correct a deviation, 1 s to 30 days.
    pub deadline: Duration,
    /// What is done when it has not.
    pub on_deadline: Option<Measure>,
}

/// One rule: what the value at a path must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Names from the top, joined by dots: `network.telnet`.
    pub path: String,
    /// What the value must be.
    pub check: Check,
    /// Whether it may be missing. Otherwise what a device does not report is a deviation.
    pub optional: bool,
}

/// The isolation order that is asked for when a deadline passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// How far to cut.
    pub level: Level,
    /// The topic filters to cut, for [`Level::Restrict`].
    pub block: Vec<String>,
    /// For how long; `None` until released.
    pub duration: Option<Duration>,
}

/// A reported value that is not what a rule wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// Where in the report.
    pub path: String,
    /// The value found, as JSON cut to 64 characters; `None` if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What is wanted, in words.
    pub wanted: String,
    /// The rule that says so: `baseline hardened rule 2`.
    pub rule: String,
    /// The value to ask the device for, if the rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Value>,
}

/// What is wrong in a baseline, where, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("baseline {baseline}: line {line}: {key}: {problem}; {help}")]
pub struct BaselineError {
    /// The baseline's file name without extension.
    pub baseline: String,
    /// The line, from 1.
    pub line: usize,
    /// The key, for example `rule 2: at_least`.
    pub key: String,
    /// What is wrong there.
    pub problem: String,
    /// What to write.
    pub help: String,
}

// === impl Baseline ===

impl Baseline {
    /// Reads a baseline; `name` is used when the document gives none, usually the file's name without extension.
    ///
    /// ```toml
    /// name = "hardened"                       # optional
    /// applies_to = ["group:line-1", "type:press"]
    /// shadow = "config"                       # optional; without it the classic shadow
    /// deadline = "60s"
    ///
    /// [[rule]]
    /// path = "telnet"
    /// equals = false                          # or not_equals, at_least, at_most, above, below, in = [...]
    ///
    /// [[rule]]
    /// path = "firmware"
    /// at_least = "1.3.0"                      # text is ordered as versions
    /// optional = true                         # may be missing
    ///
    /// [on_deadline]                           # optional
    /// level = "quarantine"                    # or audit, restrict with block = ["plant/#"], disconnect
    /// for = "1h"                              # optional; without it until released
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong: not TOML, an unknown or missing key, a wrong type, a value out of range, a rule
    /// without or with several comparisons, a path below another rule's path.
    pub fn parse(name: &str, toml: &str) -> Result<Self, BaselineError> {
        baseline_toml::read(name, toml)
    }

    /// Whether it is for `thing`.
    #[must_use]
    pub fn applies(&self, thing: &Thing) -> bool {
        self.applies_to.iter().any(|selector| selector.matches(thing))
    }

    /// What in `reported` is not as it must be, in the order of the rules.
    #[must_use]
    pub fn evaluate(&self, reported: &Map<String, Value>) -> Vec<Deviation> {
        let judged = self.rules.iter().enumerate().map(|(index, rule)| {
            let found = lookup(reported, &rule.path);
            let good = found.map_or(rule.optional, |found| rule.check.holds(&rule.path, found));
            (!good).then(|| Deviation {
                path: rule.path.clone(),
                found: found.map(|found| found.to_string().chars().take(MAX_SHOWN).collect()),
                wanted: rule.check.to_string(),
                rule: format!("baseline {} rule {}", self.name, index + 1),
                fix: rule.check.fix(),
            })
        });
        judged.flatten().collect()
    }
}

// === impl Measure ===

impl Measure {
    /// The order to ask for against the thing of `finding`.
    #[must_use]
    pub fn request(&self, finding: &Finding) -> Request {
        Request {
            selector: Selector::Thing(finding.thing.clone()),
            level: self.level,
            block: self.block.clone(),
            reason: finding.summary(),
            author: "gateway".to_owned(),
            origin: Origin::Automatic { rule: format!("baseline {}", finding.baseline) },
            duration: self.duration,
        }
    }
}

// === impl Deviation ===

impl std::fmt::Display for Deviation {
    /// In words: `telnet is true, wanted false`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{} is {found}, wanted {}", self.path, self.wanted),
            None => write!(f, "{} is not reported, wanted {}", self.path, self.wanted),
        }
    }
}

/// What to put into the shadow's `desired` so that a device that applies it has none of these deviations; an empty
/// object if no rule names a value.
#[must_use]
pub fn desired(deviations: &[Deviation]) -> Value {
    let mut root = Map::new();
    for deviation in deviations {
        if let Some(fix) = &deviation.fix {
            put(&mut root, &deviation.path, fix.clone());
        }
    }
    Value::Object(root)
}

/// Puts `value` at a dotted path, making objects on the way.
pub(super) fn put(root: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            root.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let mut below = if let Some(Value::Object(below)) = root.remove(name) { below } else { Map::new() };
            put(&mut below, rest, value);
            root.insert(name.to_owned(), Value::Object(below));
        }
    }
}

fn lookup<'v>(reported: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    match path.split_once('.') {
        None => reported.get(path),
        Some((name, rest)) => lookup(reported.get(name)?.as_object()?, rest),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use serde_json::json;

    const HARDENED: &str = "applies_to = [\"all\"]\ndeadline = \"60s\"\n\
        [[rule]]\npath = \"telnet\"\nequals = false\n\
        [[rule]]\npath = \"firmware\"\nat_least = \"1.3.0\"\n\
        [[rule]]\npath = \"net.ssh.root\"\nequals = false\noptional = true\n\
        [[rule]]\npath = \"net.ports\"\nnot_equals = 23\noptional = true\n";

    fn deviations(reported: Value) -> Vec<Deviation> {
        Baseline::parse("hardened", HARDENED).unwrap().evaluate(reported.as_object().unwrap())
    }

    #[test]
    fn a_report_is_judged_rule_by_rule() {
        for (reported, found) in [
            (json!({ "telnet": false, "firmware": "1.3.0" }), vec![]),
            (json!({ "telnet": false, "firmware": "1.4", "net": { "ssh": { "root": false } }, "other": 1 }), vec![]),
            (json!({ "telnet": true, "firmware": "1.3.0" }), vec!["telnet is true, wanted false"]),
            (
                json!({ "telnet": 0 }),
                vec!["telnet is 0, wanted false", "firmware is not reported, wanted at least 1.3.0"],
            ),
            (
                json!({ "telnet": false, "firmware": "1.2.9", "net": { "ssh": { "root": true }, "ports": 23 } }),
                vec![
                    "firmware is \"1.2.9\", wanted at least 1.3.0",
                    "net.ssh.root is true, wanted false",
                    "net.ports is 23, wanted not 23",
                ],
            ),
        ] {
            let shown: Vec<_> = deviations(reported.clone()).iter().map(ToString::to_string).collect();
            assert_eq!(shown, found, "{reported}");
        }
        assert_eq!(deviations(json!({ "firmware": "1.3" }))[0].rule, "baseline hardened rule 1");
    }

    #[test]
    fn a_hostile_value_is_shown_short() {
        let found = deviations(json!({ "telnet": "ü".repeat(8_000), "firmware": "1.3" })).remove(0).found.unwrap();
        assert_eq!(found.chars().count(), MAX_SHOWN);
    }

    #[test]
    fn a_device_that_applies_what_is_desired_complies_as_far_as_the_rules_name_values() {
        let before = json!({ "telnet": true, "net": { "ssh": { "root": true } } });
        let wanted = desired(&deviations(before));
        assert_eq!(wanted, json!({ "telnet": false, "firmware": "1.3.0", "net": { "ssh": { "root": false } } }));
        assert_eq!(deviations(wanted), []);
        assert_eq!(
            desired(&deviations(json!({ "telnet": false, "firmware": "2", "net": { "ports": 23 } }))),
            json!({})
        );
    }
}
