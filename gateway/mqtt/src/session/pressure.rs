//! Whether a subscriber keeps up with what is published to it, and how long publishers may wait for it. A state machine
//! without I/O.
//!
//! Waiting a moment for a subscriber that is working through its queue is better than dropping messages; waiting for one
//! that is slow, or pretends to be, would let it slow everybody down. So short waits are free and long ones are paid from
//! a small allowance. Without any left, the subscriber holds nobody back until it has caught up.

use cordon_core::time::Mono;
use std::time::Duration;

/// A wait that costs nothing.
const FREE: Duration = Duration::from_millis(200);
/// What waits beyond that may take together.
const ALLOWANCE: Duration = Duration::from_secs(1);
/// How many times slower the allowance comes back than time passes: publishers wait for at most a twentieth of it.
const RECOVERY: u32 = 20;

/// How far behind a subscriber is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    KeepsUp,
    /// Publishers wait for it, since then and at most until then.
    Behind { since: Mono, until: Mono },
    /// It was behind for too long; nobody waits any more.
    Tardy,
}

/// A subscriber's pressure on its publishers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pressure {
    state: State,
    /// Of the allowance, so much was used when it was last looked at.
    used: Duration,
    looked: Mono,
}

// === impl Pressure ===

impl Pressure {
    pub(crate) fn keeps_up(&self) -> bool {
        self.state == State::KeepsUp
    }

    /// The subscriber is seen to be behind. Returns until when a publisher waits for it, if one does.
    pub(crate) fn fall_behind(&mut self, now: Mono) -> Option<Mono> {
        if self.state == State::KeepsUp {
            self.used = self.used.saturating_sub(now.since(self.looked) / RECOVERY);
            self.looked = now;
            self.state = State::Behind { since: now, until: now.plus(FREE + ALLOWANCE.saturating_sub(self.used)) };
        }
        self.waits_until(now)
    }

    /// Until when publishers wait for it. When that time has come, they wait no more until it has caught up.
    pub(crate) fn waits_until(&mut self, now: Mono) -> Option<Mono> {
        match self.state {
            State::Behind { until, .. } if now < until => Some(until),
            State::Behind { .. } => {
                self.used = ALLOWANCE;
                self.looked = now;
                self.state = State::Tardy;
                None
            }
            State::KeepsUp | State::Tardy => None,
        }
    }

    /// The subscriber has caught up or has gone. Returns whether it was behind.
    pub(crate) fn catch_up(&mut self, now: Mono) -> bool {
        if let State::Behind { since, .. } = self.state {
            self.used = (self.used + now.since(since).saturating_sub(FREE)).min(ALLOWANCE);
            self.looked = now;
        }
        std::mem::take(&mut self.state) != State::KeepsUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u64 = 1200;

    #[test]
    fn short_waits_are_free_however_many() {
        let mut pressure = Pressure::default();
        for round in 0..1000 {
            let now = Mono(round * 210);
            assert_eq!(pressure.fall_behind(now), Some(Mono(now.0 + WHOLE)));
            assert!(pressure.catch_up(Mono(now.0 + 200)));
            assert!(pressure.keeps_up());
        }
    }

    #[test]
    fn who_does_not_catch_up_in_time_holds_nobody_until_it_has() {
        let mut pressure = Pressure::default();
        pressure.fall_behind(Mono(0));
        assert_eq!(pressure.fall_behind(Mono(WHOLE - 1)), Some(Mono(WHOLE)));
        assert_eq!(pressure.waits_until(Mono(WHOLE)), None);
        assert_eq!(pressure.fall_behind(Mono(WHOLE + 1)), None);
        assert!(!pressure.keeps_up());
        assert!(pressure.catch_up(Mono(WHOLE + 2)));
        assert_eq!(
            pressure.fall_behind(Mono(WHOLE + 2)),
            Some(Mono(WHOLE + 202)),
            "no more than the free wait is left"
        );
    }

    #[test]
    fn whoever_is_behind_most_of_the_time_holds_others_for_little_of_it() {
        for stall in [210, 300, 600, 1199, 3000] {
            let (mut pressure, mut waited, mut now) = (Pressure::default(), 0, 0);
            while now < 100_000 {
                let until = pressure.fall_behind(Mono(now)).map_or(now, |until| until.0);
                waited += until.min(now + stall) - now;
                now += stall;
                pressure.waits_until(Mono(now));
                pressure.catch_up(Mono(now));
                now += 1;
            }
            let free = 100_000 / (stall + 1) * 200;
            assert!(
                waited <= free + 1000 + 100_000 / 20 + 200,
                "stalling {stall} ms at a time held others for {waited} ms"
            );
        }
    }

    #[test]
    fn the_allowance_comes_back_with_time() {
        let mut pressure = Pressure::default();
        pressure.fall_behind(Mono(0));
        pressure.waits_until(Mono(WHOLE));
        pressure.catch_up(Mono(2000));
        assert_eq!(pressure.fall_behind(Mono(WHOLE + 20_000)), Some(Mono(WHOLE + 20_000 + WHOLE)));
    }
}
