//! What the control plane asks of the gateway.

use cordon_core::event::{Code, Event, Severity};
use cordon_core::fleet::Selector;
use cordon_core::isolation::Level;
use cordon_core::time::{Now, Unix};
use cordon_proto::v1;
use futures::stream::BoxStream;
use std::time::Duration;

/// Events in the order of their `seq`. An item of [`Fault::Lagged`] ends it.
pub type EventStream = BoxStream<'static, Result<v1::RecordedEvent, Fault>>;

/// The gateway, as its operators see it.
///
/// Arguments are checked before they get here: texts are bounded, filters valid, limits applied, the role allows it.
/// Changing calls run in a task of their own; when they return, what they did is enforced and durable.
pub trait Backend: Send + Sync + 'static {
    /// Reads the gateway's clocks.
    fn now(&self) -> Now;

    /// Records an audit event and returns when it is durable, or when the gateway has said elsewhere that its journal
    /// is broken: managing a gateway must not depend on its disk.
    fn audit(&self, event: Event) -> impl Future<Output = ()> + Send;

    /// How the gateway is. The fields about the caller are filled in by the control plane.
    fn status(&self) -> impl Future<Output = Result<v1::StatusResponse, Fault>> + Send;

    /// The recorded events that `query` selects, oldest first.
    fn list_events(&self, query: EventQuery) -> impl Future<Output = Result<Vec<v1::RecordedEvent>, Fault>> + Send;

    /// Every event after `after_seq` (without one: every new event), without end. A reader that is too slow gets
    /// [`Fault::Lagged`].
    fn follow_events(&self, after_seq: Option<u64>) -> impl Future<Output = Result<EventStream, Fault>> + Send;

    /// Checks the journal's hash chain. May take minutes.
    fn verify_journal(&self) -> impl Future<Output = Result<v1::VerifyJournalResponse, Fault>> + Send;

    /// At most `limit` alarms: those that are up, newest first, then with `include_past` those that have cleared.
    fn list_alarms(
        &self,
        include_past: bool,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<v1::Alarm>, Fault>> + Send;

    /// The findings, newest first; with `include_closed` also closed ones.
    fn list_findings(&self, include_closed: bool) -> impl Future<Output = Result<Vec<v1::Finding>, Fault>> + Send;

    /// What an order on `selector` would select; changes nothing, gives no order.
    fn preview(&self, selector: Selector) -> impl Future<Output = Result<v1::IsolateResponse, Fault>> + Send;

    /// Gives an isolation order and returns when it is enforced and durable.
    fn isolate(&self, order: Isolation) -> impl Future<Output = Result<v1::IsolateResponse, Fault>> + Send;

    /// The isolation orders, newest first; with `include_ended` also those that have ended.
    fn list_orders(&self, include_ended: bool) -> impl Future<Output = Result<Vec<v1::Order>, Fault>> + Send;

    /// Ends the order `id`; `by` is who does.
    fn release(&self, id: String, by: String, reason: String) -> impl Future<Output = Result<v1::Order, Fault>> + Send;

    /// The registered things by name, or the one called `thing`.
    fn list_things(&self, thing: Option<String>) -> impl Future<Output = Result<Vec<v1::Thing>, Fault>> + Send;

    /// The shadow document of `thing` as JSON; `shadow_name` is `None` for the classic one.
    fn shadow(&self, thing: String, shadow_name: Option<String>) -> impl Future<Output = Result<String, Fault>> + Send;

    /// The sessions by client id; with `include_disconnected` also those without a connection.
    fn list_sessions(&self, include_disconnected: bool)
    -> impl Future<Output = Result<Vec<v1::Session>, Fault>> + Send;

    /// Ends the connection of `client_id`; `by` is who does.
    fn disconnect(
        &self,
        client_id: String,
        by: String,
        reason: String,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// What the judge says to `question`, and why.
    fn explain(&self, question: Question) -> impl Future<Output = Result<v1::ExplainResponse, Fault>> + Send;

    /// Takes a changed configuration over and says what changed; when a part is faulty nothing changes.
    fn reload(&self, by: String, reason: String) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;
}

/// Why the gateway did not do what it was asked. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// What the call names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The call contradicts what the gateway knows: an argument that only the gateway can check.
    #[error("{0}")]
    Invalid(String),
    /// The gateway's state or a limit forbids it.
    #[error("{0}")]
    Refused(String),
    /// The part that is needed is not there at the moment.
    #[error("{0}")]
    Unavailable(String),
    /// The reader of a stream was too slow.
    #[error("events came faster than they were read; continue after the last one that arrived")]
    Lagged,
    /// Something failed inside the gateway.
    #[error("{0}")]
    Internal(String),
}

