//! What may wait for all sessions together, in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that wait, over all workers.
#[derive(Debug)]
pub(crate) struct Pool {
    used: AtomicUsize,
    limit: usize,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// Takes room for a message, if there is some.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let fits = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    /// Takes room for what was promised already, whether or not there is some.
    pub(crate) fn claim(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives room back.
    pub(crate) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_taken_is_missing_until_it_is_given_back() {
        let pool = Pool::new(10);
        assert!(pool.take(6));
        assert!(!pool.take(5));
        assert!(pool.take(4));
        pool.give(6);
        pool.claim(20);
        assert!(!pool.take(1));
        pool.give(20);
        assert!(pool.take(6));
    }
}
