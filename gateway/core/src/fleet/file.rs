//! Reading `fleet.toml`, strictly.

use super::thing::{MAX_ATTRIBUTE_BYTES, MAX_NAME_BYTES};
use super::{Group, Registry, Thing, did_you_mean, is_valid_thing_name};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const TOP_KEYS: &[&str] = &["thing", "group"];
const GROUP_KEYS: &[&str] = &["name", "policies"];
const THING_KEYS: &[&str] = &["name", "type", "groups", "policies", "username", "certificates", "attributes"];

/// The most attributes of one thing (AWS IoT quota for things with a type).
const MAX_ATTRIBUTES: usize = 50;
/// The most things in one file.
const MAX_THINGS: usize = 100_000;

/// What is wrong in a `fleet.toml`, where, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {problem}; {help}")]
pub struct FleetError {
    /// The line, from 1.
    pub line: usize,
    /// The key, with the name of its thing or group when that is known: `thing press-01: groups`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write.
    pub help: String,
}

/// What went wrong inside one table, before the line is known.
struct Fault {
    at: usize,
    key: String,
    problem: String,
    help: String,
}

type Entry<'t, 'i> = (&'t str, &'t Spanned<DeValue<'i>>);

/// Reads a registry or says what stops it.
pub(super) fn read(text: &str) -> Result<Registry, FleetError> {
    let table = DeTable::parse(text).map_err(|error| FleetError {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        key: "fleet.toml".to_owned(),
        problem: error.message().trim().replace('\n', " "),
        help: "correct the TOML syntax there".to_owned(),
    })?;
    registry(table.get_ref()).map_err(|fault| FleetError {
        line: line_of(text, fault.at),
        key: fault.key,
        problem: fault.problem,
        help: fault.help,
    })
}

fn registry(table: &DeTable<'_>) -> Result<Registry, Fault> {
    known_keys(table, TOP_KEYS, "")?;
    let mut found = Registry::default();
    for (item, at) in tables(table, "group")? {
        let group = group(item, &at)?;
        if found.groups.contains_key(&group.name) {
            return Err(twice(at.start, format!("group {}", group.name)));
        }
        found.groups.insert(group.name.clone(), group);
    }
    let mut seen = Seen::default();
    for (item, at) in tables(table, "thing")? {
        let thing = thing(item, &at, &found.groups)?;
        seen.check(&thing, at.start)?;
        if found.things.len() >= MAX_THINGS {
            let problem = format!("there are more than {MAX_THINGS} things");
            return Err(fault(at.start, "thing", &problem, "split the fleet over several gateways"));
        }
        found.things.insert(thing.name.clone(), thing);
    }
    Ok(found)
}

/// What only one thing may have.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    users: BTreeSet<String>,
    pins: BTreeSet<String>,
}

impl Seen {
    fn check(&mut self, thing: &Thing, at: usize) -> Result<(), Fault> {
        if !self.names.insert(thing.name.clone()) {
            return Err(twice(at, format!("thing {}", thing.name)));
        }
        if thing.username.as_ref().is_some_and(|user| !self.users.insert(user.clone())) {
            return Err(twice(at, format!("thing {}: username", thing.name)));
        }
        if thing.certificates.iter().any(|pin| !self.pins.insert(pin.clone())) {
            return Err(twice(at, format!("thing {}: certificates", thing.name)));
        }
        Ok(())
    }
}

fn group(table: &DeTable<'_>, at: &Range<usize>) -> Result<Group, Fault> {
    let name = name(table, "group", at)?;
    let place = format!("group {name}: ");
    known_keys(table, GROUP_KEYS, &place)?;
    Ok(Group { policies: names(entry(table, "policies"), &place, is_valid_policy_name)?, name })
}

fn thing(table: &DeTable<'_>, at: &Range<usize>, groups: &BTreeMap<String, Group>) -> Result<Thing, Fault> {
    let name = name(table, "thing", at)?;
    let place = format!("thing {name}: ");
    known_keys(table, THING_KEYS, &place)?;
    let member = names(entry(table, "groups"), &place, is_valid_thing_name)?;
    if let Some(missing) = member.iter().find(|group| !groups.contains_key(*group)) {
        let at = entry(table, "groups").map_or(at.start, |(_, value)| value.span().start);
        let known: Vec<&str> = groups.keys().take(20).map(String::as_str).collect();
        let help = match super::nearest(missing, groups.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"? A group is declared as [[group]]"),
            None if known.is_empty() => format!("declare it: [[group]] name = \"{missing}\""),
            None => format!("declare it as [[group]], or write one of: {}", known.join(", ")),
        };
        return Err(fault(at, &format!("{place}groups"), &format!("there is no group \"{missing}\""), &help));
    }
    Ok(Thing {
        thing_type: optional(table, "type", &place, is_valid_thing_name, "a name of a-z A-Z 0-9 : _ -")?,
        groups: member.into_iter().collect(),
        attributes: attributes(table, &place)?,
        policies: names(entry(table, "policies"), &place, is_valid_policy_name)?,
        certificates: pins(table, &place)?,
        username: optional(table, "username", &place, is_valid_username, "1 to 128 printable characters")?,
        reported_firmware: None,
        name,
    })
}

