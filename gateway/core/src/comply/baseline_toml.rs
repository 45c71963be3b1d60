//! Reading a baseline, strictly.

use super::toml_table::{Fault, Table, cut, json};
use super::{Baseline, BaselineError, Bound, Check, MAX_RULES, Measure, Rule};
use crate::fleet::{Selector, is_valid_thing_name};
use crate::isolation::Level;
use crate::shadow::{MAX_DEPTH, is_valid_shadow_name};
use crate::topic::is_valid_filter;
use serde_json::Value;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

const TOP_KEYS: &[&str] = &["name", "applies_to", "shadow", "deadline", "rule", "on_deadline"];
const RULE_KEYS: &[&str] = &["path", "optional", "equals", "not_equals", "at_least", "at_most", "above", "below", "in"];
const COMPARISONS: &[&str] = &["equals", "not_equals", "at_least", "at_most", "above", "below", "in"];
const MEASURE_KEYS: &[&str] = &["level", "for", "block"];

const SHORTEST_DEADLINE: Duration = Duration::from_secs(1);
const LONGEST_DEADLINE: Duration = Duration::from_secs(30 * 86_400);

/// The longest path of a rule, in bytes.
const MAX_PATH_BYTES: usize = 256;

/// Reads a baseline or says what stops it.
pub(super) fn read(name: &str, text: &str) -> Result<Baseline, BaselineError> {
    let located = |at: usize, key: String, problem: String, help: String| BaselineError {
        baseline: cut(name),
        line: text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1,
        key,
        problem,
        help,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let problem = error.message().trim().replace('\n', " ");
        located(at, "document".to_owned(), problem, "correct the TOML syntax there".to_owned())
    })?;
    baseline(name, table.get_ref()).map_err(|fault| located(fault.at, fault.key, fault.problem, fault.help))
}

fn baseline(hint: &str, table: &DeTable<'_>) -> Result<Baseline, Fault> {
    let top = Table::new(table, 0, "", TOP_KEYS)?;
    let name = top.text("name")?.unwrap_or(hint);
    if !is_valid_thing_name(name) {
        let problem = format!("\"{}\" is no name", cut(name));
        return Err(top.fault("name", problem, "write 1 to 128 characters of a-z A-Z 0-9 : _ -"));
    }
    let shadow = top.text("shadow")?;
    if shadow.is_some_and(|shadow| !is_valid_shadow_name(shadow)) {
        return Err(top.fault(
            "shadow",
            "this is no name of a shadow",
            "write 1 to 64 characters of $ a-z A-Z 0-9 : _ -",
        ));
    }
    let deadline = match top.duration("deadline")? {
        Some(deadline) if (SHORTEST_DEADLINE..=LONGEST_DEADLINE).contains(&deadline) => deadline,
        Some(_) => return Err(top.fault("deadline", "the deadline is out of range", "write 1s to 30d")),
        None => return Err(top.fault("deadline", "this is missing", "write deadline = \"60s\"")),
    };
    Ok(Baseline {
        name: name.to_owned(),
        applies_to: selectors(&top)?,
        shadow: shadow.map(str::to_owned),
        rules: rules(&top)?,
        deadline,
        on_deadline: measure(&top)?,
    })
}

fn selectors(top: &Table<'_, '_>) -> Result<Vec<Selector>, Fault> {
    let mut selectors = Vec::new();
    for (at, text) in top.texts("applies_to")? {
        let wrong = |error: crate::fleet::SelectorError| {
            let help = "write for example \"all\", \"group:line-1\" or \"type:press\"";
            Fault::new(at, "applies_to", error.to_string(), help)
        };
        selectors.push(text.parse().map_err(wrong)?);
    }
    if selectors.is_empty() {
        return Err(top.fault("applies_to", "it says for no things", "write applies_to = [\"all\"]"));
    }
    Ok(selectors)
}

fn rules(top: &Table<'_, '_>) -> Result<Vec<Rule>, Fault> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, (at, item)) in top.list("rule")?.into_iter().enumerate() {
        let place = format!("rule {}", index + 1);
        let DeValue::Table(table) = item else {
            return Err(Fault::new(at, &place, "this must be a table", "write [[rule]]"));
        };
        let table = Table::new(table, at, &place, RULE_KEYS)?;
        let rule = Rule { path: path(&table)?, check: check(&table)?, optional: table.flag("optional")? };
        let inside = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        if let Some(other) =
            rules.iter().find(|other| inside(&other.path, &rule.path) || inside(&rule.path, &other.path))
        {
            let problem = format!("`{}` and `{}` lie inside each other", rule.path, other.path);
            return Err(table.fault("path", problem, "write rules for the innermost values only"));
        }
        if index >= MAX_RULES {
            return Err(Fault::new(at, &place, format!("there are more than {MAX_RULES} rules"), "split the baseline"));
        }
        rules.push(rule);
    }
    if rules.is_empty() {
        let help = "write [[rule]] with path = \"telnet\" and equals = false";
        return Err(top.fault("rule", "there are no rules", help));
    }
    Ok(rules)
}

