//! What an operator, a device and an attacker see of the login guard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Fails until a refusal begins, and gives it with the number of failures that it took.
fn offend(guard: &mut LoginGuard, address: &str, name: Option<&str>, now: u64) -> (u32, Refusal) {
    for failures in 1..=100 {
        if let Some(refusal) = guard.failure(ip(address), name, Mono(now)) {
            return (failures, refusal);
        }
    }
    panic!("never refused");
}

#[test]
fn five_failures_in_a_minute_are_refused_for_ten_seconds_and_it_ends_by_itself() {
    let mut guard = LoginGuard::default();
    let attacker = ip("10.0.0.7");
    for number in 0..4 {
        assert_eq!(guard.failure(attacker, None, Mono(number * 10 * SECOND)), None);
    }
    let refusal = guard.failure(attacker, None, Mono(40 * SECOND)).unwrap();
    assert_eq!(refusal.to_string(), "logins of address 10.0.0.7 are refused for 10s after 5 failures");
    assert_eq!(refusal.normal.to_string(), "fewer than 5 in 1m");
    assert_eq!(guard.check(attacker, Some("press-01"), Mono(49 * SECOND)), Err(refusal.clone()));
    assert_eq!(guard.check(ip("10.0.0.8"), Some("press-01"), Mono(49 * SECOND)), Ok(()));
    assert_eq!(guard.poll_timeout(), Some(Mono(50 * SECOND)));
    assert_eq!(guard.handle_timeout(Mono(49 * SECOND)), []);
    assert_eq!(guard.handle_timeout(Mono(50 * SECOND)), [refusal]);
    assert_eq!(guard.check(attacker, None, Mono(50 * SECOND)), Ok(()));
    assert_eq!(guard.handle_timeout(Mono(51 * SECOND)), []);
}

#[test]
fn failures_that_lie_far_apart_are_never_refused() {
    let mut guard = LoginGuard::default();
    for number in 0..100 {
        assert_eq!(guard.failure(ip("10.0.0.7"), Some("a"), Mono(number * 15 * SECOND)), None);
    }
}

#[test]
fn each_refusal_is_twice_as_long_up_to_an_hour_until_a_day_has_passed() {
    let mut guard = LoginGuard::default();
    let mut now = 0;
    let mut lengths = Vec::new();
    for _ in 0..11 {
        let (_, refusal) = offend(&mut guard, "10.0.0.7", None, now);
        lengths.push(refusal.duration.as_secs());
        now = refusal.until.0 + SECOND;
    }
    assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
    let (_, refusal) = offend(&mut guard, "10.0.0.7", None, now + 23 * HOUR);
    assert_eq!(refusal.duration.as_secs(), 3_600);
    guard.handle_timeout(refusal.until);
    let (_, refusal) = offend(&mut guard, "10.0.0.7", None, refusal.until.0 + 24 * HOUR);
    assert_eq!(refusal.duration.as_secs(), 10);
}

#[test]
fn attempts_during_a_refusal_do_not_extend_it() {
    let mut guard = LoginGuard::default();
    let (_, refusal) = offend(&mut guard, "10.0.0.7", Some("a"), 0);
    for number in 0..1_000 {
        assert_eq!(guard.failure(ip("10.0.0.7"), Some("a"), Mono(number)), None);
        assert_eq!(guard.check(ip("10.0.0.7"), Some("a"), Mono(number)), Err(refusal.clone()));
    }
    assert_eq!(guard.check(ip("10.0.0.7"), Some("b"), refusal.until), Ok(()));
    let (failures, _) = offend(&mut guard, "10.0.0.7", Some("b"), refusal.until.0);
    assert_eq!(failures, 5, "it begins anew");
}

#[test]
fn a_success_forgives_the_name_but_not_the_address() {
    let mut guard = LoginGuard::default();
    for _ in 0..4 {
        assert_eq!(guard.failure(ip("10.0.0.7"), Some("press-01"), Mono(0)), None);
    }
    guard.success(ip("10.0.0.7"), Some("press-01"), Mono(0));
    for address in ["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"] {
        assert_eq!(guard.failure(ip(address), Some("press-01"), Mono(0)), None, "the name begins anew");
    }
    let refusal = guard.failure(ip("10.0.0.7"), Some("other"), Mono(0)).unwrap();
    assert_eq!(refusal.key, LoginKey::address(ip("10.0.0.7")), "the address does not");
}

