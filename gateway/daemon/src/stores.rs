//! Opening the stores: the state before anything else, because it holds the orders in force.

use crate::clock;
use crate::config::Config;
use crate::sessions::SessionStore;
use anyhow::{Context as _, Result};
use cordon_journal::{Host, Journal, JournalOptions, Outbox, OutboxLimits, State, Trouble};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long each store may take to write what is queued at the end.
const DEADLINE: Duration = Duration::from_secs(5);

/// The open stores.
pub(crate) struct Open {
    pub(crate) journal: Journal,
    pub(crate) state: State,
    pub(crate) sessions: Arc<SessionStore>,
    pub(crate) outbox: Option<Outbox>,
}

// === impl Open ===

impl Open {
    /// Opens what `config` names. A damaged database is set aside and recorded; a journal that cannot be opened is tried
    /// again while the gateway serves. Blocks on the disk.
    ///
    /// # Errors
    /// The state store cannot be opened: without it the gateway would not know which orders are in force.
    pub(crate) fn at(config: &Config) -> Result<Self> {
        let data = &config.gateway.data_dir;
        let told: Arc<OnceLock<cordon_journal::Recorder>> = Arc::default();
        let hook = told.clone();
        let host = Host::new(Arc::new(clock::now), &clock::boot_id()).on_trouble(Arc::new(move |trouble| {
            if let Some(recorder) = hook.get() {
                recorder.record(trouble.event(clock::now()));
            }
        }));
        let in_data = |what: &str| format!("the {what} under `data_dir` {} cannot be opened", data.display());
        let (state, mut report) = State::open(&data.join("state"), &host).with_context(|| in_data("state store"))?;
        // That writing sessions fails, or works again, the front door tells: it knows what that means for clients.
        let recorded = host.on_trouble.clone();
        let quiet = host.clone().on_trouble(Arc::new(move |trouble| match trouble {
            Trouble::Failing { .. } | Trouble::Recovered { .. } => {}
            other => recorded(other),
        }));
        let (sessions, opened) = SessionStore::open(data.join("sessions"), quiet);
        report.troubles.extend(opened.troubles);
        let mut options = JournalOptions::new(data.join("journal"), host.clone());
        options.total_bytes = config.journal.max_bytes;
        options.segment_bytes = config.journal.segment_bytes;
        options.segment_age = config.journal.segment_age;
        let journal = match Journal::open(options.clone()) {
            Ok((journal, opened)) => {
                report.troubles.extend(opened.troubles);
                journal
            }
            Err(error) => {
                tracing::error!(%error, "The journal cannot be opened; it is tried again while the gateway serves.");
                Journal::open_later(options).with_context(|| in_data("journal"))?
            }
        };
        told.set(journal.recorder()).ok();
        let outbox = match config.uplink {
            Some(_) => {
                let limits = OutboxLimits { bytes: config.outbox.max_bytes, ..OutboxLimits::default() };
                let opened = Outbox::open(&data.join("outbox"), limits, &host);
                let (outbox, opened) = opened.with_context(|| in_data("outbox"))?;
                report.troubles.extend(opened.troubles);
                Some(outbox)
            }
            None => None,
        };
        for trouble in &report.troubles {
            journal.recorder().record(trouble.event(clock::now()));
        }
        Ok(Self { journal, state, sessions: Arc::new(sessions), outbox })
    }

    /// Writes what is queued and closes, the journal last.
    pub(crate) async fn close(self) {
        if let Some(outbox) = &self.outbox
            && let Err(error) = outbox.shutdown(DEADLINE).await
        {
            tracing::error!(%error, "The outbox did not close in order.");
        }
        let sessions = self.sessions;
        let closing = tokio::task::spawn_blocking(move || sessions.close());
        if tokio::time::timeout(DEADLINE, closing).await.is_err() {
            tracing::error!("The sessions did not close in order.");
        }
        if let Err(error) = self.state.shutdown(DEADLINE).await {
            tracing::error!(%error, "The state store did not close in order.");
        }
        if let Err(error) = self.journal.shutdown(DEADLINE).await {
            tracing::error!(%error, "The journal did not close in order.");
        }
    }
}
