//! What a security engineer expects of the detector.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::super::{AlarmBook, AlarmState, Criterion, Operator};
use super::*;
use AlarmState::{AlarmCleared, AlarmInvalidated, InAlarm};
use proptest::prelude::*;
use std::time::Duration;

/// When, what happened to the alarm, and the count seen.
type Change = (u64, AlarmState, u64);

fn profile(behaviors: &[(&str, &str, &str, u64, u64, u32, u32)]) -> SecurityProfile {
    let behaviors: Vec<_> = behaviors
        .iter()
        .map(|(name, metric, operator, count, seconds, to_alarm, to_clear)| {
            json_behavior(name, metric, operator, *count, *seconds, *to_alarm, *to_clear)
        })
        .collect();
    SecurityProfile::parse("presses", &serde_json::json!({ "behaviors": behaviors }).to_string()).unwrap()
}

fn json_behavior(
    name: &str,
    metric: &str,
    operator: &str,
    count: u64,
    seconds: u64,
    to_alarm: u32,
    to_clear: u32,
) -> serde_json::Value {
    serde_json::json!({ "name": name, "metric": metric, "criteria": {
        "comparisonOperator": operator, "value": { "count": count }, "durationSeconds": seconds,
        "consecutiveDatapointsToAlarm": to_alarm, "consecutiveDatapointsToClear": to_clear } })
}

const SENT: &str = "aws:num-messages-sent";
const REFUSED: &str = "aws:num-authorization-failures";

fn fleet() -> Registry {
    let thing = Thing { groups: ["line-1".to_owned()].into(), ..Thing::named("press-01") };
    Registry { things: [("press-01".to_owned(), thing)].into(), ..Registry::default() }
}

struct Bench {
    detector: Detector,
    registry: Registry,
    changes: Vec<Change>,
}

impl Bench {
    fn new(profile: SecurityProfile) -> Self {
        let mut detector = Detector::new();
        detector.set_profiles(vec![(profile, vec!["group:line-1".parse().unwrap()])]);
        let mut bench = Self { detector, registry: fleet(), changes: Vec::new() };
        bench.handle(0);
        bench
    }

    fn handle(&mut self, at: u64) {
        self.detector.handle_timeout(Now::for_test(at), &self.registry);
        self.drain(at);
    }

    /// Lets time pass, waking the detector exactly when it asks for it.
    fn advance(&mut self, to: u64) {
        while let Some(wake) = self.detector.poll_timeout().filter(|wake| *wake <= Now::for_test(to).mono) {
            self.handle(wake.0.saturating_sub(Now::for_test(0).mono.0));
        }
    }

    fn observe(&mut self, at: u64, metric: Metric, count: u64) {
        self.advance(at);
        self.detector.observe(&self.registry.things["press-01"], metric, count, Now::for_test(at));
        self.drain(at);
    }

    fn drain(&mut self, at: u64) {
        while let Some(event) = self.detector.poll_event() {
            self.changes.push((at, event.event_type, event.seen));
        }
    }
}

#[test]
fn a_count_that_passes_an_upper_bound_alarms_at_once_and_clears_by_time_alone() {
    let mut bench = Bench::new(profile(&[("auth-fail", REFUSED, "less-than", 5, 10, 1, 1)]));
    for at in 0..4 {
        bench.observe(at * 100, Metric::AuthorizationFailures, 1);
    }
    assert_eq!(bench.changes, [], "four are normal");
    bench.observe(450, Metric::AuthorizationFailures, 1);
    assert_eq!(bench.changes, [(450, InAlarm, 5)]);
    bench.observe(500, Metric::AuthorizationFailures, 100);
    bench.advance(60_000);
    assert_eq!(bench.changes[1..], [(20_000, AlarmCleared, 0)]);
    assert_eq!(bench.detector.poll_timeout(), None, "a quiet thing costs nothing");
    assert!(bench.detector.things.is_empty());
}

#[test]
fn an_operator_describes_what_is_normal() {
    for (operator, threshold, count, alarms_at) in [
        ("less-than", 5, 4, None),
        ("less-than", 5, 5, Some(100)),
        ("less-than-equals", 5, 5, None),
        ("less-than-equals", 5, 6, Some(100)),
        ("less-than-equals", 0, 1, Some(100)),
        ("greater-than", 5, 6, None),
        ("greater-than", 5, 5, Some(1_000)),
        ("greater-than-equals", 5, 5, None),
        ("greater-than-equals", 5, 4, Some(1_000)),
        ("greater-than", 0, 0, Some(1_000)),
    ] {
        let mut bench = Bench::new(profile(&[("b", SENT, operator, threshold, 1, 1, 1)]));
        bench.observe(100, Metric::MessagesSent, count);
        bench.advance(1_000);
        let first = bench.changes.first().map(|(at, _, _)| *at);
        assert_eq!(first, alarms_at, "{operator} {threshold}: {count}");
    }
}