#[test]
fn guessing_at_a_name_from_many_addresses_is_refused_without_locking_the_device_out() {
    let mut guard = LoginGuard::default();
    guard.success(ip("10.0.0.1"), Some("press-01"), Mono(0));
    let refusals: Vec<_> =
        (0..5).filter_map(|n| guard.failure(ip(&format!("10.9.9.{n}")), Some("press-01"), Mono(SECOND))).collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].key.to_string(), "name press-01");
    assert_eq!(guard.check(ip("10.9.9.99"), Some("press-01"), Mono(SECOND)), Err(refusals[0].clone()));
    assert_eq!(guard.check(ip("10.0.0.1"), Some("press-01"), Mono(SECOND)), Ok(()), "the device itself");
    assert_eq!(guard.check(ip("10.9.9.99"), Some("press-02"), Mono(SECOND)), Ok(()));
}

#[test]
fn one_attacker_is_refused_by_address_and_does_not_have_the_name_refused() {
    let mut guard = LoginGuard::default();
    let (failures, refusal) = offend(&mut guard, "10.0.0.7", Some("press-01"), 0);
    assert_eq!((failures, refusal.key), (5, LoginKey::address(ip("10.0.0.7"))));
    assert_eq!(guard.check(ip("10.0.0.1"), Some("press-01"), Mono(0)), Ok(()));
}

#[test]
fn an_ipv6_host_cannot_escape_within_its_network() {
    let mut guard = LoginGuard::default();
    let refusals = (0..5).filter_map(|n| guard.failure(ip(&format!("2001:db8:1:2::{n}")), None, Mono(0))).count();
    assert_eq!(refusals, 1);
    let refusal = guard.check(ip("2001:db8:1:2:ffff::1"), None, Mono(0)).unwrap_err();
    assert_eq!(refusal.key.to_string(), "address 2001:db8:1:2::/64");
    assert_eq!(guard.check(ip("2001:db8:1:3::1"), None, Mono(0)), Ok(()));
    assert_eq!(LoginKey::address(ip("::ffff:10.0.0.7")), LoginKey::address(ip("10.0.0.7")));
}

#[test]
fn a_hostile_name_is_kept_short_and_clean() {
    let key = LoginKey::name(&format!("a\n\u{1b}[2J{}", "x".repeat(60_000)));
    assert!(key.to_string().chars().count() < 140);
    assert!(!key.to_string().contains(char::is_control));
}

#[test]
fn a_flood_of_addresses_pushes_out_the_quiet_ones_first_and_memory_ends_after_a_day() {
    let mut guard = LoginGuard::new(LoginLimits { keys: 10, ..LoginLimits::default() });
    let (_, refusal) = offend(&mut guard, "10.0.0.7", None, 0);
    for number in 0..100_u8 {
        assert_eq!(guard.failure(ip(&format!("10.1.0.{number}")), None, Mono(1 + u64::from(number))), None);
    }
    assert_eq!((guard.len(), guard.evicted()), (10, 91));
    assert_eq!(guard.check(ip("10.0.0.7"), None, Mono(200)), Err(refusal.clone()));
    assert_eq!(guard.handle_timeout(refusal.until), std::slice::from_ref(&refusal));
    guard.handle_timeout(refusal.until.plus(Duration::from_secs(24 * 3600)));
    assert!(guard.is_empty());
}

#[derive(Debug, Clone)]
enum Act {
    Fail(u8, u8),
    Succeed(u8, u8),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..12_u8, 0..6_u8).prop_map(|(address, name)| Act::Fail(address, name)),
        1 => (0..12_u8, 0..6_u8).prop_map(|(address, name)| Act::Succeed(address, name)),
        2 => (0..40_000_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_is_tried_every_refusal_ends_once_and_nothing_grows(acts in proptest::collection::vec(act(), 0..200)) {
        let limits = LoginLimits { failures: 2, keys: 8, longest: Duration::from_secs(60), ..LoginLimits::default() };
        let mut guard = LoginGuard::new(limits);
        let (mut now, mut begun, mut ended) = (0, 0, 0);
        for act in acts {
            match act {
                Act::Wait(millis) => now += millis,
                Act::Fail(address, name) => {
                    let (address, name) = (ip(&format!("10.0.0.{address}")), format!("n{name}"));
                    if guard.check(address, Some(&name), Mono(now)).is_ok()
                        && let Some(refusal) = guard.failure(address, Some(&name), Mono(now))
                    {
                        begun += 1;
                        prop_assert!(refusal.duration >= limits.first && refusal.duration <= limits.longest);
                        prop_assert_eq!(refusal.until, Mono(now).plus(refusal.duration));
                    }
                }
                Act::Succeed(address, name) => {
                    guard.success(ip(&format!("10.0.0.{address}")), Some(&format!("n{name}")), Mono(now));
                }
            }
            prop_assert!(guard.len() <= limits.keys);
            if guard.poll_timeout().is_some_and(|wake| wake <= Mono(now)) {
                ended += guard.handle_timeout(Mono(now)).len();
            }
        }
        ended += guard.handle_timeout(Mono(now + HOUR)).len();
        prop_assert_eq!(begun, ended);
        prop_assert_eq!(guard.poll_timeout(), None);
    }
}
