//! Following the journal as it grows.

use super::{Filter, Journal, Order, Recorded};
use crate::error::StoreError;
use std::collections::VecDeque;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many events are read from disk at a time when a follower has to catch up.
const CATCH_UP: usize = 1000;

/// Yields every event once, in order, as it becomes durable.
///
/// A follower that is too slow for the journal's memory of the newest events reads what it missed from disk. Only events
/// that were deleted meanwhile to stay within the journal's limit are left out; the numbers show it.
#[derive(Debug)]
pub struct Follower {
    journal: Journal,
    live: broadcast::Receiver<Recorded>,
    /// The last number yielded; `None` before the first.
    last: Option<u64>,
    behind: bool,
    backlog: VecDeque<Recorded>,
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(journal: Journal, live: broadcast::Receiver<Recorded>, after: Option<u64>) -> Self {
        Self { journal, live, last: after, behind: after.is_some(), backlog: VecDeque::new() }
    }

    /// The next event; `None` once the journal has been shut down.
    ///
    /// # Errors
    ///
    /// The disk failed while the follower was catching up; the next call tries again.
    pub async fn next(&mut self) -> Result<Option<Recorded>, StoreError> {
        loop {
            if let Some(recorded) = self.backlog.pop_front() {
                self.last = Some(recorded.seq);
                return Ok(Some(recorded));
            }
            if self.behind {
                match self.catch_up().await {
                    Err(StoreError::Closed) => return Ok(None),
                    result => result?,
                }
                continue;
            }
            match self.live.recv().await {
                Ok(recorded) if self.last.is_some_and(|last| recorded.seq <= last) => {}
                Ok(recorded) => {
                    self.last = Some(recorded.seq);
                    return Ok(Some(recorded));
                }
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let after = match self.last {
            Some(last) => last,
            // Nothing was yielded yet, and what was missed cannot be told from what came before: begin with what is live.
            None => {
                self.behind = false;
                return Ok(());
            }
        };
        let filter = Filter { after_seq: Some(after), limit: CATCH_UP, order: Order::OldestFirst, ..Filter::default() };
        self.backlog = self.journal.read(filter).await?.into();
        self.behind = self.backlog.len() == CATCH_UP;
        Ok(())
    }
}