/// Which events. What is `None` or empty selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventSelection {
    /// The thing concerned.
    pub thing: Option<String>,
    /// The client id concerned.
    pub client_id: Option<String>,
    /// Codes or beginnings of codes; one that fits is enough.
    pub codes: Vec<String>,
    /// The least severity.
    pub min_severity: Option<Severity>,
}

/// A question to the journal. The answer is the newest `limit` events, or with `after_seq` the first ones after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// Which events.
    pub selection: EventSelection,
    /// From this time on.
    pub since: Option<Unix>,
    /// Before this time.
    pub until: Option<Unix>,
    /// After this place in the journal.
    pub after_seq: Option<u64>,
    /// At most so many; 1 to 10,000.
    pub limit: usize,
}

/// An isolation order to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Which things.
    pub selector: Selector,
    /// How much is cut.
    pub level: Level,
    /// The topic filters to cut, at level restrict; empty at other levels.
    pub block: Vec<String>,
    /// How long the order holds; `None` until it is released.
    pub lasts: Option<Duration>,
    /// Why.
    pub reason: String,
    /// Who gives it: `operator:<name>`.
    pub author: String,
}

/// A question to the judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The thing; `None` when `client_id` names a session.
    pub thing: Option<String>,
    /// The client id; `None` for the thing's own name.
    pub client_id: Option<String>,
    /// What it wants to do; never unspecified.
    pub action: v1::Action,
    /// The topic or topic filter; `None` for connect, which is about the client id.
    pub resource: Option<String>,
}

// === impl EventSelection ===

impl EventSelection {
    /// Whether `event` is selected. An event whose code or severity this version does not know is selected only by
    /// criteria that it can be compared with.
    #[must_use]
    pub fn selects(&self, event: &v1::Event) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.thing, &event.thing)
            && same(&self.client_id, &event.client_id)
            && (self.codes.is_empty() || self.codes.iter().any(|pattern| has_code(&event.code, pattern)))
            && self.min_severity.is_none_or(|least| event.severity >= v1::Severity::from(least) as i32)
    }
}

// === impl Fault ===

impl From<Fault> for tonic::Status {
    fn from(fault: Fault) -> Self {
        let code = match &fault {
            Fault::NotFound(_) => tonic::Code::NotFound,
            Fault::Invalid(_) => tonic::Code::InvalidArgument,
            Fault::Refused(_) => tonic::Code::FailedPrecondition,
            Fault::Unavailable(_) => tonic::Code::Unavailable,
            Fault::Lagged => tonic::Code::Aborted,
            Fault::Internal(_) => tonic::Code::Internal,
        };
        Self::new(code, fault.to_string())
    }
}

fn has_code(code: &str, pattern: &str) -> bool {
    code.parse::<Code>().is_ok_and(|code| code.matches(pattern)) || code.eq_ignore_ascii_case(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_selected_by_thing_family_and_severity() {
        let event: v1::Event =
            Event::new(Code::AuthzPublishDenied, Now::for_test(0)).thing("press-01").client_id("c1").into();
        let all = EventSelection::default();
        let text = |text: &str| Some(text.to_owned());
        for (selection, selects) in [
            (all.clone(), true),
            (EventSelection { thing: text("press-01"), client_id: text("c1"), ..all.clone() }, true),
            (EventSelection { thing: text("press-02"), ..all.clone() }, false),
            (EventSelection { codes: vec!["gateway".into(), "auth".into()], ..all.clone() }, true),
            (EventSelection { codes: vec!["AUTHN".into()], ..all.clone() }, false),
            (EventSelection { min_severity: Some(Severity::Warning), ..all.clone() }, true),
            (EventSelection { min_severity: Some(Severity::Error), ..all }, false),
        ] {
            assert_eq!(selection.selects(&event), selects, "{selection:?}");
        }
    }
}
