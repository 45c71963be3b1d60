//! Reports of refused connections, bounded: a flood of strangers must not fill the journal.
//!
//! In each window the first refusals become one event each; what goes over is counted and becomes one event with that
//! count when the window is over.

use crate::backend::Backend;
use cordon_core::event::{Code, Event};
use cordon_core::time::Mono;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Refusals recorded one by one in a window.
const SINGLES: u32 = 20;

/// How long a window is; also how often [`Refusals::flush`] is to be called.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

pub(crate) struct Refusals<B> {
    backend: Arc<B>,
    tasks: TaskTracker,
    budget: Mutex<Budget>,
}

/// What has been recorded in the window that runs.
#[derive(Debug, Default)]
struct Budget {
    began: Mono,
    recorded: u32,
    withheld: u64,
}

// === impl Refusals ===

impl<B: Backend> Refusals<B> {
    pub(crate) fn new(backend: Arc<B>, tasks: TaskTracker) -> Self {
        Self { backend, tasks, budget: Mutex::default() }
    }

    /// Records that `peer` was refused before it was anybody, because of `reason`. Does not wait.
    pub(crate) fn report(&self, peer: SocketAddr, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::debug!(%peer, reason, "refused a connection to the control port");
        let now = self.backend.now();
        let (withheld, admitted) = {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            (budget.turn(now.mono), budget.admit())
        };
        self.record_withheld(withheld);
        if admitted {
            self.record(Event::new(Code::OperatorRefused, now).peer(peer).action("connect").reason(reason));
        }
    }

    /// Records what was withheld in a window that is over.
    pub(crate) fn flush(&self) {
        let withheld = self.budget.lock().unwrap_or_else(PoisonError::into_inner).turn(self.backend.now().mono);
        self.record_withheld(withheld);
    }

    /// Records `event` without waiting.
    pub(crate) fn record(&self, event: Event) {
        let backend = self.backend.clone();
        self.tasks.spawn(async move { backend.audit(event).await });
    }

    fn record_withheld(&self, withheld: u64) {
        if withheld > 0 {
            let event = Event::new(Code::OperatorRefused, self.backend.now())
                .action("connect")
                .reason("further refused connections, not recorded one by one")
                .count(withheld);
            self.record(event);
        }
    }
}

// === impl Budget ===

impl Budget {
    /// Begins a new window if the one that runs is over; returns what was withheld in that one.
    fn turn(&mut self, now: Mono) -> u64 {
        if now.since(self.began) < WINDOW {
            return 0;
        }
        let withheld = self.withheld;
        *self = Self { began: now, ..Self::default() };
        withheld
    }

    /// Whether one more refusal is recorded by itself.
    fn admit(&mut self) -> bool {
        if self.recorded < SINGLES {
            self.recorded += 1;
            return true;
        }
        self.withheld += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordon_core::time::Now;

    #[test]
    fn a_flood_of_refusals_is_recorded_in_part_and_counted_in_whole() {
        let start = Now::for_test(0).mono;
        let mut budget = Budget::default();
        assert_eq!(budget.turn(start), 0);
        let recorded = (0..1_000).filter(|_| budget.admit()).count() as u64;
        assert_eq!(recorded, u64::from(SINGLES));
        assert_eq!(budget.turn(start), 0, "the window still runs");
        assert_eq!(budget.turn(start.plus(WINDOW)) + recorded, 1_000);
        assert!(budget.admit(), "a new window records again");
    }
}
