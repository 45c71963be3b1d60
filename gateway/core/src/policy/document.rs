//! Reading a policy document, strictly.

use super::action::{ActionSet, NEVER_ASKED};
use super::condition::Condition;
use super::error::{Fault, PolicyError, cut};
use super::json::{self, Member, Node, Value};
use super::resource;
use super::statement::{Effect, Statement};
use super::{Action, Hint, hints};
use crate::fleet::did_you_mean;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// The most statements in one document.
pub const MAX_STATEMENTS: usize = 256;

const VERSION: &str = "2012-10-17";
const POLICY_KEYS: &[&str] = &["Version", "Id", "Statement"];
const STATEMENT_KEYS: &[&str] = &["Sid", "Effect", "Action", "Resource", "NotResource", "Condition"];

/// A policy document, read and checked.
#[derive(Debug)]
pub struct Policy {
    name: String,
    statements: Vec<Arc<Statement>>,
}

// === impl Policy ===

impl Policy {
    /// Reads the document `json` of the policy `name`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line, column, key and what to write. Whatever the gateway could not
    /// judge is refused: unknown keys, actions, operators, condition keys, variables, and resources that can match
    /// nothing.
    pub fn parse(name: &str, json: &str) -> Result<Self, PolicyError> {
        read(name, json).map_err(|fault| fault.locate(name, json))
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is legal in the document but most likely not meant.
    #[must_use]
    pub fn hints(&self) -> Vec<Hint> {
        self.statements.iter().flat_map(|statement| hints::of(statement)).collect()
    }

    /// A policy that denies everything, in the place of one that is named but not there: its Denies are unknown, so
    /// nothing may pass in its name.
    pub(crate) fn missing(name: &str) -> Self {
        let actions = Action::ALL.into_iter().fold(ActionSet::default(), ActionSet::with);
        let rule = format!("policy {name} is not loaded").into();
        // Everything but nothing.
        let statement = Statement::new(rule, Effect::Deny, actions, true, Vec::new(), Vec::new());
        Self { name: name.to_owned(), statements: vec![Arc::new(statement)] }
    }

    pub(super) fn statements(&self) -> &[Arc<Statement>] {
        &self.statements
    }
}

/// Whether `name` may name a policy: 1 to 128 of `[a-zA-Z0-9_+=,.@-]` (AWS IoT).
#[must_use]
pub fn is_valid_policy_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

fn read(name: &str, json: &str) -> Result<Policy, Fault> {
    if !is_valid_policy_name(name) {
        let problem = format!("\"{}\" is no policy name", cut(name));
        return Err(Fault::new(0, "name", problem, "use 1 to 128 characters of a-z A-Z 0-9 _ + = , . @ -"));
    }
    if json.len() > MAX_DOCUMENT_BYTES {
        return Err(Fault::new(0, "document", "the document is longer than 64 KiB", "split it into several policies"));
    }
    let root = json::read(json)?;
    let members = object(&root, "document", "{ \"Version\": \"2012-10-17\", \"Statement\": [...] }")?;
    known_keys(members, POLICY_KEYS, "")?;
    let version = member(members, "Version").ok_or_else(|| {
        Fault::new(root.at, "Version", "the version is missing", format!("write \"Version\": \"{VERSION}\""))
    })?;
    if version.value != Value::Text(VERSION.to_owned()) {
        let help = format!("write \"Version\": \"{VERSION}\"; older documents know no variables");
        return Err(Fault::new(version.at, "Version", "this version is not supported", help));
    }
    if let Some(id) = member(members, "Id") {
        text(id, "Id")?;
    }
    let node = member(members, "Statement").ok_or_else(|| {
        Fault::new(root.at, "Statement", "the statements are missing", "write \"Statement\": [{ \"Effect\": ... }]")
    })?;
    let (nodes, listed) = one_or_more(node);
    if nodes.is_empty() || nodes.len() > MAX_STATEMENTS {
        let problem = format!("there must be 1 to {MAX_STATEMENTS} statements");
        return Err(Fault::new(node.at, "Statement", problem, "write at least one, or split the policy"));
    }
    let mut sids = BTreeSet::new();
    let mut statements = Vec::with_capacity(nodes.len());
    for (i, node) in nodes.iter().enumerate() {
        let path = if listed { format!("Statement[{}]", i + 1) } else { "Statement".to_owned() };
        statements.push(Arc::new(statement(node, &path, name, i + 1, &mut sids)?));
    }
    Ok(Policy { name: name.to_owned(), statements })
}

fn statement(
    node: &Node,
    path: &str,
    policy: &str,
    number: usize,
    sids: &mut BTreeSet<String>,
) -> Result<Statement, Fault> {
    let members = object(node, path, "{ \"Effect\": \"Allow\", \"Action\": ..., \"Resource\": ... }")?;
    known_keys(members, STATEMENT_KEYS, &format!("{path}."))?;
    let at = |key: &str| format!("{path}.{key}");
    let mut label = number.to_string();
    if let Some(node) = member(members, "Sid") {
        let sid = text(node, &at("Sid"))?;
        if !(1..=128).contains(&sid.len()) || !sid.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            let help = "write 1 to 128 characters of a-z A-Z 0-9 _ -";
            return Err(Fault::new(node.at, &at("Sid"), format!("\"{}\" is no Sid", cut(sid)), help));
        }
        if !sids.insert(sid.to_owned()) {
            let problem = format!("the Sid \"{}\" is given twice", cut(sid));
            return Err(Fault::new(node.at, &at("Sid"), problem, "give each statement its own"));
        }
        sid.clone_into(&mut label);
    }
    let effect = effect(required(members, node, path, "Effect", "\"Allow\" or \"Deny\"")?, &at("Effect"))?;
    let actions = actions(required(members, node, path, "Action", "\"iot:Publish\"")?, &at("Action"))?;
    let (key, inverted) = match (member(members, "Resource"), member(members, "NotResource")) {
        (Some(_), Some(node)) => {
            let problem = "Resource and NotResource exclude each other";
            return Err(Fault::new(node.at, &at("NotResource"), problem, "keep one of the two"));
        }
        (None, Some(_)) => ("NotResource", true),
        _ => ("Resource", false),
    };
    let resources = required(members, node, path, key, "\"arn:aws:iot:*:*:topic/...\"")?;
    let mut targets = Vec::new();
    for (text, at_byte) in texts(resources, &at(key))? {
        targets
            .extend(resource::parse(text).map_err(|fault| Fault::new(at_byte, &at(key), fault.problem, fault.help))?);
    }
    let conditions = match member(members, "Condition") {
        Some(node) => Condition::parse_all(node, &at("Condition"))?,
        None => Vec::new(),
    };
    let rule = format!("policy {policy} statement {label}").into();
    Ok(Statement::new(rule, effect, actions, inverted, targets, conditions))
}

