//! What devices, honest and hostile, can bring about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::super::FindingState;
use super::super::FindingState::{Corrected, Escalated, Open, Settling, Withdrawn};
use super::*;
use crate::isolation::Level;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const SECOND: u64 = 1_000;

const HARDENED: &str = "applies_to = [\"all\"]\ndeadline = \"60s\"\n\
    [[rule]]\npath = \"telnet\"\nequals = false\n\
    [[rule]]\npath = \"firmware\"\nat_least = \"1.3.0\"\n\
    [on_deadline]\nlevel = \"quarantine\"\nfor = \"1h\"\n";

struct Bench {
    remediation: Remediation,
    registry: Registry,
    /// Each step by one word, with when it came.
    story: Vec<(u64, String)>,
}

impl Bench {
    fn new() -> Self {
        let things = [("press-01".to_owned(), Thing::named("press-01"))].into();
        let registry = Registry { things, ..Registry::default() };
        let mut remediation = Remediation::new();
        let baselines = vec![Baseline::parse("hardened", HARDENED).unwrap()];
        remediation.set_baselines(baselines, &registry, Now::for_test(0));
        Self { remediation, registry, story: Vec::new() }
    }

    fn report(&mut self, at: u64, reported: Value) -> Vec<Step> {
        self.advance(at);
        let thing = &self.registry.things["press-01"];
        let steps = self.remediation.handle_report(thing, None, reported.as_object().unwrap(), Now::for_test(at));
        self.tell(at, &steps);
        steps
    }

    fn advance(&mut self, to: u64) {
        while let Some(wake) = self.remediation.poll_timeout().filter(|wake| *wake <= Now::for_test(to).mono) {
            let at = wake.0 - Now::for_test(0).mono.0;
            let steps = self.remediation.handle_timeout(Now::for_test(at));
            self.tell(at, &steps);
        }
    }

    fn tell(&mut self, at: u64, steps: &[Step]) {
        for step in steps {
            let word = match step {
                Step::FindingOpened(finding) => format!("open {}", finding.id),
                Step::FindingClosed(finding) => format!("close {}", finding.id),
                Step::SendDelta { desired, .. } => format!("delta {desired}"),
                Step::WithdrawDesired { desired, .. } => format!("withdraw {desired}"),
                Step::Escalate { request, .. } => match request {
                    Some(request) => format!("escalate {}", request.level),
                    None => "escalate".to_owned(),
                },
                Step::FindingUpdated(_) => continue,
            };
            self.story.push((at / SECOND, word));
        }
    }

    fn state(&self) -> Option<FindingState> {
        self.remediation.findings().last().map(|finding| finding.state)
    }

    fn words(&self, from: usize) -> Vec<(u64, &str)> {
        self.story.iter().skip(from).map(|(at, word)| (*at, word.as_str())).collect()
    }
}

fn good() -> Value {
    json!({ "telnet": false, "firmware": "1.3.0" })
}

fn bad() -> Value {
    json!({ "telnet": true, "firmware": "1.3.0" })
}

#[test]
fn a_deviation_is_found_asked_about_and_closed_when_the_device_applies_it() {
    let mut bench = Bench::new();
    bench.report(0, good());
    assert_eq!(bench.words(0), []);
    bench.report(SECOND, json!({ "telnet": true, "firmware": "1.2.0" }));
    let asks = "delta {\"firmware\":\"1.3.0\",\"telnet\":false}";
    assert_eq!(bench.words(0), [(1, "open fnd-1"), (1, asks)]);
    assert_eq!(
        bench.remediation.get("fnd-1").unwrap().summary(),
        "baseline hardened: telnet is true, wanted false; firmware is \"1.2.0\", wanted at least 1.3.0"
    );
    bench.report(3 * SECOND, json!({ "telnet": false, "firmware": "1.4.0" }));
    let withdraws = "withdraw {\"firmware\":null,\"telnet\":null}";
    assert_eq!(bench.words(2), [(3, withdraws), (3, "close fnd-1")], "a newer firmware is not asked to go back");
    assert_eq!(bench.state(), Some(Corrected));
    bench.advance(3_600 * SECOND);
    assert_eq!((bench.words(4), bench.remediation.poll_timeout()), (vec![], None));
}

