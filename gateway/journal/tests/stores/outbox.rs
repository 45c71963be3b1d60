//! The outbox against a model, and its limits.

use crate::{PATIENCE, host};
use cordon_journal::{Outbox, OutboxLimits, StoreError};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::path::Path;

const LIMITS: OutboxLimits = OutboxLimits { bytes: 1000, entries: 12 };

#[derive(Debug, Clone)]
enum Step {
    Push {
        priority: u8,
        bytes: usize,
    },
    /// Acknowledges the entry at this place.
    Ack(usize),
    Peek {
        skip: usize,
        most: usize,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3u8, prop_oneof![0..40usize, 300..1100usize]).prop_map(|(priority, bytes)| Step::Push { priority, bytes }),
        3 => (0..6usize).prop_map(Step::Ack),
        2 => (0..6usize, 0..9usize).prop_map(|(skip, most)| Step::Peek { skip, most }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..50)
}

/// Ids, priorities and sizes, oldest first.
type Model = VecDeque<(u64, u8, usize)>;

/// What the outbox should do: whether `bytes` more fit, after dropping what may be dropped.
fn make_room(model: &mut Model, priority: u8, bytes: usize) -> bool {
    let mut tried = model.clone();
    let full = |held: &Model| {
        held.iter().map(|(_, _, size)| size).sum::<usize>() + bytes > 1000 || held.len() + 1 > LIMITS.entries
    };
    while full(&tried) {
        let least = tried.iter().map(|(_, priority, _)| *priority).min().filter(|least| *least <= priority);
        let Some(at) = least.and_then(|least| tried.iter().position(|(_, priority, _)| *priority == least)) else {
            return false;
        };
        tried.remove(at);
    }
    *model = tried;
    true
}

fn open(directory: &Path) -> Outbox {
    let (outbox, report) = Outbox::open(directory, LIMITS, &host()).unwrap();
    assert_eq!(report.troubles, []);
    outbox
}

fn ids(outbox: &Outbox, after: u64, most: usize) -> Vec<u64> {
    outbox.peek_blocking(after, most).unwrap().iter().map(|entry| entry.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_outbox_does_what_a_bounded_queue_in_memory_does_also_across_restarts(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = open(dir.path());
        let (mut model, mut last) = (Model::new(), 0);
        for step in steps {
            match step {
                Step::Push { priority, bytes } => {
                    let pushed = outbox.push_blocking(priority, "t", vec![priority; bytes]);
                    if make_room(&mut model, priority, bytes + 1) {
                        let id = pushed.unwrap().id;
                        prop_assert!(id > last);
                        last = id;
                        model.push_back((id, priority, bytes + 1));
                    } else {
                        prop_assert_eq!(pushed, Err(StoreError::OverLimit { limit: 1000 }));
                    }
                }
                Step::Ack(at) => {
                    let id = model.get(at).map_or(999_999, |(id, _, _)| *id);
                    outbox.ack_blocking(id).unwrap();
                    model.retain(|(held, _, _)| *held != id);
                }
                Step::Peek { skip, most } => {
                    let after = skip.checked_sub(1).and_then(|at| model.get(at)).map_or(0, |(id, _, _)| *id);
                    let wanted: Vec<_> = model.iter().map(|(id, _, _)| *id).filter(|id| *id > after).take(most).collect();
                    prop_assert_eq!(ids(&outbox, after, most), wanted);
                }
                Step::Restart => {
                    drop(outbox);
                    outbox = open(dir.path());
                }
            }
            let status = outbox.status();
            prop_assert_eq!(status.entries, model.len());
            prop_assert_eq!(status.bytes, model.iter().map(|(_, _, size)| *size as u64).sum::<u64>());
            prop_assert_eq!(status.newest, last);
        }
        prop_assert_eq!(ids(&outbox, 0, 99), model.iter().map(|(id, _, _)| *id).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_queue_that_is_filled_and_emptied_for_long_keeps_the_disk_small() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = Outbox::open(dir.path(), OutboxLimits::default(), &host()).unwrap();
    for _ in 0..60 {
        let pushing = (0..50).map(|_| outbox.push(1, "cordon/summary", vec![3; 20_000]));
        let mut pushed: Vec<u64> = Vec::new();
        for push in pushing {
            pushed.push(push.await.unwrap().id);
        }
        for id in pushed {
            outbox.ack(id).await.unwrap();
        }
    }
    assert_eq!(outbox.status().acked, 3000);
    outbox.shutdown(PATIENCE).await.unwrap();
    let bytes = size(dir.path());
    assert!(bytes < 64 * 1024 * 1024, "60 MB passed through and {bytes} bytes are left");
}

#[tokio::test]
async fn whoever_waits_for_entries_is_woken_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.wait_beyond(0).await }
    });
    let pushed = outbox.push(0, "t", vec![1]).await.unwrap();
    tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, outbox.wait_beyond(pushed.id - 1)).await.unwrap();
}

#[tokio::test]
async fn what_is_dropped_or_refused_is_counted_by_priority() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.push(2, "alarm", vec![0; 500]).await.unwrap();
    outbox.push(0, "summary", vec![0; 300]).await.unwrap();
    assert_eq!(outbox.push(2, "alarm", vec![0; 400]).await.unwrap().dropped, 1);
    assert!(outbox.push(1, "summary", vec![0; 300]).await.is_err());
    assert_eq!(outbox.status().dropped, [(0, 1), (1, 1)].into());
}

fn size(path: &Path) -> u64 {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    std::fs::read_dir(path).unwrap().map(entry).sum()
}
