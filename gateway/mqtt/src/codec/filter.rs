//! Topic filters and shared subscriptions (MQTT 5, 4.7 and 4.8.2).

use super::Version;
use super::rules::{self, Broken};

/// A well-formed topic filter as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The whole filter, with `$share/name/` if it was sent.
    pub text: &'a str,
    /// The parts of a shared subscription.
    pub share: Option<Share<'a>>,
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
    pub(super) fn parse(version: Version, text: &'a str) -> Result<Self, Broken> {
        let share = match parse_share(text) {
            Err(rule) if version.is_v5() => return Err(rule),
            // MQTT 3.1.1 knows no shared subscriptions: a filter that is not one is an ordinary filter there.
            share => share.unwrap_or_default(),
        };
        check_filter(share.map_or(text, |share| share.filter))?;
        Ok(Self { text, share })
    }
}

const SHARE_PREFIX: &str = "$share/";

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