#[test]
fn a_device_that_does_nothing_is_asked_again_and_then_cut_off() {
    let mut bench = Bench::new();
    let steps = bench.report(0, bad());
    assert!(matches!(&steps[1], Step::SendDelta { attempt: 1, .. }));
    bench.report(2 * SECOND, bad());
    bench.advance(100 * SECOND);
    let asks = "delta {\"telnet\":false}";
    assert_eq!(bench.words(1), [(0, asks), (5, asks), (15, asks), (35, asks), (60, "escalate quarantine"), (75, asks)]);
    assert_eq!(bench.state(), Some(Escalated));
    assert_eq!(bench.remediation.note_order("fnd-1", "iso-7").unwrap().order.as_deref(), Some("iso-7"));
    bench.report(100 * SECOND, good());
    assert_eq!(bench.words(7), [(100, "withdraw {\"telnet\":null}"), (100, "close fnd-1")]);
    assert_eq!(bench.remediation.get("fnd-1").unwrap().order.as_deref(), Some("iso-7"));
}

#[test]
fn the_order_that_is_asked_for_names_the_thing_the_rule_and_the_end() {
    let mut bench = Bench::new();
    bench.report(0, bad());
    let steps = bench.remediation.handle_timeout(Now::for_test(60 * SECOND));
    let request = steps.iter().find_map(|step| match step {
        Step::Escalate { request, .. } => request.clone(),
        _ => None,
    });
    let request = request.unwrap();
    assert_eq!((request.level, request.duration), (Level::Quarantine, Some(Duration::from_secs(3_600))));
    assert_eq!(request.selector.to_string(), "thing:press-01");
    assert_eq!(request.reason, "baseline hardened: telnet is true, wanted false");
}

#[test]
fn a_device_that_corrects_one_thing_and_breaks_another_gains_no_time() {
    let mut bench = Bench::new();
    for at in 0..60 {
        let broken = if at % 2 == 0 { json!({ "firmware": "2" }) } else { json!({ "telnet": false }) };
        bench.report(at * SECOND, broken);
    }
    bench.advance(60 * SECOND);
    assert_eq!(bench.story.iter().filter(|(_, word)| word.starts_with("open")).count(), 1);
    assert_eq!(bench.state(), Some(Escalated));
}

#[test]
fn a_device_that_answers_each_delta_with_another_fault_is_asked_at_most_once_a_second() {
    let mut bench = Bench::new();
    for at in 0..300 {
        let broken = if at % 2 == 0 { json!({ "firmware": "2" }) } else { json!({ "telnet": false }) };
        bench.report(at * 10, broken);
    }
    assert_eq!(bench.story.iter().filter(|(_, word)| word.starts_with("delta")).count(), 3);
}

#[test]
fn a_device_that_relapses_must_hold_out_and_in_the_end_is_cut_off() {
    let mut bench = Bench::new();
    bench.report(0, bad());
    bench.report(SECOND, good());
    assert_eq!(bench.state(), Some(Corrected));
    bench.report(2 * SECOND, bad());
    assert_eq!(bench.story.iter().filter(|(_, word)| word == "open fnd-1").count(), 2, "the same finding");
    bench.report(3 * SECOND, good());
    assert_eq!(bench.state(), Some(Settling));
    bench.advance(62 * SECOND);
    assert_eq!(bench.state(), Some(Settling));
    bench.advance(63 * SECOND);
    assert_eq!(bench.state(), Some(Corrected), "it held out for the length of the deadline");
    for at in [70, 72, 74] {
        bench.report(at * SECOND, bad());
        bench.report((at + 1) * SECOND, good());
    }
    assert_eq!(bench.story.iter().filter(|(_, word)| word == "escalate quarantine").count(), 1);
}

#[test]
fn a_baseline_that_goes_withdraws_its_findings() {
    let mut bench = Bench::new();
    bench.report(0, bad());
    let steps = bench.remediation.set_baselines(Vec::new(), &bench.registry, Now::for_test(SECOND));
    assert!(
        matches!(steps.as_slice(), [Step::WithdrawDesired { .. }, Step::FindingClosed(finding)] if finding.state == Withdrawn)
    );
    assert_eq!((bench.remediation.poll_timeout(), bench.remediation.open().count()), (None, 0));
}

