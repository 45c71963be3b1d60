//! Who waits for a worker to confirm that the epoch in force governs everything it does from now on.
//!
//! A confirmation must not wait behind other commands, nor behind the connections that are ready: a worker looks here
//! between any two reads and any two batches of deliveries.

use crate::shared::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, oneshot};

/// The fence of one worker.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    asked: AtomicBool,
    wake: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: Vec<oneshot::Sender<usize>>,
    closed: bool,
}

// === impl Fence ===

impl Fence {
    /// Asks for a confirmation: how many connections the worker ended. It fails when the worker has ended.
    pub(crate) fn ask(&self) -> oneshot::Receiver<usize> {
        let (answer, told) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if !waiting.closed {
            waiting.answers.push(answer);
            self.asked.store(true, Ordering::Release);
            self.wake.notify_one();
        }
        told
    }

    /// Who waits for a confirmation, if anybody does. Costs one load when nobody does.
    pub(crate) fn taken(&self) -> Option<Vec<oneshot::Sender<usize>>> {
        if !self.asked.load(Ordering::Acquire) {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        self.asked.store(false, Ordering::Release);
        Some(std::mem::take(&mut waiting.answers))
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) {
        self.wake.notified().await;
    }

    /// The worker has ended: nobody waits for it any more.
    pub(crate) fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        waiting.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[tokio::test]
    async fn who_asks_is_answered_and_nobody_waits_for_a_worker_that_has_ended() {
        let fence = Fence::default();
        let told = fence.ask();
        fence.asked().await;
        fence.taken().into_iter().flatten().for_each(|answer| answer.send(3).unwrap());
        assert_eq!(told.await, Ok(3));
        assert!(fence.taken().is_none());
        let (pending, late) = (fence.ask(), {
            fence.close();
            fence.ask()
        });
        assert!(pending.await.is_err() && late.await.is_err());
    }
}
