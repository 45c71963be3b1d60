//! The summary of an interval: one JSON document of bounded size, whatever the size of the fleet.
//!
//! Delivery is at least once, so each summary carries an id that makes a repeat recognisable.

use crate::status::Counters;
use cordon_core::time::Now;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The largest summary, in bytes: room below AWS IoT Core's limit of 131,072.
pub const MAX_SUMMARY_BYTES: usize = 100_000;

/// How many ids a list in a summary names; its count covers all.
const MAX_IDS: usize = 100;

/// Things that pass out of a document keep this much of it free for the closing brackets and the count of the omitted.
const RESERVE: usize = 64;

/// What an interval was like.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryInput {
    /// The gateway's thing name.
    pub gateway: String,
    /// When the interval began.
    pub start: Now,
    /// When it ended.
    pub end: Now,
    /// What each thing did; idle ones may be left out.
    pub things: BTreeMap<String, ThingCounts>,
    /// Ids of the alarms that are active.
    pub alarms_active: Vec<String>,
    /// Ids of the isolation orders in force.
    pub orders_active: Vec<String>,
    /// Ids of the findings that are open.
    pub findings_open: Vec<String>,
    /// How full queues are, by name, in the queue's own unit.
    pub queues: BTreeMap<String, u64>,
    /// The uplink's counters since its start.
    pub uplink: Counters,
}

/// What one thing did in the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThingCounts {
    /// Connections that were accepted.
    pub connects: u64,
    /// Failed logins and refused acts.
    pub auth_failures: u64,
    /// Messages published and received.
    pub messages: u64,
    /// Payload bytes published and received.
    pub bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: &'static str,
    summary_id: String,
    gateway: &'a str,
    start_time: u64,
    end_time: u64,
    clock_trusted: bool,
    totals: Totals,
    alarms: Ids<'a>,
    orders: Ids<'a>,
    findings: Ids<'a>,
    queues: &'a BTreeMap<String, u64>,
    uplink: &'a Counters,
    things: BTreeMap<&'a str, &'a ThingCounts>,
    things_omitted: usize,
}

#[derive(Serialize)]
struct Totals {
    things: usize,
    #[serde(flatten)]
    counts: ThingCounts,
}

#[derive(Serialize)]
struct Ids<'a> {
    count: usize,
    ids: &'a [String],
}

/// Builds the summary. When not all things fit, those with the most failures and then the most messages are named; the
/// totals cover all, and `thingsOmitted` says how many are not named.
///
/// # Errors
///
/// Never for the fields there are; serde's error type is passed on.
pub fn summary(input: &SummaryInput) -> Result<Vec<u8>, serde_json::Error> {
    let mut document = Document {
        version: "1.0",
        summary_id: summary_id(input),
        gateway: &input.gateway,
        start_time: input.start.unix.0,
        end_time: input.end.unix.0,
        clock_trusted: input.start.trusted && input.end.trusted,
        totals: totals(input),
        alarms: ids(&input.alarms_active),
        orders: ids(&input.orders_active),
        findings: ids(&input.findings_open),
        queues: &input.queues,
        uplink: &input.uplink,
        things: BTreeMap::new(),
        things_omitted: input.things.len(),
    };
    let mut bytes = serde_json::to_vec(&document)?.len() + RESERVE;
    let mut things: Vec<_> = input.things.iter().collect();
    things.sort_by_key(|(name, counts)| (Reverse((counts.auth_failures, counts.messages, counts.bytes)), *name));
    for (name, counts) in things {
        // Quotes, colon and comma around what serde writes.
        bytes += serde_json::to_vec(name)?.len() + serde_json::to_vec(counts)?.len() + 2;
        if bytes > MAX_SUMMARY_BYTES {
            break;
        }
        document.things.insert(name, counts);
    }
    document.things_omitted -= document.things.len();
    serde_json::to_vec(&document)
}

/// The same interval gives the same id. Both clocks are in it: after a power cut the wall clock may repeat itself.
fn summary_id(input: &SummaryInput) -> String {
    format!("{}-{}-{}", input.gateway, input.start.unix.0, input.start.mono.0)
}

fn totals(input: &SummaryInput) -> Totals {
    let add = |sum: ThingCounts, one: &ThingCounts| ThingCounts {
        connects: sum.connects.saturating_add(one.connects),
        auth_failures: sum.auth_failures.saturating_add(one.auth_failures),
        messages: sum.messages.saturating_add(one.messages),
        bytes: sum.bytes.saturating_add(one.bytes),
    };
    Totals { things: input.things.len(), counts: input.things.values().fold(ThingCounts::default(), add) }
}

fn ids(all: &[String]) -> Ids<'_> {
    Ids { count: all.len(), ids: &all[..all.len().min(MAX_IDS)] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use serde_json::{Value, json};

    fn input(things: u64) -> SummaryInput {
        let counts = |at| ThingCounts { connects: 1, auth_failures: at % 7, messages: at, bytes: at * 10 };
        SummaryInput {
            gateway: "gw-1".to_owned(),
            start: Now::for_test(0),
            end: Now::for_test(60_000),
            things: (0..things).map(|at| (format!("thing-{at:05}-with-a-name"), counts(at))).collect(),
            alarms_active: vec!["alarm-1".to_owned()],
            orders_active: Vec::new(),
            findings_open: (0..500).map(|at| format!("finding-{at}")).collect(),
            queues: BTreeMap::from([("outboxBytes".to_owned(), 4096)]),
            uplink: Counters { acked: 3, ..Counters::default() },
        }
    }

    #[test]
    fn a_small_fleet_is_summarised_in_full() {
        let document: Value = serde_json::from_slice(&summary(&input(3)).unwrap()).unwrap();
        assert_eq!(document["totals"], json!({"things":3,"connects":3,"authFailures":3,"messages":3,"bytes":30}));
        assert_eq!(document["things"]["thing-00002-with-a-name"]["messages"], 2);
        assert_eq!(document["thingsOmitted"], 0);
        assert_eq!(document["startTime"], 1_767_225_600_000_u64);
        assert_eq!(document["alarms"], json!({"count":1,"ids":["alarm-1"]}));
        assert_eq!(document["findings"]["count"], 500);
        assert_eq!(document["uplink"]["acked"], 3);
    }

    #[test]
    fn a_large_fleet_stays_below_the_limit_and_names_the_worst_things_first() {
        let bytes = summary(&input(5000)).unwrap();
        assert!(bytes.len() <= MAX_SUMMARY_BYTES);
        assert!(bytes.len() > MAX_SUMMARY_BYTES - 500, "room is left unused: {}", bytes.len());
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let named = document["things"].as_object().unwrap();
        assert_eq!(named.len() as u64 + document["thingsOmitted"].as_u64().unwrap(), 5000);
        assert_eq!(document["totals"]["things"], 5000);
        assert!(named.values().all(|counts| counts["authFailures"].as_u64().unwrap() > 1));
    }

    #[test]
    fn a_repeat_of_a_summary_has_the_same_id_and_another_interval_another() {
        assert_eq!(summary(&input(1)).unwrap(), summary(&input(1)).unwrap());
        let later = SummaryInput { start: Now::for_test(60_000), ..input(1) };
        assert_ne!(summary_id(&input(1)), summary_id(&later));
    }
}