#[test]
fn a_finding_survives_a_restart_and_the_device_keeps_its_time() {
    for (same_boot, trusted, escalates_at) in [(true, true, 60), (false, true, 60), (false, false, 100)] {
        let mut before = Bench::new();
        before.report(0, bad());
        let stored = serde_json::to_string(&before.remediation.findings().collect::<Vec<_>>()).unwrap();
        let findings: Vec<Finding> = serde_json::from_str(&stored).unwrap();

        let mut after = Bench::new();
        let now = Now { trusted, ..Now::for_test(40 * SECOND) };
        assert_eq!(after.remediation.restore(findings, &after.registry, now, same_boot), []);
        after.advance(200 * SECOND);
        let escalated = after.story.iter().find(|(_, word)| word.starts_with("escalate")).unwrap();
        assert_eq!(escalated.0, escalates_at, "same boot {same_boot}, trusted {trusted}");
        assert_eq!(after.report(200 * SECOND, json!({})).len(), 2, "the same finding goes on");
        assert_eq!(after.remediation.findings().count(), 1);
    }
}

#[test]
fn only_things_and_shadows_that_a_baseline_is_for_are_judged() {
    let mut bench = Bench::new();
    let text = HARDENED.replace("all", "type:press").replace("deadline =", "shadow = \"config\"\ndeadline =");
    let baseline = Baseline::parse("typed", &text).unwrap();
    bench.remediation.set_baselines(vec![baseline], &bench.registry, Now::for_test(0));
    let press = Thing { thing_type: Some("press".to_owned()), ..Thing::named("press-02") };
    let empty = Map::new();
    for (thing, shadow, found) in
        [(&Thing::named("press-01"), Some("config"), 0), (&press, None, 0), (&press, Some("config"), 1)]
    {
        bench.remediation.handle_report(thing, shadow, &empty, Now::for_test(0));
        assert_eq!(bench.remediation.open().count(), found, "{} {shadow:?}", thing.name);
    }
}

fn report() -> impl Strategy<Value = Value> {
    let telnet = prop_oneof![Just(json!(true)), Just(json!(false)), Just(json!({ "x": [1] })), Just(json!(null))];
    let firmware = prop_oneof![Just(json!("1.2")), Just(json!("1.3.0")), Just(json!("junk")), Just(json!(7))];
    prop_oneof![
        3 => Just(good()),
        3 => Just(bad()),
        2 => (telnet, firmware).prop_map(|(telnet, firmware)| json!({ "telnet": telnet, "firmware": firmware })),
        1 => Just(json!({})),
    ]
}

proptest! {
    #[test]
    fn whatever_a_device_reports_it_ends_corrected_or_cut_off_and_causes_little(
        reports in proptest::collection::vec((0..20_000_u64, report()), 1..120),
        gives_in in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let mut at = 0;
        for (wait, reported) in reports {
            at += wait / 4;
            bench.report(at, reported);
        }
        let last = if gives_in { good() } else { bad() };
        bench.report(at, last);
        bench.advance(at + 600 * SECOND);

        let count = |word: &str| u64::try_from(bench.story.iter().filter(|(_, w)| w.starts_with(word)).count()).unwrap();
        let lasted = at / SECOND + 600;
        prop_assert!(count("delta") <= lasted + 1, "at most one delta a second");
        prop_assert!(count("escalate") <= lasted / 60 + 1, "at most one measure in each deadline");
        prop_assert!(count("open") <= 2 * (lasted / 60 + 2), "findings do not flap");
        if gives_in {
            prop_assert!(matches!(bench.state(), None | Some(Corrected)));
            prop_assert_eq!(bench.remediation.poll_timeout(), None);
            prop_assert_eq!(count("open"), count("close"));
        } else {
            prop_assert_eq!(bench.state(), Some(Escalated));
            prop_assert_eq!(bench.remediation.open().count(), 1);
        }
        let finding_is = |state| bench.remediation.findings().any(|finding| finding.state == state);
        prop_assert!(!finding_is(Open) && !finding_is(Settling));
    }
}