fn path(table: &Table<'_, '_>) -> Result<String, Fault> {
    let help = "write names from the top, joined by dots: path = \"network.telnet\"";
    let Some(path) = table.text("path")? else {
        return Err(table.fault("path", "this is missing", help));
    };
    let names = path.split('.').count();
    if path.len() > MAX_PATH_BYTES || names > MAX_DEPTH || path.split('.').any(str::is_empty) {
        let help = format!("{help}, at most {MAX_DEPTH} names and {MAX_PATH_BYTES} bytes");
        return Err(table.fault("path", format!("`{}` is no path", cut(path)), help));
    }
    Ok(path.to_owned())
}

fn check(table: &Table<'_, '_>) -> Result<Check, Fault> {
    let given: Vec<_> = COMPARISONS.iter().copied().filter(|key| table.get(key).is_some()).collect();
    let [key] = given.as_slice() else {
        let problem = if given.is_empty() { "a comparison is missing" } else { "there is more than one comparison" };
        return Err(table.fault("path", problem, format!("write one of: {}", COMPARISONS.join(", "))));
    };
    let value = table.json(key)?.unwrap_or_default();
    Ok(match *key {
        "equals" => Check::Equals(value),
        "not_equals" => Check::NotEquals(value),
        "at_least" => Check::AtLeast(bound(table, key, value)?),
        "at_most" => Check::AtMost(bound(table, key, value)?),
        "above" => Check::Above(bound(table, key, value)?),
        "below" => Check::Below(bound(table, key, value)?),
        _ => Check::In(values(table, key)?),
    })
}

fn bound(table: &Table<'_, '_>, key: &str, value: Value) -> Result<Bound, Fault> {
    match value {
        Value::Number(number) => Ok(Bound::Number(number)),
        Value::String(text) => text
            .parse()
            .map(Bound::Version)
            .map_err(|_| table.fault(key, format!("\"{}\" is no version", cut(&text)), "write for example \"1.3.0\"")),
        _ => Err(table.fault(key, "this cannot be ordered", "write a number, or a version in quotes")),
    }
}

fn values(table: &Table<'_, '_>, key: &str) -> Result<Vec<Value>, Fault> {
    let mut values = Vec::new();
    for (at, item) in table.list(key)? {
        let wrong = || Fault::new(at, &table.key(key), "devices cannot report this as JSON", "write text or a number");
        values.push(json(item).ok_or_else(wrong)?);
    }
    if values.is_empty() {
        return Err(table.fault(key, "nothing is in an empty list", "write in = [\"a\", \"b\"]"));
    }
    Ok(values)
}

fn measure(top: &Table<'_, '_>) -> Result<Option<Measure>, Fault> {
    let Some(value) = top.get("on_deadline") else { return Ok(None) };
    let DeValue::Table(table) = value.get_ref() else {
        return Err(top.fault(
            "on_deadline",
            "this must be a table",
            "write [on_deadline] with level = \"quarantine\"",
        ));
    };
    let table = Table::new(table, value.span().start, "on_deadline", MEASURE_KEYS)?;
    let Some(level) = table.text("level")? else {
        return Err(table.fault("level", "this is missing", "write level = \"quarantine\""));
    };
    let wrong = |error: crate::isolation::UnknownLevel| table.fault("level", "this is no isolation level", error.help);
    let level: Level = level.parse().map_err(wrong)?;
    let mut block = Vec::new();
    for (at, filter) in table.texts("block")? {
        if !is_valid_filter(filter) {
            let help = "write an MQTT topic filter, for example \"plant/+/cmd/#\"";
            return Err(Fault::new(at, &table.key("block"), format!("`{}` is no topic filter", cut(filter)), help));
        }
        block.push(filter.to_owned());
    }
    match (level, block.is_empty()) {
        (Level::Restrict, true) => {
            Err(table.fault("block", "level restrict needs to know what to cut", "write block = [\"plant/#\"]"))
        }
        (Level::Quarantine | Level::Disconnect, false) => Err(table.fault(
            "block",
            format!("level {level} cuts everything"),
            "leave block out, or write level = \"restrict\"",
        )),
        _ => Ok(Some(Measure { level, block, duration: duration(&table)? })),
    }
}

