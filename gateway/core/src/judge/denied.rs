//! A refusal and its reason.

use crate::event::Code;
use crate::isolation::Level;
use crate::policy::Action;
use serde::Serialize;
use std::fmt;

/// An act was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What was tried.
    pub action: Action,
    /// On what: a client id, a topic or a topic filter.
    pub resource: String,
    /// Why it was refused.
    pub reason: Reason,
    /// What decided: a policy statement, an order id, or a rule of the gateway.
    pub rule: String,
}

/// Why an act was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// No statement allows it.
    ImplicitDeny,
    /// A statement denies it.
    ExplicitDeny,
    /// An isolation order of this level cuts it.
    Isolated(Level),
    /// The topic is reserved and this is not a client's part in it.
    ReservedTopic,
}

// === impl Denied ===

impl Denied {
    /// The event that records this refusal.
    #[must_use]
    pub fn code(&self) -> Code {
        match (self.reason, self.action) {
            (Reason::Isolated(_), _) => Code::IsolationCut,
            (_, Action::Connect) => Code::AuthzConnectDenied,
            (_, Action::Publish | Action::RetainPublish) => Code::AuthzPublishDenied,
            (_, Action::Subscribe) => Code::AuthzSubscribeDenied,
            (_, Action::Receive) => Code::AuthzReceiveDenied,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on `{}`: {} ({})", self.action, self.resource, self.reason, self.rule)
    }
}

impl std::error::Error for Denied {}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImplicitDeny => f.write_str("no policy allows it"),
            Self::ExplicitDeny => f.write_str("a policy denies it"),
            Self::Isolated(level) => write!(f, "an isolation order of level {level} cuts it"),
            Self::ReservedTopic => f.write_str("the topic is reserved"),
        }
    }
}