fn effect(node: &Node, path: &str) -> Result<Effect, Fault> {
    match text(node, path)? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        other => {
            let problem = format!("\"{}\" is no effect", cut(other));
            Err(Fault::new(node.at, path, problem, did_you_mean(other, &["Allow", "Deny"])))
        }
    }
}

fn actions(node: &Node, path: &str) -> Result<ActionSet, Fault> {
    let mut set = ActionSet::default();
    for (text, at) in texts(node, path)? {
        let selected = ActionSet::of_text(text).ok_or_else(|| {
            let known: Vec<&str> =
                Action::ALL.iter().map(|action| action.name()).chain(NEVER_ASKED.iter().copied()).collect();
            let near = crate::fleet::nearest(text, known.iter().copied());
            let short: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
            let help = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of: {}, iot:*", short.join(", ")),
            };
            Fault::new(at, path, format!("\"{}\" is no action of AWS IoT", cut(text)), help)
        })?;
        set = set.union(selected);
    }
    Ok(set)
}

fn known_keys(members: &[Member], known: &[&str], path: &str) -> Result<(), Fault> {
    match members.iter().find(|member| !known.contains(&member.key.as_str())) {
        None => Ok(()),
        Some(Member { at, key, .. }) => {
            let help = match key.as_str() {
                "NotAction" => "list the actions with \"Action\"".to_owned(),
                "Principal" | "NotPrincipal" => "leave it out: a policy is for the things it is attached to".to_owned(),
                _ => did_you_mean(key, known),
            };
            Err(Fault::new(*at, &format!("{path}{}", cut(key)), "unknown key", help))
        }
    }
}