#[test]
fn other_metrics_and_other_things_do_not_count() {
    let mut bench = Bench::new(profile(&[("auth-fail", REFUSED, "less-than", 1, 1, 1, 1)]));
    bench.observe(0, Metric::MessagesSent, 1_000);
    bench.detector.observe(&Thing::named("pump-01"), Metric::AuthorizationFailures, 9, Now::for_test(0));
    bench.observe(0, Metric::AuthorizationFailures, 0);
    bench.drain(0);
    assert_eq!(bench.changes, []);
}

#[test]
fn an_alert_has_the_form_that_aws_sends() {
    let mut bench = Bench::new(profile(&[("auth-fail", REFUSED, "less-than", 5, 10, 1, 3)]));
    bench.detector.observe(&fleet().things["press-01"], Metric::AuthorizationFailures, 19, Now::for_test(0));
    let violation = bench.detector.poll_event().unwrap();
    assert_eq!(violation.normal, "fewer than 5 in 10s");
    assert_eq!(
        violation.document(Now::for_test(0)),
        serde_json::json!({
            "violationEventTime": 1_767_225_600_000_u64, "thingName": "press-01",
            "behavior": { "name": "auth-fail", "metric": REFUSED,
                "criteria": { "comparisonOperator": "less-than", "value": { "count": 5 }, "durationSeconds": 10,
                              "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 3 } },
            "violationEventType": "in-alarm", "metricValue": { "count": 19 },
            "violationId": violation.violation_id, "securityProfileName": "presses" })
    );
}

#[test]
fn a_reload_keeps_what_stays_and_invalidates_what_goes() {
    let kept = ("kept", SENT, "less-than", 5, 10, 1, 1);
    let mut bench = Bench::new(profile(&[kept, ("gone", REFUSED, "less-than", 1, 10, 1, 1)]));
    bench.observe(0, Metric::MessagesSent, 4);
    bench.observe(0, Metric::AuthorizationFailures, 1);
    bench.detector.set_profiles(vec![(profile(&[kept]), vec!["all".parse().unwrap()])]);
    bench.drain(0);
    assert_eq!(bench.changes, [(0, InAlarm, 1), (0, AlarmInvalidated, 1)]);
    bench.observe(1_000, Metric::MessagesSent, 1);
    assert_eq!(bench.changes[2..], [(1_000, InAlarm, 5)], "the count went on");

    bench.registry.things.clear();
    bench.detector.fleet_changed();
    bench.handle(2_000);
    assert_eq!(bench.changes[3..], [(2_000, AlarmInvalidated, 5)], "the thing has left the fleet");
    assert!(bench.detector.things.is_empty());
}

#[test]
fn an_alarm_goes_on_after_a_restart_and_clears_under_the_same_id() {
    let auth_fail = ("auth-fail", REFUSED, "less-than", 5, 10, 1, 1);
    let mut before = Bench::new(profile(&[auth_fail]));
    before.detector.observe(&fleet().things["press-01"], Metric::AuthorizationFailures, 5, Now::for_test(0));
    let mut book = AlarmBook::new();
    let alarm = book.apply(&before.detector.poll_event().unwrap(), Now::for_test(0)).unwrap();

    let mut after = Bench::new(profile(&[auth_fail]));
    let gone = after.detector.resume(book.active(), &after.registry, Now::for_test(5_000));
    assert_eq!(gone, Vec::<String>::new());
    after.detector.handle_timeout(Now::for_test(15_000), &after.registry);
    let cleared = after.detector.poll_event().unwrap();
    assert_eq!((cleared.violation_id.as_str(), cleared.event_type), (alarm.id.as_str(), AlarmCleared));

    let mut other = Bench::new(profile(&[("other", REFUSED, "less-than", 5, 10, 1, 1)]));
    assert_eq!(other.detector.resume(book.active(), &other.registry, Now::for_test(5_000)), [alarm.id]);
}

#[test]
fn a_thing_that_is_silent_for_two_days_is_no_longer_held_against_a_lower_bound() {
    let mut bench = Bench::new(profile(&[("heartbeat", SENT, "greater-than", 0, 3_600, 1, 1)]));
    bench.advance(60 * 3_600_000);
    assert_eq!(bench.changes, [(3_600_000, InAlarm, 0), (48 * 3_600_000, AlarmInvalidated, 0)]);
    bench.observe(61 * 3_600_000, Metric::MessagesSent, 1);
    bench.advance(64 * 3_600_000);
    assert_eq!(bench.changes[2..], [(63 * 3_600_000, InAlarm, 0)], "it spoke, and is expected to go on");
}

#[test]
fn the_table_is_bounded_and_recovers() {
    let mut detector = Detector::new();
    detector.set_profiles(vec![(profile(&[("b", SENT, "less-than", 5, 1, 1, 1)]), vec![Selector::All])]);
    for number in 0..=MAX_THINGS {
        detector.observe(&Thing::named(&format!("t{number}")), Metric::MessagesSent, 1, Now::for_test(0));
    }
    assert_eq!((detector.things.len(), detector.overflow()), (MAX_THINGS, 1));
    detector.handle_timeout(Now::for_test(2_000), &Registry::default());
    assert!(detector.things.is_empty());
}

/// Recounts from the list of all observations, window by window.
fn recount(criterion: Criterion, observed: &[(u64, u64)], until: u64) -> Vec<Change> {
    let length = u64::try_from(criterion.window.as_millis()).unwrap();
    let lower = !criterion.operator.is_upper_bound();
    let mut changes = Vec::new();
    let (mut bad, mut good, mut alarm) = (0, 0, false);
    let mut start = if lower { Some(0) } else { observed.first().map(|(at, _)| *at) };
    while let Some(from) = start.filter(|from| from + length <= until || !lower) {
        let to = from + length;
        let mut sum = 0;
        for (at, count) in observed.iter().filter(|(at, _)| (from..to).contains(at)) {
            sum += count;
            if !lower && !criterion.conforms(sum) && !alarm && bad + 1 >= criterion.to_alarm {
                alarm = true;
                changes.push((*at, InAlarm, sum));
            }
        }
        if to > until {
            break;
        }
        if criterion.conforms(sum) {
            (bad, good) = (0, good + 1);
            if alarm && good >= criterion.to_clear {
                alarm = false;
                changes.push((to, AlarmCleared, sum));
            }
        } else {
            (bad, good) = (bad + 1, 0);
            if !alarm && bad >= criterion.to_alarm {
                alarm = true;
                changes.push((to, InAlarm, sum));
            }
        }
        let goes_on = lower || alarm || bad > 0;
        start = if goes_on { Some(to) } else { observed.iter().map(|(at, _)| *at).find(|at| *at >= to) };
    }
    changes
}

proptest! {
    #[test]
    fn the_detector_finds_exactly_what_a_naive_recount_finds(
        steps in proptest::collection::vec((0..1_500_u64, 1..4_u64), 0..40),
        operator in prop_oneof![
            Just(Operator::LessThan), Just(Operator::LessThanEquals),
            Just(Operator::GreaterThan), Just(Operator::GreaterThanEquals),
        ],
        (count, seconds) in (1..6_u64, 1..4_u64),
        (to_alarm, to_clear) in (1..4_u32, 1..4_u32),
        prompt in any::<bool>(),
    ) {
        let criterion = Criterion { operator, count, window: Duration::from_secs(seconds), to_alarm, to_clear };
        let mut at = 0;
        let observed: Vec<_> = steps.iter().map(|(wait, count)| { at += wait; (at, *count) }).collect();
        let until = at + 20_000;
        let mut bench = Bench::new(profile(&[("b", SENT, operator.name(), count, seconds, to_alarm, to_clear)]));
        for (at, count) in &observed {
            if prompt {
                bench.observe(*at, Metric::MessagesSent, *count);
            } else {
                // Nobody woke the detector in time: what it finds is the same, only later.
                bench.detector.observe(&bench.registry.things["press-01"], Metric::MessagesSent, *count, Now::for_test(*at));
                bench.drain(*at);
            }
        }
        bench.advance(until);
        let expected = recount(criterion, &observed, until);
        if prompt {
            prop_assert_eq!(&bench.changes, &expected);
        } else {
            let kinds = |changes: &[Change]| changes.iter().map(|(_, state, _)| *state).collect::<Vec<_>>();
            let (found, expected) = (kinds(&bench.changes), kinds(&expected));
            prop_assert_eq!(found, expected);
        }
    }
}
