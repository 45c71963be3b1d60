//! The limits of a session that may change while the gateway runs, and how fast one client sends.

use crate::config::Limits;
use crate::pace::{Bucket, Rate};
use cordon_core::time::Mono;
use std::time::Duration;

/// Packets that may come at once however low the rate is: a client that begins subscribes and catches up.
const LEAST_BURST: u64 = 100;

/// The limits in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fair {
    packets: Option<Rate>,
    bytes: Option<Rate>,
    pub(crate) max_topics: usize,
    pub(crate) write_timeout: Duration,
}

/// How much a client has sent lately.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gate {
    packets: Bucket,
    bytes: Bucket,
}

/// What a client may send in one turn, and what it has sent of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    limits: (u64, u64),
    taken: (u64, u64),
}

// === impl Fair ===

impl From<&Limits> for Fair {
    fn from(limits: &Limits) -> Self {
        let (packets, bytes) = (u64::from(limits.max_packets_per_second), limits.max_bytes_per_second);
        Self {
            packets: Rate::new(packets, packets.max(LEAST_BURST)),
            bytes: Rate::new(bytes, bytes),
            max_topics: limits.max_topics,
            write_timeout: limits.write_timeout,
        }
    }
}

// === impl Gate ===

impl Gate {
    /// What may come in this turn.
    pub(crate) fn allowance(&self, fair: &Fair, now: Mono) -> Allowance {
        let left = |rate: Option<Rate>, bucket: Bucket| rate.map_or(u64::MAX, |rate| bucket.left(rate, now));
        Allowance { limits: (left(fair.packets, self.packets), left(fair.bytes, self.bytes)), taken: (0, 0) }
    }

    /// Takes what came in a turn.
    pub(crate) fn charge(&mut self, fair: &Fair, allowance: &Allowance, now: Mono) {
        if let Some(rate) = fair.packets {
            self.packets.take(rate, allowance.taken.0, now);
        }
        if let Some(rate) = fair.bytes {
            self.bytes.take(rate, allowance.taken.1, now);
        }
    }

    /// When the client may send again if it may not now, and by which limit.
    pub(crate) fn opens(&self, fair: &Fair, now: Mono) -> Option<(Mono, &'static str)> {
        let at = |rate: Option<Rate>, bucket: Bucket| rate.and_then(|rate| bucket.opens(rate, now));
        let packets = at(fair.packets, self.packets).map(|at| (at, "limits.max_packets_per_second"));
        let bytes = at(fair.bytes, self.bytes).map(|at| (at, "limits.max_bytes_per_second"));
        packets.max(bytes)
    }
}

// === impl Allowance ===

impl Allowance {
    /// Whether no further packet may come. One that has begun to be allowed may be larger than what is left.
    pub(crate) fn is_used_up(&self) -> bool {
        self.taken.0 >= self.limits.0 || self.taken.1 >= self.limits.1
    }

    /// A packet of so many bytes came.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken.0 += 1;
        self.taken.1 = self.taken.1.saturating_add(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fair(packets: u32, bytes: u64) -> Fair {
        let limits = Limits { max_packets_per_second: packets, max_bytes_per_second: bytes, ..Limits::default() };
        Fair::from(&limits)
    }

    /// How many packets of so many bytes pass in so many milliseconds.
    fn passed(fair: &Fair, bytes: usize, millis: u64) -> u64 {
        let (mut gate, mut packets) = (Gate::default(), 0);
        for now in (0..=millis).map(Mono) {
            let mut allowance = gate.allowance(fair, now);
            while !allowance.is_used_up() && packets < 1_000_000 {
                allowance.take(bytes);
                packets += 1;
            }
            gate.charge(fair, &allowance, now);
        }
        packets
    }

    #[test]
    fn packets_and_bytes_are_held_to_their_own_rates_after_a_burst() {
        for (packets, bytes, length, millis, expected) in [
            (500, 0, 10, 0, 500),
            (500, 0, 10, 2000, 1500),
            (10, 0, 10, 1000, 110),
            (0, 10_000, 100, 1000, 200),
            (0, 10_000, 100_000, 9_000, 1),
            (0, 10_000, 100_000, 9_001, 2),
            (1000, 10_000, 100, 1000, 200),
            (0, 0, 1, 0, 1_000_000),
        ] {
            let fair = fair(packets, bytes);
            assert_eq!(passed(&fair, length, millis), expected, "{packets} packets/s, {bytes} B/s, {length} B each");
        }
    }

    #[test]
    fn the_limit_that_holds_the_longest_is_the_one_that_is_named() {
        let fair = fair(100, 1000);
        let mut gate = Gate::default();
        let mut allowance = gate.allowance(&fair, Mono(0));
        (0..100).for_each(|_| allowance.take(1));
        gate.charge(&fair, &allowance, Mono(0));
        assert_eq!(gate.opens(&fair, Mono(0)), Some((Mono(10), "limits.max_packets_per_second")));
        allowance.take(5000);
        gate.charge(&fair, &allowance, Mono(0));
        assert_eq!(gate.opens(&fair, Mono(0)).map(|(_, rule)| rule), Some("limits.max_bytes_per_second"));
    }
}
