//! What the stores need from the process around them, and what they tell it.

use crate::error::StoreError;
use cordon_core::event::{Code, Event, Severity};
use cordon_core::time::Now;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads both clocks.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Is called, on a storage thread, with every trouble; it must not block.
pub type TroubleHook = Arc<dyn Fn(Trouble) + Send + Sync>;

/// The process around a store.
#[derive(Clone)]
pub struct Host {
    /// Reads both clocks.
    pub clock: Clock,
    /// Which boot of the machine the monotonic clock counts from; at most 64 bytes are kept.
    pub boot_id: Arc<str>,
    /// Hears of troubles that appear while a store runs.
    pub on_trouble: TroubleHook,
}

/// Something that an operator must hear of. Serving goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// A damaged database was set aside and a fresh one begun.
    SetAside {
        /// Which store: `journal`, `state`, `sessions` or `outbox`.
        store: &'static str,
        /// Where the damaged database is.
        path: PathBuf,
        /// What was wrong with it.
        why: String,
    },
    /// Records that had been acknowledged are gone.
    Lost {
        /// Which store.
        store: &'static str,
        /// What is gone.
        what: String,
    },
    /// Writing fails; it is repeated until it works. Told once per series of failures.
    Failing {
        /// Which store.
        store: &'static str,
        /// The first failure.
        error: StoreError,
    },
    /// Writing works again.
    Recovered {
        /// Which store.
        store: &'static str,
    },
}

/// What opening a store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// What an operator must hear of, in the order it was found; empty if all was well.
    pub troubles: Vec<Trouble>,
}

// === impl Host ===

impl Host {
    /// A host that tells nobody of troubles; [`OpenReport`] and the health of each store still tell.
    #[must_use]
    pub fn new(clock: Clock, boot_id: &str) -> Self {
        Self { clock, boot_id: boot_id.into(), on_trouble: Arc::new(|_| ()) }
    }

    /// This host, telling `hook` of troubles.
    #[must_use]
    pub fn on_trouble(mut self, hook: TroubleHook) -> Self {
        self.on_trouble = hook;
        self
    }

    pub(crate) fn now(&self) -> Now {
        (self.clock)()
    }

    pub(crate) fn tell(&self, trouble: Trouble) {
        tracing::warn!(%trouble, "Storage is in trouble.");
        (self.on_trouble)(trouble);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("boot_id", &self.boot_id).finish_non_exhaustive()
    }
}

// === impl Trouble ===

impl Trouble {
    /// The event that records this trouble.
    #[must_use]
    pub fn event(&self, now: Now) -> Event {
        let code = match self {
            Self::SetAside { .. } => Code::JournalSetAside,
            Self::Lost { .. } | Self::Failing { .. } | Self::Recovered { .. } => Code::GatewayDegraded,
        };
        let event = Event::new(code, now).principal("gateway").reason(self.to_string());
        match self {
            Self::Recovered { .. } => event.severity(Severity::Notice),
            _ => event,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetAside { store, path, why } => {
                write!(f, "{store}: {why}; kept for analysis as {}, a fresh database was begun", path.display())
            }
            Self::Lost { store, what } => write!(f, "{store}: {what}; check the disk and who may write to it"),
            Self::Failing { store, error } => write!(f, "{store}: writing fails: {error}"),
            Self::Recovered { store } => write!(f, "{store}: writing works again"),
        }
    }
}
