//! The machine's clocks. The only place where the gateway reads them.

use cordon_core::time::{Mono, Now, Unix};
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A wall clock before 2024-01-01 was never set: a machine without a battery starts at 1970 or at its image's build.
const EARLIEST: Unix = Unix(1_704_067_200_000);

/// How often the trust in the wall clock is looked at again, in milliseconds: [`now`] is called for every packet.
const LOOK_EVERY: u64 = 10_000;

/// systemd-timesyncd has this folder while it runs, and the file in it once the clock is set from the network.
const TIMESYNC: &str = "/run/systemd/timesync";

static LOOKED: AtomicU64 = AtomicU64::new(0);
static SYNCHRONISED: AtomicBool = AtomicBool::new(false);

/// Both clocks. The wall clock is trusted when it shows 2024 or later and systemd-timesyncd, if it runs, has set it;
/// with another time service, or none, a plausible year is all there is to go by.
pub(crate) fn now() -> Now {
    let mono = Mono(read(ClockId::CLOCK_BOOTTIME));
    let unix = Unix(read(ClockId::CLOCK_REALTIME));
    Now { mono, unix, trusted: unix >= EARLIEST && synchronised(mono) }
}

/// What tells this boot of the machine from any other. Monotonic times on disk only count within one.
pub(crate) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = id.trim();
    if id.is_empty() { format!("unknown-{}", read(ClockId::CLOCK_REALTIME)) } else { id.to_owned() }
}

fn synchronised(mono: Mono) -> bool {
    let looked = LOOKED.load(Ordering::Relaxed);
    let due = looked == 0 || mono.0.saturating_sub(looked) >= LOOK_EVERY;
    if due && LOOKED.compare_exchange(looked, mono.0.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        SYNCHRONISED.store(set_by(Path::new(TIMESYNC)), Ordering::Relaxed);
    }
    SYNCHRONISED.load(Ordering::Relaxed)
}

fn set_by(timesync: &Path) -> bool {
    !timesync.is_dir() || timesync.join("synchronized").exists()
}

/// Milliseconds. Linux has both clocks; a reading of 0 is as good as none.
fn read(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(time.tv_nsec()).unwrap_or(0) / 1_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn time_goes_on_and_the_boot_stays_the_same() {
        let (first, second) = (now(), now());
        assert!(second.mono >= first.mono && first.mono.0 > 0);
        assert!(first.unix > EARLIEST);
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn a_running_time_service_must_have_set_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set_by(&dir.path().join("absent")));
        assert!(!set_by(dir.path()));
        fs::write(dir.path().join("synchronized"), "").unwrap();
        assert!(set_by(dir.path()));
    }
}
