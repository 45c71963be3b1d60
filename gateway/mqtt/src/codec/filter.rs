//! Topic filters and shared subscriptions (MQTT 5, 4.7 and 4.8.2).

use super::rules::{self, Broken};
use super::{Version, Violation};

/// A topic filter as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The whole filter, with `$share/name/` if it was sent.
    pub text: &'a str,
    /// The parts of a shared subscription.
    pub share: Option<Share<'a>>,
    /// The rule this filter breaks; reason `TopicFilterInvalid`, to be answered in SUBACK or UNSUBACK. Such a filter
    /// must not be used.
    pub fault: Option<Violation>,
}

/// The parts of `$share/name/filter` (MQTT 5, 4.8.2; taken from MQTT 3 clients alike).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<'a> {
    /// The group's name: not empty, without `/`, `+` and `#`.
    pub name: &'a str,
    /// The topic filter of the group.
    pub filter: &'a str,
}

// === impl Filter ===

impl<'a> Filter<'a> {
    pub(super) fn new(version: Version, text: &'a str) -> Self {
        let share = parse_share(text);
        let (share, checked) = match share {
            Ok(Some(share)) => (Some(share), check_filter(share.filter)),
            Ok(None) => (None, check_filter(text)),
            // MQTT 3.1.1 knows no shared subscriptions: a filter that is not one is an ordinary filter there.
            Err(rule) => (None, if version.is_v5() { Err(rule) } else { check_filter(text) }),
        };
        Self { text, share, fault: checked.err().map(|rule| rule.cite(version)) }
    }
}

const SHARE_PREFIX: &str = "$share/";

/// Whether a filter is meant as a shared subscription, well-formed or not.
pub(super) fn asks_to_share(text: &str) -> bool {
    text.starts_with(SHARE_PREFIX)
}

fn parse_share(text: &str) -> Result<Option<Share<'_>>, Broken> {
    let Some(rest) = text.strip_prefix(SHARE_PREFIX) else {
        return Ok(None);
    };
    let (name, filter) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(&rules::SHARE_NAME_EMPTY);
    }
    if filter.is_empty() || name.contains(['+', '#']) {
        return Err(&rules::SHARE_MALFORMED);
    }
    Ok(Some(Share { name, filter }))
}

fn check_filter(filter: &str) -> Result<(), Broken> {
    if filter.is_empty() {
        return Err(&rules::FILTER_EMPTY);
    }
    let bytes = filter.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let starts_level = at == 0 || bytes.get(at - 1) == Some(&b'/');
        match byte {
            b'#' if !starts_level || at + 1 != bytes.len() => return Err(&rules::MULTI_LEVEL_WILDCARD),
            b'+' if !starts_level || !matches!(bytes.get(at + 1), None | Some(b'/')) => {
                return Err(&rules::SINGLE_LEVEL_WILDCARD);
            }
            _ => {}
        }
    }
    Ok(())
}
