//! Segments are closed, deleted and proven.

use crate::{close, event, host};
use cordon_core::event::Event;
use cordon_core::time::{Mono, Now};
use cordon_journal::{Filter, Host, Journal, JournalOptions, Order};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

fn small(directory: &Path) -> JournalOptions {
    let mut options = JournalOptions::new(directory, host());
    options.segment_bytes = 2 * MIB;
    options.total_bytes = 8 * MIB;
    options
}

/// An event that compresses badly.
fn bulky(at: u64) -> Event {
    let noise = |n: u64| blake_like(at.wrapping_mul(31).wrapping_add(n));
    (0..8).fold(event(at), |event, n| event.detail(&n.to_string(), noise(n)))
}

fn blake_like(seed: u64) -> String {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..16).map(word).collect()
}

async fn fill(journal: &Journal, from: u64, count: u64) {
    for at in from..from + count {
        journal.recorder().record(bulky(at));
        if at % 200 == 0 {
            journal.flush().await.unwrap();
        }
    }
    journal.flush().await.unwrap();
}

#[tokio::test]
async fn the_journal_stays_within_its_limit_and_what_is_left_can_still_be_proven() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(dir.path())).unwrap();
    fill(&journal, 0, 12_000).await;
    let stats = journal.stats();
    assert!(stats.segments > 2, "{stats:?}");
    assert!(stats.bytes <= 11 * MIB, "{stats:?}");
    let first = stats.first_seq.unwrap();
    assert!(first > 1, "{stats:?}");
    let report = journal.verify().await.unwrap();
    assert_eq!(report.broken, None);
    assert_eq!((report.first_seq, report.last_seq), (Some(first), Some(12_000)));
    assert_eq!(report.head_hash, stats.head_hash);
    close(journal).await;

    let (journal, opened) = Journal::open(small(dir.path())).unwrap();
    assert_eq!(opened.troubles, []);
    let again = journal.verify().await.unwrap();
    assert_eq!((again.broken, again.last_seq, again.head_hash), (None, report.last_seq, report.head_hash));
    let first = journal.stats().first_seq.unwrap();
    assert_eq!(again.first_seq, Some(first));
    let oldest = Filter { order: Order::OldestFirst, limit: 3, ..Filter::default() };
    let found: Vec<_> = journal.query(oldest).await.unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(found, [first, first + 1, first + 2]);
    fill(&journal, 12_000, 3_000).await;
    assert!(journal.stats().first_seq.unwrap() > first);
    assert_eq!(journal.verify().await.unwrap().broken, None);
    close(journal).await;
}

#[tokio::test]
async fn a_whole_segment_that_is_taken_away_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(JournalOptions { total_bytes: u64::MAX, ..small(dir.path()) }).unwrap();
    fill(&journal, 0, 8_000).await;
    close(journal).await;
    let mut segments: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    segments.retain(|path| path.is_dir());
    segments.sort();
    assert!(segments.len() > 3);
    std::fs::remove_dir_all(&segments[1]).unwrap();

    let (journal, opened) = Journal::open(JournalOptions { total_bytes: u64::MAX, ..small(dir.path()) }).unwrap();
    assert_eq!(opened.troubles.len(), 1);
    let gone: u64 = segments[1].file_name().unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(journal.verify().await.unwrap().broken.unwrap().seq, gone);
    assert_eq!(journal.query(Filter::default()).await.unwrap().len(), 1000);
    close(journal).await;
}

#[tokio::test]
async fn a_segment_is_closed_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let passed = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&passed);
    let host =
        Host::new(Arc::new(move || Now { mono: Mono(clock.load(Ordering::SeqCst)), ..Now::for_test(0) }), "boot-1");
    let mut options = JournalOptions::new(dir.path(), host);
    options.segment_age = Duration::from_secs(60);
    let (journal, _) = Journal::open(options).unwrap();
    for (at, segments) in [(0, 1), (59_999, 1), (60_000, 2), (119_999, 2), (120_000, 3)] {
        passed.store(at, Ordering::SeqCst);
        journal.recorder().record_durably(event(at)).await.unwrap();
        assert_eq!(journal.stats().segments, segments, "at {at}");
    }
    assert_eq!(journal.query(Filter::default()).await.unwrap().len(), 5);
    assert_eq!(journal.verify().await.unwrap().broken, None);
    close(journal).await;
}