fn required<'n>(members: &'n [Member], parent: &Node, path: &str, key: &str, example: &str) -> Result<&'n Node, Fault> {
    member(members, key).ok_or_else(|| {
        let help = format!("write \"{key}\": {example}");
        Fault::new(parent.at, &format!("{path}.{key}"), "this key is missing", help)
    })
}

fn object<'n>(node: &'n Node, path: &str, example: &str) -> Result<&'n [Member], Fault> {
    match &node.value {
        Value::Map(members) => Ok(members),
        _ => Err(Fault::new(node.at, path, "this must be an object", format!("write {example}"))),
    }
}

fn member<'n>(members: &'n [Member], key: &str) -> Option<&'n Node> {
    members.iter().find(|member| member.key == key).map(|member| &member.node)
}

fn text<'n>(node: &'n Node, path: &str) -> Result<&'n str, Fault> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(Fault::new(node.at, path, "this must be text", "write it in double quotes")),
    }
}

/// A text or a list of texts, at least one, each with its place.
fn texts<'n>(node: &'n Node, path: &str) -> Result<Vec<(&'n str, usize)>, Fault> {
    let (nodes, _) = one_or_more(node);
    if nodes.is_empty() {
        return Err(Fault::new(node.at, path, "the list is empty", "write at least one text"));
    }
    nodes.iter().map(|node| text(node, path).map(|text| (text, node.at))).collect()
}

