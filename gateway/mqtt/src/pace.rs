//! Rates: so much a second, and so much at once. A state machine without I/O.
//!
//! A [`Bucket`] is one number, the time at which it will be full again (the generic cell rate algorithm of ATM, ITU-T
//! I.371). It may be charged more than it holds, because a packet is known by its size only when it is there; the debt is
//! paid before anything else may be taken.

use cordon_core::time::Mono;
use std::num::NonZeroU64;

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// So many units a second in the long run, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: NonZeroU64,
    burst: u64,
}

/// What was taken, for one user of a [`Rate`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When it is full again, in nanoseconds of [`Mono`].
    full: u64,
}

// === impl Rate ===

impl Rate {
    /// So many units a second, and `burst` of them at once; `None` for zero, which is no limit.
    pub(crate) fn new(per_second: u64, burst: u64) -> Option<Self> {
        Some(Self { per_second: NonZeroU64::new(per_second)?, burst: burst.max(1) })
    }

    /// How long so many units take, in nanoseconds.
    fn span(self, units: u64) -> u64 {
        let nanos = u128::from(units) * u128::from(SECOND);
        u64::try_from(nanos.div_ceil(u128::from(self.per_second.get()))).unwrap_or(u64::MAX)
    }

    /// How many whole units fit in so many nanoseconds.
    fn units(self, nanos: u64) -> u64 {
        let units = u128::from(nanos) * u128::from(self.per_second.get()) / u128::from(SECOND);
        u64::try_from(units).unwrap_or(u64::MAX).min(self.burst)
    }
}

// === impl Bucket ===

impl Bucket {
    /// How much may be taken now.
    pub(crate) fn left(self, rate: Rate, now: Mono) -> u64 {
        rate.units(rate.span(rate.burst).saturating_sub(self.full.saturating_sub(nanos(now))))
    }

    /// Takes so much, into debt if there is less.
    pub(crate) fn take(&mut self, rate: Rate, units: u64, now: Mono) {
        self.full = self.full.max(nanos(now)).saturating_add(rate.span(units));
    }

    /// When something may be taken again, if nothing may be taken now.
    pub(crate) fn opens(self, rate: Rate, now: Mono) -> Option<Mono> {
        if self.left(rate, now) > 0 {
            return None;
        }
        let room = rate.span(rate.burst).saturating_sub(rate.span(1));
        Some(Mono(self.full.saturating_sub(room).div_ceil(MILLI)))
    }

    /// Whether nothing is missing, so that it is like a new one.
    pub(crate) fn is_full(self, now: Mono) -> bool {
        self.full <= nanos(now)
    }
}

fn nanos(at: Mono) -> u64 {
    at.0.saturating_mul(MILLI)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn rate(per_second: u64, burst: u64) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        for (per_second, burst, after, left) in [
            (10, 100, 0, 0),
            (10, 100, 99, 0),
            (10, 100, 100, 1),
            (10, 100, 1000, 10),
            (10, 100, 60_000, 100),
            (3, 3, 333, 0),
            (3, 3, 334, 1),
            (1_000_000, 1_000_000, 1, 1000),
        ] {
            let (rate, start) = (rate(per_second, burst), Mono(50_000));
            let mut bucket = Bucket::default();
            assert_eq!(bucket.left(rate, start), burst);
            bucket.take(rate, burst, start);
            let now = Mono(start.0 + after);
            assert_eq!(bucket.left(rate, now), left, "{per_second}/s, {burst} at once, after {after} ms");
        }
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_taken_again() {
        let rate = rate(1000, 1000);
        let mut bucket = Bucket::default();
        bucket.take(rate, 5000, Mono(0));
        assert_eq!(bucket.opens(rate, Mono(0)), Some(Mono(4001)));
        assert_eq!((bucket.left(rate, Mono(4000)), bucket.left(rate, Mono(4001))), (0, 1));
        assert_eq!(bucket.opens(rate, Mono(4001)), None);
        assert!(!bucket.is_full(Mono(4999)) && bucket.is_full(Mono(5000)));
    }

    #[test]
    fn a_rate_of_zero_is_none() {
        assert_eq!(Rate::new(0, 1000), None);
    }

    proptest! {
        #[test]
        fn no_more_passes_than_the_burst_and_the_rate_allow(
            per_second in 1_u64..2_000_000_000,
            burst in 1_u64..2_000_000_000,
            steps in prop::collection::vec((0_u64..5000, 0_u64..5_000_000), 1..200),
        ) {
            let rate = rate(per_second, burst);
            let (mut bucket, mut now, mut taken) = (Bucket::default(), Mono(7), 0_u128);
            for (wait, wanted) in steps {
                now.0 += wait;
                let units = wanted.min(bucket.left(rate, now));
                bucket.take(rate, units, now);
                taken += u128::from(units);
                let allowed = u128::from(burst) + u128::from(now.0 - 7) * u128::from(per_second) / 1000;
                prop_assert!(taken <= allowed + 1, "{taken} of {allowed}");
            }
        }

        #[test]
        fn it_opens_at_the_first_millisecond_that_has_something_to_take(
            per_second in 1_u64..10_000_000,
            burst in 1_u64..10_000_000,
            taken in 0_u64..100_000_000,
            now in 0_u64..1_000_000_000,
        ) {
            let (rate, now) = (rate(per_second, burst), Mono(now));
            let mut bucket = Bucket::default();
            bucket.take(rate, taken, now);
            match bucket.opens(rate, now) {
                None => prop_assert!(bucket.left(rate, now) > 0),
                Some(at) => {
                    prop_assert!(at > now);
                    prop_assert!(bucket.left(rate, at) > 0);
                    prop_assert_eq!(bucket.left(rate, Mono(at.0 - 1)), 0);
                }
            }
        }

        #[test]
        fn no_number_is_too_large(per_second: u64, burst: u64, taken: u64, now: u64, later: u64) {
            if let Some(rate) = Rate::new(per_second, burst) {
                let mut bucket = Bucket::default();
                bucket.take(rate, taken, Mono(now));
                bucket.take(rate, taken, Mono(later));
                prop_assert!(bucket.left(rate, Mono(later)) <= burst.max(1));
                bucket.opens(rate, Mono(later));
            }
        }
    }
}
