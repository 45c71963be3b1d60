//! Strict access to the keys of a TOML table.

use crate::duration;
use crate::fleet::did_you_mean;
use serde_json::{Number, Value};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong at a byte of the document.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) problem: String,
    pub(super) help: String,
}

/// A table of which every key is known.
pub(super) struct Table<'t, 'i> {
    pub(super) at: usize,
    place: String,
    table: &'t DeTable<'i>,
}

// === impl Fault ===

impl Fault {
    pub(super) fn new(at: usize, key: &str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, key: key.to_owned(), problem: problem.into(), help: help.into() }
    }
}

// === impl Table ===

impl<'t, 'i> Table<'t, 'i> {
    /// The table at `at`, called `place` in messages (empty for the document itself), without other keys than `known`.
    pub(super) fn new(table: &'t DeTable<'i>, at: usize, place: &str, known: &[&str]) -> Result<Self, Fault> {
        let found = Self { at, place: place.to_owned(), table };
        match table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(found),
            Some(key) => {
                let name: &str = key.get_ref();
                let help = did_you_mean(name, known);
                Err(Fault::new(key.span().start, &found.key(&cut(name)), "unknown key", help))
            }
        }
    }

    pub(super) fn key(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}: {name}", self.place) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    /// A fault of the value of `name`, or of the table if it is missing.
    pub(super) fn fault(&self, name: &str, problem: impl Into<String>, help: impl Into<String>) -> Fault {
        let at = self.get(name).map_or(self.at, |value| value.span().start);
        Fault::new(at, &self.key(name), problem, help)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'t str>, Fault> {
        match self.get(name).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(name, "this must be text", "write it in quotes")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.get(name).map(Spanned::get_ref) {
            None => Ok(false),
            Some(DeValue::Boolean(flag)) => Ok(*flag),
            Some(_) => Err(self.fault(name, "this must be true or false", "write true or false, without quotes")),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Fault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = |error: duration::DurationError| self.fault(name, error.problem, "write for example 10s, 5m or 1h");
        duration::parse(text).map(Some).map_err(wrong)
    }

    /// The list of `name`, each item with the byte where it begins.
    pub(super) fn list(&self, name: &str) -> Result<Vec<(usize, &'t DeValue<'i>)>, Fault> {
        match self.get(name).map(Spanned::get_ref) {
            None => Ok(Vec::new()),
            Some(DeValue::Array(items)) => Ok(items.iter().map(|item| (item.span().start, item.get_ref())).collect()),
            Some(_) => Err(self.fault(name, "this must be a list", format!("write {name} = [ ... ]"))),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<(usize, &'t str)>, Fault> {
        let texts = self.list(name)?.into_iter().map(|(at, item)| match item {
            DeValue::String(text) => Ok((at, text.as_ref())),
            _ => Err(Fault::new(at, &self.key(name), "this must be text", "write it in quotes")),
        });
        texts.collect()
    }

    /// The value of `name` as JSON.
    pub(super) fn json(&self, name: &str) -> Result<Option<Value>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let help = "write text, true or false, a number, a list or a table";
        json(value.get_ref()).map(Some).ok_or_else(|| self.fault(name, "devices cannot report this as JSON", help))
    }
}

/// Text from a document, short enough for a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The same value in JSON, if there is one: no dates, no infinity.
pub(super) fn json(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::from),
        DeValue::Float(float) => Number::from_f64(float.as_str().parse().ok()?).map(Value::Number),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?))).collect()
        }
        DeValue::Datetime(_) => None,
    }
}