/// What may stand alone or in a list, and whether it is a list.
fn one_or_more(node: &Node) -> (&[Node], bool) {
    match &node.value {
        Value::List(items) => (items, true),
        _ => (std::slice::from_ref(node), false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn with(statement: &str) -> String {
        format!("{{\n\"Version\": \"2012-10-17\",\n\"Statement\": [\n{statement}\n]\n}}")
    }

    #[test]
    fn each_mistake_names_its_place_and_what_to_write() {
        let allow = r#""Effect": "Allow", "Action": "iot:Publish", "Resource": "*""#;
        let conditioned = |condition: &str| with(&format!("{{ {allow},\n\"Condition\": {condition} }}"));
        for (json, line, column, key, says) in [
            (with(r#"{ "Efect": "Allow" }"#), 4, 3, "Statement[1].Efect", "did you mean \"Effect\"?"),
            (with(r#"{ "Effect": "allow" }"#), 4, 13, "Statement[1].Effect", "did you mean \"Allow\"?"),
            (with(r#"{ "Effect": "Allow" }"#), 4, 1, "Statement[1].Action", "\"iot:Publish\""),
            (with(r#"{ "Effect": "Allow", "Action": [] }"#), 4, 32, "Statement[1].Action", "at least one"),
            (
                with(r#"{ "Effect": "Allow", "Action": "iot:Publsh", "Resource": "*" }"#),
                4,
                32,
                "Statement[1].Action",
                "did you mean \"iot:Publish\"?",
            ),
            (
                with(r#"{ "Effect": "Allow", "NotAction": "iot:Publish" }"#),
                4,
                22,
                "Statement[1].NotAction",
                "\"Action\"",
            ),
            (
                with(r#"{ "Effect": "Allow", "Action": "*", "Resource": "a/b" }"#),
                4,
                49,
                "Statement[1].Resource",
                "arn:aws:iot:*:*:topic/...",
            ),
            (
                with(r#"{ "Effect": "Allow", "Action": "*", "Resource": "*", "NotResource": "*" }"#),
                4,
                69,
                "Statement[1].NotResource",
                "keep one",
            ),
            (with(&format!("{{ {allow} }},\n{{ {allow}, }}")), 5, 64, "document", "no comma after the last"),
            (
                with(&format!("{{ \"Sid\": \"a\", {allow} }},\n{{ \"Sid\": \"a\", {allow} }}")),
                5,
                10,
                "Statement[2].Sid",
                "own",
            ),
            (conditioned(r#"{ "StringEqual": {} }"#), 5, 16, "Statement[1].Condition.StringEqual", "\"StringEquals\"?"),
            (conditioned(r#"{ "DateLessThan": {} }"#), 5, 16, "Statement[1].Condition.DateLessThan", "one of"),
            (
                conditioned(r#"{ "Bool": { "iot:Connection.Thing.IsAtached": "true" } }"#),
                5,
                26,
                "Statement[1].Condition.Bool.iot:Connection.Thing.IsAtached",
                "IsAttached\"?",
            ),
            (
                conditioned(r#"{ "IpAddress": { "aws:SourceIp": "10.0.0/8" } }"#),
                5,
                47,
                "Statement[1].Condition.IpAddress.aws:SourceIp",
                "192.168.1.0/24",
            ),
            (
                conditioned(r#"{ "StringEquals": { "iot:ConnectAttributes": "LastWill" } }"#),
                5,
                34,
                "Statement[1].Condition.StringEquals.iot:ConnectAttributes",
                "ForAnyValue:StringEquals",
            ),
            (
                conditioned(r#"{ "ForAnyValue:StringEquals": { "iot:ClientId": "a" } }"#),
                5,
                46,
                "Statement[1].Condition.ForAnyValue:StringEquals.iot:ClientId",
                "leave",
            ),
            ("{}".into(), 1, 1, "Version", "2012-10-17"),
            (r#"{"Version": "2008-10-17"}"#.into(), 1, 13, "Version", "2012-10-17"),
            (r#"{"Version": "2012-10-17", "Statement": []}"#.into(), 1, 40, "Statement", "at least one"),
            (r#"{"Version": "2012-10-17", "Version": "2012-10-17"}"#.into(), 1, 27, "document", "keep one"),
            ("[]".into(), 1, 1, "document", "Statement"),
            ("".into(), 1, 1, "document", "double quotes"),
            ("{\n  \"Ü\": tru }".into(), 2, 8, "document", "double quotes"),
        ] {
            let error = Policy::parse("p", &json).expect_err(&json);
            assert_eq!((error.line, error.column, error.key.as_str()), (line, column, key), "{json}\n{error}");
            assert!(error.help.contains(says), "{json}\n{error}");
        }
    }

    #[test]
    fn size_and_names_are_bounded() {
        assert!(Policy::parse("p", &" ".repeat(MAX_DOCUMENT_BYTES + 1)).is_err());
        let one = r#"{ "Effect": "Allow", "Action": "*", "Resource": "*" }"#;
        assert!(Policy::parse("p", &with(&vec![one; MAX_STATEMENTS].join(","))).is_ok());
        assert!(Policy::parse("p", &with(&vec![one; MAX_STATEMENTS + 1].join(","))).is_err());
        for name in ["", "a b", "a/b", &"x".repeat(129)] {
            assert_eq!(Policy::parse(name, &with(one)).unwrap_err().key, "name");
        }
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused_without_harm(
            action in "(iot:)?[A-Za-z*?]{0,12}",
            resource in "(arn:aws:iot:::(topic|client)/)?[a-z*?/${}:+#]{0,20}",
            condition in "(\\{\"(ForAnyValue:)?(StringLike|Bool|Null)(IfExists)?\":\\{\"(iot:ClientId|iot:ConnectAttributes)\":(\"[a*$]{0,3}\"|true|\\[\\])\\}\\}|.{0,10})",
        ) {
            let json = format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"{resource}","Condition":{condition}}}"#);
            let _ = Policy::parse("p", &with(&json));
        }
    }
}
