//! Reading a TOML file key by key, strictly, and going on after a mistake.
//!
//! A [`Section`] hands out typed values and notes every key that was asked for; what is left over is an unknown key.
//! Mistakes are collected in the [`Source`] with their line, and the default stands in, so that one run tells all.

use super::problem::{ConfigError, Problem};
use super::size;
use cordon_core::duration;
use cordon_core::fleet::did_you_mean;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One file and what was found in it.
pub(crate) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    lines: RefCell<BTreeMap<String, usize>>,
}

/// What is left of a file when it has been read.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// The line of each key that was given, by its path.
    pub(crate) lines: BTreeMap<String, usize>,
}

/// One table of a file, present or not.
pub(crate) struct Section<'a> {
    source: &'a Source<'a>,
    place: String,
    table: Option<&'a DeTable<'a>>,
    at: usize,
    asked: RefCell<Vec<&'static str>>,
}

/// Why a value does not do.
pub(crate) struct Wrong {
    pub(crate) problem: String,
    pub(crate) help: String,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

// === impl Source ===

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::default(), warnings: RefCell::default(), lines: RefCell::default() }
    }

    /// Parses the text.
    ///
    /// # Errors
    /// Every place where it is no TOML.
    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let problems = errors.iter().map(|error| {
            let line = self.line(error.span().map_or(0, |span| span.start));
            let what = format!("this is no TOML: {}", error.message().trim().replace('\n', " "));
            Problem::at_line(self.file, line, "", what, "correct the syntax there")
        });
        ConfigError::of(problems.collect())?;
        Ok(table)
    }

    /// The whole file as a section.
    pub(crate) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section { source: self, place: String::new(), table: Some(table), at: 0, asked: RefCell::default() }
    }

    pub(crate) fn into_findings(self) -> Findings {
        Findings {
            problems: self.problems.into_inner(),
            warnings: self.warnings.into_inner(),
            lines: self.lines.into_inner(),
        }
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

// === impl Wrong ===

impl Wrong {
    pub(crate) fn new(problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: help.into() }
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Whether the file has this section.
    pub(crate) fn is_given(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the section has this key.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// The path of a key in messages.
    pub(crate) fn path_of(&self, key: &str) -> String {
        format!("{}{key}", self.place)
    }

    /// A value read by `read`; `None` when it is not given or does not do.
    pub(crate) fn read<T>(&self, key: &'static str, read: impl FnOnce(&DeValue<'a>) -> Result<T, Wrong>) -> Option<T> {
        let value = self.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(value.span().start, key, wrong);
                None
            }
        }
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| text(value).map(str::to_owned))
    }

    /// A text that `parse` understands.
    pub(crate) fn parsed<T>(&self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        self.read(key, |value| text(value).and_then(parse))
    }

    /// One word of several.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |word| match words.iter().find(|(known, _)| *known == word) {
            Some((_, value)) => Ok(*value),
            None => {
                let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
                Err(Wrong::new(format!("\"{}\" is not known here", cut(word)), did_you_mean(word, &known)))
            }
        })
    }

    /// A path; a relative one starts at the file's folder.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|path| self.resolve(&path))
    }

    /// A path relative to the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.source.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A whole number within a range.
    pub(crate) fn number<T: TryFrom<u64>>(&self, key: &'static str, default: T, range: RangeInclusive<u64>) -> T {
        self.read(key, |value| match whole(value) {
            Some(number) => fit(number, &range, u64::to_string),
            None => Err(Wrong::new("this must be a whole number", spread(&range, u64::to_string))),
        })
        .unwrap_or(default)
    }

    /// A size in bytes within a range.
    pub(crate) fn size<T: TryFrom<u64>>(&self, key: &'static str, default: T, range: RangeInclusive<u64>) -> T {
        self.read(key, |value| {
            let size = match value {
                DeValue::String(text) => size::parse(text),
                other => whole(other),
            };
            let wrong = || Wrong::new("this is no size", "write bytes, or for example \"64KiB\", \"1MiB\" or \"1GiB\"");
            fit(size.ok_or_else(wrong)?, &range, |bytes| size::format(*bytes))
        })
        .unwrap_or(default)
    }

    /// A duration within a range.
    pub(crate) fn duration(&self, key: &'static str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        self.parsed(key, |text| {
            let length = duration::parse(text).map_err(|error| {
                let problem = format!("`{}` is no duration: {}", error.text, error.problem);
                Wrong::new(problem, "write for example \"500ms\", \"10s\", \"5m\", \"1h30m\" or \"7d\"")
            })?;
            if range.contains(&length) {
                return Ok(length);
            }
            let (least, most) = (duration::format(*range.start()), duration::format(*range.end()));
            let problem = format!("{} is out of range", duration::format(length));
            Err(Wrong::new(problem, format!("write \"{least}\" to \"{most}\"")))
        })
        .unwrap_or(default)
    }

    /// A list of texts that `parse` understands; those that do not are told and left out.
    pub(crate) fn list<T>(&self, key: &'static str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let wrong = Wrong::new("this must be a list", format!("write {key} = [\"...\"]"));
            self.fault(value.span().start, key, wrong);
            return Vec::new();
        };
        let read = |item: &Spanned<DeValue<'a>>| match text(item.get_ref()).and_then(&parse) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(item.span().start, key, wrong);
                None
            }
        };
        items.iter().filter_map(read).collect()
    }

    /// A table in this one, present or not.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let value = self.get(key);
        let table = value.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                let above = match self.place.split_once(' ') {
                    Some((list, _)) => format!("{list}."),
                    None => self.place.clone(),
                };
                let wrong = Wrong::new("this must be a table", format!("write [{above}{key}] on a line of its own"));
                self.fault(value.span().start, key, wrong);
                None
            }
        });
        let at = value.map_or(self.at, |value| value.span().start);
        let place = format!("{}{key}.", self.place);
        Section { source: self.source, place, table, at, asked: RefCell::default() }
    }

    /// The tables of a list of tables, each called after its `name`.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let wrong = |at| {
            self.fault(at, key, Wrong::new("this must be a list of tables", format!("write [[{key}]]")));
        };
        let DeValue::Array(items) = value.get_ref() else {
            wrong(value.span().start);
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                wrong(item.span().start);
                continue;
            };
            let name = find(table, "name").and_then(|(_, name)| text(name.get_ref()).ok());
            let place = name.map_or_else(|| format!("{key} {}: ", index + 1), |name| format!("{key} {}: ", cut(name)));
            let at = item.span().start;
            self.source.lines.borrow_mut().insert(place.clone(), self.source.line(at));
            sections.push(Section { source: self.source, place, table: Some(table), at, asked: RefCell::default() });
        }
        sections
    }

    /// Every key of this table with its value, for tables whose keys are names.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Result<&'a str, Wrong>)> {
        let Some(table) = self.table else { return Vec::new() };
        let mut lines = self.source.lines.borrow_mut();
        table
            .iter()
            .map(|(key, value)| {
                let name: &'a str = key.get_ref();
                lines.insert(self.path_of(name), self.source.line(key.span().start));
                (name, text(value.get_ref()))
            })
            .collect()
    }

    /// Notes that a key that must be there is not.
    pub(crate) fn missing(&self, key: &'static str, example: &str) {
        if !self.has(key) {
            self.fault(self.at, key, Wrong::new("this is missing", format!("write {key} = {example}")));
        }
    }

    /// Notes a mistake in a key, or in the section when the key is not given.
    pub(crate) fn wrong(&self, key: &'static str, wrong: Wrong) {
        self.fault(self.place_of(key), key, wrong);
    }

    /// Notes something that works but is probably not meant.
    pub(crate) fn warn(&self, key: &'static str, wrong: Wrong) {
        let problem = self.problem(self.place_of(key), key, wrong);
        self.source.warnings.borrow_mut().push(problem);
    }

    /// Ends the section: what was not asked for is unknown.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        let unknown = self.table.into_iter().flat_map(DeTable::keys).filter(|key| {
            let name: &str = key.get_ref();
            !asked.contains(&name)
        });
        for key in unknown {
            let wrong = Wrong::new("unknown key", did_you_mean(key.get_ref(), &asked));
            self.fault(key.span().start, &cut(key.get_ref()), wrong);
        }
    }

    fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let (at, value) = find(self.table?, key)?;
        self.source.lines.borrow_mut().insert(self.path_of(key), self.source.line(at));
        Some(value)
    }

    fn place_of(&self, key: &str) -> usize {
        self.table.and_then(|table| find(table, key)).map_or(self.at, |(_, value)| value.span().start)
    }

    fn fault(&self, at: usize, key: &str, wrong: Wrong) {
        let problem = self.problem(at, key, wrong);
        self.source.problems.borrow_mut().push(problem);
    }

    fn problem(&self, at: usize, key: &str, wrong: Wrong) -> Problem {
        let line = self.source.line(at);
        Problem::at_line(self.source.file, line, &self.path_of(key), wrong.problem, wrong.help)
    }
}

/// The start of a text, short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn find<'a>(table: &'a DeTable<'a>, key: &str) -> Option<(usize, Value<'a>)> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, value)| (name.span().start, value))
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Wrong> {
    match value {
        DeValue::String(text) if !text.is_empty() => Ok(text),
        DeValue::String(_) => Err(Wrong::new("this is empty", "write a value, or take the key out")),
        _ => Err(Wrong::new("this must be text", "write it in quotes")),
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    }
}

fn fit<T: TryFrom<u64>>(number: u64, range: &RangeInclusive<u64>, show: impl Fn(&u64) -> String) -> Result<T, Wrong> {
    let fitting = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
    fitting.ok_or_else(|| Wrong::new(format!("{} is out of range", show(&number)), spread(range, show)))
}

fn spread<T: Display>(range: &RangeInclusive<u64>, show: impl Fn(&u64) -> T) -> String {
    format!("write {} to {}", show(range.start()), show(range.end()))
}
