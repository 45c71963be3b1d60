//! An event for people (two or three lines) and for machines (one object).

use crate::cli::clock;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::table::{Tone, harmless};
use cordon_proto::v1::{RecordedEvent, Severity};
use serde::Serialize;
use std::collections::BTreeMap;

const INDENT: &str = "    ";

/// An event, as `--output json` writes it. Fields that do not apply are left out.
#[derive(Debug, Serialize)]
pub(super) struct View {
    seq: u64,
    time: Option<String>,
    clock_trusted: bool,
    mono_ms: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    boot_id: String,
    code: String,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    count: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
    #[serde(skip)]
    shown_time: String,
}

/// How an event of this severity stands out.
pub(super) fn tone(severity: &str) -> Tone {
    match severity {
        "info" => Tone::Dim,
        "notice" => Tone::Plain,
        "warning" => Tone::Warn,
        _ => Tone::Bad,
    }
}

// === impl View ===

impl View {
    /// The view of `recorded`; `None` if there is no event in it.
    pub(super) fn new(recorded: RecordedEvent) -> Option<Self> {
        let event = recorded.event?;
        let severity = match event.severity() {
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
            Severity::Unspecified => "unknown",
        };
        Some(Self {
            seq: recorded.seq,
            shown_time: clock::shown(event.at.as_ref()),
            time: clock::machine(event.at.as_ref()),
            clock_trusted: event.at.is_some_and(|at| at.trusted),
            mono_ms: event.at.map_or(0, |at| at.mono_ms),
            boot_id: recorded.boot_id,
            code: event.code,
            severity,
            thing: event.thing,
            client_id: event.client_id,
            peer: event.peer,
            listener: event.listener,
            principal: event.principal,
            action: event.action,
            resource: event.resource,
            reason: event.reason,
            rule: event.rule,
            count: event.count,
            details: event.details.into_iter().collect(),
        })
    }

    /// Writes the event for people: time, severity, code and whom it concerns; below, what happened and why.
    pub(super) fn write(&self, out: &mut Output) -> Result<(), Failure> {
        let whom = self.thing.as_ref().or(self.client_id.as_ref()).or(self.principal.as_ref());
        let whom = whom.map_or_else(String::new, |whom| format!("  {}", harmless(whom)));
        let often = if self.count > 1 { format!("  x{}", self.count) } else { String::new() };
        let severity = out.paint(&format!("{:<8}", self.severity), tone(self.severity));
        let code = out.paint(&harmless(&self.code), tone(self.severity));
        let time = out.paint(&self.shown_time, Tone::Dim);
        out.line(&format!("{time}  {severity}  {code}{whom}{often}"))?;
        for line in wrap(&self.story(), out.width()) {
            out.line(&format!("{INDENT}{line}"))?;
        }
        Ok(())
    }

    /// What happened and why, in one line.
    fn story(&self) -> String {
        let mut parts = Vec::new();
        match (&self.action, &self.resource) {
            (Some(action), Some(resource)) => parts.push(format!("{action} {resource}")),
            (Some(one), None) | (None, Some(one)) => parts.push(one.clone()),
            (None, None) => {}
        }
        parts.extend(self.reason.clone());
        parts.extend(self.rule.as_ref().map(|rule| format!("rule: {rule}")));
        parts.extend(self.details.iter().map(|(name, value)| format!("{name}: {value}")));
        if self.thing.is_some() || self.client_id.is_some() {
            parts.extend(
                self.client_id.iter().filter(|id| self.thing.as_ref() != Some(id)).map(|id| format!("client {id}")),
            );
            parts.extend(self.principal.clone());
        }
        parts.extend(self.peer.as_ref().map(|peer| format!("from {peer}")));
        harmless(&parts.join(" · ")).replace('\n', " ")
    }
}

/// Breaks `text` between words so that indented lines fit `width`; a word that is too long gets a line of its own.
fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT.len()).max(20));
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use cordon_core::event::{Code, Event};
    use cordon_core::time::Now;

    fn refusal() -> View {
        let event = Event::new(Code::AuthzPublishDenied, Now::for_test(0))
            .thing("press-01")
            .client_id("press-01")
            .principal("cert:press-01")
            .action("iot:Publish")
            .resource("plant/\u{1b}[2Jcmd")
            .reason("no statement allows it");
        View::new(RecordedEvent { seq: 7, event: Some(event.into()), boot_id: String::new() }).unwrap()
    }

    #[test]
    fn an_event_is_one_json_object_without_the_fields_that_do_not_apply() {
        let json = serde_json::to_value(refusal()).unwrap();
        assert_eq!(json["seq"], 7);
        assert_eq!(json["time"], "2026-01-01T00:00:00.000Z");
        assert_eq!(json["code"], "AUTHZ_PUBLISH_DENIED");
        assert_eq!(json["severity"], "warning");
        assert!(json.get("listener").is_none());
    }

    #[test]
    fn an_event_for_people_tells_the_story_and_shows_no_control_characters() {
        let story = refusal().story();
        assert!(story.contains("iot:Publish plant/"), "{story}");
        assert!(story.contains("no statement allows it · cert:press-01"), "{story}");
        assert!(!story.contains('\u{1b}'), "{story}");
    }

    #[test]
    fn long_stories_are_broken_between_words() {
        let lines = wrap("one two three four five six seven eight nine ten", Some(30));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 26), "{lines:?}");
        assert_eq!(lines.join(" "), "one two three four five six seven eight nine ten");
        assert_eq!(wrap("", Some(30)), Vec::<String>::new());
    }
}
