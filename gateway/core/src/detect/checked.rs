//! Strict access to the keys of a JSON object.

use super::json::{Item, Member, Node};
use crate::fleet::did_you_mean;
use serde_json::Value;
use std::ops::RangeInclusive;

/// What is wrong at a byte of the document.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) problem: String,
    pub(super) help: String,
}

/// An object of which every key is known and given once.
pub(super) struct Object<'n> {
    pub(super) at: usize,
    path: String,
    members: &'n [Member],
}

// === impl Fault ===

impl Fault {
    pub(super) fn new(at: usize, key: &str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, key: key.to_owned(), problem: problem.into(), help: help.into() }
    }
}

// === impl Object ===

impl<'n> Object<'n> {
    /// The object at `path` (empty for the document itself), if it is one and has no other keys than `known`.
    pub(super) fn new(node: &'n Node, path: &str, known: &[&str]) -> Result<Self, Fault> {
        let Item::Map(members) = &node.item else {
            let key = if path.is_empty() { "document" } else { path };
            return Err(Fault::new(node.at, key, "this must be an object", "write { ... }"));
        };
        let object = Self { at: node.at, path: path.to_owned(), members };
        for (index, member) in members.iter().enumerate() {
            let key = object.key(&cut(&member.key));
            if !known.contains(&member.key.as_str()) {
                return Err(Fault::new(member.at, &key, "unknown key", did_you_mean(&member.key, known)));
            }
            if members[..index].iter().any(|earlier| earlier.key == member.key) {
                return Err(Fault::new(member.at, &key, "this key is given twice", "keep one of the two"));
            }
        }
        Ok(object)
    }

    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.members.iter().find(|member| member.key == name).map(|member| &member.node)
    }

    pub(super) fn required(&self, name: &str, example: &str) -> Result<&'n Node, Fault> {
        let missing =
            || Fault::new(self.at, &self.key(name), "this is missing", format!("write \"{name}\": {example}"));
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'n str>, Fault> {
        match self.get(name).map(|node| (node.at, &node.item)) {
            None => Ok(None),
            Some((_, Item::Plain(Value::String(text)))) => Ok(Some(text)),
            Some((at, _)) => Err(Fault::new(at, &self.key(name), "this must be text", "write it in double quotes")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.get(name).map(|node| (node.at, &node.item)) {
            None => Ok(false),
            Some((_, Item::Plain(Value::Bool(flag)))) => Ok(*flag),
            Some((at, _)) => Err(Fault::new(at, &self.key(name), "this must be true or false", "write true or false")),
        }
    }

    pub(super) fn whole(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Fault> {
        let Some(node) = self.get(name) else { return Ok(None) };
        match &node.item {
            Item::Plain(Value::Number(number)) if number.as_u64().is_some_and(|n| range.contains(&n)) => {
                Ok(number.as_u64())
            }
            _ => {
                let help = match *range.end() {
                    u64::MAX => format!("write a whole number from {} on", range.start()),
                    end => format!("write a whole number from {} to {end}", range.start()),
                };
                Err(Fault::new(node.at, &self.key(name), "this is no number in range", help))
            }
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'n [Node]>, Fault> {
        match self.get(name).map(|node| (node.at, &node.item)) {
            None => Ok(None),
            Some((_, Item::List(items))) => Ok(Some(items)),
            Some((at, _)) => Err(Fault::new(at, &self.key(name), "this must be a list", "write [ ... ]")),
        }
    }
}

/// Text from a document, short enough for a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
