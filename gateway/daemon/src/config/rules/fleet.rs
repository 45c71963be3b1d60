//! The fleet file, and where in it a policy is named.

use super::{Notes, text_of};
use crate::config::{Config, Problem};
use cordon_core::fleet::Registry;
use toml::de::{DeTable, DeValue};

/// Reads the registry; what is wrong with it leaves an empty one. The text comes along for [`policy_line`].
pub(super) fn read(config: &Config, notes: &mut Notes) -> (Registry, String) {
    let file = &config.gateway.fleet;
    let Some(text) = text_of(config, "gateway.fleet", file, notes) else { return Default::default() };
    match Registry::from_toml(&text) {
        Ok(registry) => (registry, text),
        Err(error) => {
            notes.problems.push(Problem::at_line(file, error.line, &error.key, error.problem, error.help));
            (Registry::default(), text)
        }
    }
}

/// The line on which the thing or group called `name` names `policy`, or 0.
pub(super) fn policy_line(text: &str, kind: &str, name: &str, policy: &str) -> usize {
    let at = DeTable::parse(text).ok().and_then(|table| policy_place(table.get_ref(), kind, name, policy));
    at.map_or(0, |at| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1)
}

fn policy_place(table: &DeTable<'_>, kind: &str, name: &str, policy: &str) -> Option<usize> {
    let DeValue::Array(items) = table.get(kind)?.get_ref() else { return None };
    let named = |table: &&DeTable<'_>| table.get("name").is_some_and(|value| is(value.get_ref(), name));
    let tables = items.iter().filter_map(|item| match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    });
    let DeValue::Array(policies) = tables.into_iter().find(named)?.get("policies")?.get_ref() else { return None };
    policies.iter().find(|item| is(item.get_ref(), policy)).map(|item| item.span().start)
}

fn is(value: &DeValue<'_>, text: &str) -> bool {
    matches!(value, DeValue::String(found) if found == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_named_policy_is_found() {
        let text = "[[group]]\nname = \"a\"\n\n[[thing]]\nname = \"a\"\npolicies = [\n  \"x\",\n  \"y\",\n]\n";
        assert_eq!(policy_line(text, "thing", "a", "y"), 8);
        assert_eq!(policy_line(text, "thing", "a", "z"), 0);
        assert_eq!(policy_line(text, "group", "a", "y"), 0);
    }
}
