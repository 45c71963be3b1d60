//! Reading a behavior's criteria, strictly.

use super::checked::{Fault, Object, cut};
use super::json::{Item, Node};
use super::{Criterion, Metric, Operator};
use crate::fleet::did_you_mean;
use serde_json::Value;
use std::time::Duration;

const CRITERIA_KEYS: &[&str] = &[
    "comparisonOperator",
    "value",
    "durationSeconds",
    "consecutiveDatapointsToAlarm",
    "consecutiveDatapointsToClear",
    "statisticalThreshold",
    "mlDetectionConfig",
];
const VALUE_KEYS: &[&str] = &["count", "cidrs", "ports", "number", "numbers", "strings"];

/// Each comparison operator with the members of `value` that it can compare.
const OPERATORS: &[(&str, &[&str])] = &[
    ("less-than", &["count", "number"]),
    ("less-than-equals", &["count", "number"]),
    ("greater-than", &["count", "number"]),
    ("greater-than-equals", &["count", "number"]),
    ("in-cidr-set", &["cidrs"]),
    ("not-in-cidr-set", &["cidrs"]),
    ("in-port-set", &["ports"]),
    ("not-in-port-set", &["ports"]),
    ("in-set", &["numbers", "strings"]),
    ("not-in-set", &["numbers", "strings"]),
];

/// The criterion, or why a well-formed one cannot be watched.
pub(super) fn read(node: &Node, path: &str, metric: Option<Metric>) -> Result<Result<Criterion, &'static str>, Fault> {
    let object = Object::new(node, path, CRITERIA_KEYS)?;
    let window = object.whole("durationSeconds", 1..=86_400)?;
    let to_alarm = object.whole("consecutiveDatapointsToAlarm", 1..=10)?.unwrap_or(1);
    let to_clear = object.whole("consecutiveDatapointsToClear", 1..=10)?.unwrap_or(1);
    let kinds: Vec<_> = ["value", "statisticalThreshold", "mlDetectionConfig"]
        .into_iter()
        .filter(|kind| object.get(kind).is_some())
        .collect();
    match kinds.as_slice() {
        ["value"] => {}
        ["statisticalThreshold"] => {
            return Ok(Err("it has a statisticalThreshold, which this gateway does not compute"));
        }
        ["mlDetectionConfig"] => return Ok(Err("it has an mlDetectionConfig, and this gateway has no such model")),
        [] => {
            return Err(Fault::new(
                object.at,
                path,
                "there is nothing to compare with",
                "write \"value\": {\"count\": 5}",
            ));
        }
        _ => return Err(Fault::new(object.at, path, "there is more than one threshold", "keep only \"value\"")),
    }
    let (operator, compares) = operator(&object)?;
    let count = value(object.required("value", "{\"count\": 5}")?, &object.key("value"), compares, metric.is_some())?;
    let (Some(_), Some(operator), Some(count)) = (metric, operator, count) else {
        return Ok(Err("this gateway does not measure the metric"));
    };
    let Some(window) = window else {
        let help = "write \"durationSeconds\": 60, 1 to 86400";
        return Err(Fault::new(
            object.at,
            &object.key("durationSeconds"),
            "a count needs the length of its window",
            help,
        ));
    };
    if operator == Operator::LessThan && count == 0 {
        let help = "the criterion describes what is normal: write less-than-equals 0 if none is normal";
        return Err(Fault::new(object.at, &object.key("value"), "nothing is less than 0", help));
    }
    Ok(Ok(Criterion {
        operator,
        count,
        window: Duration::from_secs(window),
        to_alarm: u32::try_from(to_alarm).unwrap_or(1),
        to_clear: u32::try_from(to_clear).unwrap_or(1),
    }))
}

/// The operator, if it is numeric, and the members of `value` that it compares.
fn operator(object: &Object<'_>) -> Result<(Option<Operator>, &'static [&'static str]), Fault> {
    let at = object.required("comparisonOperator", "\"less-than\"")?.at;
    let name = object.text("comparisonOperator")?.unwrap_or_default();
    let Some((_, compares)) = OPERATORS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = OPERATORS.iter().map(|(known, _)| *known).collect();
        let problem = format!("there is no operator \"{}\"", cut(name));
        return Err(Fault::new(at, &object.key("comparisonOperator"), problem, did_you_mean(name, &known)));
    };
    let numeric = [Operator::LessThan, Operator::LessThanEquals, Operator::GreaterThan, Operator::GreaterThanEquals];
    Ok((numeric.into_iter().find(|operator| operator.name() == name), compares))
}

/// The count to compare with, if the value is one; checks the others.
fn value(node: &Node, path: &str, compares: &[&str], counted: bool) -> Result<Option<u64>, Fault> {
    let object = Object::new(node, path, VALUE_KEYS)?;
    let given: Vec<_> = VALUE_KEYS.iter().copied().filter(|key| object.get(key).is_some()).collect();
    let fits = |key: &&str| compares.contains(key) && (!counted || *key == "count");
    let [kind] = given.as_slice() else {
        return Err(Fault::new(
            object.at,
            path,
            "one value is needed",
            format!("write one of: {}", compares.join(", ")),
        ));
    };
    if !fits(kind) {
        let wanted: Vec<_> = compares.iter().copied().filter(|key| fits(key)).collect();
        let help = match wanted.as_slice() {
            [] => "a number of occurrences is compared with less-than or greater-than and a \"count\"".to_owned(),
            wanted => format!("write one of: {}", wanted.join(", ")),
        };
        return Err(Fault::new(object.at, path, format!("\"{kind}\" does not fit the metric and the operator"), help));
    }
    let count = object.whole("count", 0..=u64::MAX)?;
    for key in ["cidrs", "ports", "numbers", "strings"] {
        for item in object.list(key)?.unwrap_or_default() {
            let good = match (&item.item, key) {
                (Item::Plain(Value::String(_)), "cidrs" | "strings") => true,
                (Item::Plain(Value::Number(number)), "ports") => number.as_u64().is_some_and(|port| port <= 65_535),
                (Item::Plain(Value::Number(_)), "numbers") => true,
                _ => false,
            };
            if !good {
                let help = "cidrs and strings are text, ports are 0 to 65535";
                return Err(Fault::new(item.at, &object.key(key), "this does not fit the list", help));
            }
        }
    }
    match object.get("number") {
        Some(Node { item: Item::Plain(Value::Number(_)), .. }) | None => Ok(count),
        Some(node) => Err(Fault::new(node.at, &object.key("number"), "this is no number", "write it in digits")),
    }
}