fn duration(table: &Table<'_, '_>) -> Result<Option<Duration>, Fault> {
    match table.duration("for")? {
        Some(Duration::ZERO) => Err(table.fault("for", "an order for no time does nothing", "write for = \"1h\"")),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const GOOD: &str = r#"name = "hardened"
applies_to = ["group:line-1", "type:press"]
shadow = "config"
deadline = "60s"
[[rule]]
path = "telnet"
equals = false
[[rule]]
path = "firmware"
at_least = "1.3.0"
[[rule]]
path = "net.mode"
in = ["a", 0x1F, 1.5, { x = [1] }]
optional = true
[[rule]]
path = "net.mtu"
at_most = 1_500
[on_deadline]
level = "restrict"
for = "1h30m"
block = ["plant/+/cmd/#"]
"#;

    #[test]
    fn a_complete_baseline_is_read() {
        let baseline = Baseline::parse("file", GOOD).unwrap();
        assert_eq!((baseline.name.as_str(), baseline.shadow.as_deref()), ("hardened", Some("config")));
        assert_eq!(baseline.deadline, Duration::from_secs(60));
        assert_eq!(baseline.applies_to, ["group:line-1".parse().unwrap(), "type:press".parse().unwrap()]);
        assert_eq!(baseline.rules[0].check, Check::Equals(json!(false)));
        assert_eq!(baseline.rules[1].check, Check::AtLeast(Bound::Version("1.3.0".parse().unwrap())));
        assert_eq!(baseline.rules[2].check, Check::In(vec![json!("a"), json!(31), json!(1.5), json!({ "x": [1] })]));
        assert!(baseline.rules[2].optional && !baseline.rules[1].optional);
        assert_eq!(baseline.rules[3].check, Check::AtMost(Bound::Number(1_500.into())));
        let measure = Measure {
            level: Level::Restrict,
            block: vec!["plant/+/cmd/#".to_owned()],
            duration: Some(Duration::from_secs(5_400)),
        };
        assert_eq!(baseline.on_deadline, Some(measure));
    }

    #[test]
    fn each_mistake_names_its_line_its_key_and_what_to_write() {
        for (good, bad, line, key, says) in [
            ("name =", "nmae =", 1, "nmae", "did you mean \"name\"?"),
            ("\"hardened\"", "\"har/dened\"", 1, "name", "a-z"),
            ("\"hardened\"", "7", 1, "name", "quotes"),
            ("\"group:line-1\"", "\"grup:line-1\"", 2, "applies_to", "group:line-1"),
            ("[\"group:line-1\", \"type:press\"]", "[]", 2, "applies_to", "[\"all\"]"),
            ("[\"group:line-1\", \"type:press\"]", "\"all\"", 2, "applies_to", "[ ... ]"),
            ("\"config\"", "\"a b\"", 3, "shadow", "1 to 64"),
            ("\"60s\"", "60", 4, "deadline", "quotes"),
            ("\"60s\"", "\"60\"", 4, "deadline", "10s"),
            ("\"60s\"", "\"0s\"", 4, "deadline", "1s to 30d"),
            ("deadline = \"60s\"", "", 1, "deadline", "\"60s\""),
            ("path = \"telnet\"", "", 5, "rule 1: path", "network.telnet"),
            ("\"telnet\"", "\"a..b\"", 6, "rule 1: path", "at most 6"),
            ("\"telnet\"", "\"a.b.c.d.e.f.g\"", 6, "rule 1: path", "at most 6"),
            ("\"telnet\"", "\"net\"", 12, "rule 3: path", "innermost"),
            ("equals = false", "", 6, "rule 1: path", "equals"),
            ("equals = false", "equal = false", 7, "rule 1: equal", "\"equals\"?"),
            ("equals = false", "equals = false\nabove = 1", 6, "rule 1: path", "one of"),
            ("equals = false", "equals = 1979-05-27", 7, "rule 1: equals", "number"),
            ("equals = false", "equals = inf", 7, "rule 1: equals", "number"),
            ("\"1.3.0\"", "\"latest\"", 10, "rule 2: at_least", "\"1.3.0\""),
            ("\"1.3.0\"", "true", 10, "rule 2: at_least", "version"),
            ("[\"a\", 0x1F, 1.5, { x = [1] }]", "[]", 13, "rule 3: in", "[\"a\", \"b\"]"),
            ("optional = true", "optional = \"yes\"", 14, "rule 3: optional", "without quotes"),
            ("level = \"restrict\"", "", 18, "on_deadline: level", "quarantine"),
            ("\"restrict\"", "\"quarantin\"", 19, "on_deadline: level", "\"quarantine\"?"),
            ("\"restrict\"", "\"quarantine\"", 21, "on_deadline: block", "leave block out"),
            ("block = [\"plant/+/cmd/#\"]", "", 18, "on_deadline: block", "block = "),
            ("\"plant/+/cmd/#\"", "\"plant/#/cmd\"", 21, "on_deadline: block", "plant/+/cmd/#"),
            ("\"1h30m\"", "\"0s\"", 20, "on_deadline: for", "1h"),
            ("deadline = \"60s\"", "deadline = ", 4, "document", "syntax"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            let error = Baseline::parse("file", &text).unwrap_err();
            assert_eq!((error.line, error.key.as_str()), (line, key), "{good} -> {bad}: {error}");
            assert!(error.help.contains(says), "{good} -> {bad}: {error}");
        }
        let error = Baseline::parse("file", "applies_to = [\"all\"]\ndeadline = \"1s\"\n").unwrap_err();
        assert!(error.help.contains("[[rule]]"), "{error}");
    }

    proptest! {
        #[test]
        fn any_damaged_baseline_is_read_or_refused_without_harm(at in 0..GOOD.len(), junk in "[\\[\\]{}\"=\n0a.]{0,3}", cut in 0..9_usize) {
            let (Some(before), Some(after)) = (GOOD.get(..at), GOOD.get((at + cut).min(GOOD.len())..)) else { return Ok(()) };
            let _ = Baseline::parse("file", &format!("{before}{junk}{after}"));
        }
    }
}
