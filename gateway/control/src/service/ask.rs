//! Requests into checked arguments. Every message says which field is wrong and what to write.

use crate::backend::{EventQuery, EventSelection, Isolation, Question};
use cordon_core::event::Severity;
use cordon_core::fleet::Selector;
use cordon_core::isolation::Level;
use cordon_core::time::Unix;
use cordon_core::{duration, topic};
use cordon_proto::v1;
use cordon_proto::v1::list_events_request::{Since, Until};
use std::time::Duration;
use tonic::Status;

const MAX_REASON_BYTES: usize = 512;
const MAX_LIMIT: u32 = 10_000;
const MAX_CODES: usize = 64;
const MAX_BLOCKED: usize = 100;
const SHORTEST_ORDER: Duration = Duration::from_secs(1);
const LONGEST_ORDER: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A limit of a list: `usual` for 0.
pub(super) fn limit(given: u32, usual: u32) -> Result<usize, Status> {
    match given {
        0 => Ok(usual as usize),
        1..=MAX_LIMIT => Ok(given as usize),
        _ => Err(invalid(format!("`limit` is {given}; give 1 to {MAX_LIMIT}"))),
    }
}

/// A reason for the audit trail.
pub(super) fn reason(given: &str) -> Result<String, Status> {
    let reason = given.trim();
    if reason.is_empty() {
        return Err(invalid("`reason` is empty; say in a few words why, for the audit trail"));
    }
    if reason.len() > MAX_REASON_BYTES || reason.contains(char::is_control) {
        return Err(invalid(format!("`reason` must be at most {MAX_REASON_BYTES} bytes on one line")));
    }
    Ok(reason.to_owned())
}

/// A text that must be there.
pub(super) fn named(field: &str, given: &str, what: &str) -> Result<String, Status> {
    if given.is_empty() {
        return Err(invalid(format!("`{field}` is empty; give {what}")));
    }
    Ok(given.to_owned())
}

pub(super) fn selection(filter: Option<v1::EventFilter>) -> Result<EventSelection, Status> {
    let Some(filter) = filter else { return Ok(EventSelection::default()) };
    if filter.codes.len() > MAX_CODES {
        return Err(invalid(format!("`codes` has {} entries; give at most {MAX_CODES}", filter.codes.len())));
    }
    let min_severity = match filter.min_severity.map(v1::Severity::try_from) {
        None | Some(Ok(v1::Severity::Unspecified)) => None,
        Some(severity) => Some(
            severity
                .ok()
                .and_then(|severity| Severity::try_from(severity).ok())
                .ok_or_else(|| invalid("`min_severity` is none that this gateway knows"))?,
        ),
    };
    Ok(EventSelection { thing: filter.thing, client_id: filter.client_id, codes: filter.codes, min_severity })
}

/// A question to the journal; times that count back count from `now`.
pub(super) fn query(request: v1::ListEventsRequest, now: Unix) -> Result<EventQuery, Status> {
    let ago = |millis: u64| Unix(now.0.saturating_sub(millis));
    let since = request.since.map(|since| match since {
        Since::SinceUnixMs(at) => Unix(at),
        Since::SinceAgoMs(millis) => ago(millis),
    });
    let until = request.until.map(|until| match until {
        Until::UntilUnixMs(at) => Unix(at),
        Until::UntilAgoMs(millis) => ago(millis),
    });
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(invalid("`until` is not after `since`; exchange them or leave one out"));
    }
    Ok(EventQuery {
        selection: selection(request.filter)?,
        since,
        until,
        after_seq: request.after_seq,
        limit: limit(request.limit, 100)?,
    })
}

pub(super) fn isolation(request: v1::IsolateRequest, author: String) -> Result<Isolation, Status> {
    let selector: Selector = request.selector.parse().map_err(|error| invalid(format!("`selector`: {error}")))?;
    let level = level(request.level)?;
    if request.block.len() > MAX_BLOCKED {
        return Err(invalid(format!("`block` has {} filters; give at most {MAX_BLOCKED}", request.block.len())));
    }
    if let Some(filter) = request.block.iter().find(|filter| !topic::is_valid_filter(filter)) {
        let start: String = filter.chars().take(64).collect();
        return Err(invalid(format!(
            "`block`: `{start}` is no topic filter; `+` and `#` stand alone in their level and `#` comes last"
        )));
    }
    if (level == Level::Restrict) == request.block.is_empty() {
        return Err(invalid(if request.block.is_empty() {
            "level restrict cuts named topic filters: give at least one in `block`"
        } else {
            "`block` belongs to level restrict; at the other levels leave it out"
        }));
    }
    let lasts = request.duration_ms.map(Duration::from_millis);
    if let Some(lasts) = lasts
        && !(SHORTEST_ORDER..=LONGEST_ORDER).contains(&lasts)
    {
        return Err(invalid("an order lasts 1s to 366d; leave the duration out to hold it until it is released"));
    }
    let reason = if request.dry_run { request.reason } else { reason(&request.reason)? };
    Ok(Isolation { selector, level, block: request.block, lasts, reason, author })
}

/// The facts of an order, for its audit event.
pub(super) fn details(order: &Isolation) -> Vec<(&'static str, String)> {
    let mut details = vec![
        ("level", order.level.to_string()),
        ("for", order.lasts.map_or_else(|| "until released".to_owned(), duration::format)),
    ];
    if !order.block.is_empty() {
        details.push(("block", order.block.join(" ")));
    }
    details
}

