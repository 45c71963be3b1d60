//! One event, as recorded.

use super::{Code, Severity};
use crate::time::Now;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The longest text an event field keeps, in bytes; what is longer is cut at a character and ends in `…`.
pub const MAX_FIELD_BYTES: usize = 512;

/// A security event: who, from where, what, on what, why, and by which rule.
///
/// Fields that do not apply are `None`. Text that comes from outside goes through setters, which
/// bound its length. No payload and no password ever enters an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind of event this is.
    pub code: Code,
    /// How urgent it is; the catalogue's severity unless raised.
    pub severity: Severity,
    /// When it happened.
    pub at: Now,
    /// The thing concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
    /// The MQTT client id concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The remote address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// The listener the client came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Who acted: `cert:<common name>`, `user:<name>`, `anonymous`, `operator:<name>` or `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// What was tried, in the words of IoT policies: `iot:Publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// On what: a topic, a topic filter, a client id, an order id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rule that decided: a policy statement, an order, a behaviour, a baseline, a limit, a statement of a standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How many like occurrences this record stands for; at least 1.
    pub count: u64,
    /// Further facts, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

macro_rules! setter {
    ($($(#[$doc:meta])* $name:ident),*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.$name = Some(bounded(value.into()));
            self
        })*
    };
}

impl Event {
    /// An event of `code` at `at`, with the catalogue's severity and no fields.
    #[must_use]
    pub fn new(code: Code, at: Now) -> Self {
        Self {
            code,
            severity: code.entry().severity,
            at,
            thing: None,
            client_id: None,
            peer: None,
            listener: None,
            principal: None,
            action: None,
            resource: None,
            reason: None,
            rule: None,
            count: 1,
            details: BTreeMap::new(),
        }
    }

    setter! {
        /// Names the thing concerned.
        thing,
        /// Names the client id concerned.
        client_id,
        /// Names the listener.
        listener,
        /// Names who acted.
        principal,
        /// Names what was tried.
        action,
        /// Names on what it was tried.
        resource,
        /// Says why.
        reason,
        /// Names the rule that decided.
        rule
    }

    /// Names the remote address.
    #[must_use]
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Overrides the catalogue's severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Says how many like occurrences this record stands for.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = count.max(1);
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), bounded(value.into()));
        self
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_FIELD_BYTES {
        let mut end = MAX_FIELD_BYTES - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_from_outside_is_cut_at_a_character() {
        let event = Event::new(Code::AuthzPublishDenied, Now::for_test(0)).resource("ü".repeat(65_535));
        let kept = event.resource.unwrap_or_default();
        assert!(kept.len() <= MAX_FIELD_BYTES);
        assert!(kept.ends_with('…'));
    }
}
