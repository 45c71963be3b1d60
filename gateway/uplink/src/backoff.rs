//! Pauses between attempts: exponential with full jitter, and never too short.

use std::time::Duration;

/// The shortest pause: AWS IoT Core takes one CONNECT per second and client id.
const SHORTEST: Duration = Duration::from_secs(1);

/// The state of one series of attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The pause after one more failure: anywhere up to the ceiling, by `random`, so that gateways that were cut off
    /// together do not come back together.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let ceiling = ceiling(self.first, self.longest, self.failures);
        self.failures = self.failures.saturating_add(1);
        let span = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(random % span.saturating_add(1)).max(SHORTEST)
    }

    /// Starts small again. For the caller to judge: connected is not yet healthy.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `first`, doubled once per earlier failure, up to `longest`.
pub(crate) fn ceiling(first: Duration, longest: Duration, failures: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(2);
    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_pause() {
        let ceilings: Vec<_> = (0..7).map(|failures| ceiling(FIRST, LONGEST, failures).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(ceiling(FIRST, LONGEST, u32::MAX), LONGEST);
    }

    #[test]
    fn a_pause_is_anywhere_between_one_second_and_the_ceiling() {
        let mut shortest = Backoff::new(FIRST, LONGEST);
        let mut fullest = Backoff::new(FIRST, LONGEST);
        for failures in 0..40 {
            assert_eq!(shortest.next(0), SHORTEST);
            let ceiling = ceiling(FIRST, LONGEST, failures);
            let span = u64::try_from(ceiling.as_millis()).unwrap_or_default() + 1;
            assert_eq!(fullest.next(span - 1), ceiling);
        }
    }

    #[test]
    fn after_a_reset_pauses_start_small_again() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for _ in 0..10 {
            backoff.next(0);
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX) <= FIRST);
    }
}