fn name(table: &DeTable<'_>, kind: &str, at: &Range<usize>) -> Result<String, Fault> {
    let example = if kind == "thing" { "name = \"press-01\"" } else { "name = \"line-1\"" };
    let Some(entry) = entry(table, "name") else {
        known_keys(table, if kind == "thing" { THING_KEYS } else { GROUP_KEYS }, &format!("{kind}: "))?;
        return Err(fault(at.start, &format!("{kind}.name"), "a name is missing", &format!("write {example}")));
    };
    let name = text(entry, &format!("{kind}."))?;
    if !is_valid_thing_name(name) {
        let help = "write 1 to 128 characters of a-z A-Z 0-9 : _ -";
        return Err(fault(
            entry.1.span().start,
            &format!("{kind}.name"),
            &format!("\"{}\" is no name", cut(name)),
            help,
        ));
    }
    Ok(name.to_owned())
}

fn optional(
    table: &DeTable<'_>,
    key: &str,
    place: &str,
    fits: fn(&str) -> bool,
    want: &str,
) -> Result<Option<String>, Fault> {
    let Some(entry) = entry(table, key) else { return Ok(None) };
    let value = text(entry, place)?;
    if fits(value) {
        return Ok(Some(value.to_owned()));
    }
    let problem = format!("\"{}\" does not do", cut(value));
    Err(fault(entry.1.span().start, &format!("{place}{key}"), &problem, &format!("write {want}")))
}

fn attributes(table: &DeTable<'_>, place: &str) -> Result<BTreeMap<String, String>, Fault> {
    let Some((_, value)) = entry(table, "attributes") else { return Ok(BTreeMap::new()) };
    let key = format!("{place}attributes");
    let DeValue::Table(attributes) = value.get_ref() else {
        let help = "write attributes = { site = \"west\" }";
        return Err(fault(value.span().start, &key, "this must be a table", help));
    };
    if attributes.len() > MAX_ATTRIBUTES {
        let problem = format!("there are more than {MAX_ATTRIBUTES} attributes");
        return Err(fault(value.span().start, &key, &problem, "keep those that selectors or policies use"));
    }
    let mut found = BTreeMap::new();
    for (name, value) in attributes {
        let name_text: &str = name.get_ref();
        let place = format!("{key}.");
        let content = text((name_text, value), &place)?;
        let name_fits = (1..=MAX_NAME_BYTES).contains(&name_text.len())
            && name_text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.,@/:#-".contains(&b));
        if !name_fits {
            let help = "write 1 to 128 characters of a-z A-Z 0-9 _ . , @ / : # -";
            return Err(fault(name.span().start, &key, &format!("\"{}\" is no attribute name", cut(name_text)), help));
        }
        if content.len() > MAX_ATTRIBUTE_BYTES || content.contains(char::is_control) {
            let key = format!("{place}{name_text}");
            return Err(fault(value.span().start, &key, "the value does not do", "write at most 800 printable bytes"));
        }
        found.insert(name_text.to_owned(), content.to_owned());
    }
    Ok(found)
}

fn pins(table: &DeTable<'_>, place: &str) -> Result<Vec<String>, Fault> {
    let pins = names(entry(table, "certificates"), place, |text| fingerprint(text).is_some())?;
    Ok(pins.iter().filter_map(|pin| fingerprint(pin)).collect())
}

/// A SHA-256 fingerprint in lower case without the colons that OpenSSL prints.
fn fingerprint(text: &str) -> Option<String> {
    let hex: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

fn names(entry: Option<Entry<'_, '_>>, place: &str, fits: fn(&str) -> bool) -> Result<Vec<String>, Fault> {
    let Some((key, value)) = entry else { return Ok(Vec::new()) };
    let DeValue::Array(items) = value.get_ref() else {
        let problem = "this must be a list";
        return Err(fault(value.span().start, &format!("{place}{key}"), problem, &format!("write {key} = [\"...\"]")));
    };
    let mut found = Vec::new();
    for item in items.iter() {
        let item_text = text((key, item), place)?;
        if !fits(item_text) {
            let help = match key {
                "certificates" => "write a SHA-256 fingerprint, 64 hexadecimal digits",
                "policies" => "write a policy's name, 1 to 128 of a-z A-Z 0-9 _ + = , . @ -",
                _ => "write 1 to 128 characters of a-z A-Z 0-9 : _ -",
            };
            let problem = format!("\"{}\" does not do", cut(item_text));
            return Err(fault(item.span().start, &format!("{place}{key}"), &problem, help));
        }
        if !found.iter().any(|seen| seen == item_text) {
            found.push(item_text.to_owned());
        }
    }
    Ok(found)
}

fn tables<'t, 'i>(
    table: &'t DeTable<'i>,
    key: &'static str,
) -> Result<impl Iterator<Item = (&'t DeTable<'i>, Range<usize>)>, Fault> {
    let wrong = |at| fault(at, key, "this must be a list of tables", &format!("write [[{key}]]"));
    let items: &[Spanned<DeValue<'i>>] = match entry(table, key) {
        None => &[],
        Some((_, value)) => match value.get_ref() {
            DeValue::Array(items) => items,
            _ => return Err(wrong(value.span().start)),
        },
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        match item.get_ref() {
            DeValue::Table(table) => found.push((table, item.span())),
            _ => return Err(wrong(item.span().start)),
        }
    }
    Ok(found.into_iter())
}

fn known_keys(table: &DeTable<'_>, known: &[&str], place: &str) -> Result<(), Fault> {
    match table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
        None => Ok(()),
        Some(key) => {
            let name: &str = key.get_ref();
            Err(fault(key.span().start, &format!("{place}{}", cut(name)), "unknown key", &did_you_mean(name, known)))
        }
    }
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<Entry<'t, 'i>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, value)| (name.get_ref().as_ref(), value))
}

