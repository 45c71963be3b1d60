//! A token bucket: so much per second on average, with a bounded burst.

use std::time::Duration;
use tokio::time::Instant;

/// A token bucket that may go into debt: what is larger than the burst still passes, and is paid for afterwards.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

// === impl Bucket ===

impl Bucket {
    /// A full bucket of `per_second` tokens a second that holds half a second's worth.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        let burst = (per_second / 2.0).max(1.0);
        Self { per_second, burst, tokens: burst, filled: now }
    }

    /// `None` if something may pass at `now`, else when it may.
    pub(crate) fn opens(&mut self, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.filled = now;
        // Whole tokens are asked for, so that rounding never makes a wait of nothing.
        let missing = 1.0 - self.tokens;
        (missing > 1e-6).then(|| now + Duration::from_secs_f64(missing / self.per_second) + Duration::from_micros(1))
    }

    /// Pays for something that passed.
    pub(crate) fn spend(&mut self, tokens: usize) {
        self.tokens -= f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pass in `seconds` if each costs `cost` and there are always more.
    fn passed(per_second: u32, cost: usize, seconds: u64) -> usize {
        let start = Instant::now();
        let mut bucket = Bucket::new(per_second, start);
        let (mut now, mut count) = (start, 0);
        while now < start + Duration::from_secs(seconds) {
            match bucket.opens(now) {
                None => {
                    bucket.spend(cost);
                    count += 1;
                }
                Some(at) => now = at,
            }
        }
        count
    }

    #[test]
    fn the_rate_holds_over_time_and_the_burst_is_half_a_second() {
        assert!((500..=526).contains(&passed(50, 1, 10)), "{}", passed(50, 1, 10));
        assert!((74..=76).contains(&passed(50, 1, 1)), "{}", passed(50, 1, 1));
    }

    #[test]
    fn what_is_larger_than_the_burst_passes_and_is_paid_for_later() {
        assert!((19..=22).contains(&passed(256_000, 131_072, 10)), "{}", passed(256_000, 131_072, 10));
    }
}