pub(super) fn question(request: v1::ExplainRequest) -> Result<Question, Status> {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let action = v1::Action::try_from(request.action).unwrap_or(v1::Action::Unspecified);
    let (thing, client_id, resource) = (some(request.thing), some(request.client_id), some(request.resource));
    if thing.is_none() && client_id.is_none() {
        return Err(invalid("give `thing`, or the `client_id` of a session"));
    }
    let named = resource.as_deref();
    let fits = match action {
        v1::Action::Unspecified => return Err(invalid("`action` is none that this gateway knows")),
        v1::Action::Connect => true,
        v1::Action::Subscribe => named.is_some_and(topic::is_valid_filter),
        v1::Action::Publish | v1::Action::Receive | v1::Action::RetainPublish => {
            named.is_some_and(topic::is_valid_name)
        }
    };
    if !fits {
        let what = if action == v1::Action::Subscribe { "a topic filter" } else { "a topic without wildcards" };
        return Err(invalid(format!("`resource` must be {what}")));
    }
    Ok(Question { thing, client_id, action, resource })
}

fn level(given: i32) -> Result<Level, Status> {
    match v1::Level::try_from(given) {
        Ok(v1::Level::Audit) => Ok(Level::Audit),
        Ok(v1::Level::Restrict) => Ok(Level::Restrict),
        Ok(v1::Level::Quarantine) => Ok(Level::Quarantine),
        Ok(v1::Level::Disconnect) => Ok(Level::Disconnect),
        Ok(v1::Level::Unspecified) | Err(_) => {
            Err(invalid("`level` must be audit, restrict, quarantine or disconnect"))
        }
    }
}

fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn order() -> v1::IsolateRequest {
        v1::IsolateRequest {
            selector: "thing:press-01".into(),
            level: v1::Level::Quarantine.into(),
            block: Vec::new(),
            duration_ms: Some(600_000),
            reason: "test".into(),
            dry_run: false,
        }
    }

    #[test]
    fn an_order_that_makes_no_sense_says_which_field_and_what_to_write() {
        let restrict = v1::Level::Restrict.into();
        for (request, said) in [
            (v1::IsolateRequest { selector: "thng:press-01".into(), ..order() }, "`selector`: `thng"),
            (v1::IsolateRequest { level: 0, ..order() }, "`level` must be"),
            (v1::IsolateRequest { level: 77, ..order() }, "`level` must be"),
            (v1::IsolateRequest { level: restrict, ..order() }, "at least one in `block`"),
            (v1::IsolateRequest { block: vec!["a/#".into()], ..order() }, "belongs to level restrict"),
            (v1::IsolateRequest { level: restrict, block: vec!["a/#/b".into()], ..order() }, "is no topic filter"),
            (v1::IsolateRequest { level: restrict, block: vec!["a".into(); 101], ..order() }, "at most 100"),
            (v1::IsolateRequest { duration_ms: Some(0), ..order() }, "1s to 366d"),
            (v1::IsolateRequest { duration_ms: Some(u64::MAX), ..order() }, "1s to 366d"),
            (v1::IsolateRequest { reason: "  ".into(), ..order() }, "`reason` is empty"),
            (v1::IsolateRequest { reason: "a\nb".into(), ..order() }, "on one line"),
        ] {
            let status = isolation(request.clone(), "operator:x".into()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains(said), "{request:?}: {}", status.message());
        }
        assert!(isolation(order(), "operator:x".into()).is_ok());
        assert!(
            isolation(v1::IsolateRequest { reason: String::new(), dry_run: true, ..order() }, String::new()).is_ok()
        );
    }

    #[test]
    fn times_that_count_back_count_from_the_gateways_clock() {
        let now = Unix(1_000_000);
        let request = |since, until| v1::ListEventsRequest { since, until, ..Default::default() };
        let asked = query(request(Some(Since::SinceAgoMs(600)), Some(Until::UntilUnixMs(999_900))), now).unwrap();
        assert_eq!((asked.since, asked.until, asked.limit), (Some(Unix(999_400)), Some(Unix(999_900)), 100));
        let long_ago = query(request(Some(Since::SinceAgoMs(u64::MAX)), None), now).unwrap();
        assert_eq!(long_ago.since, Some(Unix(0)));
        assert!(query(request(Some(Since::SinceAgoMs(5)), Some(Until::UntilAgoMs(5))), now).is_err());
    }

    #[test]
    fn a_question_needs_somebody_and_a_resource_that_fits_the_action() {
        let ask = |thing: &str, action: v1::Action, resource: &str| {
            question(v1::ExplainRequest {
                thing: thing.into(),
                client_id: String::new(),
                action: action.into(),
                resource: resource.into(),
            })
        };
        assert!(ask("", v1::Action::Connect, "").is_err());
        assert!(ask("press-01", v1::Action::Unspecified, "a").is_err());
        assert!(ask("press-01", v1::Action::Publish, "a/#").is_err());
        assert!(ask("press-01", v1::Action::Publish, "").is_err());
        assert!(ask("press-01", v1::Action::Subscribe, "a/#").is_ok());
        assert_eq!(ask("press-01", v1::Action::Connect, "").unwrap().resource, None);
    }
}