fn text<'t>((key, value): Entry<'t, '_>, place: &str) -> Result<&'t str, Fault> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err(fault(value.span().start, &format!("{place}{key}"), "this must be text", "write it in quotes")),
    }
}

fn is_valid_policy_name(name: &str) -> bool {
    crate::policy::is_valid_policy_name(name)
}

fn is_valid_username(name: &str) -> bool {
    (1..=128).contains(&name.chars().count()) && !name.contains(char::is_control)
}

fn fault(at: usize, key: &str, problem: &str, help: &str) -> Fault {
    Fault { at, key: key.to_owned(), problem: problem.to_owned(), help: help.to_owned() }
}

fn twice(at: usize, key: String) -> Fault {
    fault(at, &key, "this is given twice", "keep one of the two")
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"
[[group]]
name = "line-1"
policies = ["press"]

[[thing]]
name = "press-01"
type = "press"
groups = ["line-1"]
policies = ["device", "device"]
username = "press-01"
certificates = ["9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"]
attributes = { firmware = "1.2.0", site = "west" }

[[thing]]
name = "pump-01"
[thing.attributes]
site = "east"
"#;

    #[test]
    fn a_complete_file_is_read() {
        let registry = read(GOOD).unwrap();
        let press = registry.get("press-01").unwrap();
        assert_eq!(press.thing_type.as_deref(), Some("press"));
        assert_eq!(press.firmware(), Some("1.2.0"));
        assert_eq!(press.policies, ["device"]);
        assert!(press.certificates[0].starts_with("9f86d081"));
        assert_eq!(registry.groups["line-1"].policies, ["press"]);
        assert_eq!(registry.get("pump-01").unwrap().attributes["site"], "east");
        assert_eq!(read("").unwrap(), Registry::default());
    }

    #[test]
    fn each_mistake_names_its_line_its_key_and_what_to_write() {
        for (text, line, key, says) in [
            ("[[thing]]\nname = \"a\"\nusernam = \"x\"", 3, "thing a: usernam", "did you mean \"username\"?"),
            ("[[things]]\nname = \"a\"", 1, "things", "did you mean \"thing\"?"),
            ("[[thing]]\nnmae = \"a\"", 2, "thing: nmae", "did you mean \"name\"?"),
            ("[[thing]]\ntype = \"a\"", 1, "thing.name", "name = \"press-01\""),
            ("[[thing]]\nname = \"a/b\"", 2, "thing.name", "a-z A-Z 0-9"),
            ("[[thing]]\nname = 7", 2, "thing.name", "in quotes"),
            (
                "[[group]]\nname=\"line-1\"\n[[thing]]\nname=\"a\"\ngroups=[\"lin-1\"]",
                5,
                "thing a: groups",
                "\"line-1\"?",
            ),
            ("[[thing]]\nname=\"a\"\ngroups=[\"x\"]", 3, "thing a: groups", "[[group]] name = \"x\""),
            ("[[thing]]\nname=\"a\"\npolicies=\"x\"", 3, "thing a: policies", "[\"...\"]"),
            ("[[thing]]\nname=\"a\"\ncertificates=[\"abc\"]", 3, "thing a: certificates", "64 hexadecimal"),
            ("[[thing]]\nname=\"a\"\n[[thing]]\nname=\"a\"", 3, "thing a", "keep one"),
            (
                "[[thing]]\nname=\"a\"\nusername=\"u\"\n[[thing]]\nname=\"b\"\nusername=\"u\"",
                4,
                "thing b: username",
                "one",
            ),
            ("[[thing]]\nname=\"a\"\nattributes={ s = 1 }", 3, "thing a: attributes.s", "in quotes"),
            ("thing = 1", 1, "thing", "[[thing]]"),
            ("a = = 1", 1, "fleet.toml", "syntax"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.line, error.key.as_str()), (line, key), "{text}: {error}");
            assert!(error.help.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_harm(text in "(\\[\\[(thing|group)\\]\\]\n|name *= *\"?[a-z]?\"?\n|.{0,9}\n){0,8}") {
            let _ = read(&text);
        }
    }
}
