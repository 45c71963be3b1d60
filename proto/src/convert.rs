//! Events between their wire form and [`cordon_core::event::Event`].
//!
//! Every event of the core has a wire form. The way back can fail: the bytes may come from a newer gateway that knows
//! more codes, or from a peer that leaves a required field out.

use crate::v1;
use cordon_core::event::{Code, Event, Severity};
use cordon_core::time::{Mono, Now, Unix};
use std::net::AddrParseError;

/// Why a wire event is no event of the core.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A field that every event has is missing.
    #[error("the event has no `{0}`; the sender must set it")]
    Missing(&'static str),
    /// The code is not in this version's catalogue.
    #[error("`{0}` is no event code; the event may come from a newer Cordon")]
    Code(String),
    /// The severity is none of the known ones.
    #[error("{0} is no severity; the event may come from a newer Cordon")]
    Severity(i32),
    /// The peer is no address and port.
    #[error("`peer` is no address with a port, such as 192.0.2.7:51234")]
    Peer(#[from] AddrParseError),
}

// === impl Moment ===

impl From<Now> for v1::Moment {
    fn from(now: Now) -> Self {
        Self { unix_ms: now.unix.0, mono_ms: now.mono.0, trusted: now.trusted }
    }
}

impl From<v1::Moment> for Now {
    fn from(moment: v1::Moment) -> Self {
        Self { mono: Mono(moment.mono_ms), unix: Unix(moment.unix_ms), trusted: moment.trusted }
    }
}

// === impl Severity ===

impl From<Severity> for v1::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Notice => Self::Notice,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
            Severity::Critical => Self::Critical,
        }
    }
}

impl TryFrom<v1::Severity> for Severity {
    type Error = ConvertError;

    fn try_from(severity: v1::Severity) -> Result<Self, ConvertError> {
        match severity {
            v1::Severity::Unspecified => Err(ConvertError::Missing("severity")),
            v1::Severity::Info => Ok(Self::Info),
            v1::Severity::Notice => Ok(Self::Notice),
            v1::Severity::Warning => Ok(Self::Warning),
            v1::Severity::Error => Ok(Self::Error),
            v1::Severity::Critical => Ok(Self::Critical),
        }
    }
}

// === impl Event ===

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            code: event.code.name().to_owned(),
            severity: v1::Severity::from(event.severity).into(),
            at: Some(event.at.into()),
            thing: event.thing,
            client_id: event.client_id,
            peer: event.peer.map(|peer| peer.to_string()),
            listener: event.listener,
            principal: event.principal,
            action: event.action,
            resource: event.resource,
            reason: event.reason,
            rule: event.rule,
            count: event.count,
            details: event.details.into_iter().collect(),
        }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = ConvertError;

    fn try_from(event: v1::Event) -> Result<Self, ConvertError> {
        let severity = v1::Severity::try_from(event.severity).map_err(|_| ConvertError::Severity(event.severity))?;
        Ok(Self {
            code: code_of(&event.code)?,
            severity: Severity::try_from(severity)?,
            at: event.at.ok_or(ConvertError::Missing("at"))?.into(),
            thing: event.thing,
            client_id: event.client_id,
            peer: event.peer.map(|peer| peer.parse()).transpose()?,
            listener: event.listener,
            principal: event.principal,
            action: event.action,
            resource: event.resource,
            reason: event.reason,
            rule: event.rule,
            count: event.count.max(1),
            details: event.details.into_iter().collect(),
        })
    }
}

fn code_of(name: &str) -> Result<Code, ConvertError> {
    name.parse().map_err(|_| ConvertError::Code(name.chars().take(64).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use cordon_core::event::CATALOGUE;

    #[test]
    fn every_event_of_the_catalogue_survives_the_wire() {
        for entry in CATALOGUE {
            let event = Event::new(entry.code, Now::for_test(5))
                .thing("press-01")
                .peer("[2001:db8::7]:51234".parse().unwrap())
                .rule("policy line statement 1")
                .count(7)
                .detail("format", "json");
            assert_eq!(Event::try_from(v1::Event::from(event.clone())), Ok(event));
        }
    }

    #[test]
    fn an_event_that_this_version_cannot_understand_says_why() {
        let good = v1::Event::from(Event::new(Code::GatewayStarted, Now::for_test(0)));
        let table: [(v1::Event, &str); 4] = [
            (v1::Event { code: "TELEPORT_FAILED".into(), ..good.clone() }, "`TELEPORT_FAILED` is no event code"),
            (v1::Event { severity: 99, ..good.clone() }, "99 is no severity"),
            (v1::Event { at: None, ..good.clone() }, "no `at`"),
            (v1::Event { peer: Some("press-01".into()), ..good }, "no address with a port"),
        ];
        for (event, said) in table {
            let error = Event::try_from(event).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
