//! Wakes the task of a connection from other tasks of the same thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

/// A bell for one task to wait for. It costs neither a lock nor an allocation. A ring that nobody waits for is heard by
/// the next wait.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

// === impl Bell ===

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.set(true);
        let waiting = self.waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Waits until it has rung.
    pub(crate) fn rung(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waiting = Some(context.waker().clone());
            }
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_ring_is_heard_once_whether_it_came_before_or_during_the_wait() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.rung().await;
        assert!(bell.rung().now_or_never().is_none());
        let ((), ()) = tokio::join!(bell.rung(), async { bell.ring() });
        assert!(bell.rung().now_or_never().is_none());
    }
}
